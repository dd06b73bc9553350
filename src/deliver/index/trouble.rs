//! What keeps deliveries from ending, told once for all of them: readiness, metric, log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;

use super::brake::Brake;
use crate::health::{Component, Health};

/// Why one delivery does not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody answers, or nothing that can be read.
    Unreachable(String),
    /// A fault of the whole cluster.
    Hold(String),
    /// A blocked or closed index is waited for.
    Blocked(String),
}

impl Trouble {
    fn reason(&self) -> &str {
        match self {
            Self::Unreachable(reason) | Self::Hold(reason) | Self::Blocked(reason) => reason,
        }
    }
}

/// The troubles of all deliveries.
#[derive(Debug)]
pub(super) struct Troubles {
    health: Health,
    holds: IntGauge,
    brake: Arc<Brake>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    each: BTreeMap<u64, Trouble>,
}

/// The place of one delivery among the troubles; dropping it ends its trouble.
#[derive(Debug)]
pub(super) struct Place<'a> {
    troubles: &'a Troubles,
    number: u64,
}

impl Troubles {
    pub(super) fn new(health: Health, holds: IntGauge, brake: Arc<Brake>) -> Self {
        Self { health, holds, brake, state: Mutex::default() }
    }

    pub(super) fn place(&self) -> Place<'_> {
        let mut state = self.state();
        state.next += 1;
        Place { troubles: self, number: state.next }
    }

    /// Tells the brake's state and the worst trouble, where they changed.
    pub(super) fn tell(&self) {
        self.tell_of(true);
    }

    /// `is_seen`: it is known that the index takes events, where there is no trouble left.
    fn tell_of(&self, is_seen: bool) {
        let state = self.state();
        let holds = state.each.values().filter(|trouble| matches!(trouble, Trouble::Hold(_)));
        self.holds.set(i64::from(holds.clone().next().is_some()));
        let engaged: Vec<_> = self.brake.engaged().iter().map(|reason| reason.label()).collect();
        let reason = if !engaged.is_empty() {
            Some(format!("the brake holds refused events back: {}", engaged.join(", ")))
        } else {
            let worst = holds.clone().next().or_else(|| state.each.values().next());
            worst.map(|trouble| trouble.reason().to_owned())
        };
        // Inside the lock, so that two tellers cannot overtake each other.
        if !self.health.set(Component::Index, reason.clone().map_or(Ok(()), Err)) {
            return;
        }
        match reason {
            Some(reason) => tracing::error!(reason, "the index does not take events"),
            None if is_seen => tracing::info!("the index takes events again"),
            None => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    pub(super) fn set(&self, trouble: Option<Trouble>) {
        if self.change(trouble) {
            self.troubles.tell();
        }
    }

    /// Answers whether that is another one than before.
    fn change(&self, trouble: Option<Trouble>) -> bool {
        let mut state = self.troubles.state();
        if state.each.get(&self.number) == trouble.as_ref() {
            return false;
        }
        match trouble {
            Some(trouble) => state.each.insert(self.number, trouble),
            None => state.each.remove(&self.number),
        };
        true
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Given up, as at a stop: of the index that says nothing.
        if self.change(None) {
            self.troubles.tell_of(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tracing_subscriber::fmt;

    use super::*;
    use crate::clock::Clock;
    use crate::config::settings::IndexSettings;
    use crate::metrics::Metrics;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_who_was_answered_says_that_the_index_takes_events_again() {
        let check = |ends: fn(Place<'_>), expected: usize| {
            let log = Log::default();
            let lines = log.clone();
            let subscriber = fmt().with_writer(move || lines.clone()).finish();
            let health = Health::default();
            tracing::subscriber::with_default(subscriber, || {
                let metrics = Metrics::new(prometheus::Registry::new(), &[]).unwrap();
                let (settings, engaged) =
                    (IndexSettings::default().brake, metrics.brake_engaged.clone());
                let brake = Arc::new(Brake::new(&settings, Clock::fixed(0), engaged));
                let troubles = Troubles::new(health.clone(), metrics.cluster_holds.clone(), brake);
                let place = troubles.place();
                place.set(Some(Trouble::Hold("no room".to_owned())));
                assert!(!health.is_ready());
                ends(place);
            });
            assert!(health.is_ready());
            let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            assert_eq!(log.matches("takes events again").count(), expected, "{log}");
        };
        check(|place| place.set(None), 1);
        // Given up at a stop, or for another process.
        check(|place| drop(place), 0);
    }
}
