//! One listener: from a place in its area's partition on, until one of the two ends it.
//!
//! It has no queue. It asks the ring for what follows its place; where the ring no longer holds
//! that, it reads Kafka until it is back in the ring. What it cannot have is told as a gap.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::catch_up::{CatchUp, Read};
use super::end::End;
use super::frames::{Class, CursorText, Frames, Opcode, Transport, put, put_header, put_pong};
use super::live::LiveTopic;
use super::ring::{Block, Place, Ring, Taken};
use super::ws::input::Message;
use crate::clock::Clock;

mod messages;

use messages::Status;

/// What is written at once, in bytes of records, about.
const WRITE_BYTES_MAX: usize = 256 * 1024;
/// Pings go out so often; written bytes and what the client sends count as life (N2).
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(60);
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// How long the ring may be without the partition before the client is told.
const OPEN_MAX: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Whom we write to.
pub trait Sink: Send {
    /// Writes some of it and takes that off its front; fails where nobody reads any more. Where the
    /// future is dropped before it is done, nothing was written.
    fn write(&mut self, bytes: &mut Bytes) -> impl Future<Output = std::io::Result<()>> + Send;
}

/// What a client does when it is slower than its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slow {
    /// It gets from Kafka what the ring has dropped: nothing is lost.
    #[default]
    CatchUp,
    Disconnect,
}

/// Where a client begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With what comes from now on.
    Tip,
    /// With the oldest event that Kafka holds.
    Earliest,
    /// Where it was; what is gone since then is told as a gap.
    Place(Place),
}

/// What a client has asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    pub area: Arc<str>,
    pub partition: i32,
    pub from: From,
    pub transport: Transport,
    pub batch: bool,
    pub slow: Slow,
}

/// What all listeners share.
#[derive(Debug)]
pub struct Shared {
    pub ring: Arc<Ring>,
    pub live: LiveTopic,
    pub clock: Clock,
}

/// Makes the cursor of a place in this listener's partition, bound to its channel.
pub type Seal = Arc<dyn Fn(Place) -> CursorText + Send + Sync>;

/// What may come from elsewhere while a listener listens.
#[derive(Debug)]
pub struct Signals {
    /// What the client sends; closed where it is gone. `None`: it cannot send.
    pub input: Option<mpsc::Receiver<Result<Message, End>>>,
    /// Set where the stream is to be closed.
    pub ending: watch::Receiver<Option<End>>,
}

/// One listener.
pub struct Session<S> {
    shared: Arc<Shared>,
    wish: Wish,
    seal: Seal,
    sink: S,
    signals: Signals,
    place: Place,
    alive: Instant,
    ping: Interval,
    status: Interval,
    /// What a ping that came while we wrote is to be answered with.
    pong: Option<Vec<u8>>,
    /// Events written.
    sent: u64,
}

impl<S> std::fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("wish", &self.wish).finish_non_exhaustive()
    }
}

