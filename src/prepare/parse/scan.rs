//! The structure of a JSON text of any depth, without a tape and without recursion: for texts
//! that are too deep for the parser, so that the sound neighbours of a deep element are found.
//!
//! Only the structure is checked. Strings must be sound already, as they are after a repair.

use std::ops::Range;

use super::{is_blank, numbers};

/// What a well-formed text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Object,
    Array,
    /// An object whose only name is `data` and whose value is an array.
    Envelope,
    Scalar,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    /// The open brackets.
    open: Vec<u8>,
    expect: Expect,
    shape: Shape,
    names_of_top: usize,
    data_is_array: bool,
    element_start: usize,
}

/// The shape of `text`, or `None` where it is not well-formed. The ranges of the elements of an
/// array or an envelope are left in `elements`.
pub(crate) fn shape(text: &[u8], elements: &mut Vec<Range<usize>>) -> Option<Shape> {
    elements.clear();
    let mut scan = Scan {
        text,
        at: 0,
        open: Vec::new(),
        expect: Expect::Value,
        shape: Shape::Scalar,
        names_of_top: 0,
        data_is_array: false,
        element_start: 0,
    };
    while let Some(byte) = scan.next_token() {
        scan.token(byte, elements)?;
    }
    if scan.expect != Expect::Nothing {
        return None;
    }
    if scan.shape == Shape::Object && scan.names_of_top == 1 && scan.data_is_array {
        return Some(Shape::Envelope);
    }
    Some(scan.shape)
}

