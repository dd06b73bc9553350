//! The rules of channels and tokens: what a command does to the state, or why it does nothing.

use std::sync::Arc;

use crate::clock::Millis;
use crate::stream::ids::{ChannelId, TokenId};

use super::audit::Trail;
use super::command::{Command, Limits, Malformed, TokenSpec};
use super::record::Record;
use super::state::{Channel, Made, State, TokenEntry};
use super::token::{AdminToken, CursorKey};

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the id of the command is that of another one")]
    IdInUse,
    #[error("the area has a channel already: {0}")]
    ChannelExists(ChannelId),
    #[error("there are {0} channels, as many as are allowed")]
    ChannelsFull(u32),
    #[error("there is no such channel")]
    NoSuchChannel,
    #[error("the channel has no such token")]
    NoSuchToken,
    /// With how many may be enabled.
    #[error(
        "of the channel's tokens {0} may be enabled at a time: disable one first, which closes its \
         connections; a larger `stream.token_overlap_max` lets listeners change over without a cut"
    )]
    TokenEnabled(u32),
    #[error("the channel has {0} tokens, as many as are allowed")]
    TokensFull(u32),
    #[error("the token is known already")]
    TokenKnown,
    #[error("the token would have expired before it was made")]
    ExpiryPast,
    #[error("the token has expired: make a new one")]
    Expired,
    #[error("there is a key for cursors already, and it stays")]
    CursorKeyThere,
    #[error("the administrators have a token already")]
    AdminTokenThere,
}

impl Refusal {
    /// A short name for programs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::IdInUse => "id_in_use",
            Self::ChannelExists(_) => "channel_exists",
            Self::ChannelsFull(_) => "channels_full",
            Self::NoSuchChannel => "no_such_channel",
            Self::NoSuchToken => "no_such_token",
            Self::TokenEnabled(_) => "token_enabled",
            Self::TokensFull(_) => "tokens_full",
            Self::TokenKnown => "token_known",
            Self::ExpiryPast => "expiry_past",
            Self::Expired => "expired",
            Self::CursorKeyThere => "cursor_key_there",
            Self::AdminTokenThere => "admin_token_there",
        }
    }
}

impl State {
    /// Applies a command, or refuses it and leaves everything as it was.
    pub(super) fn decide(&mut self, record: &Record, at: Millis) -> Result<Made, Refusal> {
        let limits = &record.limits;
        record.command.check()?;
        match &record.command {
            Command::Generate { area, token } => self.generate(area, token, limits, at),
            Command::EditChannel { channel, name, description } => {
                self.edit(channel, name.as_deref(), description.as_deref(), at)
            }
            Command::SetChannelEnabled { channel, enabled } => {
                self.set_channel_enabled(channel, *enabled, at)
            }
            Command::NewToken { channel, token } => self.new_token(channel, token, limits, at),
            Command::SetTokenEnabled { channel, token, enabled: true } => {
                self.enable_token(channel, token, limits, at)
            }
            Command::SetTokenEnabled { channel, token, enabled: false } => {
                self.disable_token(channel, token, at)
            }
            Command::SetCursorKey { key } => self.set_cursor_key(key),
            Command::SetAdminToken { token, replace } => self.set_admin_token(token, *replace),
        }
    }

    /// C1, C3, C4 and T1.
    fn generate(
        &mut self,
        area: &str,
        spec: &TokenSpec,
        limits: &Limits,
        at: Millis,
    ) -> Result<Made, Refusal> {
        if let Some(channel) = self.areas.get(area) {
            return Err(Refusal::ChannelExists(channel.clone()));
        }
        if self.channels.len() >= limits.channels_max as usize {
            return Err(Refusal::ChannelsFull(limits.channels_max));
        }
        self.check_new(spec, at)?;
        // None is ever deleted, so their number is the last one's.
        let id = ChannelId::nth(self.channels.len() as u64 + 1);
        let token = self.entry(&id, spec, at);
        let made = Made { channel: Some(id.clone()), token: Some(token.id.clone()) };
        let channel = Channel {
            id: id.clone(),
            area: area.to_owned(),
            name: format!("Channel for {area}"),
            description: String::new(),
            is_enabled: true,
            created: at,
            updated: at,
            tokens: vec![Arc::new(token)],
            audit: Trail::default(),
        };
        self.areas.insert(area.to_owned(), id.clone());
        self.channels.insert(id, Arc::new(channel));
        Ok(made)
    }

    /// C5.
    fn edit(
        &mut self,
        id: &ChannelId,
        name: Option<&str>,
        description: Option<&str>,
        at: Millis,
    ) -> Result<Made, Refusal> {
        let channel = self.channel_mut(id)?;
        for (place, text) in [(&mut channel.name, name), (&mut channel.description, description)] {
            if let Some(text) = text.filter(|text| place != text) {
                text.clone_into(place);
                channel.updated = at;
            }
        }
        Ok(Made { channel: Some(id.clone()), token: None })
    }

