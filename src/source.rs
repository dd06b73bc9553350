//! Kafka to chunks: a thread of its own polls, gathers the messages of each partition into chunks,
//! and commits what the path has settled.
//!
//! It promises that a position is committed only when everything before it is settled and only
//! while its partition is held; that no message is taken while the byte budget is used up; and that
//! a partition is given back when what is in flight of it has settled, or after `revoke_deadline`.
//! Nothing else touches the consumer.

use std::sync::Arc;
use std::thread;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::settings::{KafkaSettings, Limits};
use crate::health::Health;
use crate::ledger::Ledger;
use crate::metrics::Metrics;

pub mod board;
pub mod budget;
mod client;
mod commit;
mod context;
mod positions;
mod slots;
mod poll;
mod flow;
mod lag;
mod trouble;
mod waiting;
mod rebalance;

pub use self::board::Board;
pub use self::budget::{Budget, Reserved};
pub use self::slots::Taken;

/// How many chunks may wait for a worker. The byte budget bounds their bytes.
const CHUNKS_WAITING_MAX: usize = 64;

/// What to read and how.
#[derive(Debug, Clone)]
pub struct Reading {
    pub kafka: KafkaSettings,
    pub limits: Limits,
    /// Each topic with its pipeline, by its place in the list of pipelines.
    pub topics: Vec<(String, usize)>,
}

/// What the source shares with the path behind it.
#[derive(Debug, Clone)]
pub struct Shared {
    pub ledger: Arc<Ledger>,
    pub board: Arc<Board>,
    pub budget: Arc<Budget>,
    pub metrics: Metrics,
    pub health: Health,
    pub clock: Clock,
}

/// The running source.
#[derive(Debug)]
pub struct Source {
    /// Chunks in order; the end of this channel is the end of the source.
    pub chunks: mpsc::Receiver<Taken>,
    /// How the thread ended; it ends when it is stopped and everything is settled or handed over.
    pub ended: oneshot::Receiver<anyhow::Result<()>>,
}

/// Starts the thread. Cancelling `stop` drains: no more is taken, what is in flight is waited for
/// until `shutdown_deadline`, then the rest is handed over and the group is left.
///
/// # Errors
/// Where no thread can be made.
pub fn start(reading: Reading, shared: Shared, stop: CancellationToken) -> std::io::Result<Source> {
    let (sender, chunks) = mpsc::channel(CHUNKS_WAITING_MAX);
    let (tell, ended) = oneshot::channel();
    thread::Builder::new().name("source".to_owned()).spawn(move || {
        let end = poll::run(&reading, &shared, &stop, sender);
        // Nobody listens any more when the app has given up waiting.
        drop(tell.send(end));
    })?;
    Ok(Source { chunks, ended })
}
