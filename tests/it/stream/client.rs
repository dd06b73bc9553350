//! A client that knows no more than the transports' own rules.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const RECEIVE_BYTES: u32 = 4 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    transport: String,
    /// The status line and the headers of the answer.
    pub(crate) head: String,
    /// What was read and not looked at yet: without the framing of HTTP.
    read: Vec<u8>,
    /// What is chunked still.
    chunked: Vec<u8>,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr, transport: &str, target: &str) -> Self {
        Self::try_open(address, transport, target).await.expect("an answer")
    }

    /// `None` where the server closes before its answer, or does not listen.
    pub(crate) async fn try_open(
        address: SocketAddr,
        transport: &str,
        target: &str,
    ) -> Option<Self> {
        let socket = TcpSocket::new_v4().unwrap();
        // So that a client that does not read is noticed soon.
        socket.set_recv_buffer_size(RECEIVE_BYTES).unwrap();
        let mut socket = socket.connect(address).await.ok()?;
        let wants = match transport {
            "websocket" => {
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
            }
            "sse" => "Accept: text/event-stream",
            _ => "Accept: application/x-ndjson",
        };
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{wants}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = find(&bytes, b"\r\n\r\n") {
                break at;
            }
            let read = timeout(PATIENCE, socket.read_buf(&mut bytes)).await.expect("an answer");
            read.ok().filter(|read| *read > 0)?;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let rest = bytes[end + 4..].to_vec();
        let mut client = Self {
            socket,
            transport: transport.to_owned(),
            head,
            read: Vec::new(),
            chunked: Vec::new(),
        };
        client.take(&rest);
        Some(client)
    }

    pub(crate) fn is_websocket(&self) -> bool {
        self.transport == "websocket"
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// Sends as far as the server still reads.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap_or_default();
    }

    /// Messages with events, until so many events came.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<Value> {
        let (mut messages, mut seen) = (Vec::new(), 0);
        while seen < count {
            let message = self.message().await;
            if let Some(data) = message["data"].as_array() {
                seen += data.len();
                messages.push(message);
            } else {
                assert!(message.get("status").is_some(), "{message}");
            }
        }
        messages
    }

    /// The next message that is no status.
    pub(crate) async fn message(&mut self) -> Value {
        loop {
            let message = self.any_message().await;
            if message.get("status").is_none() {
                return message;
            }
        }
    }

    pub(crate) async fn any_message(&mut self) -> Value {
        self.try_message().await.expect("a message before the end")
    }

    /// The next message; `None` where the stream has ended.
    pub(crate) async fn try_message(&mut self) -> Option<Value> {
        loop {
            let text = match self.transport.as_str() {
                "websocket" => match self.try_frame().await? {
                    (1, payload) => payload,
                    (9, _) => continue,
                    (8, _) => return None,
                    other => panic!("a frame of another kind: {other:?}"),
                },
                "sse" => {
                    match self.until(b"\n\n").await?.split(|byte| *byte == b'\n').next_back() {
                        Some(line) if line.starts_with(b"data: ") => line[6..].to_vec(),
                        _ => continue,
                    }
                }
                _ => self.until(b"\n").await?,
            };
            return Some(serde_json::from_slice(&text).unwrap());
        }
    }

    /// The next frame of a WebSocket that is no status: opcode and payload.
    pub(crate) async fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            let frame = self.try_frame().await.expect("a frame before the end");
            if !frame.1.starts_with(b"{\"status\"") {
                return frame;
            }
        }
    }

    /// The next frame that the client itself has called for: an answer to its ping or its close.
    pub(crate) async fn answer(&mut self) -> (u8, Vec<u8>) {
        loop {
            match self.frame().await {
                (1 | 2 | 9, _) => {}
                answer => return answer,
            }
        }
    }

    /// Sends, and meanwhile takes what comes.
    pub(crate) async fn send_and_take(&mut self, bytes: &[u8]) {
        let (mut from, mut to) = self.socket.split();
        let mut sent = std::pin::pin!(to.write_all(bytes));
        loop {
            tokio::select! {
                done = &mut sent => return done.unwrap(),
                read = from.read_buf(&mut self.read) => assert!(read.unwrap() > 0, "closed"),
            }
        }
    }

    async fn try_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((frame, length)) = frame(&self.read) {
                self.read.drain(..length);
                return Some(frame);
            }
            self.more().await.then_some(())?;
        }
    }

    /// Sends a text message, masked with zeros.
    pub(crate) async fn say(&mut self, text: &str) {
        let length = u8::try_from(text.len()).unwrap();
        let mut frame = match length {
            0..=125 => vec![0x81, 0x80 | length],
            _ => vec![0x81, 0x80 | 126, 0, length],
        };
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        self.send(&frame).await;
    }

    /// The first bytes of the body.
    pub(crate) async fn body(mut self, bytes: usize) -> Vec<u8> {
        while self.read.len() < bytes {
            assert!(self.more().await, "the body ends early");
        }
        self.read
    }

    /// Reads to the end; the code of the close frame, where one came.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        while self.more().await {}
        let mut rest = self.read.as_slice();
        let mut code = None;
        while self.is_websocket()
            && let Some(((opcode, payload), length)) = frame(rest)
        {
            if opcode == 8 {
                code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
            rest = &rest[length..];
        }
        code
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.read, end) {
                let text = self.read[..at].to_vec();
                self.read.drain(..at + end.len());
                return Some(text);
            }
            self.more().await.then_some(())?;
        }
    }

    async fn more(&mut self) -> bool {
        let mut bytes = Vec::new();
        let read = timeout(PATIENCE, self.socket.read_buf(&mut bytes)).await;
        let more = read.expect("something from the server").is_ok_and(|read| read > 0);
        self.take(&bytes);
        more
    }

    /// Takes the framing of a chunked body off.
    fn take(&mut self, bytes: &[u8]) {
        if self.is_websocket() || !self.head.contains("chunked") {
            return self.read.extend_from_slice(bytes);
        }
        self.chunked.extend_from_slice(bytes);
        while let Some(at) = find(&self.chunked, b"\r\n") {
            let size = std::str::from_utf8(&self.chunked[..at]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            let Some(chunk) = self.chunked.get(at + 2..at + 2 + size + 2) else { return };
            self.read.extend_from_slice(&chunk[..size]);
            self.chunked.drain(..at + 2 + size + 2);
        }
    }
}

fn frame(bytes: &[u8]) -> Option<((u8, Vec<u8>), usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (start, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap());
            (10, usize::try_from(length).unwrap())
        }
        short => (2, usize::from(short)),
    };
    let payload = bytes.get(start..start + length)?;
    Some(((first & 0x0f, payload.to_vec()), start + length))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}
