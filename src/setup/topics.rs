//! The topics: the live and dead-letter topics as delivery needs them, the control and presence
//! topics of Call Log Streams, and the source topics where they are missing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::ClientContext;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;

use crate::config::pipeline::PipelineSpec;
use crate::config::settings::{ControlSettings, KafkaSettings, PresenceSettings, Settings};
use crate::kafka::{self, Look};
use crate::stream::presence::COMPACTION_LAG_MS;

const TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const PRESENCE_SEGMENT_BYTES: u64 = 32 * 1024 * 1024;
/// The broker decides.
const BROKERS_DEFAULT: i32 = -1;

/// A topic as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// 0: the broker's default.
    pub partitions: u32,
    /// 0: the broker's default.
    pub replication: u32,
    pub settings: Vec<(&'static str, String)>,
    /// Where it has to be made; one that is there may have others.
    pub first_settings: Vec<(&'static str, String)>,
}

/// Every topic that Sluice reads or writes.
#[must_use]
pub fn wanted(settings: &Settings, pipelines: &[PipelineSpec]) -> Vec<Topic> {
    let source = ("max.message.bytes", source_bytes_max(settings).to_string());
    let mut topics: Vec<_> = pipelines
        .iter()
        .flat_map(|spec| &spec.topics)
        .map(|name| Topic {
            name: name.clone(),
            partitions: 0,
            replication: 0,
            settings: Vec::new(),
            first_settings: vec![source.clone()],
        })
        .collect();
    if settings.live.on {
        let live = &settings.live;
        topics.push(Topic {
            name: live.topic.clone(),
            partitions: live.partitions,
            replication: live.replication,
            settings: vec![
                ("cleanup.policy", "delete".to_owned()),
                ("retention.ms", live.retention.as_millis().to_string()),
                ("max.message.bytes", live.message_bytes_max.to_string()),
                // Cursors by time rest on the broker's clock.
                ("message.timestamp.type", "LogAppendTime".to_owned()),
            ],
            first_settings: Vec::new(),
        });
        topics.push(control(&settings.control));
        topics.push(presence(&settings.presence));
    }
    let dead = &settings.dead_letter;
    topics.push(Topic {
        name: dead.topic.clone(),
        partitions: dead.partitions,
        replication: dead.replication,
        settings: vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", dead.retention.as_millis().to_string()),
            ("max.message.bytes", dead.message_bytes_max.to_string()),
        ],
        first_settings: Vec::new(),
    });
    topics
}

/// What a source topic of ours takes. The side topics take more than that, since an event grows on
/// its way; brokers' defaults may be above what these take.
fn source_bytes_max(settings: &Settings) -> usize {
    let live = settings.live.on.then_some(settings.live.message_bytes_max);
    let dead = settings.dead_letter.message_bytes_max;
    live.map_or(dead, |live| live.min(dead)) / 2
}

/// One partition, since its order is what the rules rest on; kept for ever, since it is the only
/// place of what it says.
fn control(control: &ControlSettings) -> Topic {
    Topic {
        name: control.topic.clone(),
        partitions: 1,
        replication: control.replication,
        settings: vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("retention.bytes", "-1".to_owned()),
            // Whether a token has expired is told by the broker's clock alone.
            ("message.timestamp.type", "LogAppendTime".to_owned()),
        ],
        first_settings: Vec::new(),
    }
}

/// Compacted, and in small segments, since a replica reads all of it when it starts and what is in
/// the open segment is never compacted.
fn presence(presence: &PresenceSettings) -> Topic {
    let lag = COMPACTION_LAG_MS.to_string();
    Topic {
        name: presence.topic.clone(),
        partitions: presence.partitions,
        replication: presence.replication,
        settings: vec![
            ("cleanup.policy", "compact".to_owned()),
            ("min.compaction.lag.ms", lag.clone()),
            ("segment.ms", lag.clone()),
            ("segment.bytes", PRESENCE_SEGMENT_BYTES.to_string()),
            // What was released is over for long by then.
            ("delete.retention.ms", lag),
            // Whether a lease is held is told by the broker's clock alone.
            ("message.timestamp.type", "LogAppendTime".to_owned()),
        ],
        first_settings: Vec::new(),
    }
}

/// What became of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    Created,
    /// It was there; with what of its settings is not as wanted.
    There(Vec<String>),
}

