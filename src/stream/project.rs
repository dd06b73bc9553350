//! Field lists: of each event only the members that a listener asks for.

use rustc_hash::FxHashMap;

use crate::prepare::json;
use crate::prepare::parse::Parsed;

use super::filter::{FilterError, Known};

/// Fields in one list, each as often as it is named. The control topic has tokens with as many: a
/// lower number would let none of these listen, and decide their records otherwise.
pub const FIELDS_MAX: usize = 200;
/// Always there: the key to drop repeats by.
const EVENT_ID: &str = "event_id";

/// A checked list of fields, in the order of the event when it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// Dotted names, sorted, each once: equal lists are equal however they were written.
    names: Vec<Box<str>>,
    root: Branch,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Branch {
    /// The whole value is wanted.
    is_leaf: bool,
    below: FxHashMap<Box<str>, Branch>,
}

/// Why a list of fields is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionError {
    #[error("{0}")]
    Unknown(FilterError),
    #[error("more than {FIELDS_MAX} fields")]
    TooMany,
    #[error("no field is named")]
    Empty,
}

impl Projection {
    /// Checks a list of dotted names as filters know them. `event_id` is always in it.
    ///
    /// # Errors
    /// A name is not known, there are more than [`FIELDS_MAX`], or none.
    pub fn new<'a>(
        names: impl IntoIterator<Item = &'a str>,
        known: &Known,
    ) -> Result<Self, ProjectionError> {
        let mut listed: Vec<Box<str>> = Vec::new();
        let mut root = Branch::default();
        for name in names {
            root.add(&known.path(name).map_err(ProjectionError::Unknown)?);
            listed.push(name.into());
            if listed.len() > FIELDS_MAX {
                return Err(ProjectionError::TooMany);
            }
        }
        if listed.is_empty() {
            return Err(ProjectionError::Empty);
        }
        root.add(&[EVENT_ID.into()]);
        listed.sort_unstable();
        listed.dedup();
        Ok(Self { names: listed, root })
    }

    /// The dotted names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Whether a field, by its path, is wholly in the list.
    #[must_use]
    pub fn covers(&self, path: &[Box<str>]) -> bool {
        let mut branch = &self.root;
        for name in path {
            if branch.is_leaf {
                return true;
            }
            let Some(below) = branch.below.get(name) else { return false };
            branch = below;
        }
        branch.is_leaf
    }

    /// Whether every field of another list is in this one.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.root.includes(&other.root)
    }

    /// Writes what an event has of the list, as an object.
    pub fn write(&self, event: &Parsed<'_>, out: &mut Vec<u8>) {
        self.root.members(event, 0, out);
    }
}

impl Branch {
    fn add(&mut self, path: &[Box<str>]) {
        let mut branch = self;
        for name in path {
            branch = branch.below.entry(name.clone()).or_default();
        }
        branch.is_leaf = true;
    }

    fn includes(&self, other: &Self) -> bool {
        self.is_leaf
            || !other.is_leaf
                && other.below.iter().all(|(name, wanted)| {
                    self.below.get(name).is_some_and(|branch| branch.includes(wanted))
                })
    }

    fn members(&self, event: &Parsed<'_>, object: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        for (key, value) in event.members(object) {
            let Some(name) = event.string(key) else { continue };
            let Some(branch) = self.below.get(name) else { continue };
            let before = out.len();
            if before > start {
                out.push(b',');
            }
            json::write_string(out, name);
            out.push(b':');
            if !branch.value(event, value, out) {
                out.truncate(before);
            }
        }
        out.push(b'}');
    }

    /// Writes a value, or of it what is asked for; nothing where it can have no such parts. No
    /// deeper than the event, which has a bound.
    fn value(&self, event: &Parsed<'_>, at: usize, out: &mut Vec<u8>) -> bool {
        if self.is_leaf {
            return copy(event, at, out);
        }
        if event.is_object(at) {
            self.members(event, at, out);
            return true;
        }
        if !event.is_array(at) {
            return false;
        }
        out.push(b'[');
        let start = out.len();
        for element in event.elements(at) {
            let before = out.len();
            if before > start {
                out.push(b',');
            }
            if !self.value(event, element, out) {
                out.truncate(before);
            }
        }
        out.push(b']');
        true
    }
}

/// Copies a value as it was written.
fn copy(event: &Parsed<'_>, at: usize, out: &mut Vec<u8>) -> bool {
    let text = event.text(at);
    out.extend_from_slice(text);
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::filter::Type;
    use crate::stream::lines::Lines;

    fn known() -> Known {
        Known::new([("h.user_agent", Type::Text), ("extra", Type::Any)])
    }

    #[test]
    fn lists() {
        let check = |names: &[&str], event: &str, expected: &str| {
            let list = Projection::new(names.iter().copied(), &known()).unwrap();
            let mut out = Vec::new();
            Lines::new().read(event.as_bytes(), |event| list.write(event, &mut out)).unwrap();
            assert_eq!(String::from_utf8_lossy(&out), expected, "{names:?}");
        };
        let event = r#"{"event_id":"e","status_code":"200 OK","billing":{"amount":1.50,"currency":"EUR"},
            "latency_info":[{"task":"a","started":1},{"task":"b","started":22}, 7],
            "request_http_headers":{"user-agent":"x\"y\u00e4","host":"h"},"extra":{"a":{"b":[1, 2]}},
            "time_to_serve_request": 123456789012345678901}"#;
        check(&["status_code"], event, r#"{"event_id":"e","status_code":"200 OK"}"#);
        check(&["event_id"], event, r#"{"event_id":"e"}"#);
        check(&["billing.amount"], event, r#"{"event_id":"e","billing":{"amount":1.50}}"#);
        check(
            &["latency_info.task"],
            event,
            r#"{"event_id":"e","latency_info":[{"task":"a"},{"task":"b"}]}"#,
        );
        check(
            &["request_http_headers.User-Agent"],
            event,
            r#"{"event_id":"e","request_http_headers":{"user-agent":"x\"y\u00e4"}}"#,
        );
        check(&["extra.a"], event, r#"{"event_id":"e","extra":{"a":{"b":[1, 2]}}}"#);
        check(
            &["time_to_serve_request", "billing"],
            event,
            r#"{"event_id":"e","billing":{"amount":1.50,"currency":"EUR"},"time_to_serve_request":123456789012345678901}"#,
        );
        check(&["billing.amount"], r#"{"billing":"none","event_id":"e"}"#, r#"{"event_id":"e"}"#);
        check(&["billing"], r#"{"x":1}"#, "{}");
    }

    #[test]
    fn lists_that_are_none() {
        let check = |names: &[&str], expected: &str| {
            let told = Projection::new(names.iter().copied(), &known()).unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        };
        check(&["statuscode"], "did you mean `status_code`?");
        check(&[], "no field is named");
        check(&["status_code"; FIELDS_MAX + 1], "more than 200 fields");
    }

    #[test]
    fn what_a_list_covers() {
        let list = |names: &[&str]| Projection::new(names.iter().copied(), &known()).unwrap();
        let check = |of: &[&str], other: &[&str], expected: bool| {
            assert_eq!(list(of).includes(&list(other)), expected, "{of:?} {other:?}");
            let covers = other.iter().all(|name| list(of).covers(&known().path(name).unwrap()));
            assert_eq!(covers, expected, "{of:?} {other:?}");
        };
        check(&["billing"], &["billing.amount"], true);
        check(&["billing.amount"], &["billing"], false);
        check(&["status_code"], &["event_id"], true);
        check(&["status_code", "billing"], &["status_code"], true);
        check(&["status_code"], &["client_ip"], false);
    }
}
