//! What every Kafka client of the process shares: the properties of librdkafka, and the first look
//! at the cluster.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Timestamp;
use rdkafka::types::RDKafkaRespErr;

use crate::clock::Millis;
use crate::config::fault::OrMisuse as _;
use crate::config::settings::{KafkaSecurity, KafkaSettings};

/// How long one question to a broker may take.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses, names and security; secret files are read now, so a client made later has newer ones.
///
/// # Errors
/// Where a secret file cannot be read.
pub fn client_config(settings: &KafkaSettings) -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", settings.brokers.join(","))
        .set("client.id", &settings.client_id)
        .set("reconnect.backoff.max.ms", "5000")
        .set("socket.keepalive.enable", "true")
        .set("log.connection.close", "false");
    secure(&mut config, &settings.security).or_misuse()?;
    for (key, value) in &settings.properties {
        config.set(key, value);
    }
    Ok(config)
}

/// A consumer that reads by plain assignment: it joins no group and commits nothing. librdkafka
/// assigns nothing without the `group`'s name all the same.
///
/// # Errors
/// As [`client_config`].
pub fn reader_config(settings: &KafkaSettings, group: &str) -> anyhow::Result<ClientConfig> {
    let mut config = client_config(settings)?;
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false");
    Ok(config)
}

