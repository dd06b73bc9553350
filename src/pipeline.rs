//! The whole path on one screen: chunks in, positions out.
//!
//! Both `spawn`s put the work on other threads; `buffered` only bounds it and keeps the order. So
//! batches settle in the order in which they were cut, and when one settles all earlier ones have:
//! its positions are committed as they are, without a ledger of gaps. The price is that one slow
//! batch holds back commits, not writes, for as many batches as may be in flight.

use std::sync::Arc;

use anyhow::Context as _;
use futures::{StreamExt, TryStreamExt, future, stream};
use tokio::sync::mpsc;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::deliver::batch::{Arrived, Batch, BatchLimits, batched};
use crate::deliver::producer::Sent;
use crate::deliver::settle::{Delivery, Settled, Sink};
use crate::event::Chunk;
use crate::prepare::Prepared;
use crate::source::{Shared, Taken};

/// Prepares one chunk: frame, parse, stamp, enrich, redact, trim, encode.
/// It fails only by our own fault.
pub type Prepare = Arc<dyn Fn(Chunk) -> anyhow::Result<Prepared> + Send + Sync>;

/// The stages and their bounds.
pub struct Path<S> {
    pub prepare: Prepare,
    pub prepare_in_flight_max: usize,
    pub batch: BatchLimits,
    pub delivery: Arc<Delivery<S>>,
    pub settle_in_flight_max: usize,
    pub shared: Shared,
}

impl<S> std::fmt::Debug for Path<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Path").field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// Runs until the source ends and everything is settled.
///
/// # Errors
/// Where a worker panicked, or the index broke its contract: our own faults.
pub async fn run<S: Sink>(chunks: mpsc::Receiver<Taken>, path: Path<S>) -> anyhow::Result<()> {
    let Path { prepare, batch, delivery, shared, .. } = path;
    let tasks = TaskTracker::new();
    let (mirror, books) = (Arc::clone(&delivery), shared.clone());

    let prepared = stream::unfold(chunks, |mut chunks| async {
        chunks.recv().await.map(|taken| (taken, chunks))
    })
    .map(move |taken| prepared(Arc::clone(&prepare), taken))
    .buffered(path.prepare_in_flight_max)
    .try_filter_map(move |arrived| future::ready(Ok(entered(&books, arrived))));

    batched(prepared, batch)
        .and_then(move |batch| mirrored(Arc::clone(&mirror), batch))
        .map_ok(|(batch, live)| settled(&tasks, Arc::clone(&delivery), batch, live))
        .try_buffered(path.settle_in_flight_max)
        .try_for_each(|settled| future::ready(closed(&shared, settled)))
        .await
}

/// Prepares on a worker thread, a whole chunk at a time.
async fn prepared(prepare: Prepare, taken: Taken) -> anyhow::Result<Arrived> {
    let Taken { chunk, mut reserved } = taken;
    let work = tokio::task::spawn_blocking(move || prepare(chunk));
    let prepared = work.await.context("a worker that prepares has failed")??;
    let live = prepared.live.as_ref().map_or(0, Vec::capacity);
    reserved.set(prepared.chunk.bytes.capacity() + prepared.body.capacity() + live);
    Ok(Arrived { prepared, reserved })
}

/// Enters the events into the ledger; those of a lost hold are their next owner's.
fn entered(shared: &Shared, arrived: Arrived) -> Option<Arrived> {
    let prepared = &arrived.prepared;
    let chunk = &prepared.chunk;
    if !shared.ledger.take(&chunk.hold, prepared.events(), chunk.received) {
        return None;
    }
    shared.metrics.add_facts(&prepared.facts);
    Some(arrived)
}

async fn mirrored<S: Sink>(
    delivery: Arc<Delivery<S>>,
    batch: Batch,
) -> anyhow::Result<(Batch, Vec<Sent>)> {
    let live = delivery.mirror(&batch).await;
    Ok((batch, live))
}

/// Delivers a batch as a task of its own.
async fn settled<S: Sink>(
    tasks: &TaskTracker,
    delivery: Arc<Delivery<S>>,
    batch: Batch,
    live: Vec<Sent>,
) -> anyhow::Result<Vec<Settled>> {
    let task = tasks.spawn(async move { delivery.settle(batch, live).await });
    AbortOnDropHandle::new(task).await.context("a task that delivers has failed")?
}

/// Closes the books of a batch: the ledger, then the positions.
fn closed(shared: &Shared, batch: Vec<Settled>) -> anyhow::Result<()> {
    for settled in batch {
        if shared.ledger.settle(&settled.hold, &settled.tally)
            && let Some(next) = settled.next
        {
            shared.board.post(&settled.hold, next);
        }
    }
    Ok(())
}
