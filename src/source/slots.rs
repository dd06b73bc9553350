//! The partitions held, each with the chunk that is filling.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::Millis;
use crate::config::settings::Limits;
use crate::event::{Chunk, Hold, Message};

use super::budget::{Budget, Reserved};

/// What one message costs beside its bytes: its coordinates, the line of its action, what is stamped
/// on it, and the room that a growing buffer keeps. The smallest events come to 670 bytes in all.
const MESSAGE_OVERHEAD_BYTES: usize = 640;

/// A chunk on its way, with the bytes that it holds of the budget.
#[derive(Debug)]
pub struct Taken {
    pub chunk: Chunk,
    pub reserved: Reserved,
}

/// One message as Kafka gave it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) offset: i64,
    pub(super) timestamp: Option<Millis>,
    pub(super) payload: Option<&'a [u8]>,
}

/// One partition held.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) hold: Arc<Hold>,
    /// The next offset that Kafka will give us.
    pub(super) next: i64,
    /// Everything before this was sent on in chunks.
    pub(super) sent: i64,
    /// The last position that was asked to be committed.
    pub(super) committed: Option<i64>,
    /// The end of the partition, as last heard.
    pub(super) end: i64,
    open: Option<Open>,
    /// How many bytes the last chunk held: what to make room for.
    bytes_hint: usize,
}

#[derive(Debug)]
struct Open {
    taken: Taken,
    since: Instant,
}

impl Slot {
    pub(super) fn new(hold: Arc<Hold>, next: i64, end: i64) -> Self {
        Self { hold, next, sent: next, committed: None, end, open: None, bytes_hint: 0 }
    }

    /// Adds a message; answers the chunk that it filled.
    pub(super) fn push(
        &mut self,
        incoming: Incoming<'_>,
        limits: &Limits,
        budget: &Arc<Budget>,
        now: impl Fn() -> Millis,
    ) -> Option<Taken> {
        let payload = incoming.payload.unwrap_or_default();
        // A body is about as long as its payload; what it comes to is known after preparing.
        let cost = payload.len() * 2 + MESSAGE_OVERHEAD_BYTES;
        let full = match &mut self.open {
            Some(open) => {
                open.taken.reserved.grow(cost);
                append(&mut open.taken.chunk, incoming);
                is_full(&open.taken.chunk, limits)
            }
            None => {
                let mut chunk = Chunk {
                    hold: Arc::clone(&self.hold),
                    bytes: Vec::with_capacity(payload.len().max(self.bytes_hint)),
                    messages: Vec::new(),
                    received: now(),
                };
                append(&mut chunk, incoming);
                let full = is_full(&chunk, limits);
                let taken = Taken { chunk, reserved: budget.reserve(cost) };
                self.open = Some(Open { taken, since: Instant::now() });
                full
            }
        };
        self.next = incoming.offset + 1;
        if full { self.cut() } else { None }
    }

    /// The chunk that is filling, as it is.
    pub(super) fn cut(&mut self) -> Option<Taken> {
        let taken = self.open.take()?.taken;
        self.sent = self.next;
        self.bytes_hint = taken.chunk.bytes.len();
        Some(taken)
    }

    /// When the first message of the filling chunk came.
    pub(super) fn since(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.since)
    }

    /// Forgets what has not been sent on yet: the next owner reads it again.
    pub(super) fn forget(&mut self) {
        self.open = None;
    }
}

fn append(chunk: &mut Chunk, incoming: Incoming<'_>) {
    let payload = incoming.payload.map(|payload| {
        let start = chunk.bytes.len();
        chunk.bytes.extend_from_slice(payload);
        start..chunk.bytes.len()
    });
    chunk.messages.push(Message {
        offset: incoming.offset,
        timestamp: incoming.timestamp,
        payload,
    });
}

fn is_full(chunk: &Chunk, limits: &Limits) -> bool {
    chunk.messages.len() >= limits.chunk_messages_max || chunk.bytes.len() >= limits.chunk_bytes_max
}

