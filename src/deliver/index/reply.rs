//! Reads the answer to a `_bulk` request: one entry for each item, in order.

use serde::Deserialize;
use serde_json::Value;

/// Bytes of an error's text that go into a dead letter.
const ERROR_BYTES_MAX: usize = 8 * 1024;
/// Bytes of an error's type; a longer one is no type of the index.
const TYPE_BYTES_MAX: usize = 100;
/// What an item that was created answers, under our `filter_path`.
const CREATED: &[u8] = br#"{"create":{"status":201}}"#;

/// The items of an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Items {
    /// So many items, every one of them created.
    Created(usize),
    Each(Vec<ItemReply>),
}

impl Items {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Created(count) => *count,
            Self::Each(items) => items.len(),
        }
    }
}

/// The answer to one item.
#[derive(Debug, PartialEq)]
pub(super) struct ItemReply {
    pub(super) status: u16,
    pub(super) error: Option<IndexError>,
    /// The document went to a failure store, where nobody looks for it.
    pub(super) failure_store: bool,
}

/// An error of the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct IndexError {
    /// `error.type`, safe to log.
    pub(super) kind: String,
    /// `error.reason`: quotes values.
    pub(super) reason: String,
    /// The whole error, bounded: quotes values.
    pub(super) text: String,
}

#[derive(Deserialize)]
struct RawReply {
    items: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawEntry {
    Create(RawItem),
    Index(RawItem),
    Update(RawItem),
    Delete(RawItem),
}

#[derive(Deserialize)]
struct RawItem {
    status: u16,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    failure_store: Option<String>,
}

/// The items of an answer; `None` where it is none.
pub(super) fn items(body: &[u8]) -> Option<Items> {
    if let Some(count) = all_created(body) {
        return Some(Items::Created(count));
    }
    let reply: RawReply = serde_json::from_slice(body).ok()?;
    Some(Items::Each(reply.items.into_iter().map(ItemReply::from).collect()))
}

/// How many items, where the answer is nothing but created items, byte for byte as the servers
/// write it: the ordinary case, and so worth not being parsed.
fn all_created(body: &[u8]) -> Option<usize> {
    let mut rest = body.strip_prefix(br#"{"errors":false,"items":["#)?;
    let mut count = 0;
    loop {
        rest = rest.strip_prefix(CREATED)?;
        count += 1;
        match rest.split_first()? {
            (b',', more) => rest = more,
            (b']', b"}") => return Some(count),
            _ => return None,
        }
    }
}

impl From<RawEntry> for ItemReply {
    fn from(entry: RawEntry) -> Self {
        let (RawEntry::Create(item)
        | RawEntry::Index(item)
        | RawEntry::Update(item)
        | RawEntry::Delete(item)) = entry;
        Self {
            status: item.status,
            error: item.error.as_ref().map(IndexError::from),
            failure_store: item.failure_store.as_deref() == Some("used"),
        }
    }
}

impl From<&Value> for IndexError {
    fn from(error: &Value) -> Self {
        let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
        Self {
            kind: known_type(text("type")),
            reason: text("reason").to_owned(),
            text: bounded(error.to_string()),
        }
    }
}

/// The error of a request that was refused whole. An answer that is not the index's own has
/// its bytes as the text and no type.
pub(super) fn request_error(body: &[u8]) -> IndexError {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    match parsed.as_ref().and_then(|reply| reply.get("error")) {
        Some(error) => IndexError::from(error),
        None => {
            let head = body.get(..ERROR_BYTES_MAX).unwrap_or(body);
            let text = bounded(String::from_utf8_lossy(head).into_owned());
            IndexError { kind: known_type(""), reason: String::new(), text }
        }
    }
}

/// The type, if it looks like one: it is logged, so no value may hide in it.
fn known_type(kind: &str) -> String {
    let fits = (1..=TYPE_BYTES_MAX).contains(&kind.len())
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if fits { kind.to_owned() } else { "unknown".to_owned() }
}

fn bounded(mut text: String) -> String {
    let end = text.floor_char_boundary(ERROR_BYTES_MAX);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &[(u16, &str)]) {
        let Some(Items::Each(items)) = items(body.as_bytes()) else { panic!("{body}") };
        let found: Vec<_> = items
            .iter()
            .map(|item| (item.status, item.error.as_ref().map_or("", |error| error.kind.as_str())))
            .collect();
        assert_eq!(found, expected, "{body}");
    }

    /// As Elasticsearch 8.19 and 9.2 write them.
    #[test]
    fn elasticsearch() {
        check(
            r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[a]: version conflict, document already exists (current version [1])","index_uuid":"TUAWtfSWQe2w05NfYqec3g","shard":"0","index":"i"}}},{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"[1:6] failed to parse field [n] of type [long] in document with id 'b'. Preview of field's value: 'x'","caused_by":{"type":"illegal_argument_exception","reason":"For input string: \"x\""}}}},{"index":{"status":200}}]}"#,
            &[
                (201, ""),
                (409, "version_conflict_engine_exception"),
                (400, "document_parsing_exception"),
                (200, ""),
            ],
        );
    }

    /// As OpenSearch 3.8 writes them, and whole entries without a `filter_path`.
    #[test]
    fn opensearch() {
        check(
            r#"{"errors":true,"items":[{"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse field [n] of type [long] in document with id 'b'. Preview of field's value: 'x'","caused_by":{"type":"illegal_argument_exception","reason":"For input string: \"x\""}}}}]}"#,
            &[(400, "mapper_parsing_exception")],
        );
        check(
            r#"{"took":5,"errors":false,"items":[{"create":{"_index":"i","_id":"a","_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1,"status":201}}]}"#,
            &[(201, "")],
        );
    }

    #[test]
    fn all_created_is_counted() {
        let one = r#"{"create":{"status":201}}"#;
        let body = format!(r#"{{"errors":false,"items":[{one},{one},{one}]}}"#);
        assert_eq!(items(body.as_bytes()), Some(Items::Created(3)));
        // Any white space, and it is parsed.
        let spaced = body.replace(',', ", ");
        assert_eq!(items(spaced.as_bytes()).map(|items| items.count()), Some(3));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for body in [
            "",
            "{}",
            "<html>",
            r#"{"errors":false,"items":[{"create":{"status":201}},"#,
            r#"{"errors":false,"items":[{"create":{"status":201}}"#,
            r#"{"errors":false,"items":[{"create":{}}]}"#,
            r#"{"errors":false,"items":[{"other":{"status":201}}]}"#,
        ] {
            assert_eq!(items(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn failure_store_and_odd_errors() {
        let body = br#"{"errors":false,"items":[{"create":{"status":201,"failure_store":"used"}},{"create":{"status":500,"error":"a secret value"}}]}"#;
        let Some(Items::Each(found)) = items(body) else { panic!("no items") };
        assert!(found[0].failure_store && !found[1].failure_store);
        assert_eq!(found[1].error.as_ref().unwrap().kind, "unknown");
        let error = request_error(&[b'x'; 10_000]);
        assert_eq!((error.kind.as_str(), error.text.len()), ("unknown", ERROR_BYTES_MAX));
    }
}
