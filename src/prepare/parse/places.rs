//! Where in the text each node of a tape begins. The tape does not say, and almost nobody asks:
//! so nothing is made in advance.
//!
//! A string's node points into the copy that was parsed, and the copy has the text's own places.
//! What follows a string directly, as a value follows its name, is found from there. Only for all
//! else simd-json's structural indexes are gone through, once for the whole text.

use std::cell::RefCell;

use simd_json::Node;

use super::is_blank;

/// Finds the text of a tape's nodes.
#[derive(Debug)]
pub(super) struct Places<'a> {
    pub(super) nodes: &'a [Node<'a>],
    pub(super) text: &'a [u8],
    /// The address of the copy that the tape's strings point into.
    pub(super) copy: usize,
    /// Where tokens begin in the text, as simd-json found them.
    pub(super) indexes: &'a [u32],
    /// Where each node begins; empty until somebody needs it.
    pub(super) starts: RefCell<Vec<u32>>,
}

impl<'a> Places<'a> {
    /// Where the text of a node begins: at its quote, digit, letter or bracket.
    #[inline]
    pub(super) fn start(&self, at: usize) -> Option<usize> {
        match self.nodes.get(at) {
            Some(Node::String(text)) => self.start_of(text),
            Some(_) => self.start_after_string(at).or_else(|| self.start_by_index(at)),
            None => None,
        }
    }

    /// A string of the tape as it was written, with its quotes, where it holds no escape.
    ///
    /// An escape is always longer than what it stands for. So in a string that has one, the byte
    /// at the unescaped length is still inside; and if it is a quote, a backslash is before it.
    #[inline]
    pub(super) fn quoted(&self, string: &str) -> Option<&'a [u8]> {
        let tail = self.text.get(self.start_of(string)?..)?;
        let quoted = tail.get(..string.len() + 2)?;
        match quoted {
            [b'"', b'"'] => Some(quoted),
            [b'"', .., last, b'"'] if *last != b'\\' => Some(quoted),
            _ => None,
        }
    }

    #[inline]
    fn start_of(&self, string: &str) -> Option<usize> {
        (string.as_ptr().addr() - 1).checked_sub(self.copy)
    }

    /// The start of a node whose neighbour on the left is a string without escapes: its name, or
    /// the element before it.
    #[inline]
    fn start_after_string(&self, at: usize) -> Option<usize> {
        let Some(Node::String(before)) = self.nodes.get(at.checked_sub(1)?) else { return None };
        let mut place = self.start_of(before)? + self.quoted(before)?.len();
        loop {
            match self.text.get(place) {
                Some(b':' | b',') => place += 1,
                Some(&byte) if is_blank(byte) => place += 1,
                // The array or object that the string ended in.
                Some(b']' | b'}') => return None,
                _ => return Some(place),
            }
        }
    }

    #[cold]
    fn start_by_index(&self, at: usize) -> Option<usize> {
        let mut starts = self.starts.borrow_mut();
        if starts.is_empty() {
            // What only closes or separates has no node; all others, in order, are the nodes of
            // the tape. (The quote that ends a string is not among the indexes.)
            let opens_node = |index: &u32| {
                let byte = self.text.get(*index as usize);
                !matches!(byte, Some(b'}' | b']' | b':' | b',') | None)
            };
            starts.extend(self.indexes.iter().copied().filter(opens_node));
            debug_assert_eq!(starts.len(), self.nodes.len(), "one start for each node");
        }
        starts.get(at).map(|&start| start as usize)
    }
}
