//! Messages of lines: NDJSON, and `_bulk` pairs of an action line and a source line. Blank lines
//! count for nothing. Each line stands alone.
//!
//! The source of an action is the next line. Where that is an action itself, the first one's
//! source was lost: taken as a source, it would be an event that nobody sent.

use std::ops::Range;

use crate::outcome::Reason;

use super::super::parse::reader::{Fault, Reader};
use super::super::parse::scan::{self, Shape};
use super::super::parse::{is_blank, trimmed};
use super::{ACTION_ALONE, Out, Parser, Piece, Taken, take};

/// The lines of a payload that are not blank, without the white space around them.
fn lines(payload: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(tail) = payload.get(at..)
            && !tail.is_empty()
        {
            let length = memchr::memchr(b'\n', tail).unwrap_or(tail.len());
            let inner = trimmed(tail.get(..length).unwrap_or_default());
            let line = at + inner.start..at + inner.end;
            at += length + 1;
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    })
}

/// The short way into a message of lines: where the first line alone is an object and more
/// follows, the whole can be no JSON. Does the whole message and answers `true`, or nothing.
pub(super) fn begin(payload: &[u8], parser: &mut Parser, out: &mut Out<'_>) -> bool {
    let mut rest = lines(payload);
    let Some(first) = rest.next() else { return false };
    if first.end == trimmed(payload).end || !looks_like_object(payload, &first) {
        return false;
    }
    let mut state = State { payload, action: None };
    if state.strictly(&first, parser, out).is_err() {
        return false;
    }
    for line in rest {
        state.line(&line, parser, out);
    }
    state.end(out);
    true
}

/// Takes the message line by line.
pub(super) fn run(payload: &[u8], parser: &mut Parser, out: &mut Out<'_>) {
    let mut state = State { payload, action: None };
    for line in lines(payload) {
        state.line(&line, parser, out);
    }
    state.end(out);
}

/// Whether any line alone is an object, as it is or repaired.
pub(super) fn any_is_object(payload: &[u8], parser: &mut Parser) -> bool {
    let Parser { reader, repair, .. } = parser;
    lines(payload).any(|line| {
        let text = payload.get(line.clone()).unwrap_or_default();
        looks_like_object(payload, &line) && is_object(text, reader)
            || repair.run(text) && is_object(repair.text(), reader)
    })
}

fn looks_like_object(payload: &[u8], line: &Range<usize>) -> bool {
    matches!(payload.get(line.clone()), Some([b'{', .., b'}']))
}

fn is_object(text: &[u8], reader: &mut Reader) -> bool {
    match reader.read(text, |parsed| parsed.is_object(0)) {
        Ok(is_object) => is_object,
        Err(Fault::Malformed(_)) => false,
        Err(Fault::TooDeep) => {
            matches!(scan::shape(text, &mut Vec::new()), Some(Shape::Object | Shape::Envelope))
        }
    }
}

struct State<'p> {
    payload: &'p [u8],
    /// The action line whose source comes next.
    action: Option<Range<usize>>,
}

impl State<'_> {
    fn line(&mut self, line: &Range<usize>, parser: &mut Parser, out: &mut Out<'_>) {
        let Err(detail) = self.strictly(line, parser, out) else { return };
        let text = self.payload.get(line.clone()).unwrap_or_default();
        let Parser { reader, repair, elements } = parser;
        let mut detail = detail;
        if repair.run(text) {
            // A byte-order mark or padding, and nothing else.
            if repair.text().iter().all(|&byte| is_blank(byte)) && str::from_utf8(text).is_ok() {
                return;
            }
            let piece = Piece {
                text: repair.text(),
                place: line.clone(),
                repair: Some(repair),
                is_source: self.action.is_some(),
            };
            match take(&piece, reader, elements, out) {
                Ok(taken) => return self.taken(taken, line, out),
                Err(why) => detail = why,
            }
        }
        self.action = None;
        out.reject(Reason::NotJson, detail, line.clone());
    }

    fn strictly(
        &mut self,
        line: &Range<usize>,
        parser: &mut Parser,
        out: &mut Out<'_>,
    ) -> Result<(), &'static str> {
        let piece = Piece {
            text: self.payload.get(line.clone()).unwrap_or_default(),
            place: line.clone(),
            repair: None,
            is_source: self.action.is_some(),
        };
        let taken = take(&piece, &mut parser.reader, &mut parser.elements, out)?;
        self.taken(taken, line, out);
        Ok(())
    }

    fn taken(&mut self, taken: Taken, line: &Range<usize>, out: &mut Out<'_>) {
        match taken {
            Taken::Done => self.action = None,
            Taken::Action => {
                self.end(out);
                self.action = Some(line.clone());
            }
        }
    }

    /// No source came for the last action line.
    fn end(&mut self, out: &mut Out<'_>) {
        if let Some(action) = self.action.take() {
            out.reject(Reason::BulkSourceMissing, ACTION_ALONE, action);
        }
    }
}