/// Creates what is missing and compares what is there; the answers in the order of `wanted`. With
/// `dry_run` the brokers only say what they would create.
///
/// # Errors
/// Where the cluster cannot be reached, or refuses.
pub async fn make(
    settings: &Settings,
    wanted: &[Topic],
    dry_run: bool,
) -> anyhow::Result<Vec<Made>> {
    let admin: AdminClient<DefaultClientContext> =
        kafka::client_config(&settings.kafka)?.create().context("kafka: no admin client")?;
    let options =
        || AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let new: Vec<_> = wanted.iter().map(new_topic).collect();
    let create = options().validate_only(dry_run);
    let answers = admin.create_topics(&new, &create).await.context("kafka: create topics")?;
    let mut made = Vec::with_capacity(wanted.len());
    for (topic, answer) in wanted.iter().zip(answers) {
        let what = match answer {
            Ok(_) => Made::Created,
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {
                Made::There(differences(&admin, topic, &options()).await?)
            }
            Err((name, code)) => bail!("kafka: topic {name} cannot be created: {code}"),
        };
        made.push(what);
    }
    if !dry_run && made.contains(&Made::Created) {
        seen(&settings.kafka, wanted).await?;
    }
    Ok(made)
}

/// Waits until the brokers tell of the topics: a new one is known to the controller first, and
/// `sluice run` would not find it.
async fn seen(settings: &KafkaSettings, wanted: &[Topic]) -> anyhow::Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let names = wanted.iter().map(|topic| topic.name.clone()).collect();
        match kafka::look(settings.clone(), names).await? {
            Look::Found(_) => return Ok(()),
            Look::Missing(topics) if Instant::now() > deadline => {
                bail!("kafka: created, but not to be seen: {}", topics.join(", "))
            }
            Look::Missing(_) => tokio::time::sleep(LOOK_AGAIN).await,
            Look::Unreachable(reason) => bail!("kafka: {reason}"),
        }
    }
}

/// The largest message that each of these topics takes, in bytes, batch and all; a topic whose
/// settings we may not read is left out.
///
/// # Errors
/// Where the cluster cannot be reached.
pub async fn message_limits(
    settings: &KafkaSettings,
    names: &[String],
) -> anyhow::Result<BTreeMap<String, u64>> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let admin: AdminClient<DefaultClientContext> =
        kafka::client_config(settings)?.create().context("kafka: no admin client")?;
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let asked: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let answers =
        admin.describe_configs(&asked, &options).await.context("kafka: describe topics")?;
    let limit = |answer: Result<ConfigResource, RDKafkaErrorCode>| {
        let found = answer.ok()?;
        let OwnedResourceSpecifier::Topic(name) = &found.specifier else { return None };
        let limit = found.get("max.message.bytes")?.value.as_ref()?.parse().ok()?;
        Some((name.clone(), limit))
    };
    Ok(answers.into_iter().filter_map(limit).collect())
}

fn new_topic(topic: &Topic) -> NewTopic<'_> {
    let number = |value: u32| match value {
        0 => BROKERS_DEFAULT,
        value => i32::try_from(value).unwrap_or(i32::MAX),
    };
    let replication = TopicReplication::Fixed(number(topic.replication));
    let mut new = NewTopic::new(&topic.name, number(topic.partitions), replication);
    for (key, value) in topic.settings.iter().chain(&topic.first_settings) {
        new = new.set(key, value);
    }
    new
}

/// What of a topic's settings is not as wanted, as `key is VALUE, wanted VALUE`.
async fn differences<C: ClientContext>(
    admin: &AdminClient<C>,
    topic: &Topic,
    options: &AdminOptions,
) -> anyhow::Result<Vec<String>> {
    if topic.settings.is_empty() {
        return Ok(Vec::new());
    }
    let asked = [ResourceSpecifier::Topic(&topic.name)];
    let answers =
        admin.describe_configs(&asked, options).await.context("kafka: describe topics")?;
    let Some(Ok(found)) = answers.into_iter().next() else {
        bail!("kafka: the settings of {} cannot be read", topic.name);
    };
    let differs = |(key, wanted): &(&str, String)| {
        let entry = found.get(key)?;
        let value = entry.value.as_deref().unwrap_or_default();
        (value != wanted).then(|| format!("{key} is {value}, wanted {wanted}"))
    };
    Ok(topic.settings.iter().filter_map(differs).collect())
}
