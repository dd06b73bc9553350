//! The last moments of the live topic in memory: one ring for all who listen, bounded in bytes.
//!
//! Nobody has a queue of their own, only a place in a partition. What a record looks like on the
//! wire is made once and kept beside it, for all listeners of its area.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Millis;

pub use super::block::Block;
use super::upstream::Standstills;

/// So often, in turns, it is looked at what the records cost by now.
const LOOK_TURNS: u32 = 16;

/// The next event that a listener wants: a record's offset, and the event's place in that record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub offset: i64,
    pub index: u32,
}

impl Place {
    /// The first event of a record.
    #[must_use]
    pub const fn of(offset: i64) -> Self {
        Self { offset, index: 0 }
    }
}

/// What the ring has for a listener.
#[derive(Debug)]
pub enum Taken {
    /// The area's records from the place on, oldest first, perhaps none; where to go on, and whether
    /// there is more at once.
    Blocks { blocks: Vec<Arc<Block>>, next: Place, has_more: bool },
    /// The place is older than what the ring holds: everything from this offset on is in it.
    Behind(i64),
    /// The partition is not read, or not yet.
    Closed,
}

/// What follows a place in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ahead {
    /// Events, before any choice.
    pub events: u64,
    /// Kafka's time of the first record of them.
    pub since: Option<Millis>,
}

/// Records of all partitions that somebody listens to, found by area.
#[derive(Debug)]
pub struct Ring {
    bytes_max: usize,
    state: Mutex<State>,
    /// Told when a partition is opened.
    opened: watch::Sender<()>,
    /// What the topic's writers say of themselves.
    standstills: Standstills,
}

#[derive(Debug, Default)]
struct State {
    areas: HashMap<Arc<str>, Feed>,
    partitions: HashMap<i32, Held>,
    wanted: HashMap<i32, Wanted>,
    /// How many times a partition was opened.
    lives: u64,
    /// All records in the order in which they came.
    order: VecDeque<Arc<Block>>,
    /// What the records cost when they were last looked at.
    used: usize,
    /// Turns since then.
    turns: u32,
}

#[derive(Debug)]
struct Feed {
    blocks: VecDeque<Arc<Block>>,
    news: watch::Sender<i64>,
}

/// What the ring holds of a partition: every record from `floor` up to `end`.
#[derive(Debug, Clone, Copy)]
struct Held {
    floor: i64,
    end: i64,
    life: u64,
}

/// How many listen to a partition, and since when nobody does.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    listeners: usize,
    left: Option<Instant>,
}

/// One listener's part in an area; given up when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    ring: Arc<Ring>,
    area: Arc<str>,
    partition: i32,
    /// Told when there is more of the area.
    pub news: watch::Receiver<i64>,
    /// Told when a partition is opened.
    pub opened: watch::Receiver<()>,
    life: u64,
}

