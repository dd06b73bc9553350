//! One delivery: sends what is due, reads the answers, waits, until every item has its verdict.
//!
//! A round sends all items that are due, split where a request is refused whole, and gathers one
//! answer for each; only then is it decided, so that the brake sees a round as one. What is sent
//! again are ranges of the same bytes.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::brake::{Counts, Mark, Stamp};
use super::limit::backoff;
use super::request::{Round, Sender};
use super::trouble::{Place, Trouble};
use super::verdict::{self, Answer};
use super::{Bulk, Inner, Refusal, Verdict};
use crate::outcome::Reason;

/// While waiting, a lost hold and a released brake are noticed within this time.
const WAIT_SLICE: Duration = Duration::from_millis(100);

/// An item without a verdict.
#[derive(Debug, Clone, Copy)]
struct Pending {
    /// Its place in the bulk.
    item: usize,
    due: Instant,
    /// Since when, without a break, the index gives it the same temporary answer.
    waiting: Option<Waiting>,
    /// Held back by the brake: due at once when that is released.
    braked: Option<Mark>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    blocked: bool,
    since: Instant,
    /// How many items the index had accepted by then.
    accepted: u64,
}

pub(super) struct Delivery<'a> {
    index: &'a Inner,
    bulk: Bulk,
    verdicts: Vec<Option<Verdict>>,
    pending: Vec<Pending>,
    place: Place<'a>,
    /// Rounds in a row in which no item got its verdict.
    fruitless: u32,
    releases: u64,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(index: &'a Inner, bulk: Bulk) -> Self {
        let due = Instant::now();
        let pending = (0..bulk.items.len())
            .map(|item| Pending { item, due, waiting: None, braked: None })
            .collect();
        Self {
            index,
            verdicts: vec![None; bulk.items.len()],
            bulk,
            pending,
            place: index.troubles.place(),
            fruitless: 0,
            releases: index.brake.releases(),
        }
    }

    pub(super) async fn run(mut self) -> Vec<Verdict> {
        loop {
            self.abandon_lost();
            if self.pending.is_empty() {
                // The place of an item without a verdict does not exist: each left `pending` with
                // one.
                return self
                    .verdicts
                    .into_iter()
                    .map(|v| v.unwrap_or(Verdict::Abandoned))
                    .collect();
            }
            let now = Instant::now();
            let (due, later): (Vec<_>, Vec<_>) =
                self.pending.iter().copied().partition(|pending| pending.due <= now);
            if due.is_empty() {
                self.wait().await;
                continue;
            }
            self.pending = later;
            let began = Waiting { blocked: false, since: now, accepted: self.index.accepted() };
            let items: Vec<_> = due.iter().map(|pending| pending.item).collect();
            let round = Sender { index: self.index, bulk: &self.bulk }.round(&items).await;
            self.decide(due, round, began);
        }
    }

    /// Items of a lost hold belong to another process now.
    fn abandon_lost(&mut self) {
        let Self { pending, verdicts, bulk, .. } = self;
        pending.retain(|pending| {
            let lost = bulk.items.get(pending.item).is_none_or(|item| item.hold.is_lost());
            if lost {
                settle(verdicts, pending.item, Verdict::Abandoned);
            }
            !lost
        });
    }

    /// Sleeps until something is due, or for a short while.
    async fn wait(&mut self) {
        let releases = self.index.brake.releases();
        if releases != self.releases {
            self.releases = releases;
            let now = Instant::now();
            for pending in self.pending.iter_mut().filter(|pending| pending.braked.is_some()) {
                pending.due = now;
            }
            return;
        }
        let slice = Instant::now() + WAIT_SLICE;
        let next = self.pending.iter().map(|pending| pending.due).min().unwrap_or(slice);
        sleep_until(next.min(slice)).await;
    }

    /// Turns the answers of a round into verdicts, or into another try.
    fn decide(&mut self, due: Vec<Pending>, round: Round, began: Waiting) {
        let before = self.pending.len() + due.len();
        let accepted = round.answers.iter().filter(|answer| answer.is_accepted()).count() as u64;
        self.index.accept(accepted);
        let mut counts = Counts { accepted, ..Counts::default() };
        let earlier: Vec<_> = due.iter().filter_map(|pending| pending.braked).collect();
        let mut refused = Vec::new();
        let mut again = Vec::new();
        let mut trouble = round.trouble;
        for (mut pending, answer) in due.into_iter().zip(round.answers) {
            self.index.count(&answer);
            pending.braked = None;
            match self.judge(&mut pending, answer, began, &mut trouble) {
                Judged::Done(verdict) => settle(&mut self.verdicts, pending.item, verdict),
                Judged::Again => again.push(pending),
                Judged::Refused(refusal) => {
                    counts.refuse(refusal.reason);
                    refused.push((pending, refusal));
                }
            }
        }
        let stamp = self.index.brake.record(&counts, earlier.into_iter());
        let braked = self.hold_or_refuse(refused, stamp);
        self.index.troubles.tell();
        let fruitful = self.pending.len() + again.len() + braked.len() < before;
        self.fruitless = if fruitful { 0 } else { self.fruitless.saturating_add(1) };
        let settings = &self.index.settings;
        let pause = backoff(settings.backoff_min, settings.backoff_max, self.fruitless.max(1) - 1);
        let due = Instant::now() + pause;
        self.pending.extend(again.into_iter().map(|pending| Pending { due, ..pending }));
        self.pending.extend(braked);
        self.pending.sort_unstable_by_key(|pending| pending.item);
        self.place.set(trouble.filter(|trouble| self.is_worth_telling(trouble)));
    }

    /// A request that fails once is ordinary; twice in a row, somebody should know.
    fn is_worth_telling(&self, trouble: &Trouble) -> bool {
        !matches!(trouble, Trouble::Unreachable(_)) || self.fruitless >= 2
    }

    /// What the answer means for an item that has been waiting for this long.
    fn judge(
        &self,
        pending: &mut Pending,
        answer: Answer,
        began: Waiting,
        trouble: &mut Option<Trouble>,
    ) -> Judged {
        let waited = |waiting: &Waiting| waiting.since.elapsed();
        match answer {
            Answer::Created => Judged::Done(Verdict::Created),
            Answer::Duplicate => Judged::Done(Verdict::Duplicate),
            Answer::Refused(refusal) => Judged::Refused(refusal),
            Answer::Busy(error) => {
                let waiting = pending.wait(began, false);
                let others = self.index.accepted() > waiting.accepted;
                if others && waited(&waiting) >= self.index.settings.item_retry_max {
                    return Judged::Refused(verdict::refusal(Reason::RetryExhausted, error));
                }
                Judged::Again
            }
            Answer::Blocked(error) => {
                let waiting = pending.wait(began, true);
                if waited(&waiting) >= self.index.settings.blocked_index_wait {
                    return Judged::Refused(verdict::refusal(Reason::IndexBlocked, error));
                }
                let text = format!("an index is blocked or closed ({})", error.kind);
                trouble.get_or_insert(Trouble::Blocked(text));
                Judged::Again
            }
            Answer::Held(reason) => {
                pending.waiting = None;
                *trouble = Some(Trouble::Hold(reason));
                Judged::Again
            }
            // Not refused, only not answered: an index that is down for an hour and busy when it
            // comes back has not refused this item for an hour.
            Answer::Unanswered => {
                pending.waiting = None;
                Judged::Again
            }
        }
    }

    /// Refuses for good, unless the brake holds refusals of that reason back.
    fn hold_or_refuse(&mut self, refused: Vec<(Pending, Refusal)>, stamp: Stamp) -> Vec<Pending> {
        if refused.is_empty() {
            return Vec::new();
        }
        let held = self.index.brake.engaged();
        let due = Instant::now() + self.index.settings.brake.retry_every;
        let mut braked = Vec::new();
        for (pending, refusal) in refused {
            if held.contains(&refusal.reason) {
                let mark = stamp.mark(refusal.reason);
                braked.push(Pending { due, braked: Some(mark), ..pending });
            } else {
                settle(&mut self.verdicts, pending.item, Verdict::Refused(refusal));
            }
        }
        braked
    }
}

/// What becomes of an item after a round.
enum Judged {
    Done(Verdict),
    Again,
    Refused(Refusal),
}

impl Pending {
    /// Begins to wait at the round's beginning, or goes on waiting for the same thing.
    fn wait(&mut self, began: Waiting, blocked: bool) -> Waiting {
        let going_on = self.waiting.filter(|waiting| waiting.blocked == blocked);
        *self.waiting.insert(going_on.unwrap_or(Waiting { blocked, ..began }))
    }
}

fn settle(verdicts: &mut [Option<Verdict>], item: usize, verdict: Verdict) {
    if let Some(place) = verdicts.get_mut(item) {
        *place = Some(verdict);
    }
}
