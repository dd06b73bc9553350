//! Call Log Streams behind the whole path, on a real Kafka and a real index: what listeners hear is
//! what was produced, on every replica and after whatever becomes of a server or a topic.

use std::net::SocketAddr;
use std::ops::Range;

use serde_json::{Value, json};
use sluice::deliver::index::client::Client as HttpClient;
use sluice::deliver::mirror::partition_of;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::world::{Kind, Running, Timed, World, listener};
use crate::stream::administration::try_ask;
use crate::stream::client::Client;
use crate::support::ports::free_port;

mod listening;
mod replicas;
mod history;
mod crash;
mod control;
mod life;
mod secrets;

const ADMIN: &str = "a token of the administrators of these tests";
/// Both are in the same partition of the live topic, where one could be taken for the other.
const AREAS: [&str; 2] = ["id:blue", "id:pink"];
/// As the world makes the live topic.
const LIVE_PARTITIONS: u32 = 2;
const TRANSPORTS: [&str; 3] = ["websocket", "sse", "ndjson"];

/// A world whose processes serve streams as well.
struct Site {
    world: World,
    /// Of the source topic.
    partitions: u32,
    has_begun: bool,
    runtime: Runtime,
}

/// One `sluice run`, with all of its roles.
struct Replica {
    running: Running,
    http: HttpClient,
    streams: SocketAddr,
    api: SocketAddr,
}

/// A channel with its first token, as whoever made it sees them.
struct Channel {
    id: String,
    token: String,
    secret: String,
}

impl Site {
    /// With so many partitions of the source topic; `settings` are more lines of sluice.toml.
    fn new(test: &str, partitions: u32, settings: &str) -> Option<Self> {
        let [blue, pink] = AREAS.map(|area| partition_of(area, LIVE_PARTITIONS));
        assert_eq!(blue, pink);
        let settings = format!(
            "roles = [\"ingest\", \"stream\"]\nstream.drain = \"100ms\"\nstream.connections_per_channel_max = 100\n\
             stream.public_url = \"ws://streams.example\"\napi.token = \"{ADMIN}\"\n{settings}"
        );
        let world = World::bare(Kind::Elasticsearch8, test, &settings, "")?;
        world.create_topic(&world.name, i32::try_from(partitions).unwrap(), &[]);
        world.sluice(&["setup"]);
        Some(Self { world, partitions, has_begun: false, runtime: Runtime::new().unwrap() })
    }

    /// Starts a replica of this name, and waits until it can let listeners in.
    fn start(&mut self, name: &str) -> Replica {
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (streams, api) = (address(), address());
        // The world looks at the first one.
        let port = if self.has_begun { free_port() } else { self.world.port };
        self.has_begun = true;
        self.world.set("SLUICE_STREAM_LISTEN", streams.to_string());
        self.world.set("SLUICE_API_LISTEN", api.to_string());
        self.world.set("SLUICE_STREAM_REPLICA", name);
        let running = self.world.run_on(port);
        self.world.until(&format!("{name} has read its topics"), |_| {
            let (status, _) = self.try_ask(api, "", ("GET", "/connections"), &json!({}))?;
            (status == 200).then_some(())
        });
        // Whoever wants a stream before that is turned away.
        self.world.until(&format!("{name} serves streams"), |_| {
            self.runtime.block_on(dictionary(streams)).filter(|answer| answer.contains(" 200 "))
        });
        Replica { running, http: listener(port), streams, api }
    }

    /// Asks the API of a replica; `None` where no answer comes.
    fn try_ask(
        &self,
        api: SocketAddr,
        headers: &str,
        (method, path): (&str, &str),
        body: &Value,
    ) -> Option<(u16, Value)> {
        self.runtime.block_on(asked(api, headers, (method, path), body))
    }

    fn ask(&self, replica: &Replica, request: (&str, &str), body: &Value) -> (u16, Value) {
        self.try_ask(replica.api, "", request, body).expect("a whole answer")
    }

    fn channel(&self, replica: &Replica, area: &str) -> Channel {
        let (status, made) = self.ask(replica, ("POST", "/channels"), &json!({ "area": area }));
        assert_eq!(status, 201, "{made}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let token = &made["token"];
        Channel {
            id: text(&made["channel"]["id"]),
            token: text(&token["id"]),
            secret: text(&token["secret"]),
        }
    }

    /// Opens a stream; the answer may be a refusal.
    fn open(&self, replica: &Replica, transport: &str, channel: &Channel, query: &str) -> Client {
        let Channel { id, secret, .. } = channel;
        let target = format!("/v1/streams/{id}?key={secret}&{query}");
        self.runtime.block_on(Client::open(replica.streams, transport, &target))
    }

    /// Produces events with these numbers, to the source's partitions in turn; of all that are in
    /// one partition every other is of the one area.
    fn produce(&self, numbers: Range<u32>) {
        assert_eq!(numbers.start % self.partitions, 0);
        let messages: Vec<_> = numbers
            .map(|number| {
                let area = AREAS[self.area_of(number)].trim_start_matches("id:");
                format!("{{\"bytes_sent\":{number},\"org_id\":\"{area}\"}}")
            })
            .collect();
        let partitions = i32::try_from(self.partitions).unwrap();
        self.world.produce_to(
            partitions,
            messages.iter().map(|message| Timed { value: Some(message.as_bytes()), time: None }),
        );
    }

    /// Which of the areas an event is of.
    fn area_of(&self, number: u32) -> usize {
        (number / self.partitions % 2) as usize
    }

    /// Of these numbers those of an area, in order.
    fn of_area(&self, area: usize, numbers: Range<u32>) -> Vec<u32> {
        numbers.filter(|number| self.area_of(*number) == area).collect()
    }

    /// Waits until events up to this number are indexed and in the live topic, by one process.
    fn settled(&self, events: u32) {
        self.world.settled(f64::from(events));
    }

    /// Waits until a replica holds so many partitions of the source.
    fn holds(&self, replica: &Replica, partitions: u64) {
        self.world.until(&format!("{partitions} partitions are held"), |world| {
            let metrics = world.metrics_from(&replica.http)?;
            (metrics.count("sluice_partitions_held") == partitions).then_some(())
        });
    }

    fn live_topic(&self) -> String {
        format!("{}-live", self.world.name)
    }
}

/// The answer of a listener of streams, as far as its first line.
async fn dictionary(streams: SocketAddr) -> Option<String> {
    let mut socket = TcpStream::connect(streams).await.ok()?;
    socket.write_all(b"GET /v1/dictionary HTTP/1.1\r\nHost: x\r\n\r\n").await.ok()?;
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).await.ok()?;
    Some(line)
}

/// Asks as the administrator.
async fn asked(
    api: SocketAddr,
    headers: &str,
    (method, path): (&str, &str),
    body: &Value,
) -> Option<(u16, Value)> {
    let headers = format!("Authorization: Bearer {ADMIN}\r\n{headers}");
    try_ask(api, &headers, method, path, &body.to_string()).await
}

/// The partition of the live topic that has both areas.
fn live_partition() -> i32 {
    partition_of(AREAS[0], LIVE_PARTITIONS).cast_signed()
}

/// The number of an event.
fn number(event: &Value) -> u32 {
    u32::try_from(event["bytes_sent"].as_u64().unwrap()).unwrap()
}

/// The events of messages with one each.
fn numbers(messages: &[Value]) -> Vec<u32> {
    messages.iter().map(|message| number(&message["data"][0])).collect()
}
