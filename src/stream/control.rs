//! Channels and tokens, and every change to them: a topic of commands and the state they fold to.
//!
//! [`State`] is a pure function of the topic's records in their order, so all replicas agree, and
//! two administrators at once cannot break a rule: whoever's command stands first in the topic has
//! it. The fold reads neither configuration nor clock. The limits in force stand in each command,
//! and the time of a command is the broker's. A refused command changes nothing, and is remembered
//! with its reason as an applied one is; the topic is the audit trail.
//!
//! A rule that is changed here changes what old records come to: it needs a new version of the
//! record ([`record::VERSION`]).

pub mod token;
mod command;
pub mod record;
mod audit;
mod memory;
mod state;
mod rules;
pub mod log;

#[cfg(test)]
mod tests;

pub use self::audit::{AUDIT_ENTRIES_MAX, Entry};
pub use self::command::{Command, Limits, Malformed, TokenOptions, TokenSpec};
pub use self::log::{Control, ControlError, Unavailable};
pub use self::memory::COMMANDS_REMEMBERED_MAX;
pub use self::record::Record;
pub use self::rules::Refusal;
pub use self::state::{Answer, Channel, Made, Standing, State, TokenEntry};
pub(crate) use self::token::keyed;
pub use self::token::{AdminToken, CursorKey, Digest, Token, session_secret};
