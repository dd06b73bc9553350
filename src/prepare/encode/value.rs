//! Single values: text, keywords, numbers, addresses, points, and what is copied as it came.

use crate::prepare::parse::numbers;
use crate::prepare::redact::{Handling, Redacted};
use crate::prepare::survey::each_member;
use crate::prepare::trim::Pass;
use crate::prepare::{Mended, json};
use crate::schema::Kind;

use super::headers::pair;
use super::{Encoder, NAME_BYTES_MAX, NUMBER_BYTES_MAX, Wrote};

/// From here on a float is beyond every `long`.
const LONG_END: f64 = 9_223_372_036_854_775_808.0;
/// A number so short is in every range.
const SHORT_BYTES: usize = 9;

impl Encoder<'_> {
    /// A typed value within an object.
    pub(super) fn typed(&mut self, kind: Kind, at: usize, handling: Option<Handling>) -> Wrote {
        match kind {
            Kind::Long | Kind::Integer | Kind::Double => self.number(at, kind, handling),
            Kind::Ip => self.address(at, handling),
            Kind::GeoPoint => self.point(at),
            _ => self.keyword(at, handling),
        }
    }

    /// A string, number or boolean, or an array of these.
    #[inline]
    pub(super) fn keyword(&mut self, at: usize, handling: Option<Handling>) -> Wrote {
        if handling.is_none()
            && let Some(quoted) = self.event.quoted(at)
        {
            self.out.extend_from_slice(quoted);
            return Wrote::Value;
        }
        if self.event.string(at).is_some() {
            return self.string(at, handling);
        }
        if let Some(digits) = self.event.number(at) {
            return self.scalar(digits, handling);
        }
        if let Some(value) = self.event.bool(at) {
            return self.scalar(if value { b"true" } else { b"false" }, handling);
        }
        if self.event.is_null(at) {
            self.out.extend_from_slice(b"null");
            return Wrote::Value;
        }
        if self.event.is_array(at) { self.keywords(at, handling) } else { Wrote::Unfit }
    }

    fn keywords(&mut self, array: usize, handling: Option<Handling>) -> Wrote {
        let event = self.event;
        let start = self.out.len();
        self.out.push(b'[');
        for at in event.elements(array) {
            if event.is_array(at) || self.element(|encoder| encoder.keyword(at, handling)) {
                return Wrote::Unfit;
            }
        }
        self.out.push(b']');
        self.unless_emptied(start, array)
    }

    /// Writes an element of an array, with its comma; answers whether it does not fit.
    pub(super) fn element(&mut self, write: impl FnOnce(&mut Self) -> Wrote) -> bool {
        let start = self.out.len();
        if self.out.last() != Some(&b'[') {
            self.out.push(b',');
        }
        match write(self) {
            Wrote::Value => false,
            Wrote::Nothing => {
                self.out.truncate(start);
                false
            }
            Wrote::Unfit => true,
        }
    }

    /// A string, redacted where there is something to do for it.
    pub(super) fn string(&mut self, at: usize, handling: Option<Handling>) -> Wrote {
        let Some(text) = self.event.string(at) else { return Wrote::Unfit };
        if let Some(handling) = handling {
            match self.plan.redactor.handled(handling, text, &mut self.work.redacted) {
                Redacted::Same => {}
                redacted => return self.put_redacted(redacted),
            }
        }
        self.copy_string(at, text);
        Wrote::Value
    }

    /// Writes what a redaction that changed something left.
    pub(super) fn put_redacted(&mut self, redacted: Redacted) -> Wrote {
        self.mark_once(Mended::Redacted);
        if redacted == Redacted::Removed {
            return Wrote::Nothing;
        }
        json::write_string(self.out, &self.work.redacted);
        Wrote::Value
    }

    #[inline]
    pub(super) fn copy_string(&mut self, at: usize, text: &str) {
        match self.event.quoted(at) {
            Some(quoted) => self.out.extend_from_slice(quoted),
            None => json::write_string(self.out, text),
        }
    }

    /// A number or a boolean as it came, where no rule says otherwise.
    fn scalar(&mut self, text: &[u8], handling: Option<Handling>) -> Wrote {
        if let Some(handling) = handling {
            let text = str::from_utf8(text).unwrap_or_default();
            match self.plan.redactor.handled(handling, text, &mut self.work.redacted) {
                Redacted::Same => {}
                redacted => return self.put_redacted(redacted),
            }
        }
        if text.len() > NUMBER_BYTES_MAX {
            return Wrote::Unfit;
        }
        self.out.extend_from_slice(text);
        Wrote::Value
    }

    /// A number, or a string that is byte for byte one: it loses its quotes. Its digits stay.
    pub(super) fn number(&mut self, at: usize, kind: Kind, handling: Option<Handling>) -> Wrote {
        let text = match self.event.number(at) {
            Some(digits) => digits,
            None => match self.event.string(at) {
                Some(text) if numbers::length(text.as_bytes()) == Some(text.len()) => {
                    text.as_bytes()
                }
                None if self.event.is_null(at) => {
                    self.out.extend_from_slice(b"null");
                    return Wrote::Value;
                }
                _ => return Wrote::Unfit,
            },
        };
        if !in_range(kind, text) {
            return Wrote::Unfit;
        }
        match self.scalar(text, handling) {
            // What a rule makes of a number is no number.
            Wrote::Value if handling.is_some() && self.out.last() == Some(&b'"') => Wrote::Nothing,
            wrote => wrote,
        }
    }

    pub(super) fn address(&mut self, at: usize, handling: Option<Handling>) -> Wrote {
        if self.event.is_null(at) {
            self.out.extend_from_slice(b"null");
            return Wrote::Value;
        }
        self.string(at, handling)
    }

    /// Longitude and latitude in an array, or an object of both.
    pub(super) fn point(&mut self, at: usize) -> Wrote {
        let event = self.event;
        let degrees = |at: usize| {
            let text = str::from_utf8(event.number(at)?).ok()?;
            text.parse::<f64>().ok()
        };
        let is_place = |longitude: Option<f64>, latitude: Option<f64>| {
            longitude.is_some_and(|degrees| degrees.abs() <= 180.0)
                && latitude.is_some_and(|degrees| degrees.abs() <= 90.0)
        };
        let fits = if event.is_array(at) && event.len(at) == 2 {
            let mut elements = event.elements(at).map(degrees);
            is_place(elements.next().flatten(), elements.next().flatten())
        } else if event.is_object(at) && event.len(at) == 2 {
            let part = |name: &str| {
                let mut members = event.members(at);
                members.find(|(key, _)| event.string(*key) == Some(name)).and_then(|m| degrees(m.1))
            };
            is_place(part("lon"), part("lat"))
        } else {
            event.is_null(at)
        };
        if fits { self.copy(at, &Pass::Whole, None) } else { Wrote::Unfit }
    }

    /// The query string: an array of one or more is joined, an empty one is absent.
    pub(super) fn query_string(&mut self, at: usize, handling: Option<Handling>) -> Wrote {
        let event = self.event;
        if !event.is_array(at) {
            if event.string(at) == Some("") || event.is_null(at) {
                return Wrote::Nothing;
            }
            return self.keyword(at, handling);
        }
        let mut elements = event.elements(at).map(|at| event.string(at));
        let Some(texts) = elements.by_ref().collect::<Option<Vec<_>>>() else {
            return Wrote::Unfit;
        };
        let joined = texts.join("&");
        if joined.is_empty() {
            return Wrote::Nothing;
        }
        if let Some(handling) = handling {
            match self.plan.redactor.handled(handling, &joined, &mut self.work.redacted) {
                Redacted::Same => {}
                redacted => return self.put_redacted(redacted),
            }
        }
        json::write_string(self.out, &joined);
        Wrote::Value
    }

    /// Copies a member that is none of the catalogue's. Where a rule is for its place that holds,
    /// else the rule for its name.
    pub(super) fn member(
        &mut self,
        name: &str,
        at: usize,
        pass: &Pass,
        path: Option<&str>,
    ) -> Wrote {
        let redactor = &self.plan.redactor;
        let Some(by_name) = redactor.member(name) else { return self.copy(at, pass, path) };
        let by_path = path.filter(|_| redactor.has_foreign_rules());
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
        let is_text = event.string(at).is_some();
        let whole = if is_text { Redacted::Same } else { self.plan.redactor.whole(rule) };
        match whole {
            Redacted::Same if is_text => self.string(at, Some(rule)),
            Redacted::Changed if !event.is_null(at) => {
                let masked = self.mask();
                self.put_redacted(masked)
            }
            Redacted::Removed => self.put_redacted(whole),
            _ => self.copy(at, pass, path),
        }
    }

    /// Copies a value, whatever it is: of members of one name the last, numbers digit for digit.
    /// `path` is its dotted name, where rules may be for it. Sets `unfit` where the value holds
    /// what the index refuses anywhere.
    pub(super) fn copy(&mut self, at: usize, pass: &Pass, path: Option<&str>) -> Wrote {
        let event = self.event;
        let path = path.filter(|_| self.plan.redactor.has_foreign_rules());
        let handling = path.and_then(|path| self.plan.redactor.handling(path));
        if event.is_object(at) {
            return self.copy_object(at, pass, path);
        }
        if event.is_array(at) {
            let start = self.out.len();
            self.out.push(b'[');
            for element in event.elements(at) {
                self.element(|encoder| encoder.copy(element, pass, path));
            }
            self.out.push(b']');
            return self.unless_emptied(start, at);
        }
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

    fn copy_object(&mut self, object: usize, pass: &Pass, path: Option<&str>) -> Wrote {
        let event = self.event;
        let pair = pair(event, object);
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
            let name = pair.filter(|pair| pair.1 == value).and_then(|pair| event.string(pair.0));
            let name = name.unwrap_or(own_name);
            if self.member(name, value, pass, inner.as_deref()) != Wrote::Value {
                self.out.truncate(member);
            }
        });
        self.out.push(b'}');
        self.unless_emptied(start, object)
    }

    /// An object or array that held something, of which nothing is left, is left out.
    pub(super) fn unless_emptied(&self, start: usize, at: usize) -> Wrote {
        let emptied = self.out.len() == start + 2 && self.event.len(at) > 0;
        if emptied { Wrote::Nothing } else { Wrote::Value }
    }
}

