//! What is on its way to a client: messages of events, shared with others, and words of our own
//! between them.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};

use crate::stream::frames::Frames;
use crate::stream::place::{Place, Places};

/// Pieces that go out in one write.
pub const SLICES_MAX: usize = 64;

/// Written from its front.
#[derive(Debug, Default)]
pub struct Outbox {
    items: VecDeque<Item>,
    bytes: usize,
    /// Of ours that are not written yet.
    words: usize,
}

#[derive(Debug)]
enum Item {
    Words(Bytes),
    Events(Events),
}

/// Messages of one record.
#[derive(Debug)]
struct Events {
    frames: Arc<Frames>,
    from: Spot,
    /// Bytes that are not written yet.
    left: Range<usize>,
}

/// A record, as its listener comes to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    pub lane: usize,
    /// Where the listener is when it takes the record's first event: in this lane there.
    pub places: Places,
}

/// What a write came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrote {
    pub bytes: u64,
    /// Messages of events that were written to their end.
    pub messages: u64,
    /// The events in these.
    pub events: u64,
    /// Where the client goes on that has these.
    pub places: Option<Places>,
    /// Some of it was of events.
    pub is_of_events: bool,
}

impl Outbox {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Words that wait.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words
    }

    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// A run of messages of a record.
    pub fn push(&mut self, frames: &Arc<Frames>, from: &Spot, run: &Range<usize>) {
        let left = frames.start(run.start)..frames.start(run.end);
        if !left.is_empty() {
            self.bytes += left.len();
            let (frames, from) = (Arc::clone(frames), from.clone());
            self.items.push_back(Item::Events(Events { frames, from, left }));
        }
    }

    /// Behind everything.
    pub fn say(&mut self, words: Vec<u8>) {
        if !words.is_empty() {
            self.words += 1;
            self.bytes += words.len();
            self.items.push_back(Item::Words(words.into()));
        }
    }

    /// As soon as may be: behind the message that is being written, and words before it.
    pub fn interject(&mut self, words: Vec<u8>) {
        if words.is_empty() {
            return;
        }
        let before = self.items.iter().position(|item| matches!(item, Item::Events(_)));
        let Some(at) = before else { return self.say(words) };
        let mut behind = at;
        if let Some(Item::Events(events)) = self.items.get_mut(at)
            && let Some(rest) = events.split_behind_current()
        {
            behind = at + 1;
            if !rest.left.is_empty() {
                self.items.insert(behind, Item::Events(rest));
            }
        }
        while matches!(self.items.get(behind), Some(Item::Words(_))) {
            behind += 1;
        }
        self.words += 1;
        self.bytes += words.len();
        self.items.insert(behind, Item::Words(words.into()));
    }

    /// What is to be written next.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        let mut count = 0;
        for (slice, item) in slices.iter_mut().zip(&self.items) {
            *slice = IoSlice::new(item.bytes());
            count += 1;
        }
        count
    }

    /// Takes at most so many bytes off the front, to be written as a whole.
    pub fn take(&mut self, bytes_max: usize) -> (Bytes, Wrote) {
        let bytes = match self.items.front() {
            Some(Item::Words(words)) => words.clone(),
            Some(Item::Events(events)) => {
                let end = events.left.end.min(events.left.start + bytes_max);
                events.frames.slice(events.left.start..end)
            }
            None => Bytes::new(),
        };
        let wrote = self.wrote(bytes.len());
        (bytes, wrote)
    }

    /// So many bytes of the front were written.
    pub fn wrote(&mut self, bytes: usize) -> Wrote {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        let mut wrote = Wrote { bytes: bytes as u64, ..Wrote::default() };
        let mut left = bytes;
        while left > 0
            && let Some(item) = self.items.front_mut()
        {
            let of_item = left.min(item.len());
            left -= of_item;
            item.advance(of_item, &mut wrote);
            if item.len() > 0 {
                break;
            }
            if let Some(Item::Words(_)) = self.items.pop_front() {
                self.words -= 1;
            }
        }
        wrote
    }

    /// Forgets all but the message that is being written, and keeps nothing of others for it.
    /// Answers where to go on behind it; `None` where no message was forgotten or cut.
    pub fn keep_current(&mut self) -> Option<Places> {
        let first = self.items.iter().find_map(|item| match item {
            Item::Events(events) => Some((events.is_begun(), events.places(), events.current())),
            Item::Words(_) => None,
        });
        let (is_begun, here, (current, behind)) = first?;
        self.items.retain(|item| matches!(item, Item::Words(_)));
        if is_begun {
            self.items.push_front(Item::Words(current));
            self.words += 1;
        }
        self.bytes = self.items.iter().map(Item::len).sum();
        Some(if is_begun { behind } else { here })
    }
}

impl Item {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Words(words) => words,
            Self::Events(events) => events.frames.bytes(events.left.clone()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Events(events) => events.left.len(),
        }
    }

    fn advance(&mut self, bytes: usize, wrote: &mut Wrote) {
        match self {
            Self::Words(words) => words.advance(bytes),
            Self::Events(events) => {
                let before = events.frames.frame_at(events.left.start);
                events.left.start += bytes;
                let after = events.frames.frame_at(events.left.start);
                wrote.messages += (after - before) as u64;
                wrote.events += events.frames.events(before..after);
                wrote.is_of_events = true;
                if let Some(last) = after.checked_sub(1).filter(|last| *last >= before) {
                    wrote.places = Some(events.behind(last));
                }
            }
        }
    }
}

