//! What was asked for, by whom, when, and what became of it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::clock::Millis;
use crate::stream::ids::{Actor, CommandId};

use super::command::Command;
use super::rules::Refusal;
use super::state::Made;

/// How many commands of a channel are kept in memory, the latest; the topic has them all.
pub const AUDIT_ENTRIES_MAX: usize = 200;

/// One command that was decided.
#[derive(Debug)]
pub struct Entry {
    /// Its place among all commands that were decided, from 1; the same on every replica.
    pub number: u64,
    /// The record's broker time.
    pub at: Millis,
    pub id: CommandId,
    pub actor: Actor,
    pub command: Command,
    pub result: Result<Made, Refusal>,
}

/// The latest entries, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail(VecDeque<Arc<Entry>>);

impl Trail {
    pub(super) fn push(&mut self, entry: Entry) {
        if self.0.len() >= AUDIT_ENTRIES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Arc::new(entry));
    }

    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.0.iter()
    }
}
