//! The names of headers: how they are written, and what the plan says of them. Senders use the same
//! few hundred names all the time, so what was worked out for a spelling is kept.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use crate::prepare::json;
use crate::prepare::plan::Plan;
use crate::prepare::redact::Handling;
use crate::prepare::survey::Slot;

/// Places for spellings, as a power of two.
const PLACES_BITS: u32 = 11;
/// A spelling has one of so many places, side by side. More that want the same ones only cost each
/// other their time.
const WAYS: usize = 4;
/// With a name of this length, name and value together are still one term of Lucene's.
const NAME_BYTES_MAX: usize = 8_191;
/// What is kept from one event to the next, at most, in bytes of spellings.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// One name.
#[derive(Debug)]
pub(super) struct Name {
    spelling: Box<str>,
    pub(super) lower: Box<str>,
    /// The lower-case name as the key of a member: comma, quotes, escapes, colon.
    pub(super) key: Box<[u8]>,
    /// Of the lower-case name.
    pub(super) hash: u64,
    /// The index takes no such name.
    pub(super) refused: bool,
    /// No value of it is redacted.
    pub(super) passes: bool,
    pub(super) rules: Option<Handling>,
    /// The promotions that it may feed, with the headers field each is of.
    pub(super) lifts: Box<[(Slot, usize)]>,
}

/// The names of one worker, under one plan.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Vec<Name>,
    /// By the hash of a spelling its place in `known`, where it has one. Empty until the first
    /// name.
    places: Vec<Option<u32>>,
    bytes: usize,
}

impl Names {
    /// Between two events: what was found before may be gone.
    pub(super) fn shrink(&mut self) {
        if self.bytes > KEPT_BYTES_MAX {
            *self = Self::default();
        }
    }

    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<&Name> {
        self.known.get(place)
    }

    /// The place of a name; it holds until [`Self::shrink`].
    #[inline]
    pub(super) fn find(&mut self, spelling: &str, plan: &Plan) -> usize {
        let at = usize::try_from(hash(spelling) >> (u64::BITS - PLACES_BITS)).unwrap_or_default();
        for place in self.places.get(at..at + WAYS).unwrap_or_default().iter().flatten() {
            let place = *place as usize;
            if self.known.get(place).is_some_and(|name| *name.spelling == *spelling) {
                return place;
            }
        }
        self.learn(at, spelling, plan)
    }

    #[cold]
    fn learn(&mut self, at: usize, spelling: &str, plan: &Plan) -> usize {
        let lower = spelling.to_ascii_lowercase();
        let mut key = vec![b','];
        json::write_string(&mut key, &lower);
        key.push(b':');
        let rules = plan.redactor.header_rules(&lower);
        self.bytes += spelling.len();
        let name = Name {
            spelling: spelling.into(),
            key: key.into(),
            hash: hash(&lower),
            refused: lower.is_empty() || lower.contains('\0') || lower.len() > NAME_BYTES_MAX,
            passes: plan.redactor.passes_header(rules),
            rules,
            lifts: plan.lifts.of_header(&lower).into(),
            lower: lower.into(),
        };
        let place = self.known.len();
        self.known.push(name);
        self.places.resize((1 << PLACES_BITS) + WAYS, None);
        if let Some(ways) = self.places.get_mut(at..at + WAYS)
            && let Some(way) = ways.iter_mut().find(|way| way.is_none())
        {
            *way = u32::try_from(place).ok();
        }
        place
    }
}

#[inline]
fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::pipeline::{PipelineSpec, PromotedKind, Promotion};

    fn plan() -> Plan {
        let promotion = Promotion {
            from: "request_http_headers.User-Agent".to_owned(),
            to: "h.user_agent".to_owned(),
            kind: PromotedKind::Keyword,
        };
        Plan::compile(&PipelineSpec { promote: vec![promotion], ..PipelineSpec::new("test") })
            .unwrap()
    }

    #[test]
    fn a_spelling_has_one_place_and_a_name_one_key() {
        let (mut names, plan) = (Names::default(), plan());
        let mut check = |spelling: &str, lower: &str, key: &str, flags: [bool; 3]| {
            let place = names.find(spelling, &plan);
            assert_eq!(names.find(spelling, &plan), place);
            let name = names.get(place).unwrap();
            assert_eq!((&*name.lower, &*name.key), (lower, key.as_bytes()));
            assert_eq!(name.hash, hash(lower));
            assert_eq!([name.refused, !name.passes, !name.lifts.is_empty()], flags, "{spelling}");
        };
        for _ in 0..2 {
            check("Host", "host", ",\"host\":", [false; 3]);
            check("HOST", "host", ",\"host\":", [false; 3]);
            check("X-\"Ä", "x-\"Ä", ",\"x-\\\"Ä\":", [false; 3]);
            check("Authorization", "authorization", ",\"authorization\":", [false, true, false]);
            check("User-Agent", "user-agent", ",\"user-agent\":", [false, false, true]);
            check("", "", ",\"\":", [true, false, false]);
        }
    }

    #[test]
    fn many_names_keep_their_places_until_it_shrinks() {
        let (mut names, plan) = (Names::default(), plan());
        let places: Vec<_> = (0..20_000).map(|n| names.find(&format!("x-{n}"), &plan)).collect();
        for (n, place) in places.into_iter().enumerate() {
            assert_eq!(*names.get(place).unwrap().lower, format!("x-{n}"));
        }
        names.shrink();
        assert!(names.get(0).is_none());
        let place = names.find("x-1", &plan);
        names.shrink();
        assert_eq!(*names.get(place).unwrap().lower, *"x-1");
    }
}
