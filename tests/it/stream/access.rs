//! Who may ask the administrators' API for what, over two replicas; and what it says to whoever may
//! not, or asks for what is not.

use std::net::SocketAddr;

use futures::future::join_all;
use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::config::settings::{Role, RoleSettings, Settings};
use sluice::setup::{Task, secrets};
use tokio::net::TcpSocket;

use super::administration::{ADMIN, Replica, Setting, ask, kafka};
use super::process::admin_token;
use super::*;

/// An answer: status, the problem's kind, headers, body.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Value,
}

impl Answer {
    /// `200`, or `403 forbidden`.
    pub(super) fn short(&self) -> String {
        let kind = self.body["type"].as_str().and_then(|kind| kind.rsplit(':').next());
        format!("{} {}", self.status, kind.unwrap_or_default()).trim_end().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a request, from a loopback address of one's own, and reads the answer whole.
pub(super) async fn send(from: &str, to: SocketAddr, head: &str, body: &str) -> Answer {
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
pub(super) async fn api(replica: &Replica, line: &str, headers: &[&str], body: &str) -> Answer {
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

/// Of everything, of area a, reader of a, no role.
const GROUPS: [&str; 4] = ["x, ops", "team-a", "look-a", "x"];

/// A request, its body, and what it comes to for each of [`GROUPS`].
type Row = (&'static str, &'static str, [&'static str; 4]);

const TABLE: &[Row] = &[
    ("GET /session", "", ["200", "200", "200", "403 forbidden"]),
    ("GET /channels", "", ["200", "200", "200", "403 forbidden"]),
    ("GET /channels/c1", "", ["200", "200", "200", "403 forbidden"]),
    ("GET /channels/c2", "", ["200", "404 not-found", "404 not-found", "403 forbidden"]),
    ("GET /channels/c9", "", ["404 not-found"; 4]),
    ("GET /channels/c1/tokens", "", ["200", "200", "200", "403 forbidden"]),
    ("GET /channels/c2/tokens", "", ["200", "404 not-found", "404 not-found", "403 forbidden"]),
    ("GET /channels/c1/tokens/t1", "", ["200", "200", "200", "403 forbidden"]),
    ("GET /channels/c2/tokens/t2", "", ["200", "404 not-found", "404 not-found", "403 forbidden"]),
    ("GET /channels/c1/audit", "", ["200", "200", "200", "403 forbidden"]),
    ("GET /channels/c2/audit", "", ["200", "404 not-found", "404 not-found", "403 forbidden"]),
    ("GET /audit", "", ["200", "200", "200", "403 forbidden"]),
    ("GET /connections", "", ["200", "200", "200", "403 forbidden"]),
    ("DELETE /connections/7", "", ["404 not-found"; 4]),
    ("PATCH /channels/c1", r#"{"enabled":true}"#, ["200", "200", "403 forbidden", "403 forbidden"]),
    (
        "PATCH /channels/c2",
        r#"{"enabled":true}"#,
        ["200", "404 not-found", "404 not-found", "403 forbidden"],
    ),
    (
        "PATCH /channels/c1/tokens/t1",
        r#"{"enabled":true}"#,
        ["200", "200", "403 forbidden", "403 forbidden"],
    ),
    (
        "PATCH /channels/c2/tokens/t2",
        r#"{"enabled":true}"#,
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

#[tokio::test(flavor = "multi_thread")]
async fn what_each_role_may_do() {
    let kafka = kafka();
    let replica = Replica::with(&kafka, behind_a_proxy()).await;
    for area in ["id:a", "id:b"] {
        replica.ask("POST", "/channels", json!({ "area": area })).await;
    }
    for (line, body, expected) in TABLE {
        for (groups, expected) in GROUPS.iter().zip(expected) {
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
    // What the audit trail calls others by.
    check(&listed, &["X-Forwarded-User: administrator", ops], "403 forbidden").await;
    check(&listed, &["X-Forwarded-User: setup ", ops], "403 forbidden").await;
    check(&listed, &["X-Forwarded-User: setup2", ops], "200 setup2").await;
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
async fn before_the_control_topic_was_read_nothing_is_told_and_no_token_is_wrong() {
    let kafka = Kafka::quick(1);
    kafka.cluster.create_topic("presence", 2, 1).unwrap();
    let strict = |token| Setting { token, failures_per_minute_max: 1, ..Setting::default() };
    let of_topic = Replica::with(&kafka, strict(None)).await;
    let configured = Replica::with(&kafka, strict(Some(ADMIN))).await;
    let right = format!("Authorization: Bearer {ADMIN}");
    let rows = [
        (&configured, "GET /channels", right.as_str()),
        (&configured, "GET /audit", &right),
        (&configured, "PATCH /channels/c1", &right),
        (&configured, "GET /channels", "Authorization: Bearer wrong"),
        (&of_topic, "GET /channels", &right),
        (&of_topic, "GET /session", "Cookie: sluice_session=1.2.3"),
        (&of_topic, "POST /channels", "Authorization: Bearer wrong"),
    ];
    let asked = rows.map(|(replica, line, header)| async move {
        let answer = api(replica, line, &[header], "{}").await;
        let short = answer.short();
        assert_eq!(short, "503 control-unavailable", "{line} {header}: {}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("2"), "{line} {header}");
    });
    join_all(asked).await;

    kafka.cluster.create_topic("control", 1, 1).unwrap();
    let token = admin_token(&kafka).await;
    let of_topic = (&of_topic, format!("Authorization: Bearer {token}"));
    for (replica, header) in [(&configured, right.clone()), of_topic] {
        // Each waits for the state itself; none was locked out.
        let mut answer = api(replica, "GET /channels", &[&header], "").await;
        while answer.short() == "503 control-unavailable" {
            answer = api(replica, "GET /channels", &[&header], "").await;
        }
        assert_eq!(answer.short(), "200", "{}", answer.body);
    }
    // What was read last is told on.
    kafka.cluster.broker_down(1).unwrap();
    assert_eq!(api(&configured, "GET /channels", &[&right], "").await.short(), "200");
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
    let configured = Replica::start(&kafka, "one").await;
    assert_eq!(ask(configured.api, ADMIN, "GET", "/channels", "").await.0, 200);
    assert_eq!(ask(configured.api, token, "GET", "/channels", "").await.0, 401);
}
