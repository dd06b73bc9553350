//! Listeners of the live stream against the mock cluster: what they hear, resume, miss and are
//! told, over every transport, by clients that are plain sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::BoxFuture;
use prometheus::Registry;
use serde_json::Value;
use sluice::clock::Clock;
use sluice::config::settings::KafkaSettings;
use sluice::deliver::mirror::partition_of;
use sluice::health::Health;
use sluice::metrics::Metrics;
use sluice::stream::catch_up::CatchUps;
use sluice::stream::connections::{Connections, Listener, Opened};
use sluice::stream::dictionary::Dictionary;
use sluice::stream::end::End;
use sluice::stream::filter::{Known, Type};
use sluice::stream::gate::{Failures, Gate};
use sluice::stream::ids::{ChannelId, LeaseId, TokenId};
use sluice::stream::live::{self, LiveTopic};
use sluice::stream::origins::Origins;
use sluice::stream::presence::Limits;
use sluice::stream::request::Problem;
use sluice::stream::ring::Ring;
use sluice::stream::select::Selections;
use sluice::stream::server::{Admitted, Cursors as _, Door, Server, Streams};
use sluice::stream::session::Shared;
use sluice::stream::shape::Shapes;
use sluice::stream::wish::{Fixed, Offer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::support::rig::{Kafka, LIVE, until};

mod access;
pub(crate) mod administration;
mod answers;
mod autobahn;
pub(crate) mod client;
mod foreign;
mod hostile;
mod options;
mod oracle;
mod tail;
pub(crate) mod process;
mod start;
pub(crate) mod upstream;
mod presence;
mod origins;
mod places;
mod wire;

use client::Client;
use places::{Plain, spread};

const PARTITIONS: i32 = 4;
const AREA: &str = "id:acme";

/// One token, good for every channel that begins with `acme`, and room for everybody; a channel's
/// area has the same name.
struct OneToken(Connections);

impl Door for OneToken {
    fn admit<'a>(
        &'a self,
        channel: &'a str,
        token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Admitted, Problem>> {
        let good = channel.starts_with("acme") && token == Some("good");
        let channel = ChannelId::try_from(channel.to_owned()).ok().filter(|_| good);
        let admitted = channel.map(|channel| Admitted {
            area: format!("id:{channel}").into(),
            channel,
            token: TokenId::try_from("t1".to_owned()).unwrap(),
            limits: Limits { channel_max: 5, token_max: None },
            fixed: Fixed::default(),
        });
        Box::pin(async move { admitted.ok_or_else(Problem::unauthorized) })
    }

    fn open(&self, listener: Listener, _: Limits) -> BoxFuture<'_, Result<Opened, Problem>> {
        let opened = self.0.open(LeaseId::random().unwrap(), listener);
        Box::pin(async move { Ok(opened) })
    }
}

/// What a test may choose of a server.
struct Bounds {
    ring_bytes_max: usize,
    sockets_max: usize,
    /// For the head of a request.
    head_timeout: Duration,
    origins: Origins,
    /// Of one address, and every test has the same.
    failures_per_minute_max: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            ring_bytes_max: 1 << 20,
            sockets_max: 256,
            head_timeout: Duration::from_secs(10),
            origins: Origins::default(),
            failures_per_minute_max: 60,
        }
    }
}

/// A stream server.
struct Replica {
    address: SocketAddr,
    connections: Connections,
    ring: Arc<Ring>,
    stop: CancellationToken,
    served: JoinSet<()>,
    reader: Option<JoinHandle<()>>,
    shared: Option<Arc<Shared>>,
    _stop: DropGuard,
}

impl Replica {
    async fn start(kafka: &KafkaSettings, ring_bytes_max: usize) -> Self {
        Self::start_with(kafka, Bounds { ring_bytes_max, ..Bounds::default() }).await
    }

    async fn start_with(kafka: &KafkaSettings, bounds: Bounds) -> Self {
        let Bounds { ring_bytes_max, sockets_max, head_timeout, .. } = bounds;
        let failures = Failures::new(bounds.failures_per_minute_max, Clock::system());
        let live =
            LiveTopic { kafka: kafka.clone(), topic: LIVE.to_owned(), partitions: PARTITIONS };
        let ring = Arc::new(Ring::new(ring_bytes_max));
        let stop = CancellationToken::new();
        let reader = std::thread::spawn({
            let (live, ring, stop) = (live.clone(), Arc::clone(&ring), stop.clone());
            move || live::run(&live, &ring, &Health::default(), &stop)
        });
        let connections = Connections::default();
        let shared = shared(&ring, live);
        let streams = Streams {
            shared: Arc::clone(&shared),
            door: Arc::new(OneToken(connections.clone())),
            cursors: Arc::new(Plain),
            connections: connections.clone(),
            offer: offer(),
            gate: Gate::new(failures, &[], true),
            origins: bounds.origins,
            spread: spread(),
            tasks: TaskTracker::new(),
        };
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let server = server.with_head_timeout(head_timeout);
        let address = server.address().unwrap();
        let ending = (stop.clone(), Duration::from_millis(200));
        let mut served = JoinSet::new();
        served.spawn(Box::pin(server.serve(streams, sockets_max, ending)));
        let (guard, reader, shared) = (stop.clone().drop_guard(), Some(reader), Some(shared));
        Self { address, connections, ring, stop, served, reader, shared, _stop: guard }
    }

