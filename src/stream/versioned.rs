//! Records of our own topics: JSON in an envelope with a version.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    /// Nothing that any version of Sluice writes: it can be passed over, and every build does.
    #[error("it is no JSON object with a version")]
    Foreign,
    /// What it changes is not known to this build: the state behind it cannot be told.
    #[error("it has version {found}, and this build reads none above {known}")]
    Version { found: u64, known: u64 },
    /// Of our version and yet not readable: as above.
    #[error("its version is ours, but it cannot be read: {0}")]
    Unreadable(String),
}

#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<T> {
    v: u64,
    record: T,
}

/// # Errors
/// Where the record is not made of texts, numbers and what JSON has for them.
pub(super) fn encode<T: Serialize>(version: u64, record: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Envelope { v: version, record })
}

/// # Errors
/// Where the bytes are no record of this version.
pub(super) fn decode<T: DeserializeOwned>(known: u64, bytes: &[u8]) -> Result<T, NoRecord> {
    decode_of(known..=known, bytes).map(|(_, record)| record)
}

/// A record of one of these versions, and which it is.
///
/// # Errors
/// Where the bytes are no record of any of them.
pub(super) fn decode_of<T: DeserializeOwned>(
    known: RangeInclusive<u64>,
    bytes: &[u8],
) -> Result<(u64, T), NoRecord> {
    let Ok(Versioned { v: found }) = serde_json::from_slice(bytes) else {
        return Err(NoRecord::Foreign);
    };
    if !known.contains(&found) {
        return Err(NoRecord::Version { found, known: *known.end() });
    }
    let envelope: Result<Envelope<T>, _> = serde_json::from_slice(bytes);
    envelope
        .map(|envelope| (found, envelope.record))
        .map_err(|error| NoRecord::Unreadable(error.to_string()))
}
