//! The consumer and its properties.

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::config::settings::{GroupProtocol, KafkaSettings, Limits};
use crate::kafka;

use super::context::Context;
use super::{Reading, Shared};

/// How often librdkafka tells the ends of the partitions.
const STATISTICS_EVERY_MS: &str = "5000";

/// A consumer that has joined the group for the topics.
///
/// # Errors
/// Where the settings allow none.
pub(super) fn subscribe(
    reading: &Reading,
    shared: &Shared,
) -> anyhow::Result<BaseConsumer<Context>> {
    let config = consumer_config(&reading.kafka, &reading.limits)?;
    let context = Context::new(shared.metrics.commits.clone());
    let consumer: BaseConsumer<Context> =
        config.create_with_context(context).context("kafka: the settings are refused")?;
    let topics: Vec<_> = reading.topics.iter().map(|(topic, _)| topic.as_str()).collect();
    consumer.subscribe(&topics).context("kafka: the topics cannot be subscribed to")?;
    Ok(consumer)
}

/// The consumer's properties. Half of `fetch_bytes_max` is the queue's bound, over all partitions;
/// a fetch that is under way when it is reached may exceed it by `fetch.max.bytes` per broker. A
/// single message larger than that still comes: the broker always answers with one.
fn consumer_config(settings: &KafkaSettings, limits: &Limits) -> anyhow::Result<ClientConfig> {
    let queue_kbytes = (limits.fetch_bytes_max / 2 / 1024).max(1);
    let fetch_bytes = (limits.fetch_bytes_max / 4).max(1024);
    let mut config = kafka::client_config(settings)?;
    for (key, value) in [
        ("queued.max.messages.kbytes", queue_kbytes.to_string()),
        ("fetch.max.bytes", fetch_bytes.to_string()),
        ("message.max.bytes", fetch_bytes.min(1_000_000).to_string()),
        ("fetch.message.max.bytes", fetch_bytes.min(1024 * 1024).to_string()),
        ("fetch.queue.backoff.ms", "10".to_owned()),
        ("statistics.interval.ms", STATISTICS_EVERY_MS.to_owned()),
    ] {
        if settings.properties.iter().all(|(theirs, _)| theirs != key) {
            config.set(key, value);
        }
    }
    config
        .set("group.id", &settings.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false");
    if let Some(name) = &settings.group_instance_id {
        config.set("group.instance.id", name);
    }
    match settings.group_protocol {
        GroupProtocol::Classic => {
            config
                .set("group.protocol", "classic")
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set("session.timeout.ms", settings.session_timeout.as_millis().to_string());
        }
        // The broker chooses the assignor and the session's length.
        GroupProtocol::Consumer => {
            config.set("group.protocol", "consumer");
        }
    }
    Ok(config)
}
