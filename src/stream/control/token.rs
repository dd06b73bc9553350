//! Tokens: shown in full once, afterwards known by their digest. And the one secret that must be
//! kept as it is, the key of the cursors.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Lets a scanner find a token that leaked, and keeps it from beginning with a dash.
const PREFIX: &str = "slc_";
const SECRET_BYTES: usize = 32;

/// A token's secret. It has no `Clone`, is in no record, and neither `Debug` nor `Display` shows it.
pub struct Token(String);

impl Token {
    /// A new one: 256 bits from the system.
    ///
    /// # Errors
    /// Where the system gives no random bits.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bits = [0; SECRET_BYTES];
        getrandom::fill(&mut bits)?;
        let mut text = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(bits, &mut text);
        Ok(Self(text))
    }

    /// The secret itself: 47 letters, digits, `-` and `_`. To be shown once, to whoever asked for
    /// it, and never to be logged.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The last four characters, by which people tell tokens apart: 24 of 256 bits.
    #[must_use]
    pub fn last_four(&self) -> String {
        self.0.chars().skip(self.0.len().saturating_sub(4)).collect()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The SHA-256 of a token's text. Two are compared in constant time.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of whatever was presented as a token.
    #[must_use]
    pub fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented.as_bytes()).into())
    }

    /// What it is found by before it is compared. That this is no constant time tells nothing: who
    /// does not know the token cannot choose its digest.
    pub(super) fn bucket(&self) -> u64 {
        let first = self.0.first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(first)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        URL_SAFE_NO_PAD.encode(digest.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        bytes.try_into().map(Self).or(Err("is no SHA-256 in base64"))
    }
}

/// What is known of the administrators' token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminToken {
    pub digest: Digest,
    /// Of [`session_secret`]: whoever reads the control topic can make neither the token nor what a
    /// browser holds in its place.
    pub session: Digest,
}

impl AdminToken {
    /// Of the token itself.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self { digest: Digest::of(token), session: Digest::of(&session_secret(token)) }
    }
}

/// What a browser's session holds instead of the administrators' token, from which it is made and
/// which it does not tell.
#[must_use]
pub fn session_secret(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(keyed(token.as_bytes(), &[b"sluice administrators' session"]))
}

/// HMAC-SHA256 of the parts, one after the other.
pub(crate) fn keyed(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

const KEY_BYTES: usize = 32;

/// The key that signs cursors, where none is configured. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CursorKey([u8; KEY_BYTES]);

impl CursorKey {
    /// No key at all, in the place of one.
    pub(super) const BLANK: Self = Self([0; KEY_BYTES]);

    /// A new one: 256 bits from the system.
    ///
    /// # Errors
    /// Where the system gives no random bits.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bits = [0; KEY_BYTES];
        getrandom::fill(&mut bits)?;
        Ok(Self(bits))
    }

    /// The key itself, never to be logged or shown.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(..)")
    }
}

impl From<CursorKey> for String {
    fn from(key: CursorKey) -> Self {
        URL_SAFE_NO_PAD.encode(key.0)
    }
}

impl TryFrom<String> for CursorKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        bytes.try_into().map(Self).or(Err("is no key of 32 bytes in base64"))
    }
}
