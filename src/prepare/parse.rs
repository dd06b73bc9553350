//! One event as simd-json's tape, with the text that the tape came from beside it.
//!
//! The tape knows the structure and the unescaped strings; the text knows what the tape forgets:
//! the exact digits of numbers, and strings as they were written. Nothing here allocates.

use std::ops::Range;

use simd_json::{Node, StaticNode};

use places::Places;

pub(crate) mod reader;
mod places;
pub(crate) mod numbers;
pub(crate) mod repair;
pub(crate) mod scan;

/// How deep objects and arrays of one event may be nested; the event itself is level 1.
pub const DEPTH_MAX: usize = 64;

/// What a worker keeps of each of its buffers between two messages, at most. A larger message
/// gives its memory back.
pub(crate) const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A JSON value, parsed: a run of the tape's nodes whose first is the value itself. For an
/// [`Event`] that is an object.
///
/// `text` is the JSON before unescaping: strings still carry their escapes, numbers all their
/// digits. All places that the methods take and give are places in `nodes`.
///
/// A number's value is in its text alone: the tape's own value may be rounded, and stands for
/// another where simd-json knows no such number (`1e999`).
#[derive(Debug, Clone, Copy)]
pub struct Parsed<'a> {
    pub nodes: &'a [Node<'a>],
    pub text: &'a [u8],
    places: &'a Places<'a>,
    /// The place of `nodes` in the whole tape.
    first: usize,
}

/// One event on its way out of the frame.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    pub object: Parsed<'a>,
    /// Its text had to be repaired.
    pub repaired: bool,
    /// Its own bytes in the message's payload, as they came.
    pub origin: Range<usize>,
}

impl<'a> Parsed<'a> {
    /// The node at a place.
    #[must_use]
    #[inline]
    pub fn node(&self, at: usize) -> Option<Node<'a>> {
        self.nodes.get(at).copied()
    }

    /// Where in `text` a node begins: at its quote, digit, letter or bracket.
    #[must_use]
    #[inline]
    pub fn start(&self, at: usize) -> usize {
        self.places.start(self.first + at).unwrap_or(self.text.len())
    }

    #[must_use]
    #[inline]
    pub fn is_object(&self, at: usize) -> bool {
        matches!(self.nodes.get(at), Some(Node::Object { .. }))
    }

    #[must_use]
    #[inline]
    pub fn is_array(&self, at: usize) -> bool {
        matches!(self.nodes.get(at), Some(Node::Array { .. }))
    }

    #[must_use]
    #[inline]
    pub fn is_number(&self, at: usize) -> bool {
        matches!(
            self.nodes.get(at),
            Some(Node::Static(StaticNode::I64(_) | StaticNode::U64(_) | StaticNode::F64(_)))
        )
    }

    #[must_use]
    #[inline]
    pub fn is_null(&self, at: usize) -> bool {
        matches!(self.nodes.get(at), Some(Node::Static(StaticNode::Null)))
    }

    #[must_use]
    #[inline]
    pub fn bool(&self, at: usize) -> Option<bool> {
        match self.nodes.get(at) {
            Some(&Node::Static(StaticNode::Bool(value))) => Some(value),
            _ => None,
        }
    }

    /// A string, unescaped.
    #[must_use]
    #[inline]
    pub fn string(&self, at: usize) -> Option<&'a str> {
        match self.nodes.get(at) {
            Some(Node::String(text)) => Some(text),
            _ => None,
        }
    }

    /// A string as it was written, with its quotes, where it holds no escape: ready to be copied
    /// into an output.
    #[must_use]
    #[inline]
    pub fn quoted(&self, at: usize) -> Option<&'a [u8]> {
        self.places.quoted(self.string(at)?)
    }

    /// The text of a number, digit for digit.
    #[must_use]
    #[inline]
    pub fn number(&self, at: usize) -> Option<&'a [u8]> {
        if !self.is_number(at) {
            return None;
        }
        let tail = self.text.get(self.start(at)..)?;
        tail.get(..numbers::run_length(tail))
    }

    /// The text of a node and all that it holds, as it was written.
    #[must_use]
    pub fn text(&self, at: usize) -> &'a [u8] {
        let tail = self.text.get(self.start(at)..).unwrap_or_default();
        match self.nodes.get(at) {
            Some(Node::String(_)) => self.quoted(at).unwrap_or_else(|| head_of_string(tail)),
            Some(Node::Static(StaticNode::Null | StaticNode::Bool(true))) => head(tail, 4),
            Some(Node::Static(StaticNode::Bool(false))) => head(tail, 5),
            Some(Node::Static(_)) => head(tail, numbers::run_length(tail)),
            Some(Node::Object { .. } | Node::Array { .. }) => head_of_brackets(tail),
            None => &[],
        }
    }

    /// The place after a node and all that it holds: its next sibling, where there is one.
    #[must_use]
    #[inline]
    pub fn next(&self, at: usize) -> usize {
        match self.nodes.get(at) {
            Some(&(Node::Object { count, .. } | Node::Array { count, .. })) => at + 1 + count,
            _ => at + 1,
        }
    }

    /// How many members an object has, or elements an array; 0 for all else.
    #[must_use]
    #[inline]
    pub fn len(&self, at: usize) -> usize {
        match self.nodes.get(at) {
            Some(&(Node::Object { len, .. } | Node::Array { len, .. })) => len,
            _ => 0,
        }
    }

    /// The members of an object, each as the places of its key and its value; nothing for all
    /// else.
    #[inline]
    pub fn members(&self, at: usize) -> Members<'a> {
        let left = if self.is_object(at) { self.len(at) } else { 0 };
        Members { parsed: *self, at: at + 1, left }
    }

    /// The places of an array's elements; nothing for all else.
    #[inline]
    pub fn elements(&self, at: usize) -> Elements<'a> {
        let left = if self.is_array(at) { self.len(at) } else { 0 };
        Elements { parsed: *self, at: at + 1, left }
    }

    /// A node and all that it holds, as a value of its own.
    #[must_use]
    pub fn view(&self, at: usize) -> Self {
        Self {
            nodes: self.nodes.get(at..self.next(at)).unwrap_or_default(),
            first: self.first + at,
            ..*self
        }
    }
}

