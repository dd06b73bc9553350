//! The index template, made from the catalogue of fields: what `sluice setup` writes and `sluice
//! run` demands.
//!
//! It names only types that every server core has. A template asks for nothing that a document of
//! ours could be refused for: unknown fields are not mapped (`dynamic: false`), long strings and
//! malformed values are left out of the index and stay in the source.

use serde_json::{Map, Value, json};

use crate::config::pipeline::{PipelineSpec, PromotedKind};
use crate::config::settings::IndexSettings;
use crate::schema::{CATALOGUE, GEO_KEYS, Kind, SCHEMA_VERSION};

/// Characters of a keyword that are indexed. Lucene takes terms of up to 32,766 bytes, and a
/// character has at most four.
const IGNORE_ABOVE_CHARS: u32 = 8_191;
/// How deep a flattened object may be; the index's default.
const FLATTENED_DEPTH_MAX: u32 = 20;
/// Twice as deep as an event may be, since `unparsed` and dotted names add to it.
const DEPTH_MAX: u32 = 128;

/// What of the two families a server belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Elasticsearch,
    OpenSearch,
}

impl Family {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Elasticsearch => "Elasticsearch",
            Self::OpenSearch => "OpenSearch",
        }
    }
}

/// What the template depends on beside the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub family: Family,
    /// The server manages index lifecycles (Elasticsearch's ILM).
    pub lifecycle: bool,
    pub settings: &'a IndexSettings,
    pub pipelines: &'a [PipelineSpec],
}

/// A composable index template by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub name: String,
    pub body: Value,
}

/// Every template: the one of the dated indices, and the one of the undated, whose name has no day
/// for the lifecycle to start from.
#[must_use]
pub fn templates(target: &Target<'_>) -> Vec<Template> {
    let name = &target.settings.template;
    let prefixes = prefixes(target.pipelines);
    let dated: Vec<_> = prefixes.iter().map(|prefix| format!("{prefix}-*")).collect();
    let undated: Vec<_> = prefixes.iter().map(|prefix| format!("{prefix}-undated")).collect();
    vec![
        Template { name: name.clone(), body: body(target, &dated, 200, target.lifecycle) },
        Template { name: format!("{name}-undated"), body: body(target, &undated, 201, false) },
    ]
}

/// The lifecycle policy, where the server has lifecycles and a retention is set.
#[must_use]
pub fn lifecycle_policy(settings: &IndexSettings) -> Option<Value> {
    let days = settings.retention_days?;
    Some(json!({
        "policy": {
            "_meta": { "managed_by": "sluice" },
            "phases": {
                "hot": { "actions": {} },
                "delete": { "min_age": format!("{days}d"), "actions": { "delete": {} } },
            },
        },
    }))
}

/// What keeps us from writing through the template that the server has: it is older than ours, or
/// lacks a field. Empty where it serves.
#[must_use]
pub fn shortcomings(server: &Value, ours: &Value) -> Vec<String> {
    let version = |template: &Value| template.pointer("/_meta/sluice/schema_version")?.as_u64();
    let (theirs, wanted) = (version(server), version(ours));
    if theirs < wanted {
        return vec![match theirs {
            None => "it was not made by sluice".to_owned(),
            Some(old) => format!("its schema version {old} is older than {SCHEMA_VERSION}"),
        }];
    }
    let mut found = Vec::new();
    let properties = |template: &Value| template.pointer("/template/mappings/properties").cloned();
    if let (Some(theirs), Some(wanted)) = (properties(server), properties(ours)) {
        missing_fields("", &theirs, &wanted, &mut found);
    }
    found
}

fn missing_fields(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    for (name, definition) in ours.as_object().into_iter().flatten() {
        let dotted = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Some(there) = theirs.get(name) else {
            found.push(format!("it lacks the field {dotted}"));
            continue;
        };
        if let Some(children) = definition.get("properties") {
            let none = Value::Null;
            missing_fields(&dotted, there.get("properties").unwrap_or(&none), children, found);
        }
    }
}

