//! What takes the place of a secret, and putting it there without touching the bytes around it.

use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::Redacted;
use crate::config::pipeline::RedactAction;

/// Stands where a secret stood.
pub const MASK: &str = "[redacted]";

/// Stands before the keyed hash of a secret.
pub const HASH_PREFIX: &str = "hash:";

/// How many bytes of the HMAC are kept: 128 bits, so that no two values meet by chance.
const HASH_BYTES: usize = 16;

/// Writes covers; holds the key of the hashes.
#[derive(Clone)]
pub(super) struct Cover {
    key: Option<Hmac<Sha256>>,
}

impl Cover {
    pub(super) fn new(key: Option<&[u8]>) -> Self {
        Self { key: key.and_then(|key| Hmac::new_from_slice(key).ok()) }
    }

    /// The keyed hash of `secret`; `None` without a key.
    pub(super) fn hash(&self, secret: &[u8]) -> Option<[u8; 32]> {
        let mut mac = self.key.clone()?;
        mac.update(secret);
        Some(mac.finalize().into_bytes().into())
    }

    /// Writes what stands for `secret`: nothing where it is removed.
    pub(super) fn write(&self, action: RedactAction, secret: &[u8], out: &mut String) {
        match action {
            RedactAction::Mask => out.push_str(MASK),
            RedactAction::Remove => {}
            RedactAction::Hash => match self.hash(secret) {
                Some(hash) => {
                    out.push_str(HASH_PREFIX);
                    URL_SAFE_NO_PAD.encode_string(hash.get(..HASH_BYTES).unwrap_or_default(), out);
                }
                None => out.push_str(MASK),
            },
        }
    }
}

impl fmt::Debug for Cover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.key.is_some() { "Cover(keyed)" } else { "Cover" })
    }
}

/// Copies a text with some ranges covered. The ranges come in order and do not overlap.
#[derive(Debug)]
pub(super) struct Cutter<'a> {
    text: &'a str,
    out: &'a mut String,
    /// Up to where the text is copied or covered.
    done: usize,
    changed: bool,
}

impl<'a> Cutter<'a> {
    pub(super) fn new(text: &'a str, out: &'a mut String) -> Self {
        Self { text, out, done: 0, changed: false }
    }

    /// Leaves out the range and lets `write` put something in its place.
    pub(super) fn replace(&mut self, range: Range<usize>, write: impl FnOnce(&str, &mut String)) {
        self.out.push_str(self.text.get(self.done..range.start).unwrap_or_default());
        write(self.text.get(range.clone()).unwrap_or_default(), self.out);
        self.done = range.end;
        self.changed = true;
    }

    /// Covers the range; what is empty or masked already stays as it is.
    pub(super) fn cover(&mut self, range: Range<usize>, action: RedactAction, cover: &Cover) {
        let secret = self.text.get(range.clone()).unwrap_or_default();
        if !is_covered(secret, action) {
            self.replace(range, |secret, out| cover.write(action, secret.as_bytes(), out));
        }
    }

    /// Copies the rest. A text of which nothing is left is removed.
    pub(super) fn finish(self) -> Redacted {
        if !self.changed {
            return Redacted::Same;
        }
        self.out.push_str(self.text.get(self.done..).unwrap_or_default());
        if self.out.is_empty() { Redacted::Removed } else { Redacted::Changed }
    }
}

/// Nothing is to be done for a value that is empty, or masked already.
pub(super) fn is_covered(secret: &str, action: RedactAction) -> bool {
    match action {
        RedactAction::Mask | RedactAction::Hash => secret.is_empty() || secret == MASK,
        RedactAction::Remove => false,
    }
}