/// See [`Parsed::members`].
#[derive(Debug, Clone)]
pub struct Members<'a> {
    parsed: Parsed<'a>,
    at: usize,
    left: usize,
}

impl Iterator for Members<'_> {
    type Item = (usize, usize);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let key = self.at;
        self.at = self.parsed.next(key + 1);
        Some((key, key + 1))
    }
}

/// See [`Parsed::elements`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    parsed: Parsed<'a>,
    at: usize,
    left: usize,
}

impl Iterator for Elements<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        self.at = self.parsed.next(at);
        Some(at)
    }
}

fn head(text: &[u8], length: usize) -> &[u8] {
    text.get(..length).unwrap_or(text)
}

/// The string that a sound text begins with, with its quotes.
fn head_of_string(text: &[u8]) -> &[u8] {
    let mut at = 1;
    loop {
        let tail = text.get(at..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', tail) {
            Some(found) if tail.get(found) == Some(&b'"') => return head(text, at + found + 1),
            // What is escaped does not end it.
            Some(found) => at += found + 2,
            None => return text,
        }
    }
}

/// The object or array that a sound text begins with, to its closing bracket.
fn head_of_brackets(text: &[u8]) -> &[u8] {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at += head_of_string(text.get(at..).unwrap_or_default()).len() - 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return head(text, at);
        }
    }
    text
}

/// Whether JSON takes the byte as white space.
#[inline]
pub(crate) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The range of a text without the white space around it, in the text's own places.
pub(crate) fn trimmed(text: &[u8]) -> Range<usize> {
    let start = text.iter().position(|&byte| !is_blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|&byte| !is_blank(byte)).map_or(start, |last| last + 1);
    start..end
}

#[cfg(test)]
mod tests;
