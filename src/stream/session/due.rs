//! What a session says because its time has come, and at its end.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::messages::{Gap, Status};
use super::{OPEN_MAX, Session, TURN_BYTES_MIN, farewell};
use crate::clock::Millis;
use crate::metrics::stream::GapCause;
use crate::stream::connections::LAG_UNKNOWN;
use crate::stream::end::End;
use crate::stream::frames::{Message, Opcode, Transport, put_header};
use crate::stream::io::{Sink, Source};
use crate::stream::place::Places;
use crate::stream::ring::Ahead;

/// Who takes no byte for so long keeps only the message that it is in the middle of.
const STALL: Duration = Duration::from_secs(1);
/// Pings go out so often (N2).
const PING_EVERY: Duration = Duration::from_secs(20);
/// Events that are taken, and whatever the client sends, are signs of life (N2).
const SILENCE_MAX: Duration = Duration::from_secs(60);
const STATUS_EVERY: Duration = Duration::from_secs(5);
pub(in crate::stream) const CANNOT_BE_READ: &str = "the live topic cannot be read";

/// When what is due.
pub(super) struct Timer {
    pub(super) sleep: Pin<Box<Sleep>>,
    pub(super) alive: Instant,
    /// The last byte that was taken.
    pub(super) progress: Instant,
    /// None was taken for too long.
    pub(super) is_stalled: bool,
    ping: Instant,
    status: Instant,
    /// Since when the partition is not read.
    pub(super) closed: Option<Instant>,
}

impl Timer {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let status = now + STATUS_EVERY;
        Self {
            sleep: Box::pin(sleep_until(status)),
            alive: now,
            progress: now,
            is_stalled: false,
            ping: now + PING_EVERY,
            status,
            closed: None,
        }
    }

    /// Sees to it that the sleep ends when the next is due, or earlier.
    pub(super) fn arm(&mut self, is_writing: bool) {
        if !is_writing {
            (self.progress, self.is_stalled) = (Instant::now(), false);
        }
        let mut next = self.status.min(self.ping).min(self.alive + SILENCE_MAX);
        if is_writing && !self.is_stalled {
            next = next.min(self.progress + STALL);
        }
        if let Some(closed) = self.closed {
            next = next.min(closed + OPEN_MAX);
        }
        if self.sleep.is_elapsed() || self.sleep.deadline() > next {
            self.sleep.as_mut().reset(next);
        }
    }
}

impl<S: Sink, R: Source> Session<S, R> {
    /// Does whatever is due.
    pub(super) fn due(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let is_due = |since: Instant, after: Duration| now >= since + after;
        if is_due(self.timer.alive, SILENCE_MAX) {
            return Err(End::Silent);
        }
        if self.timer.closed.is_some_and(|closed| is_due(closed, OPEN_MAX)) {
            return Err(End::Unavailable(CANNOT_BE_READ.to_owned()));
        }
        if !self.outbox.is_empty() && !self.timer.is_stalled && is_due(self.timer.progress, STALL) {
            self.stall();
        }
        if now >= self.timer.status {
            self.timer.status = now + STATUS_EVERY;
            self.tell_sampled();
            self.tell_status();
        }
        if now >= self.timer.ping {
            self.timer.ping = now + PING_EVERY;
            self.ping();
        }
        Ok(())
    }

    /// What others could need is let go: the client gets it again when it takes more.
    fn stall(&mut self) {
        self.timer.is_stalled = true;
        if let Some(places) = self.outbox.keep_current() {
            self.places = places;
        }
        // What is read at the moment would come behind what was forgotten, or be more that waits.
        self.reading = None;
        self.oldest = None;
        self.turn_bytes = TURN_BYTES_MIN;
    }

    fn ping(&mut self) {
        let mut ping = Vec::new();
        match self.wish.shape.asked.transport {
            Transport::WebSocket => put_header(&mut ping, Opcode::Ping, 0),
            // A comment (WHATWG HTML, section 9.2.6).
            Transport::Sse => ping.extend_from_slice(b":\n\n"),
            Transport::Ndjson => return,
        }
        // Beside a gap and a status; a client that takes nothing has one that waits.
        if self.outbox.words() <= 2 {
            self.outbox.interject(ping);
        }
    }

