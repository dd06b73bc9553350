//! Secrets in query strings and URLs: parameters by their name, and `user:password@`.
//!
//! Names in JSON that stands within such a text are parameters too.
//!
//! A text is searched as it stands, and again after each round of percent-decoding, so that the
//! parameters of a URL that is itself a parameter's value are found too; what is covered is always
//! the range of the original text, and everything around it stays byte for byte.

use std::cmp::Reverse;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memchr3, memrchr};

use super::Redacted;
use super::body::stricter;
use super::cover::{Cover, Cutter, HASH_PREFIX, is_covered};
use super::members;
use super::names::Names;
use super::percent::{self, Decoded};
use super::words;
use crate::config::pipeline::RedactAction;

/// How many rounds of percent-decoding are undone. What is encoded deeper cannot be searched, so it
/// is not let through.
pub(super) const DECODE_ROUNDS_MAX: usize = 4;

/// How often a text with JSON in it is searched; one that still changes then is not let through.
const SEARCHES_MAX: usize = 8;

/// A scheme of addresses whose user is no secret.
const MAIL: &[u8] = b"mailto:";

/// What a text is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    /// `a=1&b=2`, perhaps with the `?`
    Query,
    /// `https://user:password@host/path?a=1#b=2`, or a part of one.
    Url,
}

/// A range of a text, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cut {
    range: Range<usize>,
    action: RedactAction,
}

/// The secret parameters.
pub(super) type Parameters = Names<RedactAction>;

pub(super) fn redact(
    parameters: &Parameters,
    whole: Whole,
    value: &str,
    cover: &Cover,
    out: &mut String,
) -> Redacted {
    let is_quoted = memchr2(b'"', b'\'', value.as_bytes()).is_some();
    let mut redacted = search_once(parameters, (whole, is_quoted), value, cover, out);
    if !is_quoted {
        return redacted;
    }
    // The two grammars cross each other: what is covered in the one may have stood between two
    // parts of a secret in the other. A hash would be hashed again.
    for _ in 0..SEARCHES_MAX {
        if redacted != Redacted::Changed || out.contains(HASH_PREFIX) {
            return redacted;
        }
        let mut next = String::new();
        redacted = search_once(parameters, (whole, is_quoted), out, cover, &mut next);
        if redacted == Redacted::Same {
            return Redacted::Changed;
        }
        *out = next;
    }
    out.clear();
    Redacted::Removed
}

fn search_once(
    parameters: &Parameters,
    (whole, is_quoted): (Whole, bool),
    value: &str,
    cover: &Cover,
    out: &mut String,
) -> Redacted {
    let text = value.as_bytes();
    if !is_quoted && memchr3(b'=', b'@', b'%', text).is_none() {
        return Redacted::Same;
    }
    let mut cuts = Vec::new();
    search(parameters, whole, text, &mut cuts);
    // Within JSON any encoded byte may matter: white space parts a name from its value.
    let is_hidden = percent::hides_structure(text) || is_quoted && memchr(b'%', text).is_some();
    if is_hidden && !search_decoded(parameters, whole, text, &mut cuts) {
        return Redacted::Removed;
    }
    cuts.retain(|cut| !is_covered(value.get(cut.range.clone()).unwrap_or_default(), cut.action));
    if cuts.is_empty() {
        return Redacted::Same;
    }
    let mut cutter = Cutter::new(value, out);
    for cut in in_order(cuts) {
        cutter.replace(cut.range, |secret, out| match cut.action {
            // Equal values must meet, however they were encoded.
            RedactAction::Hash => {
                cover.write(cut.action, &percent::decode_fully(secret.as_bytes()), out)
            }
            action => cover.write(action, secret.as_bytes(), out),
        });
    }
    cutter.finish()
}

/// Cuts that overlap become one, which does what its first part did; so do masks that touch.
fn in_order(mut cuts: Vec<Cut>) -> Vec<Cut> {
    cuts.sort_by_key(|cut| (cut.range.start, Reverse(cut.range.end)));
    cuts.dedup_by(|next, cut| {
        let overlap = next.range.start < cut.range.end;
        let touch = next.range.start == cut.range.end
            && (next.action, cut.action) == (RedactAction::Mask, RedactAction::Mask);
        if overlap || touch {
            cut.range.end = cut.range.end.max(next.range.end);
        }
        overlap || touch
    });
    cuts
}

