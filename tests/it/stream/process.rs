//! `sluice run`, `sluice channels` and `sluice tokens` as processes: what the commands print, and
//! what no process may ever log.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use sluice::config::settings::Settings;
use sluice::setup::{Task, secrets};
use sluice::stream::control::{AdminToken, Digest, session_secret};
use tempfile::TempDir;
use tokio::time::timeout;

use super::administration::{ask, kafka, try_ask};
use super::*;
use crate::support::ports::free_port;
use crate::support::rig::{DEAD, EVENTS};

/// A `sluice run` that serves streams and its API, and its configuration.
pub(crate) struct Served {
    folder: TempDir,
    pub(crate) streams: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) http: SocketAddr,
    process: Option<Child>,
}

pub(crate) fn free_address() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

impl Served {
    fn start(kafka: &Kafka) -> Self {
        Self::start_with(kafka, "")
    }

    fn start_with(kafka: &Kafka, more: &str) -> Self {
        // No index is there: that stops the path, and no stream.
        Self::with_index(kafka, more, &format!("http://{}", free_address()))
    }

    /// Beside the index of this URL.
    pub(crate) fn with_index(kafka: &Kafka, more: &str, index: &str) -> Self {
        Self::of(&kafka.cluster.bootstrap_servers(), more, index)
    }

