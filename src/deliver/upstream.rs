//! Whether the live topic goes on: a process that takes no more events tells whoever reads it.
//!
//! While the source cannot take anything since nothing is delivered, as with an index that is down,
//! nothing new comes to the live topic, and its readers could not tell that from a quiet hour. So the process writes a marker to each partition: a record without key and without events,
//! whose header `sluice.upstream` says `stalled`, and `flowing` when it is over; `sluice.writer`
//! tells the processes apart. A marker is neither waited for nor counted. It is said again while
//! the standstill lasts, so one that is lost is made good, and a process that is gone is forgotten.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::message::{Header, Headers, OwnedHeaders};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::metrics::Metrics;
use crate::outcome::labels;

use super::producer::Producer;

const UPSTREAM: &str = "sluice.upstream";
const WRITER: &str = "sluice.writer";
/// Nothing was taken for so long: a moment's back-pressure is no standstill.
const STALLED_AFTER: Duration = Duration::from_secs(2);
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Markers hold for so long: one of them may be lost.
pub const HOLDS: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(250);

labels! {
    /// What a writer of the live topic says of itself.
    Upstream {
        /// It takes no events at the moment.
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
    pub async fn watch(self, metrics: Metrics) {
        let mut watch = Watch::default();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            let now = looks.tick().await;
            let (stopped, taken) = (metrics.polling_paused.get() > 0, metrics.messages.get());
            let was_told = watch.told.is_some();
            let Some(state) = watch.look(now, stopped, taken) else { continue };
            match state {
                Upstream::Stalled if was_told => {}
                Upstream::Stalled => {
                    warn!("no events are taken: what was taken before is not delivered")
                }
                Upstream::Flowing => info!("events are taken again"),
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

/// When what is to be told.
#[derive(Debug, Default)]
struct Watch {
    /// Since when the source has stood still, and the count of messages taken until then.
    since: Option<(Instant, u64)>,
    told: Option<Instant>,
}

impl Watch {
    fn look(&mut self, now: Instant, stopped: bool, taken: u64) -> Option<Upstream> {
        let since = match self.since {
            Some((since, before)) if stopped && before == taken => since,
            _ => {
                self.since = stopped.then_some((now, taken));
                return self.told.take().map(|_| Upstream::Flowing);
            }
        };
        let due = self.told.map_or(since + STALLED_AFTER, |told| told + TELL_EVERY);
        (now >= due).then(|| {
            self.told = Some(now);
            Upstream::Stalled
        })
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

    /// Rows of the clock in milliseconds, whether the source is stopped, what it has taken, and
    /// what is told then.
    fn check(rows: &[(u64, bool, u64, Option<Upstream>)]) {
        let (mut watch, start) = (Watch::default(), Instant::now());
        for &(at, stopped, taken, expected) in rows {
            let told = watch.look(start + Duration::from_millis(at), stopped, taken);
            assert_eq!(told, expected, "at {at}");
        }
    }

    #[test]
    fn a_standstill_is_told_and_told_again_and_its_end_once() {
        let (stalled, flowing) = (Some(Upstream::Stalled), Some(Upstream::Flowing));
        check(&[
            (0, false, 7, None),
            (1_000, true, 9, None),
            (2_900, true, 9, None),
            (3_000, true, 9, stalled),
            (3_250, true, 9, None),
            (12_900, true, 9, None),
            (13_000, true, 9, stalled),
            (13_250, false, 9, flowing),
            (13_500, false, 12, None),
        ]);
    }

    #[test]
    fn who_takes_a_little_between_two_looks_does_not_stand_still() {
        let (stalled, flowing) = (Some(Upstream::Stalled), Some(Upstream::Flowing));
        check(&[
            (0, true, 1, None),
            (1_900, true, 2, None),
            (3_800, true, 3, None),
            (5_800, true, 3, stalled),
            (6_000, true, 4, flowing),
            (7_900, true, 4, None),
            (8_000, true, 4, stalled),
        ]);
    }
}
