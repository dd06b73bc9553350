//! When to try again: later each time, and not all at the same moment.

use std::time::Duration;

/// However long a server asks to wait, no longer than this.
const ASKED_MAX: Duration = Duration::from_mins(5);

/// The waits between attempts, which double from the first to the longest.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(30))
    }
}

impl Backoff {
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempts: 0 }
    }

    /// How long to wait: at least as long as the server asks, at least half of this attempt's wait,
    /// and as much again at most, by chance, so that those who were cut off together do not come
    /// back together.
    pub fn wait(&mut self, asked: Option<Duration>, chance: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(self.attempts);
        let half = self.first.saturating_mul(doubled).min(self.longest) / 2;
        self.attempts = self.attempts.saturating_add(1);
        let spread = half.mul_f64(f64::from(chance) / f64::from(u32::MAX));
        asked.unwrap_or_default().min(ASKED_MAX).max(half) + spread
    }

    /// It went well: the next wait is the first again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits() {
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(10));
        let mut check = |asked: Option<u64>, chance: u32, expected: u64| {
            let wait = backoff.wait(asked.map(Duration::from_secs), chance);
            assert_eq!(wait, Duration::from_secs(expected), "{asked:?} {chance}");
        };
        check(None, 0, 1);
        check(None, u32::MAX, 4);
        check(Some(1), 0, 4);
        check(Some(7), 0, 7);
        check(Some(7), u32::MAX, 12);
        check(Some(86_400), 0, 300);
        for _ in 0..100 {
            backoff.wait(None, 7);
        }
        assert_eq!(backoff.wait(None, u32::MAX), Duration::from_secs(10));
        backoff.reset();
        assert_eq!(backoff.wait(None, 0), Duration::from_secs(1));
    }
}
