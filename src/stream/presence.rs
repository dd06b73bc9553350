//! Open connections over all replicas: leases in a compacted topic, and what they fold to.
//!
//! Whoever wants a connection writes a request; when its own record is read back, the fold
//! ([`Leases`]) has decided it (N1): it is admitted if fewer leases of its channel than the limit
//! are held and were renewed within the last 30 s. Time is the broker's, and the limits in force
//! stand in the record, so all replicas come to the same. All records of a channel are in one
//! partition. [`log`] writes, reads and answers.
//!
//! The topic is compacted, so a reader that begins late does not see all renewals of a lease. That
//! is why a renewal says when its lease was renewed last, and why records must not be compacted
//! before they are 10 min old ([`COMPACTION_LAG_MS`]): what is held now rests on the last 30 s
//! alone.

mod record;
mod leases;
mod leftovers;
pub mod log;

#[cfg(test)]
mod tests;

pub use self::leases::{Lease, Leases, Verdict};
pub use self::log::{Connection, Presence, Refused, Unavailable};
pub use self::record::{Claim, Limits, Record, VERSION};
use crate::clock::Millis;
pub use crate::stream::versioned::NoRecord;

/// A lease that was not renewed for longer is free, in ms.
pub const LEASE_MS: Millis = 30_000;
/// How often a lease is to be renewed, in ms.
pub const RENEW_EVERY_MS: u64 = 10_000;
/// Younger records must not be compacted, in ms; `sluice setup` makes the topic so.
pub const COMPACTION_LAG_MS: Millis = 600_000;
