//! Every metric, declared in one place, on an injected registry.
//!
//! Labels come from closed sets and each series exists from the start, at zero; the exceptions are
//! the series of one partition, which exist while the partition is held. The core counts nothing:
//! the shell adds what a chunk or a batch tells. The outcomes are scraped from the ledger as one
//! snapshot (see [`conservation`]).

use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::outcome::labels;
use crate::prepare::{Facts, GeoOutcome, Mended};

pub mod conservation;
pub mod stream;

labels! {
    /// How a `_bulk` request ended.
    RequestEnd {
        Answered => "answered",
        TooLarge => "413",
        BadRequest => "400",
        Unauthorized => "401_403",
        TooMany => "429",
        ServerError => "5xx",
        Timeout => "timeout",
        Connection => "connection",
        /// An answer that cannot be paired with what was sent.
        Unreadable => "unreadable",
    }
}

labels! {
    /// What the answer to one item led to.
    ItemVerdict {
        Created => "created",
        Duplicate => "duplicate",
        /// Sent again: the item itself was asked to wait.
        Retry => "retry",
        /// Sent again: its index is blocked or closed.
        Blocked => "blocked",
        /// Sent again: the cluster's fault.
        Held => "held",
        Refused => "refused",
    }
}

labels! {
    RebalanceKind { Assigned => "assigned", Revoked => "revoked", Lost => "lost" }
}

labels! {
    /// What was read again without a restart.
    Reloaded { Geo => "geo", Pipelines => "pipelines", Settings => "settings" }
}

labels! {
    ReloadEnd { Taken => "taken", Refused => "refused" }
}

labels! {
    CommitEnd { Done => "done", Failed => "failed" }
}

/// Every metric with its handle; the registry is the caller's.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    pub messages: IntCounter,
    pub received_bytes: IntCounter,
    pub in_flight_bytes: IntGauge,
    pub in_flight_bytes_max: IntGauge,
    pub lag: IntGaugeVec,
    pub lost_to_retention: IntCounterVec,
    pub rebalances: [IntCounter; RebalanceKind::COUNT],
    pub partitions_held: IntGauge,
    pub polling_paused: IntGauge,
    pub commits: [IntCounter; CommitEnd::COUNT],
    pub geo: Vec<[IntCounter; GeoOutcome::COUNT]>,
    pub mended: [IntCounter; Mended::COUNT],
    pub ingest_lag: conservation::LagHistogram,
    pub requests: [IntCounter; RequestEnd::COUNT],
    pub request_seconds: Histogram,
    pub verdicts: [IntCounter; ItemVerdict::COUNT],
    pub index_sent_bytes: IntCounter,
    pub index_received_bytes: IntCounter,
    pub index_concurrency: IntGauge,
    pub brake_engaged: IntGauge,
    pub cluster_holds: IntGauge,
    pub mirrored_bytes: IntCounter,
    pub mirrored_records: IntCounter,
    pub live_truncated: IntCounter,
    pub reloads: [[IntCounter; ReloadEnd::COUNT]; Reloaded::COUNT],
    pub geo_build_time: Gauge,
    pub ready: IntGauge,
    pub stream: stream::StreamMetrics,
}

