//! The index: one call takes documents and answers with one verdict for each.

use std::sync::Arc;

use bytes::Bytes;

use crate::event::Hold;
use crate::outcome::Reason;

pub mod template;

/// Documents for the index, ready as `_bulk` lines. The bytes are made once; a retry sends ranges
/// of them again.
#[derive(Debug, Clone)]
pub struct Bulk {
    pub bytes: Bytes,
    pub items: Vec<Item>,
}

/// One document of a [`Bulk`]: its action line and source line, each with its newline.
#[derive(Debug, Clone)]
pub struct Item {
    pub start: usize,
    pub end: usize,
    /// An item of a lost hold is not tried again.
    pub hold: Arc<Hold>,
}

/// What became of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Created,
    /// The index has our id already: an earlier try of ours.
    Duplicate,
    /// Refused for good: to the dead letters.
    Refused(Refusal),
    /// Its hold was lost before the index had answered: its next owner does it again.
    Abandoned,
}

/// Why the index refused a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// The index's `error.type`: may be logged.
    pub error_type: String,
    /// The index's whole error: quotes values, so it goes into the dead letter only.
    pub error: String,
}
