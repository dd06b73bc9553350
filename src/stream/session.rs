//! One listener: from a place in its area's partition on, until one of the two ends it.
//!
//! It has no queue. It asks the ring for what follows its place; where the ring no longer holds
//! that, it reads Kafka until it is back in the ring. What it cannot have is told as a gap. One
//! loop does all of it: it writes, hears, catches up, and says what is due, whichever comes first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::{consume_budget, yield_now};
use tokio::time::{Instant, timeout};

use super::catch_up::Turn;
use super::end::End;
use super::frames::{Transport, put_pong};
use super::io::{Sink, Source};
use super::place::{Place, Places};
use super::ring::Subscription;
use super::ws::input::Message;
use crate::clock::Millis;
use crate::metrics::stream::GapCause;

mod due;
pub(crate) mod farewell;
mod given;
mod messages;
pub mod outbox;
mod take;

pub(super) use due::CANNOT_BE_READ;
use due::Timer;
pub use given::{From, Seal, Shared, Signals, Slow, Wish};
use outbox::{Outbox, Wrote};
use take::Round;

/// What a client is given at once, in bytes of records: so much at first and after a stall, twice
/// as much each time that it has taken all of it.
const TURN_BYTES_MIN: usize = 16 * 1_024;
const TURN_BYTES_MAX: usize = 256 * 1_024;
/// What is read from Kafka at once, for a client that reads well.
const READ_BYTES_MAX: usize = 1_024 * 1_024;
/// How long the ring may be without the partition before the client is told.
pub(super) const OPEN_MAX: Duration = Duration::from_secs(15);
/// Words of ours that may wait; a client that makes us say more is not heard meanwhile.
const WORDS_MAX: usize = 8;

/// One listener.
pub struct Session<S, R> {
    shared: Arc<Shared>,
    wish: Wish,
    seal: Seal,
    sink: S,
    source: R,
    signals: Signals,
    subscription: Subscription,
    outbox: Outbox,
    /// Behind what is in the outbox.
    places: Places,
    /// Behind what was written.
    written: Places,
    /// Behind what was counted as filtered or left out.
    counted: Places,
    /// Kafka's time of the oldest record in the outbox, where it is of the ring.
    oldest: Option<Millis>,
    /// Kafka's time of the last record that was looked at.
    seen: Option<Millis>,
    /// The ring may hold more already.
    has_more: bool,
    /// What may be taken at once.
    turn_bytes: usize,
    reading: Option<Reading>,
    round: Round,
    /// It was in the ring: from then on to be behind it is to be slow.
    has_been_live: bool,
    /// Events that sampling has left out, and from where on.
    sampled_out: u64,
    sampled_from: Places,
    timer: Timer,
}

impl<S, R> std::fmt::Debug for Session<S, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("wish", &self.wish).finish_non_exhaustive()
    }
}

/// What is read from Kafka at the moment, and for which lane.
type Reading = BoxFuture<'static, anyhow::Result<(usize, Turn)>>;

/// What came first.
enum Next {
    End(End),
    Heard(Message),
    Wrote(Wrote),
    Read(usize, Turn),
    News,
    Due,
}

impl<S: Sink, R: Source> Session<S, R> {
    pub fn new(
        shared: Arc<Shared>,
        wish: Wish,
        seal: Seal,
        (sink, source): (S, R),
        signals: Signals,
    ) -> Self {
        let subscription = shared.ring.subscribe(&wish.area, &wish.lanes);
        let places = Places::all(wish.lanes.len(), Place::of(0));
        Self {
            shared,
            wish,
            seal,
            sink,
            source,
            signals,
            subscription,
            outbox: Outbox::default(),
            written: places.clone(),
            counted: places.clone(),
            oldest: None,
            seen: None,
            has_more: false,
            turn_bytes: TURN_BYTES_MIN,
            reading: None,
            round: Round::default(),
            has_been_live: false,
            sampled_out: 0,
            sampled_from: places.clone(),
            places,
            timer: Timer::new(),
        }
    }

