//! One real Kafka, one real index, `sluice` processes, and names that no other test uses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use elasticsearch::http::Method;
use serde_json::Value;
use sluice::config::settings::{IndexAuth, IndexSettings, Secret};
use sluice::deliver::index::client::{Call, Client};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::ports::free_port;

mod index;
mod kafka;
mod proxy;

pub(crate) use self::index::Coordinates;
pub(crate) use self::kafka::Timed;
pub(crate) use self::proxy::Proxy;

/// Longer than anything here takes on a slow machine without getting on; reached only by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Held by tests of very many events: one after the other they all end sooner.
static MANY_EVENTS: Mutex<()> = Mutex::new(());
const POLL: Duration = Duration::from_millis(50);
const SETTLED: &str = "sluice_events_settled_total";

/// The address of a server, or `None` with a loud line. In a round of `./dev test` the servers of
/// that round must be there.
pub(crate) fn server(variable: &str, test: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the environment names the tests' servers")]
    let [found, round, missing] = [variable, "SLUICE_TEST_ROUND", "SLUICE_TEST_CLIENTS_MISSING"]
        .map(|name| std::env::var(name).ok());
    if found.is_none() {
        let round = round.unwrap_or_default().to_uppercase().replace('-', "_");
        let of_round = format!("SLUICE_TEST_{round}") == variable;
        let kafka =
            variable == "SLUICE_TEST_KAFKA" && !matches!(round.as_str(), "" | "PLAIN" | "CLIENTS");
        let is_missing = missing.unwrap_or_default().split(' ').any(|name| name == variable);
        let client =
            round == "CLIENTS" && variable.starts_with("SLUICE_TEST_CLIENT_") && !is_missing;
        assert!(!of_round && !kafka && !client, "{test}: {variable} is not set, in its own round");
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
    /// Elasticsearch 8 with TLS and a password.
    Secured,
}

impl Kind {
    fn variable(self) -> &'static str {
        match self {
            Self::Elasticsearch8 => "SLUICE_TEST_ELASTICSEARCH",
            Self::Elasticsearch9 => "SLUICE_TEST_ELASTICSEARCH9",
            Self::OpenSearch => "SLUICE_TEST_OPENSEARCH",
            Self::Secured => "SLUICE_TEST_ELASTICSEARCH_SECURED",
        }
    }
}

/// What one test needs, under names of its own. Its indices and templates go with it.
pub(crate) struct World {
    pub(crate) kafka: String,
    pub(crate) index_url: String,
    /// Topic, consumer group, template and index prefix.
    pub(crate) name: String,
    folder: TempDir,
    /// The environment of its processes: what a test sets otherwise than the files say.
    variables: BTreeMap<&'static str, String>,
    index: Client,
    listener: Client,
    pub(crate) port: u16,
    runtime: Runtime,
}

impl World {
    /// `None` where a server is missing. `settings` are more lines of sluice.toml, `pipeline` of
    /// pipeline.toml.
    pub(crate) fn new(kind: Kind, test: &str, settings: &str, pipeline: &str) -> Option<Self> {
        let world = Self::bare(kind, test, settings, pipeline)?;
        world.sluice(&["setup"]);
        Some(world)
    }

