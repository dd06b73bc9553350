//! One fault of the configuration, told so that it can be mended without a search.

use std::fmt;
use std::path::PathBuf;

/// A fault: where it stands, which key, what is wrong, and what was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, or `None` for an environment variable or a missing file's default.
    pub file: Option<PathBuf>,
    /// Counted from 1; 0 where no line can be named.
    pub line: usize,
    /// The dotted key, or the environment variable.
    pub key: String,
    pub message: String,
    /// "did you mean", or how to mend it.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if self.line > 0 {
                write!(f, "{}:", self.line)?;
            }
            f.write_str(" ")?;
        }
        write!(f, "{}: {}", self.key, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// An error whose cause is the configuration or the command line, which another try does not mend:
/// the process ends with another code than after what has failed.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct Misuse(anyhow::Error);

impl Misuse {
    /// With this text alone.
    pub fn told(text: impl Into<String>) -> anyhow::Error {
        Self(anyhow::Error::msg(text.into())).into()
    }
}

/// Tells an error for a [`Misuse`].
pub trait OrMisuse<T> {
    /// # Errors
    /// Those that it had.
    fn or_misuse(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrMisuse<T> for Result<T, E> {
    fn or_misuse(self) -> anyhow::Result<T> {
        self.map_err(|error| Misuse(error.into()).into())
    }
}

/// A fault found while a plan is made from the values of a pipeline, where file and line are no
/// longer known: [`crate::config`] finds them by the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecFault {
    /// Dotted, lists counted from 0: `redact.rules[3].pattern`.
    pub key: String,
    pub message: String,
    /// "did you mean", or how to mend it.
    pub hint: Option<String>,
}

/// The name among `known` that `wrong` was probably meant to be.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}
