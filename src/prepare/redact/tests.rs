//! Tables: what comes in, what goes out.

use super::*;
use crate::config::pipeline::{RedactAction, RedactRule, RedactTarget};

mod headers;
mod urls;
mod bodies;
mod addresses;
mod rules;
mod properties;

const GONE: &str = "<removed>";

fn default() -> Redactor {
    Redactor::compile(&PipelineSpec::new("test")).unwrap()
}

/// Runs twice: what is redacted must stay as it is.
fn check(redact: impl Fn(&str, &mut String) -> Redacted, value: &str, expected: &str) {
    let mut out = String::from("left over");
    let found = redact(value, &mut out);
    let text = match found {
        Redacted::Same => value,
        Redacted::Changed => out.as_str(),
        Redacted::Removed => GONE,
    };
    assert_eq!(text, expected, "of {value:?}");
    assert_eq!(found == Redacted::Changed, !out.is_empty(), "of {value:?}");
    if found == Redacted::Changed {
        let mut again = String::new();
        assert_eq!(redact(&out, &mut again), Redacted::Same, "{out:?} became {again:?}");
    }
}

fn header(name: &str, value: &str, expected: &str) {
    let redactor = default();
    check(|value, out| redactor.header(name, value, out), value, expected);
}

fn query(value: &str, expected: &str) {
    let redactor = default();
    check(|value, out| redactor.query(value, out), value, expected);
}

fn url(value: &str, expected: &str) {
    let redactor = default();
    check(|value, out| redactor.url(value, out), value, expected);
}

const KEY: &[u8] = b"0123456789abcdef";

fn with(rules: Vec<(RedactTarget, RedactAction)>) -> PipelineSpec {
    let mut spec = PipelineSpec::new("test");
    let rules = rules.into_iter().map(|(target, action)| RedactRule { target, action });
    spec.redact.rules = rules.collect();
    spec.redact.hash_key = Some(KEY.to_vec());
    spec
}

fn body_path(path: &str) -> RedactTarget {
    RedactTarget::BodyPath { field: "request_body".to_owned(), path: path.to_owned() }
}

fn body_pattern(pattern: &str) -> RedactTarget {
    RedactTarget::Pattern { field: "request_body".to_owned(), pattern: pattern.to_owned() }
}
