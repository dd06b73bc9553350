//! From a path to a database that nobody can change under us.
//!
//! A map of a file that somebody overwrites or truncates is undefined behaviour, so what is mapped
//! is a copy of our own, without a name from the start: nobody else can open it, and it vanishes
//! with the process. One of the two modules that may use `unsafe`.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::prepare::geo::{Bytes, Database, Unusable};

/// What tells one state of a file from another: rename, a switched link, a write in place all
/// change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// Of the file at a path, links followed.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("cannot be copied to {dir}: {error}")]
    Copy { dir: String, error: io::Error },
    #[error("not a file")]
    NotAFile,
    #[error("changed while it was read")]
    Changing,
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

impl Refusal {
    /// The same file may be taken the next time.
    pub(super) const fn is_passing(&self) -> bool {
        matches!(self, Self::Copy { .. } | Self::Changing)
    }
}

/// Copies, maps and verifies. The result is of exactly the state `expected`: a file that is still
/// being written is refused.
pub(super) fn database(
    path: &Path,
    expected: Identity,
    work_dir: &Path,
) -> Result<Database, Refusal> {
    // Before opening it: to open a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Refusal::NotAFile);
    }
    let mut file = File::open(path)?;
    let copy = private_copy(&mut file, work_dir)?;
    if Identity::from(&file.metadata()?) != expected || Identity::of(path)? != expected {
        return Err(Refusal::Changing);
    }
    Ok(Database::verified(map(&copy)?)?)
}

fn private_copy(file: &mut File, work_dir: &Path) -> Result<File, Refusal> {
    let copied = tempfile::tempfile_in(work_dir).and_then(|mut copy| {
        io::copy(file, &mut copy)?;
        Ok(copy)
    });
    copied.map_err(|error| Refusal::Copy { dir: work_dir.display().to_string(), error })
}

#[expect(unsafe_code, reason = "there is no other way to map a file")]
fn map(copy: &File) -> io::Result<Bytes> {
    // SAFETY: the file has no name and only this process has it open, through this handle alone,
    // which is closed without another write; so nobody changes or truncates what is mapped.
    let map = unsafe { maxminddb::Mmap::map(copy) }?;
    Ok(Bytes::Mapped(map))
}