    /// Listens to the end; says farewell. Answers why it ended.
    pub async fn run(&mut self) -> End {
        let end = match self.begin().await {
            Ok(()) => self.listen().await,
            Err(end) => end,
        };
        self.farewell(&end).await;
        end
    }

    /// Finds the places where the client begins.
    async fn begin(&mut self) -> Result<(), End> {
        let ends = self.opened().await?;
        let mut places = match &self.wish.from {
            From::Places(places) => places.clone(),
            From::Tip | From::Earliest | From::Since(_) => ends.clone(),
        };
        let lanes = Arc::clone(&self.wish.lanes);
        for (lane, partition) in lanes.iter().enumerate() {
            let (place, end) = (places.get(lane), ends.get(lane));
            places.set(lane, self.place_in(*partition, place, end).await?);
        }
        if let From::Places(asked) = &self.wish.from
            && *asked != places
        {
            self.tell_gap(GapCause::Restart, None, (&asked.clone(), &places), None);
        }
        (self.written, self.sampled_from) = (places.clone(), places.clone());
        self.places = places;
        // So that a client that is cut before its first event has a cursor too.
        self.tell_status();
        Ok(())
    }

    /// Where the client begins in a partition, of which it asks for `place`, and which is read up to
    /// `end`.
    async fn place_in(&mut self, partition: i32, place: Place, end: Place) -> Result<Place, End> {
        match self.wish.from {
            From::Earliest => Ok(Place::of(self.bounds(partition, None).await?.0)),
            From::Since(time) => match self.bounds(partition, Some(time)).await? {
                // What Kafka removed may have been of that time too: it is read from its beginning,
                // and the gap is told then.
                (low, _, first) if first == low && time < self.shared.clock.now() => {
                    Ok(Place::of(0))
                }
                (_, _, first) => Ok(Place::of(first)),
            },
            From::Places(_) if place > end => {
                let (_, high, _) = self.bounds(partition, None).await?;
                Ok(place.min(Place::of(high)))
            }
            From::Tip | From::Places(_) => Ok(place),
        }
    }

    /// The first offset of a partition, the one behind its last, and the first record since a time.
    async fn bounds(
        &mut self,
        partition: i32,
        since: Option<Millis>,
    ) -> Result<(i64, i64, i64), End> {
        let bounds = self.shared.catch_ups.bounds(partition, since);
        tokio::select! {
            end = asked(&mut self.signals.ending) => Err(end),
            bounds = timeout(OPEN_MAX, bounds) => match bounds {
                Ok(bounds) => bounds.map_err(unavailable),
                Err(_overdue) => Err(End::Unavailable(CANNOT_BE_READ.to_owned())),
            },
        }
    }

    /// Waits until the partitions are read; answers their ends.
    async fn opened(&mut self) -> Result<Places, End> {
        tokio::select! {
            end = asked(&mut self.signals.ending) => Err(end),
            ends = timeout(OPEN_MAX, self.subscription.ends()) => {
                ends.map_err(|_overdue| End::Unavailable(CANNOT_BE_READ.to_owned()))
            }
        }
    }

