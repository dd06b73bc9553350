//! Open connections over all replicas: leases in a compacted topic, and what they fold to.
//!
//! Whoever wants a connection writes a request; when its own record is read back, the fold has
//! decided it (N1): it is admitted if fewer leases of its channel than the limit are held and were
//! renewed within the last 30 s. Time is the broker's, and the limits in force stand in the
//! record, so all replicas come to the same. All records of a channel are in one partition.
//!
//! The topic is compacted, so a reader that begins late does not see all renewals of a lease. That
//! is why a renewal says when its lease was renewed last, and why records must not be compacted
//! before they are 10 min old: what is held now rests on the last 30 s alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::stream::ids::{ChannelId, LeaseId, LifeId, TokenId};
use crate::stream::versioned;
pub use crate::stream::versioned::NoRecord;

#[cfg(test)]
mod tests;

/// The version of the records that this build writes, and the only one that it reads.
pub const VERSION: u64 = 1;
/// A lease that was not renewed for longer is free, in ms.
pub const LEASE_MS: Millis = 30_000;
/// How often a lease is to be renewed, in ms.
pub const RENEW_EVERY_MS: Millis = 10_000;

/// Connections at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Of the channel.
    pub channel_max: u32,
    /// Of the token, where it has a limit of its own.
    pub token_max: Option<u32>,
}

/// What a lease is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    pub token: TokenId,
    /// The configured name of the replica that has the connection.
    pub replica: String,
    pub life: LifeId,
    /// The client's, for the page of connections.
    pub address: String,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Request {
        channel: ChannelId,
        lease: LeaseId,
        claim: Claim,
        limits: Limits,
    },
    /// Of an admitted lease. `last` is the broker time of its record before this one.
    Renewal {
        channel: ChannelId,
        lease: LeaseId,
        claim: Claim,
        limits: Limits,
        last: Millis,
    },
    /// The lease is free; in the topic it is its key without a value.
    Release {
        channel: ChannelId,
        lease: LeaseId,
    },
    /// The token was used just now.
    Used {
        channel: ChannelId,
        token: TokenId,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Value {
    Request { claim: Claim, limits: Limits },
    Admitted { claim: Claim, limits: Limits, last: Millis },
    Used {},
}

/// What a record came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The lease is held until [`LEASE_MS`] after this record.
    Admitted,
    /// As many connections of the channel are open as are allowed. The lease is to be released.
    ChannelFull,
    /// As many connections of the token are open as are allowed. The lease is to be released.
    TokenFull,
    /// Nothing had to be decided.
    Noted,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub claim: Claim,
    /// When it was admitted, or first seen by a reader that began later.
    pub since: Millis,
    pub renewed: Millis,
    /// One that was released is remembered for as long as it could be renewed in time.
    is_released: bool,
}

/// Every lease, and when each token was used last.
#[derive(Debug, Clone, Default)]
pub struct Presence {
    channels: BTreeMap<ChannelId, BTreeMap<LeaseId, Lease>>,
    used: BTreeMap<TokenId, Millis>,
}

impl Presence {
    /// Decides one record. `at` is its broker time; records of a channel come in their order.
    pub fn apply(&mut self, record: Record, at: Millis) -> Verdict {
        match record {
            Record::Request { channel, lease, claim, limits } => {
                admit(self.current(&channel, at), lease, claim, &limits, at)
            }
            Record::Renewal { channel, lease, claim, limits, last } => {
                let leases = self.current(&channel, at);
                match leases.get_mut(&lease) {
                    Some(known) if !known.is_released => known.renewed = at,
                    // Admitted before this reader began.
                    None if at.saturating_sub(last) <= LEASE_MS => {
                        let new = Lease { claim, since: last, renewed: at, is_released: false };
                        leases.insert(lease, new);
                    }
                    // Late, or released by somebody else: its place may be another's by now.
                    _ => return admit(leases, lease, claim, &limits, at),
                }
                Verdict::Admitted
            }
            Record::Release { channel, lease } => {
                if let Some(known) = self.current(&channel, at).get_mut(&lease) {
                    known.is_released = true;
                    known.renewed = at;
                }
                Verdict::Noted
            }
            Record::Used { channel: _, token } => {
                self.used.insert(token, at);
                Verdict::Noted
            }
        }
    }

    /// The leases of a channel that are not over yet.
    fn current(&mut self, channel: &ChannelId, at: Millis) -> &mut BTreeMap<LeaseId, Lease> {
        let leases = self.channels.entry(channel.clone()).or_default();
        leases.retain(|_, lease| lease.is_current(at));
        leases
    }

