//! What the records come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Millis;
use crate::stream::ids::{ChannelId, TokenId};

use super::audit::{Entry, Trail};
use super::command::TokenOptions;
use super::memory::Memory;
use super::record::Record;
use super::rules::Refusal;
use super::token::{AdminToken, CursorKey, Digest};

/// Every channel and token after some number of records.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The latest time of any record. Brokers' clocks differ a little, and a token that has
    /// expired once must not come back.
    now: Millis,
    pub(super) channels: BTreeMap<ChannelId, Arc<Channel>>,
    pub(super) areas: BTreeMap<String, ChannelId>,
    /// Tokens by the first bytes of their digests.
    pub(super) digests: BTreeMap<u64, Vec<(ChannelId, TokenId)>>,
    pub(super) tokens_made: u64,
    pub(super) cursor_key: Option<CursorKey>,
    pub(super) admin_token: Option<AdminToken>,
    /// Commands so far, those that were refused among them.
    decided: u64,
    memory: Memory,
    /// Commands that were about no channel there is.
    audit: Trail,
}

/// The one channel of an area. It is never deleted.
#[derive(Debug, Clone)]
pub struct Channel {
    pub id: ChannelId,
    pub area: String,
    pub name: String,
    pub description: String,
    pub is_enabled: bool,
    pub created: Millis,
    /// When anything of it changed that is not one of its tokens.
    pub updated: Millis,
    /// In the order in which they were made. They are never deleted.
    pub tokens: Vec<Arc<TokenEntry>>,
    pub(super) audit: Trail,
}

/// What is known of a token.
#[derive(Debug, Clone)]
pub struct TokenEntry {
    pub id: TokenId,
    pub digest: Digest,
    pub last_four: String,
    /// As it was set; [`TokenEntry::is_enabled_at`] also knows of the expiry.
    pub is_enabled: bool,
    pub created: Millis,
    pub updated: Millis,
    pub options: TokenOptions,
}

/// What a command that was applied has made or changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Made {
    /// `None`: it was about no channel.
    pub channel: Option<ChannelId>,
    /// The token, where it was about one. Where its digest in the state is not that of the secret
    /// in hand, the command was applied when it was asked for before, and that secret is lost.
    pub token: Option<TokenId>,
}

/// How a command was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The broker time of the record that decided it.
    pub at: Millis,
    pub result: Result<Made, Refusal>,
}

/// Whether an open connection may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Good,
    ChannelDisabled,
    TokenDisabled,
    TokenExpired,
    /// There is no such token of this channel.
    Unknown,
}

impl State {
    /// Decides one record. `at` is its broker time; records come in the topic's order.
    pub fn apply(&mut self, record: Record, at: Millis) -> Answer {
        self.now = self.now.max(at);
        if let Some(answer) = self.memory.recall(&record) {
            return answer;
        }
        let at = self.now;
        let result = self.decide(&record, at);
        let answer = Answer { at, result: result.clone() };
        self.memory.remember(&record, answer.clone());
        let about = match &result {
            Ok(made) => made.channel.as_ref(),
            Err(Refusal::ChannelExists(channel)) => Some(channel),
            Err(_) => record.command.channel(),
        };
        let channel = about.and_then(|id| self.channels.get_mut(id));
        let trail = match channel {
            Some(channel) => &mut Arc::make_mut(channel).audit,
            None => &mut self.audit,
        };
        let Record { id, actor, limits: _, command } = record;
        self.decided += 1;
        trail.push(Entry { number: self.decided, at, id, actor, command, result });
        answer
    }

    /// The answer that a command had, for as long as it is remembered.
    #[must_use]
    pub fn recall(&self, record: &Record) -> Option<Answer> {
        self.memory.recall(record)
    }

    /// Every channel, in the order of their ids as texts.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.channels.values()
    }

    #[must_use]
    pub fn channel(&self, id: &str) -> Option<&Arc<Channel>> {
        self.channels.get(id)
    }

    #[must_use]
    pub fn channel_of(&self, area: &str) -> Option<&Arc<Channel>> {
        self.channels.get(self.areas.get(area)?)
    }

    /// The channel and token that a secret opens at a broker time, by [`Digest::of`] what was
    /// presented. An unknown, a disabled and an expired token, and any token of a disabled
    /// channel, get the same answer. Whether it is the channel that was asked for is for the
    /// caller to compare, with the same answer again.
    #[must_use]
    pub fn admit(
        &self,
        presented: &Digest,
        now: Millis,
    ) -> Option<(&Arc<Channel>, &Arc<TokenEntry>)> {
        let (channel, token) = self.by_digest(presented)?;
        let is_open = channel.is_enabled && token.is_enabled_at(now.max(self.now));
        is_open.then_some((channel, token))
    }

    pub(super) fn by_digest(&self, digest: &Digest) -> Option<(&Arc<Channel>, &Arc<TokenEntry>)> {
        self.digests.get(&digest.bucket())?.iter().find_map(|(channel, token)| {
            let channel = self.channels.get(channel)?;
            let token = channel.token(token.as_str())?;
            (token.digest == *digest).then_some((channel, token))
        })
    }

    /// Whether a connection that was opened with a token may go on at a broker time.
    #[must_use]
    pub fn standing(&self, channel: &str, token: &str, now: Millis) -> Standing {
        let Some(channel) = self.channels.get(channel) else { return Standing::Unknown };
        let Some(token) = channel.token(token) else { return Standing::Unknown };
        if !channel.is_enabled {
            Standing::ChannelDisabled
        } else if !token.is_enabled {
            Standing::TokenDisabled
        } else if token.has_expired_at(now.max(self.now)) {
            Standing::TokenExpired
        } else {
            Standing::Good
        }
    }

    /// The key that signs cursors, where `setup` has made one.
    #[must_use]
    pub fn cursor_key(&self) -> Option<&CursorKey> {
        self.cursor_key.as_ref()
    }

    /// What is known of the administrators' token, where `setup` has made one.
    #[must_use]
    pub fn admin_token(&self) -> Option<&AdminToken> {
        self.admin_token.as_ref()
    }

    /// The latest commands that were about no channel there is, oldest first.
    pub fn audit(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.audit.entries()
    }
}

impl Channel {
    #[must_use]
    pub fn token(&self, id: &str) -> Option<&Arc<TokenEntry>> {
        self.tokens.iter().find(|token| token.id.as_str() == id)
    }

    /// How many of its tokens count as enabled: where they are as many as `token_overlap_max`, a
    /// new one will be refused.
    #[must_use]
    pub fn enabled_at(&self, now: Millis) -> usize {
        self.tokens.iter().filter(|token| token.is_enabled_at(now)).count()
    }

    /// The latest commands about it, applied and refused, oldest first; at most
    /// [`super::AUDIT_ENTRIES_MAX`].
    pub fn audit(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.audit.entries()
    }
}

impl TokenEntry {
    #[must_use]
    pub fn is_enabled_at(&self, now: Millis) -> bool {
        self.is_enabled && !self.has_expired_at(now)
    }

    #[must_use]
    pub fn has_expired_at(&self, now: Millis) -> bool {
        self.options.expires.is_some_and(|expires| expires <= now)
    }
}