impl<S: Sink> Session<S> {
    pub fn new(shared: Arc<Shared>, wish: Wish, seal: Seal, sink: S, signals: Signals) -> Self {
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.reset();
            ticks
        };
        Self {
            place: match wish.from {
                From::Place(place) => place,
                From::Tip | From::Earliest => Place::of(0),
            },
            shared,
            wish,
            seal,
            sink,
            signals,
            alive: Instant::now(),
            ping: every(PING_EVERY),
            status: every(STATUS_EVERY),
            pong: None,
            sent: 0,
        }
    }

    /// Listens to the end; says farewell. Answers why it ended and how many events went out.
    pub async fn run(mut self) -> (End, u64) {
        let Err(end) = self.listen().await else { return (End::Client, self.sent) };
        if let Some(farewell) = end.farewell() {
            let mut out = Vec::new();
            let text = messages::error(&farewell, &(self.seal)(self.place));
            put(&mut out, self.wish.transport, &[&text], None);
            if self.wish.transport == Transport::WebSocket {
                super::frames::put_close(&mut out, farewell.code, &farewell.detail);
            }
            // Who does not read the last words has the cursor of its last event.
            let mut out = Bytes::from(out);
            let last_words =
                async { while !out.is_empty() && self.sink.write(&mut out).await.is_ok() {} };
            tokio::time::timeout(LAST_WORDS_MAX, last_words).await.unwrap_or_default();
        }
        (end, self.sent)
    }

    /// Never ends well.
    async fn listen(&mut self) -> Result<(), End> {
        let (area, partition) = (Arc::clone(&self.wish.area), self.wish.partition);
        let mut news = self.shared.ring.news(&area);
        let end = opened(&self.shared.ring, partition).await?;
        if self.wish.from == From::Tip {
            self.place = Place::of(end);
        }
        loop {
            news.borrow_and_update();
            match self.shared.ring.take(&area, partition, self.place, WRITE_BYTES_MAX) {
                Taken::Behind(floor) => self.catch_up(floor).await?,
                Taken::Blocks(blocks, next) if blocks.is_empty() => {
                    self.place = next;
                    tokio::select! {
                        // The ring never drops the sender while somebody listens.
                        changed = news.changed() => drop(changed),
                        due = due(&mut self.signals, &mut self.ping, &mut self.status) => {
                            self.due(due?).await?;
                        }
                    }
                }
                Taken::Blocks(blocks, next) => {
                    self.send(&blocks).await?;
                    self.place = next;
                }
            }
        }
    }

    /// Reads Kafka up to what the ring holds.
    async fn catch_up(&mut self, mut floor: i64) -> Result<(), End> {
        if self.wish.slow == Slow::Disconnect && self.sent > 0 {
            return Err(End::Slow);
        }
        let (shared, from) = (Arc::clone(&self.shared), self.place);
        let of = (Arc::clone(&self.wish.area), self.wish.partition);
        let open = move || CatchUp::open(&shared.live, of, from);
        let (mut reader, lost) = blocking(open).await?;
        if let Some(oldest) = lost {
            // Nobody has missed what was gone before they first came.
            if std::mem::replace(&mut self.wish.from, From::Tip) != From::Earliest {
                self.tell_lost(oldest).await?;
            }
            self.place = Place::of(oldest);
        }
        while self.place.offset < floor {
            let until = floor;
            let (back, read) = blocking(move || {
                let read = reader.read(until)?;
                Ok((reader, read))
            })
            .await?;
            reader = back;
            let Read { blocks, next } = read;
            self.send(&blocks).await?;
            self.place = self.place.max(next);
            self.due_now().await?;
            // The ring has moved on meanwhile.
            let (area, partition) = (&self.wish.area, self.wish.partition);
            match self.shared.ring.take(area, partition, self.place, 0) {
                Taken::Behind(later) => floor = later,
                Taken::Blocks(..) => break,
            }
        }
        Ok(())
    }

    /// Writes the events of records, from the place on.
    async fn send(&mut self, blocks: &[Arc<Block>]) -> Result<(), End> {
        let mut out: Vec<Bytes> = Vec::with_capacity(blocks.len());
        for block in blocks {
            let from = if block.offset == self.place.offset { self.place.index } else { 0 };
            out.push(self.ready(block, from));
            let index = u32::try_from(block.len()).unwrap_or(u32::MAX);
            self.sent += u64::from(index.saturating_sub(from));
        }
        let bytes = match out.as_slice() {
            [alone] => alone.clone(),
            several => several.concat().into(),
        };
        if !bytes.is_empty() {
            self.write(bytes).await?;
        }
        if let Some(last) = blocks.last() {
            self.place = Place::of(last.offset + 1);
        }
        Ok(())
    }

    fn ready(&self, block: &Block, from: u32) -> Bytes {
        let Wish { transport, batch, .. } = self.wish;
        let seal = &*self.seal;
        let make = |block: &Block| {
            if batch {
                Frames::batch(block, 0, transport, seal)
            } else {
                Frames::native(block, transport, seal)
            }
        };
        if batch && from > 0 {
            return Frames::batch(block, from, transport, seal).from(0);
        }
        let frames = block.frames(Class::native(transport, batch), make);
        frames.map(|frames| frames.from(from)).unwrap_or_default()
    }

    /// Writes all of it, unless the stream is to be closed meanwhile. Every byte that the client
    /// takes, and whatever it sends, is a sign of life: a slow client is not a dead one.
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), End> {
        while !bytes.is_empty() {
            let Signals { input, ending } = &mut self.signals;
            tokio::select! {
                biased;
                end = asked(ending) => return Err(end),
                message = received(input) => match message? {
                    Message::Close(_) => return Err(End::Client),
                    Message::Ping(payload) => {
                        self.alive = Instant::now();
                        self.pong = Some(payload);
                    }
                    Message::Pong | Message::Text(_) | Message::Binary(_) => {
                        self.alive = Instant::now();
                    }
                },
                written = self.sink.write(&mut bytes) => {
                    written.map_err(|_gone| End::Client)?;
                    self.alive = Instant::now();
                }
                () = sleep_until(self.alive + SILENCE_MAX) => return Err(End::Silent),
            }
            if bytes.is_empty()
                && let Some(payload) = self.pong.take()
            {
                let mut out = Vec::new();
                put_pong(&mut out, &payload);
                bytes = out.into();
            }
        }
        Ok(())
    }

    async fn due_now(&mut self) -> Result<(), End> {
        let due = due(&mut self.signals, &mut self.ping, &mut self.status);
        match futures::FutureExt::now_or_never(due) {
            Some(due) => self.due(due?).await,
            None => Ok(()),
        }
    }

    async fn due(&mut self, due: Due) -> Result<(), End> {
        let mut out = Vec::new();
        match due {
            Due::Ping => {
                if self.alive.elapsed() > SILENCE_MAX {
                    return Err(End::Silent);
                }
                match self.wish.transport {
                    Transport::WebSocket => put_header(&mut out, Opcode::Ping, 0),
                    // A comment (WHATWG HTML, section 9.2.6).
                    Transport::Sse => out.extend_from_slice(b":\n\n"),
                    Transport::Ndjson => return Ok(()),
                }
                // A ping is no sign of the client's life.
                let alive = self.alive;
                let written = self.write(out.into()).await;
                if self.wish.transport == Transport::WebSocket {
                    self.alive = alive;
                }
                return written;
            }
            Due::Status => self.put_status(&mut out),
            Due::Message(message) => {
                self.alive = Instant::now();
                match message {
                    Message::Ping(payload) => put_pong(&mut out, &payload),
                    Message::Close(_) => {
                        put_header(&mut out, Opcode::Close, 0);
                        self.write(out.into()).await?;
                        return Err(End::Client);
                    }
                    Message::Pong | Message::Text(_) | Message::Binary(_) => return Ok(()),
                }
            }
        }
        self.write(out.into()).await
    }

    /// `{"status":{…}}`: where the topic ends, and how far behind it the client is.
    fn put_status(&self, out: &mut Vec<u8>) {
        let ring = &self.shared.ring;
        let (area, partition) = (&self.wish.area, self.wish.partition);
        let tip = ring.end(partition).unwrap_or(self.place.offset).max(self.place.offset);
        // What Kafka holds for a listener that catches up was not looked at yet.
        let ahead = match ring.take(area, partition, self.place, usize::MAX) {
            Taken::Blocks(blocks, _) => Some(blocks),
            Taken::Behind(_) => None,
        };
        let events = ahead.as_ref().map(|blocks| blocks.iter().map(|block| block.len()).sum());
        let since = ahead.as_ref().map(|blocks| blocks.first().map(|block| block.time));
        let lag = since.map(|first| first.map_or(0, |time| self.shared.clock.now() - time));
        let status = Status {
            tip: (self.seal)(Place::of(tip)),
            lag_events: events.map(|events: usize| events as u64),
            lag_ms: lag.map(|lag| u64::try_from(lag).unwrap_or(0)),
            sent: self.sent,
        };
        let text = status.text();
        put(out, self.wish.transport, &[&text], None);
    }

    /// `{"gap":{…}}`: nobody knows how many events retention took, only from where to where.
    async fn tell_lost(&mut self, oldest: i64) -> Result<(), End> {
        let text = messages::lost(&(self.seal)(self.place), &(self.seal)(Place::of(oldest)));
        let mut out = Vec::new();
        put(&mut out, self.wish.transport, &[&text], None);
        self.write(out.into()).await
    }
}

