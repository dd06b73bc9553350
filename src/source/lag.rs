//! How far the committed positions are behind the ends of their partitions.
//!
//! librdkafka tells the ends with what it fetches. While partitions are paused it fetches nothing, and
//! just then, with an index that is down, the lag grows: so they are asked for.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::flow::Flow;
use super::poll::Poller;

/// While partitions are paused, so often.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// For one partition, and for as many as are asked for at once: the group is served behind it.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// When the ends are asked for, and of which partition first.
#[derive(Debug, Default)]
pub(super) struct Ends {
    asked: Option<Instant>,
    first: usize,
}

impl Poller<'_> {
    pub(super) fn show_lag(&mut self) {
        if matches!(self.flow, Flow::Paused) {
            self.ask_ends();
        }
        for ((topic, partition), end) in self.consumer.context().ends() {
            if let Some(slot) = self.slots.find(&topic, partition) {
                // What librdkafka says of a paused partition may be old.
                slot.end = slot.end.max(end);
            }
        }
        for slot in self.slots.iter() {
            let settled = self.shared.board.position(&slot.hold).unwrap_or(slot.end);
            let partition = slot.hold.partition.to_string();
            let lag = self.shared.metrics.lag.with_label_values(&[&*slot.hold.topic, &partition]);
            lag.set((slot.end - settled).max(0));
        }
    }

    /// Asks for the ends of as many partitions as there is time for; the rest has its turn next.
    fn ask_ends(&mut self) {
        if self.ends.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
            return;
        }
        let (began, count) = (Instant::now(), self.slots.len());
        let mut asked = 0;
        while asked < count && began.elapsed() < ASK_TIMEOUT {
            let slot = self.slots.iter_mut().nth((self.ends.first + asked) % count);
            asked += 1;
            let Some(slot) = slot else { continue };
            let (topic, partition) = (&slot.hold.topic, slot.hold.partition);
            // Of a Kafka that does not answer its troubles tell.
            if let Ok((_, high)) = self.consumer.fetch_watermarks(topic, partition, ASK_TIMEOUT) {
                slot.end = slot.end.max(high);
            }
        }
        self.ends = Ends { asked: Some(began), first: (self.ends.first + asked) % count.max(1) };
    }
}
