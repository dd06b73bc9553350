//! The polling thread: takes messages, regulates the flow, commits, drains.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message as _, Timestamp};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::kafka;
use crate::metrics::CommitEnd;

use super::client::subscribe;
use super::commit;
use super::context::{self, Context};
use super::flow::Flow;
use super::lag::Ends;
use super::rebalance::Rebalancing;
use super::slots::{Incoming, Slots, Taken};
use super::waiting::Waiting;
use super::{Reading, Shared};

/// How long a poll waits when nothing else is due.
const IDLE_POLL: Duration = Duration::from_millis(100);
/// How long a poll waits while a revoke or a drain waits for its events to settle.
const BUSY_POLL: Duration = Duration::from_millis(10);
/// Messages between two looks at everything else.
const TURN_MESSAGES_MAX: usize = 1_024;

/// Reads until it is stopped. A client is made anew where its secrets no longer hold.
pub(super) fn run(
    reading: &Reading,
    shared: &Shared,
    stop: &CancellationToken,
    chunks: mpsc::Sender<Taken>,
) -> anyhow::Result<()> {
    let mut poller = Poller::open(reading, shared, chunks)?;
    loop {
        match poller.read(stop)? {
            End::Stopped => return poller.drain(),
            End::SecretsChanged => poller = poller.reopen()?,
        }
    }
}

enum End {
    Stopped,
    SecretsChanged,
}

pub(super) struct Poller<'a> {
    pub(super) reading: &'a Reading,
    pub(super) shared: &'a Shared,
    pub(super) consumer: BaseConsumer<Context>,
    pub(super) slots: Slots,
    pub(super) rebalancing: Rebalancing,
    pub(super) flow: Flow,
    /// Full chunks that found no room in the channel.
    pub(super) outbox: VecDeque<Taken>,
    chunks: Option<mpsc::Sender<Taken>>,
    commit_at: Instant,
    /// When to ask whether the trouble is over; `None` while there is none.
    pub(super) probe_at: Option<Instant>,
    pub(super) fingerprint: u64,
    pub(super) waiting: Waiting,
    pub(super) ends: Ends,
}

impl<'a> Poller<'a> {
    fn open(
        reading: &'a Reading,
        shared: &'a Shared,
        chunks: mpsc::Sender<Taken>,
    ) -> anyhow::Result<Self> {
        let fingerprint = kafka::fingerprint(&reading.kafka.security);
        Ok(Self {
            reading,
            shared,
            consumer: subscribe(reading, shared)?,
            slots: Slots::default(),
            rebalancing: Rebalancing::default(),
            flow: Flow::Open,
            outbox: VecDeque::new(),
            chunks: Some(chunks),
            commit_at: Instant::now(),
            probe_at: None,
            fingerprint,
            waiting: Waiting::since(Instant::now()),
            ends: Ends::default(),
        })
    }

    /// A new client with the secrets as they are now. The group sees a new member: what is in
    /// flight belongs to whoever gets the partitions next.
    fn reopen(mut self) -> anyhow::Result<Self> {
        info!("kafka's secrets have changed, connecting again");
        let holds = self.rebalancing.holds_made();
        let (reading, shared, chunks) = (self.reading, self.shared, self.chunks.take());
        drop(self);
        let chunks = chunks.context("the channel of chunks is closed")?;
        let mut next = Self::open(reading, shared, chunks)?;
        next.rebalancing = Rebalancing::after(holds);
        Ok(next)
    }

    fn read(&mut self, stop: &CancellationToken) -> anyhow::Result<End> {
        while !stop.is_cancelled() {
            self.turn()?;
            if self.needs_new_secrets() {
                return Ok(End::SecretsChanged);
            }
            self.regulate()?;
            match self.flow {
                Flow::Open => self.take()?,
                Flow::Stalled(_) if self.shared.budget.is_used_up() => {
                    self.shared.budget.wait(IDLE_POLL);
                }
                // The workers are behind; the channel tells nobody when there is room again.
                Flow::Stalled(_) => thread::park_timeout(Duration::from_millis(1)),
                Flow::Paused => self.serve(IDLE_POLL)?,
            }
        }
        Ok(End::Stopped)
    }

