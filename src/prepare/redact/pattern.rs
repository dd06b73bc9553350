//! Regular expressions over the values of a field. Matching takes linear time by construction; the
//! compiled size is bounded here.

use std::ops::Range;

use memchr::memmem;
use regex::{Regex, RegexBuilder};

use super::Redacted;
use super::cover::{Cover, Cutter, MASK, is_covered};
use crate::config::pipeline::RedactAction;

/// How large a compiled expression may be.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The group that is covered, where an expression has it, instead of the whole match.
const SECRET_GROUP: &str = "secret";

#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    group: usize,
    action: RedactAction,
}

impl Pattern {
    /// # Errors
    /// What is wrong with the expression, in one line.
    pub(super) fn compile(pattern: &str, action: RedactAction) -> Result<Self, String> {
        let regex = RegexBuilder::new(pattern)
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|error| in_one_line(&error))?;
        if regex.is_match("") {
            return Err("matches the empty text, and so every place".to_owned());
        }
        let group = regex.capture_names().position(|name| name == Some(SECRET_GROUP));
        Ok(Self { regex, group: group.unwrap_or(0), action })
    }

    /// Covers every match.
    pub(super) fn redact(&self, value: &str, cover: &Cover, out: &mut String) -> Redacted {
        let mut cutter = Cutter::new(value, out);
        let mut covered = |range: Range<usize>| {
            let secret = value.get(range.clone()).unwrap_or_default();
            if !secret.is_empty() && !is_covered(secret, self.action) && !in_mask(value, &range) {
                cutter.cover(range, self.action, cover);
            }
        };
        if self.group == 0 {
            self.regex.find_iter(value).for_each(|found| covered(found.range()));
        } else {
            self.regex
                .captures_iter(value)
                .filter_map(|found| found.get(self.group))
                .for_each(|found| covered(found.range()));
        }
        cutter.finish()
    }
}

/// Whether the range lies within a mask that an earlier rule has put there.
fn in_mask(text: &str, range: &Range<usize>) -> bool {
    if range.len() > MASK.len() {
        return false;
    }
    let from = range.start.saturating_sub(MASK.len());
    let to = text.len().min(range.end + MASK.len());
    let near = text.as_bytes().get(from..to).unwrap_or_default();
    memmem::find_iter(near, MASK)
        .any(|at| from + at <= range.start && range.end <= from + at + MASK.len())
}

fn in_one_line(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!("is larger than {PATTERN_BYTES_MAX} bytes when compiled")
        }
        // The text of a syntax error draws the expression over several lines; the last says why.
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("no regular expression: {}", last.trim_start_matches("error: "))
        }
    }
}
