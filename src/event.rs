//! Where events stand: Kafka's coordinates, the messages of one chunk, and the hold on a partition.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::Millis;

/// One assignment of one partition to this process. A partition that is revoked and given back is
/// a new hold, so that an outcome that comes late can never be counted for the new one.
#[derive(Debug)]
pub struct Hold {
    /// Unique within the life of this process.
    pub id: u64,
    /// The pipeline that the topic belongs to, by its place in the list of pipelines.
    pub pipeline: usize,
    pub topic: Arc<str>,
    pub partition: i32,
    lost: AtomicBool,
}

impl Hold {
    #[must_use]
    pub fn new(id: u64, pipeline: usize, topic: Arc<str>, partition: i32) -> Self {
        Self { id, pipeline, topic, partition, lost: AtomicBool::new(false) }
    }

    /// The partition is no longer ours: nothing of it is retried, and none of its positions is
    /// committed.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

/// One Kafka message of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub offset: i64,
    /// Kafka's record timestamp; `None` where the producer sent none.
    pub timestamp: Option<Millis>,
    /// Where the value stands in [`Chunk::bytes`]; `None` for a tombstone.
    pub payload: Option<Range<usize>>,
}

/// Consecutive messages of one partition, in the order of their offsets: the unit of work.
/// The bytes are Kafka's, untouched, and stay with the events until they are settled, because a
/// dead letter carries them.
#[derive(Debug)]
pub struct Chunk {
    pub hold: Arc<Hold>,
    pub bytes: Vec<u8>,
    pub messages: Vec<Message>,
    /// When the first of its messages was taken from Kafka.
    pub received: Millis,
}

impl Chunk {
    /// The position to commit when every event of the chunk is settled.
    #[must_use]
    pub fn next_offset(&self) -> Option<i64> {
        self.messages.last().map(|message| message.offset + 1)
    }

    /// The bytes of a range within the chunk, empty where the range is out of bounds.
    #[must_use]
    pub fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}
