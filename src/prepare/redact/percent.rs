//! Percent-decoding that remembers where every byte came from.

use std::ops::Range;

use memchr::memchr_iter;

use super::query::DECODE_ROUNDS_MAX;

/// A text after some rounds of decoding.
#[derive(Debug)]
pub(super) struct Decoded {
    text: Vec<u8>,
    /// For each byte of `text`, and for its end, where it begins in the original.
    origins: Vec<usize>,
}

impl Decoded {
    pub(super) fn new(text: &[u8]) -> Self {
        Self { text: text.to_vec(), origins: (0..=text.len()).collect() }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The range of the original that became `range`.
    pub(super) fn origin(&self, range: &Range<usize>) -> Range<usize> {
        let last = self.origins.last().copied().unwrap_or_default();
        let origin = |at: usize| self.origins.get(at).copied().unwrap_or(last);
        origin(range.start)..origin(range.end)
    }

    /// One round of decoding, in place: the text only becomes shorter.
    pub(super) fn decode(&mut self) {
        let (mut read, mut written) = (0, 0);
        while let Some(&byte) = self.text.get(read) {
            let (byte, length) = self.text.get(read..).and_then(escape).unwrap_or((byte, 1));
            let origin = self.origins.get(read).copied().unwrap_or_default();
            if let (Some(text), Some(at)) =
                (self.text.get_mut(written), self.origins.get_mut(written))
            {
                *text = byte;
                *at = origin;
            }
            read += length;
            written += 1;
        }
        let end = self.origins.last().copied().unwrap_or_default();
        self.text.truncate(written);
        self.origins.truncate(written);
        self.origins.push(end);
    }
}

/// The byte that the escape at the text's beginning stands for, and the escape's length: `%41`, or
/// `%u0041` as some servers take it.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    let (high, low, length) = match *text {
        [b'%', b'u' | b'U', b'0', b'0', high @ b'0'..=b'7', low, ..] => (high, low, 6),
        [b'%', high, low, ..] => (high, low, 3),
        _ => return None,
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4 | digit(low)?, length))
}

/// Whether decoding would bring forth a byte that parts a URL, a query or JSON, or another escape.
pub(super) fn hides_structure(text: &[u8]) -> bool {
    memchr_iter(b'%', text).any(|at| {
        let escaped = text.get(at..).and_then(escape);
        escaped.is_some_and(|(byte, _)| br#"=&;?#@:/%"'\"#.contains(&byte))
    })
}

/// Whether what is left after decoding holds half an escape, or one of a kind that is not read:
/// readers differ in what they make of it.
pub(super) fn holds_broken_escape(text: &[u8]) -> bool {
    memchr_iter(b'%', text).any(|at| {
        let next = text.get(at + 1);
        next.is_some_and(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'u' | b'U'))
    })
}

/// All rounds of decoding: how the names of parameters are compared and their values are hashed.
pub(super) fn decode_fully(text: &[u8]) -> Vec<u8> {
    let mut decoded = text.to_vec();
    for _ in 0..DECODE_ROUNDS_MAX {
        if !memchr_iter(b'%', &decoded).any(|at| decoded.get(at..).and_then(escape).is_some()) {
            break;
        }
        let mut rest = decoded.as_slice();
        let mut next = Vec::with_capacity(rest.len());
        while let Some((&byte, tail)) = rest.split_first() {
            let escaped = escape(rest);
            next.push(escaped.map_or(byte, |(byte, _)| byte));
            rest = escaped.and_then(|(_, length)| rest.get(length..)).unwrap_or(tail);
        }
        decoded = next;
    }
    decoded
}
