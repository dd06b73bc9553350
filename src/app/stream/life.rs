//! The live topic's life: which one it is, and whether it still is.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tracing::warn;

use crate::config::settings::Settings;
use crate::health::{Component, Health};
use crate::stream::live::LiveTopic;
use crate::stream::topic_id::{self, Topic};

use super::{ASK_TIMEOUT, LOOK_AGAIN};

/// Between two looks whether the topic is the one that it was.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The live topic, waited for.
pub(super) async fn described(settings: &Settings, health: &Health) -> Topic {
    loop {
        match described_once(settings).await {
            Ok(topic) => return topic,
            Err(error) => {
                let reason = format!("{error:#}");
                if health.set(Component::Stream, Err(reason.clone())) {
                    warn!(reason, "the live topic cannot be read yet, trying on");
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// Returns when the topic is another one than it was, with what is told then. Places and cursors
/// mean nothing in another topic, and with other partitions each area may stand in another one.
pub(super) async fn changed(settings: &Settings, was: Topic) -> anyhow::Error {
    let name = &settings.live.topic;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        // Of a topic that is missing, or of a Kafka that is away, its readers tell.
        let Ok(topic) = described_once(settings).await else { continue };
        if topic.id != was.id {
            return anyhow!("the live topic {name} was made anew: start again");
        }
        if topic.partitions != was.partitions {
            let (before, now) = (was.partitions, topic.partitions);
            return anyhow!(
                "the live topic {name} has {now} partitions, not {before}: start again"
            );
        }
    }
}

async fn described_once(settings: &Settings) -> anyhow::Result<Topic> {
    let (kafka, topic) = (settings.kafka.clone(), settings.live.topic.clone());
    let ask = tokio::task::spawn_blocking(move || {
        let live = LiveTopic { kafka, topic, partitions: 0 };
        topic_id::describe(&live.consumer(1)?, &live.topic, ASK_TIMEOUT)
    });
    ask.await.context("asking Kafka has failed")?
}
