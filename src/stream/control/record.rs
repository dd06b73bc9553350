//! A command as it stands in the topic: JSON with a version.

use serde::{Deserialize, Serialize};

use crate::stream::ids::{Actor, CommandId};
use crate::stream::versioned;
pub use crate::stream::versioned::NoRecord;

use super::command::{Command, Limits};

/// The newest version, and with every older one what this build reads. Whatever changes what a
/// record comes to, a rule or a member, raises it. A record is written in the version that its
/// command came with, so that an older build stops at what it does not know and at nothing else.
pub const VERSION: u64 = 2;

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
        versioned::encode(self.command.version(), self)
    }

    /// # Errors
    /// Where the bytes are no record that this build can read.
    pub fn decode(bytes: &[u8]) -> Result<Self, NoRecord> {
        let (version, record): (u64, Self) = versioned::decode_of(1..=VERSION, bytes)?;
        let of_command = record.command.version();
        if of_command > version {
            let why = format!("its command came with version {of_command}, not {version}");
            return Err(NoRecord::Unreadable(why));
        }
        Ok(record)
    }
}
