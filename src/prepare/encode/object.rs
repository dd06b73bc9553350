//! Objects whose parts have types: billing, rate limits, the steps of a call, geo objects.

use crate::prepare::plan::{FieldPlan, PartPlan};
use crate::prepare::survey::each_member;
use crate::prepare::trim::Pass;
use crate::schema::Kind;

use super::{Encoder, NAME_BYTES_MAX, Wrote, has_blank_part};

impl Encoder<'_> {
    /// An object, or an array of objects.
    pub(super) fn object(&mut self, field: &FieldPlan, pass: &Pass, at: usize) -> Wrote {
        let event = self.event;
        if event.is_object(at) {
            return self.parts(field, pass, at, None);
        }
        if event.is_null(at) {
            return Wrote::Nothing;
        }
        let fits = |element| event.is_object(element);
        if !event.is_array(at) || event.len(at) > 0 && !event.elements(at).any(fits) {
            return Wrote::Unfit;
        }
        let start = self.out.len();
        self.out.push(b'[');
        for element in event.elements(at) {
            if fits(element) {
                self.element(|encoder| encoder.parts(field, pass, element, None));
            } else if !event.is_null(element) {
                self.aside(&field.name, element);
            }
        }
        self.out.push(b']');
        self.unless_emptied(start, at)
    }

    /// Rate limits keyed by name become an array of limits that hold their names.
    pub(super) fn rate_limit(&mut self, field: &FieldPlan, pass: &Pass, at: usize) -> Wrote {
        let event = self.event;
        let is_part = |key: usize| {
            let name = event.string(key).unwrap_or_default();
            field.parts.iter().any(|part| *part.name == *name)
        };
        let keyed = event.members(at).any(|(_, value)| event.is_object(value))
            && !event.members(at).any(|(key, value)| is_part(key) && !event.is_object(value));
        if !keyed {
            return self.object(field, pass, at);
        }
        let start = self.out.len();
        self.out.push(b'[');
        each_member(&event, at, |key, limit| {
            if event.is_object(limit) {
                self.element(|encoder| encoder.parts(field, pass, limit, Some(key)));
            } else if !event.is_null(limit) {
                let name = event.string(key).unwrap_or_default();
                self.aside(&format!("{}.{name}", field.name), limit);
            }
        });
        self.out.push(b']');
        self.unless_emptied(start, at)
    }

    /// Writes an object part by part. `named` is the place of a name that becomes its `name`.
    fn parts(
        &mut self,
        field: &FieldPlan,
        pass: &Pass,
        object: usize,
        named: Option<usize>,
    ) -> Wrote {
        const NAME: &str = "name";
        let event = self.event;
        let start = self.out.len();
        if named.is_none() && pass.is_whole() {
            if self.plain_parts(&field.parts, object) {
                return Wrote::Value;
            }
            self.out.truncate(start);
        }
        self.out.push(b'{');
        if let Some(key) = named
            && !pass.part(NAME).is_drop()
        {
            self.out.extend_from_slice(b"\"name\":");
            self.copy_string(key, event.string(key).unwrap_or_default());
        }
        each_member(&event, object, |key, value| {
            let name = event.string(key).unwrap_or_default();
            let pass = pass.part(name);
            if pass.is_drop() {
                return;
            }
            if named.is_some() && name == NAME {
                return self.reserved(&format!("{}.{NAME}", field.name), value);
            }
            let member = self.out.len();
            if self.out.last() != Some(&b'{') {
                self.out.push(b',');
            }
            let wrote = self.part(field, pass, key, value);
            if wrote != Wrote::Value {
                self.out.truncate(member);
            }
            if wrote == Wrote::Unfit {
                self.aside(&format!("{}.{name}", field.name), value);
            }
        });
        self.out.push(b'}');
        self.unless_emptied(start, object)
    }

    /// The short way for what most objects are: known parts of the right types, none of them twice
    /// and none to be redacted. Where it answers `false`, what it wrote is to be taken back.
    fn plain_parts(&mut self, parts: &[PartPlan], object: usize) -> bool {
        let event = self.event;
        let start = self.out.len();
        // One bit for each part that was seen.
        let mut seen = 0_u64;
        let mut next = 0;
        for (key, value) in event.members(object) {
            let name = event.string(key).unwrap_or_default();
            // Parts mostly come in the same order.
            let is_next = parts.get(next).is_some_and(|part| *part.name == *name);
            let at = if is_next {
                Some(next)
            } else {
                parts.iter().position(|part| *part.name == *name)
            };
            let Some((part, at)) = at.and_then(|at| Some((parts.get(at)?, at))) else {
                return false;
            };
            let bit = 1_u64.checked_shl(u32::try_from(at).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
            if seen & bit != 0 || part.handling.is_some() {
                return false;
            }
            seen |= bit;
            next = at + 1;
            self.out.extend_from_slice(&part.key);
            let wrote = match part.kind {
                Kind::Long | Kind::Integer | Kind::Double => self.number(value, part.kind, None),
                Kind::Keyword => self.keyword(value, None),
                _ => return false,
            };
            if wrote != Wrote::Value {
                return false;
            }
        }
        let Some(comma) = self.out.get_mut(start) else { return false };
        // The first part's comma is the bracket's place.
        *comma = b'{';
        self.out.push(b'}');
        true
    }

    fn part(&mut self, field: &FieldPlan, pass: &Pass, key: usize, value: usize) -> Wrote {
        let name = self.event.string(key).unwrap_or_default();
        if let Some(part) = field.parts.iter().find(|part| *part.name == *name) {
            self.out.extend_from_slice(part.key.strip_prefix(b",").unwrap_or_default());
            return self.typed(part.kind, value, part.handling);
        }
        let head = name.split('.').next().unwrap_or_default();
        let refused = name.len() > NAME_BYTES_MAX
            || has_blank_part(name)
            || field.parts.iter().any(|part| *part.name == *head);
        if refused {
            return Wrote::Unfit;
        }
        self.name(key);
        self.unfit = false;
        let path = format!("{}.{name}", field.name);
        self.in_geo = self.plan.redactor.is_geo_object(&field.name);
        let wrote = self.member(name, value, pass, Some(&path));
        self.in_geo = false;
        if self.unfit { Wrote::Unfit } else { wrote }
    }
}
