//! What the ring no longer holds, read from Kafka again for one listener.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message as _;

use super::live::{Areas, LiveTopic};
use super::ring::{Block, Place};

/// How much is read before it is written, in bytes of records.
const TURN_BYTES_MAX: usize = 1024 * 1024;
/// Nothing from Kafka for so long: the listener is told.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);

/// One listener's own way through a partition.
pub struct CatchUp {
    consumer: BaseConsumer,
    areas: Areas,
    area: Arc<str>,
    /// The next offset that Kafka will give.
    next: i64,
}

impl std::fmt::Debug for CatchUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatchUp").field("area", &self.area).field("next", &self.next).finish()
    }
}

/// Some records, and where to go on.
#[derive(Debug)]
pub struct Read {
    pub blocks: Vec<Arc<Block>>,
    pub next: Place,
}

impl CatchUp {
    /// Begins at a place. Where the topic no longer has it, the answer says from which offset on
    /// it does: everything before is lost to retention.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub fn open(
        live: &LiveTopic,
        (area, partition): (Arc<str>, i32),
        from: Place,
    ) -> anyhow::Result<(Self, Option<i64>)> {
        let consumer = live.consumer()?;
        let (low, high) = live.bounds(&consumer, partition).context("kafka does not answer")?;
        let begin = from.offset.clamp(low, high.max(low));
        live.assign(&consumer, [(partition, begin)]).context("kafka refuses to be read")?;
        let lost = (from.offset < low).then_some(low);
        Ok((Self { consumer, areas: Areas::default(), area, next: begin }, lost))
    }

    /// Reads on, up to an offset that is not wanted any more.
    ///
    /// # Errors
    /// Kafka is silent, or has trouble that it does not mend itself.
    pub fn read(&mut self, until: i64) -> anyhow::Result<Read> {
        let mut blocks = Vec::new();
        let mut bytes = 0;
        let since = Instant::now();
        while self.next < until && bytes < TURN_BYTES_MAX {
            let message = match self.consumer.poll(POLL) {
                Some(Ok(message)) => message,
                Some(Err(error)) => bail!("kafka: {}", crate::kafka::plain(&error)),
                // What is there goes out before anybody waits for more.
                None if !blocks.is_empty() => break,
                None if since.elapsed() > SILENCE_MAX => bail!("kafka gives nothing more"),
                None => continue,
            };
            let offset = message.offset();
            if offset >= until {
                self.next = until;
                break;
            }
            self.next = offset + 1;
            let Some(block) = self.areas.block(&message) else { continue };
            bytes += message.payload_len();
            if block.area == self.area {
                blocks.push(Arc::new(block));
            }
        }
        Ok(Read { blocks, next: Place::of(self.next) })
    }
}
