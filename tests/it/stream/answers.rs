//! What the administrators' API answers: errors, pages, changes asked for again, its own document;
//! and how long whoever fails has to wait.

use futures::future::join_all;
use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::stream::api::document;

use super::access::{api, send};
use super::administration::{ADMIN, Replica, Setting, kafka};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_fails_too_often_waits_and_nobody_else_does() {
    let kafka = kafka();
    let clock = Clock::fixed(1_800_000_000_000);
    let setting =
        Setting { failures_per_minute_max: 5, clock: clock.clone(), ..Setting::default() };
    let replica = Replica::with(&kafka, setting).await;
    let (_, made) = replica.ask("POST", "/channels", json!({ "area": AREA })).await;
    let (channel, secret) = (made["channel"]["id"].as_str(), made["token"]["secret"].as_str());
    let stream = async |from: &str, token: &str| {
        let head = format!(
            "GET /v1/streams/{}?earliest&cursor=x HTTP/1.1\r\nHost: x\r\nAccept: \
             text/event-stream\r\nAuthorization: Bearer {token}",
            channel.unwrap()
        );
        send(from, replica.streams, &head, "").await
    };
    let asked = async |from: &str, token: &str| {
        let head =
            format!("GET /api/v1/channels HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}");
        send(from, replica.api, &head, "").await
    };
    // Wrong tokens of streams and of the API count together.
    let head = |query: &str| {
        format!("GET /v1/streams/c1?{query} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream")
    };
    for _ in 0..3 {
        let answer = send("127.0.0.9", replica.streams, &head("key=wrong"), "").await;
        assert_eq!(answer.short(), "401 unauthorized");
    }
    for _ in 0..2 {
        assert_eq!(asked("127.0.0.9", "wrong").await.short(), "401 unauthorized");
    }
    for answer in [
        asked("127.0.0.9", "wrong").await,
        asked("127.0.0.9", ADMIN).await,
        send("127.0.0.9", replica.streams, &head("key=wrong"), "").await,
    ] {
        assert_eq!(answer.short(), "429 too-many-failures");
        assert_eq!(answer.header("retry-after"), Some("121"));
    }
    // A good token of another address is heard: it fails at what comes behind the door.
    assert_eq!(asked("127.0.0.1", ADMIN).await.short(), "200");
    let answer = stream("127.0.0.8", secret.unwrap()).await;
    assert_eq!(answer.short(), "400 bad-parameter", "{}", answer.body);
    clock.set(1_800_000_120_000);
    assert_eq!(asked("127.0.0.9", ADMIN).await.short(), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_wrong_tokens_ask_kafka_for_a_few_and_hurt_nobody() {
    let kafka = kafka();
    let setting = Setting { failures_per_minute_max: 20, ..Setting::default() };
    let replica = Replica::with(&kafka, setting).await;
    let wrong = "GET /v1/streams/c1?key=wrong HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson";
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..100 {
        // As many at a time as the test's server has places for, and fewer.
        let at_once = (0..40).map(|_| send("127.0.0.9", replica.streams, wrong, ""));
        for answer in join_all(at_once).await {
            *counts.entry(answer.status).or_insert(0) += 1;
        }
        let (status, _) = replica.ask("GET", "/channels", json!({})).await;
        assert_eq!(status, 200);
    }
    // Those that were let on before the first had failed.
    assert!(counts[&401] <= 60, "{counts:?}");
    assert_eq!(counts[&401] + counts[&429], 4_000, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_url_is_refused_unseen_where_that_is_switched_off() {
    let kafka = kafka();
    let setting = Setting { key_in_query: false, failures_per_minute_max: 1, ..Setting::default() };
    let replica = Replica::with(&kafka, setting).await;
    let (_, made) = replica.ask("POST", "/channels", json!({ "area": AREA })).await;
    assert_eq!(made["token"]["url"], "ws://streams.example/v1/streams/c1");
    let secret = made["token"]["secret"].as_str().unwrap();
    // It is no failure either: the next one is told the same.
    for key in [secret, "wrong", "wrong"] {
        let head = format!(
            "GET /v1/streams/c1?key={key} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream"
        );
        let answer = send("127.0.0.1", replica.streams, &head, "").await;
        assert_eq!(answer.short(), "400 key-in-query");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_a_problem_document() {
    let kafka = kafka();
    let replica = Replica::start(&kafka, "one").await;
    replica.ask("POST", "/channels", json!({ "area": "id:a" })).await;
    let large = format!(r#"{{"area":"{}"}}"#, "x".repeat(70_000));
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(3_000));
    let token = format!("Authorization: Bearer {ADMIN}");
    let check = async |line: &str, headers: &[&str], body: &str, expected: &str| {
        let headers = [&[token.as_str()], headers].concat();
        let answer = api(&replica, line, &headers, body).await;
        assert_eq!(answer.short(), expected, "{line} {body}: {}", answer.body);
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{line}");
        assert_eq!(answer.body["status"], answer.status, "{line}");
        for part in ["title", "detail"] {
            assert!(!answer.body[part].as_str().unwrap().is_empty(), "{line}: {}", answer.body);
        }
        answer.body["detail"].as_str().unwrap().to_owned()
    };
    for (line, body, expected) in [
        ("GET /nothing", "", "404 no-such-path"),
        ("GET ", "", "404 no-such-path"),
        ("PUT /channels", "{}", "405 no-such-method"),
        ("DELETE /channels/c1", "", "405 no-such-method"),
        ("POST /audit", "", "405 no-such-method"),
        ("POST /openapi.json", "", "405 no-such-method"),
        ("GET /channels/c9", "", "404 not-found"),
        ("GET /channels/%ff", "", "404 not-found"),
        ("GET /channels/c1/tokens/t9", "", "404 not-found"),
        ("PATCH /channels/c9", "{}", "404 not-found"),
        ("PATCH /channels/c%209", r#"{"name":"x"}"#, "404 not-found"),
        ("PATCH /channels/c9", r#"{"name":"x"}"#, "404 no_such_channel"),
        ("PATCH /channels/c1", &long, "400 malformed"),
        ("DELETE /connections/x", "", "404 not-found"),
        ("POST /channels", &large, "413 too-large"),
        ("POST /channels", "{", "400 bad-request"),
        ("POST /channels", "\u{0}", "400 bad-request"),
        ("POST /channels", r#"{"area":"id:b","more":1}"#, "400 bad-request"),
        ("POST /channels", r#"{"area":7}"#, "400 bad-request"),
        ("POST /channels", r#"{"area":"id:b","token":{"expires":1}}"#, "400 expiry_past"),
        ("POST /channels", r#"{"area":"id:b","token":{"connections_max":0}}"#, "400 malformed"),
        ("POST /channels", r#"{"area":"id:b","token":{"filter":"status > x"}}"#, "400 bad-filter"),
        ("POST /channels", r#"{"area":"id:b","token":{"fields":["statis"]}}"#, "400 bad-field"),
        ("POST /channels", r#"{"area":"id:b","token":{"fields":["a\" or \"b"]}}"#, "400 bad-field"),
        ("POST /channels/c1/tokens", r#"{"fields":[]}"#, "400 bad-field"),
        ("GET /channels?limit=0", "", "400 bad-parameter"),
        ("GET /channels?limit=1001", "", "400 bad-parameter"),
        ("GET /channels?page=2", "", "400 bad-parameter"),
        ("GET /audit?before=-1", "", "400 bad-parameter"),
        ("GET /audit?limit=201", "", "400 bad-parameter"),
    ] {
        check(line, &[], body, expected).await;
    }
    for id in ["a b", "", &"x".repeat(61), "é"] {
        let id = format!("Idempotency-Key: {id}");
        check("POST /channels", &[&id], r#"{"area":"id:b"}"#, "400 bad-id").await;
    }
    // The reason is the parser's own.
    let body = r#"{"token":{"filter":"statis = 500"},"area":"id:b"}"#;
    let detail = check("POST /channels", &[], body, "400 bad-filter").await;
    assert_eq!(detail, "character 1: no field `statis` (did you mean `status`?)");
    let body = r#"{"fields":["statis"]}"#;
    let detail = check("POST /channels/c1/tokens", &[], body, "400 bad-field").await;
    assert_eq!(detail, "no field `statis` (did you mean `status`?)");
    // Nothing of it has made anything.
    let (_, listed) = replica.ask("GET", "/channels", json!({})).await;
    assert_eq!(listed["channels"].as_array().unwrap().len(), 1);
    // Without a token nothing is told but that one is needed.
    for line in ["GET /nothing", "PUT /channels", "GET /channels/c9"] {
        let answer = api(&replica, line, &[], "").await;
        assert_eq!(answer.short(), "401 unauthorized", "{line}");
        assert!(answer.header("www-authenticate").is_some());
    }
}

/// A list has values without their names.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_one_object() {
    let kafka = kafka();
    let replica = Replica::start(&kafka, "one").await;
    replica.ask("POST", "/channels", json!({ "area": "id:a" })).await;
    let token = format!("Authorization: Bearer {ADMIN}");
    for (line, body) in [
        ("POST /channels", r#"["id:b",{}]"#),
        ("POST /channels", r#"{"area":"id:b","token":[null,2]}"#),
        ("POST /channels/c1/tokens", "[]"),
        ("PATCH /channels/c1", r#"["n","d",false]"#),
        ("PATCH /channels/c1/tokens/t1", "[false]"),
        ("POST /channels", r#"{"area":"id:b"} {}"#),
    ] {
        let answer = api(&replica, line, &[&token], body).await;
        assert_eq!(answer.short(), "400 bad-request", "{line} {body}: {}", answer.body);
    }
    let (_, channel) = replica.ask("GET", "/channels/c1", json!({})).await;
    assert_eq!(channel["enabled"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_with_what_was_expected() {
    let kafka = kafka();
    let replica = Replica::start(&kafka, "one").await;
    replica.ask("POST", "/channels", json!({ "area": "id:a" })).await;
    for (line, body, says) in [
        ("POST /channels", "{", "is no JSON"),
        (
            "POST /channels",
            "{}",
            "has no `area`, at line 1, column 2 (as in {\"area\":\"id:5a1f00\"",
        ),
        ("POST /channels", r#"{"area":7}"#, "is to have a text, and has integer `7`"),
        ("POST /channels", r#"["id:a"]"#, "is to have an object, and has a list"),
        (
            "POST /channels/c1/tokens",
            r#"{"expires":"2099-01-01T00:00:00Z"}"#,
            "is to have milliseconds since 1970 as in `1801353600000`, and has a text",
        ),
        ("GET /channels?limit=many", "", "`limit` is a whole number from 0 on"),
        ("GET /audit?before=-1", "", "`before` is a whole number from 0 on"),
    ] {
        let answer = api(&replica, line, &[&format!("Authorization: Bearer {ADMIN}")], body).await;
        let told = answer.body["detail"].as_str().unwrap();
        assert_eq!(answer.status, 400, "{line} {body}: {told}");
        assert!(told.contains(says), "{line} {body}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t7_what_a_token_may_hear_is_taken_and_shown() {
    let kafka = kafka();
    let replica = Replica::start(&kafka, "one").await;
    let options = json!({ "filter": "status_class = 5xx", "fields": ["status", "uri_path"],
        "connections_max": 2, "expires": 4_000_000_000_000_i64 });
    let body = json!({ "area": "id:a", "token": options });
    let (status, made) = replica.ask("POST", "/channels", body).await;
    assert_eq!(status, 201, "{made}");
    let (_, token) = replica.ask("GET", "/channels/c1/tokens/t1", json!({})).await;
    for (name, value) in options.as_object().unwrap() {
        assert_eq!(token[name], *value, "{token}");
    }
    assert_eq!((&token["last_used"], &token["enabled"]), (&Value::Null, &json!(true)));
    // No more fields than a listener may have.
    for (count, expected) in [(201, 400), (200, 201)] {
        let options = json!({ "fields": vec!["status"; count] });
        let body = json!({ "area": "id:b", "token": options });
        let (status, answer) = replica.ask("POST", "/channels", body).await;
        assert_eq!(status, expected, "{count}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_asked_for_again_is_made_once() {
    let kafka = kafka();
    let (one, other) = (Replica::start(&kafka, "one").await, Replica::start(&kafka, "other").await);
    let headers = [&format!("Authorization: Bearer {ADMIN}"), "Idempotency-Key: mine"];
    let area = r#"{"area":"id:a"}"#;
    let first = api(&one, "POST /channels", &headers, area).await;
    let again = api(&other, "POST /channels", &headers, area).await;
    assert_eq!((first.status, again.status), (201, 201), "{}", again.body);
    assert!(first.body["token"]["secret"].is_string());
    // The secret of the first answer is the token's; no other one is told.
    assert_eq!(again.body["token"]["secret"], Value::Null);
    assert_eq!(again.body["token"]["id"], first.body["token"]["id"]);
    assert_eq!(again.body["token"]["url"], "ws://streams.example/v1/streams/c1");
    let foreign = api(&one, "POST /channels", &headers, r#"{"area":"id:b"}"#).await;
    assert_eq!(foreign.short(), "409 id_in_use");
    // One request of two commands.
    let edit = r#"{"name":"Mine","enabled":false}"#;
    let headers = [headers[0], "Idempotency-Key: edit"];
    for replica in [&one, &other, &one] {
        let edited = api(replica, "PATCH /channels/c1", &headers, edit).await;
        assert_eq!(
            (&edited.body["name"], &edited.body["enabled"]),
            (&json!("Mine"), &json!(false))
        );
    }
    let trail = api(&one, "GET /channels/c1/audit", &headers[..1], "").await;
    let ids: Vec<_> =
        trail.body["audit"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, ["edit-2", "edit", "mine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let kafka = kafka();
    let replica = Replica::start(&kafka, "one").await;
    let given = (0..25).map(|number| {
        let body = json!({ "area": format!("id:{number}") });
        replica.ask("POST", "/channels", body)
    });
    join_all(given).await;
    let pages = async |path: &str, list: &str, of: &str, next: &str| {
        let (mut all, mut sizes, mut from) = (Vec::new(), Vec::new(), String::new());
        loop {
            let (status, page) =
                replica.ask("GET", &format!("{path}?limit=10{from}"), json!({})).await;
            assert_eq!(status, 200, "{page}");
            let entries = page[list].as_array().unwrap();
            sizes.push(entries.len());
            all.extend(entries.iter().map(|entry| entry[of].to_string()));
            if page["next"].is_null() {
                return (all, sizes);
            }
            from = format!("&{next}={}", page["next"].to_string().trim_matches('"'));
        }
    };
    let (mut areas, sizes) = pages("/channels", "channels", "area", "after").await;
    areas.sort();
    areas.dedup();
    assert_eq!((areas.len(), sizes), (25, vec![10, 10, 5]));
    let (numbers, sizes) = pages("/audit", "audit", "number", "before").await;
    assert_eq!(numbers, (1..=25).rev().map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(sizes, [10, 10, 5]);
    let (_, one) = replica.ask("GET", "/channels?area=id:7", json!({})).await;
    assert_eq!(one["channels"].as_array().unwrap().len(), 1);
    assert_eq!(one["channels"][0]["area"], "id:7");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_open_and_has_every_route() {
    let kafka = kafka();
    let replica = Replica::start(&kafka, "one").await;
    let answer = api(&replica, "GET /openapi.json", &[], "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, serde_json::from_str::<Value>(&document::text()).unwrap());
    let paths = answer.body["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 9, "{:?}", paths.keys());
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            // What is described is served: whatever it answers, it is no unknown path or method.
            let path = path.strip_prefix("/api/v1").unwrap();
            let path = path.replace("{connection}", "7").replace(['{', '}'], "");
            let method = method.to_uppercase();
            let token = format!("Authorization: Bearer {ADMIN}");
            let found = api(&replica, &format!("{method} {path}"), &[&token], "").await.short();
            assert!(!found.contains("no-such-"), "{method} {path}: {found}");
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
        }
    }
}

#[test]
fn the_committed_document_is_current() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == document::text(),
        "docs/openapi.json is stale: sluice reference --openapi > docs/openapi.json"
    );
}
