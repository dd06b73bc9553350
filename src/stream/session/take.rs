//! What a session takes: from the ring, or from Kafka where the ring has no more of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;
use tracing::warn;

use super::{READ_BYTES_MAX, Session, Slow, TURN_BYTES_MIN, Wish};
use crate::metrics::stream::GapCause;
use crate::stream::block::Block;
use crate::stream::catch_up::{Turn, Wanted};
use crate::stream::end::End;
use crate::stream::io::{Sink, Source};
use crate::stream::place::{Place, Places};
use crate::stream::ring::Taken;
use crate::stream::session::outbox::Spot;

/// Turns of reading that one lane has before it is another's: who changes its place in Kafka has to
/// ask where that begins.
const ROUND_TURNS: u32 = 16;

/// Which of several lanes is read from Kafka. Were one read to its end first, retention would take
/// meanwhile what is in the others, and who is never done with it would hear nothing of them.
#[derive(Debug, Default)]
pub(super) struct Round {
    lane: usize,
    turns: u32,
}

impl Round {
    /// Of the lanes that are behind, in their order, the one to be read now.
    fn next(&mut self, floors: &[(usize, i64)]) -> Option<(usize, i64)> {
        let goes_on = |(lane, _): &&(usize, i64)| *lane == self.lane && self.turns < ROUND_TURNS;
        let follows = |(lane, _): &&(usize, i64)| *lane > self.lane;
        let found = floors.iter().find(goes_on).or_else(|| floors.iter().find(follows));
        let (lane, floor) = *found.or_else(|| floors.first())?;
        let before = if found.is_some() && lane == self.lane { self.turns } else { 0 };
        *self = Self { lane, turns: before + 1 };
        Some((lane, floor))
    }
}

