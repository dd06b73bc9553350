//! Channels and tokens by the administrators' API, and what they mean for listeners, with two
//! replicas over one mock cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::config::pipeline::PipelineSpec;
use sluice::config::settings::{ApiSettings, RoleSettings};
use sluice::health::Health;
use sluice::stream::api::access::Access;
use sluice::stream::api::areas::Areas;
use sluice::stream::api::session::Sessions;
use sluice::stream::api::{self, Api};
use sluice::stream::control::Limits;
use sluice::stream::control::log::{self, LogSettings};
use sluice::stream::cursor;
use sluice::stream::door::{self, TokenDoor};
use sluice::stream::filter::Known;
use sluice::stream::presence::log as presence;
use sluice::stream::seal::LiveCursors;
use tokio::net::TcpListener;

use super::*;

pub(crate) mod secrets;

pub(super) const ADMIN: &str = "an administrator's token";
const KEY: &[u8] = b"a key of sixteen bytes or more";

/// How a replica is configured.
pub(super) struct Setting {
    /// `None`: the control topic's.
    pub(super) token: Option<&'static str>,
    /// Addresses whose headers name users.
    pub(super) proxies: Vec<&'static str>,
    pub(super) roles: Vec<RoleSettings>,
    pub(super) failures_per_minute_max: u32,
    pub(super) key_in_query: bool,
    pub(super) origin: Option<&'static str>,
    pub(super) clock: Clock,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            token: Some(ADMIN),
            proxies: Vec::new(),
            roles: Vec::new(),
            failures_per_minute_max: 60,
            key_in_query: true,
            origin: None,
            clock: Clock::system(),
        }
    }
}

/// A replica of the stream server with its API.
pub(super) struct Replica {
    pub(super) streams: SocketAddr,
    pub(super) api: SocketAddr,
    pub(super) connections: Connections,
    stop: CancellationToken,
    parts: JoinSet<()>,
}

impl Replica {
    pub(super) async fn start(kafka: &Kafka, name: &str) -> Self {
        Self::named(kafka, name, Setting::default()).await
    }

    /// Under a name that no other has.
    pub(super) async fn with(kafka: &Kafka, setting: Setting) -> Self {
        Self::named(kafka, LeaseId::random().unwrap().as_str(), setting).await
    }

    async fn named(kafka: &Kafka, name: &str, setting: Setting) -> Self {
        let stop = CancellationToken::new();
        let log = LogSettings::new(kafka.settings.clone(), "control".to_owned());
        let (control, _) = log::start(log, Health::default(), stop.clone()).unwrap();
        let live = LiveTopic {
            kafka: kafka.settings.clone(),
            topic: LIVE.to_owned(),
            partitions: PARTITIONS,
        };
        let (ring, clock) = (Arc::new(Ring::new(1 << 20)), setting.clock.clone());
        let mut parts = JoinSet::new();
        parts.spawn_blocking({
            let (live, ring, stop) = (live.clone(), Arc::clone(&ring), stop.clone());
            move || live::run(&live, &ring, &Health::default(), &stop)
        });
        let connections = Connections::default();
        let log = presence::LogSettings::new(
            kafka.settings.clone(),
            "presence".to_owned(),
            name.to_owned(),
        );
        let times = (clock.clone(), Health::default());
        let (presence, _) = presence::start(log, connections.clone(), times, stop.clone()).unwrap();
        parts.spawn({
            let presence = presence.clone();
            async move { presence.renew().await }
        });
        parts.spawn(door::watch(control.clone(), connections.clone(), clock.clone()));
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (streams, address) = (server.address().unwrap(), listener.local_addr().unwrap());
        let failures = Failures::new(setting.failures_per_minute_max, clock.clone());
        let proxies: Vec<_> = setting.proxies.iter().map(|text| text.parse().unwrap()).collect();
        let gate = |proxies| Gate::new(failures.clone(), proxies, setting.key_in_query);
        let administered = Api {
            control: control.clone(),
            presence: presence.clone(),
            clock: clock.clone(),
            limits: Limits::default(),
            access: Arc::new(Access::new(
                setting.token,
                Sessions::new(KEY, Duration::from_secs(3600)),
                setting.origin.map(str::to_owned),
                (&ApiSettings::default().proxy, &setting.roles),
            )),
            gate: gate(&proxies),
            fields: Arc::new(Known::default()),
            areas: Areas::of_pipelines([&PipelineSpec::new("a")]),
            public_url: "ws://streams.example".into(),
        };
        parts.spawn(api::serve(listener, administered, stop.clone()));
        let cursors = cursor::Cursors::new(KEY).unwrap();
        let served = Streams {
            shared: shared(&ring, live),
            offer: offer(),
            door: Arc::new(TokenDoor::new(control, presence.clone(), clock, 5)),
            cursors: Arc::new(LiveCursors::new(cursors, 7)),
            connections: connections.clone(),
            gate: gate(&[]),
            origins: Origins::default(),
            spread: spread(),
            tasks: TaskTracker::new(),
        };
        let ending = (stop.clone(), Duration::from_millis(100));
        parts.spawn(Box::pin(server.serve(served, 64, ending)));
        until("the presence topic is read", || presence.connections(None).is_ok()).await;
        Self { streams, api: address, connections, stop, parts }
    }

    /// Asks the API; answers status and body.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        ask(self.api, ADMIN, method, path, &body.to_string()).await
    }

    pub(super) async fn listen(&self, channel: &str, token: &str) -> Client {
        let target = format!("/v1/streams/{channel}?earliest&key={token}");
        Client::open(self.streams, "websocket", &target).await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.cancel();
        self.parts.abort_all();
    }
}

