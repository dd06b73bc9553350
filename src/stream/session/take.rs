//! What a session takes: from the ring, or from Kafka where the ring has no more of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{READ_BYTES_MAX, Session, Slow, TURN_BYTES_MIN, Wish};
use crate::metrics::stream::GapCause;
use crate::stream::block::Block;
use crate::stream::catch_up::{Turn, Wanted};
use crate::stream::end::End;
use crate::stream::io::{Sink, Source};
use crate::stream::ring::{Place, Taken};

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
        if self.subscription.opened_again().is_some_and(|end| end < self.place.offset) {
            // What comes now has offsets that were others' before. Who comes back is told a gap.
            return Err(End::Unavailable("the live topic has lost records".to_owned()));
        }
        let ring = &self.shared.ring;
        match ring.take(&self.wish.area, self.wish.partition, self.place, self.turn_bytes) {
            Taken::Blocks { blocks, next, has_more } => {
                (self.timer.closed, self.has_been_live) = (None, true);
                blocks.iter().for_each(|block| self.put(block, true));
                self.has_more = has_more;
                self.place = next;
                if self.outbox.is_empty() {
                    self.written = next;
                }
            }
            Taken::Behind(floor) => self.catch_up(floor)?,
            Taken::Closed => {
                self.timer.closed.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }

    /// Reads Kafka up to what the ring holds.
    fn catch_up(&mut self, floor: i64) -> Result<(), End> {
        if self.wish.slow == Slow::Disconnect && self.has_been_live {
            self.tell_slow();
            return Err(End::Slow);
        }
        let wanted = Wanted {
            area: Arc::clone(&self.wish.area),
            partition: self.wish.partition,
            from: self.place,
            until: floor,
            bytes_max: (self.turn_bytes * 4).min(READ_BYTES_MAX),
        };
        self.reading = Some(Box::pin(self.shared.catch_ups.clone().read(wanted)));
        Ok(())
    }

    pub(super) fn read(&mut self, turn: &Turn) {
        self.reading = None;
        if let Some(oldest) = turn.lost_before {
            // Where all that is left is in the ring, nothing of it was read.
            let until = turn.blocks.first().map(|block| block.time).or_else(|| {
                let Wish { area, partition, .. } = &self.wish;
                self.shared.ring.ahead(area, *partition, turn.next)?.since
            });
            self.tell_gap(GapCause::Retention, None, (self.place, Place::of(oldest)), until);
        }
        let mut events = 0;
        for block in &turn.blocks {
            events += block.len() as u64;
            self.put(block, false);
        }
        self.shared.metrics.catch_up_events.inc_by(events);
        self.place = turn.next;
        if self.outbox.is_empty() {
            self.written = self.place;
        }
    }

    /// Puts the events of a record into the outbox, from the place on.
    fn put(&mut self, block: &Block, is_shared: bool) {
        let from_place = |place: Place| if block.offset == place.offset { place.index } else { 0 };
        let from = from_place(self.place);
        // What comes again after a stall was counted.
        let uncounted = match block.offset < self.counted.offset {
            true => u32::MAX,
            false => from.max(from_place(self.counted)),
        };
        let (seal, Wish { shape, choice, .. }) = (&*self.seal, &self.wish);
        let ready = shape.ready((block, from, uncounted), choice, is_shared, seal);
        let was_empty = self.outbox.is_empty();
        for run in &ready.runs {
            self.outbox.push(&ready.frames, block.offset, run);
        }
        if was_empty && is_shared {
            self.oldest = Some(block.time);
        }
        self.signals.flow.filtered.fetch_add(ready.share.filtered, Ordering::Relaxed);
        self.shared.metrics.filtered.inc_by(ready.share.filtered);
        self.sampled_out += ready.share.sampled_out;
        self.seen = Some(block.time);
        self.place = Place::of(block.offset + 1);
        self.counted = self.counted.max(self.place);
    }
}