    /// Sends everyone away, and ends.
    async fn end(mut self) {
        self.stop.cancel();
        self.served.join_next().await.unwrap().unwrap();
        // Consumers take their time to close.
        tokio::task::spawn_blocking(move || drop(self)).await.unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.cancel();
        drop(self.shared.take());
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

/// One stream server over a mock cluster.
struct Rig {
    kafka: Kafka,
    replica: Replica,
    partition: i32,
}

impl Rig {
    async fn start(ring_bytes_max: usize) -> Self {
        Self::start_with(Bounds { ring_bytes_max, ..Bounds::default() }).await
    }

    async fn start_with(bounds: Bounds) -> Self {
        let kafka = Kafka::start(1);
        let replica = Replica::start_with(&kafka.settings, bounds).await;
        let partition = partition_of(AREA, PARTITIONS.unsigned_abs()).cast_signed();
        Self { kafka, replica, partition }
    }

    /// Records with the events of these numbers, one event each, among those of another area.
    fn go_live(&self, numbers: std::ops::Range<usize>) {
        let records: Vec<_> = numbers
            .flat_map(|number| {
                [(AREA, format!("{{\"n\":{number}}}\n")), ("id:other", "{\"n\":-1}\n".to_owned())]
            })
            .collect();
        self.kafka.go_live(self.partition, &records);
    }

    async fn client(&self, transport: &str, query: &str) -> Client {
        let target = format!("/v1/streams/acme?{query}");
        Client::open(self.replica.address, transport, &target).await
    }
}

fn shared(ring: &Arc<Ring>, live: LiveTopic) -> Arc<Shared> {
    Arc::new(Shared {
        ring: Arc::clone(ring),
        catch_ups: CatchUps::new(live),
        clock: Clock::system(),
        metrics: Metrics::new(Registry::new(), &[]).unwrap().stream,
    })
}

fn offer() -> Offer {
    Offer {
        known: Arc::new(Known::new([("n", Type::Long), ("c", Type::Long)])),
        shapes: Shapes::new(Arc::new(Dictionary::built_in().unwrap())),
        selections: Selections::default(),
    }
}

fn numbers(messages: &[Value]) -> Vec<usize> {
    let events = messages.iter().filter_map(|message| message["data"].as_array()).flatten();
    events.map(|event| usize::try_from(event["n"].as_u64().unwrap()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transport_hears_its_area_in_order_and_nothing_else() {
    let rig = Rig::start(1 << 20).await;
    let mut clients = Vec::new();
    for transport in ["websocket", "sse", "ndjson"] {
        clients.push(rig.client(transport, "key=good").await);
    }
    rig.go_live(0..50);
    for client in &mut clients {
        let heard = client.events(50).await;
        assert_eq!(numbers(&heard), (0..50).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_behind_the_answer_is_heard_though_nobody_listened_before() {
    for transport in ["websocket", "sse", "ndjson"] {
        let rig = Rig::start(1 << 20).await;
        let mut client = rig.client(transport, "key=good").await;
        rig.go_live(0..3);
        assert_eq!(numbers(&client.events(3).await), [0, 1, 2], "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_where_it_was_from_the_ring_and_from_kafka() {
    // One ring holds everything, the other next to nothing.
    for ring_bytes_max in [1 << 20, 4_000] {
        let rig = Rig::start(ring_bytes_max).await;
        rig.go_live(0..200);
        let (mut heard, mut cursor) = (Vec::new(), "earliest".to_owned());
        for transport in ["ndjson", "websocket", "sse", "ndjson"] {
            let mut client = rig.client(transport, &format!("key=good&{cursor}")).await;
            let messages = client.events(50).await;
            cursor = format!("cursor={}", messages.last().unwrap()["cursor"].as_str().unwrap());
            heard.extend(numbers(&messages[..50]));
            drop(client);
        }
        assert_eq!(heard, (0..200).collect::<Vec<_>>(), "ring of {ring_bytes_max} bytes");
        assert!(rig.replica.ring.used() <= ring_bytes_max);
        rig.go_live(200..210);
        let mut client = rig.client("sse", &format!("key=good&{cursor}")).await;
        assert_eq!(numbers(&client.events(10).await), (200..210).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_many_events_can_be_resumed_within_and_be_one_message() {
    let rig = Rig::start(1 << 20).await;
    let lines: String = (0..10).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    rig.kafka.go_live(rig.partition, &[(AREA, lines)]);
    let mut client = rig.client("ndjson", "key=good&earliest").await;
    let heard = client.events(10).await;
    let cursor = heard[3]["cursor"].as_str().unwrap();
    let mut single = rig.client("ndjson", &format!("key=good&cursor={cursor}")).await;
    assert_eq!(numbers(&single.events(6).await), [4, 5, 6, 7, 8, 9]);
    let mut batch = rig.client("websocket", &format!("key=good&batch=1&cursor={cursor}")).await;
    let message = batch.message().await;
    assert_eq!(numbers(std::slice::from_ref(&message)), [4, 5, 6, 7, 8, 9]);
    assert_eq!(message["cursor"], heard[9]["cursor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals() {
    let rig = Rig::start(1 << 20).await;
    let ask = async |method: &str, head: &str, expected: &str| {
        let mut socket = TcpStream::connect(rig.replica.address).await.unwrap();
        let request = format!("{method} {head}\r\nHost: x\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let (line, rest) = answer.split_once("\r\n").unwrap();
        let (_, body) = rest.split_once("\r\n\r\n").unwrap();
        let kind = body.split_once("urn:sluice:problem:").map(|(_, rest)| rest);
        let kind = kind.and_then(|rest| rest.split('"').next()).unwrap_or_default();
        assert_eq!(format!("{} {kind}", &line[9..12]), expected, "{head}: {answer}");
        body.to_owned()
    };
    let check = async |head: &str, expected: &str| ask("GET", head, expected).await;
    ask("GET", "/v1/stream/acme HTTP/1.1", "404 no-such-path").await;
    ask("POST", "/v1/streams/acme HTTP/1.1", "405 no-such-method").await;
    let sse = "HTTP/1.1\r\nAccept: text/event-stream";
    let path = "/v1/streams/acme";
    check(&format!("{path}?key=good HTTP/1.1"), "426 no-transport").await;
    // Wrong, missing and of an unknown channel: word for word the same.
    let wrong = check(&format!("{path}?key=bad {sse}"), "401 unauthorized").await;
    let missing = check(&format!("{path} {sse}"), "401 unauthorized").await;
    let unknown = check(&format!("/v1/streams/none?key=good {sse}"), "401 unauthorized").await;
    assert!(wrong == missing && missing == unknown);
    check(&format!("{path}?key=good&cursor=x {sse}"), "409 cursor").await;
    check(&format!("{path}?key=good&nonsense=1 {sse}"), "400 bad-parameter").await;
    let upgrade = "HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade";
    let half = format!("{path}?key=good {upgrade}").replace("Connection: close", "");
    let mut socket = TcpStream::connect(rig.replica.address).await.unwrap();
    socket.write_all(format!("GET {half}\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 426");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_said_with_a_code_and_a_cursor_that_goes_on() {
    let rig = Rig::start(1 << 20).await;
    let mut clients = Vec::new();
    for transport in ["websocket", "sse", "ndjson"] {
        clients.push(rig.client(transport, "key=good&earliest").await);
    }
    rig.go_live(0..3);
    for client in &mut clients {
        client.events(3).await;
    }
    rig.replica.connections.end(|_, _| Some(End::Revoked));
    for mut client in clients {
        let last = client.message().await;
        assert_eq!(last["error"]["type"], "revoked");
        assert_eq!(
            (&last["error"]["code"], &last["error"]["retry"]),
            (&4401.into(), &false.into())
        );
        let (_, places) = Plain.open("", last["error"]["cursor"].as_str().unwrap()).unwrap();
        let place = places.get(0);
        assert_eq!(place.index, 0);
        assert!(place.offset >= 5, "{place:?}");
        assert_eq!(client.close_code().await, client.is_websocket().then_some(4401));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_sends_everyone_away_and_none_misses_anything() {
    let mut rig = Rig::start(1 << 20).await;
    let mut client = rig.client("websocket", "key=good").await;
    rig.go_live(0..5);
    client.events(5).await;
    rig.replica.stop.cancel();
    let last = client.message().await;
    assert_eq!((&last["error"]["code"], &last["error"]["retry"]), (&1012.into(), &true.into()));
    assert_eq!(client.close_code().await, Some(1012));
    rig.replica.served.join_next().await.unwrap().unwrap();
    assert!(TcpStream::connect(rig.replica.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn n3_a_client_that_breaks_the_protocol_is_closed_with_its_code() {
    let rig = Rig::start(1 << 20).await;
    let check = async |bytes: &[u8], code: u16| {
        let mut client = rig.client("websocket", "key=good").await;
        client.send(bytes).await;
        assert_eq!(client.close_code().await, Some(code));
    };
    check(&[0x81, 0x01, b'x'], 1002).await;
    check(&[0xc1, 0x80, 0, 0, 0, 0], 1002).await;
    check(&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007).await;
    check(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], 1009).await;
    let mut client = rig.client("websocket", "key=good").await;
    client.send(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i']).await;
    assert_eq!(client.frame().await, (10, b"hi".to_vec()));
    client.send(&[0x88, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(client.frame().await.0, 8);
}