    /// C6.
    fn set_channel_enabled(
        &mut self,
        id: &ChannelId,
        enabled: bool,
        at: Millis,
    ) -> Result<Made, Refusal> {
        let channel = self.channel_mut(id)?;
        if channel.is_enabled != enabled {
            channel.is_enabled = enabled;
            channel.updated = at;
        }
        Ok(Made { channel: Some(id.clone()), token: None })
    }

    /// T2 and T3. A disabled channel may get tokens, so that they are there when it is enabled.
    fn new_token(
        &mut self,
        id: &ChannelId,
        spec: &TokenSpec,
        limits: &Limits,
        at: Millis,
    ) -> Result<Made, Refusal> {
        let channel = self.channels.get(id).ok_or(Refusal::NoSuchChannel)?;
        room_for_token(channel, limits, at)?;
        if channel.tokens.len() >= limits.tokens_max as usize {
            return Err(Refusal::TokensFull(limits.tokens_max));
        }
        self.check_new(spec, at)?;
        let entry = self.entry(id, spec, at);
        let token = Some(entry.id.clone());
        self.channel_mut(id)?.tokens.push(Arc::new(entry));
        Ok(Made { channel: Some(id.clone()), token })
    }

    /// T2 and T4. What is enabled already is left as it is.
    fn enable_token(
        &mut self,
        id: &ChannelId,
        token_id: &TokenId,
        limits: &Limits,
        at: Millis,
    ) -> Result<Made, Refusal> {
        let channel = self.channel_mut(id)?;
        let token = channel.token(token_id.as_str()).ok_or(Refusal::NoSuchToken)?;
        if token.has_expired_at(at) {
            return Err(Refusal::Expired);
        }
        if !token.is_enabled {
            room_for_token(channel, limits, at)?;
        }
        set_token_enabled(channel, token_id, true, at);
        Ok(Made { channel: Some(id.clone()), token: Some(token_id.clone()) })
    }

    /// T4.
    fn disable_token(
        &mut self,
        id: &ChannelId,
        token_id: &TokenId,
        at: Millis,
    ) -> Result<Made, Refusal> {
        let channel = self.channel_mut(id)?;
        channel.token(token_id.as_str()).ok_or(Refusal::NoSuchToken)?;
        set_token_enabled(channel, token_id, false, at);
        Ok(Made { channel: Some(id.clone()), token: Some(token_id.clone()) })
    }

    fn set_cursor_key(&mut self, key: &CursorKey) -> Result<Made, Refusal> {
        if self.cursor_key.is_some() {
            return Err(Refusal::CursorKeyThere);
        }
        self.cursor_key = Some(key.clone());
        Ok(Made::default())
    }

    fn set_admin_token(&mut self, token: &AdminToken, replace: bool) -> Result<Made, Refusal> {
        if self.admin_token.is_some() && !replace {
            return Err(Refusal::AdminTokenThere);
        }
        self.admin_token = Some(*token);
        Ok(Made::default())
    }

    fn channel_mut(&mut self, id: &ChannelId) -> Result<&mut Channel, Refusal> {
        self.channels.get_mut(id).map(Arc::make_mut).ok_or(Refusal::NoSuchChannel)
    }

    fn check_new(&self, spec: &TokenSpec, at: Millis) -> Result<(), Refusal> {
        if self.by_digest(&spec.digest).is_some() {
            return Err(Refusal::TokenKnown);
        }
        match spec.options.expires {
            Some(expires) if expires <= at => Err(Refusal::ExpiryPast),
            _ => Ok(()),
        }
    }

    /// A token that can be found by its digest from now on.
    fn entry(&mut self, channel: &ChannelId, spec: &TokenSpec, at: Millis) -> TokenEntry {
        self.tokens_made += 1;
        let id = TokenId::nth(self.tokens_made);
        let bucket = self.digests.entry(spec.digest.bucket()).or_default();
        bucket.push((channel.clone(), id.clone()));
        TokenEntry {
            id,
            digest: spec.digest,
            last_four: spec.last_four.clone(),
            is_enabled: true,
            created: at,
            updated: at,
            options: spec.options.clone(),
        }
    }
}

/// Whether one more token may be enabled.
fn room_for_token(channel: &Channel, limits: &Limits, at: Millis) -> Result<(), Refusal> {
    let allowed = limits.token_overlap_max.max(1);
    if channel.enabled_at(at) >= allowed as usize {
        return Err(Refusal::TokenEnabled(allowed));
    }
    Ok(())
}

fn set_token_enabled(channel: &mut Channel, id: &TokenId, enabled: bool, at: Millis) {
    let found = channel.tokens.iter_mut().find(|token| token.id == *id);
    if let Some(token) = found.filter(|token| token.is_enabled != enabled) {
        let token = Arc::make_mut(token);
        token.is_enabled = enabled;
        token.updated = at;
    }
}
