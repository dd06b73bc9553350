//! The path from Kafka to its outcomes in this process: librdkafka's own mock cluster, a stub of
//! preparation, and an index in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::Registry;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, Headers, Message as _, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use sluice::app::{self, Shutdown};
use sluice::clock::Clock;
use sluice::config::settings::{KafkaSettings, Limits};
use sluice::deliver::batch::BatchLimits;
use sluice::deliver::dead_letter::DeadLetters;
use sluice::deliver::mirror::{Mirror, Spread};
use sluice::deliver::producer::{Producer, ProducerSettings};
use sluice::deliver::settle::Delivery;
use sluice::event::Chunk;
use sluice::health::Health;
use sluice::ledger::{Ledger, Snapshot};
use sluice::metrics::Metrics;
use sluice::outcome::{Reason, Skip};
use sluice::pipeline::Path;
use sluice::prepare::{Document, Facts, Prepared, Rejected};
use sluice::source::{Budget, Reading, Shared};
use tokio::task::JoinHandle;

use super::memory::Memory;

pub(crate) const EVENTS: &str = "events";
pub(crate) const LIVE: &str = "live";
pub(crate) const DEAD: &str = "dead";
pub(crate) const LIVE_PARTITIONS: u32 = 4;
const GROUP: &str = "sluice";
/// Long enough for two rebalances of the mock cluster, which take 5 s each.
const PATIENCE: Duration = Duration::from_secs(40);

/// A mock cluster with the three topics.
pub(crate) struct Kafka {
    pub(crate) cluster: MockCluster<'static, DefaultProducerContext>,
    pub(crate) settings: KafkaSettings,
}

impl Kafka {
    pub(crate) fn start(partitions: i32) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(EVENTS, partitions, 1).unwrap();
        cluster.create_topic(LIVE, LIVE_PARTITIONS.cast_signed(), 1).unwrap();
        cluster.create_topic(DEAD, 1, 1).unwrap();
        let settings = KafkaSettings {
            brokers: vec![cluster.bootstrap_servers()],
            group: GROUP.to_owned(),
            session_timeout: Duration::from_secs(6),
            ..KafkaSettings::default()
        };
        Self { cluster, settings }
    }

    /// With records that come at once: the mock cluster answers a fetch when its time is over, not
    /// when there is something.
    pub(crate) fn quick(partitions: i32) -> Self {
        let mut kafka = Self::start(partitions);
        let wait = ("fetch.wait.max.ms".to_owned(), "10".to_owned());
        kafka.settings.properties.push(wait);
        kafka
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap_servers());
        config
    }

    /// Puts messages into a partition, in order; `None` is a tombstone.
    pub(crate) fn produce<P: AsRef<[u8]>>(
        &self,
        partition: i32,
        payloads: impl IntoIterator<Item = Option<P>>,
    ) {
        let producer: BaseProducer =
            self.config().set("message.max.bytes", "20000000").create().unwrap();
        for payload in payloads {
            let mut record = BaseRecord::<[u8], [u8]>::to(EVENTS)
                .partition(partition)
                .timestamp(1_700_000_000_000);
            if let Some(payload) = &payload {
                record = record.payload(payload.as_ref());
            }
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// The committed positions of the source topic, by partition.
    pub(crate) fn committed(&self, partitions: i32) -> Vec<Option<i64>> {
        let consumer: BaseConsumer = self.config().set("group.id", GROUP).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(EVENTS, 0, partitions - 1);
        let list = consumer.committed_offsets(list, PATIENCE).unwrap();
        list.elements()
            .iter()
            .map(|element| match element.offset() {
                Offset::Offset(at) => Some(at),
                _ => None,
            })
            .collect()
    }

    /// Commits a position for the group.
    pub(crate) fn commit(&self, partition: i32, offset: i64) {
        let consumer: BaseConsumer = self.config().set("group.id", GROUP).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(EVENTS, partition, Offset::Offset(offset)).unwrap();
        consumer.commit(&list, CommitMode::Sync).unwrap();
    }

    /// See [`Live::put`].
    pub(crate) fn go_live(&self, partition: i32, records: &[(&str, String)]) {
        Live::new(&self.settings).put(partition, records);
    }

    /// Every record of a topic, from its beginning, until `count` were read.
    pub(crate) fn read(&self, topic: &str, partitions: i32, count: usize) -> Vec<Read> {
        let consumer: BaseConsumer = self
            .config()
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut records, began) = (Vec::new(), Instant::now());
        while records.len() < count {
            assert!(began.elapsed() < PATIENCE, "{} of {count} records came", records.len());
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message.unwrap();
                let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
                records.push(Read {
                    partition: message.partition(),
                    key: text(message.key()),
                    value: message.payload().unwrap_or_default().to_vec(),
                    headers: headers.map(|one| (one.key.to_owned(), text(one.value))).collect(),
                });
            }
        }
        records
    }
}

