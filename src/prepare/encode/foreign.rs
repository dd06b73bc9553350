//! What none of the catalogue's fields stands for: copied as it came, and redacted by its name,
//! which may be that of a header or of a field, in any spelling and at any depth.

use crate::prepare::redact::{Handling, Redacted};
use crate::prepare::survey::each_member;
use crate::prepare::trim::Pass;

use super::headers::{is_value, listed};
use super::{Encoder, NAME_BYTES_MAX, NUMBER_BYTES_MAX, Wrote};

impl Encoder<'_> {
    /// Copies a member that is none of the catalogue's. Where a rule is for its place that holds,
    /// else the rule for its name.
    pub(super) fn member(
        &mut self,
        name: &str,
        at: usize,
        pass: &Pass,
        path: Option<&str>,
    ) -> Wrote {
        let outer = self.in_geo;
        let holds_members = self.event.is_object(at) || self.event.is_array(at);
        self.in_geo |= holds_members && self.plan.redactor.is_geo_object(name);
        let wrote = self.by_name(name, at, pass, path);
        self.in_geo = outer;
        wrote
    }

    fn by_name(&mut self, name: &str, at: usize, pass: &Pass, path: Option<&str>) -> Wrote {
        let redactor = &self.plan.redactor;
        let by_path = path.filter(|_| redactor.has_foreign_rules());
        let by_name = match redactor.member(name) {
            Some(own) if redactor.is_secret(own) => Some(own),
            own => by_path.and_then(|path| redactor.member(path)).or(own),
        };
        let by_name = by_name.or_else(|| redactor.geo_ip(name, self.in_geo));
        let Some(by_name) = by_name else { return self.copy(at, pass, path) };
        match by_path.and_then(|path| redactor.handling(path)) {
            Some(place) if redactor.is_secret(place) || !redactor.is_secret(by_name) => {
                self.copy(at, pass, path)
            }
            _ => self.copy_by(by_name, at, pass, path),
        }
    }

    /// Copies what a rule is for that looks at texts; all else is hidden where it could hold what
    /// the rule is to find.
    fn copy_by(&mut self, rule: Handling, at: usize, pass: &Pass, path: Option<&str>) -> Wrote {
        let event = self.event;
        if event.is_array(at) {
            let start = self.out.len();
            self.out.push(b'[');
            for element in event.elements(at) {
                self.element(|encoder| encoder.copy_by(rule, element, pass, path));
            }
            self.out.push(b']');
            return self.unless_emptied(start, at);
        }
        if let Some(text) = event.string(at) {
            // Others use our names and those of headers for what is no URL.
            let is_other = !self.plan.redactor.may_hold(rule, text);
            return self.string(at, Some(rule).filter(|_| !is_other));
        }
        match self.plan.redactor.whole(rule) {
            Redacted::Changed if self.plan.redactor.is_query(rule) && !self.holds_parameter(at) => {
                self.copy(at, pass, path)
            }
            Redacted::Changed if !event.is_null(at) => {
                let masked = self.mask();
                self.put_redacted(masked)
            }
            Redacted::Removed => self.put_redacted(Redacted::Removed),
            _ => self.copy(at, pass, path),
        }
    }

    /// Whether a secret parameter stands somewhere inside a query that is no text.
    fn holds_parameter(&self, at: usize) -> bool {
        let event = self.event;
        let is_secret = |key: usize| {
            let name = event.string(key).unwrap_or_default();
            self.plan.redactor.is_secret_parameter(name)
        };
        event.members(at).any(|(key, value)| is_secret(key) || self.holds_parameter(value))
            || event.elements(at).any(|value| self.holds_parameter(value))
    }

    /// Copies a value, whatever it is: of members of one name the last, numbers digit for digit.
    /// `path` is its dotted name, where rules may be for it. Sets `unfit` where the value holds
    /// what the index refuses anywhere.
    pub(super) fn copy(&mut self, at: usize, pass: &Pass, path: Option<&str>) -> Wrote {
        let event = self.event;
        let path = path.filter(|_| self.plan.redactor.has_foreign_rules());
        if event.is_object(at) {
            return self.copy_object(at, pass, path);
        }
        if event.is_array(at) {
            let start = self.out.len();
            self.out.push(b'[');
            for element in event.elements(at) {
                self.element(|encoder| match encoder.secret_pair(element) {
                    Some(rule) => encoder.copy_pair(rule, element, pass, path),
                    None => encoder.copy(element, pass, path),
                });
            }
            self.out.push(b']');
            return self.unless_emptied(start, at);
        }
        let handling = path.and_then(|path| self.plan.redactor.handling(path));
        if event.string(at).is_some() {
            return self.string(at, handling);
        }
        match event.number(at) {
            Some(digits) if digits.len() > NUMBER_BYTES_MAX => {
                self.unfit = true;
                if handling.is_some() {
                    return Wrote::Nothing;
                }
                self.out.extend_from_slice(digits);
                Wrote::Value
            }
            _ => self.keyword(at, handling),
        }
    }

    /// The rule for `["Authorization","Bearer …"]`, as some tools list headers.
    fn secret_pair(&self, element: usize) -> Option<Handling> {
        let event = self.event;
        if !event.is_array(element) || event.len(element) != 2 {
            return None;
        }
        let name = event.string(event.elements(element).next()?)?;
        let redactor = &self.plan.redactor;
        redactor.member(name).filter(|rule| redactor.is_secret(*rule))
    }

    fn copy_pair(&mut self, rule: Handling, at: usize, pass: &Pass, path: Option<&str>) -> Wrote {
        let event = self.event;
        self.out.push(b'[');
        for (place, element) in event.elements(at).enumerate() {
            self.element(|encoder| match place {
                0 => encoder.copy(element, pass, path),
                _ => encoder.copy_by(rule, element, pass, path),
            });
        }
        self.out.push(b']');
        Wrote::Value
    }

    /// Neither credentials nor cookies are numbers: `{"name":"Cookie","value":3.5}` is an item of
    /// something else.
    fn is_no_header(&self, name: &str, value: usize) -> bool {
        let redactor = &self.plan.redactor;
        self.event.is_number(value)
            && redactor.member(name).is_some_and(|rule| redactor.has_form(rule))
    }

    fn copy_object(&mut self, object: usize, pass: &Pass, path: Option<&str>) -> Wrote {
        let event = self.event;
        let header = listed(event, object).and_then(|name| event.string(name));
        let start = self.out.len();
        self.out.push(b'{');
        each_member(&event, object, |key, value| {
            let own_name = event.string(key).unwrap_or_default();
            let pass = pass.part(own_name);
            if pass.is_drop() {
                return;
            }
            self.unfit |= own_name.len() > NAME_BYTES_MAX;
            let inner = path.map(|path| format!("{path}.{own_name}"));
            let member = self.out.len();
            if self.out.last() != Some(&b'{') {
                self.out.push(b',');
            }
            self.name(key);
            let name = match header {
                Some(header) if is_value(own_name) && !self.is_no_header(header, value) => header,
                _ => own_name,
            };
            if self.member(name, value, pass, inner.as_deref()) != Wrote::Value {
                self.out.truncate(member);
            }
        });
        self.out.push(b'}');
        self.unless_emptied(start, object)
    }
}
