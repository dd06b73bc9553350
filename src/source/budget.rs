//! The bytes held for events without an outcome, against their bound.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;

/// Counts bytes in flight. It never refuses: whoever takes from Kafka asks it first whether to go
/// on, so a single message larger than the bound passes too.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
    gauge: IntGauge,
    sleeper: Mutex<()>,
    freed: Condvar,
}

impl Budget {
    #[must_use]
    pub fn new(bytes_max: usize, gauge: IntGauge) -> Self {
        Self {
            used: AtomicUsize::new(0),
            bytes_max,
            gauge,
            sleeper: Mutex::new(()),
            freed: Condvar::new(),
        }
    }

    /// Takes bytes; they come back when the answer is dropped.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Reserved {
        self.take(bytes);
        Reserved { budget: Arc::clone(self), bytes }
    }

    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.used.load(Ordering::Acquire) >= self.bytes_max
    }

    #[must_use]
    pub fn is_half_free(&self) -> bool {
        self.used.load(Ordering::Acquire) <= self.bytes_max / 2
    }

    /// Sleeps until the budget is no longer used up, at most so long.
    pub fn wait(&self, at_most: Duration) {
        let guard = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = self.freed.wait_timeout_while(guard, at_most, |()| self.is_used_up());
        drop(woken);
    }

    fn take(&self, bytes: usize) {
        let before = self.used.fetch_add(bytes, Ordering::AcqRel);
        self.show(before.saturating_add(bytes));
    }

    fn give_back(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::AcqRel);
        let after = before.saturating_sub(bytes);
        self.show(after);
        if before >= self.bytes_max && after < self.bytes_max {
            // Under the lock, so that a sleeper is either before its look or asleep.
            let guard = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner);
            self.freed.notify_all();
            drop(guard);
        }
    }

    fn show(&self, used: usize) {
        self.gauge.set(i64::try_from(used).unwrap_or(i64::MAX));
    }
}

/// Bytes taken from a [`Budget`], given back on drop.
#[derive(Debug)]
pub struct Reserved {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reserved {
    pub fn grow(&mut self, bytes: usize) {
        self.budget.take(bytes);
        self.bytes += bytes;
    }

    /// Corrects an estimate to what it came to.
    pub fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.budget.take(bytes - self.bytes);
        } else {
            self.budget.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_comes_back_once() {
        let gauge = IntGauge::new("used", "used").unwrap();
        let budget = Arc::new(Budget::new(100, gauge.clone()));
        let mut one = budget.reserve(60);
        let other = budget.reserve(10);
        one.grow(30);
        assert!(budget.is_used_up());
        one.set(40);
        assert_eq!((gauge.get(), budget.is_used_up(), budget.is_half_free()), (50, false, true));
        one.set(90);
        assert!(budget.is_used_up());
        drop(one);
        drop(other);
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn a_sleeper_wakes_when_there_is_room() {
        let budget = Arc::new(Budget::new(10, IntGauge::new("used", "used").unwrap()));
        let reserved = budget.reserve(10);
        let sleeper = std::thread::spawn({
            let budget = Arc::clone(&budget);
            move || budget.wait(Duration::from_secs(600))
        });
        drop(reserved);
        sleeper.join().unwrap();
    }
}
