//! Names of channels, tokens, commands, connections and people.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The longest id, in characters.
const ID_LENGTH_MAX: usize = 64;
/// The longest name of an actor, in bytes.
const ACTOR_BYTES_MAX: usize = 256;

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not 1 to 64 letters, digits, `-` or `_`")]
pub struct NotAnId;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;

            fn try_from(text: String) -> Result<Self, NotAnId> {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                let is_one = (1..=ID_LENGTH_MAX).contains(&text.len()) && text.bytes().all(fits);
                if is_one { Ok(Self(text.into())) } else { Err(NotAnId) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        // The derived order and hash are those of the text, as `Borrow` asks.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A channel: `c1`, `c2` and so on, in the order in which they were made.
    ChannelId
}

id! {
    /// A token: `t1`, `t2` and so on over all channels. It is no secret.
    TokenId
}

id! {
    /// One command, for asking again without applying it twice: chosen by who asks.
    CommandId
}

id! {
    /// One open connection.
    LeaseId
}

id! {
    /// One run of a replica, from start to stop.
    LifeId
}

impl ChannelId {
    pub(super) fn nth(number: u64) -> Self {
        Self(format!("c{number}").into())
    }
}

impl TokenId {
    pub(super) fn nth(number: u64) -> Self {
        Self(format!("t{number}").into())
    }
}

impl CommandId {
    /// An id that nobody else has: 128 random bits.
    ///
    /// # Errors
    /// Where the system gives no random bits.
    pub fn random() -> Result<Self, getrandom::Error> {
        random().map(Self)
    }
}

impl LeaseId {
    /// As [`CommandId::random`].
    ///
    /// # Errors
    /// As there.
    pub fn random() -> Result<Self, getrandom::Error> {
        random().map(Self)
    }
}

impl LifeId {
    /// As [`CommandId::random`].
    ///
    /// # Errors
    /// As there.
    pub fn random() -> Result<Self, getrandom::Error> {
        random().map(Self)
    }
}

fn random() -> Result<Arc<str>, getrandom::Error> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)?;
    Ok(URL_SAFE_NO_PAD.encode(bits).into())
}

/// Why a text is no actor's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not 1 to 256 bytes without control characters")]
pub struct NotAName;

/// Who asked for a change, for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Actor(Arc<str>);

impl Actor {
    /// Whoever holds the administrators' token.
    pub const ADMINISTRATOR: &str = "administrator";
    /// `sluice setup`.
    pub const SETUP: &str = "setup";

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Actor {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        let is_one = (1..=ACTOR_BYTES_MAX).contains(&text.len());
        if is_one && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(NotAName)
        }
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.0.as_ref().to_owned()
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