    /// Frames something that is no event; nothing for who reads events only.
    fn words(&self, text: &[u8]) -> Vec<u8> {
        let mut words = Vec::new();
        if !self.wish.is_bare {
            Message::text(self.wish.shape.asked.transport, &[text]).put(&mut words);
        }
        words
    }

    pub(super) fn tell_status(&mut self) {
        let ring = &self.shared.ring;
        let (area, lanes) = (&self.wish.area, &self.wish.lanes);
        // What Kafka holds for a listener that catches up was not looked at yet.
        let ahead = ring.ahead(area, lanes, &self.written);
        let lag_ms = self.lag_ms(ahead);
        let flow = &self.signals.flow;
        flow.lag_ms.store(lag_ms.unwrap_or(LAG_UNKNOWN), Ordering::Relaxed);
        // A client that takes nothing has one that waits.
        if self.outbox.words() > 0 {
            return;
        }
        let status = Status {
            cursor: (self.seal)(&self.written),
            tip: (self.seal)(&ring.ends(lanes, &self.places)),
            lag_events: ahead.map(|ahead| ahead.events),
            lag_ms,
            sent: flow.events.load(Ordering::Relaxed),
            filtered: flow.filtered.load(Ordering::Relaxed),
            dropped: flow.dropped.load(Ordering::Relaxed),
            upstream_stalled: lanes.iter().any(|lane| ring.standstills().is_stalled(*lane)),
        };
        let words = self.words(&status.text());
        self.outbox.interject(words);
    }

    /// How old the oldest record is that the client has not got: while it catches up about as old
    /// as the last that was read for it.
    fn lag_ms(&self, ahead: Option<Ahead>) -> Option<u64> {
        if self.shared.ring.is_blind() {
            return None;
        }
        let since = match ahead {
            Some(Ahead { since: None, .. }) => return Some(0),
            Some(Ahead { since, .. }) => since,
            None => self.seen,
        };
        let lag_ms = self.shared.clock.now().saturating_sub(since?);
        Some(u64::try_from(lag_ms).unwrap_or(0))
    }

    /// What sampling has left out since the last time.
    fn tell_sampled(&mut self) {
        let count = std::mem::take(&mut self.sampled_out);
        if count > 0 {
            // What was put again after a stall was counted before.
            let to = self.places.max(&self.counted);
            let from = std::mem::replace(&mut self.sampled_from, to.clone());
            self.tell_gap(GapCause::Sampled, Some(count), (&from, &to), None);
        }
    }

    /// It is closed for its slowness: what it would miss if it came back at the tip.
    pub(super) fn tell_slow(&mut self) {
        // What waits does not go out any more: it is missed as well.
        if let Some(places) = self.outbox.keep_current() {
            (self.places, self.written) = (places.clone(), places);
        }
        let (from, lanes) = (self.places.clone(), &self.wish.lanes);
        let tip = self.shared.ring.ends(lanes, &from);
        self.tell_gap(GapCause::Slow, None, (&from, &tip), None);
    }

    /// Tells what the client misses: how many, where that can be known.
    pub(super) fn tell_gap(
        &mut self,
        cause: GapCause,
        count: Option<u64>,
        (from, to): (&Places, &Places),
        until_ms: Option<Millis>,
    ) {
        self.shared.metrics.gap(cause, count.unwrap_or(0));
        self.signals.flow.dropped.fetch_add(count.unwrap_or(0), Ordering::Relaxed);
        let (from, to) = ((self.seal)(from), (self.seal)(to));
        let words = self.words(&Gap { cause, count, from, to, until_ms }.text());
        self.outbox.say(words);
    }

    /// Ends the message that is being written, and says the last words.
    pub(super) async fn farewell(&mut self, end: &End) {
        let places = self.outbox.keep_current().unwrap_or_else(|| self.written.clone());
        let (transport, cursor) = (self.wish.shape.asked.transport, (self.seal)(&places));
        let words = farewell::words(end, transport, Some(&cursor), self.wish.is_bare);
        if !words.is_empty() {
            self.outbox.say(words);
            farewell::say(&mut self.outbox, &mut self.sink).await;
        }
    }
}
