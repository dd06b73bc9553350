//! Sockets: what we write goes out by these, what a WebSocket's client sends comes in.

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::end::End;
use super::session::Sink;
use super::ws::input::{Input, Message};

/// What is read from a client at once: it has nothing large to say.
const READ_BYTES: usize = 1024;

/// The writing half of an upgraded connection.
#[derive(Debug)]
pub struct Socket<W>(pub W);

impl<W: AsyncWrite + Unpin + Send> Sink for Socket<W> {
    async fn write(&mut self, bytes: &mut Bytes) -> std::io::Result<()> {
        // Either writes or does not, whenever it is dropped.
        match self.0.write(bytes).await? {
            0 => Err(std::io::ErrorKind::WriteZero.into()),
            written => {
                bytes.advance(written);
                Ok(())
            }
        }
    }
}

/// The body of a plain response: one piece waits, so that the client's pace is ours.
#[derive(Debug)]
pub struct Body(pub mpsc::Sender<Bytes>);

impl Sink for Body {
    async fn write(&mut self, bytes: &mut Bytes) -> std::io::Result<()> {
        let room = self.0.reserve().await;
        let room = room.map_err(|_gone| std::io::Error::from(std::io::ErrorKind::BrokenPipe))?;
        room.send(bytes.split_to(bytes.len()));
        Ok(())
    }
}

/// Reads a client's messages until it is gone or breaks the protocol. It waits where the messages
/// are not taken, so a client that floods is slowed by its own socket.
pub async fn read(mut from: impl AsyncRead + Unpin, to: mpsc::Sender<Result<Message, End>>) {
    let mut input = Input::default();
    let mut buffer = [0; READ_BYTES];
    let mut messages = Vec::new();
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => buffer.get(..read).unwrap_or_default(),
        };
        let fed = input.feed(read, &mut messages);
        for message in messages.drain(..) {
            if to.send(Ok(message)).await.is_err() {
                return;
            }
        }
        if let Err(violation) = fed {
            // Nobody to be told any more is as good.
            to.send(Err(End::Violation(violation))).await.unwrap_or_default();
            return;
        }
    }
}