impl Ring {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let (state, standstills) = Default::default();
        Self { bytes_max, state, opened: watch::Sender::new(()), standstills }
    }

    /// Who of those that write to the topic stands still.
    #[must_use]
    pub fn standstills(&self) -> &Standstills {
        &self.standstills
    }

    /// The partition is read from this offset on. What was held of it before is forgotten.
    pub fn open(&self, partition: i32, from: i64) {
        let mut state = self.state();
        state.forget(partition);
        state.lives += 1;
        let life = state.lives;
        state.partitions.insert(partition, Held { floor: from, end: from, life });
        drop(state);
        self.opened.send_replace(());
    }

    /// The partition is read no more.
    pub fn close(&self, partition: i32) {
        let mut state = self.state();
        state.forget(partition);
        state.partitions.remove(&partition);
    }

    /// The partitions that are read.
    #[must_use]
    pub fn partitions(&self) -> Vec<i32> {
        self.state().partitions.keys().copied().collect()
    }

    /// Drops the oldest records until what the rest costs by now fits: their frames were made later.
    pub fn trim(&self) {
        let mut state = self.state();
        state.look();
        state.shrink(self.bytes_max);
    }

    /// The partitions that somebody listens to, or did within the last `linger`; in order.
    #[must_use]
    pub fn wanted(&self, linger: Duration) -> Vec<i32> {
        let mut state = self.state();
        state.wanted.retain(|_, wanted| wanted.left.is_none_or(|left| left.elapsed() < linger));
        let mut wanted: Vec<_> = state.wanted.keys().copied().collect();
        wanted.sort_unstable();
        wanted
    }

    /// Adds records in the order of their offsets, drops the oldest for them, and wakes whoever
    /// waits for their areas: once for all of them.
    pub fn push(&self, blocks: impl IntoIterator<Item = Block>) {
        let mut state = self.state();
        let state = &mut *state;
        let mut news: HashMap<Arc<str>, i64> = HashMap::new();
        for block in blocks {
            let Some(held) = state.partitions.get_mut(&block.partition) else { continue };
            held.end = block.offset + 1;
            let block = Arc::new(block);
            state.used += block.cost();
            let feed = state.areas.entry(Arc::clone(&block.area)).or_insert_with(Feed::new);
            feed.blocks.push_back(Arc::clone(&block));
            news.insert(Arc::clone(&block.area), block.offset);
            state.order.push_back(block);
        }
        state.shrink(self.bytes_max);
        for (area, offset) in news {
            if let Some(feed) = state.areas.get(&area) {
                feed.news.send_replace(offset);
            }
        }
    }

    /// Partitions with the offset behind a record that was read of each and has no events. Of what
    /// was read before it everything is in the ring by now.
    pub fn pass_over(&self, read: impl IntoIterator<Item = (i32, i64)>) {
        let mut state = self.state();
        for (partition, next) in read {
            if let Some(held) = state.partitions.get_mut(&partition) {
                held.end = held.end.max(next);
            }
        }
    }

    /// The records of an area from a place on: as many as fit `bytes_max`, at least one.
    #[must_use]
    pub fn take(&self, area: &str, partition: i32, from: Place, bytes_max: usize) -> Taken {
        let state = self.state();
        let Some(held) = state.partitions.get(&partition).copied() else { return Taken::Closed };
        if from.offset < held.floor {
            return Taken::Behind(held.floor);
        }
        let mut blocks = Vec::new();
        let mut bytes = 0;
        for block in state.from(area, from) {
            if bytes > 0 && bytes + block.len_bytes() > bytes_max {
                let next = Place::of(block.offset);
                return Taken::Blocks { blocks, next, has_more: true };
            }
            bytes += block.len_bytes();
            blocks.push(Arc::clone(block));
        }
        let next = from.max(Place::of(held.end));
        Taken::Blocks { blocks, next, has_more: false }
    }

    /// How much of an area follows a place; `None` where the ring does not hold all of it.
    #[must_use]
    pub fn ahead(&self, area: &str, partition: i32, from: Place) -> Option<Ahead> {
        let state = self.state();
        state.partitions.get(&partition).filter(|held| from.offset >= held.floor)?;
        let mut ahead = Ahead::default();
        for block in state.from(area, from) {
            let before = if block.offset == from.offset { u64::from(from.index) } else { 0 };
            let events = (block.len() as u64).saturating_sub(before);
            if events > 0 {
                ahead.since.get_or_insert(block.time);
            }
            ahead.events += events;
        }
        Some(ahead)
    }

    /// Begins to listen to an area: its partition is wanted.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, area: &Arc<str>, partition: i32) -> Subscription {
        let opened = self.opened.subscribe();
        let mut state = self.state();
        let wanted = state.wanted.entry(partition).or_default();
        *wanted = Wanted { listeners: wanted.listeners + 1, left: None };
        let feed = state.areas.entry(Arc::clone(area)).or_insert_with(Feed::new);
        let news = feed.news.subscribe();
        drop(state);
        let (ring, area) = (Arc::clone(self), Arc::clone(area));
        Subscription { ring, area, partition, news, opened, life: 0 }
    }

    /// The offset behind the last record read of a partition; `None` where it is not read.
    #[must_use]
    pub fn end(&self, partition: i32) -> Option<i64> {
        self.state().partitions.get(&partition).map(|held| held.end)
    }

    /// Bytes held.
    #[must_use]
    pub fn used(&self) -> usize {
        self.state().used
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic could leave half done costs a listener a look into Kafka, no event.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Waits until the partition is read; answers the offset behind the last record read.
    pub async fn end(&mut self) -> i64 {
        loop {
            self.opened.borrow_and_update();
            if let Some(held) = self.held() {
                self.life = held.life;
                return held.end;
            }
            // The ring is never dropped while somebody listens.
            self.opened.changed().await.unwrap_or_default();
        }
    }

    /// Where the partition ends now, if it was opened again since this was asked last.
    pub fn opened_again(&mut self) -> Option<i64> {
        if !self.opened.has_changed().is_ok_and(|has_changed| has_changed) {
            return None;
        }
        self.opened.borrow_and_update();
        let held = self.held().filter(|held| held.life != self.life)?;
        self.life = held.life;
        Some(held.end)
    }

    fn held(&self) -> Option<Held> {
        self.ring.state().partitions.get(&self.partition).copied()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.ring.state();
        if let Some(wanted) = state.wanted.get_mut(&self.partition) {
            wanted.listeners = wanted.listeners.saturating_sub(1);
            if wanted.listeners == 0 {
                wanted.left = Some(Instant::now());
            }
        }
        // This one still counts.
        let is_last = |feed: &Feed| feed.blocks.is_empty() && feed.news.receiver_count() <= 1;
        if state.areas.get(&self.area).is_some_and(is_last) {
            state.areas.remove(&self.area);
        }
    }
}

impl Feed {
    fn new() -> Self {
        Self { blocks: VecDeque::new(), news: watch::Sender::new(-1) }
    }
}

impl State {
    fn from(&self, area: &str, from: Place) -> impl Iterator<Item = &Arc<Block>> {
        let blocks = self.areas.get(area).map(|feed| &feed.blocks);
        let first =
            blocks.map_or(0, |blocks| blocks.partition_point(|block| block.offset < from.offset));
        blocks.into_iter().flat_map(move |blocks| blocks.range(first..))
    }

    fn forget(&mut self, partition: i32) {
        self.order.retain(|block| block.partition != partition);
        self.areas.retain(|_, feed| {
            feed.blocks.retain(|block| block.partition != partition);
            !feed.blocks.is_empty() || feed.news.receiver_count() > 0
        });
        self.look();
    }

    /// Sums up what the records cost: frames were made meanwhile.
    fn look(&mut self) {
        self.turns = 0;
        self.used = self.order.iter().map(|block| block.cost()).sum();
    }

    /// Drops the oldest records until the rest fits.
    fn shrink(&mut self, bytes_max: usize) {
        self.turns += 1;
        if self.turns >= LOOK_TURNS {
            self.look();
        }
        while self.used > bytes_max
            && let Some(block) = self.order.pop_front()
        {
            self.used = self.used.saturating_sub(block.cost());
            if let Some(held) = self.partitions.get_mut(&block.partition) {
                held.floor = held.floor.max(block.offset + 1);
            }
            let Some(feed) = self.areas.get_mut(&block.area) else { continue };
            feed.blocks.pop_front();
            if feed.blocks.is_empty() && feed.news.receiver_count() == 0 {
                self.areas.remove(&block.area);
            }
        }
    }
}

#[cfg(test)]
mod tests;
