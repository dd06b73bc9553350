//! The documents that a test made, as values and as the very text that the index keeps.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use elasticsearch::http::Method;
use serde_json::{Value, json};
use sluice::deliver::index::client::{Answer, Call};

use super::World;

/// An event's place in the source topic: offset and index in its message.
pub(crate) type Coordinates = (i64, u32);

impl World {
    /// Asks the index; the answer must be a good one.
    pub(crate) fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let answer = self.try_ask(method, path, body);
        let text = String::from_utf8_lossy(&answer.body);
        assert!((200..300).contains(&answer.status), "{path}: {} {text}", answer.status);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub(super) fn try_ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let call = Call {
            method,
            path,
            content_type: "application/json",
            gzip: false,
            body: body.map(|body| body.to_string().into()),
        };
        self.runtime.block_on(self.index.call(call)).unwrap()
    }

    /// Searches this test's indices, after a refresh; `None` while the first shard of a new index
    /// has not started, where the index can say nothing.
    pub(crate) fn try_search(&self, body: &Value) -> Option<Value> {
        self.ask(Method::Post, &format!("/{}-*/_refresh", self.name), None);
        let path = format!("/{}-*/_search", self.name);
        let answer = self.try_ask(Method::Post, &path, Some(body));
        let text = String::from_utf8_lossy(&answer.body);
        if answer.status == 503 && text.contains("no_shard_available_action_exception") {
            return None;
        }
        assert!(answer.status == 200, "{path}: {} {text}", answer.status);
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Searches this test's indices, which have documents.
    pub(crate) fn search(&self, body: &Value) -> Value {
        self.try_search(body).unwrap()
    }

    /// Every document, by its `_id`.
    pub(crate) fn documents(&self) -> BTreeMap<String, Value> {
        let found = self.search(&json!({ "size": 10_000, "track_total_hits": true }));
        let hits = found["hits"]["hits"].as_array().unwrap();
        hits.iter()
            .map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_source"].clone()))
            .collect()
    }

    /// How many documents there are, as far as the index can say.
    pub(crate) fn count(&self) -> u64 {
        let found = self.try_search(&json!({ "size": 0, "track_total_hits": true }));
        found.unwrap_or_default()["hits"]["total"]["value"].as_u64().unwrap_or_default()
    }

    /// The text of every document's source, byte for byte, by the coordinates in its `_id`.
    pub(crate) fn sources(&self) -> BTreeMap<Coordinates, String> {
        self.ask(Method::Post, &format!("/{}-*/_refresh", self.name), None);
        let path = format!("/{}-*/_search?size=10000", self.name);
        let answer = self.try_ask(Method::Get, &path, None);
        assert_eq!(answer.status, 200);
        let text = str::from_utf8(&answer.body).unwrap();
        let hits = member(member(text, "hits"), "hits");
        let mut sources = BTreeMap::new();
        for hit in elements(hits) {
            let id: String = serde_json::from_str(member(hit, "_id")).unwrap();
            let twice = sources.insert(coordinates(&id), member(hit, "_source").to_owned());
            assert_eq!(twice, None, "{id}");
        }
        sources
    }

    /// Whether the index has something at a path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let status = self.try_ask(Method::Get, path, None).status;
        assert!(status == 200 || status == 404, "{path}: {status}");
        status == 200
    }

    pub(crate) fn delete(&self, path: &str) {
        self.ask(Method::Delete, path, None);
    }
}

/// An `_id` made of coordinates holds, behind time, hash and partition, the offset in 6 bytes and
/// the index in 4.
fn coordinates(id: &str) -> Coordinates {
    let bytes = URL_SAFE_NO_PAD.decode(id).unwrap();
    let number = |range: std::ops::Range<usize>| {
        bytes[range].iter().fold(0_i64, |number, byte| number << 8 | i64::from(*byte))
    };
    (number(14..20), u32::try_from(number(20..24)).unwrap())
}

/// The text of an object's member; a parser of values would lose digits.
fn member<'a>(object: &'a str, name: &str) -> &'a str {
    let quoted = format!("\"{name}\"");
    let mut rest = &object[1..];
    loop {
        let (key, after) = rest.split_at(end_of(rest));
        let value = after.strip_prefix(':').unwrap();
        let (value, after) = value.split_at(end_of(value));
        if key == quoted {
            return value;
        }
        rest = after.strip_prefix(',').unwrap_or_else(|| panic!("no {name}"));
    }
}

fn elements(array: &str) -> Vec<&str> {
    let mut rest = &array[1..];
    let mut found = Vec::new();
    while !rest.starts_with(']') {
        let (element, after) = rest.split_at(end_of(rest));
        found.push(element);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    found
}

/// Where the value ends with which a text begins; the servers write no white space.
fn end_of(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => {
                quoted = !quoted;
                if !quoted && depth == 0 {
                    return at + 1;
                }
            }
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}
