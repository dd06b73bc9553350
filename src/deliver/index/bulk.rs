//! One delivery: sends what is due, reads the answers, waits, until every item has its verdict.
//!
//! A round sends all items that are due, split where a request is refused whole, and gathers one
//! answer for each; only then is it decided, so that the brake sees a round as one. What is sent
//! again are ranges of the same bytes.

use std::io::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use elasticsearch::http::Method;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::time::{Instant, sleep_until};

use super::brake::Counts;
use super::client::{Answer as HttpAnswer, Call, Failure};
use super::limit::{Permit, backoff};
use super::reply::{self, IndexError, ItemReply, Items};
use super::trouble::{Place, Trouble};
use super::verdict::{self, Answer, RequestVerdict};
use super::{Bulk, Inner, Refusal, Verdict};
use crate::metrics::RequestEnd;
use crate::outcome::Reason;

/// Only what the verdict needs: an answer of 25 bytes for an item that was created.
const PATH: &str = "_bulk?filter_path=errors,items.*.status,items.*.error,items.*.failure_store";
/// While waiting, a lost hold and a released brake are noticed within this time.
const WAIT_SLICE: Duration = Duration::from_millis(100);
/// Bodies below this are not worth compressing.
const GZIP_BYTES_MIN: usize = 1024;

/// An item without a verdict.
#[derive(Debug, Clone, Copy)]
struct Pending {
    /// Its place in the bulk.
    item: usize,
    due: Instant,
    /// Since when, without a break, the index gives it the same temporary answer.
    waiting: Option<Waiting>,
    /// Held back by the brake: due at once when that is released.
    braked: bool,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    blocked: bool,
    since: Instant,
    /// How many items the index had accepted by then.
    accepted: u64,
}

/// What one round gives.
#[derive(Debug, Default)]
struct Round {
    answers: Vec<Answer>,
    /// Why requests had no answer, or were refused for the cluster's sake.
    trouble: Option<Trouble>,
    refused_alone: u32,
    /// The rest is not sent in this round.
    over: bool,
}

