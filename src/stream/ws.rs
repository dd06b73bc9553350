//! WebSocket, as far as a server that mostly writes needs it (RFC 6455): the handshake, and the
//! small messages that a client may send. No extensions: none is offered, none is taken.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

pub mod input;

/// Of RFC 6455, section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// What the decoded `Sec-WebSocket-Key` must come to.
const KEY_BYTES: usize = 16;

/// Why a request is no opening handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    #[error("an upgrade to `websocket` is needed here")]
    NoUpgrade,
    #[error("`Sec-WebSocket-Version` must be 13")]
    Version,
    #[error("`Sec-WebSocket-Key` must be 16 bytes in base64")]
    Key,
}

/// The headers of an opening handshake.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opening<'a> {
    pub connection: Option<&'a str>,
    pub upgrade: Option<&'a str>,
    pub version: Option<&'a str>,
    pub key: Option<&'a str>,
}

impl Opening<'_> {
    /// Whether the client asks for a WebSocket at all.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        let has = |list: Option<&str>, word| has_word(list.unwrap_or_default(), word);
        has(self.connection, "upgrade") && has(self.upgrade, "websocket")
    }

    /// The value of `Sec-WebSocket-Accept`.
    ///
    /// # Errors
    /// The request is no handshake of version 13.
    pub fn accept(&self) -> Result<String, HandshakeError> {
        if !self.is_asked_for() {
            return Err(HandshakeError::NoUpgrade);
        }
        if self.version.map(str::trim) != Some("13") {
            return Err(HandshakeError::Version);
        }
        let key = self.key.map(str::trim).ok_or(HandshakeError::Key)?;
        match STANDARD.decode(key) {
            Ok(bytes) if bytes.len() == KEY_BYTES => {}
            _ => return Err(HandshakeError::Key),
        }
        let mut hash = Sha1::new();
        hash.update(key.as_bytes());
        hash.update(GUID);
        Ok(STANDARD.encode(hash.finalize()))
    }
}

/// Whether a list of words has this one, in whatever letters.
pub(super) fn has_word(list: &str, word: &str) -> bool {
    let mut words = list.split(',');
    words.any(|found| found.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes() {
        let right = Opening {
            connection: Some("keep-alive, Upgrade"),
            upgrade: Some("websocket"),
            version: Some("13"),
            key: Some("dGhlIHNhbXBsZSBub25jZQ=="),
        };
        let check = |opening: Opening<'_>, expected: Result<&str, HandshakeError>| {
            assert_eq!(opening.accept().as_deref().map_err(|error| *error), expected);
        };
        // The example of RFC 6455, section 1.3.
        check(right, Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        check(Opening { connection: Some("close"), ..right }, Err(HandshakeError::NoUpgrade));
        check(Opening { upgrade: None, ..right }, Err(HandshakeError::NoUpgrade));
        check(Opening { version: Some("8"), ..right }, Err(HandshakeError::Version));
        check(Opening { version: None, ..right }, Err(HandshakeError::Version));
        check(Opening { key: Some("short"), ..right }, Err(HandshakeError::Key));
        check(Opening { key: Some("AAAA"), ..right }, Err(HandshakeError::Key));
        check(Opening { key: None, ..right }, Err(HandshakeError::Key));
    }
}
