//! Reading the live topic: by plain assignment and without a group, so that any number of servers
//! read all of it and none of them is in the way of the index.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::config::settings::KafkaSettings;
use crate::deliver::mirror::spread::lanes_of;
use crate::deliver::upstream::of_marker;
use crate::health::{Component, Health};
use crate::kafka::{self, Ear};

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
/// How long the others may wait for a partition that is opened; and the longest pause before one
/// that could not be is asked for again.
const OPEN_TIMEOUT: Duration = Duration::from_secs(1);
const OPEN_AFTER_MAX: Duration = Duration::from_secs(16);
/// Nobody joins it.
const NO_GROUP: &str = "sluice-stream";

/// A client that reads the live topic.
pub type LiveConsumer = BaseConsumer<Ear>;

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
    pub fn consumer(&self, ahead_kbytes_max: u32) -> anyhow::Result<LiveConsumer> {
        let mut config = kafka::reader_config(&self.kafka, NO_GROUP)?;
        config
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", ahead_kbytes_max.to_string())
            // Once that is full librdkafka would not ask again for a whole second.
            .set("fetch.queue.backoff.ms", "10");
        config.create_with_context(Ear::default()).context("kafka: the settings are refused")
    }

    /// The first and the next offset of a partition.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub fn bounds(
        &self,
        consumer: &LiveConsumer,
        partition: i32,
        within: Duration,
    ) -> Result<(i64, i64), KafkaError> {
        consumer.fetch_watermarks(&self.topic, partition, within)
    }

    /// Reads these partitions from these offsets on.
    ///
    /// # Errors
    /// librdkafka refuses.
    pub(super) fn assign(
        &self,
        consumer: &LiveConsumer,
        places: impl IntoIterator<Item = (i32, i64)>,
    ) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in places {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
        }
        consumer.assign(&list)
    }
}

/// Reads the partitions that somebody listens to, each from its end on, until it is stopped. A
/// client that gets no further is made anew, with the secrets that there are by then, and goes on
/// where the ring ends.
pub fn run(live: &LiveTopic, ring: &Ring, health: &Health, stop: &CancellationToken) {
    let mut areas = Areas::default();
    while !stop.is_cancelled() {
        let why = match live.consumer(AHEAD_KBYTES_MAX) {
            Ok(consumer) => Reader::new(live, ring, health, &consumer, &mut areas).read(stop),
            Err(error) => format!("{error:#}"),
        };
        if !stop.is_cancelled() {
            trouble(ring, health, &why);
            std::thread::sleep(AGAIN);
        }
    }
}

struct Reader<'a> {
    live: &'a LiveTopic,
    ring: &'a Ring,
    health: &'a Health,
    consumer: &'a LiveConsumer,
    areas: &'a mut Areas,
    /// Partition and next offset of the records of this turn that have no events.
    passed: Vec<(i32, i64)>,
    /// What is assigned to the client.
    reads: Option<Vec<i32>>,
    /// When to ask again for partitions that could not be opened, and how long to wait then.
    open_at: Option<Instant>,
    open_after: Duration,
    /// When to ask whether a trouble is over.
    probe_at: Option<Instant>,
}

impl<'a> Reader<'a> {
    fn new(
        live: &'a LiveTopic,
        ring: &'a Ring,
        health: &'a Health,
        consumer: &'a LiveConsumer,
        areas: &'a mut Areas,
    ) -> Self {
        let probe_at = Some(Instant::now());
        let (reads, open_at, open_after) = (None, None, AGAIN);
        let passed = Vec::new();
        Self { live, ring, health, consumer, areas, passed, reads, open_at, open_after, probe_at }
    }

    /// Reads until the client is of no more use; answers why.
    fn read(mut self, stop: &CancellationToken) -> String {
        let mut pushed = Instant::now();
        while !stop.is_cancelled() {
            let wanted = self.ring.wanted(LINGER);
            let is_time = self.open_at.is_some_and(|at| Instant::now() >= at);
            if (is_time || self.reads.as_ref() != Some(&wanted))
                && let Err(error) = self.assign(wanted)
            {
                return self.reason(&error);
            }
            let mut blocks = Vec::new();
            let spent = self.turn(pushed + WAKE_EVERY, &mut blocks).err();
            if !blocks.is_empty() {
                self.ring.push(blocks);
                pushed = Instant::now();
            }
            self.ring.pass_over(self.passed.drain(..));
            if let Some(error) = spent {
                return self.reason(&error);
            }
            self.probe();
        }
        String::new()
    }

