//! Secrets in the values of headers: credentials, cookies, and values that are secret as a whole.

use memchr::memchr_iter;

use super::Redacted;
use super::cover::{Cover, Cutter};
use crate::config::pipeline::RedactAction;

/// How the value of a secret header is built, so that what is no secret in it can stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The whole value is the secret.
    Opaque,
    /// `<scheme> <credentials>`
    Credentials,
    /// `name=value; name=value`
    Cookie,
    /// `name=value; Path=/; HttpOnly`
    SetCookie,
}

impl Shape {
    /// By the letters of the header's name.
    pub(super) fn of(letters: &[u8]) -> Self {
        match letters {
            b"authorization" | b"proxyauthorization" => Self::Credentials,
            b"cookie" => Self::Cookie,
            b"setcookie" => Self::SetCookie,
            _ => Self::Opaque,
        }
    }
}

/// Covers the secrets of one value. Only a scheme of this list stays, for any other first word may
/// be the secret itself.
const SCHEMES: [&str; 29] = [
    "apikey",
    "aws",
    "aws4-ecdsa-p256-sha256",
    "aws4-hmac-sha256",
    "basic",
    "bearer",
    "concealed",
    "digest",
    "dpop",
    "geniekey",
    "gnap",
    "googlelogin",
    "hawk",
    "hoba",
    "jwt",
    "kerberos",
    "mac",
    "mutual",
    "negotiate",
    "ntlm",
    "oauth",
    "privatetoken",
    "scram-sha-1",
    "scram-sha-256",
    "sharedkey",
    "signature",
    "ssws",
    "token",
    "vapid",
];

pub(super) fn redact(
    shape: Shape,
    action: RedactAction,
    value: &str,
    cover: &Cover,
    out: &mut String,
) -> Redacted {
    if action == RedactAction::Remove {
        return Redacted::Removed;
    }
    let mut cutter = Cutter::new(value, out);
    let mut covered = |from: usize, to: usize| cutter.cover(from..to, action, cover);
    match shape {
        Shape::Opaque => covered(0, value.len()),
        Shape::Credentials => covered(credentials(value), value.len()),
        Shape::Cookie => cookies(value, &mut covered),
        Shape::SetCookie => set_cookie(value, &mut covered),
    }
    cutter.finish()
}

/// Where the credentials begin: behind a known scheme and its white space, else at once.
fn credentials(value: &str) -> usize {
    let white = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let bytes = value.as_bytes();
    let begin = bytes.iter().position(|byte| !white(byte)).unwrap_or(bytes.len());
    let tail = bytes.get(begin..).unwrap_or_default();
    let Some(length) = tail.iter().position(white) else { return bare_scheme(value, begin) };
    let (scheme, rest) = tail.split_at(length);
    if !is_scheme(scheme) {
        return 0;
    }
    let space = rest.iter().position(|byte| !white(byte)).unwrap_or(rest.len());
    begin + length + space
}

/// A scheme without credentials holds no secret.
fn bare_scheme(value: &str, begin: usize) -> usize {
    if is_scheme(value.as_bytes().get(begin..).unwrap_or_default()) { value.len() } else { 0 }
}

fn is_scheme(word: &[u8]) -> bool {
    SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// The values of a `Cookie` header; what has no name is a value.
fn cookies(value: &str, covered: &mut impl FnMut(usize, usize)) {
    let bytes = value.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        at = cookie(bytes, at, covered) + 1;
    }
}

/// Covers the value of the pair at `at`, and gives the place of the `;` behind it.
fn cookie(bytes: &[u8], at: usize, covered: &mut impl FnMut(usize, usize)) -> usize {
    let tail = bytes.get(at..).unwrap_or_default();
    let named = tail.iter().position(|&byte| byte == b'=' || byte == b';');
    let from = match named {
        Some(length) if tail.get(length) == Some(&b'=') => at + length + 1,
        _ => at,
    };
    let from = skip_white(bytes, from);
    let end = cookie_end(bytes, from);
    let from = if is_padding(bytes, at, from, end) { skip_white(bytes, at) } else { from };
    covered(from, trim_end(bytes, from, end));
    end
}

