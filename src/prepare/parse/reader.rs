//! simd-json with buffers that are used again and again: one text in, one tape out.

use std::mem;

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Tape};

use super::{DEPTH_MAX, KEPT_BYTES_MAX, Parsed, numbers};

/// Why a text has no tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON; says why, without quoting the data.
    Malformed(&'static str),
    /// Deeper than [`DEPTH_MAX`]. What stands below that was not looked at.
    TooDeep,
}

/// The buffers of one worker.
pub(crate) struct Reader {
    buffers: Buffers,
    tape: Tape<'static>,
    /// The copy that simd-json unescapes in place.
    copy: Vec<u8>,
    starts: Vec<u32>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            buffers: Buffers::with_max_depth(0, DEPTH_MAX),
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
                let nodes = tape.0.len();
                let starts =
                    fill_starts(&mut self.starts, self.buffers.structural_indexes(), text, nodes);
                Ok(then(Parsed { nodes: &tape.0, starts, text }))
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
            *self = Self::new();
        }
    }

    fn fill_copy(&mut self, text: &[u8]) {
        self.copy.clear();
        self.copy.reserve(text.len() + INPUT_PADDING);
        self.copy.extend_from_slice(text);
        self.copy.resize(text.len() + INPUT_PADDING, b' ');
    }
}

/// For each byte that can stand at a structural index: whether a node begins there. Those that
/// only close or separate have no node; all others, in order, are the nodes of the tape. (The
/// quote that ends a string is not among simd-json's indexes.)
const OPENS_NODE: [bool; 256] = {
    let mut table = [true; 256];
    table[b'}' as usize] = false;
    table[b']' as usize] = false;
    table[b':' as usize] = false;
    table[b',' as usize] = false;
    table
};

/// Where in the text each node begins. Every index is written and the next one takes its place
/// unless a node begins there: no branch depends on the data.
fn fill_starts<'a>(
    starts: &'a mut Vec<u32>,
    indexes: &[u32],
    text: &[u8],
    nodes: usize,
) -> &'a [u32] {
    // One place more than nodes: the last index closes, and is written as well.
    if starts.len() <= nodes {
        starts.resize(nodes + 1, 0);
    }
    let mut used = 0;
    for &index in indexes {
        let byte = text.get(index as usize).copied().unwrap_or_default();
        if let Some(place) = starts.get_mut(used) {
            *place = index;
        }
        used += usize::from(OPENS_NODE.get(usize::from(byte)).copied().unwrap_or_default());
    }
    debug_assert_eq!(used, nodes, "one start for each node");
    starts.get(..nodes).unwrap_or_default()
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
