//! Headers: whatever form they came in, they leave as one object under lower-case names.
//!
//! A name that came twice has an array of its values, in order. Values that are not strings are
//! written as strings, since neither server takes deeper objects for every value.

use std::collections::HashMap;

use crate::config::pipeline::LogPolicy;
use crate::prepare::parse::Parsed;
use crate::prepare::plan::FieldPlan;
use crate::prepare::redact::Redacted;
use crate::prepare::survey::{Slot, each_member};
use crate::prepare::trim::{Pass, head};
use crate::prepare::{Mended, json};
use crate::schema;

use super::names::{Name, Names};
use super::{Encoder, Wrote};

/// The index's limit of one header's value: four bytes a character, in one term of Lucene's.
const VALUE_BYTES_MAX: usize = 8_191;
/// Up to so many headers are compared with each other; more go through a hash table whose keys no
/// sender can guess.
const COMPARED_MAX: usize = 64;
/// An object of more members holds headers under their own names.
const LISTED_MEMBERS_MAX: usize = 8;

/// The headers of one field, used again for every event.
#[derive(Debug, Default)]
pub(super) struct Headers {
    names: Names,
    entries: Vec<Entry>,
    /// One bit for some of the hash of every name: a name whose bit is not set is new.
    seen: u64,
    /// Some name came twice, or looks as if it did.
    maybe_twins: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    /// Its place among the known names.
    name: usize,
    hash: u64,
    value: usize,
    /// The entry of the same name that came next.
    next: Option<usize>,
    /// It is in another's chain.
    follows: bool,
}

impl Headers {
    fn clear(&mut self) {
        self.names.shrink();
        self.entries.clear();
        self.seen = 0;
        self.maybe_twins = false;
    }

    fn name(&self, entry: &Entry) -> Option<&Name> {
        self.names.get(entry.name)
    }

    fn text(&self, entry: &Entry) -> &str {
        self.name(entry).map_or("", |name| &name.lower)
    }

    #[inline]
    fn push(&mut self, name: usize, hash: u64, value: usize) {
        let bit = 1 << (hash >> 58);
        if self.seen & bit != 0 {
            self.maybe_twins |= self.entries.iter().take(COMPARED_MAX).any(|one| one.hash == hash)
                || self.entries.len() > COMPARED_MAX;
        }
        self.seen |= bit;
        self.entries.push(Entry { name, hash, value, next: None, follows: false });
    }

    /// Chains the entries of one name.
    fn chain(&mut self) {
        if !self.maybe_twins {
            return;
        }
        if self.entries.len() > COMPARED_MAX {
            return self.chain_many();
        }
        for at in 1..self.entries.len() {
            let Some(entry) = self.entries.get(at) else { return };
            let same =
                |other: &Entry| other.hash == entry.hash && self.text(other) == self.text(entry);
            let earlier = self.entries.get(..at).unwrap_or_default();
            if let Some(before) = earlier.iter().rposition(same) {
                self.link(before, at);
            }
        }
    }

    fn chain_many(&mut self) {
        let mut links = Vec::new();
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (at, entry) in self.entries.iter().enumerate() {
            if let Some(before) = last.insert(self.text(entry), at) {
                links.push((before, at));
            }
        }
        for (before, at) in links {
            self.link(before, at);
        }
    }

    fn link(&mut self, before: usize, at: usize) {
        if let Some(entry) = self.entries.get_mut(before) {
            entry.next = Some(at);
        }
        if let Some(entry) = self.entries.get_mut(at) {
            entry.follows = true;
        }
    }
}

