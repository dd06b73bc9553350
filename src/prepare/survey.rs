//! The members of one event at a glance: which are there, under which slot of the plan, and which
//! of two of one name counts.

use std::collections::HashMap;

use super::parse::Parsed;
use super::plan::Plan;

/// A place among the fields of a plan. Those of the catalogue have the catalogue's places.
pub(crate) type Slot = usize;

/// Up to so many names are compared one by one. More go through a hash table whose keys no sender
/// can guess, so that no message takes quadratic time.
const COMPARED_MAX: usize = 16;

/// One member that counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    /// The places of name and value among the event's nodes.
    pub(crate) key: usize,
    pub(crate) value: usize,
    /// `None`: a name that the plan does not know.
    pub(crate) slot: Option<Slot>,
}

/// Used again for every event.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    members: Vec<Option<Member>>,
    /// For each slot the place in `members` plus one; 0 where the event has no such member.
    slots: Vec<u32>,
    unknown: Vec<usize>,
    /// For each slot the one that came next to it last time: gateways write their fields in the
    /// same order again and again, so most names need only be compared.
    next: Vec<Slot>,
}

impl Survey {
    /// Looks over the members of an event. Of two with one name the last counts.
    pub(crate) fn take(&mut self, event: &Parsed<'_>, plan: &Plan) {
        self.members.clear();
        self.unknown.clear();
        self.slots.clear();
        self.slots.resize(plan.fields.len(), 0);
        self.next.resize(plan.fields.len() + 1, Slot::MAX);
        let mut before = plan.fields.len();
        for (key, value) in event.members(0) {
            let slot = event.string(key).and_then(|name| self.slot(name, before, plan));
            before = slot.unwrap_or(plan.fields.len());
            let place = self.members.len();
            self.members.push(Some(Member { key, value, slot }));
            match slot.and_then(|slot| self.slots.get_mut(slot)) {
                Some(seen) => {
                    let before = std::mem::replace(seen, u32::try_from(place + 1).unwrap_or(0));
                    if before > 0
                        && let Some(member) = self.members.get_mut(before as usize - 1)
                    {
                        *member = None;
                    }
                }
                None => self.unknown.push(place),
            }
        }
        self.unknown_once(event);
    }

    /// For another plan.
    pub(crate) fn forget(&mut self) {
        self.next.clear();
    }

    /// The slot of a name that stands behind the one of slot `before`.
    #[inline]
    fn slot(&mut self, name: &str, before: Slot, plan: &Plan) -> Option<Slot> {
        let next = self.next.get_mut(before)?;
        if plan.field(*next).is_some_and(|field| *field.name == *name) {
            return Some(*next);
        }
        let slot = plan.slot(name)?;
        *next = slot;
        Some(slot)
    }

    /// The members that count, in the order in which they came.
    pub(crate) fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.members.iter().copied().flatten()
    }

    /// The value of a field, by the place of its node.
    #[inline]
    pub(crate) fn value(&self, slot: Slot) -> Option<usize> {
        let place = self.slots.get(slot).copied()?.checked_sub(1)?;
        self.members.get(place as usize).copied().flatten().map(|member| member.value)
    }

    fn unknown_once(&mut self, event: &Parsed<'_>) {
        if self.unknown.len() < 2 {
            return;
        }
        let name = |members: &[Option<Member>], place: usize| {
            let member = members.get(place).copied().flatten();
            member.and_then(|member| event.string(member.key)).unwrap_or_default()
        };
        let names: Vec<_> = self.unknown.iter().map(|&place| name(&self.members, place)).collect();
        for (&place, counts) in self.unknown.iter().zip(last_of_each(&names)) {
            if !counts && let Some(member) = self.members.get_mut(place) {
                *member = None;
            }
        }
    }
}

/// For each name whether no later one is the same.
pub(crate) fn last_of_each(names: &[&str]) -> Vec<bool> {
    if names.len() <= COMPARED_MAX {
        let later = |at: usize| names.get(at + 1..).unwrap_or_default();
        return names.iter().enumerate().map(|(at, name)| !later(at).contains(name)).collect();
    }
    let last: HashMap<_, _> = names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
    names.iter().enumerate().map(|(at, name)| last.get(name) == Some(&at)).collect()
}

/// Whether an object holds a name twice; most do not, and then nothing is allocated.
pub(crate) fn has_twins(parsed: &Parsed<'_>, object: usize) -> bool {
    if parsed.len(object) > COMPARED_MAX {
        return true;
    }
    let mut members = parsed.members(object);
    while let Some((key, _)) = members.next() {
        let name = parsed.string(key);
        if members.clone().any(|(other, _)| parsed.string(other) == name) {
            return true;
        }
    }
    false
}

/// Calls `each` with the places of name and value of every member that counts.
pub(crate) fn each_member(parsed: &Parsed<'_>, object: usize, mut each: impl FnMut(usize, usize)) {
    if !has_twins(parsed, object) {
        parsed.members(object).for_each(|(key, value)| each(key, value));
        return;
    }
    let names: Vec<_> =
        parsed.members(object).map(|(key, _)| parsed.string(key).unwrap_or_default()).collect();
    for ((key, value), counts) in parsed.members(object).zip(last_of_each(&names)) {
        if counts {
            each(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_twins_the_last_counts() {
        let check = |names: &[&str], expected: &[bool]| {
            assert_eq!(last_of_each(names), expected);
        };
        check(&[], &[]);
        check(&["a", "b"], &[true, true]);
        check(&["a", "b", "a"], &[false, true, true]);
        let many: Vec<_> = (0..40).map(|at| if at % 20 == 3 { "x" } else { "y" }).collect();
        let counted: Vec<_> = (0..40).filter(|&at| last_of_each(&many)[at]).collect();
        assert_eq!(counted, [23, 39]);
    }
}
