//! What an analyst does with the documents: the seed's records can be found, aggregated, drawn on a
//! map; the same on every index server.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::world::{Kind, World};

const SEEDS: [&str; 3] = ["activity", "header", "payload"];

fn seed(policy: &str) -> Vec<u8> {
    let name = format!("pipelines/apiconnect/samples/apiconnect-v5-{policy}.json");
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn check(kind: Kind, test: &str) {
    let Some(world) = World::new(kind, test, "", "") else { return };
    let running = world.run();
    let messages = SEEDS.map(seed);
    world.produce(messages.iter().map(|message| Some(message.as_slice())));
    let metrics = world.settled(3.0);
    assert!((metrics.sum("sluice_events_settled_total{outcome=\"created\"") - 3.0).abs() < 0.5);

    fields_are_those_of_the_seed(&world);
    aggregations(&world, kind);
    world.ended(running);
}

fn fields_are_those_of_the_seed(world: &World) {
    let documents = world.documents();
    assert_eq!(documents.len(), 3);
    for policy in SEEDS {
        let seed: Value = serde_json::from_slice(&seed(policy)).unwrap();
        let found = documents.values().find(|document| document["log_policy"] == policy).unwrap();
        for (name, value) in seed.as_object().unwrap() {
            match name.as_str() {
                // Empty arrays are left out, headers and billing have a form of their own.
                _ if value == &json!([]) => assert!(found.get(name).is_none(), "{name}"),
                "request_http_headers" | "response_http_headers" => {
                    for header in value.as_array().unwrap() {
                        let (header, text) = header.as_object().unwrap().iter().next().unwrap();
                        assert_eq!(&found[name][header.to_lowercase()], text, "{name}.{header}");
                    }
                }
                "billing" => {
                    assert_eq!(found[name]["amount"], json!(0));
                    assert_eq!(found[name]["currency"], "USD");
                }
                _ => assert_eq!(&found[name], value, "{name}"),
            }
        }
        assert_eq!(found["@version"], "1");
        assert_eq!(found["status"], 200);
        assert_eq!(found["status_class"], "2xx");
        assert!(found["event_id"].is_string() && found["@timestamp"].is_string());
    }
}

fn aggregations(world: &World, kind: Kind) {
    let mut aggs = json!({
        "grid": { "geohash_grid": { "field": "client_geoip.location", "precision": 4 } },
        "amount": { "sum": { "field": "billing.amount" } },
        "agent": { "terms": { "field": "h.user_agent" } },
        "steps": {
            "nested": { "path": "latency_info" },
            "aggs": { "proxy": {
                "filter": { "term": { "latency_info.task": "proxy" } },
                "aggs": { "started": { "max": { "field": "latency_info.started" } } },
            } },
        },
    });
    if kind != Kind::OpenSearch {
        aggs["flattened"] = json!({ "terms": { "field": "request_http_headers.user-agent" } });
    }
    let found = world.search(&json!({ "size": 0, "aggs": aggs }));
    let found = &found["aggregations"];
    assert_eq!(found["grid"]["buckets"][0]["doc_count"], 3, "{found}");
    assert_eq!(found["amount"]["value"], json!(0.0), "{found}");
    assert_eq!(found["agent"]["buckets"][0]["doc_count"], 2, "{found}");
    assert_eq!(found["steps"]["proxy"]["doc_count"], 3, "{found}");
    assert_eq!(found["steps"]["proxy"]["started"]["value"], json!(269.0), "{found}");
    if kind != Kind::OpenSearch {
        assert_eq!(found["flattened"]["buckets"][0]["doc_count"], 2, "{found}");
    }
    let nested = json!({ "query": { "nested": { "path": "latency_info", "query": { "bool": {
        "must": [
            { "term": { "latency_info.task": "proxy" } },
            { "range": { "latency_info.started": { "gt": 200 } } },
        ],
    } } } } });
    assert_eq!(world.search(&nested)["hits"]["total"]["value"], 1);
}

#[test]
fn elasticsearch_8() {
    check(Kind::Elasticsearch8, "analytics-es8");
}

#[test]
fn elasticsearch_9() {
    check(Kind::Elasticsearch9, "analytics-es9");
}

#[test]
fn opensearch() {
    check(Kind::OpenSearch, "analytics-os");
}