impl Events {
    /// The message that is next, or in the middle of being written.
    fn frame(&self) -> usize {
        self.frames.frame_at(self.left.start)
    }

    fn is_begun(&self) -> bool {
        self.left.start > self.frames.start(self.frame())
    }

    fn behind(&self, frame: usize) -> Places {
        self.at(self.frames.next(frame))
    }

    /// At an event of the record, by its index.
    fn at(&self, index: u32) -> Places {
        let Spot { lane, places } = &self.from;
        places.with(*lane, Place { index, ..places.get(*lane) })
    }

    /// Where the message begins that is next.
    fn places(&self) -> Places {
        match self.frame().checked_sub(1) {
            Some(before) => self.behind(before),
            None => self.from.places.clone(),
        }
    }

    /// A copy of what is left of it, and the places behind it.
    fn current(&self) -> (Bytes, Places) {
        let frame = self.frame();
        let left = self.left.start..self.frames.end(frame).min(self.left.end);
        (Bytes::copy_from_slice(self.frames.bytes(left)), self.behind(frame))
    }

    /// Keeps what was begun, gives the rest; `None` where nothing was begun.
    fn split_behind_current(&mut self) -> Option<Self> {
        if !self.is_begun() {
            return None;
        }
        let middle = self.frames.end(self.frame()).min(self.left.end);
        let rest = middle..self.left.end;
        self.left.end = middle;
        Some(Self { frames: Arc::clone(&self.frames), from: self.from.clone(), left: rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::frames::{Framing, Message, Transport};

    /// Messages `a`, `b`… of one event each, a byte and a line end.
    fn frames(text: &str) -> Arc<Frames> {
        let mut framing = Framing::default();
        for (next, letter) in (1..).zip(text.bytes()) {
            framing.put(&Message::text(Transport::Ndjson, &[&[letter]]), next, 1);
        }
        Arc::new(framing.done())
    }

    fn outbox() -> Outbox {
        let mut outbox = Outbox::default();
        let spot = |offset, index| {
            let places = Places::all(2, Place::of(5)).with(1, Place { offset, index });
            Spot { lane: 1, places }
        };
        outbox.push(&frames("abc"), &spot(7, 0), &(0..3));
        outbox.push(&frames("xyz"), &spot(9, 1), &(1..3));
        outbox
    }

    fn text(outbox: &Outbox) -> String {
        outbox.items.iter().map(|item| String::from_utf8_lossy(item.bytes())).collect()
    }

    /// The other lane stays where it was.
    fn place(offset: i64, index: u32) -> Option<Places> {
        Places::new(&[Place::of(5), Place { offset, index }])
    }

    #[test]
    fn what_was_written_is_known_to_the_message() {
        let check = |bytes: usize, messages: u64, at: Option<Places>, rest: &str| {
            let mut outbox = outbox();
            let wrote = outbox.wrote(bytes);
            assert_eq!((wrote.messages, wrote.places), (messages, at), "{bytes}");
            assert_eq!(text(&outbox), rest);
            assert_eq!(outbox.len_bytes(), rest.len());
        };
        check(0, 0, None, "a\nb\nc\ny\nz\n");
        check(1, 0, None, "\nb\nc\ny\nz\n");
        check(2, 1, place(7, 1), "b\nc\ny\nz\n");
        check(7, 3, place(7, 3), "\nz\n");
        check(8, 4, place(9, 2), "z\n");
        check(99, 5, place(9, 3), "");
    }

    #[test]
    fn words_go_between_messages() {
        let check = |written: usize, rest: &str| {
            let mut outbox = outbox();
            outbox.wrote(written);
            outbox.interject(b"!".to_vec());
            outbox.interject(b"?".to_vec());
            outbox.say(b".".to_vec());
            outbox.interject(Vec::new());
            assert_eq!(text(&outbox), rest);
            assert_eq!(outbox.words(), 3);
            outbox.wrote(usize::MAX);
            assert_eq!((outbox.words(), outbox.is_empty()), (0, true));
        };
        check(0, "!?a\nb\nc\ny\nz\n.");
        check(1, "\n!?b\nc\ny\nz\n.");
        check(4, "!?c\ny\nz\n.");
        check(10, "!?.");
    }

    #[test]
    fn a_client_that_does_not_read_keeps_one_message() {
        let check = |written: usize, at: Option<Places>, rest: &str| {
            let mut outbox = outbox();
            outbox.wrote(written);
            assert_eq!(outbox.keep_current(), at, "{written}");
            assert_eq!(text(&outbox), rest);
        };
        check(0, place(7, 0), "");
        check(1, place(7, 1), "\n");
        check(2, place(7, 1), "");
        check(7, place(9, 2), "\n");
        check(10, None, "");
    }

    #[test]
    fn what_is_taken_is_what_is_written() {
        let mut outbox = outbox();
        outbox.interject(b"!".to_vec());
        let mut all = Vec::new();
        let mut messages = 0;
        while !outbox.is_empty() {
            let (bytes, wrote) = outbox.take(3);
            assert!(bytes.len() <= 3);
            messages += wrote.messages;
            all.extend_from_slice(&bytes);
        }
        assert_eq!((all.as_slice(), messages), (&b"!a\nb\nc\ny\nz\n"[..], 5));
    }
}
