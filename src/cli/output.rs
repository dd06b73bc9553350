//! The only place that prints.

use std::io::{self, Write as _};

/// Writes to standard output as it is.
///
/// # Errors
/// Where standard output is closed or full.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line to standard error. Where that is closed nobody is left to be told.
pub fn complain(line: &str) {
    writeln!(io::stderr(), "{line}").unwrap_or_default();
}
