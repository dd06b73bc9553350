//! Where reading begins, and where it goes on when Kafka no longer has what comes next.

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::config::settings::Start;
use crate::kafka::ASK_TIMEOUT;

/// What a partition holds: from `low` up to, but without, `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watermarks {
    pub(super) low: i64,
    pub(super) high: i64,
}

/// Where to read, as a number, and why there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// As it stood.
    Kept(i64),
    /// Nothing was committed: by the setting `start`.
    Started(i64),
    /// Retention removed `lost` records before we read them; on from the oldest.
    Lost { at: i64, lost: i64 },
    /// The position is beyond the end: the topic was made anew or cut; on from the oldest.
    Beyond { at: i64 },
}

impl Position {
    pub(super) fn offset(self) -> i64 {
        match self {
            Self::Kept(at) | Self::Started(at) | Self::Lost { at, .. } | Self::Beyond { at } => at,
        }
    }

    /// Compares a position, if there is one, with what the partition holds.
    pub(super) fn resolve(position: Option<i64>, has: Watermarks, start: Start) -> Self {
        match position {
            None => Self::Started(match start {
                Start::Earliest => has.low,
                Start::Latest => has.high,
            }),
            Some(at) if at < has.low => Self::Lost { at: has.low, lost: has.low - at },
            Some(at) if at > has.high => Self::Beyond { at: has.low },
            Some(at) => Self::Kept(at),
        }
    }
}

/// One partition of an assignment, resolved.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) position: Position,
    pub(super) end: i64,
}

/// Asks Kafka for the committed position and the watermarks of each partition.
pub(super) fn resolve<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    assigned: &TopicPartitionList,
    start: Start,
) -> KafkaResult<Vec<Resolved>> {
    if assigned.count() == 0 {
        return Ok(Vec::new());
    }
    let committed = consumer.committed_offsets(assigned.clone(), ASK_TIMEOUT)?;
    let mut resolved = Vec::with_capacity(committed.count());
    for element in committed.elements() {
        element.error()?;
        let (topic, partition) = (element.topic(), element.partition());
        let (low, high) = consumer.fetch_watermarks(topic, partition, ASK_TIMEOUT)?;
        let position = match element.offset() {
            Offset::Offset(at) => Some(at),
            _ => None,
        };
        resolved.push(Resolved {
            topic: topic.to_owned(),
            partition,
            position: Position::resolve(position, Watermarks { low, high }, start),
            end: high,
        });
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(position: Option<i64>, start: Start, expected: Position) {
        let has = Watermarks { low: 100, high: 200 };
        assert_eq!(Position::resolve(position, has, start), expected);
    }

    #[test]
    fn a_position_is_a_number_within_the_partition() {
        check(None, Start::Earliest, Position::Started(100));
        check(None, Start::Latest, Position::Started(200));
        check(Some(100), Start::Latest, Position::Kept(100));
        check(Some(200), Start::Earliest, Position::Kept(200));
        check(Some(40), Start::Latest, Position::Lost { at: 100, lost: 60 });
        check(Some(201), Start::Latest, Position::Beyond { at: 100 });
    }
}
