//! The thread that reads the control topic and keeps the state.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message, Timestamp};
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::Millis;
use crate::health::Component;
use crate::kafka::{self, Ear};
use crate::stream::control::record::{NoRecord, Record};
use crate::stream::control::state::State;

use super::{LogSettings, Shared};

/// The topic has one partition, since the order of all commands is what the rules rest on.
pub(super) const PARTITION: i32 = 0;
/// Also how long a stop may take.
const POLL: Duration = Duration::from_millis(100);
/// While much is to be read, the state is shown every so many records.
const SHOWN_EVERY_RECORDS: usize = 1000;
/// Between two looks whether a trouble is over, and before a new client is made.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Between two looks whether the topic is there still: librdkafka takes 30 s to tell that it is not.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Reads until `stop`, whatever happens.
pub(super) fn run(settings: &LogSettings, shared: &Shared, stop: &CancellationToken) {
    let mut reader = Reader {
        settings,
        shared,
        state: State::default(),
        next: 0,
        hidden: 0,
        is_in_trouble: true,
        probe_at: Instant::now(),
        is_time_the_brokers: true,
    };
    while !stop.is_cancelled() {
        match reader.connect() {
            Ok(consumer) => reader.read(&consumer, stop),
            Err(error) => reader.trouble(&format!("{error:#}")),
        }
        if let Some(reason) = shared.halted.get() {
            error!(reason, "the control topic is read no further");
            shared.health.set(Component::Control, Err(reason.clone()));
            return;
        }
        if !stop.is_cancelled() {
            thread::sleep(PROBE_EVERY);
        }
    }
}

struct Reader<'a> {
    settings: &'a LogSettings,
    shared: &'a Shared,
    state: State,
    /// The offset behind the last record of `state`.
    next: i64,
    /// Records of `state` that are not shown yet.
    hidden: usize,
    /// Whether it can be read is not known, or it could not be.
    is_in_trouble: bool,
    /// When to ask for the topic.
    probe_at: Instant,
    is_time_the_brokers: bool,
}

impl Reader<'_> {
    fn connect(&self) -> anyhow::Result<BaseConsumer<Ear>> {
        let LogSettings { kafka: settings, .. } = self.settings;
        let config = kafka::reader_config(settings, &settings.group)?;
        let consumer: BaseConsumer<Ear> = config.create_with_context(Ear::default())?;
        let mut assignment = TopicPartitionList::new();
        // From 0 and not from the oldest record there is: a topic that has lost its first ones
        // must be noticed.
        let from = Offset::Offset(self.next);
        assignment.add_partition_offset(&self.settings.topic, PARTITION, from)?;
        consumer.assign(&assignment)?;
        Ok(consumer)
    }

    /// Reads until `stop`, until the client is of no more use, or until nothing can be read any
    /// more.
    fn read(&mut self, consumer: &BaseConsumer<Ear>, stop: &CancellationToken) {
        while !stop.is_cancelled() && self.shared.halted.get().is_none() {
            let wait = if self.hidden == 0 { POLL } else { Duration::ZERO };
            match consumer.poll(wait) {
                Some(Ok(message)) => self.take(&message),
                Some(Err(error)) => {
                    if !self.goes_on(&error, consumer) {
                        return;
                    }
                }
                None => {
                    self.show();
                    self.probe(consumer);
                }
            }
            if self.hidden >= SHOWN_EVERY_RECORDS {
                self.show();
            }
        }
        self.show();
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let offset = message.offset();
        match Record::decode(message.payload().unwrap_or_default()) {
            Ok(record) => {
                let at = self.time(message.timestamp());
                self.state.apply(record, at);
            }
            Err(why @ NoRecord::Foreign) => {
                error!(offset, "a message of the control topic is passed over: {why}");
            }
            // To go on without it would be to guess what it changes.
            Err(why) => return self.halt(format!("the control topic's record at {offset}: {why}")),
        }
        self.next = offset + 1;
        self.hidden += 1;
    }

    fn time(&mut self, timestamp: Timestamp) -> Millis {
        let (at, is_the_brokers) = kafka::time_of(timestamp);
        if !is_the_brokers && std::mem::take(&mut self.is_time_the_brokers) {
            let topic = &self.settings.topic;
            warn!(topic, "its message.timestamp.type is not LogAppendTime: times are the writers'");
        }
        at
    }

    fn show(&mut self) {
        if self.hidden == 0 {
            return;
        }
        self.hidden = 0;
        self.shared.state.store(Arc::new(self.state.clone()));
        // No offset is negative.
        self.shared.next.send_replace(u64::try_from(self.next).unwrap_or_default());
    }

    /// What an error means; answers whether this client can go on.
    fn goes_on(&mut self, error: &KafkaError, consumer: &BaseConsumer<Ear>) -> bool {
        let code = error.rdkafka_error_code();
        if let Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) = code {
            let next = self.next;
            self.halt(format!(
                "the control topic has no offset {next}: it was made anew, or has lost records"
            ));
            return false;
        }
        if code.is_some_and(kafka::is_one_connection) {
            return true;
        }
        let heard = consumer.context().last();
        self.trouble(&heard.unwrap_or_else(|| kafka::plain(error)));
        !kafka::is_reader_spent(error, consumer.context())
    }

    fn trouble(&mut self, reason: &str) {
        let reason = format!("topic {}: {reason}", self.settings.topic);
        if self.shared.health.set(Component::Control, Err(reason.clone())) {
            warn!(reason, "the control topic cannot be read, trying on");
        }
        self.is_in_trouble = true;
        self.probe_at = Instant::now() + PROBE_EVERY;
    }

    /// Asks whether the topic can be read, or is there still, when it is time to.
    fn probe(&mut self, consumer: &BaseConsumer<Ear>) {
        if Instant::now() < self.probe_at {
            return;
        }
        if !self.is_in_trouble {
            self.probe_at = Instant::now() + LOOK_EVERY;
            // Of brokers that do not answer librdkafka tells by itself.
            let fault = kafka::topic_fault(consumer, &self.settings.topic, PROBE_EVERY);
            if let Ok(Some(fault)) = fault {
                self.trouble(&fault.to_string());
            }
            return;
        }
        match kafka::answers(consumer, [self.settings.topic.as_str()], PROBE_EVERY) {
            Ok(()) => {
                self.is_in_trouble = false;
                self.probe_at = Instant::now() + LOOK_EVERY;
                if self.shared.health.set(Component::Control, Ok(())) {
                    info!("the control topic can be read");
                }
            }
            Err(reason) => self.trouble(&consumer.context().last().unwrap_or(reason)),
        }
    }

    /// Nothing is read from here on; those who wait are told.
    fn halt(&mut self, reason: String) {
        self.show();
        // It ends at the first reason.
        if self.shared.halted.set(reason).is_ok() {
            self.shared.next.send_modify(|_| ());
        }
    }
}
