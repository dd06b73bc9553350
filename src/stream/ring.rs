//! The last moments of the live topic in memory: one ring for all who listen, bounded in bytes.
//!
//! Nobody has a queue of their own, only a place in a partition. What a record looks like on the
//! wire is made once and kept beside it, for all listeners of its area.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::clock::Millis;

use super::frames::{Class, Frames};

/// What a record costs beside its bytes, about: its entry, its lines' ranges, the frames' entries.
const BLOCK_OVERHEAD_BYTES: usize = 512;

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

/// One record of the live topic: some events of one area, in order.
#[derive(Debug)]
pub struct Block {
    pub area: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// Kafka's time of the record.
    pub time: Millis,
    bytes: Bytes,
    lines: Vec<Range<usize>>,
    frames: [OnceLock<Frames>; Class::COUNT],
    /// What the record costs the ring by now.
    cost: AtomicUsize,
}

impl Block {
    /// Takes a record's value apart into its lines.
    #[must_use]
    pub fn new(
        (area, partition, offset): (Arc<str>, i32, i64),
        time: Millis,
        bytes: Bytes,
    ) -> Self {
        let mut lines = Vec::new();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &bytes).chain([bytes.len()]) {
            if end > start {
                lines.push(start..end);
            }
            start = end + 1;
        }
        let cost = AtomicUsize::new(bytes.len() + BLOCK_OVERHEAD_BYTES);
        Self { area, partition, offset, time, bytes, lines, frames: Default::default(), cost }
    }

    /// How many events it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Its events as they came: one JSON object each.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.lines.iter().map(|line| self.bytes.get(line.clone()).unwrap_or_default())
    }

    /// Its events as they go out; `make` is called the first time only.
    pub fn frames(&self, class: Class, make: impl FnOnce(&Self) -> Frames) -> Option<&Frames> {
        let slot = self.frames.get(class.index())?;
        let mut made = 0;
        let frames = slot.get_or_init(|| {
            let frames = make(self);
            made = frames.len_bytes();
            frames
        });
        self.cost.fetch_add(made, Ordering::Relaxed);
        Some(frames)
    }
}

/// What the ring has for a listener.
#[derive(Debug)]
pub enum Taken {
    /// The area's records from the place on, oldest first, perhaps none; and where to go on.
    Blocks(Vec<Arc<Block>>, Place),
    /// The place is older than what the ring holds: everything from this offset on is in it.
    Behind(i64),
}

/// Records of all partitions, found by area.
#[derive(Debug)]
pub struct Ring {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    areas: HashMap<Arc<str>, Feed>,
    partitions: HashMap<i32, Held>,
    /// All records in the order in which they came.
    order: VecDeque<Arc<Block>>,
    /// What the records cost when they were last looked at.
    used: usize,
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
}

