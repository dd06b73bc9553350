//! Which events of a record a listener gets: its filter, and one in how many of what passes.
//!
//! The filters of all listeners of an area share one table, so an event is parsed once for all of
//! them. What a record's events come to is kept beside the record for every filter that there was.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::filter::{Filter, Matcher, Slots, Table, TableFull};
use super::lines::Lines;
use super::locked;
use super::ring::Block;

/// The filters of all areas that are listened to; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Selections {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Never given twice, since a record in the ring may outlive the filter.
    next: AtomicU64,
    areas: Mutex<HashMap<Arc<str>, Weak<OfArea>>>,
}

/// The filters of one area.
#[derive(Debug)]
struct OfArea {
    name: Arc<str>,
    all: Weak<Inner>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    table: Table,
    used: Vec<Used>,
    slots: Slots,
    lines: Lines,
}

/// A filter, and how many listen by it.
#[derive(Debug)]
struct Used {
    id: u64,
    filter: Filter,
    matcher: Matcher,
    listeners: usize,
}

/// A filter in use; given up when it is dropped.
#[derive(Debug)]
pub struct Selection {
    of: Arc<OfArea>,
    id: u64,
}

/// What keeping it costs beside its bytes, about.
const PASSES_OVERHEAD_BYTES: usize = 64;

/// Of each event of a record, whether it passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passes(Box<[bool]>);

impl Passes {
    #[must_use]
    pub fn get(&self, index: u32) -> bool {
        usize::try_from(index).ok().and_then(|index| self.0.get(index)).copied().unwrap_or(false)
    }
}

impl Selections {
    /// Takes a filter into use for an area.
    ///
    /// # Errors
    /// The filters of the area ask for too many fields.
    pub fn select(&self, area: &Arc<str>, filter: &Filter) -> Result<Selection, TableFull> {
        let of = self.of(area);
        let id = of.state().take(filter, &self.inner.next)?;
        Ok(Selection { of, id })
    }

    fn of(&self, area: &Arc<str>) -> Arc<OfArea> {
        let mut areas = locked(&self.inner.areas);
        if let Some(known) = areas.get(area).and_then(Weak::upgrade) {
            return known;
        }
        let of = Arc::new(OfArea {
            name: Arc::clone(area),
            all: Arc::downgrade(&self.inner),
            state: Mutex::default(),
        });
        areas.insert(Arc::clone(area), Arc::downgrade(&of));
        of
    }
}

impl Drop for OfArea {
    fn drop(&mut self) {
        let Some(all) = self.all.upgrade() else { return };
        let mut areas = locked(&all.areas);
        // Somebody may have come meanwhile.
        if areas.get(&self.name).is_some_and(|known| known.strong_count() == 0) {
            areas.remove(&self.name);
        }
    }
}

impl OfArea {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl State {
    fn take(&mut self, filter: &Filter, next: &AtomicU64) -> Result<u64, TableFull> {
        if let Some(known) = self.used.iter_mut().find(|used| used.filter.text() == filter.text()) {
            known.listeners += 1;
            return Ok(known.id);
        }
        let matcher = match self.table.compile(filter) {
            Ok(matcher) => matcher,
            Err(TableFull) => {
                self.begin_anew()?;
                self.table.compile(filter)?
            }
        };
        let id = next.fetch_add(1, Ordering::Relaxed);
        self.used.push(Used { id, filter: filter.clone(), matcher, listeners: 1 });
        Ok(id)
    }

    /// A table with the fields of the filters in use only.
    fn begin_anew(&mut self) -> Result<(), TableFull> {
        self.table = Table::new();
        for used in &mut self.used {
            used.matcher = self.table.compile(&used.filter)?;
        }
        Ok(())
    }

    fn release(&mut self, id: u64) {
        if let Some(at) = self.used.iter().position(|used| used.id == id) {
            let Some(used) = self.used.get_mut(at) else { return };
            used.listeners -= 1;
            if used.listeners == 0 {
                self.used.swap_remove(at);
            }
        }
    }