impl Encoder<'_> {
    /// Writes a field of headers, and keeps what is promoted from them.
    pub(super) fn headers(&mut self, slot: Slot, field: &FieldPlan, at: usize) {
        let pass = field.pass(self.output);
        let event = self.event;
        let is_list = event.is_object(at) || event.is_array(at);
        let is_empty = event.is_null(at) || (is_list && event.len(at) == 0);
        if is_empty || (pass.is_drop() && !self.plan.lifts.any_exported(self.output)) {
            return;
        }
        if slot != schema::HEADERS.index() && !self.allows(LogPolicy::Header) {
            return self.policy_cut();
        }
        if !is_list {
            if !pass.is_drop() {
                self.aside(&field.name, at);
            }
            return;
        }
        let mut headers = std::mem::take(&mut self.work.headers);
        headers.clear();
        self.collect(&mut headers, (field, pass), at);
        headers.chain();
        let start = self.out.len();
        self.out.extend_from_slice(&field.key);
        let open = self.out.len();
        for entry in headers.entries.iter().filter(|entry| !entry.follows) {
            self.header((slot, pass), &headers, entry);
        }
        // The first header's comma is the bracket's place.
        match self.out.get_mut(open) {
            Some(comma) => {
                *comma = b'{';
                self.out.push(b'}');
            }
            None => self.out.truncate(start),
        }
        self.work.headers = headers;
    }

    /// The members of an object, or of every object of an array.
    fn collect(&mut self, headers: &mut Headers, (field, pass): (&FieldPlan, &Pass), at: usize) {
        let event = self.event;
        let mut member = |encoder: &mut Self, key: usize, value: usize| {
            let spelling = event.string(key).unwrap_or_default();
            let place = headers.names.find(spelling, encoder.plan);
            let Some(name) = headers.names.get(place) else { return };
            if !name.refused {
                headers.push(place, name.hash, value);
            } else if !pass.part(&name.lower).is_drop() {
                encoder.aside(&format!("{}.{spelling}", field.name), value);
            }
        };
        each_listed(event, at, |key, value| member(self, key, value));
        for element in event.elements(at) {
            if event.is_object(element) {
                each_listed(event, element, |key, value| member(self, key, value));
            } else if let Some((name, value)) = pair(event, element) {
                member(self, name, value);
            } else if !pass.is_drop() {
                self.aside(&field.name, element);
            }
        }
    }

    /// All values of one name.
    fn header(&mut self, (slot, pass): (Slot, &Pass), headers: &Headers, first: &Entry) {
        let Some(name) = headers.name(first) else { return };
        let event = self.event;
        let dropped = pass.part(&name.lower).is_drop();
        let plain = first.next.is_none() && !dropped && name.passes && name.lifts.is_empty();
        if plain
            && let Some(quoted) = event.quoted(first.value)
            && quoted.len() <= VALUE_BYTES_MAX
        {
            self.out.extend_from_slice(&name.key);
            self.out.extend_from_slice(quoted);
            return;
        }
        let lifts = &*name.lifts;
        if dropped && lifts.is_empty() {
            return;
        }
        let start = self.out.len();
        self.out.extend_from_slice(&name.key);
        let values = self.out.len();
        let mut count = 0;
        let mut next = Some(first);
        while let Some(entry) = next {
            next = entry.next.and_then(|next| headers.entries.get(next));
            // A plain object holds several values of one name as an array.
            let several = event.is_array(entry.value);
            for value in event.elements(entry.value).chain((!several).then_some(entry.value)) {
                let before = self.out.len();
                if count > 0 {
                    self.out.push(b',');
                }
                let written = self.out.len();
                if self.header_value(name, value) == Wrote::Value {
                    count += 1;
                    self.lift_header(slot, lifts, written);
                } else {
                    self.out.truncate(before);
                }
            }
        }
        if count == 0 || dropped {
            self.out.truncate(start);
        } else if count > 1 {
            self.out.insert(values, b'[');
            self.out.push(b']');
        }
    }

    fn header_value(&mut self, name: &Name, at: usize) -> Wrote {
        let event = self.event;
        if event.is_null(at) {
            return Wrote::Nothing;
        }
        if let Some(text) = event.string(at) {
            return match self.redacted(name, text) {
                Redacted::Same if text.len() <= VALUE_BYTES_MAX => {
                    self.copy_string(at, text);
                    Wrote::Value
                }
                redacted => self.cut_header(redacted, text),
            };
        }
        if self.holds_secret(at) {
            let masked = self.mask();
            return self.cut_header(masked, "");
        }
        let start = self.out.len();
        self.copy(at, &Pass::Whole, None);
        self.unfit = false;
        let text = self.out.split_off(start);
        let text = str::from_utf8(&text).unwrap_or_default();
        let redacted = self.redacted(name, text);
        self.cut_header(redacted, text)
    }

    fn redacted(&mut self, name: &Name, text: &str) -> Redacted {
        if name.passes {
            return Redacted::Same;
        }
        self.plan.redactor.header_value(name.rules, text, &mut self.work.redacted)
    }

    /// Whether a secret header stands somewhere inside a value that is no string.
    fn holds_secret(&mut self, at: usize) -> bool {
        let event = self.event;
        let mut is_secret = |key: usize| {
            let name = event.string(key).unwrap_or_default().to_ascii_lowercase();
            self.plan.redactor.header(&name, "x", &mut self.work.redacted) != Redacted::Same
        };
        let listed = listed(event, at).or_else(|| pair(event, at).map(|(name, _)| name));
        listed.is_some_and(&mut is_secret)
            || event.members(at).any(|(key, _)| is_secret(key))
            || event.members(at).any(|(_, value)| self.holds_secret(value))
            || event.elements(at).any(|value| self.holds_secret(value))
    }

    fn cut_header(&mut self, redacted: Redacted, text: &str) -> Wrote {
        let whole = match redacted {
            Redacted::Same => text,
            Redacted::Changed => &self.work.redacted,
            Redacted::Removed => {
                self.mark_once(Mended::Redacted);
                return Wrote::Nothing;
            }
        };
        let kept = head(whole, VALUE_BYTES_MAX);
        let was_cut = kept.len() < whole.len();
        json::write_string(self.out, kept);
        if redacted == Redacted::Changed {
            self.mark_once(Mended::Redacted);
        }
        if was_cut {
            self.mark(Mended::HeaderTruncated);
        }
        Wrote::Value
    }
}