impl Ring {
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// The partition is read from this offset on. What was held of it before is forgotten.
    pub fn open(&self, partition: i32, from: i64) {
        let mut state = self.state();
        let state = &mut *state;
        state.partitions.insert(partition, Held { floor: from, end: from });
        state.order.retain(|block| block.partition != partition);
        for feed in state.areas.values_mut() {
            feed.blocks.retain(|block| block.partition != partition);
        }
        state.used = state.order.iter().map(|block| block.cost.load(Ordering::Relaxed)).sum();
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
            state.used += block.cost.load(Ordering::Relaxed);
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

    /// The records of an area from a place on: as many as fit `bytes_max`, at least one.
    #[must_use]
    pub fn take(&self, area: &str, partition: i32, from: Place, bytes_max: usize) -> Taken {
        let state = self.state();
        let Some(held) = state.partitions.get(&partition).copied() else {
            return Taken::Behind(i64::MAX);
        };
        if from.offset < held.floor {
            return Taken::Behind(held.floor);
        }
        let mut blocks = Vec::new();
        let Some(feed) = state.areas.get(area) else {
            return Taken::Blocks(blocks, from.max(Place::of(held.end)));
        };
        let first = feed.blocks.partition_point(|block| block.offset < from.offset);
        let mut bytes = 0;
        for block in feed.blocks.iter().skip(first) {
            if bytes > 0 && bytes + block.bytes.len() > bytes_max {
                let next = Place::of(block.offset);
                return Taken::Blocks(blocks, next);
            }
            bytes += block.bytes.len();
            blocks.push(Arc::clone(block));
        }
        Taken::Blocks(blocks, from.max(Place::of(held.end)))
    }

    /// Tells when there is more of an area.
    #[must_use]
    pub fn news(&self, area: &str) -> watch::Receiver<i64> {
        let mut state = self.state();
        let feed = state.areas.entry(area.into()).or_insert_with(Feed::new);
        feed.news.subscribe()
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
        Self { blocks: VecDeque::new(), news: watch::Sender::new(-1) }
    }
}

impl State {
    /// Drops the oldest records until the rest fits.
    fn shrink(&mut self, bytes_max: usize) {
        if self.used <= bytes_max / 2 {
            return;
        }
        // Frames were made meanwhile.
        self.used = self.order.iter().map(|block| block.cost.load(Ordering::Relaxed)).sum();
        while self.used > bytes_max
            && let Some(block) = self.order.pop_front()
        {
            self.used = self.used.saturating_sub(block.cost.load(Ordering::Relaxed));
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
mod tests {
    use super::*;

    fn block(area: &str, offset: i64, lines: &str) -> Block {
        Block::new((area.into(), 0, offset), 0, Bytes::copy_from_slice(lines.as_bytes()))
    }

    fn offsets(taken: &Taken) -> (Vec<i64>, Option<i64>) {
        match taken {
            Taken::Blocks(blocks, next) => {
                (blocks.iter().map(|block| block.offset).collect(), Some(next.offset))
            }
            Taken::Behind(floor) => (vec![*floor], None),
        }
    }

    #[test]
    fn lines_of_a_record() {
        let check = |text: &str, expected: &[&str]| {
            let block = block("a", 0, text);
            let lines: Vec<_> = block.lines().map(|line| str::from_utf8(line).unwrap()).collect();
            assert_eq!(lines, expected);
        };
        check("{}\n{\"a\":1}\n", &["{}", "{\"a\":1}"]);
        check("{}", &["{}"]);
        check("\n\n", &[]);
        check("", &[]);
    }

    #[test]
    fn a_listener_gets_the_records_of_its_area_in_order() {
        let ring = Ring::new(1 << 20);
        let take =
            |from: i64, bytes_max: usize| offsets(&ring.take("a", 0, Place::of(from), bytes_max));
        assert!(matches!(ring.take("a", 0, Place::of(0), 9), Taken::Behind(i64::MAX)));
        ring.open(0, 10);
        assert_eq!(take(10, 99), (vec![], Some(10)));
        ring.push([block("a", 10, "{}\n"), block("b", 11, "{}\n"), block("a", 12, "{}\n")]);
        assert_eq!(take(10, 99), (vec![10, 12], Some(13)));
        assert_eq!(take(10, 4), (vec![10], Some(12)));
        assert_eq!(take(11, 99), (vec![12], Some(13)));
        assert_eq!(take(13, 99), (vec![], Some(13)));
        // A place beyond what was read is waited for.
        assert_eq!(take(20, 99), (vec![], Some(20)));
        assert_eq!(take(9, 99), (vec![10], None));
    }

    #[test]
    fn it_stays_within_its_bytes_and_says_from_where_it_holds_everything() {
        let ring = Ring::new(10 * (BLOCK_OVERHEAD_BYTES + 100));
        ring.open(0, 0);
        let line = "x".repeat(100);
        for offset in 0..100 {
            ring.push([block(if offset % 2 == 0 { "a" } else { "b" }, offset, &line)]);
            assert!(ring.used() <= ring.bytes_max);
        }
        assert_eq!(offsets(&ring.take("a", 0, Place::of(0), 99)), (vec![90], None));
        let all = offsets(&ring.take("a", 0, Place::of(90), usize::MAX));
        assert_eq!(all, (vec![90, 92, 94, 96, 98], Some(100)));
        // A partition that is read anew forgets what it held.
        ring.open(0, 7);
        assert_eq!((ring.used(), ring.end(0)), (0, Some(7)));
        assert_eq!(offsets(&ring.take("a", 0, Place::of(7), 99)), (vec![], Some(7)));
    }

    #[tokio::test]
    async fn news_come_once_for_many_records() {
        let ring = Ring::new(1 << 20);
        ring.open(0, 0);
        let mut news = ring.news("a");
        ring.push((0..50).map(|offset| block("a", offset, "{}")));
        news.changed().await.unwrap();
        assert_eq!(*news.borrow_and_update(), 49);
        ring.push([block("b", 50, "{}")]);
        assert!(!news.has_changed().unwrap());
    }
}
