//! Who may ask the administrators' API for what, over two replicas; and what it says to whoever may
//! not, or asks for what is not.

use std::net::SocketAddr;

use futures::future::join_all;
use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::config::settings::{Role, RoleSettings, Settings};
use sluice::setup::{Task, secrets};
use sluice::stream::api::document;
use tokio::net::TcpSocket;

use super::administration::{ADMIN, Replica, Setting, ask, kafka};
use super::*;

/// An answer: status, the problem's kind, headers, body.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    /// `200`, or `403 forbidden`.
    fn short(&self) -> String {
        let kind = self.body["type"].as_str().and_then(|kind| kind.rsplit(':').next());
        format!("{} {}", self.status, kind.unwrap_or_default()).trim_end().to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a request, from a loopback address of one's own, and reads the answer whole.
async fn send(from: &str, to: SocketAddr, head: &str, body: &str) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut socket = socket.connect(to).await.unwrap();
    let length = body.len();
    let head = format!("{head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    // It may be answered before the whole of it was taken.
    socket.write_all(body.as_bytes()).await.unwrap_or_default();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap_or_default();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    Answer { status, head: head.to_owned(), body }
}

/// A request to the API with these headers.
async fn api(replica: &Replica, line: &str, headers: &[&str], body: &str) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let headers: String = headers.iter().map(|header| format!("\r\n{header}")).collect();
    let head = format!("{method} /api/v1{path} HTTP/1.1\r\nHost: sluice.example{headers}");
    send("127.0.0.1", replica.api, &head, body).await
}

fn of(group: &str, role: Role) -> RoleSettings {
    RoleSettings { group: group.to_owned(), role }
}

fn roles() -> Vec<RoleSettings> {
    vec![
        of("ops", Role::Administrator),
        of("team-a", Role::AreaAdministrator(vec!["id:a".to_owned()])),
        of("look-a", Role::AreaReader(vec!["id:a".to_owned()])),
    ]
}

