//! The index: one call takes documents and answers with one verdict for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;

use crate::clock::Clock;
use crate::config::fault::OrMisuse as _;
use crate::config::settings::IndexSettings;
use crate::event::Hold;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::outcome::Reason;

use brake::Brake;
use bulk::Delivery;
use client::Client;
use limit::Limit;
use trouble::Troubles;
use verdict::Answer;

pub mod client;
mod bulk;
mod request;
mod reply;
mod verdict;
mod limit;
pub mod brake;
mod trouble;
pub mod check;
pub mod template;

/// A body this small is not split in advance, whatever was refused before.
const BODY_BYTES_MIN: usize = 64 * 1024;

/// Documents for the index, ready as `_bulk` lines. The bytes are made once; a retry sends ranges
/// of them again.
#[derive(Debug, Clone)]
pub struct Bulk {
    pub bytes: Bytes,
    pub items: Vec<Item>,
}

/// One document of a [`Bulk`]: its action line and source line, each with its newline.
#[derive(Debug, Clone)]
pub struct Item {
    pub start: usize,
    pub end: usize,
    /// An item of a lost hold is not tried again.
    pub hold: Arc<Hold>,
}

/// What became of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Created,
    /// The index has our id already: an earlier try of ours.
    Duplicate,
    /// Refused for good: to the dead letters.
    Refused(Refusal),
    /// Its hold was lost before the index had answered: its next owner does it again.
    Abandoned,
}

/// Why the index refused a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// The index's `error.type`: may be logged.
    pub error_type: String,
    /// The index's whole error, bounded: quotes values, so it goes into the dead letter only.
    pub error: String,
}

/// The index cluster; clones share everything.
#[derive(Debug, Clone)]
pub struct Index {
    inner: Arc<Inner>,
}

/// What all deliveries share.
#[derive(Debug)]
struct Inner {
    settings: IndexSettings,
    client: Client,
    limit: Limit,
    brake: Arc<Brake>,
    troubles: Troubles,
    metrics: Metrics,
    /// Items that the index has accepted.
    accepted: AtomicU64,
    /// Bodies above this were refused as too large.
    body_bytes_max: AtomicUsize,
}

impl Index {
    /// # Errors
    /// Where the settings cannot be used: an address, a certificate, a secret's file.
    pub fn new(
        settings: &IndexSettings,
        clock: Clock,
        metrics: Metrics,
        health: Health,
    ) -> anyhow::Result<Self> {
        let brake = Brake::new(&settings.brake, clock, metrics.brake_engaged.clone());
        let brake = Arc::new(brake);
        let inner = Inner {
            client: Client::new(settings).or_misuse()?,
            limit: Limit::new(settings.requests_in_flight_max, metrics.index_concurrency.clone()),
            troubles: Troubles::new(health, metrics.cluster_holds.clone(), brake.clone()),
            brake,
            metrics,
            settings: settings.clone(),
            accepted: AtomicU64::new(0),
            body_bytes_max: AtomicUsize::new(usize::MAX),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// One verdict for each item, in order. Tries until every item is done, refused or abandoned,
    /// which lasts as long as a fault of the cluster does; may be dropped at any time.
    pub async fn deliver(&self, bulk: Bulk) -> Vec<Verdict> {
        Box::pin(Delivery::new(&self.inner, bulk).run()).await
    }

    /// The operator's switch of the brake, without a restart.
    pub fn switch_brake(&self, on: bool) {
        self.inner.brake.switch(on);
        self.inner.troubles.tell();
    }

    /// For what is no delivery: templates, policies.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.inner.client
    }
}

impl Inner {
    fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Acquire)
    }

    fn accept(&self, items: u64) {
        self.accepted.fetch_add(items, Ordering::AcqRel);
    }

    fn count(&self, answer: &Answer) {
        let counter = answer.metric().and_then(|kind| self.metrics.verdicts.get(kind.index()));
        if let Some(counter) = counter {
            counter.inc();
        }
    }

    fn body_bytes_max(&self) -> usize {
        self.body_bytes_max.load(Ordering::Acquire)
    }

    /// A proxy in front of the index may take less than the index: do not find that out with
    /// every batch anew.
    fn lower_body_bytes_max(&self, bytes: usize) {
        self.body_bytes_max.fetch_min(bytes.max(BODY_BYTES_MIN), Ordering::AcqRel);
    }
}
