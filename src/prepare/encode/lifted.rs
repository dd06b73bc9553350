//! Promotion: the value of a header, or of a place in a body, becomes a typed field. What is
//! promoted was redacted before.

use crate::config::pipeline::PromotedKind;
use crate::prepare::enrich;
use crate::prepare::json;
use crate::prepare::parse::reader::Reader;
use crate::prepare::parse::{DEPTH_MAX, Parsed, numbers};
use crate::prepare::plan::{Lift, Lifts, Source};
use crate::prepare::redact::path::{Child, Path, States};
use crate::prepare::survey::Slot;
use crate::prepare::time::Moment;

use super::value::in_range;
use super::{Encoder, Written, put_values};
use crate::schema::Kind;

/// Of one place in a body so many values become a field.
const VALUES_MAX: usize = 64;

/// The values promoted from one event.
#[derive(Debug, Default)]
pub(super) struct Lifted {
    text: Vec<u8>,
    /// The promotion, and its value as JSON.
    values: Vec<(usize, Written)>,
}

impl Lifted {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.values.clear();
    }
}

impl Encoder<'_> {
    /// Keeps the header value that was written at the end of the document, from `start` on.
    #[inline]
    pub(super) fn lift_header(&mut self, field: Slot, lifts: &[(Slot, usize)], start: usize) {
        for &(_, at) in lifts.iter().filter(|(slot, _)| *slot == field) {
            let Some(lift) = self.plan.lifts.all.get(at) else { continue };
            if !self.output.of(lift.exported) {
                continue;
            }
            let quoted = self.out.get(start..).unwrap_or_default();
            let begin = self.work.lifted.text.len();
            if lift.kind == PromotedKind::Keyword {
                self.work.lifted.text.extend_from_slice(quoted);
            } else {
                let value: String = serde_json::from_slice(quoted).unwrap_or_default();
                if !write_typed(&mut self.work.lifted.text, lift.kind, &value) {
                    self.put_aside(&lift.to, &value);
                    continue;
                }
            }
            self.work.lifted.values.push((at, begin..self.work.lifted.text.len()));
        }
    }

    /// Keeps what the promotions find in a body, after redaction.
    pub(super) fn lift_body(&mut self, field: Slot, body: &str) {
        let lifts: &Lifts = &self.plan.lifts;
        let wanted = lifts.of_bodies().iter().filter(|(slot, _)| *slot == field);
        let wanted: Vec<_> = wanted
            .filter_map(|&(_, at)| Some((at, lifts.all.get(at)?)))
            .filter(|(_, lift)| self.output.of(lift.exported))
            .collect();
        if wanted.is_empty() {
            return;
        }
        let mut reader =
            self.work.bodies.take().unwrap_or_else(|| Box::new(Reader::new(DEPTH_MAX)));
        // A body that is no JSON has nothing at any place.
        let found = reader.read(body.as_bytes(), |parsed| {
            let mut found = Vec::new();
            for (at, lift) in wanted {
                if let Source::Body { path, .. } = &lift.source {
                    let mut search = Search { parsed, path, found: Vec::new() };
                    search.children(0, Path::ROOT);
                    found.extend(search.found.into_iter().map(|value| (at, lift, value)));
                }
            }
            found
        });
        reader.shrink();
        self.work.bodies = Some(reader);
        for (at, lift, value) in found.unwrap_or_default() {
            self.lift_value(at, lift, &value);
        }
    }

    fn lift_value(&mut self, at: usize, lift: &Lift, value: &str) {
        let begin = self.work.lifted.text.len();
        if write_typed(&mut self.work.lifted.text, lift.kind, value) {
            self.work.lifted.values.push((at, begin..self.work.lifted.text.len()));
        } else {
            self.put_aside(&lift.to, value);
        }
    }

    /// Writes the objects of promoted fields.
    pub(super) fn promoted(&mut self) {
        let mut values = std::mem::take(&mut self.work.lifted.values);
        // Stable: several values of one promotion keep their order.
        values.sort_by_key(|(at, _)| *at);
        let mut object: Option<&str> = None;
        for same in values.chunk_by(|one, other| one.0 == other.0) {
            let lift = same.first().and_then(|(at, _)| self.plan.lifts.all.get(*at));
            let Some(lift) = lift else { continue };
            let first = object != Some(&*lift.object);
            if first {
                if object.is_some() {
                    self.out.push(b'}');
                }
                self.put_key(&lift.object);
                object = Some(&*lift.object);
            }
            let comma = self.out.len();
            self.put_key(&lift.name);
            if let Some(comma) = self.out.get_mut(comma).filter(|_| first) {
                *comma = b'{';
            }
            let values = same.iter().map(|(_, value)| value.clone());
            put_values(self.out, values, &self.work.lifted.text);
        }
        if object.is_some() {
            self.out.push(b'}');
        }
        values.clear();
        self.work.lifted.values = values;
    }
}

/// Walks a body for one path.
struct Search<'p, 'a> {
    parsed: Parsed<'a>,
    path: &'p Path,
    /// The scalars at the path, as text.
    found: Vec<String>,
}

impl Search<'_, '_> {
    fn children(&mut self, at: usize, states: States) {
        let parsed = self.parsed;
        for (key, value) in parsed.members(at) {
            self.child(value, states, Child::Name(parsed.string(key).unwrap_or_default()));
        }
        for (index, value) in parsed.elements(at).enumerate() {
            self.child(value, states, Child::Index(index));
        }
    }

    fn child(&mut self, at: usize, states: States, child: Child<'_>) {
        let (next, hit) = self.path.enter(states, child);
        if hit && self.found.len() < VALUES_MAX {
            let parsed = self.parsed;
            let text = parsed.string(at).map(str::to_owned).or_else(|| {
                let digits = parsed.number(at).and_then(|digits| str::from_utf8(digits).ok());
                digits.map(str::to_owned).or_else(|| parsed.bool(at).map(|b| b.to_string()))
            });
            self.found.extend(text);
        }
        if next != 0 {
            self.children(at, next);
        }
    }
}

/// Writes a value as its type; answers `false`, and writes nothing, where it is of another.
fn write_typed(out: &mut Vec<u8>, kind: PromotedKind, value: &str) -> bool {
    let number = |kind| {
        numbers::length(value.as_bytes()) == Some(value.len()) && in_range(kind, value.as_bytes())
    };
    match kind {
        PromotedKind::Keyword => json::write_string(out, value),
        PromotedKind::Long if number(Kind::Long) => out.extend_from_slice(value.as_bytes()),
        PromotedKind::Double if number(Kind::Double) => out.extend_from_slice(value.as_bytes()),
        PromotedKind::Boolean if matches!(value, "true" | "false") => {
            out.extend_from_slice(value.as_bytes());
        }
        PromotedKind::Date => {
            let Some(moment) = Moment::of_text(value) else { return false };
            out.push(b'"');
            moment.write(out);
            out.push(b'"');
        }
        PromotedKind::Ip => {
            let Ok(address) = enrich::address(value, None) else { return false };
            out.push(b'"');
            enrich::write_address(out, address);
            out.push(b'"');
        }
        PromotedKind::Long | PromotedKind::Double | PromotedKind::Boolean => return false,
    }
    true
}
