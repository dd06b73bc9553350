//! What Sluice adds to an event: bodies cut to size, the status as a number, lag, latency, geo
//! objects, promoted fields, what moved aside, tags.

use crate::config::pipeline::LogPolicy;
use crate::prepare::parse::numbers;
use crate::prepare::plan::FieldPlan;
use crate::prepare::redact::Redacted;
use crate::prepare::stamp::Datetime;
use crate::prepare::survey::Slot;
use crate::prepare::trim::head;
use crate::prepare::{GeoOutcome, Mended, json};
use crate::schema::{self, Field};

use super::{Encoder, Wrote};

/// The tags that tell what was mended.
const TAGS: [(Mended, &str); 8] = [
    (Mended::Repaired, "_repaired"),
    (Mended::Unparsed, "_unparsed"),
    (Mended::Truncated, "_payload_truncated"),
    (Mended::HeaderTruncated, "_header_truncated"),
    (Mended::PolicyUnknown, "_log_policy_unknown"),
    (Mended::Undated, "_undated"),
    (Mended::DatetimeUnreadable, "_datetime_unreadable"),
    (Mended::DatetimeMissing, "_datetime_missing"),
];
const GEO_FAILURE_TAG: &str = "_geoip_lookup_failure";

/// The steps in which the gateway waits for the backend.
const BACKEND_TASKS: [&str; 2] = ["proxy", "invoke"];

