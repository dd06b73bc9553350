//! Reading the live topic: by plain assignment and without a group, so that any number of servers
//! read all of it and none of them is in the way of the index.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::settings::KafkaSettings;
use crate::health::{Component, Health};
use crate::kafka;

use super::ring::{Block, Ring};

/// How long a poll waits for the first record.
const POLL: Duration = Duration::from_millis(100);
/// So many records wake the listeners together.
const TURN_RECORDS_MAX: usize = 256;
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
    /// A consumer that has nothing assigned yet.
    ///
    /// # Errors
    /// The settings are refused, or a secret cannot be read.
    pub fn consumer(&self) -> anyhow::Result<BaseConsumer> {
        let mut config = kafka::reader_config(&self.kafka, NO_GROUP)?;
        config.set("fetch.wait.max.ms", "50").set("queued.max.messages.kbytes", "16384");
        config.create().context("kafka: the settings are refused")
    }

    /// The first and the next offset of a partition.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub(super) fn bounds(
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

/// Reads from the end of the topic on, until it is stopped; after a fault it begins anew where it
/// was.
///
/// # Errors
/// No consumer can be made of the settings.
pub fn run(
    live: &LiveTopic,
    ring: &Ring,
    health: &Health,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let consumer = live.consumer()?;
    while !stop.is_cancelled() {
        match open(live, ring, &consumer) {
            Ok(()) => {
                health.set(Component::Stream, Ok(()));
                read(live, ring, (&consumer, health), stop);
            }
            Err(error) => trouble(health, &error),
        }
        if !stop.is_cancelled() {
            std::thread::sleep(AGAIN);
        }
    }
    Ok(())
}

/// Goes on where the ring ends; where that is gone, or was never, at the topic's end.
fn open(live: &LiveTopic, ring: &Ring, consumer: &BaseConsumer) -> Result<(), KafkaError> {
    let mut places = Vec::new();
    for partition in 0..live.partitions {
        let (low, high) = live.bounds(consumer, partition)?;
        let place = match ring.end(partition) {
            Some(end) if (low..=high).contains(&end) => end,
            _ => {
                ring.open(partition, high);
                high
            }
        };
        places.push((partition, place));
    }
    live.assign(consumer, places)?;
    info!(topic = live.topic, partitions = live.partitions, "the live topic is read");
    Ok(())
}

/// Reads until a fault that wants a new beginning.
fn read(
    live: &LiveTopic,
    ring: &Ring,
    (consumer, health): (&BaseConsumer, &Health),
    stop: &CancellationToken,
) {
    let mut areas = Areas::default();
    while !stop.is_cancelled() {
        let mut blocks = Vec::new();
        let mut wait = POLL;
        while blocks.len() < TURN_RECORDS_MAX {
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => blocks.extend(areas.block(&message)),
                Some(Err(error)) if is_passing(&error) => trouble(health, &error),
                Some(Err(error)) => {
                    ring.push(blocks);
                    warn!(topic = live.topic, %error, "reading the live topic begins anew");
                    return trouble(health, &error);
                }
            }
            wait = Duration::ZERO;
        }
        if !blocks.is_empty() {
            health.set(Component::Stream, Ok(()));
        }
        ring.push(blocks);
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
