//! Writes the records of our own topics, and asks for a topic's end.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use crate::config::settings::KafkaSettings;
use crate::kafka::{self, Ear, SharedEar};

/// What librdkafka may hold of our records, in KiB.
const QUEUE_KIBIBYTES_MAX: &str = "16384";

/// One record on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) partition: i32,
    pub(super) key: Option<&'a str>,
    /// `None` is a tombstone.
    pub(super) payload: Option<&'a [u8]>,
}

/// An idempotent producer, made when it is needed, and again when it cannot go on.
pub(super) struct Writer {
    kafka: KafkaSettings,
    topic: String,
    message_timeout: Duration,
    client: Mutex<Option<Arc<Client>>>,
}

struct Client {
    producer: FutureProducer<SharedEar>,
    ear: Arc<Ear>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Writer {
    /// A record that is not acknowledged within `message_timeout` is given up.
    pub(super) fn new(kafka: KafkaSettings, topic: String, message_timeout: Duration) -> Self {
        Self { kafka, topic, message_timeout, client: Mutex::new(None) }
    }

    /// Returns when the record is acknowledged by all in-sync replicas. After an error it may be
    /// there all the same.
    pub(super) async fn write(self: &Arc<Self>, record: Outgoing<'_>) -> Result<(), String> {
        self.send(record)?.await
    }

    /// Puts the record behind those sent before, without waiting. The future tells when it is
    /// acknowledged; it need not be waited for.
    pub(super) fn send(
        self: &Arc<Self>,
        record: Outgoing<'_>,
    ) -> Result<impl Future<Output = Result<(), String>> + Send + use<>, String> {
        let client = self.client()?;
        let mut queued = FutureRecord::<str, [u8]>::to(&self.topic).partition(record.partition);
        queued.key = record.key;
        queued.payload = record.payload;
        let sent = client.producer.send_result(queued);
        let delivery = match sent {
            Ok(delivery) => delivery,
            Err((error, _)) => {
                self.discard_spent(&client);
                return Err(format!("it cannot be written: {}", kafka::plain(&error)));
            }
        };
        let writer = Arc::clone(self);
        Ok(async move {
            let error = match delivery.await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err((error, _))) => kafka::plain(&error),
                Err(_canceled) => "the client was ended".to_owned(),
            };
            let reason = client.ear.last().unwrap_or_else(|| error.clone());
            writer.discard_spent(&client);
            Err(format!("it cannot be written: {error} ({reason})"))
        })
    }

    /// The offset behind the last record. Blocks.
    pub(super) fn end(&self, partition: i32, within: Duration) -> Result<u64, String> {
        let client = self.client()?;
        let ends = client.producer.client().fetch_watermarks(&self.topic, partition, within);
        let (_, end) = ends.map_err(|error| {
            let reason = client.ear.last().unwrap_or_else(|| kafka::plain(&error));
            self.discard_spent(&client);
            reason
        })?;
        u64::try_from(end).map_err(|error| error.to_string())
    }

    /// Looks at the topic, so that partitions that are new can be written to. Blocks.
    pub(super) fn look(&self, within: Duration) -> Result<(), String> {
        let client = self.client()?;
        let found = client.producer.client().fetch_metadata(Some(&self.topic), within);
        found.map(drop).map_err(|error| {
            let reason = client.ear.last().unwrap_or_else(|| kafka::plain(&error));
            self.discard_spent(&client);
            reason
        })
    }

    /// Waits until nothing is on its way any more, or this time is over. Blocks.
    pub(super) fn flush(&self, within: Duration) {
        let client = self.held().clone();
        // What is not acknowledged by then was not promised to anybody.
        client.map(|client| client.producer.flush(within).ok());
    }

    fn client(&self) -> Result<Arc<Client>, String> {
        let mut held = self.held();
        if let Some(client) = held.as_ref() {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(self.connect().map_err(|error| format!("{error:#}"))?);
        *held = Some(Arc::clone(&client));
        Ok(client)
    }

    fn connect(&self) -> anyhow::Result<Client> {
        let mut config = kafka::client_config(&self.kafka)?;
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("allow.auto.create.topics", "false")
            .set("queue.buffering.max.kbytes", QUEUE_KIBIBYTES_MAX)
            .set("message.timeout.ms", self.message_timeout.as_millis().max(1).to_string());
        let ear = Arc::new(Ear::default());
        let producer = config.create_with_context(SharedEar(Arc::clone(&ear)))?;
        Ok(Client { producer, ear })
    }

    /// Lets go of a client that cannot go on: librdkafka gave it up, or its secrets are old.
    fn discard_spent(&self, used: &Arc<Client>) {
        let gave_up = used.producer.client().fatal_error().is_some();
        if !gave_up && !used.ear.was_about_secrets() {
            return;
        }
        let mut held = self.held();
        if held.as_ref().is_some_and(|client| Arc::ptr_eq(client, used)) {
            *held = None;
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<Client>>> {
        // Each change is one assignment, so a panic elsewhere cannot leave half of one.
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
