//! Which fields the filters of all listeners ask for, and the slot of each.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::slots::Slots;
use super::{Filter, Node, Reads, Use};

/// Slots of one table: what an event costs to fill, whoever listens, has this bound.
pub const SLOTS_MAX: usize = 1_024;

/// The table has no slot left. One that is made anew has only the fields of filters in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the filters of all listeners ask for more than {SLOTS_MAX} fields")]
pub struct TableFull;

/// Gives each field that a filter asks for its slot. It only grows: filters that came before keep
/// their slots, and a field that two ask for in the same way has one.
#[derive(Debug, Default)]
pub struct Table {
    root: Branch,
    slots: usize,
    identity: Arc<Identity>,
}

/// Tells two tables apart, by its address.
#[derive(Debug, Default)]
pub(super) struct Identity;

/// The fields below one name.
#[derive(Debug, Default)]
pub(super) struct Branch {
    /// How the value itself is read, and into which slots.
    pub(super) reads: Vec<(Reads, usize)>,
    pub(super) below: FxHashMap<Box<str>, Branch>,
}

/// A filter whose fields have slots; cheap to clone.
#[derive(Debug, Clone)]
pub struct Matcher {
    root: Arc<Node>,
    /// By the filter's own numbers of its fields.
    slots: Arc<[usize]>,
    /// How many slots the table must have had when [`Slots`] were filled.
    pub(super) needs: usize,
    pub(super) identity: Arc<Identity>,
}

impl Table {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the fields of a filter their slots.
    ///
    /// # Errors
    ///
    /// There would be more than [`SLOTS_MAX`] slots; then the table is as it was.
    pub fn compile(&mut self, filter: &Filter) -> Result<Matcher, TableFull> {
        let new = filter.fields.iter().filter(|used| self.find(used).is_none()).count();
        if self.slots + new > SLOTS_MAX {
            return Err(TableFull);
        }
        let slots: Arc<[usize]> = filter.fields.iter().map(|used| self.slot(used)).collect();
        Ok(Matcher {
            root: Arc::clone(&filter.root),
            needs: slots.iter().max().map_or(0, |last| last + 1),
            slots,
            identity: Arc::clone(&self.identity),
        })
    }

    /// How many slots there are, at most [`SLOTS_MAX`].
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    pub(super) fn root(&self) -> &Branch {
        &self.root
    }

    pub(super) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    fn find(&self, used: &Use) -> Option<usize> {
        let mut branch = &self.root;
        for name in &used.path {
            branch = branch.below.get(name)?;
        }
        branch.slot(used.reads)
    }

    fn slot(&mut self, used: &Use) -> usize {
        let mut branch = &mut self.root;
        for name in &used.path {
            branch = branch.below.entry(name.clone()).or_default();
        }
        branch.slot(used.reads).unwrap_or_else(|| {
            let slot = self.slots;
            self.slots += 1;
            branch.reads.push((used.reads, slot));
            slot
        })
    }
}

impl Branch {
    fn slot(&self, reads: Reads) -> Option<usize> {
        self.reads.iter().find(|(known, _)| *known == reads).map(|(_, slot)| *slot)
    }
}

impl Matcher {
    /// Whether an event passes. Allocates nothing.
    ///
    /// Slots that do not [serve](Slots::serve) this matcher pass nothing: what cannot be judged is
    /// not shown.
    #[must_use]
    #[inline]
    pub fn matches(&self, slots: &Slots) -> bool {
        slots.serve(self) && self.holds(&self.root, slots)
    }

    /// No deeper than the filter, which has a bound.
    fn holds(&self, node: &Node, slots: &Slots) -> bool {
        match node {
            Node::All(nodes) => nodes.iter().all(|node| self.holds(node, slots)),
            Node::Any(nodes) => nodes.iter().any(|node| self.holds(node, slots)),
            Node::Not(node) => !self.holds(node, slots),
            Node::Test(field, test) => {
                let Some(&slot) = self.slots.get(*field) else { return false };
                test.passes(slots.values(slot), slots.text())
            }
        }
    }
}
