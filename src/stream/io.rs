//! Sockets: what we write goes out by these, what a WebSocket's client sends comes in.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};

use bytes::Bytes;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::end::End;
use super::session::outbox::{Outbox, SLICES_MAX, Wrote};
use super::ws::input::{Input, Message};

/// What is read from a client at once: it has nothing large to say.
const READ_BYTES: usize = 1_024;
/// What a plain response is given at once: what waits there cannot be taken back.
const PIECE_BYTES_MAX: usize = 64 * 1_024;

/// Whom we write to.
pub trait Sink: Send {
    /// Writes some of it and takes that off its front; fails where nobody reads any more. Where the
    /// future is dropped before it is done, nothing was written.
    fn write(&mut self, outbox: &mut Outbox) -> impl Future<Output = io::Result<Wrote>> + Send;
}

/// Whom we hear.
pub trait Source: Send {
    /// The next message. Where the future is dropped before it is done, nothing is lost.
    ///
    /// # Errors
    /// It is gone, or breaks the protocol.
    fn receive(&mut self) -> impl Future<Output = Result<Message, End>> + Send;
}

/// The writing half of a WebSocket.
#[derive(Debug)]
pub struct Socket(pub OwnedWriteHalf);

impl Sink for Socket {
    async fn write(&mut self, outbox: &mut Outbox) -> io::Result<Wrote> {
        loop {
            self.0.writable().await?;
            let written = {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let count = outbox.slices(&mut slices);
                self.0.try_write_vectored(slices.get(..count).unwrap_or_default())
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => return Ok(outbox.wrote(written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The reading half of a WebSocket. It holds no buffer while nothing comes.
#[derive(Debug)]
pub struct Heard {
    from: OwnedReadHalf,
    input: Input,
    ready: VecDeque<Message>,
    violation: Option<End>,
}

impl Heard {
    /// `before` is what came together with the handshake.
    #[must_use]
    pub fn new(from: OwnedReadHalf, before: &[u8]) -> Self {
        let (input, ready) = (Input::default(), VecDeque::new());
        let mut heard = Self { from, input, ready, violation: None };
        heard.feed(before);
        heard
    }

    fn feed(&mut self, bytes: &[u8]) {
        let mut messages = Vec::new();
        for piece in bytes.chunks(READ_BYTES) {
            let fed = self.input.feed(piece, &mut messages);
            self.ready.extend(messages.drain(..));
            if let Err(violation) = fed {
                self.violation = Some(End::Violation(violation));
                return;
            }
        }
    }
}

impl Source for Heard {
    async fn receive(&mut self) -> Result<Message, End> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            if let Some(violation) = &self.violation {
                return Err(violation.clone());
            }
            self.from.readable().await.map_err(|_gone| End::Client)?;
            let mut buffer = [0; READ_BYTES];
            match self.from.try_read(&mut buffer) {
                Ok(0) => return Err(End::Client),
                Ok(read) => self.feed(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(End::Client),
            }
        }
    }
}

/// The body of a plain response: one piece waits, so that the client's pace is ours.
#[derive(Debug)]
pub struct Body(pub mpsc::Sender<Bytes>);

impl Sink for Body {
    async fn write(&mut self, outbox: &mut Outbox) -> io::Result<Wrote> {
        let room = self.0.reserve().await;
        let room = room.map_err(|_gone| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let (bytes, wrote) = outbox.take(PIECE_BYTES_MAX);
        room.send(bytes);
        Ok(wrote)
    }
}

/// Notices that the reader of a plain response is gone; it has nothing to say.
#[derive(Debug)]
pub struct Gone(pub mpsc::Sender<Bytes>);

impl Source for Gone {
    async fn receive(&mut self) -> Result<Message, End> {
        self.0.closed().await;
        Err(End::Client)
    }
}