impl Scan<'_> {
    fn next_token(&mut self) -> Option<u8> {
        let tail = self.text.get(self.at..)?;
        self.at += tail.iter().position(|&byte| !is_blank(byte))?;
        self.text.get(self.at).copied()
    }

    fn token(&mut self, byte: u8, elements: &mut Vec<Range<usize>>) -> Option<()> {
        use Expect::{Colon, CommaOrEnd, Name, NameOrEnd, Value, ValueOrEnd};
        match (byte, self.expect) {
            (b'}', NameOrEnd | CommaOrEnd) if self.open.last() == Some(&b'{') => {
                self.open.pop();
                self.at += 1;
                self.value_ends(elements);
            }
            (b']', ValueOrEnd | CommaOrEnd) if self.open.last() == Some(&b'[') => {
                self.open.pop();
                self.at += 1;
                self.value_ends(elements);
            }
            (b',', CommaOrEnd) => {
                self.at += 1;
                self.expect = if self.open.last() == Some(&b'{') { Name } else { Value };
            }
            (b':', Colon) => {
                self.at += 1;
                self.expect = Value;
            }
            (b'"', Name | NameOrEnd) => self.name()?,
            (_, Value | ValueOrEnd) => self.value(byte, elements)?,
            _ => return None,
        }
        Some(())
    }

    fn name(&mut self) -> Option<()> {
        let length = self.string_length()?;
        if self.open.len() == 1 {
            let name = self.text.get(self.at..self.at + length);
            self.data_is_array = name == Some(b"\"data\"");
            self.names_of_top += 1;
        }
        self.at += length;
        self.expect = Expect::Colon;
        Some(())
    }

    fn value(&mut self, byte: u8, elements: &mut Vec<Range<usize>>) -> Option<()> {
        match self.open.len() {
            0 => {
                self.shape = match byte {
                    b'{' => Shape::Object,
                    b'[' => Shape::Array,
                    _ => Shape::Scalar,
                };
            }
            1 if self.shape == Shape::Object => self.data_is_array &= byte == b'[',
            _ => {}
        }
        if self.open.len() == self.level_of_elements() {
            self.element_start = self.at;
        }
        if matches!(byte, b'{' | b'[') {
            self.open.push(byte);
            self.at += 1;
            self.expect = if byte == b'{' { Expect::NameOrEnd } else { Expect::ValueOrEnd };
            return Some(());
        }
        self.at += match byte {
            b'"' => self.string_length()?,
            b't' => self.literal(b"true")?,
            b'f' => self.literal(b"false")?,
            b'n' => self.literal(b"null")?,
            _ => numbers::length(self.text.get(self.at..)?)?,
        };
        self.value_ends(elements);
        Some(())
    }

    fn value_ends(&mut self, elements: &mut Vec<Range<usize>>) {
        let is_element = self.open.len() == self.level_of_elements()
            && (self.shape == Shape::Array || self.data_is_array && self.in_array());
        if is_element {
            elements.push(self.element_start..self.at);
        }
        self.expect = if self.open.is_empty() { Expect::Nothing } else { Expect::CommaOrEnd };
    }

    /// How many brackets are open where the elements stand.
    fn level_of_elements(&self) -> usize {
        if self.shape == Shape::Array { 1 } else { 2 }
    }

    fn in_array(&self) -> bool {
        self.open.last() == Some(&b'[')
    }

    fn literal(&self, literal: &[u8]) -> Option<usize> {
        self.text.get(self.at..)?.starts_with(literal).then_some(literal.len())
    }

    /// The length of the string that begins here, with its quotes.
    fn string_length(&self) -> Option<usize> {
        let tail = self.text.get(self.at..)?;
        let mut at = 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', tail.get(at..)?)?;
            if tail.get(at) == Some(&b'"') {
                return Some(at + 1);
            }
            at += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Shape>, elements: &[&str]) {
        let mut ranges = Vec::new();
        let shape = shape(text.as_bytes(), &mut ranges);
        assert_eq!(shape, expected, "{text}");
        if matches!(shape, Some(Shape::Array | Shape::Envelope)) {
            let found: Vec<_> = ranges.into_iter().map(|range| text.get(range).unwrap()).collect();
            assert_eq!(found, elements, "{text}");
        }
    }

    #[test]
    fn shapes_and_elements() {
        check("{}", Some(Shape::Object), &[]);
        check(" [ ] ", Some(Shape::Array), &[]);
        check("12", Some(Shape::Scalar), &[]);
        check(
            "[1, {\"a\":[2]} ,[[]],\"]\\\"\"]",
            Some(Shape::Array),
            &["1", "{\"a\":[2]}", "[[]]", "\"]\\\"\""],
        );
        check("{\"data\":[{}, {\"b\":{}}]}", Some(Shape::Envelope), &["{}", "{\"b\":{}}"]);
        check("{\"data\":[]}", Some(Shape::Envelope), &[]);
        check("{\"data\":{\"x\":1}}", Some(Shape::Object), &[]);
        check("{\"data\":[1],\"more\":2}", Some(Shape::Object), &[]);
        check("{\"more\":2,\"data\":[1]}", Some(Shape::Object), &[]);
        check("{\"date\":[1]}", Some(Shape::Object), &[]);
    }

    #[test]
    fn what_is_not_well_formed() {
        for text in [
            "",
            " ",
            "[",
            "]",
            "[1",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "{\"a\"}",
            "{\"a\":}",
            "{,}",
            "{\"a\":1,}",
            "{1:2}",
            "[1]]",
            "[1] [2]",
            "tru",
            "[nul]",
            "[01]",
            "[+1]",
            "\"a",
            "[\"",
            "\"\\",
            "{\"a\":1]",
            "[1.]",
            "{\"a\"::1}",
        ] {
            check(text, None, &[]);
        }
    }

    /// simd-json is the judge of structure on every text that it takes.
    #[test]
    fn agrees_with_the_parser() {
        use proptest::prelude::*;
        let pieces = proptest::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"data\"", "1", "-0.5", "true", "null", " ",
        ]);
        proptest!(|(tokens in proptest::collection::vec(pieces, 0..12))| {
            let text = tokens.concat();
            let strict = simd_json::to_tape(&mut text.clone().into_bytes()).is_ok();
            let scanned = shape(text.as_bytes(), &mut Vec::new()).is_some();
            prop_assert_eq!(strict, scanned, "{}", text);
        });
    }
}