impl Encoder<'_> {
    /// Writes a body, cut where it is too long, and keeps what is promoted from it.
    pub(super) fn body(&mut self, slot: Slot, field: &FieldPlan, at: usize) {
        let pass = field.pass(self.output);
        let event = self.event;
        if pass.is_drop() && !self.plan.lifts.any_exported(self.output) {
            return;
        }
        let text = event.string(at);
        let is_empty = text == Some("") || event.is_null(at);
        if !is_empty && !self.allows(LogPolicy::Payload) {
            return self.policy_cut();
        }
        let Some(text) = text else {
            let start = self.out.len();
            self.out.extend_from_slice(&field.key);
            let scalar = !event.is_array(at) && !pass.is_drop();
            let wrote = if scalar { self.keyword(at, field.handling) } else { Wrote::Unfit };
            if wrote != Wrote::Value {
                self.out.truncate(start);
            }
            if wrote == Wrote::Unfit && !pass.is_drop() {
                self.aside(&field.name, at);
            }
            return;
        };
        let mut redacted = std::mem::take(&mut self.work.redacted);
        let handled = match field.handling {
            Some(handling) => self.plan.redactor.handled(handling, text, &mut redacted),
            None => Redacted::Same,
        };
        if handled != Redacted::Same {
            self.mark_once(Mended::Redacted);
        }
        let shown = match handled {
            Redacted::Same => Some(text),
            Redacted::Changed => Some(redacted.as_str()),
            Redacted::Removed => None,
        };
        if let Some(shown) = shown {
            self.lift_body(slot, shown);
            if !pass.is_drop() {
                self.put_body(field, at, (text, shown));
            }
        }
        self.work.redacted = redacted;
    }

    fn put_body(&mut self, field: &FieldPlan, at: usize, (text, shown): (&str, &str)) {
        self.out.extend_from_slice(&field.key);
        let kept = head(shown, self.plan.payload_bytes_max);
        if kept.len() == shown.len() && std::ptr::eq(text, shown) {
            return self.copy_string(at, text);
        }
        json::write_string(self.out, kept);
        if kept.len() < shown.len() {
            self.mark(Mended::Truncated);
            self.body_length(&field.name, text.len());
        }
    }

    /// How long a body was that is cut.
    pub(super) fn body_length(&mut self, name: &str, bytes: usize) {
        let of = [schema::REQUEST_BODY, schema::RESPONSE_BODY];
        let length = [schema::REQUEST_BODY_BYTES, schema::RESPONSE_BODY_BYTES];
        let length = of.iter().zip(length).find(|(body, _)| body.name() == name);
        if let Some((_, length)) = length
            && self.exports(length)
        {
            self.put_key(length.name());
            json::write_u64(self.out, bytes as u64);
        }
    }

    fn exports(&self, field: Field) -> bool {
        !self.plan.pass(field.index(), self.output).is_drop()
    }

    /// Everything that follows the members of the event.
    pub(super) fn derived(&mut self) {
        self.status();
        self.lag();
        self.latency();
        for (pair, geo) in self.plan.geo.iter().enumerate() {
            let object = self.enriched.places.object(pair, self.output);
            if let Some(field) = self.plan.field(geo.into)
                && object.len() > 2
            {
                self.out.extend_from_slice(&field.key);
                self.out.extend_from_slice(object);
            }
        }
        self.promoted();
        // Tags may move aside themselves.
        let start = self.out.len();
        let incoming = self.incoming_tags();
        let tags = self.out.split_off(start);
        self.asides();
        self.tags(&tags, &incoming);
    }

    /// The number that `status_code` begins with, and its class.
    fn status(&mut self) {
        let Some(at) = self.enriched.stamped.event.survey.value(schema::STATUS_CODE.index()) else {
            return;
        };
        let event = self.event;
        let text = event.string(at).map(str::as_bytes).or_else(|| event.number(at));
        let Some(text) = text.map(<[u8]>::trim_ascii_start) else { return };
        let Some((code @ [class @ b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'], rest)) =
            text.split_at_checked(3)
        else {
            return;
        };
        if rest.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.') {
            return;
        }
        if self.exports(schema::STATUS) {
            self.put_key("status");
            self.out.extend_from_slice(code);
        }
        if self.exports(schema::STATUS_CLASS) {
            self.put_key("status_class");
            self.out.extend_from_slice(&[b'"', *class, b'x', b'x', b'"']);
        }
    }

    fn lag(&mut self) {
        if let Datetime::Read(moment) = self.enriched.stamped.datetime
            && self.exports(schema::INGEST_LAG_MS)
        {
            self.put_key("ingest_lag_ms");
            json::write_i64(self.out, self.stamp.now - moment.millis);
        }
    }

    /// How long the gateway itself took, and how long the backend.
    fn latency(&mut self) {
        let pass = self.plan.pass(schema::LATENCY.index(), self.output);
        if pass.is_drop() {
            return;
        }
        let (gateway, backend) = self.durations();
        let start = self.out.len();
        self.put_key("latency");
        let open = self.out.len();
        for (name, duration) in [("gateway_ms", gateway), ("backend_ms", backend)] {
            let Some(duration) = duration.filter(|_| !pass.part(name).is_drop()) else { continue };
            self.put_key(name);
            json::write_i64(self.out, duration);
        }
        // The first member's comma is the bracket's place.
        match self.out.get_mut(open) {
            Some(comma) => {
                *comma = b'{';
                self.out.push(b'}');
            }
            None => self.out.truncate(start),
        }
    }

    /// Milliseconds in the gateway and in the backend. `started` is cumulative, so a step's own
    /// duration ends where the next one starts, and that of the last one with the call.
    fn durations(&self) -> (Option<i64>, Option<i64>) {
        let event = self.event;
        let survey = self.enriched.stamped.event.survey;
        let Some(steps) = survey.value(schema::LATENCY_INFO.index()) else { return (None, None) };
        if event.len(steps) == 0 || !event.is_array(steps) {
            return (None, None);
        }
        let total = survey.value(schema::TIME_TO_SERVE_REQUEST.index());
        let total = total.and_then(|at| self.whole_millis(at));
        let mut backend: Option<i64> = None;
        let mut steps = event.elements(steps).peekable();
        while let Some(step) = steps.next() {
            let task = self.part_of(step, "task").and_then(|at| event.string(at));
            let waits =
                |task: &str| BACKEND_TASKS.iter().any(|name| name.eq_ignore_ascii_case(task));
            if !task.is_some_and(waits) {
                continue;
            }
            let ends = match steps.peek() {
                Some(&next) => self.started(next),
                None => total,
            };
            let (Some(starts), Some(ends)) = (self.started(step), ends) else {
                return (None, None);
            };
            if ends < starts {
                return (None, None);
            }
            backend = Some(backend.unwrap_or(0).saturating_add(ends - starts));
        }
        let gateway = total.map(|total| total - backend.unwrap_or(0)).filter(|rest| *rest >= 0);
        (gateway, backend)
    }

    fn started(&self, step: usize) -> Option<i64> {
        self.whole_millis(self.part_of(step, "started")?)
    }

    fn part_of(&self, object: usize, name: &str) -> Option<usize> {
        let named = |(key, _): &(usize, usize)| self.event.string(*key) == Some(name);
        self.event.members(object).filter(named).last().map(|(_, value)| value)
    }

    /// A number, or a text that is one: what the document has of the field.
    fn whole_millis(&self, at: usize) -> Option<i64> {
        /// Far below the range's end, so that no sum overflows; every float below it is exact.
        const MILLIS_MAX: i64 = 1 << 53;
        let event = self.event;
        let text = event.number(at).or_else(|| event.string(at).map(str::as_bytes))?;
        let text = str::from_utf8(text).ok().filter(|text| numbers::is_number(text.as_bytes()))?;
        let number = match text.parse::<i64>() {
            Ok(number) => number,
            // A cast would saturate where it does not fit.
            Err(_no_integer) => format!("{:.0}", text.parse::<f64>().ok()?.trunc()).parse().ok()?,
        };
        (0..=MILLIS_MAX).contains(&number).then_some(number)
    }

    /// Writes the elements of the event's own tags, each with a comma in front; answers them as
    /// text too.
    fn incoming_tags(&mut self) -> Vec<String> {
        let slot = schema::TAGS.index();
        let Some(at) = self.enriched.stamped.event.survey.value(slot) else { return Vec::new() };
        if !self.exports(schema::TAGS) {
            return Vec::new();
        }
        let event = self.event;
        let handling = self.plan.field(slot).and_then(|field| field.handling);
        let several = event.is_array(at);
        let mut texts = Vec::new();
        for tag in event.elements(at).chain((!several).then_some(at)) {
            if event.is_null(tag) || event.string(tag) == Some("") {
                continue;
            }
            let start = self.out.len();
            self.out.push(b',');
            let wrote =
                if event.is_array(tag) { Wrote::Unfit } else { self.keyword(tag, handling) };
            if wrote != Wrote::Value {
                self.out.truncate(start);
            }
            if wrote == Wrote::Unfit {
                self.aside(schema::TAGS.name(), tag);
            }
            texts.extend(event.string(tag).map(str::to_owned));
        }
        texts
    }

    /// Writes `tags`: the event's own, then ours.
    fn tags(&mut self, incoming: &[u8], texts: &[String]) {
        if !self.exports(schema::TAGS) {
            return;
        }
        let start = self.out.len();
        self.put_key("tags");
        self.out.push(b'[');
        let open = self.out.len();
        self.out.extend_from_slice(incoming.strip_prefix(b",").unwrap_or(incoming));
        for (mended, tag) in TAGS {
            if self.has_mark(mended) {
                self.tag(open, tag, texts);
            }
        }
        let plan = self.plan;
        let failed = |outcome| matches!(outcome, GeoOutcome::Invalid | GeoOutcome::NotFound);
        let found = &self.enriched.places.found;
        if found.iter().any(|found| failed(found.outcome)) {
            self.tag(open, GEO_FAILURE_TAG, texts);
        }
        for (pair, found) in plan.geo.iter().zip(found) {
            if failed(found.outcome) {
                self.tag(open, &pair.tag, texts);
            }
        }
        if self.out.len() == open {
            self.out.truncate(start);
        } else {
            self.out.push(b']');
        }
    }

    fn tag(&mut self, open: usize, tag: &str, incoming: &[String]) {
        if incoming.iter().any(|known| known == tag) {
            return;
        }
        if self.out.len() > open {
            self.out.push(b',');
        }
        json::write_string(self.out, tag);
    }
}
