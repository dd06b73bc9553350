//! Partitions come and go.
//!
//! A revoked partition is given back when what is in flight of it has settled, or after
//! `revoke_deadline`. The deadline is a matter of politeness, not of correctness: ids are
//! deterministic, so what the next owner does again makes no second document.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use tracing::{error, info, warn};

use crate::event::Hold;
use crate::kafka::{self, ASK_TIMEOUT};
use crate::metrics::RebalanceKind;

use super::context::{self, Note};
use super::flow::Flow;
use super::poll::Poller;
use super::positions::{self, Position, Resolved, Watermarks};
use super::slots::Slot;

/// After a question to the cluster failed it is asked again this much later.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What is owed to librdkafka.
#[derive(Debug, Default)]
pub(super) struct Rebalancing {
    assigning: Vec<TopicPartitionList>,
    ask_at: Option<Instant>,
    revoking: Vec<Revoke>,
    /// Kafka no longer has what comes next of some partition, it does not say which.
    recheck_at: Option<Instant>,
    holds_made: u64,
}

#[derive(Debug)]
struct Revoke {
    list: TopicPartitionList,
    deadline: Instant,
}

impl Rebalancing {
    /// Goes on counting holds, which are unique within the process.
    pub(super) fn after(holds_made: u64) -> Self {
        Self { holds_made, ..Self::default() }
    }

    pub(super) fn holds_made(&self) -> u64 {
        self.holds_made
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.revoking.is_empty()
    }

    pub(super) fn is_assigning(&self) -> bool {
        !self.assigning.is_empty()
    }

    pub(super) fn recheck_soon(&mut self) {
        self.recheck_at.get_or_insert_with(Instant::now);
    }

    fn next_hold(&mut self) -> u64 {
        self.holds_made += 1;
        self.holds_made
    }
}

