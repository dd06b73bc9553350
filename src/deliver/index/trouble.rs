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
            None => tracing::info!("the index takes events again"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    pub(super) fn set(&self, trouble: Option<Trouble>) {
        {
            let mut state = self.troubles.state();
            if state.each.get(&self.number) == trouble.as_ref() {
                return;
            }
            match trouble {
                Some(trouble) => state.each.insert(self.number, trouble),
                None => state.each.remove(&self.number),
            };
        }
        self.troubles.tell();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.set(None);
    }
}
