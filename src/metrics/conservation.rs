//! Collectors that are scraped as one snapshot: the ledger of events, and the ingest lag.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::clock::Clock;
use crate::ledger::{Ledger, Snapshot};
use crate::outcome::{Reason, Skip};
use crate::prepare::LAG_BOUNDS_MS;

const CONSUMED: (&str, &str) = ("sluice_events_consumed_total", "Events taken, counted at framing");
const SETTLED: (&str, &str) = (
    "sluice_events_settled_total",
    "Events with their outcome: created, duplicate, dead_lettered, skipped, handed_over; consumed \
     = settled + in flight, in every scrape",
);
const IN_FLIGHT: (&str, &str) =
    ("sluice_events_in_flight", "Events taken and without an outcome yet");
const OLDEST: (&str, &str) =
    ("sluice_oldest_unsettled_seconds", "Age of the oldest event without an outcome; 0 without");
const LAG: (&str, &str) = (
    "sluice_ingest_lag_seconds",
    "Time from the call (datetime) to the writing of its record (@timestamp)",
);

/// Registers the ledger: all its series are taken under one lock, in one scrape.
///
/// # Errors
/// Where a name is taken on this registry.
pub fn register(
    registry: &prometheus::Registry,
    ledger: Arc<Ledger>,
    clock: &Clock,
) -> prometheus::Result<()> {
    let descs = [CONSUMED, SETTLED, IN_FLIGHT, OLDEST]
        .into_iter()
        .map(describe)
        .collect::<prometheus::Result<_>>()?;
    registry.register(Box::new(LedgerCollector { ledger, clock: clock.clone(), descs }))
}

struct LedgerCollector {
    ledger: Arc<Ledger>,
    clock: Clock,
    descs: Vec<Desc>,
}

impl Collector for LedgerCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = self.ledger.snapshot();
        let age = snapshot
            .oldest_unsettled
            .map_or(0.0, |oldest| seconds((self.clock.now() - oldest).max(0)));
        vec![
            family(CONSUMED, MetricType::COUNTER, vec![counter(snapshot.consumed, &[])]),
            family(SETTLED, MetricType::COUNTER, settled(&snapshot)),
            family(IN_FLIGHT, MetricType::GAUGE, vec![gauge(float(snapshot.in_flight))]),
            family(OLDEST, MetricType::GAUGE, vec![gauge(age)]),
        ]
    }
}

fn settled(snapshot: &Snapshot) -> Vec<Metric> {
    let tally = &snapshot.settled;
    let plain = [
        ("created", tally.created),
        ("duplicate", tally.duplicate),
        ("handed_over", tally.handed_over),
    ]
    .map(|(outcome, count)| (outcome, "", count));
    let dead = Reason::ALL
        .iter()
        .zip(&tally.dead_lettered)
        .map(|(reason, &count)| ("dead_lettered", reason.label(), count));
    let skipped =
        Skip::ALL.iter().zip(&tally.skipped).map(|(why, &count)| ("skipped", why.label(), count));
    plain
        .into_iter()
        .chain(dead)
        .chain(skipped)
        .map(|(outcome, reason, count)| counter(count, &[("outcome", outcome), ("reason", reason)]))
        .collect()
}

/// A histogram that is filled by whole chunks.
#[derive(Debug, Clone)]
pub struct LagHistogram {
    shared: Arc<Lag>,
}

#[derive(Debug)]
struct Lag {
    desc: Desc,
    buckets: [AtomicU64; LAG_BOUNDS_MS.len() + 1],
    sum_ms: AtomicI64,
}

impl LagHistogram {
    pub(super) fn new() -> prometheus::Result<Self> {
        let shared = Arc::new(Lag {
            desc: describe(LAG)?,
            buckets: [const { AtomicU64::new(0) }; LAG_BOUNDS_MS.len() + 1],
            sum_ms: AtomicI64::new(0),
        });
        Ok(Self { shared })
    }

    /// Adds a chunk's events, by bucket.
    pub fn add(&self, counts: &[u64], sum_ms: i64) {
        for (bucket, &count) in self.shared.buckets.iter().zip(counts) {
            bucket.fetch_add(count, Ordering::Relaxed);
        }
        self.shared.sum_ms.fetch_add(sum_ms, Ordering::Relaxed);
    }
}

impl Collector for LagHistogram {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.shared.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut total = 0;
        let mut buckets = Vec::with_capacity(LAG_BOUNDS_MS.len());
        for (place, count) in self.shared.buckets.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            if let Some(&bound) = LAG_BOUNDS_MS.get(place) {
                let mut bucket = Bucket::default();
                bucket.set_cumulative_count(total);
                bucket.set_upper_bound(seconds(bound));
                buckets.push(bucket);
            }
        }
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(total);
        histogram.set_sample_sum(seconds(self.shared.sum_ms.load(Ordering::Relaxed)));
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        vec![family(LAG, MetricType::HISTOGRAM, vec![metric])]
    }
}

fn describe((name, help): (&str, &str)) -> prometheus::Result<Desc> {
    Desc::new(name.to_owned(), help.to_owned(), Vec::new(), HashMap::new())
}

fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counter(value: u64, labels: &[(&str, &str)]) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(float(value));
    let mut metric = Metric::default();
    metric.set_counter(counter);
    metric.set_label(
        labels
            .iter()
            .map(|&(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name(name.to_owned());
                pair.set_value(value.to_owned());
                pair
            })
            .collect(),
    );
    metric
}

fn gauge(value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::default();
    metric.set_gauge(gauge);
    metric
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
fn float(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}
