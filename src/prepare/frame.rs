//! What is in a message: one event or many, told apart by looking at the bytes.
//!
//! A message is one object, an array of objects, an envelope `{"data":[…]}`, or lines: NDJSON, or
//! the pairs of action and source that a `_bulk` request holds. It is read, in this order:
//!
//! 1. the whole strictly;
//! 2. the whole repaired;
//! 3. line by line, where any line alone is an object, as it is or repaired.
//!
//! The repaired whole comes before the lines, so that an odd byte cannot take a message apart
//! that is laid out over several lines, nor a raw newline in a value make an event of what
//! follows it. It cannot join lines that belong apart: a line that begins with `{"name"` after an
//! unfinished one ends the open string and leaves the name without quotes.
//!
//! Lines and elements stand each for itself: a bad one is repaired, tagged or rejected alone.
//! Every message comes to at least one call, and every event or bad part to exactly one.

use std::fmt;
use std::ops::Range;

use crate::outcome::Reason;

use super::parse::reader::{Fault, Reader};
use super::parse::repair::Repair;
use super::parse::{DEPTH_MAX, Event, KEPT_BYTES_MAX, Parsed, trimmed};

mod deep;
mod lines;

const ACTION_ALONE: &str = "no source line follows the action line";

/// The scratch memory of one worker.
pub struct Parser {
    reader: Reader,
    repair: Repair,
    elements: Vec<Range<usize>>,
}

/// One event of a message, or one part of it that is none.
#[derive(Debug, Clone)]
pub enum Framed<'a> {
    Event(Event<'a>),
    Reject {
        reason: Reason,
        /// What exactly was wrong; never quotes the data.
        detail: &'static str,
        /// The bytes of the malformed part in the payload.
        origin: Range<usize>,
    },
    /// The message holds no event and nothing malformed either: no bytes, white space alone, or
    /// an array or envelope of no elements. Called once, alone.
    Empty,
}

/// Calls `each` once for every event or malformed part of the message, with its
/// index-in-message, in order.
pub fn frame(payload: &[u8], parser: &mut Parser, each: &mut dyn FnMut(u32, Framed<'_>)) {
    let mut out = Out { index: 0, each };
    if !trimmed(payload).is_empty() {
        message(payload, parser, &mut out);
    }
    if out.index == 0 {
        out.put(Framed::Empty);
    }
    parser.shrink();
}

impl Parser {
    #[must_use]
    pub fn new() -> Self {
        Self { reader: Reader::new(DEPTH_MAX), repair: Repair::default(), elements: Vec::new() }
    }

    /// Gives back the memory that a large message took.
    fn shrink(&mut self) {
        self.reader.shrink();
        self.repair.shrink();
        if self.elements.capacity() * size_of::<Range<usize>>() > KEPT_BYTES_MAX {
            self.elements = Vec::new();
        }
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser").finish_non_exhaustive()
    }
}

/// Numbers what goes out.
struct Out<'o> {
    index: u32,
    each: &'o mut dyn FnMut(u32, Framed<'_>),
}

impl Out<'_> {
    fn put(&mut self, framed: Framed<'_>) {
        (self.each)(self.index, framed);
        self.index += 1;
    }

    fn reject(&mut self, reason: Reason, detail: &'static str, origin: Range<usize>) {
        self.put(Framed::Reject { reason, detail, origin });
    }
}

/// A text to be read as one JSON value, and where it comes from.
struct Piece<'a> {
    text: &'a [u8],
    /// Its place in the payload.
    place: Range<usize>,
    /// The repair that `text` is the outcome of.
    repair: Option<&'a Repair>,
    /// A bulk source is an event, whatever it looks like; all else may hold many.
    is_source: bool,
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It went out.
    Done,
    /// It is a bulk action line; nothing went out.
    Action,
}

fn message(payload: &[u8], parser: &mut Parser, out: &mut Out<'_>) {
    if lines::begin(payload, parser, out) {
        return;
    }
    let piece = Piece { text: payload, place: 0..payload.len(), repair: None, is_source: false };
    let Err(mut fault) = take_whole(&piece, &mut parser.reader, &mut parser.elements, out) else {
        return;
    };
    let Parser { reader, repair, elements } = parser;
    if repair.run(payload) {
        let text = repair.text();
        let piece = Piece { text, repair: Some(repair), ..piece };
        let Err(detail) = take_whole(&piece, reader, elements, out) else { return };
        fault = detail;
    }
    if lines::any_is_object(payload, parser) {
        return lines::run(payload, parser, out);
    }
    out.reject(Reason::NotJson, fault, 0..payload.len());
}

fn take_whole(
    piece: &Piece<'_>,
    reader: &mut Reader,
    elements: &mut Vec<Range<usize>>,
    out: &mut Out<'_>,
) -> Result<(), &'static str> {
    if take(piece, reader, elements, out)? == Taken::Action {
        out.reject(Reason::BulkSourceMissing, ACTION_ALONE, piece.place.clone());
    }
    Ok(())
}

