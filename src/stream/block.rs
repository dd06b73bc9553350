//! One record of the live topic, with what was made of it for those who listen.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use crate::clock::Millis;

use super::frames::Frames;
use super::locked;
use super::place::Places;
use super::select::Passes;
use super::shape::FramesKey;

/// What a record costs beside its bytes, about: its entry, its lines' ranges, the frames' entries.
pub(super) const OVERHEAD_BYTES: usize = 512;

/// Some events of one area, in order.
#[derive(Debug)]
pub struct Block {
    pub area: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// Kafka's time of the record.
    pub time: Millis,
    /// Over how many partitions its area was spread when it was written.
    pub lanes: usize,
    /// In the order in which all records came into the ring.
    pub(super) sequence: u64,
    pub(super) ends: Option<Ends>,
    bytes: Bytes,
    lines: Vec<Range<usize>>,
    frames: Mutex<Vec<(FramesKey, Arc<Frames>)>>,
    passes: Mutex<Vec<(u64, Arc<Passes>)>>,
    /// What the record costs the ring by now.
    cost: AtomicUsize,
}

/// Where the partitions of an area ended in the ring.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    /// By lane.
    pub(super) places: Places,
    /// Partitions that the ring had opened by then: with the next it may have others' records again.
    pub(super) lives: u64,
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
        let cost = AtomicUsize::new(bytes.len() + OVERHEAD_BYTES);
        let (frames, passes) = Default::default();
        let (lanes, sequence, ends) = (1, 0, None);
        Self {
            area,
            partition,
            offset,
            time,
            lanes,
            sequence,
            ends,
            bytes,
            lines,
            frames,
            passes,
            cost,
        }
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

    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What it costs by now, in bytes.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.cost.load(Ordering::Relaxed)
    }

    /// Of an area in several partitions: where each of them was read up to when it came.
    #[must_use]
    pub fn ends(&self) -> Option<&Places> {
        self.ends.as_ref().map(|ends| &ends.places)
    }

    /// Its events as they came: one JSON object each.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.lines.iter().map(|line| self.bytes.get(line.clone()).unwrap_or_default())
    }

    /// Its events as they go out; `make` is called the first time only, while others wait for it.
    pub fn frames(&self, key: FramesKey, make: impl FnOnce() -> Frames) -> Arc<Frames> {
        let mut all = locked(&self.frames);
        if let Some((_, frames)) = all.iter().find(|(known, _)| *known == key) {
            return Arc::clone(frames);
        }
        let frames = Arc::new(make());
        self.grow(frames.len_bytes() + OVERHEAD_BYTES);
        all.push((key, Arc::clone(&frames)));
        frames
    }

    /// Something of so many bytes is kept beside it.
    pub(super) fn grow(&self, bytes: usize) {
        self.cost.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Which of its events pass which filter, as far as anybody has asked.
    pub fn passes(&self) -> MutexGuard<'_, Vec<(u64, Arc<Passes>)>> {
        locked(&self.passes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_record() {
        let check = |text: &str, expected: &[&str]| {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            let block = Block::new(("a".into(), 0, 0), 0, bytes);
            let lines: Vec<_> = block.lines().map(|line| str::from_utf8(line).unwrap()).collect();
            assert_eq!(lines, expected);
        };
        check("{}\n{\"a\":1}\n", &["{}", "{\"a\":1}"]);
        check("{}", &["{}"]);
        check("\n\n", &[]);
        check("", &[]);
    }
}
