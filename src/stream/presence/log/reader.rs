//! The thread that reads the presence topic.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::Millis;
use crate::health::Component;
use crate::kafka::{self, Ear};
use crate::stream::end::End;
use crate::stream::ids::{Actor, LeaseId};
use crate::stream::presence::leases::Verdict;
use crate::stream::presence::leftovers::Leftovers;
use crate::stream::presence::record::Record;
use crate::stream::versioned::NoRecord;

use super::held::Heard;
use super::{Shared, View};

/// Also how long a stop may take.
const POLL: Duration = Duration::from_millis(100);
/// Between two looks whether a trouble is over, and before a new client is made.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Between two looks whether the topic has as many partitions as it had.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// So many looks in a row without an answer are a trouble. One is not: a broker that is slow with
/// it still brings the records, and where it does not, a request's own time is over before.
const LOOKS_IN_VAIN_MAX: u32 = 3;
/// Before a topic with a record that this build cannot read is read again. Such a record is gone
/// when its lease is released and the topic was compacted.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// When a token was used last is written no more often than this, in ms.
const USED_EVERY_MS: Millis = 60_000;

/// Reads until `stop`, whatever happens.
pub(super) fn run(shared: &Shared, stop: &CancellationToken) {
    let mut reader = Reader {
        shared,
        partitions: Vec::new(),
        look_at: Instant::now() + LOOK_EVERY,
        looks_in_vain: 0,
        is_time_the_brokers: true,
    };
    while !stop.is_cancelled() {
        let pause = match reader.connect() {
            Ok(consumer) => reader.read(&consumer, stop),
            Err(error) => {
                reader.trouble(&format!("{error:#}"));
                PROBE_EVERY
            }
        };
        let until = Instant::now() + pause;
        while !stop.is_cancelled() && Instant::now() < until {
            thread::sleep(POLL.min(pause));
        }
    }
}

struct Reader<'a> {
    shared: &'a Shared,
    partitions: Vec<Partition>,
    /// When to ask whether the topic is there and has as many partitions.
    look_at: Instant,
    /// How many in a row, up to now, had no answer.
    looks_in_vain: u32,
    is_time_the_brokers: bool,
}

struct Partition {
    /// Behind the last record that was read; from the oldest one on.
    next: Offset,
    /// Behind the last record that was there when this client was made. librdkafka tells of a
    /// partition's end only where nothing comes for a moment: in a busy one never.
    end: i64,
    /// Until it was read to its end.
    leftovers: Option<Leftovers>,
}

/// A record that concerns this replica's own connections.
enum Own {
    Asked(LeaseId),
    Disconnect(LeaseId, Actor),
}

