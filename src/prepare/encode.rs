//! One event becomes one document: its members in the order in which they came, each in the shape
//! that the index takes, redacted and trimmed, then what Sluice adds.
//!
//! The bytes are written once, straight from the parsed tape. A value that the index would refuse
//! for its shape moves to `unparsed`, and what came under a name of ours to `source`.

use std::ops::Range;

use crate::schema;

use super::Mended;
use super::enrich::look_up::Enriched;
use super::json;
use super::parse::Parsed;
use super::parse::reader::Reader;
use super::plan::{Act, FieldPlan, Output, Plan};
use super::stamp::{Datetime, Id, Stamp};
use super::survey::{Member, Slot};
use super::trim::Pass;
use crate::config::pipeline::LogPolicy;

mod value;
mod foreign;
mod object;
mod headers;
mod names;
mod aside;
mod lifted;
mod derived;

/// Longer names are no names to the index.
pub(super) const NAME_BYTES_MAX: usize = 32 * 1024;
/// Longer numbers are refused by the parser of both servers (Jackson's `maxNumberLength`).
const NUMBER_BYTES_MAX: usize = 1_000;

/// What was mended in one event.
pub(crate) type Marks = [u64; Mended::COUNT];

/// The memory of one worker, used again for every event.
#[derive(Default)]
pub(crate) struct Work {
    redacted: String,
    headers: headers::Headers,
    asides: aside::Asides,
    lifted: lifted::Lifted,
    /// Reads JSON bodies, for promotions.
    bodies: Option<Box<Reader>>,
}

impl Work {
    /// For another plan.
    pub(crate) fn forget(&mut self) {
        self.headers = headers::Headers::default();
    }
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrote {
    /// It is in the document.
    Value,
    /// It is left out.
    Nothing,
    /// The index would refuse it here.
    Unfit,
}

/// Writes one document for one output.
pub(crate) struct Encoder<'a> {
    event: Parsed<'a>,
    enriched: Enriched<'a>,
    plan: &'a Plan,
    stamp: &'a Stamp<'a>,
    output: Output,
    work: &'a mut Work,
    out: &'a mut Vec<u8>,
    marks: Marks,
    /// Something in the value that was written last would be refused wherever it stood.
    unfit: bool,
    /// Inside a geo object, whatever its name.
    in_geo: bool,
}

