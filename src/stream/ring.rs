//! The last moments of the live topic in memory: one ring for all who listen, bounded in bytes.
//!
//! Nobody has a queue of their own, only a place in a partition. What a record looks like on the
//! wire is made once and kept beside it, for all listeners of its area.

use std::collections::{HashMap, VecDeque};
use std::iter::Peekable;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Millis;

mod subscription;

pub use super::block::Block;
use super::block::Ends;
use super::place::{Place, Places};
use super::upstream::Standstills;
pub use subscription::Subscription;

/// So often, in turns, it is looked at what the records cost by now.
const LOOK_TURNS: u32 = 16;

/// What the ring has for a listener.
#[derive(Debug)]
pub enum Taken {
    /// The area's records from the places on in the order in which they came, perhaps none; where to
    /// go on, and whether there is more at once.
    Blocks { blocks: Vec<Given>, next: Places, has_more: bool },
    /// The places in these lanes are older than what the ring holds: everything from these offsets on
    /// is in it.
    Behind(Vec<(usize, i64)>),
    /// A partition is not read, or not yet.
    Closed,
}

/// A record that a listener takes.
#[derive(Debug)]
pub struct Given {
    pub block: Arc<Block>,
    pub lane: usize,
    /// Where it stands in the other lanes is as true of this listener as of all others.
    pub is_shared: bool,
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
    /// Its reader has trouble: Kafka may have more than anybody knows of.
    is_blind: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    areas: HashMap<Arc<str>, Feed>,
    partitions: HashMap<i32, Held>,
    wanted: HashMap<i32, Wanted>,
    /// How many times a partition was opened.
    lives: u64,
    /// How many records came.
    came: u64,
    /// All records in the order in which they came.
    order: VecDeque<Arc<Block>>,
    /// What the records cost when they were last looked at.
    used: usize,
    /// Turns since then.
    turns: u32,
}

#[derive(Debug)]
struct Feed {
    /// The area's partitions, where it has several and somebody listens.
    lanes: Option<Arc<[i32]>>,
    /// Its records by partition.
    queues: HashMap<i32, VecDeque<Arc<Block>>>,
    news: watch::Sender<i64>,
}

/// What the ring holds of a partition: every record from `floor` up to `end`.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Where it was opened.
    from: i64,
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

impl Ring {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let (state, standstills, is_blind) = Default::default();
        Self { bytes_max, state, opened: watch::Sender::new(()), standstills, is_blind }
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
        state.partitions.insert(partition, Held { from, floor: from, end: from, life });
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
        for mut block in blocks {
            let Some(held) = state.partitions.get_mut(&block.partition) else { continue };
            held.end = block.offset + 1;
            block.sequence = state.came;
            state.came += 1;
            state.used += block.cost();
            let feed = state.areas.entry(Arc::clone(&block.area)).or_insert_with(Feed::new);
            block.ends = feed.ends(&state.partitions, state.lives);
            let block = Arc::new(block);
            feed.queues.entry(block.partition).or_default().push_back(Arc::clone(&block));
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

    /// The records of an area, which is in these partitions, from the places in them on: as many as
    /// fit `bytes_max`, at least one.
    #[must_use]
    pub fn take(&self, area: &str, lanes: &[i32], from: &Places, bytes_max: usize) -> Taken {
        let state = self.state();
        let (mut ends, mut behind) = (from.clone(), Vec::new());
        for (lane, partition) in lanes.iter().enumerate() {
            let Some(held) = state.partitions.get(partition) else { return Taken::Closed };
            let place = from.get(lane);
            if place.offset < held.floor {
                behind.push((lane, held.floor));
            }
            ends.set(lane, place.max(Place::of(held.end)));
        }
        if !behind.is_empty() {
            return Taken::Behind(behind);
        }
        let (mut blocks, mut bytes) = (Vec::new(), 0);
        let mut next = from.clone();
        for (lane, block) in state.from(area, lanes, from) {
            if bytes > 0 && bytes + block.len_bytes() > bytes_max {
                // Within it already, perhaps.
                next.set(lane, from.get(lane).max(Place::of(block.offset)));
                return Taken::Blocks { blocks, next, has_more: true };
            }
            bytes += block.len_bytes();
            next.set(lane, Place::of(block.offset + 1));
            let is_shared = lanes.len() == 1 || state.is_shared(block, from);
            blocks.push(Given { block: Arc::clone(block), lane, is_shared });
        }
        Taken::Blocks { blocks, next: ends, has_more: false }
    }

    /// Its reader has trouble, or no more.
    pub fn set_blind(&self, is_blind: bool) {
        self.is_blind.store(is_blind, Ordering::Relaxed);
    }

    /// Whether Kafka may have more than anybody knows of.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.is_blind.load(Ordering::Relaxed)
    }

