//! Commands that were decided, by their ids, so that asking again applies nothing twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::stream::ids::{Actor, CommandId};

use super::record::Record;
use super::rules::Refusal;
use super::state::Answer;
use super::token::Digest;

/// A command is remembered until this many others were decided after it; the count is the topic's,
/// so every replica forgets at the same record.
pub const COMMANDS_REMEMBERED_MAX: usize = 4096;

#[derive(Debug)]
struct Remembered {
    actor: Actor,
    request: Digest,
    answer: Answer,
}

/// The latest commands.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    by_id: BTreeMap<CommandId, Arc<Remembered>>,
    order: VecDeque<CommandId>,
}

impl Memory {
    /// The answer that the record's command had, if it had one. An id of somebody else's command,
    /// or of another one, is refused: an answer is for whoever asked.
    pub(super) fn recall(&self, record: &Record) -> Option<Answer> {
        let known = self.by_id.get(&record.id)?;
        if known.actor == record.actor && known.request == record.command.fingerprint() {
            return Some(known.answer.clone());
        }
        Some(Answer { at: known.answer.at, result: Err(Refusal::IdInUse) })
    }

    pub(super) fn remember(&mut self, record: &Record, answer: Answer) {
        if self.order.len() >= COMMANDS_REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back(record.id.clone());
        let (actor, request) = (record.actor.clone(), record.command.fingerprint());
        self.by_id.insert(record.id.clone(), Arc::new(Remembered { actor, request, answer }));
    }
}