/// Calls `each` with the places of name and value of every header of an object: of its members, or
/// of the one that it lists.
#[inline]
fn each_listed(event: Parsed<'_>, object: usize, mut each: impl FnMut(usize, usize)) {
    let Some(name) = listed(event, object) else {
        return event.members(object).for_each(|(key, value)| each(key, value));
    };
    each_member(&event, object, |key, value| {
        let own_name = event.string(key).unwrap_or_default();
        let says_nothing = own_name == "comment" && event.string(value) == Some("");
        if value != name && !says_nothing {
            each(if is_value(own_name) { name } else { key }, value);
        }
    });
}

/// The place of the name in `{"name":"Accept","value":"*/*"}`, as some tools list headers; HAR adds
/// a comment.
#[inline]
pub(super) fn listed(event: Parsed<'_>, object: usize) -> Option<usize> {
    if (2..=LISTED_MEMBERS_MAX).contains(&event.len(object)) {
        name_of(event, object)
    } else {
        None
    }
}

fn name_of(event: Parsed<'_>, object: usize) -> Option<usize> {
    let (mut name, mut has_value) = (None, false);
    for (key, value) in event.members(object) {
        let key = event.string(key).unwrap_or_default();
        if is_one_of(key, &["name", "key", "header"]) && event.string(value).is_some() {
            name = Some(value);
        }
        has_value |= is_value(key);
    }
    name.filter(|_| has_value)
}

/// Whether a member holds the value of a header that [`listed`] finds the name of.
pub(super) fn is_value(key: &str) -> bool {
    is_one_of(key, &["value", "val", "values"])
}

fn is_one_of(key: &str, names: &[&str]) -> bool {
    names.iter().any(|name| key.eq_ignore_ascii_case(name))
}

/// `["Accept","*/*"]`: the places of both.
fn pair(event: Parsed<'_>, element: usize) -> Option<(usize, usize)> {
    if !event.is_array(element) || event.len(element) != 2 {
        return None;
    }
    let mut texts = event.elements(element);
    let (name, value) = (texts.next()?, texts.next()?);
    (event.string(name).is_some() && event.string(value).is_some()).then_some((name, value))
}
