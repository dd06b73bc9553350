//! Reading the live topic: by plain assignment and without a group, so that any number of servers
//! read all of it and none of them is in the way of the index.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::config::settings::KafkaSettings;
use crate::health::{Component, Health};
use crate::kafka;

use super::block::Block;
use super::ring::Ring;

/// How long a poll waits for the first record.
const POLL: Duration = Duration::from_millis(100);
/// So many records wake the listeners together.
const TURN_RECORDS_MAX: usize = 1_024;
/// What librdkafka may fetch ahead.
const AHEAD_KBYTES_MAX: u32 = 16_384;
/// Listeners are woken at most so often.
const WAKE_EVERY: Duration = Duration::from_millis(5);
/// A partition that nobody listens to any more is read for so long, for who comes back.
const LINGER: Duration = Duration::from_secs(60);
/// How long to wait after a fault.
const AGAIN: Duration = Duration::from_secs(1);
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// Nobody joins it.
const NO_GROUP: &str = "sluice-stream";

/// Where the live topic is.
#[derive(Debug, Clone)]
pub struct LiveTopic {
    pub kafka: KafkaSettings,
    pub topic: String,
    pub partitions: i32,
}

impl LiveTopic {
    /// A consumer that has nothing assigned yet, and may fetch so much ahead.
    ///
    /// # Errors
    /// The settings are refused, or a secret cannot be read.
    pub fn consumer(&self, ahead_kbytes_max: u32) -> anyhow::Result<BaseConsumer> {
        let mut config = kafka::reader_config(&self.kafka, NO_GROUP)?;
        config
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", ahead_kbytes_max.to_string())
            // Once that is full librdkafka would not ask again for a whole second.
            .set("fetch.queue.backoff.ms", "10");
        config.create().context("kafka: the settings are refused")
    }

    /// The first and the next offset of a partition.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub fn bounds(
        &self,
        consumer: &BaseConsumer,
        partition: i32,
    ) -> Result<(i64, i64), KafkaError> {
        consumer.fetch_watermarks(&self.topic, partition, ASK_TIMEOUT)
    }

    /// Reads these partitions from these offsets on.
    ///
    /// # Errors
    /// librdkafka refuses.
    pub(super) fn assign(
        &self,
        consumer: &BaseConsumer,
        places: impl IntoIterator<Item = (i32, i64)>,
    ) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in places {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
        }
        consumer.assign(&list)
    }
}

/// Reads the partitions that somebody listens to, each from its end on, until it is stopped; after
/// a fault it begins anew where it was.
///
/// # Errors
/// No consumer can be made of the settings.
pub fn run(
    live: &LiveTopic,
    ring: &Ring,
    health: &Health,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut reader = Reader {
        live,
        ring,
        health,
        consumer: live.consumer(AHEAD_KBYTES_MAX)?,
        areas: Areas::default(),
    };
    while !stop.is_cancelled() {
        if let Err(error) = reader.read(stop) {
            warn!(topic = live.topic, %error, "reading the live topic begins anew");
            trouble(health, &error);
            std::thread::sleep(AGAIN);
        }
    }
    Ok(())
}

struct Reader<'a> {
    live: &'a LiveTopic,
    ring: &'a Ring,
    health: &'a Health,
    consumer: BaseConsumer,
    areas: Areas,
}

impl Reader<'_> {
    /// Reads until a fault that wants a new beginning.
    fn read(&mut self, stop: &CancellationToken) -> Result<(), KafkaError> {
        let mut reads: Option<Vec<i32>> = None;
        let mut pushed = Instant::now();
        while !stop.is_cancelled() {
            let wanted = self.ring.wanted(LINGER);
            if reads.as_ref() != Some(&wanted) {
                self.assign(&wanted, reads.as_deref().unwrap_or_default())?;
                reads = Some(wanted);
            }
            let blocks = self.turn(pushed + WAKE_EVERY)?;
            if !blocks.is_empty() {
                self.health.set(Component::Stream, Ok(()));
                self.ring.push(blocks);
                pushed = Instant::now();
            }
        }
        Ok(())
    }

    /// Takes what is there. Who listens is woken at once after a pause, and in a stream of records
    /// for all that have come since the last time.
    fn turn(&mut self, next_wake: Instant) -> Result<Vec<Block>, KafkaError> {
        let mut blocks = Vec::new();
        let mut wait = POLL;
        while blocks.len() < TURN_RECORDS_MAX {
            match self.consumer.poll(wait) {
                None if blocks.is_empty() => break,
                None => {
                    let left = next_wake.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    wait = left;
                    continue;
                }
                Some(Ok(message)) => blocks.extend(self.areas.block(&message)),
                Some(Err(error)) if is_passing(&error) => trouble(self.health, &error),
                Some(Err(error)) => {
                    self.ring.push(blocks);
                    return Err(error);
                }
            }
            wait = Duration::ZERO;
        }
        Ok(blocks)
    }

    /// Each goes on where the ring ends; where that is gone, or was never, at the topic's end.
    fn assign(&self, wanted: &[i32], before: &[i32]) -> Result<(), KafkaError> {
        for partition in before.iter().filter(|partition| !wanted.contains(partition)) {
            self.ring.close(*partition);
        }
        let mut places = Vec::new();
        for &partition in wanted {
            let end = self.ring.end(partition);
            if let Some(end) = end.filter(|_| before.contains(&partition)) {
                places.push((partition, end));
                continue;
            }
            let (low, high) = self.live.bounds(&self.consumer, partition)?;
            let place = end.filter(|end| (low..=high).contains(end)).unwrap_or(high);
            if end != Some(place) {
                self.ring.open(partition, place);
            }
            places.push((partition, place));
        }
        self.live.assign(&self.consumer, places)?;
        self.health.set(Component::Stream, Ok(()));
        debug!(topic = self.live.topic, partitions = ?wanted, "the live topic is read");
        Ok(())
    }
}

/// librdkafka mends it itself.
fn is_passing(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut)
    )
}

fn trouble(health: &Health, error: &KafkaError) {
    let reason = kafka::plain(error);
    if health.set(Component::Stream, Err(reason.clone())) {
        warn!(reason, "the live topic cannot be read, trying on");
    }
}

/// One text for each area, shared by its records.
#[derive(Debug, Default)]
pub(super) struct Areas {
    known: std::collections::HashSet<Arc<str>>,
}

/// More are forgotten together; the ring's records keep theirs.
const AREAS_KEPT_MAX: usize = 65_536;

impl Areas {
    /// A record's events; `None` for one that no pipeline wrote.
    pub(super) fn block(&mut self, message: &BorrowedMessage<'_>) -> Option<Block> {
        let area = str::from_utf8(message.key()?).ok()?;
        let area = match self.known.get(area) {
            Some(area) => Arc::clone(area),
            None => self.learn(area),
        };
        let time = message.timestamp().to_millis().unwrap_or_default();
        let bytes = Bytes::copy_from_slice(message.payload()?);
        Some(Block::new((area, message.partition(), message.offset()), time, bytes))
    }

    fn learn(&mut self, area: &str) -> Arc<str> {
        if self.known.len() >= AREAS_KEPT_MAX {
            self.known.clear();
        }
        let area: Arc<str> = area.into();
        self.known.insert(Arc::clone(&area));
        area
    }
}