fn secure(config: &mut ClientConfig, security: &KafkaSecurity) -> anyhow::Result<()> {
    let protocol = match (&security.sasl, security.tls) {
        (None, false) => "plaintext",
        (None, true) => "ssl",
        (Some(_), false) => "sasl_plaintext",
        (Some(_), true) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(sasl) = &security.sasl {
        let password = sasl.password.read().context("kafka: the password cannot be read")?;
        config
            .set("sasl.mechanism", sasl.mechanism.name())
            .set("sasl.username", &sasl.username)
            .set("sasl.password", password);
    }
    if !security.tls {
        return Ok(());
    }
    // Without a file librdkafka looks where the common distributions keep theirs.
    config.set("ssl.ca.location", path_or(security.ca_file.as_deref(), "probe"));
    if let Some(file) = &security.certificate_file {
        config.set("ssl.certificate.location", file.to_string_lossy());
    }
    if let Some(file) = &security.key_file {
        config.set("ssl.key.location", file.to_string_lossy());
    }
    if let Some(secret) = &security.key_password {
        let password = secret.read().context("kafka: the key's password cannot be read")?;
        config.set("ssl.key.password", password);
    }
    if security.skip_hostname_check {
        config.set("ssl.endpoint.identification.algorithm", "none");
    }
    Ok(())
}

fn path_or(path: Option<&Path>, otherwise: &str) -> String {
    path.map_or_else(|| otherwise.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// Tells whether the secrets and certificates are still those that a client was made with. A file
/// that cannot be read counts as another one.
#[must_use]
pub fn fingerprint(security: &KafkaSecurity) -> u64 {
    let mut hasher = DefaultHasher::new();
    let secrets =
        [security.sasl.as_ref().map(|sasl| &sasl.password), security.key_password.as_ref()];
    for secret in secrets.into_iter().flatten() {
        secret.read().ok().hash(&mut hasher);
    }
    let files = [&security.ca_file, &security.certificate_file, &security.key_file];
    for file in files.into_iter().flatten() {
        std::fs::read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// The cluster as it was found at start.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Part of every event's id.
    pub id: String,
    /// For each topic asked for, in order: its partitions.
    pub partitions: Vec<usize>,
}

/// What a look at the cluster found.
#[derive(Debug)]
pub enum Look {
    Found(Cluster),
    /// The cluster answers, and these topics do not exist.
    Missing(Vec<String>),
    /// No answer, or not the rights to get one: to be waited for.
    Unreachable(String),
}

/// Looks at the cluster once, through a client of its own; takes a few seconds at most.
///
/// # Errors
/// Where no client can be made of the settings.
pub async fn look(settings: KafkaSettings, topics: Vec<String>) -> anyhow::Result<Look> {
    let look = tokio::task::spawn_blocking(move || blocking_look(&settings, &topics));
    look.await.context("the look at kafka has failed")?
}

fn blocking_look(settings: &KafkaSettings, topics: &[String]) -> anyhow::Result<Look> {
    let mut config = match client_config(settings) {
        Ok(config) => config,
        // A secret's file that is being replaced is there again in a moment.
        Err(error) => return Ok(Look::Unreachable(format!("{error:#}"))),
    };
    config.set("allow.auto.create.topics", "false");
    let looker: BaseConsumer<Ear> =
        config.create_with_context(Ear::default()).context("kafka: the settings are refused")?;
    match ask(&looker, topics) {
        Ok(look) => Ok(look),
        Err(error) => {
            // The reason behind a timeout arrives as an event. A poll that does not wait at all
            // finds none.
            for _ in 0..16 {
                if looker.poll(Duration::from_millis(10)).is_none() {
                    break;
                }
            }
            let heard = looker.context().last();
            Ok(Look::Unreachable(heard.unwrap_or_else(|| plain(&error))))
        }
    }
}

fn ask(looker: &BaseConsumer<Ear>, topics: &[String]) -> Result<Look, KafkaError> {
    let (mut missing, mut partitions) = (Vec::new(), Vec::new());
    for topic in topics {
        let metadata = looker.fetch_metadata(Some(topic), ASK_TIMEOUT)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let error = found.and_then(rdkafka::metadata::MetadataTopic::error);
        match (found, error) {
            (Some(found), None) => partitions.push(found.partitions().len()),
            (None, _) | (_, Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)) => {
                missing.push(topic.clone());
            }
            (_, Some(error)) => {
                let code = RDKafkaErrorCode::from(error);
                return Ok(Look::Unreachable(format!("topic {topic}: {code}")));
            }
        }
    }
    if !missing.is_empty() {
        return Ok(Look::Missing(missing));
    }
    Ok(match looker.client().fetch_cluster_id(ASK_TIMEOUT) {
        Some(id) => Look::Found(Cluster { id, partitions }),
        None => Look::Unreachable("the cluster does not tell its id".to_owned()),
    })
}

/// Whether these topics can be seen through this client now.
///
/// # Errors
/// With the reason for an operator, where not.
pub fn answers<'a, C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topics: impl IntoIterator<Item = &'a str>,
    timeout: Duration,
) -> Result<(), String> {
    for topic in topics {
        let fault = topic_fault(client, topic, timeout).map_err(|error| plain(&error))?;
        fault.map_or(Ok(()), |fault| Err(format!("topic {topic}: {fault}")))?;
    }
    Ok(())
}

/// What the brokers say is wrong with a topic, if anything is.
///
/// # Errors
/// They do not answer in time.
pub fn topic_fault<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<RDKafkaErrorCode>, KafkaError> {
    let metadata = client.fetch_metadata(Some(topic), timeout)?;
    let error = metadata.topics().iter().find_map(rdkafka::metadata::MetadataTopic::error);
    Ok(error.map(RDKafkaErrorCode::from))
}

/// How many partitions a topic has, as seen through this client now.
///
/// # Errors
/// With the reason for an operator, where it cannot be told.
pub fn partition_count<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    timeout: Duration,
) -> Result<usize, String> {
    let metadata = client.fetch_metadata(Some(topic), timeout).map_err(|error| plain(&error))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let Some(found) = found else { return Err("it is not known to the brokers".to_owned()) };
    match found.error() {
        Some(error) => Err(RDKafkaErrorCode::from(error).to_string()),
        None => Ok(found.partitions().len()),
    }
}

/// A record's time in ms since the Unix epoch, and whether it is the broker's.
#[must_use]
pub fn time_of(timestamp: Timestamp) -> (Millis, bool) {
    let is_the_brokers = matches!(timestamp, Timestamp::LogAppendTime(_));
    (timestamp.to_millis().unwrap_or_default(), is_the_brokers)
}

/// An error of librdkafka as an operator wants to read it.
#[must_use]
pub fn plain(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
}

/// Whether new secrets could end this error.
#[must_use]
pub fn is_about_secrets(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::SSL
    )
}