    /// How much of an area follows the places; `None` where the ring does not hold all of it, or
    /// where nobody knows what it lacks.
    #[must_use]
    pub fn ahead(&self, area: &str, lanes: &[i32], from: &Places) -> Option<Ahead> {
        if self.is_blind() {
            return None;
        }
        let state = self.state();
        for (lane, partition) in lanes.iter().enumerate() {
            state.partitions.get(partition).filter(|held| from.get(lane).offset >= held.floor)?;
        }
        let mut ahead = Ahead::default();
        for (lane, block) in state.from(area, lanes, from) {
            let from = from.get(lane);
            let before = if block.offset == from.offset { u64::from(from.index) } else { 0 };
            let events = (block.len() as u64).saturating_sub(before);
            if events > 0 {
                ahead.since = Some(ahead.since.map_or(block.time, |since| since.min(block.time)));
            }
            ahead.events += events;
        }
        Some(ahead)
    }

    /// Where an area's partitions end, but not before these places.
    #[must_use]
    pub fn ends(&self, lanes: &[i32], places: &Places) -> Places {
        let state = self.state();
        places.each(|lane, place| {
            let held = lanes.get(lane).and_then(|partition| state.partitions.get(partition));
            held.map_or(place, |held| place.max(Place::of(held.end)))
        })
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

impl Feed {
    fn new() -> Self {
        Self { lanes: None, queues: HashMap::new(), news: watch::Sender::new(-1) }
    }

    fn is_empty(&self) -> bool {
        self.queues.values().all(VecDeque::is_empty)
    }

    /// Where the area's partitions end, where it has several and all are read.
    fn ends(&self, partitions: &HashMap<i32, Held>, lives: u64) -> Option<Ends> {
        let lanes = self.lanes.as_ref()?;
        let end = |partition| Some(Place::of(partitions.get(partition)?.end));
        let ends: Option<Vec<_>> = lanes.iter().map(end).collect();
        Some(Ends { places: Places::new(&ends?)?, lives })
    }
}

impl State {
    /// The records of an area from the places on, in the order in which they came, with their lanes.
    fn from<'a>(
        &'a self,
        area: &str,
        lanes: &[i32],
        from: &Places,
    ) -> impl Iterator<Item = (usize, &'a Arc<Block>)> {
        let queues = self.areas.get(area).map(|feed| &feed.queues);
        let queue = |(lane, partition): (usize, &i32)| {
            let queue = queues?.get(partition)?;
            let from = from.get(lane).offset;
            let first = queue.partition_point(|block| block.offset < from);
            Some((lane, queue.range(first..).peekable()))
        };
        let mut queues: Vec<_> = lanes.iter().enumerate().filter_map(queue).collect();
        std::iter::from_fn(move || {
            let came = |(_, queue): &mut (usize, Peekable<_>)| {
                queue.peek().map(|block: &&Arc<Block>| block.sequence)
            };
            let first =
                queues.iter_mut().enumerate().filter_map(|(at, queue)| Some((came(queue)?, at)));
            let (_, at) = first.min()?;
            let (lane, queue) = queues.get_mut(at)?;
            Some((*lane, queue.next()?))
        })
    }

    /// Whether a listener that was at these places has, behind a record, all that the ring had when
    /// the record came, and no more.
    fn is_shared(&self, block: &Block, from: &Places) -> bool {
        block.ends.as_ref().is_some_and(|ends| {
            let (ends, lives) = (ends.places.as_slice(), ends.lives);
            lives == self.lives && from.as_slice().iter().zip(ends).all(|(from, end)| from <= end)
        })
    }

    fn forget(&mut self, partition: i32) {
        self.order.retain(|block| block.partition != partition);
        self.areas.retain(|_, feed| {
            feed.queues.remove(&partition);
            !feed.is_empty() || feed.news.receiver_count() > 0
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
            feed.queues.get_mut(&block.partition).and_then(VecDeque::pop_front);
            if feed.is_empty() && feed.news.receiver_count() == 0 {
                self.areas.remove(&block.area);
            }
        }
    }
}

#[cfg(test)]
mod tests;
