//! Every event of a batch gets its outcome.
//!
//! Index, mirror and the dead letters of what preparation refused start together; what the index
//! refuses follows into the dead letters. A batch is settled when all of them have answered.

use std::future::Future;
use std::sync::Arc;

use anyhow::ensure;

use crate::event::Hold;
use crate::outcome::Tally;
use crate::source::Reserved;

use super::batch::{Batch, Part};
use super::dead_letter::{DeadLetters, Letter};
use super::index::{Bulk, Verdict};
use super::mirror::Mirror;
use super::producer::Sent;

/// Whoever takes documents and answers with one verdict for each.
pub trait Sink: Send + Sync + 'static {
    /// Returns when every document has a final verdict.
    fn deliver(&self, bulk: Bulk) -> impl Future<Output = Vec<Verdict>> + Send;
}

/// Where a batch goes.
#[derive(Debug)]
pub struct Delivery<S> {
    pub index: S,
    /// `None`: no live topic.
    pub mirror: Option<Mirror>,
    pub dead_letters: DeadLetters,
}

/// One chunk, settled.
#[derive(Debug)]
pub struct Settled {
    pub hold: Arc<Hold>,
    pub tally: Tally,
    /// The position behind the chunk.
    pub next: Option<i64>,
    /// Given back when this is dropped.
    pub reserved: Reserved,
}

impl<S: Sink> Delivery<S> {
    /// Hands the batch to the live topic's producer, in order, before anything waits.
    pub async fn mirror(&self, batch: &Batch) -> Vec<Sent> {
        match &self.mirror {
            Some(mirror) => mirror.enqueue(batch).await,
            None => Vec::new(),
        }
    }

    /// Waits until every event of the batch has its outcome.
    ///
    /// # Errors
    /// Where the index answers with another number of verdicts than documents: our own fault.
    pub async fn settle(&self, batch: Batch, live: Vec<Sent>) -> anyhow::Result<Vec<Settled>> {
        let ((), verdicts, ()) =
            tokio::join!(self.mirrored(live), self.indexed(&batch), self.buried(&batch));
        let verdicts = verdicts?;
        let mut rest = verdicts.as_slice();
        let mut settled = Vec::with_capacity(batch.parts.len());
        for part in batch.parts {
            let (of_part, others) = rest.split_at(part.prepared.documents.len());
            rest = others;
            settled.push(close(part, of_part));
        }
        Ok(settled)
    }

    async fn mirrored(&self, live: Vec<Sent>) {
        if let Some(mirror) = &self.mirror {
            mirror.settle(live).await;
        }
    }

    async fn indexed(&self, batch: &Batch) -> anyhow::Result<Vec<Verdict>> {
        let bulk = batch.bulk();
        let documents = bulk.items.len();
        if documents == 0 {
            return Ok(Vec::new());
        }
        let verdicts = self.index.deliver(bulk).await;
        ensure!(
            verdicts.len() == documents,
            "{documents} documents were delivered and {} verdicts came",
            verdicts.len()
        );
        self.dead_letters.send(refused(batch, &verdicts)).await;
        Ok(verdicts)
    }

    async fn buried(&self, batch: &Batch) {
        self.dead_letters.send(rejected(batch)).await;
    }
}

/// What preparation refused.
fn rejected(batch: &Batch) -> Vec<Letter<'_>> {
    let mut letters = Vec::new();
    for part in &batch.parts {
        let chunk = &part.prepared.chunk;
        letters.extend(part.prepared.rejects.iter().map(|one| Letter::rejected(chunk, one)));
    }
    letters
}

/// What the index refused; the verdicts are as many as the documents.
fn refused<'a>(batch: &'a Batch, verdicts: &'a [Verdict]) -> Vec<Letter<'a>> {
    let mut verdicts = verdicts.iter();
    let mut letters = Vec::new();
    for part in &batch.parts {
        for (document, verdict) in part.prepared.documents.iter().zip(&mut verdicts) {
            if let Verdict::Refused(refusal) = verdict {
                letters.push(Letter::refused(&part.prepared.chunk, document, refusal));
            }
        }
    }
    letters
}

fn close(part: Part, verdicts: &[Verdict]) -> Settled {
    let prepared = part.prepared;
    let mut tally = Tally { skipped: prepared.skipped, ..Tally::default() };
    let refused = verdicts.iter().filter_map(|verdict| match verdict {
        Verdict::Refused(refusal) => Some(refusal.reason),
        Verdict::Created | Verdict::Duplicate | Verdict::Abandoned => None,
    });
    let rejected = prepared.rejects.iter().map(|rejected| rejected.reason);
    for reason in refused.chain(rejected) {
        if let Some(count) = tally.dead_lettered.get_mut(reason.index()) {
            *count += 1;
        }
    }
    let count = |wanted: &Verdict| verdicts.iter().filter(|verdict| *verdict == wanted).count();
    tally.created = count(&Verdict::Created) as u64;
    tally.duplicate = count(&Verdict::Duplicate) as u64;
    Settled {
        next: prepared.chunk.next_offset(),
        hold: prepared.chunk.hold,
        tally,
        reserved: part.reserved,
    }
}
