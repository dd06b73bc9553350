//! Until the group's assignment, the first or the next after all was lost: a member that was killed or
//! cut off holds its partitions until its session is over, nobody gets any meanwhile, and that must not
//! look like a process that hangs.
//!
//! An assignment may well be empty, where there are more members than partitions: then there is
//! nothing to wait for.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use tracing::warn;

use crate::health::Component;

use super::poll::Poller;

/// Longer than a group takes whose members are all there.
const TELL_AFTER: Duration = Duration::from_secs(8);

/// What was said of it.
#[derive(Debug)]
pub(super) struct Waiting {
    since: Instant,
    is_told: bool,
    is_over: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Tell,
    /// What was told is no longer so.
    TakeBack,
}

impl Waiting {
    pub(super) fn since(since: Instant) -> Self {
        Self { since, is_told: false, is_over: false }
    }

    /// Another trouble of Kafka's was told instead, and is over.
    pub(super) fn tell_again(&mut self) {
        self.is_told = false;
    }

    fn look(&mut self, now: Instant, is_assigned: bool, is_in_trouble: bool) -> Option<Step> {
        if self.is_over && !is_assigned {
            *self = Self::since(now);
        }
        if self.is_over {
            return None;
        }
        if is_assigned {
            self.is_over = true;
            return (self.is_told && !is_in_trouble).then_some(Step::TakeBack);
        }
        let is_due = !self.is_told && !is_in_trouble && now >= self.since + TELL_AFTER;
        is_due.then(|| {
            self.is_told = true;
            Step::Tell
        })
    }
}

impl Poller<'_> {
    /// Says so where the group has assigned nothing for too long.
    pub(super) fn await_assignment(&mut self) {
        let is_assigned = self.consumer.context().is_assigned();
        match self.waiting.look(Instant::now(), is_assigned, self.probe_at.is_some()) {
            None => {}
            Some(Step::TakeBack) => {
                self.shared.health.set(Component::Kafka, Ok(()));
            }
            Some(Step::Tell) => {
                let reason = format!(
                    "waiting for the consumer group {} to assign partitions; a member that was \
                     killed or cut off holds them up to kafka.session_timeout",
                    self.reading.kafka.group
                );
                warn!("{reason}");
                self.shared.health.set(Component::Kafka, Err(reason));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of the clock in seconds, whether there is an assignment, whether there is another
    /// trouble, and what is to be done.
    fn check(rows: &[(u64, bool, bool, Option<Step>)]) {
        let start = Instant::now();
        let mut waiting = Waiting::since(start);
        for (after, is_assigned, is_in_trouble, expected) in rows {
            let now = start + Duration::from_secs(*after);
            assert_eq!(waiting.look(now, *is_assigned, *is_in_trouble), *expected, "{after}");
            // As the end of a trouble does.
            if *is_in_trouble {
                waiting.tell_again();
            }
        }
    }

    #[test]
    fn it_is_told_once_and_taken_back() {
        check(&[
            (7, false, false, None),
            (8, false, false, Some(Step::Tell)),
            (9, false, false, None),
            (40, true, false, Some(Step::TakeBack)),
            (41, true, false, None),
            // Lost to a Kafka that was away, or to a session that was over.
            (90, false, false, None),
            (97, false, false, None),
            (98, false, false, Some(Step::Tell)),
            (99, true, false, Some(Step::TakeBack)),
        ]);
    }

    #[test]
    fn nothing_is_told_where_an_assignment_came() {
        check(&[(1, false, false, None), (3, true, false, None), (60, true, false, None)]);
    }

    #[test]
    fn another_trouble_says_more() {
        check(&[
            (9, false, true, None),
            (10, false, false, Some(Step::Tell)),
            (11, false, true, None),
            (12, false, false, Some(Step::Tell)),
            (13, true, true, None),
            (14, true, false, None),
        ]);
    }
}
