//! Trouble with Kafka: said once, asked after, and over when Kafka answers again.

use std::time::{Duration, Instant};

use anyhow::bail;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{info, warn};

use crate::health::Component;
use crate::kafka;

use super::poll::Poller;

/// How often a cluster in trouble is asked whether it is well again.
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

impl Poller<'_> {
    /// An error that came by polling.
    pub(super) fn failed(&mut self, error: &KafkaError) -> anyhow::Result<()> {
        let reason = || {
            let heard = self.consumer.context().ear().last();
            heard.unwrap_or_else(|| kafka::plain(error))
        };
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            bail!("kafka: {}", reason());
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                self.rebalancing.recheck_soon();
            }
            // One connection of several: librdkafka mends it, and says so when all are down.
            Some(
                RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::OperationTimedOut,
            ) => {}
            _ => {
                let reason = reason();
                self.trouble(&reason);
            }
        }
        Ok(())
    }

    /// Says a reason once, however often it comes.
    pub(super) fn trouble(&mut self, reason: &str) {
        if self.shared.health.set(Component::Kafka, Err(reason.to_owned())) {
            warn!(reason, "kafka cannot be read, trying on");
        }
        self.probe_at = Some(Instant::now() + PROBE_EVERY);
    }

    /// Asks whether the trouble is over.
    pub(super) fn probe(&mut self) {
        let topics = self.reading.topics.iter().map(|(topic, _)| topic.as_str());
        match kafka::answers(&self.consumer, topics, PROBE_TIMEOUT) {
            Ok(()) if self.rebalancing.is_assigning() => {
                self.probe_at = Some(Instant::now() + PROBE_EVERY);
            }
            Ok(()) => {
                info!("kafka can be read again");
                self.waiting.tell_again();
                self.shared.health.set(Component::Kafka, Ok(()));
                self.probe_at = None;
            }
            Err(reason) => {
                let reason = self.consumer.context().ear().last().unwrap_or(reason);
                self.trouble(&reason);
            }
        }
    }

    pub(super) fn needs_new_secrets(&self) -> bool {
        self.probe_at.is_some()
            && self.consumer.context().ear().was_about_secrets()
            && kafka::fingerprint(&self.reading.kafka.security) != self.fingerprint
    }
}
