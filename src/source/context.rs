//! What librdkafka tells the consumer: assignments, errors, the ends of partitions, commits.
//!
//! The callbacks run within a poll, on the thread that polls. They only take notes, so that
//! polling goes on; the thread works them off. The exception: in shutdown and on loss partitions
//! are given back within the callback, because a callback that never does hangs the consumer's
//! drop.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::IntCounter;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tracing::{debug, warn};

use crate::kafka::Ear;
use crate::metrics::CommitEnd;

/// librdkafka's name for a member that has its assignment.
const STEADY: &str = "steady";

/// One note of a rebalance.
#[derive(Debug)]
pub(super) enum Note {
    /// Ours from now on; `incremental_assign` is owed.
    Assigned(TopicPartitionList),
    /// To be given back; `incremental_unassign` is owed.
    Revoked(TopicPartitionList),
    /// No longer ours, and given back already.
    Lost(TopicPartitionList),
}

/// The consumer's callbacks.
#[derive(Debug)]
pub(super) struct Context {
    notes: Mutex<Vec<Note>>,
    ends: Mutex<HashMap<(String, i32), i64>>,
    closing: AtomicBool,
    assigned: AtomicBool,
    commit_failed: AtomicBool,
    commits: [IntCounter; CommitEnd::COUNT],
    ear: Ear,
}

impl Context {
    pub(super) fn new(commits: [IntCounter; CommitEnd::COUNT]) -> Self {
        Self {
            notes: Mutex::default(),
            ends: Mutex::default(),
            closing: AtomicBool::new(false),
            assigned: AtomicBool::new(false),
            commit_failed: AtomicBool::new(false),
            commits,
            ear: Ear::default(),
        }
    }

    /// What happened since the last call, in order.
    pub(super) fn notes(&self) -> Vec<Note> {
        std::mem::take(&mut *lock(&self.notes))
    }

    /// The ends of partitions that were heard of since the last call.
    pub(super) fn ends(&self) -> HashMap<(String, i32), i64> {
        std::mem::take(&mut *lock(&self.ends))
    }

    /// Whether the group has given an assignment, perhaps an empty one.
    pub(super) fn is_assigned(&self) -> bool {
        self.assigned.load(Ordering::Acquire)
    }

    /// From now on whatever is revoked is given back at once.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Whether a commit has failed since the last call.
    pub(super) fn commit_failed(&self) -> bool {
        self.commit_failed.swap(false, Ordering::AcqRel)
    }

    pub(super) fn ear(&self) -> &Ear {
        &self.ear
    }

    pub(super) fn count_commit(&self, end: CommitEnd) {
        if let Some(counter) = self.commits.get(end.index()) {
            counter.inc();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Notes are pushed whole, so a panic elsewhere leaves none half made.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for Context {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        crate::kafka::log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        // An empty assignment need not come as a rebalance.
        if statistics.cgrp.is_some_and(|group| group.join_state == STEADY) {
            self.assigned.store(true, Ordering::Release);
        }
        let mut ends = lock(&self.ends);
        for (topic, partitions) in statistics.topics {
            for (partition, told) in partitions.partitions {
                if told.hi_offset >= 0 && partition >= 0 {
                    ends.insert((topic.clone(), partition), told.hi_offset);
                }
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "kafka error");
        self.ear.hear(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let note = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned.store(true, Ordering::Release);
            Note::Assigned(list.clone())
        } else if self.closing.load(Ordering::Acquire) || consumer.assignment_lost() {
            if let Err(error) = consumer.incremental_unassign(list) {
                warn!(%error, "lost partitions were not given back");
            }
            // As for whoever is new, the next assignment may be long in coming.
            self.assigned.store(false, Ordering::Release);
            Note::Lost(list.clone())
        } else {
            Note::Revoked(list.clone())
        };
        lock(&self.notes).push(note);
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let failed_one = offsets.elements().iter().find_map(|element| element.error().err());
        match result.err().or(failed_one) {
            None => self.count_commit(CommitEnd::Done),
            // Nothing to commit is no failure.
            Some(error) if is_no_offset(&error) => {}
            Some(error) => {
                self.count_commit(CommitEnd::Failed);
                self.commit_failed.store(true, Ordering::Release);
                warn!(%error, "positions were not committed, they are sent again");
            }
        }
    }
}

fn is_no_offset(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(rdkafka::error::RDKafkaErrorCode::NoOffset)
}

/// The partitions of a list.
pub(super) fn partitions(list: &TopicPartitionList) -> Vec<(String, i32)> {
    list.elements()
        .iter()
        .map(|element| (element.topic().to_owned(), element.partition()))
        .collect()
}

/// A list of partitions with their offsets. An offset that cannot be set cannot be read either.
pub(super) fn list<'a>(
    positions: impl IntoIterator<Item = (&'a str, i32, i64)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in positions {
        list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    }
    Ok(list)
}
