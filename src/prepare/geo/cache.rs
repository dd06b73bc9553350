//! What a worker remembers of its look-ups: where each address led, and the ready text of records.

use std::net::IpAddr;

use crate::prepare::GeoOutcome;
use crate::prepare::geo::fragment::Fragment;

// Powers of two, since the top bits of a hash choose the place.
const V4_ADDRESSES_MAX: usize = 1 << 17;
const V6_ADDRESSES_MAX: usize = 1 << 15;
const FRAGMENTS_MAX: usize = 1 << 14;

/// Where an address led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Outcome(GeoOutcome),
    Record { file: u8, offset: u32 },
}

/// One worker's memory of its look-ups, of a fixed size. It forgets everything when the databases
/// change.
#[derive(Debug)]
pub struct Cache {
    generation: u64,
    v4: Table<u32>,
    v6: Table<u128>,
    fragments: Vec<Slot>,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    /// The file and the place of the record in it; `None` where the slot is free.
    record: Option<(u8, u32)>,
    fragment: Fragment,
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl Cache {
    #[must_use]
    pub fn new() -> Self {
        Self::sized(V4_ADDRESSES_MAX, V6_ADDRESSES_MAX, FRAGMENTS_MAX)
    }

    /// All sizes are powers of two; those of addresses count both of a pair.
    pub(super) fn sized(v4: usize, v6: usize, fragments: usize) -> Self {
        Self {
            generation: 0,
            v4: Table::new(v4),
            v6: Table::new(v6),
            fragments: vec![Slot::default(); fragments],
        }
    }

    /// Forgets everything if the databases are others than those of the last look-up.
    pub(super) fn follow(&mut self, generation: u64) {
        if self.generation != generation {
            self.generation = generation;
            self.v4.clear();
            self.v6.clear();
            for slot in &mut self.fragments {
                slot.record = None;
            }
        }
    }

    pub(super) fn known(&mut self, address: IpAddr) -> Option<Known> {
        match address {
            IpAddr::V4(v4) => self.v4.get(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.get(v6.to_bits()),
        }
    }

    pub(super) fn remember(&mut self, address: IpAddr, known: Known) {
        match address {
            IpAddr::V4(v4) => self.v4.put(v4.to_bits(), known),
            IpAddr::V6(v6) => self.v6.put(v6.to_bits(), known),
        }
    }

    /// The fragment of a record; `make` writes it where it is not at hand.
    pub(super) fn fragment(
        &mut self,
        file: u8,
        offset: u32,
        make: impl FnOnce(&mut Fragment),
    ) -> Option<&Fragment> {
        let at = place(u64::from(offset) ^ u64::from(file) << 32, self.fragments.len());
        let slot = self.fragments.get_mut(at)?;
        if slot.record != Some((file, offset)) {
            slot.record = Some((file, offset));
            make(&mut slot.fragment);
        }
        Some(&slot.fragment)
    }
}

/// Addresses in pairs of entries: the newer of a pair stands first, the older is overwritten.
#[derive(Debug)]
struct Table<K> {
    pairs: Vec<[Option<(K, Known)>; 2]>,
}

impl<K: Copy + Eq + Fold> Table<K> {
    fn new(addresses_max: usize) -> Self {
        Self { pairs: vec![[None; 2]; addresses_max / 2] }
    }

    fn clear(&mut self) {
        self.pairs.fill([None; 2]);
    }

    #[inline]
    fn get(&mut self, key: K) -> Option<Known> {
        let at = place(key.fold(), self.pairs.len());
        let pair = self.pairs.get_mut(at)?;
        match *pair {
            [Some((first, known)), _] if first == key => Some(known),
            [newer, Some((second, known))] if second == key => {
                *pair = [Some((second, known)), newer];
                Some(known)
            }
            _ => None,
        }
    }

    fn put(&mut self, key: K, known: Known) {
        let at = place(key.fold(), self.pairs.len());
        if let Some(pair) = self.pairs.get_mut(at) {
            let [newer, _] = *pair;
            *pair = [Some((key, known)), newer];
        }
    }
}

/// A key as 64 bits, for its hash.
trait Fold {
    fn fold(self) -> u64;
}

impl Fold for u32 {
    #[inline]
    fn fold(self) -> u64 {
        u64::from(self)
    }
}

impl Fold for u128 {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "takes the halves")]
    fn fold(self) -> u64 {
        (self >> 64) as u64 ^ (self as u64).rotate_left(29)
    }
}

/// A place below `len`, a power of two: the top bits of a multiplicative hash. Clients who choose
/// their addresses to collide cost themselves a look-up each, no more.
#[inline]
fn place(key: u64, len: usize) -> usize {
    const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
    let top = key.wrapping_mul(GOLDEN_RATIO).checked_shr(u64::BITS - len.trailing_zeros());
    usize::try_from(top.unwrap_or_default()).unwrap_or_default()
}