    /// The connections of a channel at a broker time.
    pub fn leases(&self, channel: &str, at: Millis) -> impl Iterator<Item = (&LeaseId, &Lease)> {
        let leases = self.channels.get(channel).into_iter().flatten();
        leases.filter(move |(_, lease)| lease.is_current(at) && !lease.is_released)
    }

    /// What a replica that starts has to release: the leases under its name of another life.
    pub fn former_lives(
        &self,
        replica: &str,
        life: &LifeId,
    ) -> impl Iterator<Item = (&ChannelId, &LeaseId)> {
        let all = self.channels.iter().flat_map(|(channel, leases)| {
            leases.iter().map(move |(lease, held)| (channel, lease, held))
        });
        all.filter(move |(_, _, held)| {
            !held.is_released && held.claim.replica == replica && held.claim.life != *life
        })
        .map(|(channel, lease, _)| (channel, lease))
    }

    /// When a token was used last, by broker time; `None`: never.
    #[must_use]
    pub fn last_used(&self, token: &str) -> Option<Millis> {
        self.used.get(token).copied()
    }
}

/// Admits a lease where there is room for it (N1, T7). One that is held already has its place.
fn admit(
    leases: &mut BTreeMap<LeaseId, Lease>,
    lease: LeaseId,
    claim: Claim,
    limits: &Limits,
    at: Millis,
) -> Verdict {
    let others = || leases.iter().filter(|(id, other)| **id != lease && !other.is_released);
    if others().count() >= limits.channel_max as usize {
        return Verdict::ChannelFull;
    }
    let of_token = others().filter(|(_, other)| other.claim.token == claim.token).count();
    if limits.token_max.is_some_and(|max| of_token >= max as usize) {
        return Verdict::TokenFull;
    }
    leases.insert(lease, Lease { claim, since: at, renewed: at, is_released: false });
    Verdict::Admitted
}

impl Lease {
    fn is_current(&self, at: Millis) -> bool {
        at.saturating_sub(self.renewed) <= LEASE_MS
    }
}

impl Record {
    /// The channel, which decides the partition.
    #[must_use]
    pub fn channel(&self) -> &ChannelId {
        match self {
            Self::Request { channel, .. }
            | Self::Renewal { channel, .. }
            | Self::Release { channel, .. }
            | Self::Used { channel, .. } => channel,
        }
    }

    /// Key and value for the topic; no value is a tombstone.
    ///
    /// # Errors
    /// Never, as far as is known: a record is made of texts and numbers.
    pub fn encode(&self) -> Result<(String, Option<Vec<u8>>), serde_json::Error> {
        let (key, value) = match self.clone() {
            Self::Request { channel, lease, claim, limits } => {
                (format!("lease/{channel}/{lease}"), Some(Value::Request { claim, limits }))
            }
            Self::Renewal { channel, lease, claim, limits, last } => {
                (format!("lease/{channel}/{lease}"), Some(Value::Admitted { claim, limits, last }))
            }
            Self::Release { channel, lease } => (format!("lease/{channel}/{lease}"), None),
            Self::Used { channel, token } => {
                (format!("used/{channel}/{token}"), Some(Value::Used {}))
            }
        };
        let value = value.map(|value| versioned::encode(VERSION, &value)).transpose()?;
        Ok((key, value))
    }

    /// # Errors
    /// Where key and value are no record that this build can read.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, NoRecord> {
        let key = std::str::from_utf8(key).or(Err(NoRecord::Foreign))?;
        let mut parts = key.split('/').map(str::to_owned);
        let (Some(kind), Some(channel), Some(id), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoRecord::Foreign);
        };
        let channel = ChannelId::try_from(channel).or(Err(NoRecord::Foreign))?;
        let value = value.map(|value| versioned::decode(VERSION, value)).transpose()?;
        if kind == "used" {
            let token = TokenId::try_from(id).or(Err(NoRecord::Foreign))?;
            return match value {
                Some(Value::Used {}) => Ok(Self::Used { channel, token }),
                _ => Err(NoRecord::Foreign),
            };
        }
        let lease = LeaseId::try_from(id).or(Err(NoRecord::Foreign))?;
        match (kind.as_str(), value) {
            ("lease", Some(Value::Request { claim, limits })) => {
                Ok(Self::Request { channel, lease, claim, limits })
            }
            ("lease", Some(Value::Admitted { claim, limits, last })) => {
                Ok(Self::Renewal { channel, lease, claim, limits, last })
            }
            ("lease", None) => Ok(Self::Release { channel, lease }),
            _ => Err(NoRecord::Foreign),
        }
    }
}