/// Whether a JSON number is one that a field of this kind holds.
pub(super) fn in_range(kind: Kind, text: &[u8]) -> bool {
    if text.len() <= SHORT_BYTES && !text.iter().any(|byte| matches!(byte, b'e' | b'E')) {
        return true;
    }
    let Ok(text) = str::from_utf8(text) else { return false };
    if let Ok(number) = text.parse::<i64>() {
        return kind != Kind::Integer || i32::try_from(number).is_ok();
    }
    let Ok(number) = text.parse::<f64>() else { return false };
    let is_integer = !text.contains(['.', 'e', 'E']);
    match kind {
        Kind::Double => number.is_finite(),
        // The digits of an integer said already that it is too large.
        _ if is_integer => false,
        Kind::Integer => (f64::from(i32::MIN)..f64::from(i32::MAX) + 1.0).contains(&number),
        _ => (-LONG_END..LONG_END).contains(&number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let check = |text: &str, expected: [bool; 3]| {
            let found = [Kind::Integer, Kind::Long, Kind::Double];
            assert_eq!(found.map(|kind| in_range(kind, text.as_bytes())), expected, "{text}");
        };
        check("0", [true; 3]);
        check("-0", [true; 3]);
        check("0.1000", [true; 3]);
        check("1e3", [true; 3]);
        check("2147483647", [true; 3]);
        check("2147483648", [false, true, true]);
        check("-2147483649", [false, true, true]);
        check("9223372036854775807", [false, true, true]);
        check("9223372036854775808", [false, false, true]);
        check("-9223372036854775808", [false, true, true]);
        check("9.3e18", [false, false, true]);
        check("1e999", [false; 3]);
        check(&"7".repeat(40), [false, false, true]);
    }
}
