//! Looking addresses up in geo databases.
//!
//! A [`Databases`] is an immutable snapshot: the shell ([`crate::geo`]) replaces it whole when a
//! file changes, and its generation tells every worker's [`Cache`] that what it holds is of the
//! past. A look-up is a walk through the file's tree and, for a record seen before, nothing more
//! than handing out its ready [`Fragment`].

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{LookupResult, Reader};

use crate::prepare::GeoOutcome;
use crate::prepare::enrich::is_private;

pub use cache::Cache;
use cache::Known;
pub use fragment::{Fragment, Keys};
use place::{Place, Schema};

mod cache;
mod countries;
mod fragment;
mod place;
mod verify;

/// Why a file cannot serve as a geo database.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("not a database, or not all of one: {0}")]
    Unreadable(maxminddb::MaxMindDbError),
    #[error("damaged: {0}")]
    Damaged(maxminddb::MaxMindDbError),
    #[error("a database of type {0:?}, whose records name no places")]
    NoPlaces(String),
    #[error("its data section is over {} bytes", u32::MAX)]
    TooLarge,
}

/// The bytes of a database: a map of a file that nobody else can change, or memory.
pub enum Bytes {
    Mapped(maxminddb::Mmap),
    Owned(Vec<u8>),
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.as_ref().len())
    }
}

impl AsRef<[u8]> for Bytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// One database file, verified.
pub struct Database {
    reader: Reader<Bytes>,
    schema: Schema,
}

impl Database {
    /// Opens a database and reads all of it, because a damaged data section opens without
    /// complaint. This takes a second or two for a city database.
    pub fn verified(bytes: Bytes) -> Result<Self, Unusable> {
        if u32::try_from(bytes.as_ref().len()).is_err() {
            return Err(Unusable::TooLarge);
        }
        let reader = Reader::from_source(bytes).map_err(Unusable::Unreadable)?;
        verify::every_record(&reader).map_err(Unusable::Damaged)?;
        let schema = verify::schema(&reader)?;
        Ok(Self { reader, schema })
    }

    /// What the file calls itself: `GeoLite2-City`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was built, in seconds since the Unix epoch.
    #[must_use]
    pub fn built(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    fn serves(&self, address: IpAddr) -> bool {
        address.is_ipv4() || self.reader.metadata().ip_version == 6
    }

    /// The place of the address's record in the data section.
    fn offset(&self, address: IpAddr) -> Option<u32> {
        let offset = self.reader.lookup(address).ok()?.offset()?;
        u32::try_from(offset).ok()
    }

    /// What the record of this address says; empty where there is none.
    fn place(&self, address: IpAddr) -> Place<'_> {
        let result: Option<LookupResult<'_, Bytes>> = self.reader.lookup(address).ok();
        result.and_then(|result| place::decode(self.schema, &result).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({} of {}, {:?})", self.kind(), self.built(), self.schema)
    }
}

/// The databases of one moment. The first that knows an address answers for it.
#[derive(Debug, Clone)]
pub struct Databases {
    generation: u64,
    files: Vec<Arc<Database>>,
}

impl Databases {
    /// How many files may serve together.
    pub const FILES_MAX: usize = 8;

    /// No database: every look-up ends as [`GeoOutcome::NoDatabase`].
    #[must_use]
    pub fn none() -> Self {
        Self::new(0, Vec::new())
    }

    /// Two snapshots of one process that differ must differ in their generation.
    #[must_use]
    pub fn new(generation: u64, mut files: Vec<Arc<Database>>) -> Self {
        files.truncate(Self::FILES_MAX);
        Self { generation, files }
    }

    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    #[must_use]
    pub fn files(&self) -> &[Arc<Database>] {
        &self.files
    }

    /// Looks an address up. There is a fragment exactly where the outcome is [`GeoOutcome::Hit`].
    pub fn locate<'c>(
        &self,
        address: IpAddr,
        cache: &'c mut Cache,
    ) -> (GeoOutcome, Option<&'c Fragment>) {
        if self.files.is_empty() {
            return (GeoOutcome::NoDatabase, None);
        }
        cache.follow(self.generation);
        let address = address.to_canonical();
        let known = cache.known(address).unwrap_or_else(|| {
            let found = self.find(address);
            cache.remember(address, found);
            found
        });
        let (file, offset) = match known {
            Known::Outcome(outcome) => return (outcome, None),
            Known::Record { file, offset } => (file, offset),
        };
        let fragment = cache.fragment(file, offset, |fragment| {
            let file = self.files.get(usize::from(file));
            fragment.set(&file.map(|file| file.place(address)).unwrap_or_default());
        });
        match fragment {
            Some(fragment) if !fragment.is_empty() => (GeoOutcome::Hit, Some(fragment)),
            // A record that names no place, as for 1.1.1.1, where only its registrant is known.
            _ => (GeoOutcome::NotFound, None),
        }
    }

    /// Walks the trees.
    fn find(&self, address: IpAddr) -> Known {
        if is_private(address) {
            return Known::Outcome(GeoOutcome::Private);
        }
        let mut outcome = GeoOutcome::NoDatabase;
        for (file, database) in (0_u8..).zip(&self.files) {
            if !database.serves(address) {
                continue;
            }
            if let Some(offset) = database.offset(address) {
                return Known::Record { file, offset };
            }
            outcome = GeoOutcome::NotFound;
        }
        Known::Outcome(outcome)
    }
}

#[cfg(test)]
mod tests;
