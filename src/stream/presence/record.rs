//! A record of the presence topic, as key and value.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::stream::connections::Figures;
use crate::stream::ids::{Actor, ChannelId, LeaseId, LifeId, TokenId};
use crate::stream::versioned::{self, NoRecord};

/// The version of the records that this build writes, and the only one that it reads.
pub const VERSION: u64 = 1;

/// Connections at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Of the channel.
    pub channel_max: u32,
    /// Of the token, where it has a limit of its own.
    pub token_max: Option<u32>,
}

/// What a lease is for. Beside the token and the replica it is for the page of connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    pub token: TokenId,
    /// The configured name of the replica that has the connection.
    pub replica: String,
    pub life: LifeId,
    /// The client's.
    pub address: String,
    pub transport: String,
    /// The listener's filter, cut to some 256 bytes.
    pub filter: Option<String>,
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
        figures: Figures,
    },
    /// The lease is free; in the topic it is its key without a value.
    Release {
        channel: ChannelId,
        lease: LeaseId,
    },
    /// Whoever has the connection is to close it.
    Disconnect {
        channel: ChannelId,
        lease: LeaseId,
        actor: Actor,
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
    Admitted { claim: Claim, limits: Limits, last: Millis, figures: Figures },
    Disconnect { actor: Actor },
    Used {},
}

impl Record {
    /// The channel, which decides the partition.
    #[must_use]
    pub fn channel(&self) -> &ChannelId {
        match self {
            Self::Request { channel, .. }
            | Self::Renewal { channel, .. }
            | Self::Release { channel, .. }
            | Self::Disconnect { channel, .. }
            | Self::Used { channel, .. } => channel,
        }
    }

    /// The lease that it is about, if it is about one.
    #[must_use]
    pub fn lease(&self) -> Option<&LeaseId> {
        match self {
            Self::Request { lease, .. }
            | Self::Renewal { lease, .. }
            | Self::Release { lease, .. }
            | Self::Disconnect { lease, .. } => Some(lease),
            Self::Used { .. } => None,
        }
    }

    /// Key and value for the topic; no value is a tombstone.
    ///
    /// # Errors
    /// Never, as far as is known: a record is made of texts and numbers.
    pub fn encode(&self) -> Result<(String, Option<Vec<u8>>), serde_json::Error> {
        let channel = self.channel();
        let key = match self {
            Self::Request { lease, .. }
            | Self::Renewal { lease, .. }
            | Self::Release { lease, .. }
            | Self::Disconnect { lease, .. } => format!("lease/{channel}/{lease}"),
            Self::Used { token, .. } => format!("used/{channel}/{token}"),
        };
        let value = match self.clone() {
            Self::Request { claim, limits, .. } => Some(Value::Request { claim, limits }),
            Self::Renewal { claim, limits, last, figures, .. } => {
                Some(Value::Admitted { claim, limits, last, figures })
            }
            Self::Release { .. } => None,
            Self::Disconnect { actor, .. } => Some(Value::Disconnect { actor }),
            Self::Used { .. } => Some(Value::Used {}),
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
            ("lease", Some(Value::Admitted { claim, limits, last, figures })) => {
                Ok(Self::Renewal { channel, lease, claim, limits, last, figures })
            }
            ("lease", Some(Value::Disconnect { actor })) => {
                Ok(Self::Disconnect { channel, lease, actor })
            }
            ("lease", None) => Ok(Self::Release { channel, lease }),
            _ => Err(NoRecord::Foreign),
        }
    }
}
