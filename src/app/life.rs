//! The live topic's life: which one it is, and whether it still is.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tracing::warn;

use super::LOOK_AGAIN;
use crate::config::settings::{LiveSettings, Settings};
use crate::deliver::mirror::Spread;
use crate::health::{Component, Health};
use crate::kafka::ASK_TIMEOUT;
use crate::stream::live::LiveTopic;
use crate::stream::topic_id::{self, Topic};

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

/// Where its areas are in the live topic, which has so many partitions.
pub(super) fn spread(live: &LiveSettings, partitions: usize) -> Spread {
    let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
    for (area, wanted) in live.spread.iter().filter(|(_, wanted)| **wanted > partitions) {
        let topic = &live.topic;
        warn!(
            area,
            wanted, topic, partitions, "the area is in fewer partitions than live.spread says"
        );
    }
    Spread::new(partitions, &live.spread)
}

/// Returns when the topic is another one than it was, with what is told then. Places and cursors
/// mean nothing in another topic, and with other partitions each area may stand in another one.
/// Without an id the topic is the one that is found first.
pub(super) async fn changed(
    settings: &Settings,
    (mut id, partitions): (Option<[u8; 16]>, usize),
) -> anyhow::Error {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        // Of a topic that is missing, or of a Kafka that is away, its readers tell.
        let Ok(topic) = described_once(settings).await else { continue };
        let was = Topic { id: *id.get_or_insert(topic.id), partitions };
        if let Some(change) = change(was, topic) {
            return anyhow!("the live topic {} {change}: start again", settings.live.topic);
        }
    }
}

fn change(was: Topic, now: Topic) -> Option<String> {
    if now.id != was.id {
        return Some("was made anew".to_owned());
    }
    let (before, now) = (was.partitions, now.partitions);
    (now != before).then(|| format!("has {now} partitions, not {before}"))
}

async fn described_once(settings: &Settings) -> anyhow::Result<Topic> {
    let (kafka, topic) = (settings.kafka.clone(), settings.live.topic.clone());
    let ask = tokio::task::spawn_blocking(move || {
        let live = LiveTopic { kafka, topic, partitions: 0 };
        topic_id::describe(&live.consumer(1)?, &live.topic, ASK_TIMEOUT)
    });
    ask.await.context("asking Kafka has failed")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes() {
        let check = |was: (u8, usize), now: (u8, usize), expected: Option<&str>| {
            let topic = |(id, partitions)| Topic { id: [id; 16], partitions };
            assert_eq!(change(topic(was), topic(now)).as_deref(), expected, "{was:?} {now:?}");
        };
        check((1, 16), (1, 16), None);
        check((0, 16), (0, 16), None);
        check((1, 16), (2, 16), Some("was made anew"));
        check((1, 16), (2, 32), Some("was made anew"));
        check((1, 16), (1, 32), Some("has 32 partitions, not 16"));
    }
}
