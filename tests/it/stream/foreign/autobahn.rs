//! Autobahn's test suite itself, which needs an echo: one of the server's own parts, the reader of
//! frames and the writer of headers.

use std::collections::BTreeMap;

use sluice::stream::frames::{Opcode, put_close, put_close_answer, put_header, put_pong};
use sluice::stream::ws::Opening;
use sluice::stream::ws::input::{Input, MESSAGE_BYTES_MAX, Message};
use tokio::net::TcpListener;

use super::*;

/// Messages are echoed until the client closes or breaks the protocol.
async fn echo(mut socket: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8(head).unwrap();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let opening = Opening {
        connection: header("connection"),
        upgrade: header("upgrade"),
        version: header("sec-websocket-version"),
        key: header("sec-websocket-key"),
    };
    let accept = opening.accept().unwrap();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes()).await?;
    let (mut input, mut messages, mut buffer) = (Input::default(), Vec::new(), [0; 1024]);
    loop {
        let read = socket.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let fed = input.feed(&buffer[..read], &mut messages);
        let mut out = Vec::new();
        let mut is_over = false;
        for message in messages.drain(..) {
            match message {
                Message::Text(text) => put_message(&mut out, Opcode::Text, text.as_bytes()),
                Message::Binary(bytes) => put_message(&mut out, Opcode::Binary, &bytes),
                Message::Ping(payload) => put_pong(&mut out, &payload),
                Message::Pong => {}
                Message::Close(code) => {
                    put_close_answer(&mut out, code);
                    is_over = true;
                }
            }
        }
        if let Err(violation) = fed {
            put_close(&mut out, violation.code(), &violation.to_string());
            is_over = true;
        }
        socket.write_all(&out).await?;
        if is_over {
            socket.shutdown().await?;
            // What is still on its way is read, so that the close frame is not lost to a reset.
            while socket.read(&mut buffer).await? > 0 {}
            return Ok(());
        }
    }
}

fn put_message(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    put_header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// Cases whose messages are larger than a client of ours may send: closed with 1009, which the
/// suite counts as failed.
const TOO_LARGE: &[&str] = &["1.1.6", "1.1.7", "1.1.8", "1.2.6", "1.2.7", "1.2.8", "10.1.1"];

#[tokio::test(flavor = "multi_thread")]
async fn autobahn_test_suite() {
    let Some(program) = server("SLUICE_TEST_CLIENT_AUTOBAHN", "Autobahn's test suite") else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut served = JoinSet::new();
    served.spawn(async move {
        let mut sockets = JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            sockets.spawn(echo(socket));
        }
    });
    let folder = tempfile::TempDir::new().unwrap();
    // 9 is of speed and sizes up to 16 MiB, 12 and 13 of compression.
    let spec = json!({
        "outdir": folder.path().join("reports"),
        "servers": [{ "agent": "sluice", "url": format!("ws://{address}") }],
        "cases": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"],
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let file = folder.path().join("spec.json");
    std::fs::write(&file, spec.to_string()).unwrap();
    let mut command = Command::new(program);
    command.args(["--mode", "fuzzingclient", "--spec"]).arg(&file).current_dir(folder.path());
    let output = timeout(6 * PATIENCE, command.kill_on_drop(true).output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let report = std::fs::read(folder.path().join("reports/index.json"));
    let report: Value = serde_json::from_slice(&report.expect(&said)).unwrap();
    let cases: BTreeMap<String, Value> = serde_json::from_value(report["sluice"].clone()).unwrap();
    // As many as the suite has in these groups.
    assert_eq!(cases.len(), 247, "{:?}", cases.keys());
    for (number, case) in &cases {
        let (behavior, code) = (case["behavior"].as_str().unwrap(), &case["remoteCloseCode"]);
        if TOO_LARGE.contains(&number.as_str()) {
            assert_eq!((behavior, code), ("FAILED", &json!(1009)), "case {number}: {case}");
        } else {
            let is_good = matches!(behavior, "OK" | "INFORMATIONAL" | "NON-STRICT");
            assert!(is_good, "case {number}: {case}");
        }
    }
    const { assert!(MESSAGE_BYTES_MAX == 4_096) };
}