    /// Everything but messages: rebalances, chunks that are due, commits, lag, health.
    fn turn(&mut self) -> anyhow::Result<()> {
        self.rebalance()?;
        self.send()?;
        self.cut_old()?;
        if Instant::now() >= self.commit_at {
            self.commit_at = Instant::now() + self.reading.limits.commit_every;
            self.commit()?;
            self.show_lag();
        }
        if self.probe_at.is_some_and(|at| Instant::now() >= at) {
            self.probe();
        }
        self.await_assignment();
        Ok(())
    }

    /// Takes messages until none is waiting, the budget is used up, or it is time for a turn.
    fn take(&mut self) -> anyhow::Result<()> {
        let (mut messages, mut bytes) = (0, 0);
        let mut failure = None;
        let mut wait = self.patience();
        let limits = &self.reading.limits;
        let now = || self.shared.clock.now();
        for _ in 0..TURN_MESSAGES_MAX {
            // Only the first is waited for: where they come one by one, what is due is seen to between
            // any two of them.
            let polled = self.consumer.poll(std::mem::take(&mut wait));
            let message = match polled {
                None => break,
                Some(Err(error)) => {
                    failure = Some(error);
                    break;
                }
                Some(Ok(message)) => message,
            };
            // Without a slot it is late: its partition was given back.
            let slot = self.slots.find(message.topic(), message.partition());
            let Some(slot) = slot.filter(|slot| message.offset() >= slot.next) else { continue };
            let incoming = incoming(&message);
            messages += 1;
            bytes += incoming.payload.map_or(0, <[u8]>::len) as u64;
            if let Some(taken) = slot.push(incoming, limits, &self.shared.budget, now) {
                self.outbox.push_back(taken);
                break;
            }
            if self.shared.budget.is_used_up() {
                break;
            }
        }
        self.shared.metrics.messages.inc_by(messages);
        self.shared.metrics.received_bytes.inc_by(bytes);
        failure.map_or(Ok(()), |error| self.failed(&error))
    }

