//! One real Kafka, one real index, one `sluice` process, and names that no other test uses.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use elasticsearch::http::Method;
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::{Value, json};
use sluice::config::settings::IndexSettings;
use sluice::deliver::index::client::{Answer, Call, Client};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Longer than anything here takes on a slow machine; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// The address of a server, or `None` with a loud line. In a round of `./dev test` the servers of
/// that round must be there.
pub(crate) fn server(variable: &str, test: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the environment names the tests' servers")]
    let (found, round) = (std::env::var(variable).ok(), std::env::var("SLUICE_TEST_ROUND").ok());
    if found.is_none() {
        let round = round.unwrap_or_default().to_uppercase().replace('-', "_");
        let of_round = format!("SLUICE_TEST_{round}") == variable;
        let kafka = variable == "SLUICE_TEST_KAFKA" && !matches!(round.as_str(), "" | "PLAIN");
        assert!(!of_round && !kafka, "{test}: {variable} is not set, in its own round");
        #[expect(clippy::print_stderr, reason = "a test that does not run says so")]
        {
            eprintln!("NOT RUN (no {variable}): {test}");
        }
    }
    found
}

/// The index servers that the same tests pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Elasticsearch8,
    Elasticsearch9,
    OpenSearch,
}

impl Kind {
    fn variable(self) -> &'static str {
        match self {
            Self::Elasticsearch8 => "SLUICE_TEST_ELASTICSEARCH",
            Self::Elasticsearch9 => "SLUICE_TEST_ELASTICSEARCH9",
            Self::OpenSearch => "SLUICE_TEST_OPENSEARCH",
        }
    }
}

/// What one test needs, under names of its own. Its indices and templates go with it.
pub(crate) struct World {
    pub(crate) kafka: String,
    /// Topic, consumer group, template and index prefix.
    pub(crate) name: String,
    folder: TempDir,
    index: Client,
    listener: Client,
    runtime: Runtime,
}

impl World {
    /// `None` where a server is missing. `settings` are more lines of sluice.toml, `pipeline` of
    /// pipeline.toml.
    pub(crate) fn new(kind: Kind, test: &str, settings: &str, pipeline: &str) -> Option<Self> {
        let kafka = server("SLUICE_TEST_KAFKA", test)?;
        let index = server(kind.variable(), test)?;
        let port = free_port();
        let name = format!("{test}-{}-{port}", std::process::id());
        let folder = TempDir::new().unwrap();
        let toml = format!(
            "kafka.brokers = [\"{kafka}\"]\nkafka.group = \"{name}\"\n\
             index.nodes = [\"{index}\"]\nindex.template = \"{name}\"\nindex.replicas = 0\n\
             index.batch_age_max = \"50ms\"\n\
             live.topic = \"{name}-live\"\nlive.partitions = 2\n\
             dead_letter.topic = \"{name}-dead\"\ndead_letter.partitions = 1\n\
             http.listen = \"127.0.0.1:{port}\"\n{settings}\n"
        );
        fs::write(folder.path().join("sluice.toml"), toml).unwrap();
        let pipelines = folder.path().join("pipelines/test");
        fs::create_dir_all(&pipelines).unwrap();
        let toml = format!("topics = [\"{name}\"]\nindex.prefix = \"{name}\"\n{pipeline}\n");
        fs::write(pipelines.join("pipeline.toml"), toml).unwrap();
        let world = Self {
            kafka,
            name,
            folder,
            index: client(&index),
            listener: client(&format!("http://127.0.0.1:{port}")),
            runtime: Runtime::new().unwrap(),
        };
        world.sluice(&["setup"]);
        Some(world)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.env_clear().arg("--config").arg(self.folder().join("sluice.toml"));
        command
    }

