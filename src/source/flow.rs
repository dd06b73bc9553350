//! Flow control: whether messages are taken, by the bytes in flight and the room for chunks.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;

use super::context;
use super::poll::Poller;
use super::slots::Slot;

/// How long polling just stops before partitions are paused: librdkafka bounds its queue by
/// itself, heartbeats go on, and a pause throws away what it has fetched.
const STALL_MAX: Duration = Duration::from_secs(5);

/// Whether messages are taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Flow {
    Open,
    /// No polling since then.
    Stalled(Instant),
    /// All partitions are paused, polling goes on for the group's sake.
    Paused,
}

impl Poller<'_> {
    /// Stops and goes on, as there is room.
    pub(super) fn regulate(&mut self) -> KafkaResult<()> {
        let room = self.outbox.is_empty() && !self.shared.budget.is_used_up();
        self.flow = match self.flow {
            Flow::Open if !room => {
                // Half-filled chunks would hold their bytes for nothing.
                self.outbox.extend(self.slots.iter_mut().filter_map(Slot::cut));
                Flow::Stalled(Instant::now())
            }
            Flow::Stalled(_) if room => Flow::Open,
            Flow::Stalled(since) if since.elapsed() >= STALL_MAX => {
                self.consumer.pause(&self.held()?)?;
                Flow::Paused
            }
            Flow::Paused if self.outbox.is_empty() && self.shared.budget.is_half_free() => {
                self.consumer.resume(&self.held()?)?;
                Flow::Open
            }
            flow => flow,
        };
        // Whether for their bytes or for what waits in front of deliveries: few events are as good as
        // many there.
        let is_stopped = !matches!(self.flow, Flow::Open);
        self.shared.metrics.polling_paused.set(i64::from(is_stopped));
        Ok(())
    }

    pub(super) fn held(&self) -> KafkaResult<TopicPartitionList> {
        context::list(
            self.slots.iter().map(|slot| (&*slot.hold.topic, slot.hold.partition, slot.next)),
        )
    }
}