/// The end of one request.
enum End {
    Items(Items),
    Split(Reason, IndexError),
    Again(Trouble),
    /// The index is there and busy.
    Busy,
    Hold(String),
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
            .map(|item| Pending { item, due, waiting: None, braked: false })
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
            let round = self.send(&due).await;
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
            for pending in self.pending.iter_mut().filter(|pending| pending.braked) {
                pending.due = now;
            }
            return;
        }
        let slice = Instant::now() + WAIT_SLICE;
        let next = self.pending.iter().map(|pending| pending.due).min().unwrap_or(slice);
        sleep_until(next.min(slice)).await;
    }

    /// Sends the items, in as many requests as it takes; one answer for each, in order.
    async fn send(&self, due: &[Pending]) -> Round {
        let mut round = Round::default();
        // The part to be sent next is the last.
        let mut parts = vec![due];
        while let Some(part) = parts.pop() {
            if round.over {
                round.answers.extend(part.iter().map(|_| Answer::Unanswered));
                continue;
            }
            let (first, second) = part.split_at(part.len() / 2);
            if !first.is_empty() && self.bytes_of(part) > self.index.body_bytes_max() {
                parts.extend([second, first]);
                continue;
            }
            match self.request(part).await {
                End::Items(Items::Created(_)) => {
                    round.answers.extend(part.iter().map(|_| Answer::Created));
                }
                End::Items(Items::Each(items)) => {
                    round.answers.extend(items.into_iter().map(verdict::of_item));
                }
                End::Split(reason, error) if first.is_empty() => {
                    round.answers.push(Answer::Refused(verdict::refusal(reason, error)));
                    round.refused_alone += 1;
                    round.over = self.is_hopeless(&round);
                }
                End::Split(reason, _) => {
                    if reason == Reason::TooLarge {
                        self.index.lower_body_bytes_max(self.bytes_of(part) - 1);
                    }
                    parts.extend([second, first]);
                }
                End::Busy => round.answers.extend(part.iter().map(|_| Answer::Unanswered)),
                End::Again(trouble) => {
                    round.answers.extend(part.iter().map(|_| Answer::Unanswered));
                    round.trouble = Some(trouble);
                    round.over = true;
                }
                End::Hold(reason) => {
                    round.answers.extend(part.iter().map(|_| Answer::Held(reason.clone())));
                    round.trouble = Some(Trouble::Hold(reason));
                    round.over = true;
                }
            }
        }
        round
    }

    /// Everything is refused, each item alone, and nothing accepted: enough for the brake to
    /// see, so the rest need not be taken apart in this round.
    fn is_hopeless(&self, round: &Round) -> bool {
        round.refused_alone >= self.index.settings.brake.refusals_min
            && !round.answers.iter().any(is_accepted)
    }

    /// One request, within the limit of concurrency.
    async fn request(&self, part: &[Pending]) -> End {
        let body = self.body_of(part);
        let pays = self.index.settings.gzip && body.len() >= GZIP_BYTES_MIN;
        let (body, gzip) = if pays { compressed(body).await } else { (body, false) };
        let permit = self.index.limit.acquire().await;
        let metrics = &self.index.metrics;
        metrics.index_sent_bytes.inc_by(body.len() as u64);
        let call = Call {
            method: Method::Post,
            path: PATH,
            content_type: "application/x-ndjson",
            gzip,
            body: Some(body),
        };
        let began = Instant::now();
        let answer = self.index.client.call(call).await;
        metrics.request_seconds.observe(began.elapsed().as_secs_f64());
        let (end, label) = match answer {
            Ok(answer) => {
                metrics.index_received_bytes.inc_by(answer.body.len() as u64);
                self.read(&answer, part.len(), &permit)
            }
            Err(failure) => {
                let label = match failure {
                    Failure::Timeout(_) => RequestEnd::Timeout,
                    Failure::Connection(_) => RequestEnd::Connection,
                };
                (End::Again(Trouble::Unreachable(failure.text().to_owned())), label)
            }
        };
        if let Some(counter) = metrics.requests.get(label.index()) {
            counter.inc();
        }
        end
    }

    fn read(&self, answer: &HttpAnswer, sent: usize, permit: &Permit<'_>) -> (End, RequestEnd) {
        let (verdict, label) = verdict::of_request(answer.status);
        let end = match verdict {
            RequestVerdict::Answered => match reply::items(&answer.body) {
                Some(items) if items.count() == sent => {
                    note_load(&items, permit);
                    End::Items(items)
                }
                _ => {
                    let text = "an answer that does not fit the request".to_owned();
                    return (End::Again(Trouble::Unreachable(text)), RequestEnd::Unreadable);
                }
            },
            RequestVerdict::Split(reason) => End::Split(reason, reply::request_error(&answer.body)),
            RequestVerdict::Again { overloaded: true } => {
                permit.overloaded();
                End::Busy
            }
            RequestVerdict::Again { overloaded: false } => {
                End::Again(Trouble::Unreachable(format!("it answers {}", answer.status)))
            }
            RequestVerdict::Hold => {
                if answer.status == 401 {
                    self.index.client.refresh();
                }
                let kind = reply::request_error(&answer.body).kind;
                End::Hold(format!("it answers {} ({kind})", answer.status))
            }
        };
        (end, label)
    }

    /// Turns the answers of a round into verdicts, or into another try.
    fn decide(&mut self, due: Vec<Pending>, round: Round, began: Waiting) {
        let before = self.pending.len() + due.len();
        let accepted = round.answers.iter().filter(|answer| is_accepted(answer)).count() as u64;
        self.index.accept(accepted);
        let mut counts = Counts { accepted, ..Counts::default() };
        let mut refused = Vec::new();
        let mut again = Vec::new();
        let mut trouble = round.trouble;
        for (mut pending, answer) in due.into_iter().zip(round.answers) {
            self.index.count(&answer);
            pending.braked = false;
            match self.judge(&mut pending, answer, began, &mut trouble) {
                Judged::Done(verdict) => settle(&mut self.verdicts, pending.item, verdict),
                Judged::Again => again.push(pending),
                Judged::Refused(refusal) => {
                    counts.refuse(refusal.reason);
                    refused.push((pending, refusal));
                }
            }
        }
        self.index.brake.record(&counts);
        let braked = self.hold_or_refuse(refused);
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
    fn hold_or_refuse(&mut self, refused: Vec<(Pending, Refusal)>) -> Vec<Pending> {
        if refused.is_empty() {
            return Vec::new();
        }
        let held = self.index.brake.engaged();
        let due = Instant::now() + self.index.settings.brake.retry_every;
        let mut braked = Vec::new();
        for (pending, refusal) in refused {
            if held.contains(&refusal.reason) {
                braked.push(Pending { due, braked: true, ..pending });
            } else {
                settle(&mut self.verdicts, pending.item, Verdict::Refused(refusal));
            }
        }
        braked
    }

    fn bytes_of(&self, part: &[Pending]) -> usize {
        part.iter().filter_map(|p| self.bulk.items.get(p.item)).map(|i| i.end - i.start).sum()
    }

    /// The body: one range of the bulk's bytes where the items lie side by side, else their runs
    /// put together.
    fn body_of(&self, part: &[Pending]) -> Bytes {
        let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
        for item in part.iter().filter_map(|pending| self.bulk.items.get(pending.item)) {
            match runs.last_mut() {
                Some(run) if run.end == item.start => run.end = item.end,
                _ => runs.push(item.start..item.end),
            }
        }
        match runs.as_slice() {
            [run] => self.bulk.bytes.slice(run.clone()),
            runs => {
                let mut body = BytesMut::with_capacity(self.bytes_of(part));
                for run in runs {
                    body.extend_from_slice(self.bulk.bytes.get(run.clone()).unwrap_or_default());
                }
                body.freeze()
            }
        }
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

fn is_accepted(answer: &Answer) -> bool {
    matches!(answer, Answer::Created | Answer::Duplicate)
}

/// Tells the limit whether the index took the items or asked for less.
fn note_load(items: &Items, permit: &Permit<'_>) {
    let asked_for_less = match items {
        Items::Created(_) => false,
        Items::Each(items) => items.iter().any(is_rejected),
    };
    if asked_for_less { permit.overloaded() } else { permit.taken() }
}

/// Rejected for the load; a full disk says 429 too, and asking for less would not help there.
fn is_rejected(item: &ItemReply) -> bool {
    let blocked = item.error.as_ref().is_some_and(|error| error.kind == "cluster_block_exception");
    item.status == 429 && !blocked
}

/// Compresses off the threads of the sockets; answers whether it did.
async fn compressed(body: Bytes) -> (Bytes, bool) {
    let plain = body.clone();
    let packing = tokio::task::spawn_blocking(move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
        encoder.write_all(&body).and_then(|()| encoder.finish())
    });
    match packing.await {
        Ok(Ok(packed)) => (packed.into(), true),
        // Writing into memory does not fail, and only a runtime that ends cancels the task.
        Ok(Err(_)) | Err(_) => (plain, false),
    }
}
