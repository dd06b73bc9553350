//! Whether the process does its work, and if not, why: each part says it for itself, the HTTP
//! listener reads it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::outcome::labels;

labels! {
    /// A part whose trouble keeps the process from being ready.
    Component {
        Kafka => "kafka",
        Index => "index",
        Live => "live",
        Stream => "stream",
        DeadLetter => "dead_letter",
        Control => "control",
        Presence => "presence",
        Geo => "geo",
        Pipelines => "pipelines",
    }
}

/// What each part last said of itself; clones share it. A part that has said nothing is well.
#[derive(Debug, Clone, Default)]
pub struct Health {
    reasons: Arc<Mutex<[Option<String>; Component::COUNT]>>,
}

impl Health {
    /// `Err` with the reason while the part cannot work, `Ok` when it can again. The reason is for
    /// an operator's eyes: no secrets, no values of events. Answers whether that is news, to be
    /// logged.
    pub fn set(&self, component: Component, state: Result<(), String>) -> bool {
        let mut reasons = self.reasons();
        let Some(reason) = reasons.get_mut(component.index()) else { return false };
        let before = std::mem::replace(reason, state.err());
        *reason != before
    }

    /// Every part in trouble with its reason; empty means ready.
    #[must_use]
    pub fn why_not_ready(&self) -> Vec<(Component, String)> {
        let reasons = self.reasons();
        let each = Component::ALL.iter().zip(reasons.iter());
        each.filter_map(|(&component, reason)| Some((component, reason.clone()?))).collect()
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.reasons().iter().all(Option::is_none)
    }

    fn reasons(&self) -> MutexGuard<'_, [Option<String>; Component::COUNT]> {
        // Each update is one assignment, so a panic elsewhere cannot leave half of one.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_is_told_until_it_is_over() {
        let health = Health::default();
        assert!(health.is_ready());
        let refused = || Err("connection refused".to_owned());
        assert!(health.set(Component::Index, refused()));
        assert!(!health.set(Component::Index, refused()));
        health.clone().set(Component::Geo, Err("no file".to_owned()));
        assert_eq!(
            health.why_not_ready(),
            [
                (Component::Index, "connection refused".to_owned()),
                (Component::Geo, "no file".to_owned()),
            ]
        );
        assert!(health.set(Component::Index, Ok(())));
        assert!(health.set(Component::Geo, Ok(())));
        assert!(!health.set(Component::Geo, Ok(())));
        assert!(health.is_ready());
    }
}
