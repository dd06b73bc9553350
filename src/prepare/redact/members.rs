//! Secrets in JSON that stands within a query or a URL: members by their name.
//!
//! The text need not be JSON as a whole, nor well-formed: a quoted name and a colon are enough. The
//! same is found in JSON that is itself the text of a string, with a backslash before each quote.

use std::ops::Range;

use memchr::{memchr2, memmem};

use super::cover::MASK;
use crate::config::pipeline::RedactAction;

/// Gives the range of every secret value to `found`. Takes time linear in the text's length.
pub(super) fn search(
    text: &[u8],
    secret: impl Fn(&[u8]) -> Option<RedactAction>,
    mut found: impl FnMut(Range<usize>, RedactAction),
) {
    let mut open: Option<usize> = None;
    let mut at = 0;
    while let Some(length) = memchr2(b'"', b'\'', text.get(at..).unwrap_or_default()) {
        let close = at + length;
        at = close + 1;
        let Some(begin) = open.replace(close) else { continue };
        if text.get(begin) != text.get(close) {
            continue;
        }
        let Some(from) = behind_colon(text, close + 1) else { continue };
        let name = text.get(begin + 1..close).unwrap_or_default();
        if let Some(action) = secret_name(name, &secret) {
            let value = value(text, from);
            at = at.max(value.end);
            open = None;
            found(value, action);
        }
    }
}

/// A name may hold escapes; one that cannot be read is taken for a secret.
fn secret_name(
    name: &[u8],
    secret: impl Fn(&[u8]) -> Option<RedactAction>,
) -> Option<RedactAction> {
    let has_escapes = |text: &[u8]| memmem::find(text, b"\\u").is_some();
    if !has_escapes(name) {
        return secret(name);
    }
    match serde_json::from_slice::<String>(&[b"\"", name, b"\""].concat()) {
        Ok(name) if !has_escapes(name.as_bytes()) => secret(name.as_bytes()),
        _ => Some(RedactAction::Mask),
    }
}

/// Where the value begins, where a colon follows.
fn behind_colon(text: &[u8], from: usize) -> Option<usize> {
    let colon = skip_white(text, from);
    (text.get(colon) == Some(&b':')).then(|| skip_white(text, colon + 1))
}

fn skip_white(text: &[u8], mut at: usize) -> usize {
    loop {
        at += match text.get(at..).unwrap_or_default() {
            [b' ' | b'\t' | b'\r' | b'\n' | b'+', ..] => 1,
            [b'%', b'2', b'0', ..] | [b'%', b'0', b'9' | b'a' | b'A' | b'd' | b'D', ..] => 3,
            _ => return at,
        }
    }
}

/// The value that begins at `from`; of a string what is between its quotes. What holds more values,
/// or is never closed, runs to the end of the text: better too much than a piece of a secret.
fn value(text: &[u8], from: usize) -> Range<usize> {
    let tail = text.get(from..).unwrap_or_default();
    let slashes = tail.iter().take_while(|byte| **byte == b'\\').count();
    match tail.get(slashes) {
        Some(&quote @ (b'"' | b'\'')) => {
            let begin = from + slashes + 1;
            begin..string_end(text, begin, (quote, slashes))
        }
        Some(b'{' | b'[') if !tail.starts_with(MASK.as_bytes()) => from..text.len(),
        _ => {
            let ends = |byte: &u8| byte.is_ascii_whitespace() || b",}]&\"'".contains(byte);
            let length = match tail.strip_prefix(MASK.as_bytes()) {
                // What another search has masked may end at any byte that parts something.
                Some(rest) => {
                    let joined = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric());
                    MASK.len() + joined.count()
                }
                None => tail.iter().position(ends).unwrap_or(tail.len()),
            };
            from..from + length
        }
    }
}

/// Where a string ends: at the first of its quotes that has no more backslashes before it than the
/// opening one.
fn string_end(text: &[u8], begin: usize, (quote, slashes): (u8, usize)) -> usize {
    let mut run = 0;
    for (at, &byte) in text.iter().enumerate().skip(begin) {
        match byte {
            b'\\' => run += 1,
            _ if byte == quote && run <= slashes => return at - run,
            _ => run = 0,
        }
    }
    text.len()
}