impl Metrics {
    /// Declares every metric on `registry`; `geo_targets` are the objects that look-ups write.
    ///
    /// # Errors
    /// Where a name is taken on this registry.
    #[expect(clippy::too_many_lines, reason = "one declaration a metric, and nothing else")]
    pub fn new(registry: Registry, geo_targets: &[String]) -> prometheus::Result<Self> {
        let of = Declare { registry: &registry };
        Ok(Self {
            messages: of.counter("messages_total", "Kafka messages taken")?,
            received_bytes: of.counter("received_bytes_total", "Bytes of Kafka values taken")?,
            in_flight_bytes: of.gauge(
                "in_flight_bytes",
                "Bytes held for events without an outcome: payloads, bodies, live lines",
            )?,
            in_flight_bytes_max: of.gauge("in_flight_limit_bytes", "Bound of in_flight_bytes")?,
            lag: of.gauges(
                "partition_lag",
                "Kafka records between the committed position and the end, of held partitions",
                &["topic", "partition"],
            )?,
            lost_to_retention: of.counters(
                "lost_to_retention_total",
                "Kafka records that retention removed before they were read",
                &["topic", "partition"],
            )?,
            rebalances: of.each(
                "rebalances_total",
                "Rebalances of the consumer group by kind: assigned, revoked, lost",
                "kind",
                RebalanceKind::ALL.iter().map(|kind| kind.label()),
            )?,
            partitions_held: of.gauge("partitions_held", "Kafka partitions held")?,
            polling_paused: of.gauge("polling_paused", "1 while no more can be taken")?,
            commits: of.each(
                "commits_total",
                "Commits of positions by result: done, failed",
                "result",
                CommitEnd::ALL.iter().map(|end| end.label()),
            )?,
            geo: of.geo(geo_targets)?,
            mended: of.each(
                "mended_total",
                "What preparation mended or changed, by kind: see docs/metrics.md",
                "kind",
                Mended::ALL.iter().map(|kind| kind.label()),
            )?,
            ingest_lag: of.lag()?,
            requests: of.each(
                "index_requests_total",
                "Bulk requests by result: answered, 413, 400, 401_403, 429, 5xx, timeout, \
                 connection, unreadable",
                "result",
                RequestEnd::ALL.iter().map(|end| end.label()),
            )?,
            request_seconds: of.histogram(
                "index_request_duration_seconds",
                "Duration of bulk requests, from the first byte sent to the last byte read",
                &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0],
            )?,
            verdicts: of.each(
                "index_verdicts_total",
                "Item answers by verdict: created, duplicate, retry, blocked, held, refused",
                "verdict",
                ItemVerdict::ALL.iter().map(|verdict| verdict.label()),
            )?,
            index_sent_bytes: of.counter("index_sent_bytes_total", "Bytes of bulk bodies sent")?,
            index_received_bytes: of
                .counter("index_received_bytes_total", "Bytes of bulk answers read")?,
            index_concurrency: of
                .gauge("index_concurrency", "Bulk requests allowed at a time, as of now")?,
            brake_engaged: of
                .gauge("index_brake_engaged", "1 while the brake holds refused events back")?,
            cluster_holds: of.gauge(
                "index_cluster_hold",
                "1 while a fault of the whole index cluster holds events back",
            )?,
            mirrored_bytes: of.counter("mirrored_bytes_total", "Bytes sent to the live topic")?,
            mirrored_records: of
                .counter("mirrored_records_total", "Records sent to the live topic")?,
            live_truncated: of
                .counter("live_truncated_total", "Events whose live copy lost its bodies")?,
            reloads: of.reloads()?,
            geo_build_time: of.float(
                "geo_database_build_timestamp_seconds",
                "Build time of the geo database in use; 0 without one",
            )?,
            ready: of.gauge("ready", "1 while /readyz answers 200")?,
            stream: stream::StreamMetrics::new(&of)?,
            registry,
        })
    }

    /// The registry, for collectors that others own.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Adds what one chunk tells.
    pub fn add_facts(&self, facts: &Facts) {
        for (counters, counts) in self.geo.iter().zip(&facts.geo) {
            add_all(counters, counts);
        }
        add_all(&self.mended, &facts.mended);
        self.ingest_lag.add(&facts.lag, facts.lag_sum_ms);
    }

    /// The text exposition of all metrics.
    ///
    /// # Errors
    /// Where a metric cannot be written as text.
    pub fn scrape(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// Adds each count to its counter.
pub fn add_all(counters: &[IntCounter], counts: &[u64]) {
    for (counter, &count) in counters.iter().zip(counts) {
        if count > 0 {
            counter.inc_by(count);
        }
    }
}

struct Declare<'a> {
    registry: &'a Registry,
}