impl Poller<'_> {
    /// Works off what the callbacks noted, and what is due.
    pub(super) fn rebalance(&mut self) -> anyhow::Result<()> {
        for note in self.consumer.context().notes() {
            self.work_off(note);
        }
        if self.rebalancing.is_assigning() && is_due(self.rebalancing.ask_at) {
            self.assign()?;
        }
        let now = Instant::now();
        while let Some(revoke) = self.rebalancing.revoking.first() {
            if now < revoke.deadline && !self.is_list_settled(&revoke.list) {
                break;
            }
            let revoke = self.rebalancing.revoking.remove(0);
            self.give_back(&revoke.list);
        }
        if !self.rebalancing.is_waiting()
            && self.rebalancing.recheck_at.is_some()
            && is_due(self.rebalancing.recheck_at)
        {
            self.recheck()?;
        }
        Ok(())
    }

    fn work_off(&mut self, note: Note) {
        match note {
            Note::Assigned(list) => {
                self.count(RebalanceKind::Assigned);
                self.rebalancing.assigning.push(list);
            }
            Note::Revoked(list) => {
                self.count(RebalanceKind::Revoked);
                for (topic, partition) in context::partitions(&list) {
                    if let Some(slot) = self.slots.find(&topic, partition) {
                        slot.forget();
                    }
                }
                let deadline = Instant::now() + self.reading.limits.revoke_deadline;
                self.rebalancing.revoking.push(Revoke { list, deadline });
            }
            Note::Lost(list) => {
                self.count(RebalanceKind::Lost);
                let lost = context::partitions(&list);
                info!(partitions = lost.len(), "partitions are no longer ours");
                self.rebalancing.assigning.clear();
                // Its positions are dropped: they are no longer ours to commit.
                drop(self.end_holds(&lost));
            }
        }
    }

    fn count(&self, kind: RebalanceKind) {
        if let Some(counter) = self.shared.metrics.rebalances.get(kind.index()) {
            counter.inc();
        }
    }

    /// Finds where each assigned partition begins, and begins.
    fn assign(&mut self) -> anyhow::Result<()> {
        let start = self.reading.kafka.start;
        while let Some(list) = self.rebalancing.assigning.first() {
            let resolved = match positions::resolve(&self.consumer, list, start) {
                Ok(resolved) => resolved,
                Err(error) => {
                    self.rebalancing.ask_at = Some(Instant::now() + ASK_AGAIN);
                    self.trouble(&format!("positions cannot be read: {}", kafka::plain(&error)));
                    return Ok(());
                }
            };
            self.rebalancing.assigning.remove(0);
            let begin = context::list(
                resolved
                    .iter()
                    .map(|one| (one.topic.as_str(), one.partition, one.position.offset())),
            )?;
            self.consumer.incremental_assign(&begin).context("kafka refused an assignment")?;
            if matches!(self.flow, Flow::Paused) {
                self.consumer.pause(&begin)?;
            }
            info!(partitions = resolved.len(), "partitions are ours");
            for one in resolved {
                self.begin(one);
            }
        }
        self.rebalancing.ask_at = None;
        Ok(())
    }

    fn begin(&mut self, resolved: Resolved) {
        let Resolved { topic, partition, position, end } = resolved;
        let pipeline = self
            .reading
            .topics
            .iter()
            .find_map(|(name, pipeline)| (*name == topic).then_some(*pipeline))
            .unwrap_or_default();
        let hold =
            Arc::new(Hold::new(self.rebalancing.next_hold(), pipeline, topic.into(), partition));
        self.tell(&hold, position);
        self.shared.board.open(&hold, position.offset());
        let mut slot = Slot::new(hold, position.offset(), end);
        if let Position::Kept(at) = position {
            slot.committed = Some(at);
        }
        self.slots.add(slot);
        self.shared
            .metrics
            .partitions_held
            .set(i64::try_from(self.slots.len()).unwrap_or_default());
    }

    /// Says loudly, and counts, what Kafka threw away before it was read.
    fn tell(&self, hold: &Hold, position: Position) {
        let (topic, partition) = (&*hold.topic, hold.partition);
        let labels = [topic, &partition.to_string()];
        let counter = self.shared.metrics.lost_to_retention.with_label_values(&labels);
        match position {
            Position::Kept(_) => {}
            Position::Started(at) => info!(topic, partition, at, "reading begins"),
            Position::Lost { at, lost } => {
                counter.inc_by(u64::try_from(lost).unwrap_or_default());
                error!(
                    topic,
                    partition, lost, at, "records lost to retention before they were read"
                );
            }
            Position::Beyond { at } => error!(
                topic,
                partition,
                at,
                "the position is beyond the end: the topic was made anew or cut; \
                 reading from its oldest record"
            ),
        }
    }

    pub(super) fn is_slot_settled(&self, slot: &Slot) -> bool {
        self.shared.board.position(&slot.hold).is_none_or(|position| position >= slot.sent)
    }

    fn is_list_settled(&self, list: &TopicPartitionList) -> bool {
        let revoked = context::partitions(list);
        let is_in = |slot: &&Slot| {
            revoked.iter().any(|(topic, partition)| {
                *partition == slot.hold.partition && **topic == *slot.hold.topic
            })
        };
        self.slots.iter().filter(is_in).all(|slot| self.is_slot_settled(slot))
    }

    /// Gives revoked partitions back: what is still in flight goes to their next owner.
    fn give_back(&mut self, list: &TopicPartitionList) {
        let revoked = context::partitions(list);
        let positions = self.end_holds(&revoked);
        self.commit_now(&positions);
        if let Err(error) = self.consumer.incremental_unassign(list) {
            warn!(%error, "revoked partitions were not given back");
        }
        info!(partitions = revoked.len(), "partitions were given back");
    }

    /// Ends the holds of these partitions; answers what of them is settled and not committed yet.
    pub(super) fn end_holds(&mut self, ended: &[(String, i32)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in ended {
            let Some(slot) = self.slots.remove(topic, *partition) else { continue };
            let handed_over = self.shared.ledger.hand_over(&slot.hold);
            if handed_over > 0 {
                info!(topic, partition, handed_over, "unsettled events go to the next owner");
            }
            let settled = self.shared.board.close(&slot.hold);
            if let Some(position) = settled.filter(|&settled| slot.committed != Some(settled)) {
                let offset = rdkafka::Offset::Offset(position);
                if let Err(error) = list.add_partition_offset(topic, *partition, offset) {
                    warn!(%error, topic, partition, position, "position was not committed");
                }
            }
            let labels = [topic.as_str(), &partition.to_string()];
            // It does not exist where the hold was shorter than the lag's first look.
            drop(self.shared.metrics.lag.remove_label_values(&labels));
        }
        self.shared
            .metrics
            .partitions_held
            .set(i64::try_from(self.slots.len()).unwrap_or_default());
        list
    }

    /// Before the consumer is dropped: a callback that was not answered would hang it.
    pub(super) fn settle_debts(&mut self) {
        for list in std::mem::take(&mut self.rebalancing.assigning) {
            if let Err(error) = self.consumer.incremental_assign(&list) {
                warn!(%error, "an assignment was not answered");
            }
        }
        for revoke in std::mem::take(&mut self.rebalancing.revoking) {
            if let Err(error) = self.consumer.incremental_unassign(&revoke.list) {
                warn!(%error, "revoked partitions were not given back");
            }
        }
    }

    /// Kafka said that some position is out of range, and not which: compares all of them, and goes
    /// on where it can. A fetch that stopped so does not take a seek.
    fn recheck(&mut self) -> anyhow::Result<()> {
        let mut moved = Vec::new();
        let mut failure = None;
        for slot in self.slots.iter() {
            let (topic, partition) = (&*slot.hold.topic, slot.hold.partition);
            match self.consumer.fetch_watermarks(topic, partition, ASK_TIMEOUT) {
                Ok((low, high)) => {
                    let has = Watermarks { low, high };
                    let position =
                        Position::resolve(Some(slot.next), has, self.reading.kafka.start);
                    moved.push((topic.to_owned(), partition, position, high));
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = failure {
            self.rebalancing.recheck_at = Some(Instant::now() + ASK_AGAIN);
            self.trouble(&format!("positions cannot be read: {}", kafka::plain(&error)));
            return Ok(());
        }
        self.rebalancing.recheck_at = None;
        // Where all are in range the stopped one cannot be told from the others: all begin again.
        if moved.iter().any(|(_, _, position, _)| !matches!(position, Position::Kept(_))) {
            moved.retain(|(_, _, position, _)| !matches!(position, Position::Kept(_)));
        }
        self.begin_again(moved).context("kafka refused to read on")
    }

    fn begin_again(&mut self, moved: Vec<(String, i32, Position, i64)>) -> KafkaResult<()> {
        let list = context::list(moved.iter().map(|(topic, partition, position, _)| {
            (topic.as_str(), *partition, position.offset())
        }))?;
        self.consumer.incremental_unassign(&list)?;
        self.consumer.incremental_assign(&list)?;
        if matches!(self.flow, Flow::Paused) {
            self.consumer.pause(&list)?;
        }
        for (topic, partition, position, end) in moved {
            match position {
                Position::Kept(_) | Position::Started(_) => {}
                Position::Lost { at, .. } => {
                    let Some(slot) = self.slots.find(&topic, partition) else { continue };
                    slot.next = at;
                    slot.end = end;
                    let hold = Arc::clone(&slot.hold);
                    self.tell(&hold, position);
                }
                // Offsets begin anew, so the old hold's must not be committed any more; what is in
                // flight of it settles as usual.
                Position::Beyond { .. } => {
                    if let Some(old) = self.slots.remove(&topic, partition) {
                        self.shared.board.close(&old.hold);
                    }
                    self.begin(Resolved { topic, partition, position, end });
                }
            }
        }
        Ok(())
    }
}

fn is_due(at: Option<Instant>) -> bool {
    at.is_none_or(|at| Instant::now() >= at)
}
