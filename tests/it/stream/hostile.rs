//! Clients that mean harm, or know no better: each is refused or bounded, and a listener beside
//! them hears every event.

use super::wire::{Frame, bytes, frame, part};
use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
const TEXT: u8 = 1;
const MORE: u8 = 0;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What the server says to these bytes: the status of its answer, or nothing before it closes.
async fn answer(address: SocketAddr, sent: &[u8]) -> Option<u16> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // It may have closed before all of it went out.
    socket.write_all(sent).await.unwrap_or_default();
    let mut head = Vec::new();
    while head.len() < 12 {
        match tokio::time::timeout(PATIENCE, socket.read_buf(&mut head)).await.unwrap() {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
    let head = String::from_utf8(head).unwrap();
    Some(head[9..12].parse().unwrap())
}

/// A listener that has to hear every event whatever the others do.
struct Unhurt<'a> {
    rig: &'a Rig,
    client: Client,
    heard: usize,
}

impl<'a> Unhurt<'a> {
    async fn listens(rig: &'a Rig) -> Self {
        let client = rig.client("websocket", "key=good&earliest").await;
        assert!(client.head.starts_with("HTTP/1.1 101"), "{}", client.head);
        Self { rig, client, heard: 0 }
    }

    async fn hears(&mut self, count: usize) {
        let expected: Vec<_> = (self.heard..self.heard + count).collect();
        self.rig.go_live(self.heard..self.heard + count);
        assert_eq!(numbers(&self.client.events(count).await), expected);
        self.heard += count;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads() {
    let rig = Rig::start(1 << 20).await;
    let mut unhurt = Unhurt::listens(&rig).await;
    let wrong = std::cell::RefCell::new(Vec::new());
    let check = async |what: &str, line: &str, headers: &str, expected: Option<u16>| {
        let sent = format!("{line}\r\n{headers}\r\n");
        let found = answer(rig.replica.address, sent.as_bytes()).await;
        if found != expected {
            wrong.borrow_mut().push(format!("{what}: {found:?} instead of {expected:?}"));
        }
    };
    let good = "GET /v1/streams/acme?key=good HTTP/1.1";
    let plain = "Host: x\r\nAccept: application/x-ndjson\r\n";
    let with = |more: &str| format!("{plain}{more}\r\n");
    let long = "x".repeat(20_000);
    let many: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    check("a right one", good, plain, Some(200)).await;
    check("a header of 20 KB", good, &with(&format!("X: {long}")), Some(431)).await;
    check("a hundred headers", good, &format!("{plain}{many}"), Some(431)).await;
    check("a path of 20 KB", &format!("GET /{long} HTTP/1.1"), plain, Some(431)).await;
    check("two lengths", good, &with("Content-Length: 1\r\nContent-Length: 2"), Some(400)).await;
    check("a length that is none", good, &with("Content-Length: -1"), Some(400)).await;
    check("a coding that is none", good, &with("Transfer-Encoding: chunked, x"), Some(400)).await;
    check("no host", good, "Accept: application/x-ndjson\r\n", Some(400)).await;
    check("two hosts", good, &with("Host: y"), Some(400)).await;
    check("a space before the colon", good, &with("X : y"), Some(400)).await;
    check("a folded line", good, &with("X: y\r\n z"), Some(400)).await;
    check("a zero byte", good, &with("X: \0"), Some(400)).await;
    check("no HTTP", "\u{16}\u{3}\u{1}", plain, Some(400)).await;
    check("HTTP/2", "PRI * HTTP/2.0", "\r\nSM\r\n", None).await;
    check("HTTP/0.9", "GET /v1/streams/acme", "", Some(400)).await;
    // An old client, and the form that a proxy uses (RFC 9112, section 3.2.2).
    let old = good.replace("1.1", "1.0");
    check("HTTP/1.0", &old, "Accept: application/x-ndjson\r\n", Some(200)).await;
    check("a whole URL", &good.replace(" /", " http://x/"), plain, Some(200)).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    check("a WebSocket over HTTP/1.0", &old, &with(upgrade), Some(426)).await;
    let half = upgrade.replace("dGhlIHNhbXBsZSBub25jZQ==", "short");
    check("a bad key", good, &with(&half), Some(426)).await;
    let version = upgrade.replace("13", "8");
    check("an old version", good, &with(&version), Some(426)).await;
    for method in ["POST", "PUT", "DELETE", "get", "TRACE"] {
        check(method, &good.replace("GET", method), plain, Some(405)).await;
    }
    assert!(wrong.borrow().is_empty(), "{wrong:#?}");
    unhurt.hears(20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn targets() {
    let rig = Rig::start(1 << 20).await;
    let check = async |target: &str, expected: u16| {
        let sent = format!("GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
        assert_eq!(answer(rig.replica.address, sent.as_bytes()).await, Some(expected), "{target}");
    };
    // Letters that need no percent sign are the same with one.
    check("/v1/streams/%61cme?key=good", 200).await;
    check("/v1/streams/acme?%6bey=goo%64", 200).await;
    check("/v1/streams/acme?key=good%00", 401).await;
    check("/v1/streams/acme?key=good%ff", 401).await;
    check("/v1/streams/acme?key=good+", 401).await;
    check("/v1/streams/acme%2f?key=good", 401).await;
    check("/v1/streams/acme%00?key=good", 401).await;
    check("/v1/streams/ACME?key=good", 401).await;
    check("/v1/streams/%ff?key=good", 400).await;
    check("/v1/streams/acme/?key=good", 404).await;
    check("//v1/streams/acme?key=good", 404).await;
    check("/v1/streams/../streams/acme?key=good", 404).await;
    check("/v1/streams/acme?key=good&key=good", 400).await;
    check("/v1/streams/acme?key=good&nonsense=1", 400).await;
    check("/v1/streams/acme?key=good&Batch=1", 400).await;
    check("/v1/streams/acme?key=good&=", 400).await;
    check("/v1/streams/acme?key=good&cursor=%00", 409).await;
    check(&format!("/v1/streams/acme?key=good&cursor={}", "9".repeat(4_000)), 409).await;
}

/// Those that say nothing, half a head, or nothing more after an answer, lose their sockets; then
/// who waited behind them is served.
#[tokio::test(flavor = "multi_thread")]
async fn half_handshakes() {
    let head_timeout = Duration::from_millis(300);
    let bounds = Bounds { head_timeout, failures_per_minute_max: u32::MAX, ..Bounds::default() };
    let rig = Rig::start_with(bounds).await;
    let mut unhurt = Unhurt::listens(&rig).await;
    let answered = "GET /v1/streams/acme HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    let starts = ["", "G", "GET /v1/streams/acme HTTP/1.1\r\nHost: x\r\nX-", answered];
    let mut sockets = Vec::new();
    for start in starts.iter().cycle().take(1_000) {
        let mut socket = TcpStream::connect(rig.replica.address).await.unwrap();
        socket.write_all(start.as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    unhurt.hears(50).await;
    // Behind all of them.
    let mut late = rig.client("ndjson", "key=good&earliest").await;
    assert_eq!(numbers(&late.events(50).await), (0..50).collect::<Vec<_>>());
    for (socket, start) in sockets.iter_mut().zip(starts.iter().cycle()) {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest)).await;
        // A reset is as good an end.
        read.expect("the server closes").unwrap_or_default();
        assert_eq!(rest.starts_with(b"HTTP/1.1 401"), *start == answered);
    }
    unhurt.hears(50).await;
    assert_eq!(rig.replica.connections.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_counts_among_the_sockets_as_long_as_it_is_open() {
    let rig = Rig::start_with(Bounds { sockets_max: 2, ..Bounds::default() }).await;
    let mut one = rig.client("websocket", "key=good").await;
    let other = rig.client("websocket", "key=good").await;
    let mut third = TcpStream::connect(rig.replica.address).await.unwrap();
    let request = "GET /v1/streams/acme HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    third.write_all(request.as_bytes()).await.unwrap();
    // Time enough for an answer, if there were to be one.
    for _ in 0..50 {
        one.send(&bytes(&[frame(PING, b"")])).await;
        assert_eq!(one.answer().await, (PONG, Vec::new()));
    }
    let mut answer = [0; 12];
    assert!(third.try_read(&mut answer).is_err(), "{:?}", String::from_utf8_lossy(&answer));
    drop(other);
    let read = tokio::time::timeout(PATIENCE, third.read_exact(&mut answer)).await;
    read.expect("a place is free").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

/// A client that only sends is slowed by its own socket: what it sends waits there, not here.
#[tokio::test(flavor = "multi_thread")]
async fn floods() {
    let rig = Rig::start(1 << 20).await;
    let mut unhurt = Unhurt::listens(&rig).await;
    let pings = [frame(PING, &[b'p'; 125]); 1_000];
    // A text in ever so many fragments without a byte in them is no larger for it.
    let fragments = [part(MORE, b""); 1_000];
    let pongs = [frame(PONG, &[b'p'; 125]); 1_000];
    let texts = [frame(TEXT, &[b't'; 4_096]); 50];
    for (begin, flood, end) in [
        (None, &pings[..], None),
        (Some(part(TEXT, b"")), &fragments[..], Some(frame(MORE, b"end"))),
        (None, &pongs[..], None),
        (None, &texts[..], None),
    ] {
        let mut client = rig.client("websocket", "key=good").await;
        client.send(&bytes(begin.as_slice())).await;
        let flood = bytes(flood);
        for _ in 0..20 {
            client.send_and_take(&flood).await;
        }
        client.send(&bytes(end.as_slice())).await;
        client.send(&bytes(&[frame(PING, b"the last")])).await;
        unhurt.hears(20).await;
        while client.answer().await != (PONG, b"the last".to_vec()) {}
        drop(client);
        until("it is gone", || rig.replica.connections.count() == 1).await;
    }
}

/// Two threads serve, and four clients never stop saying next to nothing, two of them before their
/// first message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_without_an_end() {
    let rig = Rig::start(1 << 20).await;
    let mut unhurt = Unhurt::listens(&rig).await;
    let flood = bytes(&[frame(PONG, b""); 10_000]);
    let mut floods = Vec::new();
    for query in ["key=good", "key=good", "key=good&hello=1", "key=good&hello=1"] {
        let socket = rig.client("websocket", query).await.socket.into_std().unwrap();
        socket.set_nonblocking(false).unwrap();
        let ours = socket.try_clone().unwrap();
        let flood = flood.clone();
        let flooding = std::thread::spawn(move || {
            use std::io::Write as _;
            while (&socket).write_all(&flood).is_ok() {}
        });
        floods.push((ours, flooding));
    }
    for _ in 0..10 {
        unhurt.hears(20).await;
    }
    assert!(floods.iter().any(|(_, flooding)| !flooding.is_finished()), "they flood still");
    for (socket, flooding) in floods {
        // The server may have closed it.
        socket.shutdown(std::net::Shutdown::Both).unwrap_or_default();
        flooding.join().unwrap();
    }
}

/// Compression is offered by many clients and never agreed on: a bomb has nowhere to go off.
#[tokio::test(flavor = "multi_thread")]
async fn a_compression_bomb() {
    let rig = Rig::start(1 << 20).await;
    let offer = "/v1/streams/acme?key=good HTTP/1.1\r\n\
                 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nX: ";
    let mut client = Client::open(rig.replica.address, "websocket", offer).await;
    assert!(client.head.starts_with("HTTP/1.1 101"), "{}", client.head);
    assert!(!client.head.to_lowercase().contains("extensions"), "{}", client.head);
    // A megabyte of zeroes, deflated.
    let bomb = [b"\xec\xc1\x01\x01\0\0\0\x80\x90\xfe\xaf\xee\x08\x0a"[..].to_vec(), vec![0; 1_000]];
    let bomb = bomb.concat();
    client.send(&bytes(&[Frame { rsv: 4, ..frame(TEXT, &bomb) }])).await;
    assert_eq!(client.close_code().await, Some(1002));
}

/// Guessing tokens, as fast as a few sockets can: each guess is refused, and nobody else notices.
#[tokio::test(flavor = "multi_thread")]
async fn guessed_tokens() {
    const SOCKETS: usize = 10;
    const GUESSES: usize = 1_000;
    let rig = Rig::start(1 << 20).await;
    let mut unhurt = Unhurt::listens(&rig).await;
    let mut guessing = JoinSet::new();
    for socket in 0..SOCKETS {
        let address = rig.replica.address;
        guessing.spawn(async move {
            let (read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
            let guess = |number: usize| {
                format!(
                    "GET /v1/streams/acme?key=guess-{socket}-{number} HTTP/1.1\r\nHost: x\r\n\
                     Accept: text/event-stream\r\n\r\n"
                )
            };
            let guesses: String = (0..GUESSES).map(guess).collect();
            let sent = async { write.write_all(guesses.as_bytes()).await.unwrap() };
            let refused = async {
                let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(read));
                let (mut refused, mut other) = (0, Vec::new());
                while refused + other.len() < GUESSES {
                    let line = lines.next_line().await.unwrap().unwrap();
                    // A body ends without a line's end, so the next status stands behind it.
                    let Some((_, status)) = line.split_once("HTTP/1.1 ") else { continue };
                    match &status[..3] {
                        "401" | "429" => refused += 1,
                        _ => other.push(line),
                    }
                }
                assert!(other.is_empty(), "{other:?}");
                refused
            };
            tokio::join!(sent, refused).1
        });
    }
    unhurt.hears(200).await;
    let mut refused = 0;
    while let Some(count) = guessing.join_next().await {
        refused += count.unwrap();
    }
    assert_eq!(refused, SOCKETS * GUESSES);
    unhurt.hears(200).await;
    assert_eq!(rig.replica.connections.count(), 1);
}
