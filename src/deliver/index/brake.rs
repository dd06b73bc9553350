//! The brake: a fault of the cluster must not empty a topic into the dead letters.
//!
//! It counts, per reason and over a sliding minute, the items that the index refused against all
//! that it answered for good. While most are refused, the refused are held back and sent again; an
//! item that is sent again counts once, with its last answer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;

use crate::clock::{Clock, Millis};
use crate::config::settings::BrakeSettings;
use crate::outcome::Reason;

const SECOND_MS: Millis = 1_000;
const WINDOW_SECONDS: Millis = 60;

/// Shared by all deliveries.
#[derive(Debug)]
pub struct Brake {
    on: AtomicBool,
    refusals_min: u64,
    refused_percent: u64,
    clock: Clock,
    window: Mutex<Window>,
    /// Counts the releases, so that whoever is held back notices.
    releases: AtomicU64,
    gauge: IntGauge,
}

#[derive(Debug, Default)]
struct Window {
    seconds: VecDeque<Second>,
    engaged: [bool; Reason::COUNT],
}

/// What was answered within one second.
#[derive(Debug)]
struct Second {
    number: Millis,
    counts: Counts,
}

/// Items with an answer for good: accepted or refused.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) refused: [u64; Reason::COUNT],
}

/// Where a refusal was counted, to take it back when the item is sent again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    reason: Reason,
    second: Millis,
}

impl Counts {
    pub(super) fn refuse(&mut self, reason: Reason) {
        if let Some(count) = self.refused.get_mut(reason.index()) {
            *count += 1;
        }
    }

    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        for (into, from) in self.refused.iter_mut().zip(&other.refused) {
            *into += from;
        }
    }

    fn items(&self) -> u64 {
        self.accepted + self.refused.iter().sum::<u64>()
    }
}

impl Brake {
    pub(super) fn new(settings: &BrakeSettings, clock: Clock, gauge: IntGauge) -> Self {
        Self {
            on: AtomicBool::new(settings.on),
            refusals_min: u64::from(settings.refusals_min),
            refused_percent: u64::from(settings.refused_percent),
            clock,
            window: Mutex::default(),
            releases: AtomicU64::new(0),
            gauge,
        }
    }

    /// The operator's switch: off lets refused items through to the dead letters.
    pub fn switch(&self, on: bool) {
        let was = self.on.swap(on, Ordering::AcqRel);
        let window = self.window();
        if was && !on {
            self.releases.fetch_add(1, Ordering::AcqRel);
        }
        self.show(&window);
    }

    /// Counts the answers of one round in place of earlier ones, and engages or releases.
    pub(super) fn record(&self, counts: &Counts, earlier: impl Iterator<Item = Mark>) -> Stamp {
        let now = self.clock.now() / SECOND_MS;
        let stamp = Stamp { second: now };
        let mut window = self.window();
        earlier.for_each(|mark| window.take_back(mark));
        if counts.items() == 0 {
            return stamp;
        }
        let minute = window.add(now, counts);
        let items = minute.items();
        for reason in Reason::ALL {
            let refused = minute.refused.get(reason.index()).copied().unwrap_or_default();
            let most = refused * 100 > self.refused_percent * items;
            let Some(engaged) = window.engaged.get_mut(reason.index()) else { continue };
            if !*engaged && most && refused >= self.refusals_min {
                *engaged = true;
                if self.on.load(Ordering::Acquire) {
                    tracing::error!(
                        reason = reason.label(),
                        refused,
                        items,
                        "the index refuses most of what it is given: refused events are held back"
                    );
                }
            } else if *engaged && !most {
                *engaged = false;
                self.releases.fetch_add(1, Ordering::AcqRel);
                tracing::info!(reason = reason.label(), "the brake is released");
            }
        }
        self.show(&window);
        stamp
    }

    /// The reasons whose refusals are held back, as of now.
    pub(super) fn engaged(&self) -> Vec<Reason> {
        if !self.on.load(Ordering::Acquire) {
            return Vec::new();
        }
        let window = self.window();
        let each = Reason::ALL.iter().zip(&window.engaged);
        each.filter_map(|(&reason, &engaged)| engaged.then_some(reason)).collect()
    }

    pub(super) fn releases(&self) -> u64 {
        self.releases.load(Ordering::Acquire)
    }

