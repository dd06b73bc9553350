//! What a test writes to Kafka, and what it reads back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Headers, Message as _, OwnedMessage};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::index::Coordinates;
use super::{PATIENCE, POLL, World};

/// A message with the time that its producer gave it; `None` is the time of writing, -1 is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed<'a> {
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) time: Option<i64>,
}

/// A record of the dead-letter topic.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: Vec<u8>,
}

impl Letter {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn coordinates(&self) -> Coordinates {
        let offset = self.header("sluice.offset").parse().unwrap();
        (offset, self.header("sluice.index").parse().unwrap())
    }
}

impl World {
    /// Puts messages on the source topic, all acknowledged; `None` is a tombstone.
    pub(crate) fn produce<'a>(&self, messages: impl IntoIterator<Item = Option<&'a [u8]>>) {
        self.produce_timed(messages.into_iter().map(|value| Timed { value, time: None }));
    }

    /// The same with times, in order in partition 0.
    pub(crate) fn produce_timed<'a>(&self, messages: impl IntoIterator<Item = Timed<'a>>) {
        self.produce_to(1, messages);
    }

    /// The same, going round the first partitions.
    pub(crate) fn produce_to<'a>(
        &self,
        partitions: i32,
        messages: impl IntoIterator<Item = Timed<'a>>,
    ) {
        let producer: ThreadedProducer<DefaultProducerContext> = self
            .client()
            .set("message.max.bytes", "10000000")
            .set("enable.idempotence", "true")
            .set("linger.ms", "20")
            .set("compression.type", "lz4")
            .create()
            .unwrap();
        let before = self.records(&self.name);
        let mut written = 0;
        for (message, partition) in messages.into_iter().zip((0..partitions).cycle()) {
            let mut record = BaseRecord::<(), [u8]>::to(&self.name).partition(partition);
            (record.payload, record.timestamp) = (message.value, message.time);
            while let Err((error, back)) = producer.send(record) {
                let full = Some(RDKafkaErrorCode::QueueFull);
                assert_eq!(error.rdkafka_error_code(), full, "{error}");
                producer.flush(POLL).unwrap_or_default();
                record = back;
            }
            written += 1;
        }
        producer.flush(PATIENCE).unwrap();
        assert_eq!(self.records(&self.name) - before, written, "every message is acknowledged");
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka);
        config
    }

    fn consumer(&self) -> BaseConsumer {
        self.client()
            .set("group.id", &self.name)
            .set("enable.auto.commit", "false")
            .create()
            .unwrap()
    }

    /// Creates a topic as a test wants it.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let made = admin.create_topics([&topic], &AdminOptions::new());
        assert!(self.runtime.block_on(made).unwrap()[0].is_ok());
    }

    pub(crate) fn delete_topic(&self, name: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let gone = admin.delete_topics(&[name], &AdminOptions::new());
        assert!(self.runtime.block_on(gone).unwrap()[0].is_ok());
        self.until("the topic is gone", |world| (world.partitions(name) == 0).then_some(()));
    }

    pub(crate) fn widen_topic(&self, name: &str, partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let wider = NewPartitions::new(name, partitions);
        let made = admin.create_partitions([&wider], &AdminOptions::new());
        assert!(self.runtime.block_on(made).unwrap()[0].is_ok());
    }

    /// How many partitions a topic has; 0: there is none.
    pub(crate) fn partitions(&self, topic: &str) -> usize {
        let metadata = self.consumer().fetch_metadata(Some(topic), PATIENCE).unwrap();
        metadata.topics().first().map_or(0, |topic| topic.partitions().len())
    }

    /// How many records stand in a topic.
    pub(crate) fn records(&self, topic: &str) -> i64 {
        let consumer = self.consumer();
        let partitions = 0..i32::try_from(self.partitions(topic)).unwrap();
        partitions
            .map(|partition| {
                let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap();
                high - low
            })
            .sum()
    }

    /// The committed position of each partition of the source; -1 where there is none.
    pub(crate) fn committed(&self) -> Vec<i64> {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions(&self.name) {
            list.add_partition(&self.name, i32::try_from(partition).unwrap());
        }
        let found = self.consumer().committed_offsets(list, PATIENCE).unwrap();
        let offset = |offset: Offset| offset.to_raw().filter(|raw| *raw >= 0).unwrap_or(-1);
        found.elements().iter().map(|element| offset(element.offset())).collect()
    }

    /// Gives a topic these settings, and for all others the broker's again.
    pub(crate) fn configure_topic(&self, name: &str, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut altered = AlterConfig::new(ResourceSpecifier::Topic(name));
        for (key, value) in settings {
            altered = altered.set(key, value);
        }
        let done = admin.alter_configs([&altered], &AdminOptions::new());
        assert!(self.runtime.block_on(done).unwrap()[0].is_ok());
    }

    /// Removes what a partition has before an offset, as its retention would.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        let gone = self.runtime.block_on(admin.delete_records(&list, &AdminOptions::new()));
        gone.unwrap().elements()[0].error().unwrap();
    }

    /// The offset behind the last record of a partition.
    pub(crate) fn end(&self, topic: &str, partition: i32) -> i64 {
        self.consumer().fetch_watermarks(topic, partition, PATIENCE).unwrap().1
    }

    /// Every record of a topic, each partition in order.
    pub(crate) fn read(&self, topic: &str) -> Vec<OwnedMessage> {
        let consumer = self.consumer();
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions(topic) {
            let partition = i32::try_from(partition).unwrap();
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let wanted = usize::try_from(self.records(topic)).unwrap();
        let began = Instant::now();
        let mut read = Vec::new();
        while read.len() < wanted {
            assert!(began.elapsed() < PATIENCE, "{} of {wanted} records of {topic}", read.len());
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                read.push(message.unwrap().detach());
            }
        }
        read
    }

    /// Every dead letter, in order.
    pub(crate) fn letters(&self) -> Vec<Letter> {
        let letter = |message: OwnedMessage| {
            let text = |value: Option<&[u8]>| {
                String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
            };
            let headers = message.headers().unwrap().iter();
            let headers = headers.map(|header| (header.key.to_owned(), text(header.value)));
            let value = message.payload().unwrap_or_default().to_vec();
            Letter { headers: headers.collect(), value }
        };
        self.read(&format!("{}-dead", self.name)).into_iter().map(letter).collect()
    }
}
