//! The file that keeps the cursor from one run to the next.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tempfile::NamedTempFile;

/// A cursor is written so often at most; whoever is killed hears so much again.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// Longer than any cursor.
const CURSOR_BYTES_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    cursor: Option<String>,
    kept: Option<Instant>,
}

impl State {
    /// Reads the file, where there is one.
    ///
    /// # Errors
    /// It cannot be read, or holds what is no cursor.
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let shown = || format!("--state {}", path.display());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(shown),
        };
        let text = text.trim();
        let is_cursor =
            text.len() <= CURSOR_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic());
        ensure!(is_cursor, "{} holds no cursor", shown());
        let cursor = (!text.is_empty()).then(|| text.to_owned());
        Ok(Self { path, cursor, kept: None })
    }

    /// The cursor that the file held.
    pub(super) fn cursor(&self) -> Option<String> {
        self.cursor.clone()
    }

    /// The refusal of a cursor that came from the file, with the file's name and the way out.
    pub(super) fn blamed(&self, error: anyhow::Error) -> anyhow::Error {
        if self.cursor.is_none() || !error.to_string().contains("cursor") {
            return error;
        }
        error.context(format!(
            "--state {}: its cursor is refused; without the file it begins anew",
            self.path.display()
        ))
    }

    /// Keeps a cursor, unless one was kept a moment ago.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn keep(&mut self, cursor: &str) -> anyhow::Result<()> {
        if self.kept.is_some_and(|kept| kept.elapsed() < KEEP_EVERY) {
            return Ok(());
        }
        self.keep_now(cursor)
    }

    /// Keeps a cursor. The file is replaced as a whole, so that it always holds one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn keep_now(&mut self, cursor: &str) -> anyhow::Result<()> {
        self.kept = Some(Instant::now());
        if self.cursor.as_deref() == Some(cursor) {
            return Ok(());
        }
        write(&self.path, cursor).with_context(|| format!("--state {}", self.path.display()))?;
        self.cursor = Some(cursor.to_owned());
        Ok(())
    }
}

fn write(path: &Path, cursor: &str) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    writeln!(file, "{cursor}")?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut state = State::open(path.clone()).unwrap();
        assert_eq!(state.cursor(), None);
        state.keep("one").unwrap();
        // A moment later it is only kept where that is asked for.
        state.keep("two").unwrap();
        assert_eq!(State::open(path.clone()).unwrap().cursor().as_deref(), Some("one"));
        state.keep_now("three").unwrap();
        assert_eq!(State::open(path.clone()).unwrap().cursor().as_deref(), Some("three"));
        let check = |text: &str, expected: bool| {
            std::fs::write(&path, text).unwrap();
            assert_eq!(State::open(path.clone()).is_ok(), expected, "{text:?}");
        };
        check("", true);
        check("abc_-1\n", true);
        check("two words", false);
        check(&"x".repeat(257), false);
        assert!(State::open(folder.path().to_owned()).is_err());
    }
}
