//! simd-json with buffers that are used again and again: one text in, one tape out.

use std::cell::RefCell;
use std::mem;

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Tape};

use super::{KEPT_BYTES_MAX, Parsed, Places, numbers};

/// Why a text has no tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON; says why, without quoting the data.
    Malformed(&'static str),
    /// Deeper than it may be. What stands below that was not looked at.
    TooDeep,
}

/// The buffers of one worker.
pub(crate) struct Reader {
    /// Levels of a text at most.
    depth_max: usize,
    buffers: Buffers,
    tape: Tape<'static>,
    /// The copy that simd-json unescapes in place.
    copy: Vec<u8>,
    /// See [`Places`].
    starts: Vec<u32>,
}

impl Reader {
    /// For texts of at most so many levels.
    pub(crate) fn new(depth_max: usize) -> Self {
        Self {
            depth_max,
            buffers: Buffers::with_max_depth(0, depth_max),
            tape: Tape(Vec::new()),
            copy: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// Parses one JSON text and hands the outcome to `then`.
    ///
    /// # Errors
    ///
    /// The text is no JSON, or too deep.
    pub(crate) fn read<R>(
        &mut self,
        text: &[u8],
        then: impl FnOnce(Parsed<'_>) -> R,
    ) -> Result<R, Fault> {
        self.fill_copy(text);
        let copy = self.copy.as_ptr().addr();
        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let mut outcome =
            simd_json::fill_tape_padded(&mut self.copy, text.len(), &mut self.buffers, &mut tape);
        if let Err(error) = &outcome
            && matches!(error.error(), ErrorType::InvalidNumber)
        {
            self.tape = tape.reset();
            self.fill_copy(text);
            numbers::mask(&mut self.copy, text, self.buffers.structural_indexes());
            tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
            outcome = simd_json::fill_tape_padded(
                &mut self.copy,
                text.len(),
                &mut self.buffers,
                &mut tape,
            );
        }
        let answer = match outcome {
            Ok(()) => {
                let mut starts = mem::take(&mut self.starts);
                starts.clear();
                let places = Places {
                    nodes: &tape.0,
                    text,
                    copy,
                    indexes: self.buffers.structural_indexes(),
                    starts: RefCell::new(starts),
                };
                let answer = then(Parsed { nodes: &tape.0, text, places: &places, first: 0 });
                self.starts = places.starts.into_inner();
                Ok(answer)
            }
            Err(error) => Err(fault(error.error())),
        };
        self.tape = tape.reset();
        answer
    }

    /// Gives back the memory that a large message took.
    pub(crate) fn shrink(&mut self) {
        let nodes_max = KEPT_BYTES_MAX / size_of::<simd_json::Node<'static>>();
        if self.copy.capacity() > KEPT_BYTES_MAX || self.tape.0.capacity() > nodes_max {
            *self = Self::new(self.depth_max);
        }
    }

    fn fill_copy(&mut self, text: &[u8]) {
        self.copy.clear();
        self.copy.reserve(text.len() + INPUT_PADDING);
        self.copy.extend_from_slice(text);
        self.copy.resize(text.len() + INPUT_PADDING, b' ');
    }
}

fn fault(error: &ErrorType) -> Fault {
    Fault::Malformed(match error {
        ErrorType::DepthLimitExceeded => return Fault::TooDeep,
        ErrorType::InvalidUtf8 => "not UTF-8",
        ErrorType::InvalidEscape | ErrorType::InvalidUnicodeCodepoint => "a malformed escape",
        ErrorType::InvalidNumber => "a malformed number",
        ErrorType::ExpectedTrue | ErrorType::ExpectedFalse | ErrorType::ExpectedNull => {
            "a malformed literal"
        }
        ErrorType::ExpectedObjectColon => "a colon is missing after a name",
        ErrorType::ExpectedObjectKey => "a name is missing after a comma",
        ErrorType::ExpectedObjectContent => "an object is malformed",
        ErrorType::ExpectedArrayContent => "an array is malformed",
        ErrorType::TrailingData => "more than one value",
        ErrorType::Eof => "no value",
        ErrorType::Syntax => "cut short, or a control byte in a string",
        _ => "not well-formed",
    })
}