/// Writes to the live topic, again and again.
pub(crate) struct Live(BaseProducer);

impl Live {
    pub(crate) fn new(settings: &KafkaSettings) -> Self {
        let mut config = ClientConfig::new();
        Self(config.set("bootstrap.servers", settings.brokers.join(",")).create().unwrap())
    }

    /// Puts records into a partition, in order: area and lines.
    pub(crate) fn put<A: AsRef<str>>(&self, partition: i32, records: &[(A, String)]) {
        let records = records.iter();
        self.put_each(records.map(|(area, lines)| (partition, area.as_ref(), &**lines)));
    }

    /// Puts records into their partitions, in order: partition, area and lines.
    pub(crate) fn put_each<'a>(&self, records: impl Iterator<Item = (i32, &'a str, &'a str)>) {
        for (partition, area, lines) in records {
            let record = BaseRecord::<str, str>::to(LIVE).partition(partition);
            let sent = self.0.send(record.key(area).payload(lines));
            sent.map_err(|(error, _)| error).unwrap();
        }
        self.0.flush(PATIENCE).unwrap();
    }

    /// Puts a marker into a partition, as a process writes it that delivers no events.
    pub(crate) fn put_marker(&self, partition: i32) {
        let header = |key, value| Header { key, value: Some(value) };
        let headers = OwnedHeaders::new()
            .insert(header("sluice.upstream", "stalled"))
            .insert(header("sluice.writer", "w"));
        let record = BaseRecord::<str, str>::to(LIVE).partition(partition);
        let sent = self.0.send(record.payload("").headers(headers));
        sent.map_err(|(error, _)| error).unwrap();
        self.0.flush(PATIENCE).unwrap();
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap()
}

/// One record of a side topic.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: BTreeMap<String, String>,
}

/// A stub: one event a message, the area is its first byte, `bad…` is refused.
pub(crate) fn prepare(chunk: Chunk) -> anyhow::Result<Prepared> {
    let mut prepared = Prepared {
        body: Vec::new(),
        live: None,
        documents: Vec::new(),
        rejects: Vec::new(),
        skipped: [0; Skip::COUNT],
        areas: Vec::new(),
        facts: Facts::default(),
        chunk: Chunk {
            hold: chunk.hold.clone(),
            bytes: Vec::new(),
            messages: Vec::new(),
            received: chunk.received,
        },
    };
    for (place, message) in chunk.messages.iter().enumerate() {
        let Some(origin) = message.payload.clone() else {
            prepared.skipped[Skip::Tombstone.index()] += 1;
            continue;
        };
        let payload = chunk.slice(&origin);
        if payload.starts_with(b"bad") {
            prepared.rejects.push(Rejected {
                reason: Reason::NotJson,
                detail: "no JSON",
                origin,
                message: place,
                index_in_message: 0,
            });
            continue;
        }
        let action = prepared.body.len();
        let id = format!("{}/{}", chunk.hold.partition, message.offset);
        prepared
            .body
            .extend_from_slice(format!("{{\"create\":{{\"_id\":\"{id}\"}}}}\n").as_bytes());
        let start = prepared.body.len();
        prepared.body.extend_from_slice(payload);
        let source = start..prepared.body.len();
        prepared.body.push(b'\n');
        let area: Box<str> = String::from_utf8_lossy(&payload[..1]).into();
        let area = prepared.areas.iter().position(|known| *known == area).unwrap_or_else(|| {
            prepared.areas.push(area);
            prepared.areas.len() - 1
        });
        let live = source.clone();
        let document =
            Document { action, source, live, origin, message: place, index_in_message: 0, area };
        prepared.documents.push(document);
    }
    prepared.chunk = chunk;
    Ok(prepared)
}

