//! Clients that this project did not write: browsers and the libraries that listeners use, each by
//! a small program below `tests/clients/`. `./dev fetch clients` makes them ready.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::*;
use crate::real::world::server;

mod autobahn;
mod browser;
mod curl;

/// Longer than a client takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The events of a test, and how many of them its first session hears.
const EVENTS: usize = 100;
const LEAVE_AFTER: usize = 40;

/// The events of these numbers: of every length that a frame's header tells in its own way, with
/// characters of one to four bytes.
fn events(numbers: std::ops::Range<usize>) -> Vec<Value> {
    let lengths = [0, 60, 300, 70_000];
    let event = |number: usize| {
        let length = if number % 10 == 3 { lengths[number / 10 % 4] } else { 20 };
        json!({ "n": number, "pad": "aä€\u{1f600}".repeat(length / 10), "path": "/a?b=\"c\"\n" })
    };
    numbers.map(event).collect()
}

impl Rig {
    fn go_live_with(&self, events: &[Value]) {
        let records: Vec<_> = events.iter().map(|event| (AREA, format!("{event}\n"))).collect();
        self.kafka.go_live(self.partition, &records);
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/v1/streams/acme", self.replica.address)
    }
}

/// What a client reports while it listens.
enum Reports {
    Lines(Box<(Child, Lines<BufReader<ChildStdout>>)>),
    Pages(Box<browser::Pages>),
}

impl Reports {
    async fn next(&mut self) -> Option<Value> {
        let line = match self {
            Self::Lines(lines) => timeout(PATIENCE, lines.1.next_line()).await.unwrap().unwrap()?,
            Self::Pages(pages) => timeout(PATIENCE, pages.next()).await.unwrap(),
        };
        let line: Value = serde_json::from_str(&line).unwrap();
        (line["end"] != true).then_some(line)
    }
}

/// Leads a client through its sessions: it is refused, hears the first events, goes away, events
/// happen meanwhile, it comes back and hears the rest; then the server closes. Answers its reports
/// in short, without the messages.
async fn sessions(rig: &Rig, reports: &mut Reports) -> Vec<Value> {
    let all = events(0..EVENTS);
    rig.go_live_with(&all[..LEAVE_AFTER]);
    let (mut heard, mut other, mut cursors) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(report) = reports.next().await {
        assert!(report.get("failed").is_none(), "{report}");
        let Some(text) = report["message"].as_str() else {
            if report.get("left").is_some() {
                assert_eq!(heard.len(), LEAVE_AFTER);
                rig.go_live_with(&all[LEAVE_AFTER..]);
            }
            other.push(report);
            continue;
        };
        let message: Value = serde_json::from_str(text).unwrap();
        let Some(data) = message["data"].as_array() else {
            let is_known = ["status", "error"].iter().any(|kind| message.get(kind).is_some());
            assert!(is_known, "{message}");
            continue;
        };
        heard.extend(data.iter().cloned());
        cursors.push(message["cursor"].clone());
        if heard.len() == EVENTS {
            rig.replica.connections.end(|_, _| Some(End::Restart));
        }
    }
    // Each once, in order, none left out, and no two from the same place.
    assert_eq!(heard, all);
    assert!(cursors.windows(2).all(|two| two[0] != two[1]));
    other
}

/// The program of a client, started with these arguments and variables and nothing else.
fn start(program: &str, arguments: &[&str], variables: &[(&str, String)]) -> Reports {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(variables.iter().cloned());
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", std::env::temp_dir());
    let mut child = command.kill_on_drop(true).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    Reports::Lines(Box::new((child, lines)))
}

/// Runs a WebSocket library's program.
async fn library(variable: &str, arguments: &[&str]) {
    let Some(program) = server(variable, "a client of another's making") else { return };
    let rig = Rig::start(4 << 20).await;
    let variables = [
        ("SLUICE_CLIENT_URL", rig.url("ws")),
        ("SLUICE_CLIENT_TOKEN", "good".to_owned()),
        ("SLUICE_CLIENT_LEAVE_AFTER", LEAVE_AFTER.to_string()),
    ];
    let mut reports = start(&program, arguments, &variables);
    let other = sessions(&rig, &mut reports).await;
    let expected = [
        json!({ "refused": 401 }),
        json!({ "opened": "sluice.v1" }),
        json!({ "pong": true }),
        json!({ "left": 1000 }),
        json!({ "opened": "sluice.v1" }),
        json!({ "closed": 1012, "reason": "this server restarts" }),
    ];
    assert_eq!(other, expected);
    let Reports::Lines(mut lines) = reports else { panic!("not a program") };
    assert!(timeout(PATIENCE, lines.0.wait()).await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn node_ws() {
    library("SLUICE_TEST_CLIENT_NODE_WS", &["client.mjs"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_websockets() {
    library("SLUICE_TEST_CLIENT_PYTHON_WEBSOCKETS", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn go_coder_websocket() {
    library("SLUICE_TEST_CLIENT_GO_CODER_WEBSOCKET", &[]).await;
}

/// As the public Mashery clients read: the token in the URL, the first of `data` out of each binary
/// message.
#[tokio::test(flavor = "multi_thread")]
async fn mashery_style() {
    let Some(program) = server("SLUICE_TEST_CLIENT_NODE_WS", "a Mashery client") else { return };
    let rig = Rig::start(1 << 20).await;
    let variables = [
        ("SLUICE_CLIENT_URL", format!("ws://{}/ecls/subscribe/acme/acme", rig.replica.address)),
        ("SLUICE_CLIENT_TOKEN", "good".to_owned()),
    ];
    let mut reports = start(&program, &["mashery.mjs"], &variables);
    assert_eq!(reports.next().await, Some(json!({ "opened": "" })));
    let apis: Vec<_> = (0..20).map(|number| format!("api-{number}")).collect();
    rig.go_live_with(&apis.iter().map(|api| json!({ "api_name": api })).collect::<Vec<_>>());
    for api in &apis {
        let report = reports.next().await.unwrap();
        let call = report["call"].as_object().unwrap();
        assert_eq!((&report["isBinary"], call.len()), (&json!(true), 41), "{report}");
        assert_eq!(call["service_name"], **api);
        assert!(call.values().all(Value::is_string), "{report}");
    }
    rig.replica.connections.end(|_, _| Some(End::Restart));
    let closed = json!({ "closed": 1012, "reason": "this server restarts" });
    assert_eq!(reports.next().await, Some(closed));
}

fn sources(client: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/clients", client].iter().collect()
}