/// Whether what looks like a name and its `=` is a value in base64 with the padding behind it.
fn is_padding(bytes: &[u8], at: usize, from: usize, end: usize) -> bool {
    const BASE64_BYTES_MIN: usize = 16;
    let value = bytes.get(from..end).unwrap_or_default().trim_ascii();
    let whole = bytes.get(at..end).unwrap_or_default().trim_ascii();
    let in_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    match value {
        b"" => {
            whole.ends_with(b"=")
                && whole.len() >= BASE64_BYTES_MIN
                && whole.len().is_multiple_of(4)
                && whole.iter().all(in_base64)
        }
        value => value.iter().all(|byte| *byte == b'=') && whole.len() > value.len() + 1,
    }
}

/// Where a cookie's value ends. A quoted value may hold `;`, and one that is never closed runs to
/// the end: better a name too few than a piece of a secret too many.
fn cookie_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    if bytes.get(at) == Some(&b'"') {
        at += 1;
        while let Some(&byte) = bytes.get(at) {
            at += 1 + usize::from(byte == b'\\');
            if byte == b'"' {
                break;
            }
        }
    }
    let tail = bytes.get(at..).unwrap_or_default();
    tail.iter().position(|&byte| byte == b';').map_or(bytes.len(), |length| at + length)
}

fn skip_white(bytes: &[u8], from: usize) -> usize {
    let tail = bytes.get(from..).unwrap_or_default();
    from + tail.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn trim_end(bytes: &[u8], from: usize, end: usize) -> usize {
    let text = bytes.get(from..end).unwrap_or_default();
    end - text.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// The value of a `Set-Cookie` header, and every attribute that is not plainly one. Gateways fold
/// several such headers into one, parted by commas; a comma behind an attribute parts cookies, one
/// in a cookie's value may be part of the secret.
fn set_cookie(value: &str, covered: &mut impl FnMut(usize, usize)) {
    let bytes = value.as_bytes();
    let mut at = cookie(bytes, 0, covered) + 1;
    while at < bytes.len() {
        let tail = bytes.get(at..).unwrap_or_default();
        let length = tail.iter().position(|&byte| byte == b';').unwrap_or(tail.len());
        let attribute = tail.get(..length).unwrap_or_default();
        at = if is_attribute(attribute) {
            at + length
        } else if let Some(comma) = next_cookie(attribute) {
            cookie(bytes, at + comma + 1, covered)
        } else {
            cookie(bytes, at, covered)
        } + 1;
    }
}

/// The comma in `Path=/, name=value`: before it an attribute, behind it a cookie.
fn next_cookie(text: &[u8]) -> Option<usize> {
    memchr_iter(b',', text).find(|&comma| {
        let (attribute, cookie) = text.split_at(comma);
        let cookie = cookie.get(1..).unwrap_or_default().trim_ascii_start();
        let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let length = cookie.iter().take_while(|byte| in_name(byte)).count();
        length > 0 && cookie.get(length) == Some(&b'=') && is_attribute(attribute)
    })
}

fn is_attribute(attribute: &[u8]) -> bool {
    let mut parts = attribute.splitn(2, |&byte| byte == b'=');
    let name = parts.next().unwrap_or_default().trim_ascii();
    let value = parts.next().map(<[u8]>::trim_ascii);
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let Some(value) = value else {
        return name.is_empty() || is("secure") || is("httponly") || is("partitioned");
    };
    let one_of =
        |words: [&str; 3]| words.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    let only = |allowed: &[u8]| {
        value.iter().all(|byte| byte.is_ascii_alphanumeric() || allowed.contains(byte))
    };
    if is("max-age") {
        value.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')
    } else if is("expires") {
        // "Wednesday, 09-Nov-1999 23:12:40 GMT" is the longest date in use.
        value.len() <= 36 && only(b" ,:-+")
    } else if is("domain") {
        only(b".-")
    } else if is("path") {
        value.is_empty() || value.first() == Some(&b'/') && !value.iter().any(|b| b"=,".contains(b))
    } else if is("samesite") {
        one_of(["strict", "lax", "none"])
    } else if is("priority") {
        one_of(["low", "medium", "high"])
    } else {
        false
    }
}