/// One running process, as far as the path goes.
pub(crate) struct Member {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
}

/// What a test may choose.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) limits: Limits,
    pub(crate) batch_bytes_max: usize,
    pub(crate) live_bytes_max: usize,
    pub(crate) dead_bytes_max: usize,
    /// Over how many partitions of the live topic an area is spread.
    pub(crate) spread: BTreeMap<String, u32>,
}

impl Default for Choice {
    fn default() -> Self {
        let limits = Limits {
            commit_every: Duration::from_millis(20),
            chunk_messages_max: 10,
            ..Limits::default()
        };
        Self {
            limits,
            batch_bytes_max: 1_000,
            live_bytes_max: 1 << 20,
            dead_bytes_max: 1 << 20,
            spread: BTreeMap::new(),
        }
    }
}

impl Member {
    pub(crate) fn start(kafka: &Kafka, index: Memory, choice: &Choice) -> Self {
        let metrics = Metrics::new(Registry::new(), &[]).unwrap();
        let (ledger, health) = (Arc::new(Ledger::default()), Health::default());
        let bytes_max = choice.limits.in_flight_bytes_max;
        let shared = Shared {
            ledger: Arc::clone(&ledger),
            board: Arc::default(),
            budget: Arc::new(Budget::new(bytes_max, metrics.in_flight_bytes.clone())),
            metrics: metrics.clone(),
            health: health.clone(),
            clock: Clock::system(),
        };
        let settings = ProducerSettings {
            kafka: kafka.settings.clone(),
            queue_bytes_max: choice.limits.produce_bytes_max,
            message_bytes_max: choice.live_bytes_max.max(choice.dead_bytes_max),
        };
        let producer = Arc::new(Producer::new(settings, health).unwrap());
        let spread = Spread::new(LIVE_PARTITIONS, &choice.spread);
        let bytes_max = choice.live_bytes_max;
        let mirror = Mirror::new(Arc::clone(&producer), LIVE, spread, bytes_max, &metrics);
        let names = vec!["gateway".to_owned()];
        let dead_letters = DeadLetters::new(producer, DEAD, choice.dead_bytes_max, names);
        let path = Path {
            prepare: Arc::new(prepare),
            prepare_in_flight_max: 2,
            batch: BatchLimits {
                bytes_max: choice.batch_bytes_max,
                age_max: Duration::from_millis(50),
            },
            delivery: Arc::new(Delivery { index, mirror: Some(mirror), dead_letters }),
            settle_in_flight_max: 4,
            shared,
        };
        let reading = Reading {
            kafka: kafka.settings.clone(),
            limits: choice.limits.clone(),
            topics: vec![(EVENTS.to_owned(), 0)],
        };
        let shutdown = Shutdown::default();
        #[expect(clippy::disallowed_methods, reason = "its end is awaited by `stop`")]
        let running = tokio::task::spawn({
            let shutdown = shutdown.clone();
            async move { app::flow(reading, path, &shutdown).await }
        });
        Self { ledger, metrics, shutdown, running }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let snapshot = self.ledger.snapshot();
        assert!(snapshot.is_conserved(), "{snapshot:?}");
        snapshot
    }

    /// Drains, and answers the last figures.
    pub(crate) async fn stop(self) -> Snapshot {
        self.shutdown.drain.cancel();
        self.running.await.unwrap().unwrap();
        let snapshot = self.ledger.snapshot();
        assert!(snapshot.is_conserved(), "{snapshot:?}");
        assert_eq!(snapshot.in_flight, 0);
        assert_eq!(self.metrics.in_flight_bytes.get(), 0);
        snapshot
    }
}

/// Waits until something holds, looking at it again and again.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