/// Whether a reader gets no further after this error without a client made anew.
#[must_use]
pub fn is_reader_spent(error: &KafkaError, ear: &Ear) -> bool {
    let code = error.rdkafka_error_code();
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || code.is_some_and(is_about_secrets)
        || ear.was_about_secrets()
        // librdkafka asks seldom whether what was unknown is there by now.
        || matches!(
            code,
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownPartition
                    | RDKafkaErrorCode::TopicAuthorizationFailed
            )
        )
}

/// Whether an error is one connection of several, which librdkafka mends; it says so when all are
/// down.
#[must_use]
pub fn is_one_connection(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::OperationTimedOut)
}

/// Keeps the last reason that librdkafka gave for an error, in its own words: they name the broker
/// and the cause, never a secret.
#[derive(Debug, Default)]
pub struct Ear {
    last: std::sync::Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Ear {
    /// Notes an error. "All brokers are down" tells less than what came before it, and to be at a
    /// partition's end is no error.
    pub fn hear(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        if code == RDKafkaErrorCode::PartitionEOF {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if code != RDKafkaErrorCode::AllBrokersDown || last.is_none() {
            // Behind the cause stands how long it took and how often it was the same: never twice
            // the same text for one cause.
            let cause = reason.rsplit_once(" (after ").map_or(reason, |(cause, _)| cause);
            *last = Some((code, untrusted(cause).unwrap_or_else(|| cause.to_owned())));
        }
    }

    #[must_use]
    pub fn last(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        last.as_ref().map(|(_, reason)| reason.clone())
    }

    /// Whether the last error was one that new secrets could end.
    #[must_use]
    pub fn was_about_secrets(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        last.as_ref().is_some_and(|&(code, _)| is_about_secrets(code))
    }
}

/// A certificate that is not trusted, which librdkafka says now in one way and now in another.
fn untrusted(cause: &str) -> Option<String> {
    const FAILED: &str = "certificate verify failed";
    let (broker, rest) = cause.split_once(": ")?;
    let is_so = rest.contains(FAILED);
    is_so.then(|| format!("{broker}: {FAILED}: it is not of an authority of `kafka.ca_file`"))
}

impl ClientContext for Ear {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.hear(&error, reason);
    }
}

impl ConsumerContext for Ear {}

/// The ear of a producer, which hands out no context of its own.
#[derive(Debug)]
pub struct SharedEar(pub Arc<Ear>);

impl ClientContext for SharedEar {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.hear(&error, reason);
    }
}

/// librdkafka's own lines: below what an operator reads by default, since what matters of them
/// comes as an error too.
pub fn log(level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(?level, facility, message, "librdkafka");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_last_is_a_cause() {
        let ear = Ear::default();
        let check = |code, reason: &str, expected: Option<&str>| {
            ear.hear(&KafkaError::Global(code), reason);
            assert_eq!(ear.last().as_deref(), expected, "{reason}");
        };
        check(RDKafkaErrorCode::PartitionEOF, "at its end", None);
        check(RDKafkaErrorCode::AllBrokersDown, "all are down", Some("all are down"));
        check(RDKafkaErrorCode::Resolve, "no host (after 3ms)", Some("no host"));
        check(RDKafkaErrorCode::AllBrokersDown, "all are down", Some("no host"));
        check(RDKafkaErrorCode::PartitionEOF, "at its end", Some("no host"));
        for reason in [
            "ssl://b:9093/1: error:0A000086:SSL routines::certificate verify failed",
            "ssl://b:9093/1: SSL handshake failed: error:0A000086:SSL routines::certificate verify \
             failed: broker certificate could not be verified, verify that (after 9ms)",
        ] {
            let said = "ssl://b:9093/1: certificate verify failed: it is not of an authority of \
                        `kafka.ca_file`";
            check(RDKafkaErrorCode::SSL, reason, Some(said));
        }
    }
}