impl Reader<'_> {
    fn connect(&mut self) -> anyhow::Result<BaseConsumer<Ear>> {
        let settings = &self.shared.settings;
        let mut config = kafka::reader_config(&settings.kafka, &settings.kafka.group)?;
        config.set("enable.partition.eof", "true");
        let consumer: BaseConsumer<Ear> = config.create_with_context(Ear::default())?;
        let count = kafka::partition_count(&consumer, &settings.topic, kafka::ASK_TIMEOUT)
            .map_err(|reason| anyhow!(consumer.context().last().unwrap_or(reason)))?;
        if count != self.partitions.len() {
            self.shared.writer.look(kafka::ASK_TIMEOUT).map_err(|reason| anyhow!(reason))?;
            self.begin(count);
        }
        let mut assignment = TopicPartitionList::new();
        for (number, partition) in (0..).zip(&mut self.partitions) {
            if partition.leftovers.is_some() {
                let ends = consumer.fetch_watermarks(&settings.topic, number, kafka::ASK_TIMEOUT);
                (_, partition.end) = ends?;
            }
            assignment.add_partition_offset(&settings.topic, number, partition.next)?;
        }
        consumer.assign(&assignment)?;
        self.look_at = Instant::now() + LOOK_EVERY;
        Ok(consumer)
    }

    /// Forgets what was read. Nobody is admitted before it was read again.
    fn begin(&mut self, count: usize) {
        let new = || Partition {
            next: Offset::Beginning,
            end: i64::MAX,
            leftovers: Some(Leftovers::default()),
        };
        self.partitions = std::iter::repeat_with(new).take(count).collect();
        let mut view = self.shared.view();
        let trouble = view.trouble.take();
        *view = View { is_current: vec![false; count], trouble, ..View::default() };
    }

    /// Reads until `stop`, or until the client is of no more use; answers when to make another.
    fn read(&mut self, consumer: &BaseConsumer<Ear>, stop: &CancellationToken) -> Duration {
        while !stop.is_cancelled() {
            let goes_on = match consumer.poll(POLL) {
                Some(Ok(message)) => match self.take(&message) {
                    Ok(()) => {
                        self.passed(message.partition(), message.offset());
                        true
                    }
                    Err(reason) => {
                        self.trouble(&reason);
                        self.begin(0);
                        return READ_AGAIN_AFTER;
                    }
                },
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.at_end(partition);
                    true
                }
                Some(Err(error)) => self.goes_on(&error, consumer),
                None => true,
            };
            if !goes_on || !self.look(consumer) {
                break;
            }
        }
        PROBE_EVERY
    }

    /// # Errors
    /// Where what the record changes is not known to this build.
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), String> {
        let (number, offset) = (message.partition(), message.offset());
        let (at, is_the_brokers) = kafka::time_of(message.timestamp());
        if !is_the_brokers && std::mem::take(&mut self.is_time_the_brokers) {
            let topic = &self.shared.settings.topic;
            warn!(topic, "its message.timestamp.type is not LogAppendTime: times are the writers'");
        }
        let place = usize::try_from(number).unwrap_or_default();
        let Some(partition) = self.partitions.get_mut(place) else { return Ok(()) };
        partition.next = Offset::Offset(offset + 1);
        let record = match Record::decode(message.key().unwrap_or_default(), message.payload()) {
            Ok(record) => record,
            Err(why @ NoRecord::Foreign) => {
                error!(number, offset, "a message of the presence topic is passed over: {why}");
                return Ok(());
            }
            Err(why) => return Err(format!("the record at {number}/{offset}: {why}")),
        };
        // Where the topic was widened, what was written before stands in another partition of its
        // channel, and so does what a replica writes that has not noticed: it counts all the same.
        let own = match &mut partition.leftovers {
            // What was decided before is not decided again.
            Some(leftovers) => {
                leftovers.note(&record, at);
                None
            }
            None => self.shared.own(&record),
        };
        let verdict = self.shared.view().leases.apply(record, at);
        match own {
            Some(Own::Asked(lease)) => self.shared.hear(&lease, verdict, at),
            Some(Own::Disconnect(lease, actor)) => self.shared.disconnect(&lease, &actor),
            None => {}
        }
        Ok(())
    }

    fn passed(&mut self, number: i32, offset: i64) {
        let partition = usize::try_from(number).ok().and_then(|place| self.partitions.get(place));
        if partition.is_some_and(|partition| offset + 1 >= partition.end) {
            self.at_end(number);
        }
    }

    fn at_end(&mut self, number: i32) {
        let place = usize::try_from(number).unwrap_or_default();
        let leftovers = self.partitions.get_mut(place).and_then(|part| part.leftovers.take());
        let Some(leftovers) = leftovers else { return };
        let shared = self.shared;
        // By the brokers' time, as far as it was read: a clock of ours that is ahead must not take
        // leases for left over that are held.
        let now = shared.view().leases.now().min(shared.clock.now());
        // Before anybody is admitted: their places are free.
        for release in leftovers.releases(&shared.settings.replica, &shared.life, now) {
            if let Err(reason) = shared.send(&release) {
                // They end by themselves, and the next replica that starts tries again.
                warn!(reason, "leases that are left over cannot be released");
                break;
            }
        }
        if let Some(is_current) = shared.view().is_current.get_mut(place) {
            *is_current = true;
        }
        self.well();
    }

    /// What an error means; answers whether this client can go on.
    fn goes_on(&mut self, error: &KafkaError, consumer: &BaseConsumer<Ear>) -> bool {
        let code = error.rdkafka_error_code();
        if let Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) = code {
            self.trouble("it was made anew, or has lost records");
            self.begin(0);
            return false;
        }
        if code.is_some_and(kafka::is_one_connection) {
            return true;
        }
        self.trouble(&consumer.context().last().unwrap_or_else(|| kafka::plain(error)));
        !kafka::is_reader_spent(error, consumer.context())
    }

    /// Asks whether the topic is as it was, when it is time to; answers whether this client can go
    /// on.
    fn look(&mut self, consumer: &BaseConsumer<Ear>) -> bool {
        if Instant::now() < self.look_at {
            return true;
        }
        self.look_at = Instant::now() + LOOK_EVERY;
        let found = kafka::partition_count(consumer, &self.shared.settings.topic, PROBE_EVERY);
        self.looks_in_vain = if found.is_ok() { 0 } else { self.looks_in_vain + 1 };
        match found {
            Ok(count) if count == self.partitions.len() => self.well(),
            Ok(count) => {
                let before = self.partitions.len();
                warn!(count, before, "the presence topic has other partitions, reading it again");
                return false;
            }
            Err(_) if self.looks_in_vain < LOOKS_IN_VAIN_MAX => {
                self.look_at = Instant::now() + PROBE_EVERY;
            }
            Err(reason) => self.trouble(&consumer.context().last().unwrap_or(reason)),
        }
        true
    }

    fn trouble(&mut self, reason: &str) {
        let shared = self.shared;
        let reason = format!("topic {}: {reason}", shared.settings.topic);
        shared.view().trouble = Some(reason.clone());
        if shared.health.set(Component::Presence, Err(reason.clone())) {
            warn!(reason, "the presence topic cannot be read, trying on");
        }
        self.look_at = Instant::now() + PROBE_EVERY;
    }

    /// The topic can be read; that ends a trouble when all of it was read.
    fn well(&self) {
        let mut view = self.shared.view();
        if view.is_current.contains(&false) {
            return;
        }
        view.trouble = None;
        drop(view);
        if self.shared.health.set(Component::Presence, Ok(())) {
            info!("the presence topic can be read");
        }
    }
}

