//! A command as it stands in the topic: JSON with a version.

use serde::{Deserialize, Serialize};

use crate::stream::ids::{Actor, CommandId};
use crate::stream::versioned;
pub use crate::stream::versioned::NoRecord;

use super::command::{Command, Limits};

/// The version that this build writes, and the only one that it reads. Whatever changes what a
/// record comes to, a rule or a member, raises it.
pub const VERSION: u64 = 1;

/// One command, with what the fold needs to decide it; its time is the broker's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub id: CommandId,
    pub actor: Actor,
    pub limits: Limits,
    pub command: Command,
}

impl Record {
    /// The bytes for the topic: at most some 400 KB, when every part is as long as it may be.
    ///
    /// # Errors
    /// Never, as far as is known: it is made of texts and numbers.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        versioned::encode(VERSION, self)
    }

    /// # Errors
    /// Where the bytes are no record that this build can read.
    pub fn decode(bytes: &[u8]) -> Result<Self, NoRecord> {
        versioned::decode(VERSION, bytes)
    }
}
