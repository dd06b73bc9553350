//! A start while Kafka is away: whoever comes is answered.

use tokio::net::TcpListener;
use tokio::time::timeout;

use super::administration::{ask, kafka};
use super::process::{Served, admin_token, free_address};
use super::*;

/// What is refused: status, kind, and the header `Retry-After`.
async fn refusal(to: SocketAddr, path: &str) -> (String, String, Option<String>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    let answer = timeout(Duration::from_secs(5), async {
        let mut socket = TcpStream::connect(to).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert_ne!(socket.read_buf(&mut answer).await.unwrap(), 0, "cut off");
        }
        String::from_utf8(answer).unwrap()
    });
    let answer = answer.await.expect("an answer at once");
    let (_, kind) = answer.split_once("urn:sluice:problem:").expect("a problem document");
    let retry = answer.lines().find_map(|line| line.strip_prefix("retry-after: "));
    let kind = kind.split('"').next().unwrap().to_owned();
    (answer[9..12].to_owned(), kind, retry.map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn before_kafka_is_there_whoever_asks_is_told_so_at_once() {
    let kafka = kafka();
    kafka.cluster.create_topic("sluice-presence", 1, 1).unwrap();
    admin_token(&kafka).await;
    let key = "stream.cursor_key = \"0123456789abcdef0123456789abcdef\"\n";
    // With a key of its own the process waits for the live topic only.
    for (key, streams) in [("", "control-unavailable"), (key, "live-unavailable")] {
        let bootstrap = free_address();
        let more = format!("roles = [\"stream\"]\n{key}");
        let nowhere = format!("http://{}", free_address());
        let mut served = Served::of(&bootstrap.to_string(), &more, &nowhere);
        served.run();
        let listens = |to: SocketAddr| std::net::TcpStream::connect(to).is_ok();
        until("it listens", || listens(served.streams) && listens(served.api)).await;
        let told = |kind: &str| ("503".to_owned(), kind.to_owned(), Some("2".to_owned()));
        let (channel, channels) = ("/v1/streams/c1?key=wrong", "/api/v1/channels");
        // Where a key is read first, these are two steps of the start.
        let first = refusal(served.streams, channel).await;
        assert!([told(streams), told("control-unavailable")].contains(&first), "{first:?}");
        assert_eq!(refusal(served.api, channels).await, told("control-unavailable"));
        assert_eq!(refusal(served.streams, channel).await, told(streams));

        if !key.is_empty() {
            let body = r#"{"area":"id:acme"}"#;
            let (status, _) = ask(served.api, "a token", "POST", "/channels", body).await;
            assert_eq!(status, 503);
        }

        // Kafka comes: its address leads to the brokers.
        let listener = TcpListener::bind(bootstrap).await.unwrap();
        let brokers = kafka.cluster.bootstrap_servers();
        let mut lines = JoinSet::new();
        let comes = async {
            loop {
                let (mut from, _) = listener.accept().await.unwrap();
                let brokers = brokers.clone();
                lines.spawn(async move {
                    let mut to = TcpStream::connect(brokers).await.unwrap();
                    tokio::io::copy_bidirectional(&mut from, &mut to).await.unwrap_or_default();
                });
            }
        };
        let served_by_then = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            // The mock cluster gives no ids of topics: the live topic is waited for still.
            for (to, path, kind) in [
                (served.api, channels, "unauthorized"),
                (served.streams, channel, "live-unavailable"),
            ] {
                while refusal(to, path).await.1 != kind {
                    ticks.tick().await;
                }
            }
        };
        tokio::select! {
            () = comes => {}
            done = timeout(Duration::from_secs(30), served_by_then) => {
                assert!(done.is_ok(), "{}", served.ended());
            }
        }
        let log = served.ended();
        let is_told = log.contains("a change is refused: the control topic is unavailable");
        assert_eq!(is_told, !key.is_empty(), "{log}");
    }
}