/// All partitions held, found by topic and partition.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// Where the last one was found: Kafka gives runs of one partition.
    last: usize,
}

impl Slots {
    pub(super) fn find(&mut self, topic: &str, partition: i32) -> Option<&mut Slot> {
        let matches = |slot: &Slot| slot.hold.partition == partition && *slot.hold.topic == *topic;
        if !self.slots.get(self.last).is_some_and(matches) {
            self.last = self.slots.iter().position(matches)?;
        }
        self.slots.get_mut(self.last)
    }

    pub(super) fn add(&mut self, slot: Slot) {
        self.slots.push(slot);
    }

    pub(super) fn remove(&mut self, topic: &str, partition: i32) -> Option<Slot> {
        self.find(topic, partition)?;
        Some(self.slots.swap_remove(self.last))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// When the oldest message came that is not sent on yet.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.slots.iter().filter_map(Slot::since).min()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::IntGauge;

    use super::*;

    fn budget() -> Arc<Budget> {
        Arc::new(Budget::new(1 << 20, IntGauge::new("used", "used").unwrap()))
    }

    fn slot(partition: i32) -> Slot {
        Slot::new(Arc::new(Hold::new(1, 0, Arc::from("events"), partition)), 10, 10)
    }

    fn check(limits: (usize, usize), payloads: &[Option<&str>], expected: &[usize]) {
        let limits =
            Limits { chunk_messages_max: limits.0, chunk_bytes_max: limits.1, ..Limits::default() };
        let (budget, mut slot) = (budget(), slot(0));
        let mut chunks = Vec::new();
        for (payload, offset) in payloads.iter().zip(10..) {
            let payload = payload.map(str::as_bytes);
            let incoming = Incoming { offset, timestamp: None, payload };
            chunks.extend(slot.push(incoming, &limits, &budget, || 7));
        }
        chunks.extend(slot.cut());
        let sizes: Vec<_> = chunks.iter().map(|taken| taken.chunk.messages.len()).collect();
        assert_eq!(sizes, expected);
        let messages: Vec<_> = chunks
            .iter()
            .flat_map(|taken| {
                let chunk = &taken.chunk;
                chunk.messages.iter().map(|message| {
                    (message.offset, message.payload.as_ref().map(|range| chunk.slice(range)))
                })
            })
            .collect();
        let given: Vec<_> =
            (10..).zip(payloads.iter().map(|payload| payload.map(str::as_bytes))).collect();
        assert_eq!(messages, given);
        assert_eq!((slot.next, slot.sent), (10 + payloads.len() as i64, slot.next));
        drop(chunks);
        assert!(budget.is_half_free());
    }

    #[test]
    fn chunks_are_cut_at_messages_and_bytes_and_keep_every_message() {
        check((2, 100), &[Some("a"), None, Some(""), Some("b"), Some("c")], &[2, 2, 1]);
        check((9, 4), &[Some("abc"), Some("de"), Some("larger than all"), Some("x")], &[2, 1, 1]);
        check((9, 100), &[], &[]);
    }

    #[test]
    fn what_was_not_sent_can_be_forgotten() {
        let (budget, mut slot) = (budget(), slot(0));
        let incoming = Incoming { offset: 10, timestamp: Some(1), payload: Some(b"x") };
        assert!(slot.push(incoming, &Limits::default(), &budget, || 7).is_none());
        slot.forget();
        assert!(slot.cut().is_none());
        assert_eq!((slot.next, slot.sent), (11, 10));
    }

    #[test]
    fn slots_are_found_after_others_went() {
        let mut slots = Slots::default();
        (0..4).for_each(|partition| slots.add(slot(partition)));
        assert!(slots.remove("events", 1).is_some());
        assert!(slots.find("events", 1).is_none());
        assert!(slots.find("other", 2).is_none());
        for partition in [0, 2, 3] {
            assert_eq!(slots.find("events", partition).unwrap().hold.partition, partition);
        }
        assert_eq!(slots.len(), 3);
    }
}
