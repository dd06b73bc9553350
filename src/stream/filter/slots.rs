//! The values of one event that any filter of a table asks for.

use std::sync::Arc;

use crate::prepare::parse::Parsed;
use crate::prepare::time::Moment;

use super::Reads;
use super::number::Number;
use super::table::{Branch, Identity, Matcher, Table};
use super::test::{Address, Value};

/// What is kept of the buffers from one event to the next, at most.
const KEPT_TEXT_BYTES_MAX: usize = 64 * 1024;
const KEPT_VALUES_MAX: usize = 256;

/// One event's values, by the slots of a [`Table`]. Made once and filled again and again: an event
/// that is no larger than those before it allocates nothing.
#[derive(Debug, Default)]
pub struct Slots {
    /// The bytes of all texts.
    text: Vec<u8>,
    values: Vec<Vec<Value>>,
    /// How many slots the table had.
    filled: usize,
    /// The table that they were filled for.
    identity: Option<Arc<Identity>>,
}

impl Slots {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the values of an event in place of those of the one before.
    pub fn fill(&mut self, table: &Table, event: &Parsed<'_>) {
        self.clear();
        if self.values.len() < table.slots() {
            self.values.resize_with(table.slots(), Vec::new);
        }
        self.filled = table.slots();
        if !self.identity.as_ref().is_some_and(|known| Arc::ptr_eq(known, table.identity())) {
            self.identity = Some(Arc::clone(table.identity()));
        }
        self.members(table.root(), event, 0);
    }

    /// Whether these were filled for a matcher: from its own table, not before it was compiled.
    #[must_use]
    #[inline]
    pub fn serve(&self, matcher: &Matcher) -> bool {
        self.filled >= matcher.needs
            && self.identity.as_ref().is_some_and(|known| Arc::ptr_eq(known, &matcher.identity))
    }

    #[inline]
    pub(super) fn values(&self, slot: usize) -> &[Value] {
        self.values.get(slot).map_or(&[], Vec::as_slice)
    }

    #[inline]
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT_TEXT_BYTES_MAX);
        for values in &mut self.values {
            values.clear();
            values.shrink_to(KEPT_VALUES_MAX);
        }
    }

    fn members(&mut self, branch: &Branch, event: &Parsed<'_>, object: usize) {
        if branch.below.is_empty() {
            return;
        }
        for (key, value) in event.members(object) {
            if let Some(below) = event.string(key).and_then(|name| branch.below.get(name)) {
                self.value(below, event, value);
            }
        }
    }

    /// Takes a value; of an array all elements. No deeper than the event, which has a bound.
    fn value(&mut self, branch: &Branch, event: &Parsed<'_>, at: usize) {
        if event.is_array(at) {
            for element in event.elements(at) {
                self.value(branch, event, element);
            }
            return;
        }
        for &(reads, slot) in &branch.reads {
            let value = match reads {
                Reads::Presence => holds_anything(event, at).then_some(Value::Present),
                Reads::Text => scalar(event, at).map(|text| self.keep(text)),
                Reads::Number => scalar(event, at).and_then(Number::of_text).map(Value::from),
                Reads::Time => scalar(event, at)
                    .and_then(Moment::of_text)
                    .map(|moment| Value::Integer(moment.millis)),
                Reads::Address => scalar(event, at).and_then(Address::of_text).map(Value::Address),
            };
            if let Some(values) = self.values.get_mut(slot) {
                values.extend(value);
            }
        }
        self.members(branch, event, at);
    }

    fn keep(&mut self, text: &str) -> Value {
        let start = self.text.len();
        self.text.extend_from_slice(text.as_bytes());
        Value::Text { start, end: self.text.len() }
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Integer(integer) => Self::Integer(integer),
            Number::Double(double) => Self::Double(double),
        }
    }
}

/// The text of a string, number or boolean.
fn scalar<'a>(event: &Parsed<'a>, at: usize) -> Option<&'a str> {
    if let Some(text) = event.string(at) {
        return Some(text);
    }
    if let Some(digits) = event.number(at) {
        return str::from_utf8(digits).ok();
    }
    event.bool(at).map(|value| if value { "true" } else { "false" })
}

/// Whether there is anything but `null` at some depth, as the index understands `exists`.
fn holds_anything(event: &Parsed<'_>, at: usize) -> bool {
    if event.is_object(at) {
        return event.members(at).any(|(_, value)| holds_anything(event, value));
    }
    if event.is_array(at) {
        return event.elements(at).any(|element| holds_anything(event, element));
    }
    !event.is_null(at)
}
