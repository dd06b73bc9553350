//! Whether the live topic goes on: a process that delivers nothing tells whoever reads it.
//!
//! While what the source takes is not delivered, or nothing can be taken for it, as with an index that
//! is down, nothing new comes to the live topic, and its readers could not tell that from a quiet
//! hour. So the process writes a marker to each partition: a record without key and without events,
//! whose header `sluice.upstream` says `stalled`, and `flowing` when it is over; `sluice.writer`
//! tells the processes apart. A marker is neither waited for nor counted. It is said again, so one
//! that is lost is made good, and a process that is gone is forgotten.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::message::{Header, Headers, OwnedHeaders};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::outcome::labels;

use super::producer::Producer;

const UPSTREAM: &str = "sluice.upstream";
const WRITER: &str = "sluice.writer";
/// Nothing was delivered for so long: a moment's back-pressure is no standstill.
const STALLED_AFTER: Duration = Duration::from_secs(2);
/// The end of a standstill is said again after so long.
const FLOWING_AGAIN: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Markers hold for so long: one of them may be lost.
pub const HOLDS: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(250);

labels! {
    /// What a writer of the live topic says of itself.
    Upstream {
        /// It delivers no events at the moment.
        Stalled => "stalled",
        Flowing => "flowing",
    }
}

/// What a marker says, and whose it is; `None` for any other record.
#[must_use]
pub fn of_marker<H: Headers>(headers: &H) -> Option<(&str, Upstream)> {
    let text = |key: &str| {
        let value = headers.iter().find(|header| header.key == key)?.value?;
        str::from_utf8(value).ok()
    };
    let said = text(UPSTREAM)?;
    let state = Upstream::ALL.iter().copied().find(|state| state.label() == said)?;
    Some((text(WRITER)?, state))
}

fn marker(writer: &str, state: Upstream) -> OwnedHeaders {
    let header = |key, value| Header { key, value: Some(value) };
    let headers = OwnedHeaders::new_with_capacity(2);
    headers.insert(header(UPSTREAM, state.label())).insert(header(WRITER, writer))
}

/// Writes this process's markers.
#[derive(Debug)]
pub struct Markers {
    producer: Arc<Producer>,
    topic: Arc<str>,
    partitions: i32,
    writer: String,
}

impl Markers {
    /// # Errors
    /// There is no randomness for the name of this writer.
    pub fn new(
        producer: Arc<Producer>,
        topic: &str,
        partitions: i32,
    ) -> Result<Self, getrandom::Error> {
        let writer = format!("{:016x}", getrandom::u64()?);
        Ok(Self { producer, topic: topic.into(), partitions, writer })
    }

    /// Tells of each standstill of the source. Goes on for ever.
    pub async fn watch(self, metrics: Metrics, ledger: Arc<Ledger>) {
        let mut watch = Watch::default();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            let now = looks.tick().await;
            let settled = ledger.snapshot().settled.events();
            let seen = Seen {
                is_paused: metrics.polling_paused.get() > 0,
                taken: metrics.messages.get(),
                delivered: settled.saturating_add(metrics.mirrored_records.get()),
            };
            let was_told = watch.told.is_some();
            let Some(state) = watch.look(now, seen) else { continue };
            match state {
                Upstream::Stalled if !was_told => warn!("what was taken is not delivered"),
                Upstream::Flowing if was_told => info!("events are delivered again"),
                Upstream::Stalled | Upstream::Flowing => {}
            }
            self.write(state);
        }
    }

    fn write(&self, state: Upstream) {
        for partition in 0..self.partitions {
            self.producer.offer(&self.topic, partition, marker(&self.writer, state));
        }
    }
}

/// What the path has come to so far.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// The source takes nothing.
    is_paused: bool,
    /// Messages taken.
    taken: u64,
    /// Records written to the live topic, and events with an outcome.
    delivered: u64,
}

/// When what is to be told.
#[derive(Debug, Default)]
struct Watch {
    last: Seen,
    /// Messages taken until something was delivered last.
    taken_then: u64,
    /// Since when it has stood still.
    since: Option<Instant>,
    told: Option<Instant>,
    /// When to say once more that it is over.
    again: Option<Instant>,
}

