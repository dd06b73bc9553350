//! One event as simd-json's tape, with the text that the tape came from beside it.

use std::ops::Range;

use simd_json::Node;

/// A JSON object, parsed: a run of the tape's nodes whose first is the object.
///
/// `text` is the JSON before unescaping: strings still carry their escapes, numbers all their
/// digits. `starts[i]` says where in `text` the text of `nodes[i]` begins (at the quote, digit or
/// bracket).
#[derive(Debug, Clone, Copy)]
pub struct Parsed<'a> {
    pub nodes: &'a [Node<'a>],
    pub starts: &'a [u32],
    pub text: &'a [u8],
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