    pub(crate) fn of(brokers: &str, more: &str, index: &str) -> Self {
        let (streams, api, http) = (free_address(), free_address(), free_address());
        let folder = TempDir::new().unwrap();
        let toml = format!(
            "{more}kafka.brokers = [\"{brokers}\"]\nindex.nodes = [\"{index}\"]\nhttp.listen = \"{http}\"\n\
             live.topic = \"{LIVE}\"\ndead_letter.topic = \"{DEAD}\"\ncontrol.topic = \"control\"\n\
             stream.listen = \"{streams}\"\nstream.drain = \"100ms\"\n\
             api.listen = \"{api}\"\nlog.level = \"trace\"\nlog.lines_per_minute_max = 100000\n",
        );
        fs::write(folder.path().join("sluice.toml"), toml).unwrap();
        fs::create_dir_all(folder.path().join("pipelines/test")).unwrap();
        let pipeline = folder.path().join("pipelines/test/pipeline.toml");
        fs::write(pipeline, format!("topics = [\"{EVENTS}\"]\n")).unwrap();
        Self { folder, streams, api, http, process: None }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.env_clear().current_dir(self.folder.path()).args(arguments).stdin(Stdio::null());
        command
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    pub(crate) fn run(&mut self) {
        let log = File::create(self.log()).unwrap();
        let (out, err) = (log.try_clone().unwrap(), log);
        self.process = Some(self.command(&["run"]).stdout(out).stderr(err).spawn().unwrap());
    }

    /// Returns when administrators are served: before that they are turned away.
    pub(crate) async fn serves(&self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let served = async {
            let ask = || try_ask(self.api, "", "GET", "/channels", "");
            while ask().await.is_none_or(|(status, _)| status == 503) {
                ticks.tick().await;
            }
        };
        timeout(Duration::from_secs(60), served).await.expect("served");
    }

    /// What `/readyz` says.
    pub(crate) async fn readiness(&self) -> String {
        let mut answer = String::new();
        if let Ok(mut socket) = TcpStream::connect(self.http).await {
            socket.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await.unwrap();
            socket.read_to_string(&mut answer).await.unwrap();
        }
        answer
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Ends it, and answers everything that it has said.
    pub(crate) fn ended(&mut self) -> String {
        let mut process = self.process.take().unwrap();
        let id = process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        process.wait().unwrap();
        fs::read_to_string(self.log()).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap_or_default();
            process.wait().unwrap();
        }
    }
}

/// As `sluice setup` makes it.
pub(super) async fn admin_token(kafka: &Kafka) -> String {
    let mut settings = Settings { kafka: kafka.settings.clone(), ..Settings::default() };
    settings.control.topic = "control".to_owned();
    let mut token = String::new();
    let mut said = |line: String| {
        if let Some((_, secret)) = line.split_once("shown this once: ") {
            secret.clone_into(&mut token);
        }
    };
    secrets::make(&settings, Task::default(), true, &mut said).await.unwrap();
    token
}

/// Runs a command; answers its exit code and what it printed.
async fn done(mut command: Command) -> (i32, String, String) {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let Output { status, stdout, stderr } = output;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_and_tokens_are_made_shown_and_switched_by_command() {
    let kafka = kafka();
    let token = admin_token(&kafka).await;
    let mut served = Served::start(&kafka);
    served.run();
    served.serves().await;
    let run = async |arguments: &[&str]| {
        let mut command = served.command(arguments);
        command.env("SLUICE_API_TOKEN", &token);
        done(command).await
    };
    let (code, out, err) =
        run(&["channels", "create", "id:acme", "--expires", "2099-01-01T00:00:00Z"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("channel c1 of id:acme\ntoken t1, shown this once:\n  slc_"), "{out}");
    let check = async |arguments: &[&str], expected: i32, says: &str| {
        let (code, out, err) = run(arguments).await;
        assert_eq!(code, expected, "{arguments:?}: {out}{err}");
        assert!(format!("{out}{err}").contains(says), "{arguments:?}: {out}{err}");
        (out, err)
    };
    check(&["channels", "create", "id:acme"], 1, "error: the area has a channel already: c1").await;
    check(&["channels", "create", "id:b", "--filter", "statis = 1"], 1, "did you mean `status`?")
        .await;
    check(&["channels", "list"], 0, "Channel for id:acme").await;
    check(&["channels", "edit", "c1", "--name", "Mine", "--description", "of all"], 0, "of all")
        .await;
    check(&["channels", "disable", "c1"], 0, "disabled").await;
    check(&["channels", "enable", "c1"], 0, "status       enabled").await;
    check(&["channels", "show", "c9"], 1, "there is no such thing").await;
    check(&["channels", "show", "../session"], 1, "there is no such thing").await;
    let full = "disable one first, which closes its connections; a larger \
                `stream.token_overlap_max` lets listeners change over without a cut";
    check(&["tokens", "create", "c1"], 1, full).await;
    check(&["tokens", "disable", "c1", "t1"], 0, "disabled").await;
    let filter = ["tokens", "create", "c1", "--filter", "status >= 500", "--field", "status"];
    check(&filter, 0, "token t2, shown this once").await;
    check(&["channels", "show", "c1"], 0, "FIELDS  FILTER\n").await;
    let (listed, _) = check(&["tokens", "list", "c1"], 0, "  status  status >= 500\n").await;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    check(&["tokens", "enable", "c1", "t1"], 1, "disable one first").await;
    // Asked for again under one id, it is made once and its secret is not told again.
    check(&["tokens", "disable", "c1", "t2"], 0, "disabled").await;
    check(&["tokens", "create", "c1", "--id", "mine"], 0, "token t3, shown this once").await;
    check(&["tokens", "create", "c1", "--id", "mine"], 0, "token t3 was made when").await;
    let (json, _) = check(&["channels", "list", "--json", "--area", "id:acme"], 0, "{").await;
    let shown: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&shown["name"], &shown["tokens"][2]["id"]), (&json!("Mine"), &json!("t3")));

    // What keeps a command from asking at all.
    let (code, _, err) = done(served.command(&["channels", "list"])).await;
    assert_eq!(code, 2);
    assert!(err.contains("SLUICE_API_TOKEN"), "{err}");
    let nowhere = format!("http://{}", free_address());
    check(&["--config", "none.toml", "channels", "list"], 2, "cannot be read").await;
    check(&["channels", "list", "--api", &nowhere], 1, "refused").await;
    let mut wrong = served.command(&["channels", "list"]);
    wrong.env("SLUICE_API_TOKEN", "wrong");
    let (code, _, err) = done(wrong).await;
    assert_eq!((code, err.as_str()), (1, "error: the administrators' token is wrong\n"));
    served.ended();
}

#[tokio::test(flavor = "multi_thread")]
async fn run_without_a_key_says_who_makes_one() {
    let kafka = kafka();
    let mut served = Served::start(&kafka);
    served.run();
    let mut process = served.process.take().unwrap();
    let status = tokio::task::spawn_blocking(move || process.wait().unwrap()).await.unwrap();
    let log = fs::read_to_string(served.log()).unwrap();
    assert_eq!(status.code(), Some(1), "{log}");
    let last = log.lines().last().unwrap();
    let expected = "error: `stream.cursor_key` is not set and topic control has no key: run \
                    `sluice setup`";
    assert_eq!(last, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_streams_alone_needs_no_index_and_takes_no_event() {
    let kafka = kafka();
    kafka.cluster.create_topic("sluice-presence", 1, 1).unwrap();
    kafka.produce(0, [Some("{}")]);
    let token = admin_token(&kafka).await;
    let mut served = Served::start_with(&kafka, "roles = [\"stream\"]\n");
    served.run();
    served.serves().await;
    let (status, made) =
        ask(served.api, &token, "POST", "/channels", r#"{"area":"id:acme"}"#).await;
    assert_eq!(status, 201, "{made}");
    let readiness = served.readiness().await;
    assert!(!readiness.is_empty() && !readiness.contains("index: "), "{readiness}");
    let log = served.ended();
    assert!(log.contains("\"ended\"") || log.contains("ended consumed=0 "), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_logged() {
    let kafka = kafka();
    let token = admin_token(&kafka).await;
    let mut served = Served::start(&kafka);
    served.run();
    served.serves().await;
    let body = r#"{"area":"id:acme"}"#;
    let (status, made) = ask(served.api, &token, "POST", "/channels", body).await;
    assert_eq!(status, 201, "{made}");
    let secret = made["token"]["secret"].as_str().unwrap().to_owned();
    // A session, of which the cookie comes back as it was sent.
    let request = format!(
        "POST /api/v1/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer \
         {token}\r\nContent-Length: 0\r\n\r\n"
    );
    let head = exchange(served.api, &request).await;
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    for (method, cookie) in [
        ("GET", cookie.as_str()),
        ("POST", &cookie),
        ("GET", "sluice_session=9.of-nobody.mac-of-nobody"),
    ] {
        let request = format!(
            "{method} /api/v1/channels HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: \
             {cookie}\r\nContent-Length: 0\r\n\r\n"
        );
        exchange(served.api, &request).await;
    }
    // A wrong token, and a secret where none belongs.
    let wrong = "slc_a-token-that-nobody-was-ever-given";
    ask(served.api, wrong, "GET", "/channels", "").await;
    ask(served.api, &token, "POST", "/channels", &format!("{{\"area\":\"{secret}")).await;
    let path = "/channels/c1/tokens/t1";
    ask(served.api, &token, "PATCH", path, r#"{"enabled":false}"#).await;
    let topic: Vec<String> = kafka
        .read("control", 1, 4)
        .into_iter()
        .map(|record| String::from_utf8(record.value).unwrap())
        .collect();
    let key = topic.iter().find_map(|record| record.split_once("\"key\":\"")).unwrap();
    let key = key.1.split('"').next().unwrap();

    let log = served.ended();
    let (admin, session) = (AdminToken::of(&token), session_secret(&token));
    let secrets = [
        token.as_str(),
        &secret,
        wrong,
        key,
        &session,
        cookie.rsplit('.').next().unwrap(),
        "of-nobody",
        &String::from(admin.digest),
        &String::from(admin.session),
        &String::from(Digest::of(&secret)),
    ];
    // It was a log of everything, and the topic has what is looked for.
    assert!(log.contains("TRACE") && log.contains("kafka is there"), "{log}");
    assert!(topic.iter().any(|record| record.contains(&String::from(Digest::of(&secret)))));
    for hidden in secrets {
        // Not even a part of it.
        let part = hidden.get(..hidden.len().min(12)).unwrap();
        assert!(!log.contains(part), "{part} of {hidden} is logged");
        for record in &topic {
            assert!(!record.contains(&token) && !record.contains(&secret), "{record}");
        }
    }
}

async fn exchange(to: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(to).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[test]
fn an_administrators_token_is_no_argument_of_any_command() {
    let help = |arguments: &[&str]| {
        let command = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .env_clear()
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
            .args(arguments)
            .output();
        String::from_utf8(command.unwrap().stdout).unwrap()
    };
    for arguments in [["channels", "--help"], ["tokens", "--help"]] {
        let text = help(&arguments);
        assert!(text.contains("--api <URL>") && !text.contains("--token"), "{text}");
    }
}