impl Watch {
    fn look(&mut self, now: Instant, seen: Seen) -> Option<Upstream> {
        let has_delivered = seen.delivered != self.last.delivered;
        if has_delivered {
            self.taken_then = seen.taken;
        }
        let takes_nothing = seen.is_paused && seen.taken == self.last.taken;
        let has_waiting = seen.taken > self.taken_then;
        self.last = seen;
        if has_delivered || !takes_nothing && !has_waiting {
            self.since = None;
            return self.flowing(now);
        }
        let since = *self.since.get_or_insert(now);
        let due = self.told.map_or(since + STALLED_AFTER, |told| told + TELL_EVERY);
        (now >= due).then(|| {
            (self.told, self.again) = (Some(now), None);
            Upstream::Stalled
        })
    }

    /// Tells the end of a standstill twice: one marker may be lost.
    fn flowing(&mut self, now: Instant) -> Option<Upstream> {
        if self.told.take().is_some() {
            self.again = Some(now + FLOWING_AGAIN);
            return Some(Upstream::Flowing);
        }
        self.again.take_if(|again| now >= *again).map(|_| Upstream::Flowing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_as_it_was_written_and_nothing_else_is_one() {
        for &state in Upstream::ALL {
            assert_eq!(of_marker(&marker("w", state)), Some(("w", state)));
        }
        let check = |pairs: &[(&str, &str)]| {
            let headers = pairs.iter().fold(OwnedHeaders::new(), |headers, &(key, value)| {
                headers.insert(Header { key, value: Some(value) })
            });
            assert_eq!(of_marker(&headers), None, "{pairs:?}");
        };
        check(&[]);
        check(&[("sluice.schema", "1")]);
        check(&[(WRITER, "w")]);
        check(&[(UPSTREAM, "stalled")]);
        check(&[(UPSTREAM, "unheard-of"), (WRITER, "w")]);
    }

    /// Rows of the clock in milliseconds, whether the source is paused, what it has taken, what was
    /// delivered, and what is told then.
    fn check(rows: &[(u64, bool, u64, u64, Option<Upstream>)]) {
        let (mut watch, start) = (Watch::default(), Instant::now());
        for &(at, is_paused, taken, delivered, expected) in rows {
            let seen = Seen { is_paused, taken, delivered };
            let told = watch.look(start + Duration::from_millis(at), seen);
            assert_eq!(told, expected, "at {at}");
        }
    }

    const STALLED: Option<Upstream> = Some(Upstream::Stalled);
    const FLOWING: Option<Upstream> = Some(Upstream::Flowing);

    #[test]
    fn a_standstill_is_told_and_told_again_and_its_end_twice() {
        check(&[
            (0, false, 7, 7, None),
            (1_000, true, 9, 9, None),
            (1_250, true, 9, 9, None),
            (3_000, true, 9, 9, None),
            (3_250, true, 9, 9, STALLED),
            (3_500, true, 9, 9, None),
            (13_000, true, 9, 9, None),
            (13_250, true, 9, 9, STALLED),
            (13_500, false, 9, 10, FLOWING),
            (13_750, false, 12, 12, None),
            (14_500, false, 13, 13, FLOWING),
            (14_750, false, 13, 13, None),
        ]);
    }

    #[test]
    fn who_takes_and_delivers_nothing_of_it_stands_still() {
        check(&[
            (0, false, 1, 0, None),
            (500, false, 1, 1, None),
            (60_000, false, 1, 1, None),
            // Each is delivered before two seconds are over.
            (60_250, false, 2, 1, None),
            (62_000, false, 3, 2, None),
            (62_250, false, 4, 2, None),
            (64_000, false, 5, 2, None),
            (64_250, false, 5, 2, STALLED),
            (65_000, true, 9, 2, None),
            (66_000, true, 9, 3, FLOWING),
        ]);
    }

    #[test]
    fn who_takes_and_delivers_a_little_between_two_looks_does_not_stand_still() {
        check(&[
            (0, true, 1, 1, None),
            (1_900, true, 2, 2, None),
            (3_800, true, 3, 3, None),
            (4_000, true, 3, 3, None),
            (6_000, true, 3, 3, STALLED),
            (6_250, true, 4, 4, FLOWING),
            // It stands still again before that is said once more.
            (6_500, true, 4, 4, None),
            (7_250, true, 4, 4, None),
            (8_500, true, 4, 4, STALLED),
        ]);
    }
}