fn behind_a_proxy() -> Setting {
    Setting { proxies: vec!["127.0.0.1/32"], roles: roles(), ..Setting::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_role_may_do() {
    let kafka = kafka();
    let replica = Replica::with(&kafka, behind_a_proxy()).await;
    for area in ["id:a", "id:b"] {
        replica.ask("POST", "/channels", json!({ "area": area })).await;
    }
    // In the order of: everything, area a, reader of a, no role.
    let groups = ["x, ops", "team-a", "look-a", "x"];
    let enabled = r#"{"enabled":true}"#;
    let table = [
        ("GET /session", "", ["200", "200", "200", "403 forbidden"]),
        ("GET /channels", "", ["200", "200", "200", "403 forbidden"]),
        ("GET /channels/c1", "", ["200", "200", "200", "403 forbidden"]),
        ("GET /channels/c2", "", ["200", "404 not-found", "404 not-found", "403 forbidden"]),
        ("GET /channels/c9", "", ["404 not-found"; 4]),
        ("GET /channels/c1/tokens", "", ["200", "200", "200", "403 forbidden"]),
        ("GET /channels/c2/tokens", "", ["200", "404 not-found", "404 not-found", "403 forbidden"]),
        ("GET /channels/c1/tokens/t1", "", ["200", "200", "200", "403 forbidden"]),
        (
            "GET /channels/c2/tokens/t2",
            "",
            ["200", "404 not-found", "404 not-found", "403 forbidden"],
        ),
        ("GET /channels/c1/audit", "", ["200", "200", "200", "403 forbidden"]),
        ("GET /channels/c2/audit", "", ["200", "404 not-found", "404 not-found", "403 forbidden"]),
        ("GET /audit", "", ["200", "200", "200", "403 forbidden"]),
        ("GET /connections", "", ["200", "200", "200", "403 forbidden"]),
        ("DELETE /connections/7", "", ["404 not-found"; 4]),
        ("PATCH /channels/c1", enabled, ["200", "200", "403 forbidden", "403 forbidden"]),
        ("PATCH /channels/c2", enabled, ["200", "404 not-found", "404 not-found", "403 forbidden"]),
        ("PATCH /channels/c1/tokens/t1", enabled, ["200", "200", "403 forbidden", "403 forbidden"]),
        (
            "PATCH /channels/c2/tokens/t2",
            enabled,
            ["200", "404 not-found", "404 not-found", "403 forbidden"],
        ),
        (
            "POST /channels/c1/tokens",
            "{}",
            ["409 token_enabled", "409 token_enabled", "403 forbidden", "403 forbidden"],
        ),
        (
            "POST /channels",
            r#"{"area":"id:a"}"#,
            ["409 channel_exists", "409 channel_exists", "403 forbidden", "403 forbidden"],
        ),
        (
            "POST /channels",
            r#"{"area":"id:b"}"#,
            ["409 channel_exists", "403 forbidden", "403 forbidden", "403 forbidden"],
        ),
        (
            "POST /channels",
            r#"{"area":"unassigned"}"#,
            ["201", "403 forbidden", "403 forbidden", "403 forbidden"],
        ),
        (
            "POST /session",
            "",
            ["403 token-needed", "403 token-needed", "403 token-needed", "403 forbidden"],
        ),
    ];
    for (line, body, expected) in table {
        for (groups, expected) in groups.iter().zip(expected) {
            // Who has no role is told so whatever is asked for.
            let expected = if *groups == "x" { "403 forbidden" } else { expected };
            let headers = ["X-Forwarded-User: ada", &format!("X-Forwarded-Groups: {groups}")];
            let answer = api(&replica, line, &headers, body).await;
            assert_eq!(answer.short(), expected, "{line} {body} of {groups}: {}", answer.body);
        }
    }
    // Lists have what may be seen, and nothing else.
    let listed = async |groups: &str, path: &str, list: &str, of: &str| {
        let headers = ["X-Forwarded-User: ada", &format!("X-Forwarded-Groups: {groups}")];
        let answer = api(&replica, &format!("GET {path}"), &headers, "").await;
        let entries = answer.body[list].as_array().unwrap().clone();
        let mut all: Vec<_> =
            entries.iter().map(|entry| entry[of].as_str().unwrap_or("-").to_owned()).collect();
        all.sort();
        all.dedup();
        all.join(" ")
    };
    assert_eq!(listed("ops", "/channels", "channels", "area").await, "id:a id:b unassigned");
    assert_eq!(listed("team-a", "/channels", "channels", "area").await, "id:a");
    assert_eq!(listed("look-a", "/channels", "channels", "area").await, "id:a");
    assert_eq!(listed("look-a", "/audit", "audit", "channel").await, "c1");
    assert_eq!(listed("ops", "/audit", "audit", "channel").await, "c1 c2 c3");
    // Every change carries its actor.
    assert_eq!(listed("ops", "/channels/c3/audit", "audit", "actor").await, "ada");
    assert_eq!(listed("ops", "/channels/c1/audit", "audit", "actor").await, "ada administrator");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_names_a_user_only_where_a_listed_proxy_says_it() {
    let kafka = kafka();
    let listed = Replica::with(&kafka, behind_a_proxy()).await;
    let other = Setting { proxies: vec!["10.0.0.0/8"], ..behind_a_proxy() };
    let other = Replica::with(&kafka, other).await;
    let check = async |replica: &Replica, headers: &[&str], expected: &str| {
        let answer = api(replica, "GET /session", headers, "").await;
        let user = answer.body["user"].as_str().unwrap_or_default();
        assert_eq!(format!("{} {user}", answer.short()).trim_end(), expected, "{headers:?}");
    };
    let (user, ops) = ("X-Forwarded-User: ada", "X-Forwarded-Groups: ops");
    let token = format!("Authorization: Bearer {ADMIN}");
    check(&listed, &[user, ops], "200 ada").await;
    check(&listed, &["X-Forwarded-User: Ädä", ops], "200 Ädä").await;
    check(&listed, &[user], "403 forbidden").await;
    check(&listed, &[user, ops, user], "401 unauthorized").await;
    check(&listed, &["X-Forwarded-User: ", ops], "401 unauthorized").await;
    check(&listed, &[ops], "401 unauthorized").await;
    // A proxy may pass on what is for others; a user of its own may hold the token.
    check(&listed, &[user, ops, "Authorization: Bearer foreign"], "200 ada").await;
    check(&listed, &[&token], "200 administrator").await;
    check(&other, &[user, ops], "401 unauthorized").await;
    check(&other, &[user, ops, "X-Forwarded-For: 10.0.0.1"], "401 unauthorized").await;
    check(&other, &[user, ops, &token], "200 administrator").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_good_on_every_replica_until_it_ends() {
    let kafka = kafka();
    let clock = Clock::fixed(1_800_000_000_000);
    let at = || Setting { clock: clock.clone(), ..Setting::default() };
    let (one, other) = (Replica::with(&kafka, at()).await, Replica::with(&kafka, at()).await);
    let token = format!("Authorization: Bearer {ADMIN}");
    let begun = api(&one, "POST /session", &[&token], "").await;
    assert_eq!((begun.short().as_str(), &begun.body["user"]), ("200", &json!("administrator")));
    let cookie = begun.header("set-cookie").unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=3600"), "{cookie}");
    assert!(!cookie.contains(ADMIN));
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let ours = "Origin: https://sluice.example";
    let check = async |line: &str, headers: &[&str], body: &str, expected: &str| {
        for replica in [&other, &one] {
            let answer = api(replica, line, headers, body).await;
            assert_eq!(answer.short(), expected, "{line} {headers:?}: {}", answer.body);
        }
    };
    check("GET /channels", &[&cookie], "", "200").await;
    let area = r#"{"area":""}"#;
    check("POST /channels", &[&cookie, ours], area, "400 malformed").await;
    check("POST /channels", &[&cookie], area, "403 foreign-origin").await;
    check("POST /channels", &[&cookie, "Origin: null"], area, "403 foreign-origin").await;
    let evil = "Origin: https://evil.example";
    check("POST /channels", &[&cookie, evil], area, "403 foreign-origin").await;
    let host = "X-Forwarded-Host: evil.example";
    check("POST /channels", &[&cookie, evil, host], area, "403 foreign-origin").await;
    // Whoever can set the header needs no cookie.
    check("POST /channels", &[&token, evil], area, "400 malformed").await;
    // It is neither longer nor anybody's by being changed.
    let longer = cookie.replace("=1800003600000.", "=1900000000000.");
    assert_ne!(longer, cookie);
    check("GET /channels", &[&longer], "", "401 unauthorized").await;
    check("POST /session", &[&cookie, ours], "", "403 token-needed").await;

    let ended = api(&other, "DELETE /session", &[&cookie, ours], "").await;
    assert_eq!(ended.status, 204);
    assert!(ended.header("set-cookie").unwrap().contains("sluice_session=; "), "{}", ended.head);
    clock.set(1_800_003_599_999);
    check("GET /session", &[&cookie], "", "200").await;
    clock.set(1_800_003_600_000);
    check("GET /session", &[&cookie], "", "401 unauthorized").await;

    // Behind TLS the cookie is for TLS only, and the origin is the configured one.
    let setting = Setting { origin: Some("https://admin.example"), ..at() };
    let third = Replica::with(&kafka, setting).await;
    let begun = api(&third, "POST /session", &[&token], "").await;
    assert!(begun.header("set-cookie").unwrap().ends_with("; Secure"), "{}", begun.head);
    let cookie = begun.header("set-cookie").unwrap().split(';').next().unwrap();
    let cookie = format!("Cookie: {cookie}");
    for (origin, expected) in
        [(ours, "403 foreign-origin"), ("Origin: https://admin.example", "400 malformed")]
    {
        let answer = api(&third, "POST /channels", &[&cookie, origin], area).await;
        assert_eq!(answer.short(), expected, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxys_user_changes_comes_from_our_own_pages() {
    let kafka = kafka();
    let replica = Replica::with(&kafka, behind_a_proxy()).await;
    let user = ["X-Forwarded-User: ada", "X-Forwarded-Groups: ops"];
    for (headers, expected) in [
        (vec!["Origin: https://evil.example"], "403 foreign-origin"),
        (vec!["Origin: https://sluice.example"], "400 malformed"),
        (vec!["Origin: https://pages.example", "X-Forwarded-Host: pages.example"], "400 malformed"),
        // No browser.
        (vec![], "400 malformed"),
    ] {
        let headers = [&user[..], &headers].concat();
        let answer = api(&replica, "POST /channels", &headers, r#"{"area":""}"#).await;
        assert_eq!(answer.short(), expected, "{headers:?}");
    }
}

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
    let replica = Replica::start(&kafka).await;
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
        ("POST /channels/c1/tokens", r#"{"fields":[]}"#, "400 malformed"),
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

#[tokio::test(flavor = "multi_thread")]
async fn t7_what_a_token_may_hear_is_taken_and_shown() {
    let kafka = kafka();
    let replica = Replica::start(&kafka).await;
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_asked_for_again_is_made_once() {
    let kafka = kafka();
    let (one, other) = (Replica::start(&kafka).await, Replica::start(&kafka).await);
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
    let replica = Replica::start(&kafka).await;
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
async fn setup_makes_key_and_token_once_and_a_new_token_on_purpose() {
    let kafka = kafka();
    let mut settings = Settings { kafka: kafka.settings.clone(), ..Settings::default() };
    settings.control.topic = "control".to_owned();
    let run = async |task: Task| {
        let mut said = Vec::new();
        let made = secrets::make(&settings, task, true, &mut |line| said.push(line)).await.unwrap();
        let token = said.iter().find_map(|line| line.split_once("shown this once: "));
        (made, token.map(|(_, token)| token.to_owned()), said.join("\n"))
    };
    let dry = Task { dry_run: true, new_admin_token: false };
    let (would, none, said) = run(dry).await;
    assert!(would && none.is_none() && said.contains("would be made"), "{said}");
    // However many at once: one token is good, and only whoever made it prints one.
    let at_once = join_all((0..4).map(|_| run(Task::default()))).await;
    let tokens: Vec<_> = at_once.into_iter().filter_map(|(_, token, _)| token).collect();
    let [token] = &tokens[..] else { panic!("{}", tokens.len()) };
    let (made, none, said) = run(Task::default()).await;
    assert!(!made && none.is_none(), "{said}");

    let from_topic = || Setting { token: None, ..Setting::default() };
    let one = Replica::with(&kafka, from_topic()).await;
    let check = async |token: &str, method: &str, expected: u16| {
        let (status, answer) = ask(one.api, token, method, "/channels", r#"{"area":""}"#).await;
        assert_eq!(status, expected, "{method}: {answer}");
    };
    check(token, "POST", 400).await;
    check(ADMIN, "POST", 401).await;
    let cookie = {
        let begun =
            api(&one, "POST /session", &[&format!("Authorization: Bearer {token}")], "").await;
        format!("Cookie: {}", begun.header("set-cookie").unwrap().split(';').next().unwrap())
    };
    assert_eq!(api(&one, "GET /session", &[&cookie], "").await.status, 200);
    let (_, new, _) = run(Task { dry_run: false, new_admin_token: true }).await;
    // A change is not taken with the old one, however late the replica hears of the new one.
    check(token, "POST", 401).await;
    check(&new.unwrap(), "POST", 400).await;
    assert_eq!(api(&one, "GET /session", &[&cookie], "").await.status, 401);
    // A configured one wins.
    let configured = Replica::start(&kafka).await;
    assert_eq!(ask(configured.api, ADMIN, "GET", "/channels", "").await.0, 200);
    assert_eq!(ask(configured.api, token, "GET", "/channels", "").await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_open_and_has_every_route() {
    let kafka = kafka();
    let replica = Replica::start(&kafka).await;
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