/// Searches the text as it reads after each round of decoding. `false` where rounds were left over.
fn search_decoded(parameters: &Parameters, whole: Whole, text: &[u8], cuts: &mut Vec<Cut>) -> bool {
    let mut decoded = Decoded::new(text);
    for _ in 0..DECODE_ROUNDS_MAX {
        decoded.decode();
        let known = cuts.len();
        search(parameters, whole, decoded.text(), cuts);
        for cut in cuts.iter_mut().skip(known) {
            cut.range = decoded.origin(&cut.range);
        }
        if !percent::hides_structure(decoded.text()) {
            return true;
        }
    }
    false
}

fn search(parameters: &Parameters, whole: Whole, text: &[u8], cuts: &mut Vec<Cut>) {
    if memchr(b'@', text).is_some() {
        search_userinfo(whole, text, cuts);
    }
    let path_end = match whole {
        Whole::Query => 0,
        Whole::Url => memchr2(b'?', b'#', text).unwrap_or(text.len()),
    };
    search_parameters(parameters, text, path_end, cuts);
    members::search(
        text,
        |name| secret_name(parameters, name, true),
        // Without its value a member is no JSON, so that one is masked where it should be removed.
        |range, action| match action {
            RedactAction::Remove => cuts.push(Cut { range, action: RedactAction::Mask }),
            action => cuts.push(Cut { range, action }),
        },
    );
}

/// `=`, and what parts parameters.
const STOPS: u128 = mask(b"=&;?#");
/// What stands on either side of these may be a name of its own.
const PARTS: u128 = mask(b"!\"#$&'()*,./:;<=>?@[\\]^`{|}~");
/// A name with one of these needs decoding or taking apart before it is compared.
const SPECIAL: u128 = PARTS | mask(b"%");

/// One bit for each of the bytes, which must be ASCII.
const fn mask(bytes: &[u8]) -> u128 {
    let (mut mask, mut rest) = (0, bytes);
    while let [byte, tail @ ..] = rest {
        mask |= 1 << *byte;
        rest = tail;
    }
    mask
}

fn is_in(mask: u128, byte: u8) -> bool {
    byte.is_ascii() && mask >> byte & 1 == 1
}

/// Every `name=` is looked at, also one inside the value of another.
fn search_parameters(parameters: &Parameters, text: &[u8], path_end: usize, cuts: &mut Vec<Cut>) {
    let mut start = 0;
    // Whether a parameter that stays stands before this one, which decides with which of its
    // separators a removed one goes.
    let mut kept = false;
    while start < text.len() {
        let before = start.checked_sub(1).and_then(|at| text.get(at));
        kept &= !matches!(before, Some(b'?' | b'#'));
        let (stop, special) = name_end(text, start);
        if text.get(stop) != Some(&b'=') {
            kept = true;
            start = stop + 1;
            continue;
        }
        let name = text.get(start..stop).unwrap_or_default();
        let Some(action) = secret_name(parameters, name, special) else {
            kept = true;
            start = stop + 1;
            continue;
        };
        // `;name=value` in a path belongs to one segment.
        let of_segment = before == Some(&b';') || memchr(b'/', name).is_some();
        let end = if of_segment && stop < path_end {
            segment_end(text, stop + 1)
        } else {
            value_end(text, stop + 1)
        };
        if action == RedactAction::Remove {
            let range = with_separator(text, start..end, kept);
            start = range.end.max(end);
            cuts.push(Cut { range, action });
        } else {
            cuts.push(Cut { range: stop + 1..end, action });
            kept = true;
            start = end;
        }
        start += usize::from(start == end);
    }
}

fn name_end(text: &[u8], start: usize) -> (usize, bool) {
    let mut special = false;
    let tail = text.get(start..).unwrap_or_default();
    for (at, &byte) in tail.iter().enumerate() {
        if is_in(STOPS, byte) {
            return (start + at, special);
        }
        special |= is_in(SPECIAL, byte);
    }
    (text.len(), special)
}

/// A parameter with the separator that goes with it.
fn with_separator(text: &[u8], range: Range<usize>, kept: bool) -> Range<usize> {
    let separates = |byte: Option<&u8>| matches!(byte, Some(b'&' | b';'));
    let before = range.start.checked_sub(1).and_then(|at| text.get(at));
    if separates(before) && kept {
        range.start - 1..range.end
    } else if before != Some(&b'=') && separates(text.get(range.end)) {
        range.start..range.end + 1
    } else {
        range
    }
}