    /// Polls for the group's sake while no message is wanted.
    fn serve(&mut self, wait: Duration) -> anyhow::Result<()> {
        match self.consumer.poll(wait) {
            Some(Err(error)) => self.failed(&error),
            // A paused partition gives none, and of one that is given back none counts.
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn patience(&self) -> Duration {
        if self.rebalancing.is_waiting() {
            return BUSY_POLL;
        }
        let Some(oldest) = self.slots.oldest() else { return IDLE_POLL };
        self.reading.limits.chunk_age_max.saturating_sub(oldest.elapsed()).min(IDLE_POLL)
    }

    fn cut_old(&mut self) -> anyhow::Result<()> {
        let age_max = self.reading.limits.chunk_age_max;
        for slot in self.slots.iter_mut() {
            if slot.since().is_some_and(|since| since.elapsed() >= age_max) {
                self.outbox.extend(slot.cut());
            }
        }
        self.send()
    }

    /// Moves chunks on, as far as there is room.
    fn send(&mut self) -> anyhow::Result<()> {
        let Some(chunks) = &self.chunks else { return Ok(()) };
        while let Some(taken) = self.outbox.pop_front() {
            match chunks.try_send(taken) {
                Ok(()) => {}
                Err(TrySendError::Full(taken)) => {
                    self.outbox.push_front(taken);
                    break;
                }
                Err(TrySendError::Closed(_)) => bail!("the path behind the source has ended"),
            }
        }
        Ok(())
    }

    /// Commits what has settled since the last time, without waiting for the answer.
    fn commit(&mut self) -> KafkaResult<()> {
        if self.consumer.context().commit_failed() {
            self.slots.iter_mut().for_each(|slot| slot.committed = None);
        }
        if self.consumer.assignment_lost() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for slot in self.slots.iter_mut() {
            let Some(position) = self.shared.board.position(&slot.hold) else { continue };
            if slot.committed != Some(position) {
                slot.committed = Some(position);
                let offset = rdkafka::Offset::Offset(position);
                list.add_partition_offset(&slot.hold.topic, slot.hold.partition, offset)?;
            }
        }
        if list.count() == 0 {
            return Ok(());
        }
        if let Err(error) = commit::commit(&self.consumer, &list) {
            self.commit_refused(&error);
        }
        Ok(())
    }

    /// Commits and waits for the answer, before partitions are given back; answers whether there is
    /// nothing left to try.
    pub(super) fn commit_now(&self, list: &TopicPartitionList) -> bool {
        if list.count() == 0 || self.consumer.assignment_lost() {
            return true;
        }
        match self.consumer.commit(list, CommitMode::Sync) {
            Ok(()) => {
                self.consumer.context().count_commit(CommitEnd::Done);
                true
            }
            Err(error) => {
                self.consumer.context().count_commit(CommitEnd::Failed);
                warn!(%error, "positions were not committed");
                false
            }
        }
    }

    fn commit_refused(&mut self, error: &KafkaError) {
        self.consumer.context().count_commit(CommitEnd::Failed);
        self.slots.iter_mut().for_each(|slot| slot.committed = None);
        warn!(%error, "positions were not committed");
    }

    /// Takes no more, waits for what is in flight, commits, leaves the group. Rebalances go on as
    /// usual meanwhile; partitions that come now are paused.
    fn drain(mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.reading.limits.shutdown_deadline;
        self.flow = Flow::Paused;
        self.outbox.extend(self.slots.iter_mut().filter_map(super::slots::Slot::cut));
        self.consumer.pause(&self.held()?)?;
        // The answer to an earlier commit may never come: the last one names all positions.
        self.slots.iter_mut().for_each(|slot| slot.committed = None);
        while Instant::now() < deadline {
            self.send()?;
            if self.outbox.is_empty() {
                // The end of the channel lets the last batch go without waiting for its age.
                self.chunks = None;
            }
            if self.is_settled() && self.commit_last()? {
                break;
            }
            self.serve(BUSY_POLL)?;
            self.rebalance()?;
        }
        Ok(())
    }

    /// Commits all positions; `false` asks to try again, as in the middle of a rebalance.
    fn commit_last(&mut self) -> anyhow::Result<bool> {
        let board = &self.shared.board;
        let open = self.slots.iter().filter_map(|slot| {
            let position = board.position(&slot.hold).filter(|_| slot.committed.is_none())?;
            Some((&*slot.hold.topic, slot.hold.partition, position))
        });
        let list = context::list(open)?;
        if !self.commit_now(&list) {
            return Ok(false);
        }
        for slot in self.slots.iter_mut() {
            slot.committed = board.position(&slot.hold);
        }
        Ok(true)
    }

    fn is_settled(&self) -> bool {
        self.outbox.is_empty() && self.slots.iter().all(|slot| self.is_slot_settled(slot))
    }

    /// Ends every hold: commits what has settled, hands over the rest.
    fn abandon(&mut self) {
        self.consumer.context().close();
        self.outbox.clear();
        let all: Vec<_> = self
            .slots
            .iter()
            .map(|slot| (slot.hold.topic.to_string(), slot.hold.partition))
            .collect();
        let list = self.end_holds(&all);
        self.commit_now(&list);
        self.settle_debts();
    }
}

impl Drop for Poller<'_> {
    /// However the reading ended: the group is left properly, and every event is accounted for.
    fn drop(&mut self) {
        self.abandon();
    }
}

fn incoming<'a>(message: &'a BorrowedMessage<'_>) -> Incoming<'a> {
    let timestamp = match message.timestamp() {
        Timestamp::NotAvailable => None,
        Timestamp::CreateTime(at) | Timestamp::LogAppendTime(at) => Some(at),
    };
    Incoming { offset: message.offset(), timestamp, payload: message.payload() }
}
