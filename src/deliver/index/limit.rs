//! How much is asked of the index at a time, and how long to wait before asking again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::sync::Notify;

/// Requests in flight, between 1 and a maximum: halved when the index says 429, raised slowly by
/// requests that it took.
#[derive(Debug)]
pub(super) struct Limit {
    state: Mutex<State>,
    freed: Notify,
    requests_max: usize,
    gauge: IntGauge,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    allowed: usize,
    /// Requests taken since `allowed` was last changed.
    taken: usize,
    /// Counts the halvings, so that the 429s of one burst halve once.
    generation: u64,
}

/// The right to have one request in flight.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    limit: &'a Limit,
    generation: u64,
}

impl Limit {
    pub(super) fn new(requests_max: usize, gauge: IntGauge) -> Self {
        let requests_max = requests_max.max(1);
        gauge.set(as_gauge(requests_max));
        let state = State { in_flight: 0, allowed: requests_max, taken: 0, generation: 0 };
        Self { state: Mutex::new(state), freed: Notify::new(), requests_max, gauge }
    }

    pub(super) async fn acquire(&self) -> Permit<'_> {
        loop {
            let freed = self.freed.notified();
            if let Some(permit) = self.try_acquire() {
                return permit;
            }
            freed.await;
        }
    }

    fn try_acquire(&self) -> Option<Permit<'_>> {
        let mut state = self.state();
        if state.in_flight >= state.allowed {
            return None;
        }
        state.in_flight += 1;
        if state.in_flight < state.allowed {
            self.freed.notify_one();
        }
        Some(Permit { limit: self, generation: state.generation })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The index asked for less.
    pub(super) fn overloaded(&self) {
        let mut state = self.limit.state();
        if state.generation == self.generation {
            state.generation += 1;
            state.taken = 0;
            state.allowed = (state.allowed / 2).max(1);
            self.limit.gauge.set(as_gauge(state.allowed));
        }
    }

    /// The index took the request. After ten rounds of all allowed requests, one more is tried.
    pub(super) fn taken(&self) {
        let mut state = self.limit.state();
        state.taken += 1;
        if state.allowed < self.limit.requests_max && state.taken >= 10 * state.allowed {
            state.taken = 0;
            state.allowed += 1;
            self.limit.gauge.set(as_gauge(state.allowed));
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.limit.state().in_flight -= 1;
        self.limit.freed.notify_one();
    }
}

fn as_gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A pause of full jitter: between nothing and `min * 2^attempt`, at most `max`.
pub(super) fn backoff(min: Duration, max: Duration, attempt: u32) -> Duration {
    let ceiling = min.saturating_mul(2_u32.saturating_pow(attempt)).min(max);
    // The keys of each `RandomState` differ; that is chance enough to keep clients apart.
    let chance = RandomState::new().build_hasher().finish() % 1024;
    ceiling.mul_f64((chance as f64 + 1.0) / 1024.0)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn halves_once_a_burst_and_rises_slowly() {
        let limit = Limit::new(4, IntGauge::new("allowed", "allowed").unwrap());
        let permits: Vec<_> = (0..4).map(|_| limit.try_acquire().unwrap()).collect();
        assert!(limit.acquire().now_or_never().is_none());
        permits.iter().for_each(Permit::overloaded);
        assert_eq!(limit.gauge.get(), 2);
        drop(permits);
        let permits: Vec<_> = (0..2).map(|_| limit.try_acquire().unwrap()).collect();
        assert!(limit.try_acquire().is_none());
        permits[0].overloaded();
        drop(permits);
        assert_eq!(limit.gauge.get(), 1);
        for taken in 0..30 {
            assert_eq!(limit.gauge.get(), if taken < 10 { 1 } else { 2 });
            limit.try_acquire().unwrap().taken();
        }
        assert_eq!(limit.gauge.get(), 3);
    }

    #[test]
    fn pauses_stay_within_their_bounds() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(10));
        for attempt in [0, 1, 5, 40, u32::MAX] {
            let pause = backoff(min, max, attempt);
            let ceiling = min.saturating_mul(2_u32.saturating_pow(attempt)).min(max);
            assert!(pause > Duration::ZERO && pause <= ceiling, "{attempt}: {pause:?}");
        }
    }
}