    fn show(&self, window: &Window) {
        let engaged = self.on.load(Ordering::Acquire) && window.engaged.contains(&true);
        self.gauge.set(i64::from(engaged));
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a round was counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    second: Millis,
}

impl Stamp {
    pub(super) fn mark(self, reason: Reason) -> Mark {
        Mark { reason, second: self.second }
    }
}

impl Window {
    fn take_back(&mut self, mark: Mark) {
        let second = self.seconds.iter_mut().find(|second| second.number == mark.second);
        let count = second.and_then(|s| s.counts.refused.get_mut(mark.reason.index()));
        if let Some(count) = count {
            *count = count.saturating_sub(1);
        }
    }

    /// Adds the counts of this second; answers those of the last minute.
    fn add(&mut self, now: Millis, counts: &Counts) -> Counts {
        // A clock that was set back leaves seconds in the future: they go too.
        self.seconds.retain(|second| (now - WINDOW_SECONDS + 1..=now).contains(&second.number));
        match self.seconds.back_mut() {
            Some(last) if last.number == now => last.counts.add(counts),
            _ => self.seconds.push_back(Second { number: now, counts: *counts }),
        }
        let mut minute = Counts::default();
        for second in &self.seconds {
            minute.add(&second.counts);
        }
        minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Reason = Reason::IndexRefused;

    fn brake() -> (Brake, Clock) {
        let clock = Clock::fixed(1_000_000);
        let settings = crate::config::settings::IndexSettings::default().brake;
        let gauge = IntGauge::new("engaged", "engaged").unwrap();
        (Brake::new(&settings, clock.clone(), gauge), clock)
    }

    fn answered(accepted: u64, refused: u64) -> Counts {
        let mut counts = Counts { accepted, ..Counts::default() };
        counts.refused[REFUSED.index()] = refused;
        counts
    }

    fn check(rounds: &[(Millis, u64, u64)], expected: bool) {
        let (brake, clock) = brake();
        for &(at, accepted, refused) in rounds {
            clock.set(1_000_000 + at * SECOND_MS);
            brake.record(&answered(accepted, refused), [].into_iter());
        }
        let held = if expected { vec![REFUSED] } else { Vec::new() };
        assert_eq!(brake.engaged(), held, "{rounds:?}");
        assert_eq!(brake.gauge.get(), i64::from(expected));
    }

    #[test]
    fn engages_for_many_refusals_that_are_most_of_the_minute() {
        check(&[(0, 0, 99)], false);
        check(&[(0, 0, 100)], true);
        check(&[(0, 100, 100)], false);
        check(&[(0, 99, 100)], true);
        check(&[(0, 0, 60), (59, 0, 40)], true);
        check(&[(0, 0, 60), (60, 0, 40)], false);
        check(&[(0, 1000, 0), (61, 0, 100)], true);
    }

    #[test]
    fn releases_when_at_most_half_is_refused() {
        check(&[(0, 0, 200), (30, 199, 0)], true);
        check(&[(0, 0, 200), (30, 200, 0)], false);
        check(&[(0, 0, 200), (61, 0, 1)], true);
        check(&[(0, 0, 200), (61, 1, 1)], false);
    }

    #[test]
    fn an_item_that_is_sent_again_counts_once() {
        let (brake, clock) = brake();
        let mut stamp = brake.record(&answered(0, 100), [].into_iter());
        for round in 1..10 {
            clock.set(1_000_000 + round * SECOND_MS);
            let marks = std::iter::repeat_n(stamp.mark(REFUSED), 100);
            stamp = brake.record(&answered(0, 100), marks);
            assert_eq!(brake.engaged(), [REFUSED]);
        }
        let marks = std::iter::repeat_n(stamp.mark(REFUSED), 100);
        brake.record(&answered(50, 50), marks);
        assert!(brake.engaged().is_empty());
    }

    #[test]
    fn the_operator_can_switch_it_off() {
        let (brake, _) = brake();
        brake.record(&answered(0, 100), [].into_iter());
        let before = brake.releases();
        brake.switch(false);
        assert!(brake.engaged().is_empty());
        assert!(brake.releases() > before);
        assert_eq!(brake.gauge.get(), 0);
        brake.switch(true);
        assert_eq!(brake.engaged(), [REFUSED]);
    }
}
