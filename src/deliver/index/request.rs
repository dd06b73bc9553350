//! One round of requests: some items of a bulk are sent, in as many requests as it takes, and each
//! gets an answer.

use std::io::Write as _;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use elasticsearch::http::Method;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::time::Instant;

use super::client::{Answer as HttpAnswer, Call, Failure};
use super::limit::Permit;
use super::reply::{self, IndexError, ItemReply, Items};
use super::trouble::Trouble;
use super::verdict::{self, Answer, RequestVerdict};
use super::{Bulk, Inner};
use crate::metrics::RequestEnd;
use crate::outcome::Reason;

/// Only what the verdict needs: an answer of 25 bytes for an item that was created.
const PATH: &str = "_bulk?filter_path=errors,items.*.status,items.*.error,items.*.failure_store";
/// Bodies below this are not worth compressing.
const GZIP_BYTES_MIN: usize = 1024;

/// What one round gives.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) answers: Vec<Answer>,
    /// Why requests had no answer, or were refused for the cluster's sake.
    pub(super) trouble: Option<Trouble>,
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

/// Sends items of one bulk.
pub(super) struct Sender<'a> {
    pub(super) index: &'a Inner,
    pub(super) bulk: &'a Bulk,
}

impl Sender<'_> {
    /// Sends the items, in as many requests as it takes; one answer for each, in order.
    pub(super) async fn round(&self, items: &[usize]) -> Round {
        let mut round = Round::default();
        // The part to be sent next is the last.
        let mut parts = vec![items];
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
            && !round.answers.iter().any(Answer::is_accepted)
    }

    /// One request, within the limit of concurrency.
    async fn request(&self, part: &[usize]) -> End {
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

    fn bytes_of(&self, part: &[usize]) -> usize {
        let items = part.iter().filter_map(|&item| self.bulk.items.get(item));
        items.map(|item| item.end - item.start).sum()
    }

    /// The body: one range of the bulk's bytes where the items lie side by side, else their runs
    /// put together.
    fn body_of(&self, part: &[usize]) -> Bytes {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for item in part.iter().filter_map(|&item| self.bulk.items.get(item)) {
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