pub(super) async fn ask(
    api: SocketAddr,
    token: &str,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, Value) {
    let bearer = format!("Authorization: Bearer {token}\r\n");
    try_ask(api, &bearer, method, path, body).await.expect("a whole answer")
}

/// The same with any headers; `None` where no whole answer comes.
pub(crate) async fn try_ask(
    api: SocketAddr,
    headers: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Option<(u16, Value)> {
    let mut socket = TcpStream::connect(api).await.ok()?;
    let length = body.len();
    let request = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\
         Content-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let is_whole = length.is_none_or(|length| length.parse() == Ok(body.len()));
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    is_whole.then_some((head[9..12].parse().unwrap(), body))
}

pub(super) fn kafka() -> Kafka {
    let kafka = Kafka::quick(1);
    kafka.cluster.create_topic("control", 1, 1).unwrap();
    kafka.cluster.create_topic("presence", 2, 1).unwrap();
    kafka
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_made_heard_and_closed_on_both_replicas() {
    let kafka = kafka();
    let (one, other) = (Replica::start(&kafka, "r1").await, Replica::start(&kafka, "r2").await);
    let (status, made) = one.ask("POST", "/channels", json!({ "area": AREA })).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["channel"]["name"], format!("Channel for {AREA}"));
    let (channel, token) = (made["channel"]["id"].as_str().unwrap(), &made["token"]);
    let secret = token["secret"].as_str().unwrap();
    let url = format!("ws://streams.example/v1/streams/{channel}?key={secret}");
    assert_eq!(token["url"], url);
    let partition = partition_of(AREA, PARTITIONS.unsigned_abs()).cast_signed();
    kafka.go_live(partition, &[(AREA, "{\"n\":0}\n{\"n\":1}\n".to_owned())]);
    let mut clients = Vec::new();
    for replica in [&one, &other] {
        let mut client = replica.listen(channel, secret).await;
        assert!(client.head.starts_with("HTTP/1.1 101"), "{}", client.head);
        assert_eq!(numbers(&client.events(2).await), [0, 1]);
        clients.push(client);
    }
    // Shown once: no list has it.
    let (_, listed) = other.ask("GET", "/channels", json!({})).await;
    assert!(!listed.to_string().contains(secret));
    assert_eq!(listed["channels"][0]["tokens"][0]["last_four"], secret[secret.len() - 4..]);
    // T4: within a second, on both.
    let path = format!("/channels/{channel}/tokens/{}", token["id"].as_str().unwrap());
    let since = Instant::now();
    let (status, _) = one.ask("PATCH", &path, json!({ "enabled": false })).await;
    assert_eq!(status, 200);
    for client in &mut clients {
        let last = client.message().await;
        assert_eq!(last["error"]["code"], 4401);
        assert_eq!(client.close_code().await, Some(4401));
    }
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    let refused = other.listen(channel, secret).await;
    assert!(refused.head.starts_with("HTTP/1.1 401"), "{}", refused.head);
    until("none is open", || one.connections.count() + other.connections.count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_the_api() {
    let kafka = kafka();
    let replica = Replica::start(&kafka, "r1").await;
    let check = async |(method, path): (&str, &str), body: &str, expected: (u16, &str)| {
        let (status, answer) = ask(replica.api, ADMIN, method, path, body).await;
        let kind = answer["type"].as_str().unwrap_or_default();
        let kind = kind.strip_prefix("urn:sluice:problem:").unwrap_or(kind);
        assert_eq!((status, kind), expected, "{method} {path}: {answer}");
        answer
    };
    check(("POST", "/channels"), r#"{"area":"id:acme"}"#, (201, "")).await;
    // C1, T2, and the rule's own words.
    check(("POST", "/channels"), r#"{"area":"id:acme"}"#, (409, "channel_exists")).await;
    let again = check(("POST", "/channels/c1/tokens"), "{}", (409, "token_enabled")).await;
    assert!(again["detail"].as_str().unwrap().contains("disable one first"), "{again}");
    check(("POST", "/channels"), r#"{"area":""}"#, (400, "malformed")).await;
    check(("POST", "/channels"), r#"{"area":"acme"}"#, (400, "no-such-area")).await;
    check(("POST", "/channels"), r#"{"aria":"x"}"#, (400, "bad-request")).await;
    check(("POST", "/channels"), "", (400, "bad-request")).await;
    check(("POST", "/channels/c9/tokens"), "{}", (404, "no_such_channel")).await;
    check(("PATCH", "/channels/c1/tokens/t9"), r#"{"enabled":true}"#, (404, "no_such_token")).await;
    // C5, and C2: nothing deletes.
    let edit = r#"{"name":"Mine","description":"of all"}"#;
    let edited = check(("PATCH", "/channels/c1"), edit, (200, "")).await;
    assert_eq!((&edited["name"], &edited["description"]), (&json!("Mine"), &json!("of all")));
    check(("DELETE", "/channels/c1"), "", (405, "no-such-method")).await;
    check(("DELETE", "/channels/c1/tokens/t1"), "", (405, "no-such-method")).await;
    // T3: a new one while none is enabled.
    check(("PATCH", "/channels/c1/tokens/t1"), r#"{"enabled":false}"#, (200, "")).await;
    let made = check(("POST", "/channels/c1/tokens"), "{}", (201, "")).await;
    assert_eq!(made["channel"]["tokens"].as_array().unwrap().len(), 2);
    assert_eq!(made["channel"]["may_have_new_token"], false);
    let trail = check(("GET", "/channels/c1/audit"), "", (200, "")).await;
    let refused: Vec<_> =
        trail["audit"].as_array().unwrap().iter().map(|entry| &entry["refused"]).collect();
    assert!(refused.contains(&&json!("token_enabled")), "{trail}");
    let (status, _) = ask(replica.api, "wrong", "GET", "/channels", "").await;
    assert_eq!(status, 401);
}