/// `token`, and the same inside `token[]`, `filter[token]`, `user.token`, `auth:token`, in any
/// encoding.
pub(super) fn secret_name(
    parameters: &Parameters,
    name: &[u8],
    special: bool,
) -> Option<RedactAction> {
    if !special {
        return secret_word(parameters, name);
    }
    let decoded;
    let name = if memchr(b'%', name).is_some() {
        decoded = percent::decode_fully(name);
        // Nobody means well who writes a name like that.
        if percent::hides_structure(&decoded) || percent::holds_broken_escape(&decoded) {
            return Some(RedactAction::Mask);
        }
        &*decoded
    } else {
        name
    };
    secret_word(parameters, name).or_else(|| {
        let parts = || name.split(|byte| is_in(PARTS, *byte));
        let secrets = parts()
            .filter(|part| !words::is_harmless(part, parts()))
            .filter_map(|part| secret_word(parameters, part));
        secrets.fold(None, |action, other| Some(stricter(action, other)))
    })
}

fn secret_word(parameters: &Parameters, word: &[u8]) -> Option<RedactAction> {
    let action = parameters.get(word).copied()?;
    let is_other = words::is_prefixed_code(word) && parameters.whole(word).is_none();
    (!is_other).then_some(action)
}

/// Where the value of a secret ends: at `&`; at `;`, `?` and `#` only where another parameter
/// begins behind it, for else they may be part of the secret.
fn value_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        let tail = text.get(at..).unwrap_or_default();
        let Some(length) = tail.iter().position(|byte| b"&;?#".contains(byte)) else {
            return text.len();
        };
        let stop = at + length;
        if text.get(stop) == Some(&b'&') || begins_parameter(text, stop + 1) {
            return stop;
        }
        at = stop + 1;
    }
}

/// Where the value of a segment's parameter ends.
fn segment_end(text: &[u8], from: usize) -> usize {
    let tail = text.get(from..).unwrap_or_default();
    tail.iter().position(|byte| b"/;&?#".contains(byte)).map_or(text.len(), |length| from + length)
}

fn begins_parameter(text: &[u8], at: usize) -> bool {
    let (stop, _) = name_end(text, at);
    stop > at && text.get(stop) == Some(&b'=')
}

/// `user:password@` of every authority. The user goes too: tokens are often written there.
fn search_userinfo(whole: Whole, text: &[u8], cuts: &mut Vec<Cut>) {
    let query = match whole {
        Whole::Query => 0,
        Whole::Url => memchr(b'?', text).unwrap_or(text.len()),
    };
    let is_mail = text.get(..MAIL.len()).is_some_and(|head| head.eq_ignore_ascii_case(MAIL));
    if whole == Whole::Url && text.first() != Some(&b'/') && !is_mail {
        userinfo(text, 0, query, cuts);
    }
    // In JSON a slash may be escaped.
    let escapes = |text: &[u8]| text.iter().take_while(|byte| **byte == b'\\').count();
    for slash in memchr_iter(b'/', text) {
        let behind = text.get(slash + 1..).unwrap_or_default();
        let other = escapes(behind);
        if behind.get(other) != Some(&b'/') {
            continue;
        }
        let before = text.get(..slash).unwrap_or_default();
        let before = before.iter().rev().find(|byte| **byte != b'\\');
        if matches!(before, None | Some(b':' | b'=')) {
            userinfo(text, slash + 1 + other + 1, query, cuts);
        }
    }
}

/// The user information of the authority at `start`; inside a query a `&` ends it too.
fn userinfo(text: &[u8], start: usize, query: usize, cuts: &mut Vec<Cut>) {
    let tail = text.get(start..).unwrap_or_default();
    let ends = |byte: &u8| matches!(byte, b'/' | b'?' | b'#') || *byte == b'&' && start >= query;
    let authority = tail.split(ends).next().unwrap_or_default();
    let authority = before_parameter(authority);
    if let Some(length) = memrchr(b'@', authority) {
        cuts.push(Cut { range: start..start + length, action: RedactAction::Mask });
    }
}

/// An authority without the parameter that follows it: `x.com;mail=joe@x.org`. A password may hold
/// `;` and `=` too, so what comes before must be a host, perhaps with its port.
fn before_parameter(authority: &[u8]) -> &[u8] {
    let Some(end) = memchr(b';', authority) else { return authority };
    let (host, parameter) = authority.split_at(end);
    let mut parts = host.splitn(2, |byte| *byte == b':');
    let in_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
    let is_host = parts.next().is_some_and(|name| name.iter().all(in_host) && name.contains(&b'.'))
        && parts.next().is_none_or(|port| port.iter().all(u8::is_ascii_digit));
    if is_host && begins_parameter(parameter, 1) { host } else { authority }
}
