//! Compression with a dictionary that all listeners share (RFC 8878), so that a message of one event
//! is compressed once for all of them, and small ones compress well.
//!
//! The dictionary was trained on believable events (`src/traffic.rs`); clients fetch it once, by
//! its id. It holds names of fields and usual values, no data of anybody.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::anyhow;
use zstd::zstd_safe::{CCtx, CDict, get_dict_id_from_dict};

/// What is served, as it was trained.
const TRAINED: &[u8] = include_bytes!("dictionary.zstd");
/// Between speed and size; higher ones cost far more than they save on messages so small.
const LEVEL: i32 = 1;

/// A dictionary, ready to be used by any number of threads.
pub struct Dictionary {
    id: u32,
    bytes: &'static [u8],
    ready: CDict<'static>,
    idle: Mutex<Vec<CCtx<'static>>>,
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dictionary").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Dictionary {
    /// The one that is built in.
    ///
    /// # Errors
    /// It is damaged.
    pub fn built_in() -> anyhow::Result<Self> {
        let id = get_dict_id_from_dict(TRAINED)
            .ok_or_else(|| anyhow!("the built-in dictionary of compression is damaged"))?;
        let ready = CDict::create(TRAINED, LEVEL);
        Ok(Self { id: id.get(), bytes: TRAINED, ready, idle: Mutex::default() })
    }

    /// As it stands in each frame's header.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    #[must_use]
    pub const fn bytes(&self) -> &'static [u8] {
        self.bytes
    }

    /// Compresses a message in place of what `out` held; answers whether that could be done, which
    /// only a lack of memory can prevent.
    pub fn pack(&self, plain: &[u8], out: &mut Vec<u8>) -> bool {
        let mut context = self.idle().pop().unwrap_or_default();
        out.clear();
        out.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let is_packed = context.compress_using_cdict(out, plain, &self.ready).is_ok();
        self.idle().push(context);
        is_packed
    }

    fn idle(&self) -> MutexGuard<'_, Vec<CCtx<'static>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
