//! The values of ECLS: text within quotes that the caller writes. A value of which nothing is
//! written is absent.

use crate::prepare::json;
use crate::prepare::parse::Parsed;
use crate::prepare::time::Moment;

use super::{Found, Part, Source};

/// Behind the text of a status: the answer came from the API, not from a fault of the gateway.
const ANSWERED_BY: &[u8] = b"_API";
const MILLIS_DIGITS: usize = 3;

pub(super) struct Writer<'a, 'b> {
    pub(super) event: Parsed<'a>,
    pub(super) found: Found,
    pub(super) out: &'b mut Vec<u8>,
}

impl<'a> Writer<'a, '_> {
    pub(super) fn value(&mut self, source: Source) {
        match source {
            Source::Nothing => {}
            Source::Constant(text) => self.out.extend_from_slice(text.as_bytes()),
            Source::First(parts) => {
                let start = self.out.len();
                for part in parts {
                    self.part(*part);
                    if self.out.len() > start {
                        return;
                    }
                }
            }
            Source::StatusDigits => {
                let status = self.text(Part::StatusCode).as_bytes();
                let digits = status.iter().take_while(|byte| byte.is_ascii_digit()).count();
                self.out.extend_from_slice(status.get(..digits).unwrap_or_default());
            }
            Source::StatusText => self.status_text(),
            Source::IsHttps => {
                let protocol = self.text(Part::RequestProtocol);
                if !protocol.is_empty() {
                    let is_https = protocol.eq_ignore_ascii_case("https");
                    self.out.push(if is_https { b'1' } else { b'0' });
                }
            }
            Source::Seconds(part) => self.seconds(part),
            Source::EpochMillis(part) => {
                if let Some(moment) = Moment::of_text(self.text(part)) {
                    json::write_i64(self.out, moment.millis);
                }
            }
            Source::Uri => {
                self.part(Part::UriPath);
                if !self.text(Part::QueryString).is_empty() {
                    self.out.push(b'?');
                    self.part(Part::QueryString);
                }
            }
        }
    }

    /// Copies a scalar, or the first of an array. An object is no value of ECLS.
    fn part(&mut self, part: Part) {
        let Some(at) = self.place(part) else { return };
        // What is written without escapes needs none here either.
        if let Some([b'"', inner @ .., b'"']) = self.event.quoted(at) {
            self.out.extend_from_slice(inner);
        } else {
            json::write_escaped(self.out, self.scalar(at).as_bytes());
        }
    }

    fn status_text(&mut self) {
        let status = self.text(Part::StatusCode);
        if status.is_empty() {
            return;
        }
        for (at, word) in status.split(' ').enumerate() {
            if at > 0 {
                self.out.push(b'_');
            }
            json::write_escaped(self.out, word.as_bytes());
        }
        self.out.extend_from_slice(ANSWERED_BY);
    }

    /// Moves the point of a whole number by its digits: no value passes through a float.
    fn seconds(&mut self, part: Part) {
        let text = self.text(part);
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return;
        }
        if digits.len() < text.len() {
            self.out.push(b'-');
        }
        let (whole, millis) = digits.split_at(digits.len().saturating_sub(MILLIS_DIGITS));
        self.out.extend_from_slice(if whole.is_empty() { b"0" } else { whole.as_bytes() });
        self.out.push(b'.');
        self.out.extend(std::iter::repeat_n(b'0', MILLIS_DIGITS.saturating_sub(millis.len())));
        self.out.extend_from_slice(millis.as_bytes());
    }

    fn place(&self, part: Part) -> Option<usize> {
        let at = self.found.get(part)?;
        if self.event.is_array(at) { self.event.elements(at).next() } else { Some(at) }
    }

    /// The unescaped text of a part; empty where it is absent.
    fn text(&self, part: Part) -> &'a str {
        self.place(part).map_or("", |at| self.scalar(at))
    }

    fn scalar(&self, at: usize) -> &'a str {
        if let Some(text) = self.event.string(at) {
            return text;
        }
        if let Some(digits) = self.event.number(at) {
            return str::from_utf8(digits).unwrap_or_default();
        }
        match self.event.bool(at) {
            Some(true) => "true",
            Some(false) => "false",
            None => "",
        }
    }
}