    /// The same before `sluice setup`.
    pub(crate) fn bare(kind: Kind, test: &str, settings: &str, pipeline: &str) -> Option<Self> {
        let kafka = server("SLUICE_TEST_KAFKA", test)?;
        let index_url = server(kind.variable(), test)?;
        let port = free_port();
        let name = format!("{test}-{}-{port}", std::process::id());
        let folder = TempDir::new().unwrap();
        let of_index = IndexSettings { nodes: vec![index_url.clone()], ..IndexSettings::default() };
        let (of_index, secrets) = match kind {
            Kind::Secured => secured(of_index, folder.path(), test)?,
            _ => (of_index, ""),
        };
        let roles = if settings.contains("roles") { "" } else { "roles = [\"ingest\"]\n" };
        let toml = format!(
            "{roles}kafka.brokers = [\"{kafka}\"]\nkafka.group = \"{name}\"\n\
             index.nodes = [\"{index_url}\"]\nindex.template = \"{name}\"\nindex.replicas = 0\n\
             index.batch_age_max = \"50ms\"\n{secrets}\
             live.topic = \"{name}-live\"\nlive.partitions = 2\n\
             dead_letter.topic = \"{name}-dead\"\ndead_letter.partitions = 1\n\
             control.topic = \"{name}-control\"\n\
             presence.topic = \"{name}-presence\"\n\
             http.listen = \"127.0.0.1:{port}\"\n{settings}\n"
        );
        fs::write(folder.path().join("sluice.toml"), toml).unwrap();
        let pipelines = folder.path().join("pipelines/test");
        fs::create_dir_all(&pipelines).unwrap();
        let toml = format!("topics = [\"{name}\"]\nindex.prefix = \"{name}\"\n{pipeline}\n");
        fs::write(pipelines.join("pipeline.toml"), toml).unwrap();
        Some(Self {
            kafka,
            index_url,
            name,
            folder,
            variables: BTreeMap::new(),
            index: client(of_index),
            listener: listener(port),
            port,
            runtime: Runtime::new().unwrap(),
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes beside and renames, as a careful operator does.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path("new"), bytes).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    /// Sets a key otherwise than the files do, for the processes that are started from now on.
    pub(crate) fn set(&mut self, variable: &'static str, value: impl Into<String>) {
        self.variables.insert(variable, value.into());
    }

    pub(crate) fn unset(&mut self, variable: &'static str) {
        self.variables.remove(variable);
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.env_clear().envs(&self.variables);
        command.arg("--config").arg(self.path("sluice.toml"));
        command
    }

    /// Runs a command to its end, whatever that is.
    pub(crate) fn end_of(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Runs a command to its end, which must be a good one.
    pub(crate) fn sluice(&self, arguments: &[&str]) -> String {
        let output = self.end_of(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "sluice {arguments:?}: {text}{errors}");
        text
    }

    /// Starts `sluice run`; its log is shown where the test fails.
    pub(crate) fn run(&self) -> Running {
        self.run_on(self.port)
    }

    /// The same, listening elsewhere: several processes of one group.
    pub(crate) fn run_on(&self, port: u16) -> Running {
        let file = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.command();
        command.env("SLUICE_HTTP_LISTEN", format!("127.0.0.1:{port}"));
        let out = fs::File::options().create(true).append(true).open(self.path("out")).unwrap();
        let child = command.arg("run").stderr(file).stdout(out).spawn().unwrap();
        Running { child }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How many lines of the log hold a text.
    pub(crate) fn lines_with(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// A path of the process's own listener: status and text.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        self.get_from(&self.listener, path)
    }

    /// What another server answers to a question.
    pub(crate) fn ask_at(&self, url: &str, path: &str) -> Value {
        let settings = IndexSettings { nodes: vec![url.to_owned()], ..IndexSettings::default() };
        let answer = self.get_from(&client(settings), path);
        serde_json::from_str(&answer.map(|(_, text)| text).unwrap_or_default()).unwrap_or_default()
    }

    fn get_from(&self, listener: &Client, path: &str) -> Option<(u16, String)> {
        let answer = self.runtime.block_on(listener.call(Call::get(path))).ok()?;
        Some((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// One scrape; each has to be conserved.
    pub(crate) fn metrics(&self) -> Option<Metrics> {
        self.metrics_from(&self.listener)
    }

    pub(crate) fn metrics_from(&self, listener: &Client) -> Option<Metrics> {
        let (status, text) = self.get_from(listener, "/metrics")?;
        assert_eq!(status, 200, "{text}");
        let metrics = Metrics(text);
        let [consumed, settled, in_flight] = ["consumed_total", "settled_total", "in_flight"]
            .map(|name| metrics.sum(&format!("sluice_events_{name}")));
        assert!((consumed - settled - in_flight).abs() < 0.5, "{}", metrics.0);
        Some(metrics)
    }

    /// Looks until it is so, as long as events are settled; what is waited for is told where it
    /// never comes.
    pub(crate) fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let (mut since, mut settled) = (Instant::now(), 0.0);
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if since.elapsed() > PATIENCE {
                let scrape = self.metrics();
                let now = scrape.as_ref().map_or(0.0, |metrics| metrics.sum(SETTLED));
                let scrape = scrape.map(|metrics| metrics.0).unwrap_or_default();
                assert!(now > settled, "{what}\n{}\n{scrape}", self.log());
                (since, settled) = (Instant::now(), now);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until no other test of very many events is under way.
    pub(crate) fn alone(&self) -> MutexGuard<'static, ()> {
        // One that has failed is over too.
        MANY_EVENTS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many events are settled, none in flight.
    pub(crate) fn settled(&self, events: f64) -> Metrics {
        self.until(&format!("{events} events are settled"), |world| {
            let metrics = world.metrics()?;
            let settled = metrics.sum(SETTLED);
            (settled >= events && metrics.sum("sluice_events_in_flight") < 0.5).then_some(metrics)
        })
    }

    pub(crate) fn ready(&self) {
        self.until("it is ready", |world| (world.get("/readyz")?.0 == 200).then_some(()));
    }

    /// Waits until it is not ready for a reason that holds this text, and answers the reason.
    pub(crate) fn not_ready(&self, why: &str) -> String {
        self.until(&format!("it is not ready: {why}"), |world| {
            let (status, reason) = world.get("/readyz")?;
            (status == 503 && reason.contains(why)).then_some(reason)
        })
    }

    pub(crate) fn ended(&self, running: Running) {
        assert!(running.stop().success(), "{}", self.log());
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

    /// The same as a whole number, as counters are.
    pub(crate) fn count(&self, series: &str) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
        let count = self.sum(series) as u64;
        count
    }

    pub(crate) fn settled(&self, outcome: &str) -> u64 {
        self.count(&format!("sluice_events_settled_total{{outcome=\"{outcome}\""))
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

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self, deadline: Instant) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it goes on");
            std::thread::sleep(POLL);
        }
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

/// Puts what the secured index asks for into the test's own folder, where it can be changed.
fn secured(
    settings: IndexSettings,
    folder: &Path,
    test: &str,
) -> Option<(IndexSettings, &'static str)> {
    let username = server("SLUICE_TEST_USER", test)?;
    let password = folder.join("password");
    fs::write(&password, server("SLUICE_TEST_PASSWORD", test)?).unwrap();
    let ca_file = PathBuf::from(server("SLUICE_TEST_CA_FILE", test)?);
    fs::copy(&ca_file, folder.join("ca.pem")).unwrap();
    let auth = IndexAuth::Basic { username, password: Secret::File(password) };
    Some((
        IndexSettings { auth, ca_file: Some(ca_file), ..settings },
        "index.username = \"sluice\"\nindex.password_file = \"password\"\n\
         index.ca_file = \"ca.pem\"\n",
    ))
}

/// A client of a process's own listener.
pub(crate) fn listener(port: u16) -> Client {
    let nodes = vec![format!("http://127.0.0.1:{port}")];
    client(IndexSettings { nodes, ..IndexSettings::default() })
}

fn client(settings: IndexSettings) -> Client {
    let short = Duration::from_millis(50);
    let settings = IndexSettings { backoff_min: short, backoff_max: short, ..settings };
    Client::new(&settings).unwrap()
}
