//! `sluice tail` and the client below it against a stream server: cut off at any byte, sent away,
//! refused; what it prints, keeps and says.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use sluice::client::address::{Address, Start};
use sluice::client::backoff::Backoff;
use sluice::client::follow::{Follower, Heard, Settings};
use sluice::client::socket::Credentials;
use sluice::stream::end::End;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{AREA, Rig, SocketAddr};
use crate::support::rig::until;

const PATIENCE: Duration = Duration::from_secs(60);

fn follower(address: SocketAddr, start: Start) -> Follower {
    let (address, _) = Address::read(&format!("ws://{address}/v1/streams/acme")).unwrap();
    Follower::new(Settings {
        address,
        credentials: Credentials::new("good", None).unwrap(),
        parameters: Vec::new(),
        start,
        backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(100)),
    })
}

/// The numbers of the events up to this one, and how often the stream was cut meanwhile.
async fn heard(follower: &mut Follower, last: u64) -> (Vec<u64>, usize) {
    let (mut numbers, mut cuts) = (Vec::new(), 0);
    let listen = async {
        while numbers.last() != Some(&last) {
            match follower.next().await.unwrap() {
                Heard::Events { events, .. } => numbers.extend(events.iter().map(|event| {
                    let event: serde_json::Value = serde_json::from_str(event).unwrap();
                    event["n"].as_u64().unwrap()
                })),
                Heard::Cut { .. } => cuts += 1,
                Heard::Place(_) => {}
                Heard::Gap(gap) => panic!("{gap:?}"),
            }
        }
    };
    timeout(PATIENCE, Box::pin(listen)).await.expect("all events");
    (numbers, cuts)
}

/// A way to the server that is cut after so many bytes of the server, and open again at once.
async fn cutting(to: SocketAddr, bytes: u64) -> (SocketAddr, tokio::task::JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(to).await.unwrap();
            let (mut from_client, mut to_client) = client.split();
            let (from_server, mut to_server) = server.split();
            let mut from_server = tokio::io::AsyncReadExt::take(from_server, bytes);
            tokio::select! {
                _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
            }
            to_client.shutdown().await.unwrap_or_default();
        }
    });
    (address, tasks)
}