/// Writes the action line of an event, with its newline.
pub(crate) fn action(out: &mut Vec<u8>, stamp: &Stamp<'_>, enriched: &Enriched<'_>) {
    out.extend_from_slice(br#"{"create":{"_index":""#);
    stamp.write_index(out, enriched.stamped.day);
    out.extend_from_slice(br#"","_id":"#);
    write_id(out, &enriched.stamped.id);
    out.extend_from_slice(b"}}\n");
}

fn write_id(out: &mut Vec<u8>, id: &Id<'_>) {
    out.push(b'"');
    match id {
        Id::Coordinates(id) => out.extend_from_slice(id),
        Id::Own(id) => json::write_escaped(out, id),
    }
    out.push(b'"');
}

/// Writes the document of an event, without a newline, and answers what was mended.
pub(crate) fn document(
    out: &mut Vec<u8>,
    (enriched, output): (Enriched<'_>, Output),
    plan: &Plan,
    stamp: &Stamp<'_>,
    work: &mut Work,
) -> Marks {
    work.asides.clear();
    work.lifted.clear();
    let mut encoder = Encoder {
        event: enriched.stamped.event.object,
        enriched,
        plan,
        stamp,
        output,
        work,
        out,
        marks: [0; Mended::COUNT],
        unfit: false,
        in_geo: false,
    };
    encoder.stamped();
    for member in enriched.stamped.event.survey.members() {
        match member.slot.and_then(|slot| Some((slot, plan.field(slot)?))) {
            Some((slot, field)) => encoder.field(slot, field, member),
            None => encoder.unknown(member),
        }
    }
    encoder.derived();
    encoder.out.push(b'}');
    encoder.marks
}

impl<'a> Encoder<'a> {
    fn mark(&mut self, mended: Mended) {
        if let Some(mark) = self.marks.get_mut(mended.index()) {
            *mark += 1;
        }
    }

    fn mark_once(&mut self, mended: Mended) {
        if let Some(mark) = self.marks.get_mut(mended.index()) {
            *mark = 1;
        }
    }

    fn has_mark(&self, mended: Mended) -> bool {
        self.marks.get(mended.index()).is_some_and(|&mark| mark > 0)
    }

    fn stamped(&mut self) {
        let stamped = &self.enriched.stamped;
        self.out.extend_from_slice(br#"{"@timestamp":""#);
        self.out.extend_from_slice(&self.stamp.timestamp);
        self.out.extend_from_slice(br#"","@version":"1","event_id":"#);
        write_id(self.out, &stamped.id);
        let (missing, undated) = (stamped.datetime == Datetime::Missing, stamped.day.is_none());
        let policy_unknown = stamped.policy_unknown;
        if stamped.event.repaired {
            self.mark_once(Mended::Repaired);
        }
        if undated {
            self.mark_once(Mended::Undated);
        }
        if policy_unknown {
            self.mark_once(Mended::PolicyUnknown);
        }
        if missing {
            self.mark_once(Mended::DatetimeMissing);
            self.put_key("datetime");
            self.own_time();
        }
    }

    /// The event's time where it says none: ours.
    fn own_time(&mut self) {
        self.out.push(b'"');
        self.out.extend_from_slice(&self.stamp.timestamp);
        self.out.push(b'"');
    }

    /// Writes the comma and a name that needs no escape.
    #[inline]
    fn put_key(&mut self, name: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn field(&mut self, slot: Slot, field: &FieldPlan, member: Member) {
        let pass = field.pass(self.output);
        let at = member.value;
        match field.act {
            Act::Headers => return self.headers(slot, field, at),
            Act::Body => return self.body(slot, field, at),
            Act::Reserved => return self.reserved(&field.name, at),
            // Written with what Sluice adds.
            Act::Tags => return,
            _ if pass.is_drop() => return,
            _ => {}
        }
        let start = self.out.len();
        self.out.extend_from_slice(&field.key);
        let wrote = match field.act {
            Act::Keyword => self.keyword(at, field.handling),
            Act::Number(kind) => self.number(at, kind, field.handling),
            Act::Address => self.address(at, field.handling),
            Act::Datetime => self.datetime(at),
            Act::QueryString => self.query_string(at, field.handling),
            Act::Geo(pair) if self.enriched.places.hit(pair) => Wrote::Nothing,
            Act::Geo(_) | Act::Object => self.object(field, pass, at),
            Act::RateLimit => self.rate_limit(field, pass, at),
            Act::Foreign => {
                self.out.truncate(start);
                if self.is_above_policy(&field.name, at) {
                    return self.policy_cut();
                }
                return self.foreign(&field.name, pass, member);
            }
            Act::Headers | Act::Body | Act::Reserved | Act::Tags => Wrote::Nothing,
        };
        if wrote != Wrote::Value {
            self.out.truncate(start);
        }
        if wrote == Wrote::Unfit {
            self.aside(&field.name, at);
        }
    }

    /// A member that the plan does not name.
    fn unknown(&mut self, member: Member) {
        let name = self.event.string(member.key).unwrap_or_default();
        let head = name.split('.').next().unwrap_or_default();
        let of_head = self.plan.slot(head).filter(|_| head.len() < name.len());
        let act = of_head.and_then(|slot| self.plan.field(slot)).map(|field| field.act);
        let pass = of_head.map_or(&Pass::Whole, |slot| self.below(slot, name));
        match act {
            None if !self.output.of(self.plan.unknown) => return,
            Some(Act::Foreign) | None if self.is_above_policy(head, member.value) => {
                return self.policy_cut();
            }
            Some(Act::Foreign) | None => {}
            Some(Act::Reserved) => return self.reserved(name, member.value),
            Some(_) if pass.is_drop() => return,
            Some(Act::Headers) if !self.allows(LogPolicy::Header) => return self.policy_cut(),
            Some(Act::Body) if !self.allows(LogPolicy::Payload) => return self.policy_cut(),
            // Part of a field that is mapped: OpenSearch refuses it, and it has no shape checked.
            Some(_) => return self.aside(name, member.value),
        }
        if is_refused(name) && !pass.is_drop() {
            return self.aside(name, member.value);
        }
        self.foreign(name, pass, member);
    }

    /// Whether a member is headers or a body by the letters of its name, and more than the event's
    /// policy allows.
    fn is_above_policy(&self, name: &str, at: usize) -> bool {
        if self.allows(LogPolicy::Payload) {
            return false;
        }
        let is_list = self.event.is_object(at) || self.event.is_array(at);
        let is_empty = self.event.is_null(at)
            || self.event.string(at) == Some("")
            || is_list && self.event.len(at) == 0;
        !is_empty && self.plan.policies.get(name.as_bytes()).is_some_and(|&of| !self.allows(of))
    }

    /// What goes out of a part of a field, by the part's dotted name.
    fn below(&self, slot: Slot, dotted: &str) -> &'a Pass {
        let pass = self.plan.pass(slot, self.output);
        let (_, rest) = dotted.split_once('.').unwrap_or((dotted, ""));
        if self.plan.field(slot).is_some_and(|field| field.act == Act::Headers) {
            return pass.part(&rest.to_ascii_lowercase());
        }
        pass.below(rest)
    }

    /// Copies what the index does not look into.
    fn foreign(&mut self, name: &str, pass: &Pass, member: Member) {
        if pass.is_drop() {
            return;
        }
        let start = self.out.len();
        self.out.push(b',');
        self.name(member.key);
        self.unfit = false;
        let wrote = self.member(name, member.value, pass, Some(name));
        if self.unfit {
            self.out.truncate(start);
            self.aside(name, member.value);
        } else if wrote != Wrote::Value {
            self.out.truncate(start);
        }
    }

    /// Writes the name of a member and its colon.
    fn name(&mut self, key: usize) {
        match self.event.quoted(key) {
            Some(quoted) => self.out.extend_from_slice(quoted),
            None => json::write_string(self.out, self.event.string(key).unwrap_or_default()),
        }
        self.out.push(b':');
    }

    fn datetime(&mut self, at: usize) -> Wrote {
        match self.enriched.stamped.datetime {
            Datetime::Missing => Wrote::Nothing,
            Datetime::Read(moment) => {
                match self.event.quoted(at).filter(|_| moment.canonical) {
                    Some(quoted) => self.out.extend_from_slice(quoted),
                    None => {
                        self.out.push(b'"');
                        moment.write(self.out);
                        self.out.push(b'"');
                    }
                }
                Wrote::Value
            }
            Datetime::Unreadable => {
                self.mark_once(Mended::DatetimeUnreadable);
                self.aside(schema::DATETIME.name(), at);
                self.own_time();
                Wrote::Value
            }
        }
    }

    fn allows(&self, policy: LogPolicy) -> bool {
        self.enriched.stamped.policy >= policy
    }

    fn policy_cut(&mut self) {
        self.mark_once(Mended::PolicyCut);
    }
}

/// Whether the index refuses a document that has a member of this name.
pub(super) fn is_refused(name: &str) -> bool {
    name.len() > NAME_BYTES_MAX || name.starts_with('_') || has_blank_part(name)
}

/// Both servers refuse names that are blank, by Java's word for it too: there the separators from
/// U+001C on are white space.
fn has_blank_part(name: &str) -> bool {
    let is_white = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    name.split('.').any(|part| part.chars().all(is_white))
}

/// The place in a buffer where something was written.
type Written = Range<usize>;

/// Copies values out of another buffer: one as it is, several as an array.
fn put_values(out: &mut Vec<u8>, values: impl ExactSizeIterator<Item = Written>, text: &[u8]) {
    let several = values.len() > 1;
    if several {
        out.push(b'[');
    }
    for (place, value) in values.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(text.get(value).unwrap_or_default());
    }
    if several {
        out.push(b']');
    }
}