    /// Takes what is there. Who listens is woken at once after a pause, and in a stream of records
    /// for all that have come since the last time.
    fn turn(&mut self, next_wake: Instant, blocks: &mut Vec<Block>) -> Result<(), KafkaError> {
        let mut wait = POLL;
        while blocks.len() + self.passed.len() < TURN_RECORDS_MAX {
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
                Some(Ok(message)) => match self.areas.block(&message) {
                    Some(block) => blocks.push(block),
                    None => self.pass_over(&message),
                },
                Some(Err(error)) if is_passing(&error) => {
                    if !error.rdkafka_error_code().is_some_and(kafka::is_one_connection) {
                        self.trouble(&error);
                    }
                }
                Some(Err(error)) => return Err(error),
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    /// A record without events: a writer's marker, or what no pipeline wrote.
    fn pass_over(&mut self, message: &BorrowedMessage<'_>) {
        self.passed.push((message.partition(), message.offset() + 1));
        if let Some((writer, state)) = message.headers().and_then(of_marker) {
            self.ring.standstills().hear(message.partition(), writer, state);
        }
    }

    /// Each goes on where the ring ends; where that is gone, or was never, at the topic's end. One
    /// that cannot be opened keeps nobody else waiting: it is asked for again later.
    fn assign(&mut self, wanted: Vec<i32>) -> Result<(), KafkaError> {
        for partition in self.ring.partitions() {
            if !wanted.contains(&partition) {
                self.ring.close(partition);
            }
        }
        let mut places = Vec::new();
        let mut lacking = None;
        for &partition in &wanted {
            let end = self.ring.end(partition);
            let is_read = self.reads.as_ref().is_some_and(|reads| reads.contains(&partition));
            if let Some(end) = end.filter(|_| is_read) {
                places.push((partition, end));
                continue;
            }
            match self.live.bounds(self.consumer, partition, OPEN_TIMEOUT) {
                Ok((low, high)) => {
                    let place = end.filter(|end| (low..=high).contains(end)).unwrap_or(high);
                    if end != Some(place) {
                        self.ring.open(partition, place);
                    }
                    places.push((partition, place));
                }
                Err(error) => {
                    // Reading goes on by itself where it was.
                    places.extend(end.map(|end| (partition, end)));
                    lacking = Some(error);
                }
            }
        }
        self.live.assign(self.consumer, places)?;
        debug!(topic = self.live.topic, partitions = ?wanted, "the live topic is read");
        match lacking {
            None => (self.open_at, self.open_after) = (None, AGAIN),
            Some(error) => {
                self.trouble(&error);
                self.open_at = Some(Instant::now() + self.open_after);
                self.open_after = (self.open_after * 2).min(OPEN_AFTER_MAX);
            }
        }
        self.reads = Some(wanted);
        Ok(())
    }

    fn reason(&self, error: &KafkaError) -> String {
        self.consumer.context().last().unwrap_or_else(|| kafka::plain(error))
    }

    fn trouble(&mut self, error: &KafkaError) {
        trouble(self.ring, self.health, &self.reason(error));
        self.probe_at = Some(Instant::now() + AGAIN);
    }

    /// Asks whether the topic can be read, when it is time to.
    fn probe(&mut self) {
        if self.open_at.is_some() || self.probe_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        match kafka::answers(self.consumer, [self.live.topic.as_str()], OPEN_TIMEOUT) {
            Ok(()) => {
                self.probe_at = None;
                self.ring.set_blind(false);
                self.health.set(Component::Stream, Ok(()));
            }
            Err(reason) => {
                let reason = self.consumer.context().last().unwrap_or(reason);
                trouble(self.ring, self.health, &reason);
                self.probe_at = Some(Instant::now() + AGAIN);
            }
        }
    }
}

/// librdkafka mends it itself.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(|code| {
        kafka::is_one_connection(code) || code == RDKafkaErrorCode::AllBrokersDown
    })
}

fn trouble(ring: &Ring, health: &Health, reason: &str) {
    ring.set_blind(true);
    if health.set(Component::Stream, Err(reason.to_owned())) {
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
        let mut block = Block::new((area, message.partition(), message.offset()), time, bytes);
        block.lanes = message.headers().map_or(1, lanes_of);
        Some(block)
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
