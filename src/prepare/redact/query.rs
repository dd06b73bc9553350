//! Secrets in query strings and URLs: parameters by their name, and `user:password@`.
//!
//! A text is searched as it stands, and again after each round of percent-decoding, so that the
//! parameters of a URL that is itself a parameter's value are found too; what is covered is always
//! the range of the original text, and everything around it stays byte for byte.

use std::cmp::Reverse;
use std::ops::Range;

use memchr::{memchr, memchr3, memmem, memrchr};

use super::Redacted;
use super::cover::{Cover, Cutter, is_covered};
use super::names::Names;
use super::percent::{self, Decoded};
use crate::config::pipeline::RedactAction;

/// How many rounds of percent-decoding are undone. What is encoded deeper cannot be searched, so it
/// is not let through.
pub(super) const DECODE_ROUNDS_MAX: usize = 4;

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

/// The secret parameters; the default is not secret.
pub(super) type Parameters = Names<Option<RedactAction>>;

pub(super) fn redact(
    parameters: &Parameters,
    whole: Whole,
    value: &str,
    cover: &Cover,
    out: &mut String,
) -> Redacted {
    let text = value.as_bytes();
    if memchr3(b'=', b'@', b'%', text).is_none() {
        return Redacted::Same;
    }
    let mut cuts = Vec::new();
    search(parameters, whole, text, &mut cuts);
    if percent::hides_structure(text) && !search_decoded(parameters, whole, text, &mut cuts) {
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
    search_parameters(parameters, text, cuts);
}

/// What a byte means while a name is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    /// Needs decoding or taking apart before names are compared.
    Special,
    /// `=`, or what parts parameters.
    Stop,
}

fn class(byte: u8) -> Class {
    match byte {
        b'%' | b'[' | b']' | b'.' => Class::Special,
        b'=' | b'&' | b';' | b'?' | b'#' => Class::Stop,
        _ => Class::Plain,
    }
}

/// Every `name=` is looked at, also one inside the value of another.
fn search_parameters(parameters: &Parameters, text: &[u8], cuts: &mut Vec<Cut>) {
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
        let end = value_end(text, stop + 1);
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
        match class(byte) {
            Class::Stop => return (start + at, special),
            Class::Special => special = true,
            Class::Plain => {}
        }
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

/// `token`, and the same inside `token[]`, `filter[token]`, `user.token`, in any encoding.
fn secret_name(parameters: &Parameters, name: &[u8], special: bool) -> Option<RedactAction> {
    if !special {
        return parameters.get(name).copied().flatten();
    }
    let decoded;
    let name = if memchr(b'%', name).is_some() {
        decoded = percent::decode_fully(name);
        // Still encoded: nobody means well who writes a name like that.
        if percent::hides_structure(&decoded) {
            return Some(RedactAction::Mask);
        }
        &*decoded
    } else {
        name
    };
    let secret = |name: &[u8]| parameters.get(name).copied().flatten();
    secret(name).or_else(|| name.split(|byte| b"[].&;?#=".contains(byte)).find_map(secret))
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
    if whole == Whole::Url && text.first() != Some(&b'/') {
        userinfo(text, 0, query, cuts);
    }
    for slashes in memmem::find_iter(text, b"//") {
        let before = slashes.checked_sub(1).and_then(|at| text.get(at));
        if matches!(before, None | Some(b':' | b'=')) {
            userinfo(text, slashes + 2, query, cuts);
        }
    }
}

/// The user information of the authority at `start`; inside a query a `&` ends it too.
fn userinfo(text: &[u8], start: usize, query: usize, cuts: &mut Vec<Cut>) {
    let tail = text.get(start..).unwrap_or_default();
    let ends = |byte: &u8| matches!(byte, b'/' | b'?' | b'#') || *byte == b'&' && start >= query;
    let authority = tail.split(ends).next().unwrap_or_default();
    if let Some(length) = memrchr(b'@', authority) {
        cuts.push(Cut { range: start..start + length, action: RedactAction::Mask });
    }
}