/// Bytes that a WebSocket gets before its first event.
async fn before_events(rig: &Rig) -> u64 {
    const FRAME_HEADER: usize = 4;
    let mut client = rig.client("websocket", "key=good").await;
    let head = client.head.len() + 4;
    let status = client.any_message().await;
    assert!(status.get("status").is_some(), "{status}");
    u64::try_from(head + FRAME_HEADER + status.to_string().len()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_cut_at_any_byte_hears_everything_once() {
    let rig = Rig::start(1 << 20).await;
    rig.go_live(0..60);
    // Before the first event there are the head of the answer and a status.
    let before = before_events(&rig).await;
    for bytes in [before + 150, before + 251, before + 777, 2_000] {
        let (address, _tasks) = cutting(rig.replica.address, bytes).await;
        let mut follower = follower(address, Start::Earliest);
        let (numbers, cuts) = heard(&mut follower, 59).await;
        assert_eq!(numbers, (0..60).collect::<Vec<_>>(), "{bytes} bytes");
        assert!(cuts >= 2, "{bytes} bytes: cut {cuts} times");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_sent_away_comes_back_when_and_where_it_is_told() {
    let rig = Rig::start(1 << 20).await;
    let mut follower = follower(rig.replica.address, Start::Earliest);
    rig.go_live(0..5);
    assert_eq!(heard(&mut follower, 4).await.0, [0, 1, 2, 3, 4]);
    rig.replica.connections.end(|_, _| Some(End::Restart));
    let Heard::Cut { why, wait, is_lossy } = follower.next().await.unwrap() else {
        panic!("not cut off");
    };
    assert_eq!((why.as_str(), is_lossy), ("this server restarts", false));
    assert!(wait >= Duration::from_secs(1), "{wait:?}");
    rig.go_live(5..10);
    assert_eq!(heard(&mut follower, 9).await.0, [5, 6, 7, 8, 9]);
    rig.replica.connections.end(|_, _| Some(End::Revoked));
    let over = follower.next().await.unwrap_err();
    assert_eq!(over.0, "the token or its channel was disabled, or the token has expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_cursor_says_that_it_misses_events() {
    let rig = Rig::start(1 << 20).await;
    let mut follower = follower(rig.replica.address, Start::Tip);
    let end = async {
        until("it listens", || rig.replica.connections.count() == 1).await;
        rig.replica.connections.end(|_, _| Some(End::Silent));
    };
    let cut = async {
        loop {
            match follower.next().await {
                // The first status may have come before the end.
                Ok(Heard::Place(_)) => {}
                heard => break heard,
            }
        }
    };
    let (heard, ()) = tokio::join!(cut, end);
    // The last words carry a cursor; who was told one misses nothing.
    assert!(matches!(heard, Ok(Heard::Cut { is_lossy: false, .. })), "{heard:?}");
    // Cut within the first status, which has the first cursor.
    let before = before_events(&rig).await;
    let (address, _tasks) = cutting(rig.replica.address, before - 20).await;
    let mut follower = self::follower(address, Start::Tip);
    let heard = timeout(PATIENCE, follower.next()).await.expect("a cut");
    assert!(matches!(heard, Ok(Heard::Cut { is_lossy: true, .. })), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_known_by_its_event_id() {
    let rig = Rig::start(1 << 20).await;
    let event = |n: u64, id: &str| (AREA, format!("{{\"n\":{n},\"event_id\":\"{id}\"}}\n"));
    let records = [event(0, "a"), event(1, "b"), event(0, "a"), event(1, "b"), event(2, "c")];
    rig.kafka.go_live(rig.partition, &records);
    let mut follower = follower(rig.replica.address, Start::Earliest);
    assert_eq!(heard(&mut follower, 2).await.0, [0, 1, 2]);
    assert_eq!(follower.repeated(), 2);
}

/// `sluice tail`, which gets its token from a pipe.
struct Run {
    child: Child,
}

impl Run {
    fn start(rig: &Rig, arguments: &[&str]) -> Self {
        Self::with(&format!("ws://{}/v1/streams/acme", rig.replica.address), "good", arguments)
    }

    fn with(target: &str, token: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["tail", target, "--token-file", "-"])
            .args(arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, format!("{token}\n").as_bytes()).unwrap();
        Self { child }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let out = self.child.stdout.as_mut().unwrap();
        // One byte at a time, so that nothing behind the line is taken.
        BufReader::with_capacity(1, out).read_line(&mut line).unwrap();
        line
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Whether it went well, and what it wrote to both.
    fn end(mut self) -> (ExitStatus, String, String) {
        let (mut out, mut told) = (String::new(), String::new());
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut out).unwrap();
        }
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap(), out, told)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_prints() {
    let rig = Rig::start(1 << 20).await;
    let event = r#"{"datetime":"2016-09-29T22:53:46.766Z","request_method":"POST","status":200,"time_to_serve_request":317,"client_geoip":{"country_code2":"US"},"org_name":"macs-shack","api_name":"account\u001bservice","uri_path":"/macs-shack","x":1.50}"#;
    rig.kafka.go_live(rig.partition, &[(AREA, format!("{event}\n{event}\n"))]);
    let check = |arguments: &[&str], expected: &str| {
        let arguments = [&["--earliest", "--count", "2"], arguments].concat();
        let (status, out, told) = Run::start(&rig, &arguments).end();
        assert!(status.success(), "{told}");
        assert_eq!(out, format!("{expected}\n").repeat(2), "{arguments:?}");
        assert!(told.starts_with("go on with --cursor "), "{told}");
    };
    check(
        &[],
        "2016-09-29T22:53:46.766Z  POST    200    317 ms  US  macs-shack    account\\u{1b}service  /macs-shack",
    );
    check(&["--json"], event);
    check(&["--json", "--batch", "--slow", "disconnect"], event);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_goes_on_where_the_last_run_ended() {
    let rig = Rig::start(1 << 20).await;
    rig.go_live(0..30);
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("cursor");
    let mut all = String::new();
    for count in ["7", "11", "12"] {
        let arguments =
            ["--json", "--earliest", "--state", state.to_str().unwrap(), "--count", count];
        let (status, out, told) = Run::start(&rig, &arguments).end();
        assert!(status.success(), "{told}");
        all.push_str(&out);
    }
    let expected: String = (0..30).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    assert_eq!(all, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_with_the_cursor_to_go_on_from() {
    for name in ["INT", "TERM"] {
        let rig = Rig::start(1 << 20).await;
        rig.go_live(0..3);
        let mut run = Run::start(&rig, &["--json", "--earliest"]);
        let first: Vec<_> = (0..3).map(|_| run.line()).collect();
        assert_eq!(first, ["{\"n\":0}\n", "{\"n\":1}\n", "{\"n\":2}\n"]);
        run.signal(name);
        let (status, rest, told) = run.end();
        assert!(status.success() && rest.is_empty(), "{rest}");
        let cursor = told.trim().rsplit(' ').next().unwrap();
        rig.go_live(3..4);
        let (_, out, _) = Run::start(&rig, &["--json", "--cursor", cursor, "--count", "1"]).end();
        assert_eq!(out, "{\"n\":3}\n", "{name}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let rig = Rig::start(1 << 20).await;
    rig.go_live(0..10);
    let mut run = Run::start(&rig, &["--json", "--earliest"]);
    assert_eq!(run.line(), "{\"n\":0}\n");
    drop(run.child.stdout.take());
    // Whatever comes next finds nobody.
    rig.go_live(10..11);
    let (status, _, told) = run.end();
    assert!(status.success());
    assert_eq!(told, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_go_well_ends_it_with_the_reason() {
    let rig = Rig::start(1 << 20).await;
    let stream = format!("ws://{}/v1/streams/acme", rig.replica.address);
    let check = |target: &str, token: &str, arguments: &[&str], expected: &str| {
        let (status, out, told) = Run::with(target, token, arguments).end();
        assert_eq!((status.code(), out.as_str()), (Some(1), ""), "{told}");
        assert_eq!(told, format!("error: {expected}\n"));
    };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::write(&state, "x\n").unwrap();
    let state = state.to_str().unwrap();
    check(&stream, "b4d", &[], "401: an access token that is enabled is needed");
    check(&stream, "good", &["--cursor", "x"], "409: no cursor of ours");
    check(&format!("{stream}?nonsense=1"), "good", &[], "400: there is no parameter `nonsense`");
    // Whose cursor it is that is refused, and what else is not the file's.
    let refused = format!(
        "--state {state}: its cursor is refused; without the file it begins anew: 409: no cursor \
         of ours"
    );
    check(&stream, "good", &["--state", state], &refused);
    check(&stream, "b4d", &["--state", state], "401: an access token that is enabled is needed");
}
