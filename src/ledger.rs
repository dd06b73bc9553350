//! The conservation of events: consumed = settled + in flight, under one lock, at any moment.
//!
//! In flight is counted on its own, per hold, not computed as the rest; so an event that is
//! counted twice or never shows as a difference in a scrape.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Millis;
use crate::event::Hold;
use crate::outcome::Tally;

/// Counts every event from its framing to its outcome.
#[derive(Debug, Default)]
pub struct Ledger {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    consumed: u64,
    settled: Tally,
    in_flight: u64,
    holds: HashMap<u64, VecDeque<Slice>>,
}

/// The events of one chunk that have no outcome yet.
#[derive(Debug)]
struct Slice {
    events: u64,
    received: Millis,
}

/// All figures of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub consumed: u64,
    pub settled: Tally,
    pub in_flight: u64,
    /// When the oldest event without an outcome was taken from Kafka.
    pub oldest_unsettled: Option<Millis>,
}

impl Snapshot {
    /// Whether every consumed event is settled or in flight, and in one of the two only.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        self.consumed == self.settled.events() + self.in_flight
    }
}

impl Ledger {
    /// The events of one chunk were framed: each is in flight from now on. Chunks of one hold are
    /// settled in the order in which they were taken. Events of a hold that is lost already are
    /// not counted, their next owner takes them: the answer is then `false`, and the chunk is to
    /// be dropped.
    #[must_use]
    pub fn take(&self, hold: &Hold, events: u64, received: Millis) -> bool {
        let mut book = self.book();
        if hold.is_lost() {
            return false;
        }
        book.consumed += events;
        book.in_flight += events;
        book.holds.entry(hold.id).or_default().push_back(Slice { events, received });
        true
    }

    /// Every event of the oldest chunk in flight of this hold has its outcome. A chunk that was
    /// handed over in between is not counted again; the answer says whether it counted.
    pub fn settle(&self, hold: &Hold, tally: &Tally) -> bool {
        let mut book = self.book();
        let Some(slices) = book.holds.get_mut(&hold.id) else {
            return false;
        };
        let Some(slice) = slices.pop_front() else {
            return false;
        };
        debug_assert_eq!(slice.events, tally.events(), "a chunk settles whole");
        if slices.is_empty() {
            book.holds.remove(&hold.id);
        }
        book.in_flight -= slice.events;
        book.settled.add(tally);
        true
    }

    /// Ends the hold: what is in flight of it belongs to its next owner. Answers how many events
    /// that were.
    pub fn hand_over(&self, hold: &Hold) -> u64 {
        let mut book = self.book();
        hold.lose();
        let events = book
            .holds
            .remove(&hold.id)
            .map_or(0, |slices| slices.iter().map(|slice| slice.events).sum());
        book.in_flight -= events;
        book.settled.handed_over += events;
        events
    }

    /// How many events of this hold have no outcome yet, or `None` where no chunk is in flight.
    #[must_use]
    pub fn in_flight(&self, hold: &Hold) -> Option<u64> {
        let book = self.book();
        book.holds.get(&hold.id).map(|slices| slices.iter().map(|slice| slice.events).sum())
    }

    /// All figures, of one moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let book = self.book();
        Snapshot {
            consumed: book.consumed,
            settled: book.settled.clone(),
            in_flight: book.in_flight,
            oldest_unsettled: book
                .holds
                .values()
                .filter_map(|slices| slices.front())
                .map(|slice| slice.received)
                .min(),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // A panic while the lock is held cannot leave a half-made entry behind: all updates are
        // plain additions.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn hold(id: u64) -> Hold {
        Hold::new(id, 0, Arc::from("events"), 0)
    }

    #[test]
    fn what_is_handed_over_is_not_settled_again() {
        let ledger = Ledger::default();
        let (kept, lost) = (hold(1), hold(2));
        assert!(ledger.take(&kept, 3, 10));
        assert!(ledger.take(&lost, 4, 5));
        assert_eq!(ledger.snapshot().oldest_unsettled, Some(5));
        assert_eq!(ledger.hand_over(&lost), 4);
        assert!(!ledger.take(&lost, 9, 11));
        assert!(!ledger.settle(&lost, &Tally { created: 4, ..Tally::default() }));
        assert!(ledger.settle(&kept, &Tally { created: 2, duplicate: 1, ..Tally::default() }));
        let snapshot = ledger.snapshot();
        assert!(snapshot.is_conserved());
        assert_eq!((snapshot.consumed, snapshot.in_flight), (7, 0));
        assert_eq!(snapshot.settled.handed_over, 4);
        assert_eq!(snapshot.oldest_unsettled, None);
    }
}
