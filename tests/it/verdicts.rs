//! The table of verdicts, the brake and the hostage rule, against the fake index.

mod brake;
mod nodes;
mod property;
mod table;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus::Registry;
use sluice::clock::Clock;
use sluice::config::settings::IndexSettings;
use sluice::deliver::index::{Bulk, Index, Item, Refusal, Verdict};
use sluice::event::Hold;
use sluice::health::Health;
use sluice::metrics::Metrics;
use sluice::outcome::Reason;

use crate::support::fake_index::FakeIndex;

/// An index client with all that it reports to.
pub(crate) struct Bench {
    pub(crate) index: Index,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
}

impl Bench {
    pub(crate) fn new(settings: &IndexSettings) -> Self {
        let metrics = Metrics::new(Registry::new(), &[]).unwrap();
        let health = Health::default();
        let clock = Clock::fixed(1_000_000);
        let index = Index::new(settings, clock, metrics.clone(), health.clone()).unwrap();
        Self { index, metrics, health }
    }

    pub(crate) fn why_not_ready(&self) -> String {
        self.health.why_not_ready().into_iter().map(|(_, reason)| reason).collect()
    }
}

/// Settings with pauses that a test can wait for; what is given up for its time is never given up
/// unless the test says so.
pub(crate) fn settings(nodes: &[String]) -> IndexSettings {
    let mut settings = IndexSettings {
        nodes: nodes.to_vec(),
        backoff_min: Duration::from_millis(2),
        backoff_max: Duration::from_millis(20),
        request_timeout: Duration::from_secs(5),
        ..IndexSettings::default()
    };
    settings.brake.retry_every = Duration::from_millis(20);
    settings
}

pub(crate) fn of(fake: &FakeIndex) -> IndexSettings {
    settings(&[fake.url()])
}

pub(crate) fn hold() -> Arc<Hold> {
    Arc::new(Hold::new(1, 0, Arc::from("events"), 0))
}

/// One document for each id, all of one hold.
pub(crate) fn bulk<S: AsRef<str>>(ids: &[S]) -> Bulk {
    bulk_into("events", ids)
}

pub(crate) fn bulk_into<S: AsRef<str>>(index: &str, ids: &[S]) -> Bulk {
    let hold = hold();
    let mut bytes = Vec::new();
    let mut items = Vec::new();
    for id in ids {
        let start = bytes.len();
        let id = id.as_ref();
        let lines = format!(
            "{{\"create\":{{\"_index\":\"{index}\",\"_id\":\"{id}\"}}}}\n{{\"name\":\"{id}\"}}\n"
        );
        bytes.extend_from_slice(lines.as_bytes());
        items.push(Item { start, end: bytes.len(), hold: hold.clone() });
    }
    Bulk { bytes: Bytes::from(bytes), items }
}

pub(crate) fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

/// Waits for what another task brings about.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect(what);
}

/// The verdicts as words, a refusal as its reason.
pub(crate) fn words(verdicts: &[Verdict]) -> Vec<&'static str> {
    verdicts
        .iter()
        .map(|verdict| match verdict {
            Verdict::Created => "created",
            Verdict::Duplicate => "duplicate",
            Verdict::Refused(Refusal { reason, .. }) => reason.label(),
            Verdict::Abandoned => "abandoned",
        })
        .collect()
}

pub(crate) fn count(verdicts: &[Verdict], reason: Reason) -> usize {
    words(verdicts).iter().filter(|word| **word == reason.label()).count()
}
