//! The members of a geo object as ready JSON text, written once for a record and copied for each
//! event.

use crate::prepare::geo::place::{Place, Value};
use crate::prepare::json;
use crate::schema::GEO_KEYS;

/// Which members of a geo object are wanted: one bit for each of [`GEO_KEYS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys(u16);

impl Keys {
    /// The place of `ip`, which is the event's own and stands in no fragment.
    pub const IP: usize = 0;

    #[must_use]
    pub const fn all() -> Self {
        Self((1 << GEO_KEYS.len()) - 1)
    }

    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// Also the key at this place of [`GEO_KEYS`].
    #[must_use]
    pub const fn with(self, place: usize) -> Self {
        Self(self.0 | 1 << place)
    }

    /// All but the key at this place.
    #[must_use]
    pub const fn without(self, place: usize) -> Self {
        Self(self.0 & !(1 << place))
    }

    #[must_use]
    pub const fn has(self, place: usize) -> bool {
        self.0 & 1 << place != 0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// `,"country_code2":"US",…,"location":[-78.8986,35.994]`: every member that the record has, but
/// `ip`, each with the comma in front of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    text: Vec<u8>,
    /// Where the member of each key ends; one that is left out ends where it begins.
    ends: [u16; GEO_KEYS.len()],
}

impl Fragment {
    /// Every member, each with the comma in front of it.
    #[must_use]
    pub fn members(&self) -> &[u8] {
        &self.text
    }

    /// One member with the comma in front of it; empty where the record has no value.
    #[must_use]
    pub fn member(&self, place: usize) -> &[u8] {
        let end = |place: usize| self.ends.get(place).map_or(0, |&end| usize::from(end));
        let start = place.checked_sub(1).map_or(0, end);
        self.text.get(start..end(place)).unwrap_or_default()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Copies the wanted members, each with the comma in front of it.
    pub fn write(&self, out: &mut Vec<u8>, keys: Keys) {
        if keys == Keys::all() {
            out.extend_from_slice(&self.text);
            return;
        }
        for place in (0..GEO_KEYS.len()).filter(|&place| keys.has(place)) {
            out.extend_from_slice(self.member(place));
        }
    }

    /// Makes this the fragment of another record, in the memory that it has.
    pub(super) fn set(&mut self, place: &Place<'_>) {
        self.text.clear();
        for (((key, _), value), end) in GEO_KEYS.iter().zip(&place.values).zip(&mut self.ends) {
            if !matches!(value, Value::None) {
                self.text.extend_from_slice(b",\"");
                self.text.extend_from_slice(key.as_bytes());
                self.text.extend_from_slice(b"\":");
                write_value(&mut self.text, value);
            }
            // The bound on texts in `place` keeps all members together below 64 KiB.
            *end = u16::try_from(self.text.len()).unwrap_or(u16::MAX);
        }
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match *value {
        Value::None => {}
        Value::Text(text) => json::write_string(out, text),
        Value::Digits(number) => {
            out.push(b'"');
            json::write_u64(out, number);
            out.push(b'"');
        }
        Value::Integer(number) => json::write_u64(out, number),
        Value::Degrees(degrees) => write_degrees(out, degrees),
        Value::Point { longitude, latitude } => {
            out.push(b'[');
            write_degrees(out, longitude);
            out.push(b',');
            write_degrees(out, latitude);
            out.push(b']');
        }
    }
}

/// The shortest text that reads back as the same number. DB-IP's numbers were made with 32 bits and
/// widened (`37.422000885009766`): those are written as what they were (`37.422`).
fn write_degrees(out: &mut Vec<u8>, degrees: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "taken only where nothing is lost")]
    let narrow = degrees as f32;
    #[expect(clippy::float_cmp, reason = "asks whether widening gives the very same bits")]
    let text =
        if f64::from(narrow) == degrees { format!("{narrow:?}") } else { format!("{degrees:?}") };
    out.extend_from_slice(text.as_bytes());
}
