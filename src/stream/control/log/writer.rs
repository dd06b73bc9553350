//! Writes commands, and asks for the topic's end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::util::Timeout;

use crate::config::settings::KafkaSettings;
use crate::kafka::{self, Ear, SharedEar};

use super::LogSettings;
use super::reader::PARTITION;

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
    pub(super) fn new(settings: &LogSettings) -> Self {
        Self {
            kafka: settings.kafka.clone(),
            topic: settings.topic.clone(),
            // Before the answer is given up, so that its asker is told the reason.
            message_timeout: settings.answer_timeout * 3 / 4,
            client: Mutex::new(None),
        }
    }

    /// Returns when the record is acknowledged by all in-sync replicas. After an error it may be
    /// there all the same.
    pub(super) async fn write(&self, payload: &[u8]) -> Result<(), String> {
        let client = self.client()?;
        let record = FutureRecord::<(), [u8]>::to(&self.topic).partition(PARTITION);
        let sent =
            client.producer.send(record.payload(payload), Timeout::After(Duration::ZERO)).await;
        sent.map(drop).map_err(|(error, _)| {
            let reason = client.ear.last().unwrap_or_else(|| kafka::plain(&error));
            self.discard_spent(&client);
            format!("it cannot be written: {} ({reason})", kafka::plain(&error))
        })
    }

    /// The offset behind the last record. Blocks.
    pub(super) fn end(&self, within: Duration) -> Result<u64, String> {
        let client = self.client()?;
        let ends = client.producer.client().fetch_watermarks(&self.topic, PARTITION, within);
        let (_, end) = ends.map_err(|error| {
            let reason = client.ear.last().unwrap_or_else(|| kafka::plain(&error));
            self.discard_spent(&client);
            reason
        })?;
        u64::try_from(end).map_err(|error| error.to_string())
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
