//! Fills a topic of the real Kafka.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::PARTITIONS;
use super::events::Events;
use super::process;

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

/// Makes the topic and fills it; answers how many bytes that were.
pub(crate) fn produce(brokers: &str, topic: &str, events: u64) -> u64 {
    wait(async {
        let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
        admin(brokers).create_topics(&[new], &AdminOptions::new()).await.unwrap()
    });
    let producer: ThreadedProducer<DefaultProducerContext> = config(brokers)
        .set("linger.ms", "50")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "100000")
        .create()
        .unwrap();
    // A new topic is known to the controller first; a producer that asks too early gives up on it.
    let is_known = || {
        let metadata = producer.client().fetch_metadata(Some(topic), Duration::from_secs(10));
        metadata.unwrap().topics().iter().all(|found| found.error().is_none())
    };
    while !is_known() {
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut bytes = 0;
    for (number, event) in (0..events).zip(Events::new()) {
        bytes += event.len() as u64;
        let partition = i32::try_from(number % 4).unwrap() % PARTITIONS;
        let mut record = BaseRecord::<(), str>::to(topic).partition(partition).payload(&event);
        while let Err((error, back)) = producer.send(record) {
            assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "{error}");
            producer.flush(Duration::from_millis(50)).unwrap_or_default();
            record = back;
        }
    }
    producer.flush(Duration::from_secs(120)).unwrap();
    bytes
}

/// Reads the whole topic with a bare consumer that looks at no message; answers messages per
/// CPU-second of this process, in which nothing else runs meanwhile. It tells how fast the machine
/// is at this moment.
pub(crate) fn bare_consumer(brokers: &str, topic: &str, events: u64) -> f64 {
    let mut config = config(brokers);
    config.set("group.id", "bare").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let (mut seen, mut begun) = (0, None);
    while seen < events {
        let Some(message) = consumer.poll(Duration::from_secs(1)) else { continue };
        drop(message.unwrap());
        seen += 1;
        if seen == events / 10 {
            begun = Some((seen, process::cpu_seconds(std::process::id())));
        }
    }
    let (first, cpu) = begun.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let counted = (seen - first) as f64;
    counted / (process::cpu_seconds(std::process::id()) - cpu)
}

pub(crate) fn delete(brokers: &str, topics: &[&str]) {
    wait(async { admin(brokers).delete_topics(topics, &AdminOptions::new()).await.unwrap() });
}

fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    config(brokers).create().unwrap()
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