/// Waits until the live topic is read; answers its end.
async fn opened(ring: &Ring, partition: i32) -> Result<i64, End> {
    let since = Instant::now();
    loop {
        if let Some(end) = ring.end(partition) {
            return Ok(end);
        }
        if since.elapsed() > OPEN_MAX {
            return Err(End::Unavailable("the live topic cannot be read".to_owned()));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// How long the last words may take.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

enum Due {
    Ping,
    Status,
    Message(Message),
}

/// Waits for whatever is due beside events.
async fn due(
    signals: &mut Signals,
    ping: &mut Interval,
    status: &mut Interval,
) -> Result<Due, End> {
    let Signals { input, ending } = signals;
    tokio::select! {
        biased;
        end = asked(ending) => Err(end),
        message = received(input) => message.map(Due::Message),
        _ = status.tick() => Ok(Due::Status),
        _ = ping.tick() => Ok(Due::Ping),
    }
}

/// The next message of the client; waits for ever where it cannot send.
async fn received(
    input: &mut Option<mpsc::Receiver<Result<Message, End>>>,
) -> Result<Message, End> {
    match input {
        Some(input) => input.recv().await.unwrap_or(Err(End::Client)),
        None => std::future::pending().await,
    }
}

/// Waits until the stream is to be closed.
async fn asked(ending: &mut watch::Receiver<Option<End>>) -> End {
    loop {
        if let Some(end) = ending.borrow_and_update().clone() {
            return end;
        }
        if ending.changed().await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    }
}

/// What asks Kafka and waits, off the threads of the sockets.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, End> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(End::Unavailable(format!("{error:#}"))),
        Err(_) => Err(End::Unavailable("catching up failed".to_owned())),
    }
}
