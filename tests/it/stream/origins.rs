//! What pages of other origins are told, as bytes: a browser acts on these headers alone.

use super::*;

/// Status and the header that lets a page read, of an answer's head.
async fn head(rig: &Rig, method: &str, target: &str, headers: &str) -> (u16, Option<String>) {
    let mut socket = TcpStream::connect(rig.replica.address).await.unwrap();
    let request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        assert!(socket.read_buf(&mut head).await.unwrap() > 0, "closed before the answer");
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let allowed = lines.find(|(name, _)| *name == "access-control-allow-origin");
    (head[9..12].parse().unwrap(), allowed.map(|(_, origin)| origin.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_every_origin_or_of_some() {
    const MINE: &str = "https://console.example.com";
    const OTHER: &str = "https://evil.example";
    let sse = "Accept: text/event-stream\r\n";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let asks = "Access-Control-Request-Method: GET\r\n\
                Access-Control-Request-Headers: authorization\r\n";
    let (good, bad) = ("/v1/streams/acme?key=good", "/v1/streams/acme?key=bad");
    let any = Rig::start(1 << 20).await;
    let some = Bounds { origins: Origins::new(&[MINE.to_owned()]), ..Bounds::default() };
    let some = Rig::start_with(some).await;
    for (rig, origin, expected) in [
        (&any, OTHER, [(200, Some("*")), (101, Some("*")), (401, Some("*")), (200, Some("*"))]),
        (&some, MINE, [(200, Some(MINE)), (101, Some(MINE)), (401, Some(MINE)), (200, Some(MINE))]),
        // Whether the token is good is not told either.
        (&some, OTHER, [(403, None), (403, None), (403, None), (200, None)]),
    ] {
        let requests = [
            ("GET", good, sse),
            ("GET", good, upgrade),
            ("GET", bad, sse),
            ("OPTIONS", good, asks),
        ];
        for ((method, target, headers), (status, allowed)) in requests.into_iter().zip(expected) {
            let headers = format!("Origin: {origin}\r\n{headers}");
            let found = head(rig, method, target, &headers).await;
            assert_eq!(found, (status, allowed.map(str::to_owned)), "{origin}: {method} {headers}");
        }
    }
    // Who is no browser names no origin, and is told of none.
    for rig in [&any, &some] {
        assert_eq!(head(rig, "GET", good, sse).await, (200, None));
    }
    // The dictionary may come out of a cache, which has to be told.
    assert_eq!(head(&any, "GET", "/v1/dictionary", "").await, (200, Some("*".to_owned())));
}
