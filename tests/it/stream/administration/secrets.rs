//! A token is shown once, to whom it was made for, and stands nowhere else: not in a log at its
//! most talkative, not in an answer, whatever the client does with it.

use std::io;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use tracing_subscriber::EnvFilter;

use super::*;

/// The headers that ask for each.
pub(crate) const TRANSPORTS: [&str; 3] = [
    "Accept: text/event-stream\r\n",
    "Accept: application/x-ndjson\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
];

/// What the whole test binary logs from the first use on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> Self {
        let log = Self::default();
        let writer = log.clone();
        // What others wrote that stands between a client and us speaks too.
        let filter = EnvFilter::new("trace,rdkafka=info");
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        subscriber.try_init().unwrap();
        log
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every form in which a secret might stand somewhere.
pub(crate) fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let digest = Sha256::digest(secret);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        ("itself", secret.to_owned()),
        ("its first half", secret[..secret.len() / 2].to_owned()),
        ("in base64", STANDARD.encode(secret)),
        ("its digest in hex", hex),
        ("its digest in base64", STANDARD.encode(digest)),
        ("its digest in base64url", URL_SAFE_NO_PAD.encode(digest)),
        ("its digest's bytes", format!("{:?}", &digest[..8]).trim_matches(['[', ']']).to_owned()),
    ]
}

/// Sends a request as it is; answers all that comes until the server has said what it has to.
pub(crate) async fn said(address: SocketAddr, target: &str, headers: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A stream goes on: its head is enough.
    while !answer.windows(4).any(|four| four == b"\r\n\r\n")
        && socket.read_buf(&mut answer).await.unwrap() > 0
    {}
    if !answer.starts_with(b"HTTP/1.1 200") && !answer.starts_with(b"HTTP/1.1 101") {
        socket.read_to_end(&mut answer).await.unwrap();
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A listener's requests for a transport with a key: by each way, and where it does not belong.
pub(crate) fn requests(path: &str, key: &str, transport: &str) -> Vec<(String, String)> {
    let plain = transport.to_owned();
    let bearer = format!("{transport}Authorization: Bearer {key}\r\n");
    let offered = format!("{transport}Sec-WebSocket-Protocol: sluice.v1, bearer.{key}\r\n");
    let bare = format!("{transport}Authorization: {key}\r\nCookie: session={key}\r\n");
    vec![
        (format!("{path}?key={key}"), plain.clone()),
        (path.to_owned(), bearer.clone()),
        (path.to_owned(), offered),
        (path.to_owned(), bare),
        (format!("{path}?kursor={key}"), bearer.clone()),
        (format!("{path}?{key}"), bearer.clone()),
        (format!("{path}?cursor={key}"), bearer.clone()),
        (format!("{path}?slow={key}"), bearer.clone()),
        (format!("{path}?key={key}&key={key}"), plain),
        (format!("/v1/streams/{key}"), bearer.clone()),
        (format!("/{key}"), bearer),
        (format!("{path}?key={key}"), String::new()),
        (format!("{path}?key={key}"), "Bad Header: x\r\n".to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn t6_no_token_stands_in_a_log_or_an_answer() {
    let log = Log::start();
    let kafka = kafka();
    let replica = {
        let failures_per_minute_max = u32::MAX;
        Replica::with(&kafka, Setting { failures_per_minute_max, ..Setting::default() }).await
    };
    let (_, made) = replica.ask("POST", "/channels", json!({ "area": AREA })).await;
    let channel = made["channel"]["id"].as_str().unwrap();
    let token = made["token"]["id"].as_str().unwrap();
    let secret = made["token"]["secret"].as_str().unwrap();
    // One that is almost right is almost as secret.
    let wrong = format!("{}A{}", &secret[..20], &secret[21..]);
    let path = format!("/v1/streams/{channel}");
    let mut answers = Vec::new();
    let mut opened = 0;
    for is_enabled in [true, false] {
        let toggle = format!("/channels/{channel}/tokens/{token}");
        let (_, toggled) = replica.ask("PATCH", &toggle, json!({ "enabled": is_enabled })).await;
        answers.push(toggled.to_string());
        for key in [secret, &wrong] {
            for transport in TRANSPORTS {
                for (target, headers) in requests(&path, key, transport) {
                    let answer = said(replica.streams, &target, &headers).await;
                    opened += usize::from(matches!(&answer[9..12], "200" | "101"));
                    answers.push(answer);
                    until("it is gone", || replica.connections.count() == 0).await;
                }
            }
        }
    }
    // By the query, a header and a subprotocol, over three transports, while it was enabled.
    assert_eq!(opened, 9);
    for (method, path, body) in [
        ("POST", format!("/channels/{channel}/tokens"), json!({ "secret": secret })),
        ("POST", "/channels".to_owned(), json!({ "area": 7, "token": secret })),
        ("GET", "/channels".to_owned(), json!({})),
        ("GET", format!("/channels/{channel}"), json!({})),
        ("GET", format!("/channels/{channel}/audit"), json!({})),
        ("GET", "/connections".to_owned(), json!({})),
        ("GET", format!("/channels/{secret}"), json!({})),
    ] {
        answers.push(replica.ask(method, &path, body).await.1.to_string());
    }
    answers.push(ask(replica.api, &wrong, "GET", "/channels", "").await.1.to_string());
    let (answers, log) = (answers.join("\n"), log.text());
    // The log has something to say of what happened here.
    assert!(log.contains("DEBUG") && log.contains("a stream ended"), "{log}");
    for (whose, secret) in
        [("the token", secret), ("a wrong one", &wrong), ("the administrator's", ADMIN)]
    {
        for (form, text) in forms(secret) {
            for (place, found) in [("an answer", &answers), ("the log", &log)] {
                let line = found.lines().find(|line| line.contains(&text));
                assert_eq!(line, None, "{whose}, {form}, in {place}");
            }
        }
    }
}
