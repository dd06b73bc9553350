//! Records for the side topics: the live topic and the dead letters.
//!
//! A record is tried until it is acknowledged, or until the partition that its events came from is
//! no longer ours; it is never dropped. Only "too large" is an answer, because the sender can do
//! something about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _, PurgeConfig};
use tracing::{debug, warn};

use crate::config::settings::KafkaSettings;
use crate::event::Hold;
use crate::health::{Component, Health};
use crate::kafka::{self, Ear, SharedEar};

/// librdkafka gives a record back after this long without an acknowledgement, so that a lost
/// broker is seen and told; then it is sent again.
const MESSAGE_TIMEOUT_MS: &str = "30000";
/// How long a full queue is left alone.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);
/// Between two tries, and between two looks at whether the try still makes sense.
const TRY_PAUSE: Duration = Duration::from_secs(1);

/// What a producer needs to know.
#[derive(Debug, Clone)]
pub struct ProducerSettings {
    pub kafka: KafkaSettings,
    /// What librdkafka may hold of unacknowledged records.
    pub queue_bytes_max: usize,
    /// The largest record of any side topic.
    pub message_bytes_max: usize,
}

/// One record on its way to a side topic.
#[derive(Debug)]
pub struct Record {
    pub topic: Arc<str>,
    /// `None`: any.
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    pub payload: Vec<u8>,
    pub headers: OwnedHeaders,
    /// Where its events came from: when that is lost the record is its next owner's.
    pub hold: Arc<Hold>,
    /// Whose trouble it is when the record cannot be sent.
    pub component: Component,
}

/// A record that is in the queue, or was refused by it.
pub struct Sent {
    state: State,
    topic: Arc<str>,
    hold: Arc<Hold>,
    component: Component,
}

enum State {
    /// The client is kept until the answer is there: dropping it would drop the record.
    Queued(DeliveryFuture, Arc<Client>),
    TooLarge(Box<Record>),
    Abandoned,
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// How a record ended.
#[derive(Debug)]
pub enum Ended {
    Acknowledged,
    /// Larger than the client or the topic takes.
    TooLarge(Box<Record>),
    /// Its hold was lost.
    Abandoned,
}

/// One idempotent producer for all side topics.
pub struct Producer {
    settings: ProducerSettings,
    client: ArcSwap<Client>,
    health: Health,
    in_trouble: [AtomicBool; Component::COUNT],
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

struct Client {
    producer: FutureProducer<SharedEar>,
    ear: Arc<Ear>,
    fingerprint: u64,
}

impl Producer {
    /// # Errors
    /// Where no client can be made of the settings.
    pub fn new(settings: ProducerSettings, health: Health) -> anyhow::Result<Self> {
        let client = ArcSwap::from_pointee(Client::new(&settings)?);
        Ok(Self { settings, client, health, in_trouble: Default::default() })
    }

    /// Puts a record into the queue, waiting for room there. Records that are put one after the
    /// other into one partition arrive in that order, unless one has to be sent again.
    pub async fn enqueue(&self, record: Record) -> Sent {
        let (topic, hold, component) =
            (record.topic.clone(), Arc::clone(&record.hold), record.component);
        let state = self.put(record).await;
        Sent { state, topic, hold, component }
    }

    /// Puts a record without key and value into the queue, where there is room, and forgets it:
    /// it is not sent again, and no trouble to anybody if it cannot be sent.
    pub fn offer(&self, topic: &str, partition: i32, headers: OwnedHeaders) {
        let record = FutureRecord::<[u8], [u8]>::to(topic).partition(partition);
        let sent = self.client.load().producer.send_result(record.payload(&[]).headers(headers));
        if let Err((error, _)) = sent {
            debug!(topic, partition, %error, "a marker is left out");
        }
    }

    async fn put(&self, record: Record) -> State {
        loop {
            if record.hold.is_lost() {
                return State::Abandoned;
            }
            let client = self.client.load_full();
            let error = match client.producer.send_result(future_record(&record)) {
                Ok(delivery) => return State::Queued(delivery, client),
                Err((error, _)) => error,
            };
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => tokio::time::sleep(QUEUE_PAUSE).await,
                Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    return State::TooLarge(Box::new(record));
                }
                _ => {
                    self.trouble(record.component, &record.topic, &client, &error);
                    tokio::time::sleep(TRY_PAUSE).await;
                }
            }
        }
    }