impl<S: Sink, R: Source> Session<S, R> {
    /// Takes what follows into the outbox, or begins to read it.
    pub(super) fn fill(&mut self) -> Result<(), End> {
        // What is there may be taken at once.
        self.has_more = self.outbox.len_bytes() >= TURN_BYTES_MIN && self.reading.is_none();
        let is_stalled = self.timer.is_stalled && !self.outbox.is_empty();
        if is_stalled || self.reading.is_some() || self.has_more {
            return Ok(());
        }
        self.subscription.news.borrow_and_update();
        if self.subscription.has_lost(&self.places) {
            // What comes now has offsets that were others' before. Who comes back is told a gap.
            return Err(End::Unavailable("the live topic has lost records".to_owned()));
        }
        let ring = &self.shared.ring;
        match ring.take(&self.wish.area, &self.wish.lanes, &self.places, self.turn_bytes) {
            Taken::Blocks { blocks, next, has_more } => {
                (self.timer.closed, self.has_been_live) = (None, true);
                for given in blocks {
                    self.put(&given.block, given.lane, given.is_shared)?;
                }
                self.has_more = has_more;
                self.places = next;
                if self.outbox.is_empty() {
                    self.written = self.places.clone();
                }
            }
            Taken::Behind(floors) => self.catch_up(&floors)?,
            Taken::Closed => {
                self.timer.closed.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }

    /// Reads Kafka up to what the ring holds, of the lane whose round it is. What is in other lanes
    /// waits meanwhile.
    fn catch_up(&mut self, floors: &[(usize, i64)]) -> Result<(), End> {
        let Some((lane, floor)) = self.round.next(floors) else { return Ok(()) };
        if self.wish.slow == Slow::Disconnect && self.has_been_live {
            self.tell_slow();
            return Err(End::Slow);
        }
        let wanted = Wanted {
            area: Arc::clone(&self.wish.area),
            partition: self.wish.lanes.get(lane).copied().unwrap_or_default(),
            from: self.places.get(lane),
            until: floor,
            bytes_max: (self.turn_bytes * 4).min(READ_BYTES_MAX),
        };
        let turn = self.shared.catch_ups.clone().read(wanted);
        self.reading = Some(Box::pin(async move { Ok((lane, turn.await?)) }));
        Ok(())
    }

    pub(super) fn read(&mut self, lane: usize, turn: &Turn) -> Result<(), End> {
        self.reading = None;
        if let Some(oldest) = turn.lost_before {
            // Where all that is left is in the ring, nothing of it was read.
            let until = turn.blocks.first().map(|block| block.time).or_else(|| {
                let partition = self.wish.lanes.get(lane..=lane)?;
                self.shared.ring.ahead(&self.wish.area, partition, &Places::One(turn.next))?.since
            });
            let to = self.places.with(lane, Place::of(oldest));
            self.tell_gap(GapCause::Retention, None, (&self.places.clone(), &to), until);
        }
        let mut events = 0;
        for block in &turn.blocks {
            events += block.len() as u64;
            self.put(block, lane, false)?;
        }
        self.shared.metrics.catch_up_events.inc_by(events);
        self.places.set(lane, turn.next);
        if self.outbox.is_empty() {
            self.written = self.places.clone();
        }
        Ok(())
    }

    /// Puts the events of a record into the outbox, from the place in its lane on.
    fn put(&mut self, block: &Block, lane: usize, is_shared: bool) -> Result<(), End> {
        if block.lanes > self.wish.lanes.len() {
            // What is in its other partitions nobody here would hear of.
            warn!(
                written = block.lanes,
                read = self.wish.lanes.len(),
                "an area is in more partitions of the live topic than `live.spread` says here"
            );
            return Err(End::Unavailable(format!(
                "the area is in {} partitions of the live topic, and this server reads {} of it: \
                 `live.spread` is another where it was written",
                block.lanes,
                self.wish.lanes.len()
            )));
        }
        let from_place = |place: Place| if block.offset == place.offset { place.index } else { 0 };
        let index = from_place(self.places.get(lane));
        self.places.set(lane, Place { offset: block.offset, index });
        // What comes again after a stall was counted.
        let counted = self.counted.get(lane);
        let uncounted = match block.offset < counted.offset {
            true => u32::MAX,
            false => index.max(from_place(counted)),
        };
        let Wish { shape, choice, .. } = &self.wish;
        // Of all who take it where the ring has it, the cursors are the same.
        let around = block.ends().filter(|_| is_shared).unwrap_or(&self.places);
        let seal = |place| (self.seal)(&around.with(lane, place));
        let ready = shape.ready((block, index, uncounted), choice, is_shared, seal);
        let was_empty = self.outbox.is_empty();
        let spot = Spot { lane, places: self.places.clone() };
        for run in &ready.runs {
            self.outbox.push(&ready.frames, &spot, run);
        }
        if was_empty && is_shared {
            self.oldest = Some(block.time);
        }
        self.signals.flow.filtered.fetch_add(ready.share.filtered, Ordering::Relaxed);
        self.shared.metrics.filtered.inc_by(ready.share.filtered);
        self.sampled_out += ready.share.sampled_out;
        self.seen = Some(block.time);
        let behind = Place::of(block.offset + 1);
        self.places.set(lane, behind);
        self.counted.set(lane, counted.max(behind));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_are_behind_are_read_in_rounds() {
        let mut round = Round::default();
        let mut read = |lanes: &[usize], turns: u32| -> Vec<usize> {
            let floors: Vec<_> = lanes.iter().map(|lane| (*lane, 7)).collect();
            (0..turns).filter_map(|_| round.next(&floors)).map(|(lane, _)| lane).collect()
        };
        let one = |lane: usize| vec![lane; 16];
        assert_eq!(read(&[0, 1, 3], 64), [one(0), one(1), one(3), one(0)].concat());
        // One that is done, and one that is alone.
        assert_eq!(read(&[1, 3], 4), [1; 4]);
        assert_eq!(read(&[3], 40), [3; 40]);
        assert_eq!(read(&[0, 3], 17), [[3; 8].as_slice(), &[0; 9]].concat());
        assert!(read(&[], 1).is_empty());
    }
}