/// Reads a piece and puts out what it holds.
///
/// # Errors
///
/// It is not well-formed: nothing was put out, and the detail says why.
fn take(
    piece: &Piece<'_>,
    reader: &mut Reader,
    elements: &mut Vec<Range<usize>>,
    out: &mut Out<'_>,
) -> Result<Taken, &'static str> {
    match reader.read(piece.text, |parsed| piece.put(parsed, out)) {
        Ok(taken) => Ok(taken),
        Err(Fault::Malformed(detail)) => Err(detail),
        Err(Fault::TooDeep) => deep::take(piece, reader, elements, out),
    }
}

impl Piece<'_> {
    /// Puts out what the parsed piece holds.
    fn put(&self, parsed: Parsed<'_>, out: &mut Out<'_>) -> Taken {
        if is_action(&parsed) {
            return Taken::Action;
        }
        let list = if self.is_source { None } else { list(&parsed) };
        let Some(list) = list else {
            let whole = Share { origin: self.place.clone(), repaired: self.repair.is_some() };
            whole.put(parsed, out);
            return Taken::Done;
        };
        let mut shares = Shares::new(self);
        let list_end = parsed.next(list);
        for at in parsed.elements(list) {
            let next = parsed.next(at);
            let is_last = next == list_end;
            let end = if is_last { self.end_of_list(list) } else { parsed.start(next) };
            let range = element_range(self.text, parsed.start(at), end);
            shares.next(range, is_last).put(parsed.view(at), out);
        }
        Taken::Done
    }

    /// Where the bracket stands that closes the list at this node: the last of the text for an
    /// array, the one before the last brace for an envelope.
    fn end_of_list(&self, list: usize) -> usize {
        let end = trimmed(self.text).end.saturating_sub(1);
        if list == 0 {
            return end;
        }
        let inner = self.text.get(..end).unwrap_or_default();
        trimmed(inner).end.saturating_sub(1)
    }

    /// The payload's bytes for a range of the text.
    fn origin(&self, range: &Range<usize>) -> Range<usize> {
        let inner = self.repair.map_or(range.clone(), |repair| repair.origin(range));
        self.place.start + inner.start..self.place.start + inner.end
    }
}

/// What one element has of its piece.
struct Share {
    origin: Range<usize>,
    repaired: bool,
}

impl Share {
    fn put(&self, parsed: Parsed<'_>, out: &mut Out<'_>) {
        let origin = self.origin.clone();
        let detail = match parsed.node(0) {
            Some(simd_json::Node::Object { .. }) => {
                return out.put(Framed::Event(Event {
                    object: parsed,
                    repaired: self.repaired,
                    origin,
                }));
            }
            Some(simd_json::Node::Array { .. }) => "an array",
            Some(simd_json::Node::String(_)) => "a string",
            _ if parsed.is_number(0) => "a number",
            _ => "true, false or null",
        };
        out.reject(Reason::NotAnObject, detail, origin);
    }
}

/// Hands the elements of a list what is theirs. What was mended between two elements counts for
/// the one that follows, so that no repair goes untold.
struct Shares<'p> {
    piece: &'p Piece<'p>,
    behind: usize,
}

impl<'p> Shares<'p> {
    fn new(piece: &'p Piece<'p>) -> Self {
        Self { piece, behind: 0 }
    }

    fn next(&mut self, range: Range<usize>, is_last: bool) -> Share {
        let until = if is_last { self.piece.text.len() } else { range.end };
        let repaired =
            self.piece.repair.is_some_and(|repair| repair.touched(&(self.behind..until)));
        self.behind = range.end;
        Share { origin: self.piece.origin(&range), repaired }
    }
}

/// The range of an element that begins at `start` and ends before `end`, where the next element
/// or the list's bracket stands.
fn element_range(text: &[u8], start: usize, end: usize) -> Range<usize> {
    let span = text.get(start..end).unwrap_or_default();
    let span = span.get(..trimmed(span).end).unwrap_or_default();
    let span = span.strip_suffix(b",").unwrap_or(span);
    start..start + trimmed(span).end
}

/// The node whose elements are the events: that of an array or of an envelope's `data`.
fn list(parsed: &Parsed<'_>) -> Option<usize> {
    if parsed.is_array(0) {
        return Some(0);
    }
    let is_envelope = only_name(parsed) == Some("data") && parsed.is_array(2);
    is_envelope.then_some(2)
}

/// Whether it is the action line of a `_bulk` request. The action must be an object, as the index
/// demands; so an event that has a field of that name is seldom taken for one.
fn is_action(parsed: &Parsed<'_>) -> bool {
    matches!(only_name(parsed), Some("index" | "create")) && parsed.is_object(2)
}

/// The name of an object's only member.
fn only_name<'a>(parsed: &Parsed<'a>) -> Option<&'a str> {
    if parsed.is_object(0) && parsed.len(0) == 1 { parsed.string(1) } else { None }
}

#[cfg(test)]
mod tests;