    /// Judges every event by these filters.
    fn judge(&mut self, block: &Block, which: impl Fn(u64) -> bool) -> Vec<(u64, Arc<Passes>)> {
        let Self { table, used, slots, lines } = self;
        let used: Vec<_> = used.iter().filter(|used| which(used.id)).collect();
        let mut passes: Vec<Vec<bool>> = vec![Vec::with_capacity(block.len()); used.len()];
        for line in block.lines() {
            // What cannot be read cannot be judged, and is not shown.
            let is_read = lines.read(line, |event| slots.fill(table, event)).is_ok();
            for (used, passes) in used.iter().zip(&mut passes) {
                passes.push(is_read && used.matcher.matches(slots));
            }
        }
        let ids = used.iter().map(|used| used.id);
        ids.zip(passes.into_iter().map(|passes| Arc::new(Passes(passes.into())))).collect()
    }
}

impl Selection {
    /// Tells it from all others, those that were included.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Which events of a record pass. Of a record that others will look at too, all filters of the
    /// area are asked at once.
    #[must_use]
    pub fn passes(&self, block: &Block, is_shared: bool) -> Arc<Passes> {
        let mut known = block.passes();
        if let Some((_, passes)) = known.iter().find(|(id, _)| *id == self.id) {
            return Arc::clone(passes);
        }
        let judged = {
            let is_new = |id| known.iter().all(|(known, _)| *known != id);
            self.of.state().judge(block, |id| id == self.id || is_shared && is_new(id))
        };
        let own = judged.iter().find(|(id, _)| *id == self.id).map(|(_, own)| Arc::clone(own));
        block.grow(judged.iter().map(|(_, passes)| passes.0.len() + PASSES_OVERHEAD_BYTES).sum());
        known.extend(judged);
        own.unwrap_or_else(|| Arc::new(Passes(Box::default())))
    }
}

impl Drop for Selection {
    fn drop(&mut self) {
        self.of.state().release(self.id);
    }
}

/// Whether an event is one of about one in `one_in`. The same events for whoever asks, on every
/// replica and after a restart, and in no step with what produces them.
#[must_use]
pub fn is_sampled(offset: i64, index: u32, one_in: u32) -> bool {
    if one_in <= 1 {
        return true;
    }
    // The finalizer of MurmurHash3 (public domain, Austin Appleby).
    let mut hash = offset.cast_unsigned() ^ u64::from(index).rotate_left(40);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash ^ (hash >> 33)).is_multiple_of(u64::from(one_in))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::stream::filter::Known;

    fn block(lines: &str) -> Block {
        Block::new(("a".into(), 0, 7), 0, Bytes::copy_from_slice(lines.as_bytes()))
    }

    fn filter(text: &str) -> Filter {
        Filter::parse(text, &Known::default()).unwrap()
    }

    #[test]
    fn each_listener_gets_what_passes_its_filter() {
        let all = Selections::default();
        let area: Arc<str> = "a".into();
        let get = all.select(&area, &filter("request_method = GET")).unwrap();
        let slow = all.select(&area, &filter("time_to_serve_request > 10")).unwrap();
        let same = all.select(&area, &filter("request_method = GET")).unwrap();
        assert_eq!(get.id(), same.id());
        let block = block(
            "{\"request_method\":\"GET\"}\nnonsense\n\
             {\"request_method\":\"PUT\",\"time_to_serve_request\":11}\n",
        );
        let check = |selection: &Selection, expected: &[bool]| {
            assert_eq!(*selection.passes(&block, true).0, *expected);
        };
        let before = block.cost();
        check(&get, &[true, false, false]);
        // Judged at the same time.
        assert_eq!(block.passes().len(), 2);
        assert_eq!(block.cost(), before + 2 * (PASSES_OVERHEAD_BYTES + 3));
        check(&slow, &[false, false, true]);
        check(&same, &[true, false, false]);
    }

    #[test]
    fn a_filter_that_comes_later_is_judged_then_and_one_that_nobody_uses_is_forgotten() {
        let all = Selections::default();
        let area: Arc<str> = "a".into();
        let first = all.select(&area, &filter("status_class = 5xx")).unwrap();
        let block = block("{\"status_code\":\"404\",\"status_class\":\"4xx\"}\n");
        assert!(!first.passes(&block, true).get(0));
        let later = all.select(&area, &filter("status_class = 4xx")).unwrap();
        assert!(later.passes(&block, true).get(0));
        assert!(!later.passes(&block, true).get(1));
        drop(first);
        assert_eq!(later.of.state().used.len(), 1);
        drop(later);
        assert!(locked(&all.inner.areas).is_empty());
    }

    #[test]
    fn a_full_table_is_made_anew_of_what_is_in_use() {
        let all = Selections::default();
        let area: Arc<str> = "a".into();
        let keep = all.select(&area, &filter("request_method = GET")).unwrap();
        for round in 0..40 {
            let names = (0..50).map(|at| format!("request_http_headers.h{round}-{at} exists"));
            let text = names.collect::<Vec<_>>().join(" or ");
            drop(all.select(&area, &filter(&text)).unwrap());
        }
        assert!(keep.passes(&block("{\"request_method\":\"GET\"}\n"), true).get(0));
    }

    #[test]
    fn samples_are_about_as_many_as_were_asked_for() {
        for one_in in [1, 2, 10, 100] {
            let taken =
                (0..100_000_u32).filter(|at| is_sampled(i64::from(at / 16), at % 16, one_in));
            let (taken, expected) = (taken.count(), 100_000 / one_in as usize);
            assert!(taken.abs_diff(expected) <= expected / 10, "{taken} of {expected}");
        }
    }
}
