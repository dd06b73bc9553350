//! Reading the event lines of the live topic, with buffers that are used again and again.

use std::fmt;

use crate::prepare::parse::Parsed;
use crate::prepare::parse::reader::{Fault, Reader};

/// One more than an event may come with: what moved aside stands a level deeper.
const DEPTH_MAX: usize = crate::prepare::parse::DEPTH_MAX + 1;

/// Why a line is no event. The pipeline writes only events, so somebody else wrote to its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Says why, without quoting the data.
    #[error("the line is no JSON: {0}")]
    Malformed(&'static str),
    #[error("the line is nested too deep")]
    TooDeep,
    #[error("the line is no JSON object")]
    NoObject,
}

/// Parses one line after the other. Allocates only where a line is larger than all before it, and
/// gives the memory of a very large one back.
pub struct Lines {
    reader: Reader,
}

impl Lines {
    #[must_use]
    pub fn new() -> Self {
        Self { reader: Reader::new(DEPTH_MAX) }
    }

    /// Parses a line, with or without its newline, and hands the event to `then`.
    ///
    /// # Errors
    ///
    /// The line is no JSON object, or one deeper than any that a pipeline writes.
    pub fn read<R>(
        &mut self,
        line: &[u8],
        then: impl FnOnce(&Parsed<'_>) -> R,
    ) -> Result<R, LineFault> {
        let answer = self.reader.read(line, |event| event.is_object(0).then(|| then(&event)));
        self.reader.shrink();
        match answer {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(LineFault::NoObject),
            Err(Fault::Malformed(why)) => Err(LineFault::Malformed(why)),
            Err(Fault::TooDeep) => Err(LineFault::TooDeep),
        }
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut lines = Lines::new();
        let mut check = |line: &str, expected: Result<usize, LineFault>| {
            assert_eq!(lines.read(line.as_bytes(), |event| event.len(0)), expected, "{line}");
        };
        check(r#"{"a":1,"b":[]}"#, Ok(2));
        check("{}\n", Ok(0));
        check("[{}]", Err(LineFault::NoObject));
        check("7", Err(LineFault::NoObject));
        check("", Err(LineFault::Malformed("no value")));
        let nested = |levels| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        check(&nested(DEPTH_MAX - 1), Ok(1));
        check(&nested(DEPTH_MAX), Err(LineFault::TooDeep));
        check(r#"{"a":1}"#, Ok(1));
    }
}