    async fn listen(&mut self) -> End {
        loop {
            if let Err(end) = self.fill() {
                return end;
            }
            if let Err(end) = self.write_now() {
                return end;
            }
            let done = match self.next().await {
                Next::End(end) => return end,
                Next::Heard(message) => {
                    // Neither this nor the socket's reading counts for the runtime otherwise: a
                    // client that floods would have the thread for itself.
                    consume_budget().await;
                    self.heard(message)
                }
                Next::Wrote(wrote) => {
                    self.wrote(wrote);
                    Ok(())
                }
                Next::Read(lane, turn) => self.read(lane, &turn),
                Next::News => Ok(()),
                Next::Due => self.due(),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Writes what the client takes at once: mostly all of it, and nothing has to be waited for.
    fn write_now(&mut self) -> Result<(), End> {
        while !self.outbox.is_empty()
            && let Some(wrote) = self.sink.write(&mut self.outbox).now_or_never()
        {
            self.wrote(wrote.map_err(|_gone| End::Client)?);
        }
        Ok(())
    }

    /// Waits for whatever comes first.
    async fn next(&mut self) -> Next {
        let is_writing = !self.outbox.is_empty();
        let is_idle = !is_writing && self.reading.is_none();
        self.timer.arm(is_writing);
        let is_heard = self.outbox.words() < WORDS_MAX;
        let is_closed = self.timer.closed.is_some();
        let Subscription { news, opened, .. } = &mut self.subscription;
        tokio::select! {
            biased;
            end = asked(&mut self.signals.ending) => Next::End(end),
            () = self.timer.sleep.as_mut() => Next::Due,
            wrote = self.sink.write(&mut self.outbox), if is_writing => match wrote {
                Ok(wrote) => Next::Wrote(wrote),
                Err(_gone) => Next::End(End::Client),
            },
            read = finished(&mut self.reading) => match read {
                Ok((lane, turn)) => Next::Read(lane, turn),
                Err(error) => Next::End(unavailable(error)),
            },
            // Behind what is due and written, however much it says.
            message = self.source.receive(), if is_heard => match message {
                Ok(message) => Next::Heard(message),
                Err(end) => Next::End(end),
            },
            // The ring never drops the senders while somebody listens.
            changed = news.changed(), if is_idle => { drop(changed); Next::News }
            changed = opened.changed(), if is_idle && is_closed => { drop(changed); Next::News }
            () = yield_now(), if is_idle && self.has_more => Next::News,
        }
    }

    fn wrote(&mut self, wrote: Wrote) {
        let now = Instant::now();
        self.timer.progress = now;
        // Words of ours fit the kernel's buffers long after a client is gone. Who cannot send gives
        // no other sign.
        if wrote.is_of_events || self.wish.shape.asked.transport != Transport::WebSocket {
            self.timer.alive = now;
        }
        let (metrics, flow) = (&self.shared.metrics, &self.signals.flow);
        metrics.messages.inc_by(wrote.messages);
        metrics.events.inc_by(wrote.events);
        metrics.bytes.inc_by(wrote.bytes);
        flow.events.fetch_add(wrote.events, Ordering::Relaxed);
        flow.bytes.fetch_add(wrote.bytes, Ordering::Relaxed);
        if let Some(places) = wrote.places {
            self.written = places;
        }
        if self.outbox.is_empty() {
            self.written = self.places.clone();
            self.turn_bytes = (self.turn_bytes * 2).min(TURN_BYTES_MAX);
            if let Some(oldest) = self.oldest.take() {
                let age = self.shared.clock.now().saturating_sub(oldest).max(0);
                metrics.delivery.observe(Duration::from_millis(age.unsigned_abs()).as_secs_f64());
            }
        }
    }

    fn heard(&mut self, message: Message) -> Result<(), End> {
        self.timer.alive = Instant::now();
        match message {
            Message::Ping(payload) => {
                let mut pong = Vec::new();
                put_pong(&mut pong, &payload);
                self.outbox.interject(pong);
                Ok(())
            }
            Message::Close(code) => Err(End::Closed(code)),
            Message::Pong | Message::Text(_) | Message::Binary(_) => Ok(()),
        }
    }
}

/// What a reader has read, once it has; never where nothing is read.
async fn finished(reading: &mut Option<Reading>) -> anyhow::Result<(usize, Turn)> {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}

/// Waits until the stream is to be closed.
pub(super) async fn asked(ending: &mut watch::Receiver<Option<End>>) -> End {
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

#[expect(clippy::needless_pass_by_value, reason = "as the closures that map errors take it")]
fn unavailable(error: anyhow::Error) -> End {
    End::Unavailable(format!("{error:#}"))
}

#[cfg(test)]
mod tests;
