//! What an administrator can ask for. There is no command that deletes anything (C2, T5).

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::stream::ids::{ChannelId, TokenId};
use crate::stream::project::FIELDS_MAX;

use super::token::{AdminToken, CursorKey, Digest, Token};

const AREA_BYTES_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 2048;
const DESCRIPTION_BYTES_MAX: usize = 8192;
const FILTER_BYTES_MAX: usize = 8192;
const FIELD_BYTES_MAX: usize = 256;

/// The limits in force where a command was given. They stand in its record, so that the fold needs
/// no configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Tokens of a channel that may be enabled at a time; 0 counts as 1.
    pub token_overlap_max: u32,
    /// Channels altogether.
    pub channels_max: u32,
    /// Tokens of a channel, enabled or not: they are never deleted.
    pub tokens_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { token_overlap_max: 1, channels_max: 10_000, tokens_max: 10_000 }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// A channel for an area, with its first token.
    Generate {
        area: String,
        token: TokenSpec,
    },
    /// `None` leaves what is there. An empty description is none; an empty name is refused.
    EditChannel {
        channel: ChannelId,
        name: Option<String>,
        description: Option<String>,
    },
    SetChannelEnabled {
        channel: ChannelId,
        enabled: bool,
    },
    NewToken {
        channel: ChannelId,
        token: TokenSpec,
    },
    SetTokenEnabled {
        channel: ChannelId,
        token: TokenId,
        enabled: bool,
    },
    /// The key that signs cursors. The first stays for ever: cursors that clients hold rest on it.
    SetCursorKey {
        key: CursorKey,
    },
    /// What is known of the administrators' token. One that is there is replaced only on purpose.
    SetAdminToken {
        token: AdminToken,
        replace: bool,
    },
}

/// A token to be made: what may be known of it, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    pub digest: Digest,
    pub last_four: String,
    pub options: TokenOptions,
}

impl TokenSpec {
    #[must_use]
    pub fn of(token: &Token, options: TokenOptions) -> Self {
        Self { digest: token.digest(), last_four: token.last_four(), options }
    }
}

/// What a token may do beyond listening to its channel (T7).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenOptions {
    /// From this time on it counts as disabled.
    pub expires: Option<Millis>,
    /// Only events that match are delivered. Whoever gives the command has compiled it.
    pub filter: Option<String>,
    /// Only these fields are delivered.
    pub fields: Option<Vec<String>>,
    /// Connections at a time, within those of the channel.
    pub connections_max: Option<u32>,
}

/// What of a command is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the area is not 1 to 1024 bytes without control characters")]
    Area,
    #[error("the name is not 1 to 2048 bytes without control characters")]
    Name,
    #[error("the description is longer than 8192 bytes")]
    Description,
    #[error("the last four characters of a token are not four letters, digits, `-` or `_`")]
    LastFour,
    #[error("the filter is not 1 to 8192 bytes")]
    Filter,
    #[error("the fields are not 1 to {FIELDS_MAX}, each of 1 to 256 bytes")]
    Fields,
    #[error("a token for no connection at all is of no use")]
    ConnectionsMax,
}

impl Command {
    /// The version of records that it came with.
    pub(super) const fn version(&self) -> u64 {
        match self {
            Self::Generate { .. }
            | Self::EditChannel { .. }
            | Self::SetChannelEnabled { .. }
            | Self::NewToken { .. }
            | Self::SetTokenEnabled { .. } => 1,
            Self::SetCursorKey { .. } | Self::SetAdminToken { .. } => 2,
        }
    }

    /// A short name for programs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Generate { .. } => "generate",
            Self::EditChannel { .. } => "edit_channel",
            Self::SetChannelEnabled { enabled: true, .. } => "enable_channel",
            Self::SetChannelEnabled { enabled: false, .. } => "disable_channel",
            Self::NewToken { .. } => "new_token",
            Self::SetTokenEnabled { enabled: true, .. } => "enable_token",
            Self::SetTokenEnabled { enabled: false, .. } => "disable_token",
            Self::SetCursorKey { .. } => "set_cursor_key",
            Self::SetAdminToken { .. } => "set_admin_token",
        }
    }

    /// The channel that it is about. `Generate` names none, and some are about all of them.
    #[must_use]
    pub fn channel(&self) -> Option<&ChannelId> {
        match self {
            Self::Generate { .. } | Self::SetCursorKey { .. } | Self::SetAdminToken { .. } => None,
            Self::EditChannel { channel, .. }
            | Self::SetChannelEnabled { channel, .. }
            | Self::NewToken { channel, .. }
            | Self::SetTokenEnabled { channel, .. } => Some(channel),
        }
    }

    /// Whether every part is within its bounds, whatever the state is.
    ///
    /// # Errors
    /// With the first part that is not.
    pub fn check(&self) -> Result<(), Malformed> {
        let line = |text: &str, bytes_max: usize| {
            (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        match self {
            Self::Generate { area, token } => {
                ensure(line(area, AREA_BYTES_MAX), Malformed::Area)?;
                token.check()
            }
            Self::NewToken { token, .. } => token.check(),
            Self::EditChannel { name, description, .. } => {
                let is_name = name.as_ref().is_none_or(|name| line(name, NAME_BYTES_MAX));
                ensure(is_name, Malformed::Name)?;
                let length = description.as_ref().map_or(0, String::len);
                ensure(length <= DESCRIPTION_BYTES_MAX, Malformed::Description)
            }
            Self::SetChannelEnabled { .. }
            | Self::SetTokenEnabled { .. }
            | Self::SetCursorKey { .. }
            | Self::SetAdminToken { .. } => Ok(()),
        }
    }

    /// A hash of what is asked for, without the secret's traces: who asks again may have lost the
    /// secret.
    pub(super) fn fingerprint(&self) -> Digest {
        let mut request = self.clone();
        match &mut request {
            Self::Generate { token, .. } | Self::NewToken { token, .. } => {
                token.digest = Digest::of("");
                token.last_four.clear();
            }
            Self::SetAdminToken { token, .. } => *token = AdminToken::of(""),
            Self::SetCursorKey { key } => *key = CursorKey::BLANK,
            Self::EditChannel { .. }
            | Self::SetChannelEnabled { .. }
            | Self::SetTokenEnabled { .. } => {}
        }
        // Of texts and numbers, which can always be written.
        Digest::of(&serde_json::to_string(&request).unwrap_or_default())
    }
}

impl TokenSpec {
    fn check(&self) -> Result<(), Malformed> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_four = self.last_four.len() == 4 && self.last_four.bytes().all(fits);
        ensure(is_four, Malformed::LastFour)?;
        let TokenOptions { expires: _, filter, fields, connections_max } = &self.options;
        let is_filter = |filter: &String| (1..=FILTER_BYTES_MAX).contains(&filter.len());
        ensure(filter.as_ref().is_none_or(is_filter), Malformed::Filter)?;
        let is_field = |field: &String| (1..=FIELD_BYTES_MAX).contains(&field.len());
        let are_fields = |fields: &Vec<String>| {
            (1..=FIELDS_MAX).contains(&fields.len()) && fields.iter().all(is_field)
        };
        ensure(fields.as_ref().is_none_or(are_fields), Malformed::Fields)?;
        ensure(*connections_max != Some(0), Malformed::ConnectionsMax)
    }
}

fn ensure(holds: bool, otherwise: Malformed) -> Result<(), Malformed> {
    if holds { Ok(()) } else { Err(otherwise) }
}
