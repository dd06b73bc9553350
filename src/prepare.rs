//! From the bytes of Kafka's messages to the bytes of the index's bulk body, one chunk at a time.
//!
//! Everything below is a plain function over bytes: no input or output, no clock, no metrics, no
//! async. The time, the geo database and the pipeline's plan are handed in; what there is to count
//! goes out in [`Facts`]. The stages, in order: [`frame`], [`parse`], stamp, enrich, redact, trim,
//! encode.

use std::ops::Range;
use std::sync::Arc;

use crate::clock::Millis;
use crate::event::Chunk;
use crate::outcome::{Reason, Skip, labels};

pub mod frame;
pub mod parse;
pub(crate) mod survey;
pub(crate) mod time;
pub(crate) mod stamp;
pub mod enrich;
pub mod geo;
pub mod redact;
pub(crate) mod trim;
pub(crate) mod encode;
pub mod json;
pub mod plan;
mod assemble;

pub use self::assemble::{Scratch, chunk};
use self::geo::Databases;
use self::plan::Plan;

/// What preparation is handed with every chunk of a pipeline; cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    pub plan: Arc<Plan>,
    /// The geo databases of this moment.
    pub databases: Arc<Databases>,
    /// When the chunk is prepared: the `@timestamp` of its events.
    pub now: Millis,
    /// Kafka's id of the cluster that the chunk comes from; part of every `_id`.
    pub cluster_id: Arc<str>,
}

/// One document, as ranges: nothing is encoded a second time, not even for a retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Where the action line begins in [`Prepared::body`].
    pub action: usize,
    /// The source line in [`Prepared::body`], without its newline.
    pub source: Range<usize>,
    /// The live line: in [`Prepared::live`] where there is one, else in [`Prepared::body`];
    /// without its newline.
    pub live: Range<usize>,
    /// The event's own bytes in [`Chunk::bytes`], for a dead letter.
    pub origin: Range<usize>,
    /// The message, by its place in [`Chunk::messages`].
    pub message: usize,
    pub index_in_message: u32,
    /// The event's area, by its place in [`Prepared::areas`].
    pub area: usize,
}

/// One event, or one malformed message, that becomes a dead letter without having seen the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub reason: Reason,
    /// What exactly was wrong; never quotes the data.
    pub detail: &'static str,
    pub origin: Range<usize>,
    pub message: usize,
    pub index_in_message: u32,
}

/// A chunk after preparation. Each event of the chunk is in exactly one of `documents`, `rejects`
/// and `skipped`.
#[derive(Debug)]
pub struct Prepared {
    /// The chunk itself: its positions are to be committed, its bytes are those of dead letters.
    pub chunk: Chunk,
    /// `_bulk` lines: action and source, each with its newline, for every document in order.
    pub body: Vec<u8>,
    /// Only where the live export list differs from the index's.
    pub live: Option<Vec<u8>>,
    pub documents: Vec<Document>,
    pub rejects: Vec<Rejected>,
    pub skipped: [u64; Skip::COUNT],
    /// The areas of this chunk's events: `id:<org_id>`, `name:<org_name>` or `unassigned`.
    pub areas: Vec<Box<str>>,
    pub facts: Facts,
}

impl Prepared {
    /// How many events the chunk held.
    #[must_use]
    pub fn events(&self) -> u64 {
        (self.documents.len() + self.rejects.len()) as u64 + self.skipped.iter().sum::<u64>()
    }
}

labels! {
    /// What became of one geo look-up.
    GeoOutcome {
        Hit => "hit",
        /// An address of a private, loopback, link-local or shared range.
        Private => "private",
        NotFound => "not_found",
        Invalid => "invalid",
        Absent => "absent",
        NoDatabase => "no_database",
    }
}

labels! {
    /// What preparation mended or changed, counted for the metrics.
    Mended {
        /// Events that needed repair before they parsed.
        Repaired => "repaired",
        /// Values moved aside to `unparsed`.
        Unparsed => "unparsed",
        /// Fields moved to `source.<name>` because the name is ours.
        Reserved => "reserved",
        /// Events with at least one redacted value.
        Redacted => "redacted",
        /// Bodies cut at the payload limit.
        Truncated => "payload_truncated",
        /// Header values cut at the index's limit.
        HeaderTruncated => "header_truncated",
        /// Events cut to a log policy.
        PolicyCut => "policy_cut",
        /// Events whose log policy is none that we know.
        PolicyUnknown => "policy_unknown",
        /// Events of no sane time, indexed as undated.
        Undated => "undated",
        /// Unreadable `datetime` values.
        DatetimeUnreadable => "datetime_unreadable",
        /// Events without a `datetime`.
        DatetimeMissing => "datetime_missing",
    }
}

/// Upper bounds, in milliseconds, of the buckets of [`Facts::lag`].
pub const LAG_BOUNDS_MS: [i64; 10] =
    [100, 500, 1_000, 5_000, 15_000, 60_000, 300_000, 600_000, 3_600_000, 86_400_000];

/// What there is to count of one chunk beside its outcomes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// For each geo pair of the plan, in its order.
    pub geo: Vec<[u64; GeoOutcome::COUNT]>,
    pub mended: [u64; Mended::COUNT],
    /// Events by `ingest_lag_ms`: one bucket for each bound of [`LAG_BOUNDS_MS`], one for the rest.
    pub lag: [u64; LAG_BOUNDS_MS.len() + 1],
    pub lag_sum_ms: i64,
}
