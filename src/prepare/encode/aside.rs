//! What moves aside: values that the index would refuse to `unparsed`, what came under a name of
//! ours to `source`.
//!
//! Both objects are flat, under the dotted names of the fields; several values of one name become
//! an array. The index does not look into either. Redaction holds here too: a value that a rule is
//! for, but that is not of a form in which the rule could find anything, is masked.

use crate::prepare::plan::{Act, grouped};
use crate::prepare::redact::Redacted;
use crate::prepare::redact::cover::MASK;
use crate::prepare::trim::{Pass, head};
use crate::prepare::{Mended, json};
use crate::schema;

use super::{Encoder, NAME_BYTES_MAX, Written, Wrote, put_values};

/// What a name that is too long is cut to; the whole of it stands beside the value.
const CUT_NAME_BYTES: usize = 256;

/// What moved aside from one event.
#[derive(Debug, Default)]
pub(super) struct Asides {
    text: Vec<u8>,
    unparsed: Vec<(String, Written)>,
    source: Vec<(String, Written)>,
}

impl Asides {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.unparsed.clear();
        self.source.clear();
    }
}

impl Encoder<'_> {
    /// Moves a value to `unparsed`, under its field's dotted name.
    #[cold]
    pub(super) fn aside(&mut self, dotted: &str, at: usize) {
        let pass = self.plan.pass(schema::UNPARSED.index(), self.output).below(dotted);
        if pass.is_drop() {
            return;
        }
        if let Some(written) = self.moved(dotted, at, pass) {
            let written = self.cut_body(dotted, written);
            self.mark(Mended::Unparsed);
            let name = head(dotted, CUT_NAME_BYTES);
            let name = if dotted.len() > NAME_BYTES_MAX {
                format!("{name}…")
            } else {
                dotted.to_owned()
            };
            self.work.asides.unparsed.push((name, written));
        }
    }

    /// Moves a value to `source`, since its name is one that Sluice writes.
    #[cold]
    pub(super) fn reserved(&mut self, dotted: &str, at: usize) {
        let pass = self.plan.pass(schema::SOURCE.index(), self.output).below(dotted);
        if pass.is_drop() {
            return;
        }
        if let Some(written) = self.moved(dotted, at, pass) {
            self.mark(Mended::Reserved);
            self.work.asides.source.push((dotted.to_owned(), written));
        }
    }

    /// Moves a text that was redacted already to `unparsed`.
    pub(super) fn put_aside(&mut self, dotted: &str, text: &str) {
        if self.plan.pass(schema::UNPARSED.index(), self.output).below(dotted).is_drop() {
            return;
        }
        self.mark(Mended::Unparsed);
        let start = self.work.asides.text.len();
        json::write_string(&mut self.work.asides.text, text);
        let written = start..self.work.asides.text.len();
        self.work.asides.unparsed.push((dotted.to_owned(), written));
    }

    /// Writes a value into the memory of what moves aside; `None` where nothing is left of it.
    fn moved(&mut self, dotted: &str, at: usize, pass: &Pass) -> Option<Written> {
        std::mem::swap(self.out, &mut self.work.asides.text);
        let start = self.out.len();
        let long_name = dotted.len() > NAME_BYTES_MAX;
        if long_name {
            self.out.extend_from_slice(b"{\"name\":");
            json::write_string(self.out, dotted);
            self.out.extend_from_slice(b",\"value\":");
        }
        let value = self.out.len();
        let outer = std::mem::replace(&mut self.unfit, false);
        let wrote = self.covered(dotted, at, pass);
        if std::mem::replace(&mut self.unfit, outer) {
            // What the index refuses anywhere goes as a string.
            let text = self.out.split_off(value);
            json::write_string(self.out, str::from_utf8(&text).unwrap_or_default());
        }
        if long_name {
            self.out.push(b'}');
        }
        if wrote != Wrote::Value {
            self.out.truncate(start);
        }
        let written = start..self.out.len();
        std::mem::swap(self.out, &mut self.work.asides.text);
        (wrote == Wrote::Value).then_some(written)
    }

    /// A body is not above the limit here either; what is cut goes as a text.
    fn cut_body(&mut self, dotted: &str, written: Written) -> Written {
        let limit = self.plan.payload_bytes_max;
        let field = dotted.split('.').next().unwrap_or_default();
        let act = self.plan.slot(field).and_then(|slot| self.plan.field(slot));
        if written.len() <= limit || !act.is_some_and(|field| field.act == Act::Body) {
            return written;
        }
        let json = self.work.asides.text.get(written.clone()).unwrap_or_default();
        let text = serde_json::from_slice::<String>(json)
            .unwrap_or_else(|_no_text| String::from_utf8_lossy(json).into_owned());
        if text.len() <= limit {
            return written;
        }
        self.work.asides.text.truncate(written.start);
        json::write_string(&mut self.work.asides.text, head(&text, limit));
        self.mark(Mended::Truncated);
        self.body_length(dotted, text.len());
        written.start..self.work.asides.text.len()
    }

    fn covered(&mut self, dotted: &str, at: usize, pass: &Pass) -> Wrote {
        let event = self.event;
        let text = event.string(at).or_else(|| str::from_utf8(event.number(at)?).ok());
        if event.is_null(at) || text == Some("") {
            return self.copy(at, &Pass::Whole, None);
        }
        let (field, header) = self.headers_field(dotted);
        let redacted = match (text, field, header) {
            (Some(text), true, Some(name)) => {
                let lower = name.to_ascii_lowercase();
                self.plan.redactor.header(&lower, text, &mut self.work.redacted)
            }
            (_, true, _) => self.mask(),
            (_, false, _) if !event.is_object(at) && self.plan.redactor.handles_part_of(dotted) => {
                self.mask()
            }
            (Some(text), false, _) => {
                self.plan.redactor.field(dotted, text, &mut self.work.redacted)
            }
            (None, false, _) if self.plan.redactor.handling(dotted).is_some() => self.mask(),
            (None, false, _) => Redacted::Same,
        };
        match redacted {
            Redacted::Same if field => self.copy(at, pass, Some(dotted)),
            Redacted::Same => self.member(dotted, at, pass, Some(dotted)),
            redacted => self.put_redacted(redacted),
        }
    }

    pub(super) fn mask(&mut self) -> Redacted {
        MASK.clone_into(&mut self.work.redacted);
        Redacted::Changed
    }

    /// Whether a dotted name is that of a headers field or of one of its headers, and of which.
    fn headers_field<'n>(&self, dotted: &'n str) -> (bool, Option<&'n str>) {
        let (field, header) = match dotted.split_once('.') {
            Some((field, header)) => (field, Some(header)),
            None => (dotted, None),
        };
        let act = self.plan.slot(field).and_then(|slot| self.plan.field(slot));
        (act.is_some_and(|field| field.act == Act::Headers), header)
    }

    /// Writes the members `unparsed` and `source`, where anything moved aside.
    pub(super) fn asides(&mut self) {
        let unparsed = std::mem::take(&mut self.work.asides.unparsed);
        let source = std::mem::take(&mut self.work.asides.source);
        for (name, moved) in [(schema::UNPARSED.name(), unparsed), (schema::SOURCE.name(), source)]
        {
            if moved.is_empty() {
                continue;
            }
            self.put_key(name);
            self.out.push(b'{');
            for (place, (name, values)) in grouped(moved).into_iter().enumerate() {
                if place > 0 {
                    self.out.push(b',');
                }
                json::write_string(self.out, &name);
                self.out.push(b':');
                put_values(self.out, values.into_iter(), &self.work.asides.text);
            }
            self.out.push(b'}');
        }
    }
}
