//! The geo databases as files: opened, watched, and replaced while look-ups go on.
//!
//! A file is taken only when it has been copied privately and read whole. A damaged or half-written
//! one is refused and the one in use stays, as it does when the file is gone; a refused file is
//! tried again when it changes. Everything here blocks for as long as a file takes to read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::prepare::geo::{Database, Databases};
use open::Identity;

pub mod demo;
mod open;

/// What became of one file that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was taken and answers from now on.
    Taken { path: PathBuf, kind: String, built: u64 },
    /// It cannot be used; `kept` says whether an older one goes on answering.
    Refused { path: PathBuf, reason: String, kept: bool },
    /// There is no file; `kept` as above.
    Missing { path: PathBuf, kept: bool },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = |kept: &bool| if *kept { "the one in use stays" } else { "none is in use" };
        match self {
            Self::Taken { path, kind, .. } => {
                write!(f, "geo database {} taken: {kind}", path.display())
            }
            Self::Refused { path, reason, kept } => {
                write!(f, "geo database {} refused: {reason}; {}", path.display(), rest(kept))
            }
            Self::Missing { path, kept } => {
                write!(f, "geo database {} is missing; {}", path.display(), rest(kept))
            }
        }
    }
}

/// The databases in use, for everyone who looks addresses up.
pub type Current = Arc<ArcSwap<Databases>>;

/// The files behind the databases in use.
#[derive(Debug)]
pub struct Store {
    sources: Vec<Source>,
    work_dir: PathBuf,
    current: Current,
}

/// One configured path.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    seen: Seen,
    database: Option<Arc<Database>>,
    /// Why it was refused last, so that what fails again in the same way is not said again.
    refusal: Option<String>,
}

/// What stood at a path when it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Not looked at yet.
    Unknown,
    Missing,
    File(Identity),
}

impl Store {
    /// Opens what is there. No path, or no usable file, is no error: look-ups then end as
    /// `no_database`, and the changes say so once.
    ///
    /// `work_dir` takes the private copies, which have no names: it should be on a disk and have
    /// room for each file twice, since a new copy is verified while the old one is in use.
    #[must_use]
    pub fn open(paths: &[PathBuf], work_dir: &Path) -> (Self, Vec<Change>) {
        let mut store = Self {
            sources: paths
                .iter()
                .take(Databases::FILES_MAX)
                .map(|path| Source::new(path))
                .collect(),
            work_dir: work_dir.to_owned(),
            current: Arc::new(ArcSwap::from_pointee(Databases::none())),
        };
        let changes = store.reload();
        (store, changes)
    }

    /// The databases in use; the handle follows every reload.
    #[must_use]
    pub fn current(&self) -> Current {
        Arc::clone(&self.current)
    }

    /// Takes the files that have changed since the last time. Nothing changed: no change is named.
    pub fn reload(&mut self) -> Vec<Change> {
        let work_dir = &self.work_dir;
        let changes: Vec<Change> =
            self.sources.iter_mut().filter_map(|source| source.reload(work_dir)).collect();
        if changes.iter().any(|change| matches!(change, Change::Taken { .. })) {
            let files = self.sources.iter().filter_map(|source| source.database.clone()).collect();
            let generation = self.current.load().generation() + 1;
            self.current.store(Arc::new(Databases::new(generation, files)));
        }
        changes
    }
}

impl Source {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: Seen::Unknown, database: None, refusal: None }
    }

    fn reload(&mut self, work_dir: &Path) -> Option<Change> {
        let before = self.seen;
        let identity = match Identity::of(&self.path) {
            Ok(identity) => identity,
            Err(error) => {
                self.seen = Seen::Missing;
                return (before != Seen::Missing).then(|| self.unreachable(&error));
            }
        };
        if before == Seen::File(identity) {
            return None;
        }
        // Also where it will be refused: what is damaged stays so until it changes.
        self.seen = Seen::File(identity);
        match open::database(&self.path, identity, work_dir) {
            Ok(database) => {
                let (kind, built) = (database.kind().to_owned(), database.built());
                self.database = Some(Arc::new(database));
                self.refusal = None;
                Some(Change::Taken { path: self.path.clone(), kind, built })
            }
            Err(refusal) => {
                let reason = refusal.to_string();
                if refusal.is_passing() {
                    self.seen = Seen::Unknown;
                    if self.refusal.as_ref() == Some(&reason) {
                        return None;
                    }
                }
                self.refusal = Some(reason.clone());
                Some(Change::Refused { path: self.path.clone(), reason, kept: self.is_kept() })
            }
        }
    }

    fn unreachable(&self, error: &std::io::Error) -> Change {
        let (path, kept) = (self.path.clone(), self.is_kept());
        if error.kind() == std::io::ErrorKind::NotFound {
            return Change::Missing { path, kept };
        }
        Change::Refused { path, reason: error.to_string(), kept }
    }

    fn is_kept(&self) -> bool {
        self.database.is_some()
    }
}