impl Declare<'_> {
    fn put<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: C,
    ) -> prometheus::Result<C> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.put(IntCounter::with_opts(opts(name, help))?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.put(IntCounterVec::new(opts(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.put(IntGauge::with_opts(opts(name, help))?)
    }

    fn float(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.put(Gauge::with_opts(opts(name, help))?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.put(IntGaugeVec::new(opts(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        self.put(Histogram::with_opts(opts)?)
    }

    /// One counter for each value of a label, all at zero.
    fn each<const N: usize>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = &'static str>,
    ) -> prometheus::Result<[IntCounter; N]> {
        let family = self.counters(name, help, &[label])?;
        collect(values.map(|value| family.with_label_values(&[value])))
    }

    fn geo(&self, targets: &[String]) -> prometheus::Result<Vec<[IntCounter; GeoOutcome::COUNT]>> {
        let family = self.counters(
            "geo_lookups_total",
            "Geo look-ups by target and outcome: hit, private, not_found, invalid, absent, \
             no_database",
            &["target", "outcome"],
        )?;
        targets
            .iter()
            .map(|target| {
                collect(
                    GeoOutcome::ALL.iter().map(|outcome| {
                        family.with_label_values(&[target.as_str(), outcome.label()])
                    }),
                )
            })
            .collect()
    }

    fn reloads(&self) -> prometheus::Result<[[IntCounter; ReloadEnd::COUNT]; Reloaded::COUNT]> {
        let family = self.counters(
            "reloads_total",
            "Reloads without a restart, by what (geo, pipelines, settings) and result (taken, \
             refused)",
            &["what", "result"],
        )?;
        let ends = |what: &Reloaded| {
            collect(
                ReloadEnd::ALL
                    .iter()
                    .map(|end| family.with_label_values(&[what.label(), end.label()])),
            )
        };
        let all: Vec<_> = Reloaded::ALL.iter().map(ends).collect::<prometheus::Result<_>>()?;
        all.try_into().map_err(|counters: Vec<_>| miscounted(counters.len()))
    }

    fn lag(&self) -> prometheus::Result<conservation::LagHistogram> {
        let lag = conservation::LagHistogram::new()?;
        self.put(lag)
    }
}

fn collect<T, const N: usize>(counters: impl Iterator<Item = T>) -> prometheus::Result<[T; N]> {
    counters.collect::<Vec<_>>().try_into().map_err(|counters: Vec<_>| miscounted(counters.len()))
}

fn miscounted(counters: usize) -> prometheus::Error {
    prometheus::Error::Msg(format!("a label has other values than its {counters} counters"))
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("sluice")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::Ledger;

    #[test]
    fn every_series_exists_at_zero() {
        let metrics = Metrics::new(Registry::new(), &["client_geoip".to_owned()]).unwrap();
        conservation::register(
            metrics.registry(),
            Arc::new(Ledger::default()),
            &Default::default(),
        )
        .unwrap();
        let text = metrics.scrape().unwrap();
        for series in [
            "sluice_events_consumed_total 0",
            "sluice_events_in_flight 0",
            r#"sluice_events_settled_total{outcome="created",reason=""} 0"#,
            r#"sluice_events_settled_total{outcome="dead_lettered",reason="not_json"} 0"#,
            r#"sluice_events_settled_total{outcome="skipped",reason="tombstone"} 0"#,
            r#"sluice_geo_lookups_total{outcome="hit",target="client_geoip"} 0"#,
            r#"sluice_ingest_lag_seconds_bucket{le="+Inf"} 0"#,
            r#"sluice_reloads_total{result="refused",what="geo"} 0"#,
        ] {
            assert!(text.contains(series), "{series} is missing in\n{text}");
        }
    }

    #[test]
    fn the_list_of_metrics_names_each() {
        const LIST: &str = include_str!("../docs/metrics.md");
        let metrics = Metrics::new(Registry::new(), &["client_geoip".to_owned()]).unwrap();
        let (ledger, clock) = (Arc::new(Ledger::default()), Default::default());
        conservation::register(metrics.registry(), ledger, &clock).unwrap();
        for family in metrics.registry().gather() {
            assert!(LIST.contains(&format!("`{}", family.name())), "{} is missing", family.name());
        }
    }
}
