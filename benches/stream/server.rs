//! The server that is measured: `sluice run` with a live topic of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sluice::deliver::mirror::partition_of;
use tempfile::TempDir;

use super::driver::Task;
use super::null_index::{self, NullIndex};
use super::ports::free_port;
use super::{feed, process};

/// Of the load that goes to the live topic.
pub(crate) const AREA: &str = "id:bench";
/// Of the events of `support/events.rs`, which go the whole path.
const AREA_OF_EVENTS: &str = "id:5a1f00";
const PARTITIONS: u32 = 4;
const ADMIN: &str = "admin-of-the-bench";

pub(crate) struct Server {
    child: Child,
    /// Asks the server to end when this process is gone, however that came.
    guard: Child,
    brokers: String,
    name: String,
    address: String,
    channel: String,
    token: String,
    _folder: TempDir,
    index: NullIndex,
    does: Does,
}

/// What the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Streams,
    /// It indexes as well.
    All,
}

impl Server {
    /// Topics, server, and one channel with its token.
    pub(crate) fn start(brokers: &str, ring_bytes_max: usize) -> Self {
        Self::start_as(Does::Streams, brokers, ring_bytes_max)
    }

    pub(crate) fn start_as(does: Does, brokers: &str, ring_bytes_max: usize) -> Self {
        let (roles, area) = match does {
            Does::Streams => ("\"stream\"", AREA),
            Does::All => ("\"ingest\", \"stream\"", AREA_OF_EVENTS),
        };
        let name = format!("bench-stream-{}-{}", std::process::id(), free_port());
        let folder = TempDir::new().unwrap();
        let index = null_index::start();
        let (address, api) = (format!("127.0.0.1:{}", free_port()), free_port());
        let toml = format!(
            "kafka.brokers = [\"{brokers}\"]\nkafka.group = \"{name}\"\n\
             index.nodes = [\"{}\"]\nlive.topic = \"{name}-live\"\nlive.partitions = {PARTITIONS}\n\
             dead_letter.topic = \"{name}-dead\"\ndead_letter.partitions = 1\n\
             control.topic = \"{name}-control\"\n\
             presence.topic = \"{name}-presence\"\nhttp.listen = \"127.0.0.1:0\"\n\
             roles = [{roles}]\nstream.listen = \"{address}\"\nstream.sockets_max = 20000\n\
             stream.connections_per_channel_max = 20000\nstream.ring_bytes_max = {ring_bytes_max}\n\
             stream.drain = \"100ms\"\nstream.cursor_key = \"the bench's own key of cursors\"\n\
             api.listen = \"127.0.0.1:{api}\"\napi.token = \"{ADMIN}\"\nlog.level = \"warn\"\n",
            index.url(),
        );
        fs::write(folder.path().join("sluice.toml"), toml).unwrap();
        let pipeline = folder.path().join("pipelines/bench");
        fs::create_dir_all(&pipeline).unwrap();
        fs::write(pipeline.join("pipeline.toml"), format!("topics = [\"{name}\"]\n")).unwrap();
        assert!(sluice(folder.path(), "setup").wait().unwrap().success());
        let child = sluice(folder.path(), "run");
        let guard = Command::new("sh")
            .args(["-c", "read -r _; kill \"$1\" 2>/dev/null", "sh", &child.id().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let made = generate(api, area);
        let text = |pointer: &str| made.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let server = Self {
            child,
            guard,
            brokers: brokers.to_owned(),
            address,
            channel: text("/channel/id"),
            token: text("/token/secret"),
            name,
            _folder: folder,
            index,
            does,
        };
        // Nobody is let in before the presence topic was read.
        await_it("a stream", || server.takes("").then_some(()));
        server
    }

    pub(crate) fn task(&self, query: &str, sockets: usize, is_whole: bool) -> Task {
        let target = format!("/v1/streams/{}?{query}", self.channel);
        let (address, token) = (self.address.clone(), self.token.clone());
        Task { address, target, token, sockets, is_whole }
    }

    /// Whether a request with this query is upgraded.
    pub(crate) fn takes(&self, query: &str) -> bool {
        self.open(query).is_some()
    }

    /// A socket that is open and has read nothing but the answer; `None` where it was refused.
    pub(crate) fn open(&self, query: &str) -> Option<TcpStream> {
        let Task { target, token, .. } = self.task(query, 1, false);
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        (&answer == b"HTTP/1.1 101").then_some(socket)
    }

    pub(crate) fn feed(&self) -> feed::Feed {
        let partition = i32::try_from(partition_of(AREA, PARTITIONS)).unwrap();
        feed::Feed::new(&self.brokers, &format!("{}-live", self.name), partition)
    }

    /// Whole events, for the whole path.
    pub(crate) fn source(&self) -> feed::Feed {
        feed::Feed::new(&self.brokers, &self.name, 0)
    }

    /// How many documents the index was sent.
    pub(crate) fn documents(&self) -> u64 {
        self.index.documents()
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        process::cpu_seconds(self.child.id())
    }

    pub(crate) fn anonymous_bytes(&self) -> u64 {
        process::anonymous_bytes(self.child.id())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        process::terminate(i32::try_from(self.child.id()).unwrap());
        drop(self.child.wait());
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
        if !std::thread::panicking() && self.does == Does::Streams {
            assert_eq!(self.index.documents(), 0, "the load goes to the live topic only");
        }
        let name = &self.name;
        let topics = [
            name.clone(),
            format!("{name}-live"),
            format!("{name}-dead"),
            format!("{name}-control"),
            format!("{name}-presence"),
        ];
        feed::delete(&self.brokers, &topics.each_ref().map(String::as_str));
    }
}

fn sluice(folder: &Path, command: &str) -> Child {
    let config = folder.join("sluice.toml");
    // As many descriptors as the system lets us have.
    Command::new("sh")
        .args(["-c", "ulimit -n $(ulimit -H -n); exec \"$@\"", "sh", env!("CARGO_BIN_EXE_sluice")])
        .arg("--config")
        .arg(config)
        .arg(command)
        .env_clear()
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// A channel with its token, as soon as the server gives one.
fn generate(port: u16, area: &str) -> Value {
    let body = format!("{{\"area\":\"{area}\"}}");
    let request = format!(
        "POST /api/v1/channels HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {ADMIN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let ask = || {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
        socket.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 201").then_some(answer)
    };
    let answer = await_it("a channel", ask);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

/// Asks until there is an answer.
fn await_it<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    for _ in 0..300 {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("no {what} within 30 s; what the server said is above");
}
