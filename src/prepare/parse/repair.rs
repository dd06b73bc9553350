//! Mending bytes that JSON refuses, where that takes no guess at the structure.
//!
//! Inside strings: what is not UTF-8 and lone surrogates become U+FFFD, raw control bytes are
//! escaped, and a backslash that begins no escape stands for itself. Between tokens: control
//! bytes, what is not UTF-8, byte-order marks and white space that JSON does not know become
//! spaces. Well-formed JSON comes out as it went in; which bytes are strings never changes.

use std::ops::Range;

use super::KEPT_BYTES_MAX;

/// A replacement character, as bytes and as an escape.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
const REPLACEMENT_ESCAPE: &[u8] = b"\\ufffd";

/// A text after repair, and how its places relate to those before.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    text: Vec<u8>,
    edits: Vec<Edit>,
    in_string: bool,
    /// How much of the original is behind us.
    read: usize,
}

/// The end of a run of mended bytes, in the repaired text and in the original.
#[derive(Debug, Clone, Copy)]
struct Edit {
    after: u32,
    before: u32,
}

impl Repair {
    /// Repairs `original`. Answers whether there was anything to repair.
    pub(crate) fn run(&mut self, original: &[u8]) -> bool {
        self.text.clear();
        self.edits.clear();
        self.in_string = false;
        self.read = 0;
        if is_utf16(original) {
            // Each of its characters would come out with a NUL beside it.
            return false;
        }
        self.text.reserve(original.len());
        for chunk in original.utf8_chunks() {
            self.mend(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.mend_invalid(chunk.invalid().len());
            }
        }
        !self.edits.is_empty()
    }

    /// The repaired text.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The original's bytes for a range of the repaired text that begins and ends outside of
    /// strings.
    pub(crate) fn origin(&self, range: &Range<usize>) -> Range<usize> {
        self.before(range.start)..self.before(range.end)
    }

    /// Whether anything within a range of the repaired text was mended.
    pub(crate) fn touched(&self, range: &Range<usize>) -> bool {
        self.edits_until(range.end) > self.edits_until(range.start)
    }

    /// Gives back the memory that a large text took.
    pub(crate) fn shrink(&mut self) {
        if self.text.capacity() + self.edits.capacity() * size_of::<Edit>() > KEPT_BYTES_MAX {
            *self = Self::default();
        }
    }

    fn edits_until(&self, place: usize) -> usize {
        self.edits.partition_point(|edit| edit.after as usize <= place)
    }

    fn before(&self, place: usize) -> usize {
        let last = self.edits_until(place).checked_sub(1).and_then(|last| self.edits.get(last));
        last.map_or(place, |edit| edit.before as usize + (place - edit.after as usize))
    }

    /// Bytes that are UTF-8.
    fn mend(&mut self, valid: &str) {
        let bytes = valid.as_bytes();
        let mut at = 0;
        while let Some(tail) = bytes.get(at..)
            && !tail.is_empty()
        {
            let clean = if self.in_string { clean_inside(tail) } else { clean_outside(tail) };
            if clean > 0 {
                self.keep(tail.get(..clean).unwrap_or_default());
                at += clean;
                continue;
            }
            at += match tail.first() {
                Some(b'"') => {
                    self.in_string = !self.in_string;
                    self.keep(b"\"");
                    1
                }
                Some(b'\\') => self.mend_escape(tail),
                Some(&byte) if self.in_string => {
                    self.replace_control(byte);
                    1
                }
                _ => self.mend_between(valid.get(at..).unwrap_or_default()),
            };
        }
    }

    /// Bytes that are not UTF-8, as many as the decoder takes for one character.
    fn mend_invalid(&mut self, length: usize) {
        if self.in_string {
            self.replace(length, REPLACEMENT);
        } else {
            self.blank(length);
        }
    }

    /// A backslash inside a string. Answers how many bytes were read.
    fn mend_escape(&mut self, tail: &[u8]) -> usize {
        match tail.get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.keep(tail.get(..2).unwrap_or_default());
                2
            }
            Some(b'u') => match (code_unit(tail), tail.get(6..).and_then(code_unit)) {
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => {
                    self.keep(tail.get(..12).unwrap_or_default());
                    12
                }
                (Some(0xD800..=0xDFFF), _) => {
                    self.replace(6, REPLACEMENT_ESCAPE);
                    6
                }
                (Some(_), _) => {
                    self.keep(tail.get(..6).unwrap_or_default());
                    6
                }
                (None, _) => {
                    self.replace(1, b"\\\\");
                    1
                }
            },
            _ => {
                self.replace(1, b"\\\\");
                1
            }
        }
    }

    /// A character between tokens that is no JSON. Answers how many bytes were read.
    fn mend_between(&mut self, tail: &str) -> usize {
        let Some(character) = tail.chars().next() else { return 1 };
        let length = character.len_utf8();
        let mends = character.is_control()
            || character.is_whitespace()
            || matches!(character, '\u{feff}' | '\u{200b}' | '\u{2060}');
        if mends {
            self.blank(length);
        } else {
            self.keep(tail.as_bytes().get(..length).unwrap_or_default());
        }
        length
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        self.read += bytes.len();
    }

    fn blank(&mut self, length: usize) {
        self.text.resize(self.text.len() + length, b' ');
        self.edit(length, length);
    }

    fn replace(&mut self, length: usize, by: &[u8]) {
        self.text.extend_from_slice(by);
        self.edit(length, by.len());
    }

    fn replace_control(&mut self, byte: u8) {
        let from = self.text.len();
        crate::prepare::json::write_escaped(&mut self.text, &[byte]);
        self.edit(1, self.text.len() - from);
    }

    /// Notes that the last `after` bytes of the text stand for the next `before` bytes of the
    /// original.
    fn edit(&mut self, before: usize, after: usize) {
        let adjoins = |last: &&mut Edit| {
            last.before as usize == self.read && last.after as usize + after == self.text.len()
        };
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let edit = Edit { after: place(self.text.len()), before: place(self.read + before) };
        match self.edits.last_mut().filter(adjoins) {
            Some(last) => *last = edit,
            None => self.edits.push(edit),
        }
        self.read += before;
    }
}

fn is_utf16(text: &[u8]) -> bool {
    text.starts_with(&[0xFF, 0xFE]) || text.starts_with(&[0xFE, 0xFF])
}

/// How many bytes from the start of a string's text need no look.
fn clean_inside(text: &[u8]) -> usize {
    let odd = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    text.iter().position(odd).unwrap_or(text.len())
}

/// How many bytes from the start of what is between strings need no look.
fn clean_outside(text: &[u8]) -> usize {
    let odd = |&byte: &u8| match byte {
        b'\t' | b'\n' | b'\r' => false,
        _ => !(0x20..0x7F).contains(&byte) || byte == b'"',
    };
    text.iter().position(odd).unwrap_or(text.len())
}

/// The value of the `\uXXXX` at the start of `text`.
fn code_unit(text: &[u8]) -> Option<u32> {
    let Some([b'\\', b'u', digits @ ..]) = text.get(..6) else { return None };
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests;