fn prefixes(pipelines: &[PipelineSpec]) -> Vec<&str> {
    let mut prefixes: Vec<_> = pipelines.iter().map(|spec| spec.index.prefix.as_str()).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

fn body(target: &Target<'_>, patterns: &[String], priority: u32, lifecycle: bool) -> Value {
    let mut settings = Map::new();
    settings.insert("number_of_shards".to_owned(), json!(target.settings.shards));
    settings.insert("number_of_replicas".to_owned(), json!(target.settings.replicas));
    settings.insert("refresh_interval".to_owned(), json!("5s"));
    if target.family == Family::OpenSearch {
        // It counts arrays within arrays too, also below fields that are not mapped.
        settings.insert("mapping".to_owned(), json!({ "depth": { "limit": DEPTH_MAX } }));
    }
    if lifecycle && target.settings.retention_days.is_some() {
        // Retention counts from the day in the index's name, not from its creation.
        let of = json!({ "name": target.settings.template, "parse_origination_date": true });
        settings.insert("lifecycle".to_owned(), of);
    }
    json!({
        "index_patterns": patterns,
        "priority": priority,
        "_meta": { "sluice": { "schema_version": SCHEMA_VERSION } },
        "template": {
            "settings": { "index": settings },
            "mappings": {
                "dynamic": false,
                "date_detection": false,
                "properties": properties(target),
            },
        },
    })
}

fn properties(target: &Target<'_>) -> Value {
    let mut root = Map::new();
    for row in CATALOGUE {
        insert(&mut root, row.name, mapping(row.kind, target.family));
    }
    for spec in target.pipelines {
        for pair in &spec.geo {
            insert(&mut root, &pair.into, mapping(Kind::Geo, target.family));
            for (key, kind) in GEO_KEYS {
                insert(&mut root, &format!("{}.{key}", pair.into), mapping(kind, target.family));
            }
        }
        for promotion in &spec.promote {
            insert(&mut root, &promotion.to, promoted(promotion.kind));
        }
    }
    Value::Object(root)
}

/// Puts a definition at a dotted path, making the objects on the way.
fn insert(properties: &mut Map<String, Value>, dotted: &str, definition: Value) {
    let Some((head, rest)) = dotted.split_once('.') else {
        properties.entry(dotted).or_insert(definition);
        return;
    };
    let object = properties.entry(head).or_insert_with(|| json!({}));
    if let Some(object) = object.as_object_mut() {
        let children = object.entry("properties").or_insert_with(|| json!({}));
        if let Some(children) = children.as_object_mut() {
            insert(children, rest, definition);
        }
    }
}

fn mapping(kind: Kind, family: Family) -> Value {
    match kind {
        Kind::Keyword => json!({ "type": "keyword", "ignore_above": IGNORE_ABOVE_CHARS }),
        Kind::Identity => json!({
            "type": "keyword", "index": false, "doc_values": false,
            "ignore_above": IGNORE_ABOVE_CHARS,
        }),
        Kind::Long => json!({ "type": "long", "ignore_malformed": true }),
        Kind::Integer => json!({ "type": "integer", "ignore_malformed": true }),
        Kind::Double => json!({ "type": "double", "ignore_malformed": true }),
        Kind::Date => json!({
            "type": "date", "format": "strict_date_optional_time||epoch_millis",
            "ignore_malformed": true,
        }),
        Kind::Ip => json!({ "type": "ip", "ignore_malformed": true }),
        Kind::GeoPoint => json!({ "type": "geo_point", "ignore_malformed": true }),
        // A text that is not indexed has no limit of length and never counts as ignored.
        Kind::Body => json!({ "type": "text", "index": false, "norms": false }),
        Kind::Flattened => match family {
            Family::Elasticsearch => json!({
                "type": "flattened", "ignore_above": IGNORE_ABOVE_CHARS,
                "depth_limit": FLATTENED_DEPTH_MAX,
            }),
            // `flat_object` refuses every parameter.
            Family::OpenSearch => json!({ "type": "flat_object" }),
        },
        Kind::Object | Kind::Geo => json!({ "type": "object" }),
        Kind::Nested => json!({ "type": "nested" }),
        Kind::Disabled => json!({ "type": "object", "enabled": false }),
    }
}

fn promoted(kind: PromotedKind) -> Value {
    let kind = match kind {
        PromotedKind::Keyword => Kind::Keyword,
        PromotedKind::Long => Kind::Long,
        PromotedKind::Double => Kind::Double,
        PromotedKind::Boolean => return json!({ "type": "boolean" }),
        PromotedKind::Date => Kind::Date,
        PromotedKind::Ip => Kind::Ip,
    };
    // No family differs in these kinds.
    mapping(kind, Family::Elasticsearch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(family: Family, lifecycle: bool) -> Vec<Template> {
        let settings = IndexSettings::default();
        let pipelines = [PipelineSpec::new("apiconnect")];
        templates(&Target { family, lifecycle, settings: &settings, pipelines: &pipelines })
    }

    fn check(family: Family, pointer: &str, expected: &str) {
        let body = &of(family, false)[0].body;
        let found = body.pointer(&format!("/template/mappings/properties{pointer}"));
        assert_eq!(found.and_then(Value::as_str), Some(expected), "{pointer} in {body:#}");
    }

    #[test]
    fn fields_have_the_types_of_the_catalogue() {
        check(Family::Elasticsearch, "/request_http_headers/type", "flattened");
        check(Family::OpenSearch, "/request_http_headers/type", "flat_object");
        check(Family::OpenSearch, "/latency_info/type", "nested");
        check(Family::OpenSearch, "/latency_info/properties/started/type", "long");
        check(Family::Elasticsearch, "/client_geoip/properties/location/type", "geo_point");
        check(Family::Elasticsearch, "/billing/properties/amount/type", "double");
        check(Family::Elasticsearch, "/h/properties/user_agent/type", "keyword");
    }

    #[test]
    fn lifecycle_is_asked_for_only_where_the_server_has_it_and_the_name_a_day() {
        let name = "/template/settings/index/lifecycle/name";
        assert!(of(Family::OpenSearch, false).iter().all(|t| t.body.pointer(name).is_none()));
        let with = of(Family::Elasticsearch, true);
        assert!(with[0].body.pointer(name).is_some());
        assert!(with[1].body.pointer(name).is_none());
    }

    #[test]
    fn shortcomings_are_named() {
        let ours = of(Family::Elasticsearch, false).remove(0).body;
        assert!(shortcomings(&ours, &ours).is_empty());
        let mut older = ours.clone();
        older["_meta"]["sluice"]["schema_version"] = json!(0);
        assert_eq!(shortcomings(&older, &ours).len(), 1);
        let mut lacking = ours.clone();
        lacking["template"]["mappings"]["properties"]["h"]["properties"] = json!({});
        assert!(shortcomings(&lacking, &ours).contains(&"it lacks the field h.host".to_owned()));
        assert_eq!(shortcomings(&json!({}), &ours), ["it was not made by sluice"]);
    }
}