    /// Runs a command to its end, which must be a good one.
    pub(crate) fn sluice(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "sluice {arguments:?}: {text}{errors}");
        text
    }

    /// Starts `sluice run`; its log is shown where the test fails.
    pub(crate) fn run(&self) -> Running {
        let file = self.folder().join("log");
        let log = fs::File::options().create(true).append(true).open(file).unwrap();
        let child = self.command().arg("run").stderr(log).stdout(Stdio::null()).spawn().unwrap();
        Running { child }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// Puts messages on the source topic, all acknowledged; `None` is a tombstone.
    pub(crate) fn produce<'a>(&self, messages: impl IntoIterator<Item = Option<&'a [u8]>>) {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.kafka)
            .set("message.max.bytes", "10000000")
            .set("linger.ms", "20")
            .set("compression.type", "lz4")
            .create()
            .unwrap();
        for message in messages {
            let mut record = BaseRecord::<(), [u8]>::to(&self.name).partition(0);
            record.payload = message;
            while let Err((error, back)) = producer.send(record) {
                let full = Some(RDKafkaErrorCode::QueueFull);
                assert_eq!(error.rdkafka_error_code(), full, "{error}");
                producer.flush(POLL).unwrap_or_default();
                record = back;
            }
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Asks the index; the answer must be a good one.
    pub(crate) fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let answer = self.try_ask(method, path, body);
        let text = String::from_utf8_lossy(&answer.body);
        assert!((200..300).contains(&answer.status), "{path}: {} {text}", answer.status);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    fn try_ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let call = Call {
            method,
            path,
            content_type: "application/json",
            gzip: false,
            body: body.map(|body| body.to_string().into()),
        };
        self.runtime.block_on(self.index.call(call)).unwrap()
    }

    /// Searches this test's indices, after a refresh.
    pub(crate) fn search(&self, body: &Value) -> Value {
        self.ask(Method::Post, &format!("/{}-*/_refresh", self.name), None);
        self.ask(Method::Post, &format!("/{}-*/_search", self.name), Some(body))
    }

    /// Every document, by its `_id`.
    pub(crate) fn documents(&self) -> BTreeMap<String, Value> {
        let found = self.search(&json!({ "size": 10_000, "track_total_hits": true }));
        let hits = found["hits"]["hits"].as_array().unwrap();
        hits.iter()
            .map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_source"].clone()))
            .collect()
    }

    pub(crate) fn count(&self) -> u64 {
        let found = self.search(&json!({ "size": 0, "track_total_hits": true }));
        found["hits"]["total"]["value"].as_u64().unwrap()
    }

    /// A path of the process's own listener: status and text.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = self.runtime.block_on(self.listener.call(Call::get(path))).ok()?;
        Some((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// One scrape; each has to be conserved.
    pub(crate) fn metrics(&self) -> Option<Metrics> {
        let (status, text) = self.get("/metrics")?;
        assert_eq!(status, 200, "{text}");
        let metrics = Metrics(text);
        let [consumed, settled, in_flight] = ["consumed_total", "settled_total", "in_flight"]
            .map(|name| metrics.sum(&format!("sluice_events_{name}")));
        assert!((consumed - settled - in_flight).abs() < 0.5, "{}", metrics.0);
        Some(metrics)
    }

    /// Looks until it is so; what is waited for is told where it never comes.
    pub(crate) fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let scrape = || self.metrics().map(|metrics| metrics.0).unwrap_or_default();
            assert!(began.elapsed() < PATIENCE, "{what}\n{}\n{}", self.log(), scrape());
            std::thread::sleep(POLL);
        }
    }

    /// Waits until so many events are settled, none in flight.
    pub(crate) fn settled(&self, events: f64) -> Metrics {
        self.until(&format!("{events} events are settled"), |world| {
            let metrics = world.metrics()?;
            let settled = metrics.sum("sluice_events_settled_total");
            (settled >= events && metrics.sum("sluice_events_in_flight") < 0.5).then_some(metrics)
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let list = format!("/_cat/indices/{}-*?h=index", self.name);
        let names = self.try_ask(Method::Get, &list, None);
        for name in String::from_utf8_lossy(&names.body).split_whitespace() {
            if name.starts_with(&self.name) {
                self.try_ask(Method::Delete, &format!("/{name}"), None);
            }
        }
        for template in [self.name.clone(), format!("{}-undated", self.name)] {
            self.try_ask(Method::Delete, &format!("/_index_template/{template}"), None);
        }
    }
}

/// The text of one scrape.
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// The sum of all series that begin so.
    pub(crate) fn sum(&self, series: &str) -> f64 {
        let series = self.0.lines().filter(|line| line.starts_with(series));
        series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }
}

/// A running process, ended with the test.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Ends it at once, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(|_| ()).unwrap_or_default();
    }
}

fn client(address: &str) -> Client {
    let (nodes, short) = (vec![address.to_owned()], Duration::from_millis(50));
    let settings =
        IndexSettings { nodes, backoff_min: short, backoff_max: short, ..IndexSettings::default() };
    Client::new(&settings).unwrap()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