impl Shared {
    fn own(&self, record: &Record) -> Option<Own> {
        match record {
            Record::Request { lease, claim, .. } | Record::Renewal { lease, claim, .. } => {
                (claim.life == self.life).then(|| Own::Asked(lease.clone()))
            }
            Record::Disconnect { lease, actor, .. } => {
                Some(Own::Disconnect(lease.clone(), actor.clone()))
            }
            Record::Release { .. } | Record::Used { .. } => None,
        }
    }

    fn disconnect(&self, lease: &LeaseId, actor: &Actor) {
        if self.connections.end_one(lease, End::Disconnected) {
            info!(%lease, actor = actor.as_str(), "a stream is closed as it was asked for");
        }
    }

    /// Takes the verdict of a record of our own.
    fn hear(&self, lease: &LeaseId, verdict: Verdict, at: Millis) {
        let heard = self.held().hear(lease, verdict, at);
        match heard {
            Heard::Nothing => {}
            Heard::Lost => {
                self.connections.end_one(lease, End::Full);
            }
            Heard::Held(channel, token) => {
                let last = self.view().leases.last_used(token.as_str());
                if last.is_none_or(|last| at.saturating_sub(last) >= USED_EVERY_MS) {
                    // Where it cannot be written, the next renewal tries again.
                    drop(self.send(&Record::Used { channel, token }));
                }
            }
        }
    }
}
