//! A document that the index refuses, by a mapping made for it: it is a dead letter that says
//! everything, and its neighbours are indexed.

use elasticsearch::http::Method;
use serde_json::json;

use super::world::{Kind, World};

const REFUSED: &str = r#"{"api_name":"refused", "app_name":"no number","request_http_headers":[{"Authorization":"Bearer abc"}]}"#;

fn check(kind: Kind, test: &str) {
    let Some(world) = World::new(kind, test, "", "") else { return };
    let template = format!("/_index_template/{}-conflict", world.name);
    let properties = json!({ "app_name": { "type": "long" } });
    let body = json!({
        "index_patterns": [format!("{}-*", world.name)],
        "priority": 900,
        "template": {
            "settings": { "number_of_replicas": 0 },
            "mappings": { "dynamic": false, "properties": properties },
        },
    });
    world.ask(Method::Put, &template, Some(&body));
    let running = world.run();
    let good = |name: &str| format!("{{\"api_name\":\"{name}\",\"app_name\":\"7\"}}");
    let lines = format!("{}\n{REFUSED}\n{}", good("before"), good("behind"));
    let messages = [good("first"), lines, good("last")];
    world.produce(messages.iter().map(|message| Some(message.as_bytes())));
    let metrics = world.settled(5.0);
    assert_eq!((metrics.settled("created"), metrics.settled("dead_lettered")), (4, 1));
    let refused = "sluice_events_settled_total{outcome=\"dead_lettered\",reason=\"index_refused\"}";
    assert_eq!(metrics.count(refused), 1, "{}", metrics.0);

    let places: Vec<_> = world.sources().into_keys().collect();
    assert_eq!(places, [(0, 0), (1, 0), (1, 2), (2, 0)]);
    the_letter_says_everything(&world);
    assert!(!world.log().contains("no number"), "no value of an event is logged");
    world.ended(running);
    world.delete(&template);
}

fn the_letter_says_everything(world: &World) {
    let letters = world.letters();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(String::from_utf8_lossy(&letter.value), REFUSED);
    for (name, value) in [
        ("sluice.reason", "index_refused"),
        ("sluice.topic", world.name.as_str()),
        ("sluice.partition", "0"),
        ("sluice.offset", "1"),
        ("sluice.index", "1"),
        ("sluice.pipeline", "test"),
    ] {
        assert_eq!(letter.header(name), value, "{name}");
    }
    assert!(letter.header("sluice.timestamp").parse::<i64>().unwrap() > 1_700_000_000_000);
    let error_type = letter.header("sluice.error_type");
    assert!(error_type.ends_with("_parsing_exception"), "{letter:?}");
    let error = letter.header("sluice.error");
    assert!(error.contains("app_name") && error.contains("no number"), "{error}");
}

#[test]
fn elasticsearch_8() {
    check(Kind::Elasticsearch8, "conflict-es8");
}

#[test]
fn elasticsearch_9() {
    check(Kind::Elasticsearch9, "conflict-es9");
}

#[test]
fn opensearch() {
    check(Kind::OpenSearch, "conflict-os");
}
