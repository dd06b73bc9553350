//! Delivery is at least once: what came already is known by its `event_id`, for a while.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// The ids of the last events.
#[derive(Debug)]
pub struct Repeats {
    ids_max: usize,
    known: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl Repeats {
    /// Knows the last `ids_max` ids.
    #[must_use]
    pub fn new(ids_max: usize) -> Self {
        Self { ids_max, known: HashSet::new(), order: VecDeque::new() }
    }

    /// Whether this one came before; from now on it did.
    pub fn is_repeat(&mut self, id: &str) -> bool {
        if self.known.contains(id) {
            return true;
        }
        while self.order.len() >= self.ids_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let id: Arc<str> = id.into();
        self.order.push_back(Arc::clone(&id));
        self.known.insert(id);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ids_are_known() {
        let mut repeats = Repeats::new(2);
        let mut check =
            |id: &str, expected: bool| assert_eq!(repeats.is_repeat(id), expected, "{id}");
        check("a", false);
        check("a", true);
        check("b", false);
        check("a", true);
        check("c", false);
        check("a", false);
        check("c", true);
        check("b", false);
    }
}