    /// Waits for the acknowledgement, and sends again for as long as there is none.
    pub async fn wait(&self, sent: Sent) -> Ended {
        let Sent { mut state, topic, hold, component } = sent;
        loop {
            let (delivery, client) = match state {
                State::Queued(delivery, client) => (delivery, client),
                State::TooLarge(record) => return Ended::TooLarge(record),
                State::Abandoned => return Ended::Abandoned,
            };
            let Some((error, message)) = self.answer(delivery, &client, &hold).await else {
                if hold.is_lost() {
                    return Ended::Abandoned;
                }
                self.well(component);
                return Ended::Acknowledged;
            };
            let record = record_again(&message, &topic, &hold, component);
            if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) {
                return Ended::TooLarge(Box::new(record));
            }
            // What our own purge gave back goes to the new client at once.
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PurgeQueue) {
                self.trouble(component, &topic, &client, &error);
                tokio::time::sleep(TRY_PAUSE).await;
            }
            state = self.put(record).await;
        }
    }

    /// The failure, or `None` when the record is acknowledged or no longer ours.
    async fn answer(
        &self,
        mut delivery: DeliveryFuture,
        client: &Arc<Client>,
        hold: &Hold,
    ) -> Option<(KafkaError, OwnedMessage)> {
        loop {
            match tokio::time::timeout(TRY_PAUSE, &mut delivery).await {
                Ok(Ok(Ok(_))) => return None,
                Ok(Ok(Err(failure))) => return Some(failure),
                // The client is held, so its queue cannot have been dropped.
                Ok(Err(_)) => return None,
                Err(_) if hold.is_lost() => return None,
                Err(_) => self.renew(client),
            }
        }
    }

    fn trouble(&self, component: Component, topic: &str, client: &Arc<Client>, error: &KafkaError) {
        let reason = client.ear.last().unwrap_or_else(|| kafka::plain(error));
        let reason = format!("topic {topic} cannot be written: {} ({reason})", kafka::plain(error));
        warn!(reason, "records wait");
        if let Some(flag) = self.in_trouble.get(component.index()) {
            flag.store(true, Ordering::Release);
        }
        self.health.set(component, Err(reason));
        self.renew(client);
    }

    fn well(&self, component: Component) {
        let flag = self.in_trouble.get(component.index());
        if flag.is_some_and(|flag| flag.swap(false, Ordering::AcqRel)) {
            self.health.set(component, Ok(()));
        }
    }

    /// A new client where the old one cannot go on: its secrets were replaced, or librdkafka gave
    /// it up. What the old one still holds comes back to those who wait for it.
    fn renew(&self, used: &Arc<Client>) {
        let gave_up = used.producer.client().fatal_error().is_some();
        let replaced = used.ear.was_about_secrets()
            && kafka::fingerprint(&self.settings.kafka.security) != used.fingerprint;
        if !gave_up && !replaced {
            return;
        }
        let current = self.client.load_full();
        if Arc::ptr_eq(&current, used) {
            match Client::new(&self.settings) {
                Ok(client) => self.client.store(Arc::new(client)),
                Err(error) => {
                    warn!("no new producer: {error:#}");
                    return;
                }
            }
        }
        used.producer.purge(PurgeConfig::default().queue().inflight());
    }
}

impl Client {
    fn new(settings: &ProducerSettings) -> anyhow::Result<Self> {
        let fingerprint = kafka::fingerprint(&settings.kafka.security);
        let queue_kbytes = (settings.queue_bytes_max / 1024).max(1);
        let mut config = kafka::client_config(&settings.kafka)?;
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", MESSAGE_TIMEOUT_MS)
            .set("message.max.bytes", settings.message_bytes_max.to_string())
            .set("queue.buffering.max.kbytes", queue_kbytes.to_string());
        let ear = Arc::new(Ear::default());
        let producer = config
            .create_with_context(SharedEar(Arc::clone(&ear)))
            .context("kafka: the settings are refused")?;
        Ok(Self { producer, ear, fingerprint })
    }
}

fn future_record(record: &Record) -> FutureRecord<'_, [u8], [u8]> {
    let mut future = FutureRecord::to(&record.topic)
        .payload(record.payload.as_slice())
        .headers(record.headers.clone());
    if let Some(key) = &record.key {
        future = future.key(key.as_slice());
    }
    if let Some(partition) = record.partition {
        future = future.partition(partition);
    }
    future
}

/// The record that librdkafka gave back.
fn record_again(
    message: &OwnedMessage,
    topic: &Arc<str>,
    hold: &Arc<Hold>,
    component: Component,
) -> Record {
    Record {
        topic: Arc::clone(topic),
        // A dead letter may go anywhere else; a live record knows its partition.
        partition: (component == Component::Live).then(|| message.partition()),
        key: message.key().map(<[u8]>::to_vec),
        headers: message.headers().cloned().unwrap_or_else(OwnedHeaders::new),
        payload: message.payload().unwrap_or_default().to_vec(),
        hold: Arc::clone(hold),
        component,
    }
}
