//! Single values: text, keywords, numbers, addresses, points.

use crate::prepare::parse::numbers;
use crate::prepare::redact::{Handling, Redacted};
use crate::prepare::trim::Pass;
use crate::prepare::{Mended, json};
use crate::schema::Kind;

use super::{Encoder, NUMBER_BYTES_MAX, Wrote};

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
        let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
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
