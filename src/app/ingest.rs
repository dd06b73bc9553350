//! The role `ingest`: waits for the servers, then lets events through to the index.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::reload::Plans;
use super::{LOOK_AGAIN, Load, Shutdown, WIND_UP_MAX, first_failure, geo, life, reload};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::settings::Settings;
use crate::deliver::batch::BatchLimits;
use crate::deliver::dead_letter::DeadLetters;
use crate::deliver::index::{Bulk, Index, Verdict};
use crate::deliver::mirror::Mirror;
use crate::deliver::producer::{Producer, ProducerSettings};
use crate::deliver::settle::{Delivery, Sink};
use crate::deliver::upstream::Markers;
use crate::geo::Current;
use crate::health::{Component, Health};
use crate::kafka::{self, Cluster, Look};
use crate::metrics::Metrics;
use crate::pipeline::{self, Path, Prepare};
use crate::prepare::{self, Scratch};
use crate::source::{self, Budget, Reading, Shared};

/// How long the consumer may take to leave its group after the drain.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// Everything that needs the servers: waits for them, then lets events through.
pub(super) async fn work(
    config: Config,
    load: Load,
    plans: Arc<Plans>,
    shared: &Shared,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let settings = &config.settings;
    let index = Index::new(
        &settings.index,
        shared.clock.clone(),
        shared.metrics.clone(),
        shared.health.clone(),
    )?;
    let opened = geo::open(&settings.geo, &shared.metrics);
    let found = async { tokio::try_join!(opened, servers(&config, &index, &shared.health)) };
    let (store, cluster) = tokio::select! {
        found = found => found?,
        // Nothing was taken yet, so there is nothing to drain.
        () = shutdown.drain.cancelled() => return Ok(()),
    };
    let reading = reading(&config);
    let partitions = live_partitions(&cluster);
    let producer = producer(settings, shared)?;
    let markers = markers(settings, &producer, partitions)?;
    let delivery = delivery(&config, index.clone(), (producer, partitions), shared);
    let prepare = prepare(&plans, store.current(), &cluster.id, &shared.clock);
    let path = path(settings, prepare, delivery, shared);
    let mut watchers = JoinSet::new();
    watchers.spawn({
        let settings = settings.clone();
        // That ends it at once: what is under way goes where nobody looks for it. It is not
        // committed, so it comes again.
        async move { Err(live_changed(&settings, partitions).await) }
    });
    if let Some(markers) = markers {
        let (metrics, ledger) = (shared.metrics.clone(), Arc::clone(&shared.ledger));
        watchers.spawn(async move {
            markers.watch(metrics, ledger).await;
            Ok(())
        });
    }
    watchers.spawn(geo::watch(store, settings.geo.check_every, shared.metrics.clone()));
    watchers.spawn(reload::watch(config, load, plans, index, shared.metrics.clone()));
    tokio::select! {
        ended = flow(reading, path, shutdown) => ended,
        failed = first_failure(&mut watchers) => Err(failed),
    }
}

/// Returns when the live topic is not the one that the mirror writes to. Where streams are served
/// these look for it, and send their listeners away first.
async fn live_changed(settings: &Settings, partitions: usize) -> anyhow::Error {
    if !settings.live.on || settings.roles.stream {
        return std::future::pending().await;
    }
    life::changed(settings, (None, partitions)).await
}

/// Lets events through until the source has drained, or something failed.
///
/// # Errors
/// Where the source or the path cannot go on, or do not end in time.
pub async fn flow<S: Sink>(
    reading: Reading,
    path: Path<S>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let deadline = reading.limits.shutdown_deadline + LEAVE_MAX;
    let stop = shutdown.drain.child_token();
    let _stop_source = stop.clone().drop_guard();
    let source = source::start(reading, path.shared.clone(), stop)?;
    let mut ended = source.ended;
    let mut running = JoinSet::new();
    running.spawn(pipeline::run(source.chunks, path));
    let overdue = async {
        shutdown.drain.cancelled().await;
        tokio::time::sleep(deadline).await;
    };
    tokio::pin!(overdue);
    loop {
        tokio::select! {
            end = &mut ended => {
                end.context("the polling thread has failed")??;
                break;
            }
            Some(end) = running.join_next() => end.context("the path has failed")??,
            () = &mut overdue => bail!("the consumer did not leave its group in time"),
        }
    }
    // What the source has handed over is abandoned by the path at its next look.
    match tokio::time::timeout(WIND_UP_MAX, running.join_next()).await {
        Ok(Some(end)) => end.context("the path has failed")?,
        Ok(None) => Ok(()),
        Err(_) => {
            warn!("deliveries were still under way at the end");
            Ok(())
        }
    }
}

/// Waits until Kafka and the index can be used.
async fn servers(config: &Config, index: &Index, health: &Health) -> anyhow::Result<Cluster> {
    let check = async { index.check(&config.pipelines).await.map(drop) };
    let ((), cluster) = tokio::try_join!(check, kafka_cluster(config, health))?;
    Ok(cluster)
}

async fn kafka_cluster(config: &Config, health: &Health) -> anyhow::Result<Cluster> {
    loop {
        match kafka::look(config.settings.kafka.clone(), all_topics(config)).await? {
            Look::Found(cluster) => {
                health.set(Component::Kafka, Ok(()));
                info!(cluster = cluster.id, "kafka is there");
                return Ok(cluster);
            }
            Look::Missing(topics) => {
                bail!("kafka has no topic {}: `sluice setup` makes the topics", topics.join(", "))
            }
            Look::Unreachable(reason) => {
                if health.set(Component::Kafka, Err(reason.clone())) {
                    warn!(reason, "kafka cannot be used yet, trying on");
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// The sources, then the dead letters, then the live topic where there is one.
fn all_topics(config: &Config) -> Vec<String> {
    let settings = &config.settings;
    let mut topics: Vec<_> =
        config.pipelines.iter().flat_map(|pipeline| pipeline.topics.clone()).collect();
    topics.push(settings.dead_letter.topic.clone());
    if settings.live.on {
        topics.push(settings.live.topic.clone());
    }
    topics
}

fn reading(config: &Config) -> Reading {
    let of_pipeline = |(place, pipeline): (usize, &crate::config::pipeline::PipelineSpec)| {
        pipeline.topics.iter().map(|topic| (topic.clone(), place)).collect::<Vec<_>>()
    };
    Reading {
        kafka: config.settings.kafka.clone(),
        limits: config.settings.limits.clone(),
        topics: config.pipelines.iter().enumerate().flat_map(of_pipeline).collect(),
    }
}

fn producer(settings: &Settings, shared: &Shared) -> anyhow::Result<Arc<Producer>> {
    let Settings { kafka, live, dead_letter, limits, .. } = settings;
    let settings = ProducerSettings {
        kafka: kafka.clone(),
        queue_bytes_max: limits.produce_bytes_max,
        message_bytes_max: live.message_bytes_max.max(dead_letter.message_bytes_max),
    };
    Ok(Arc::new(Producer::new(settings, shared.health.clone())?))
}

/// Tell the live topic's readers when nothing is delivered; where there is none nobody reads.
fn markers(
    settings: &Settings,
    producer: &Arc<Producer>,
    partitions: usize,
) -> anyhow::Result<Option<Markers>> {
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    let live = settings.live.on.then_some(&settings.live);
    let markers = live.map(|live| Markers::new(Arc::clone(producer), &live.topic, partitions));
    markers.transpose().context("no name for this writer of the live topic")
}

fn delivery(
    config: &Config,
    index: Index,
    (producer, partitions): (Arc<Producer>, usize),
    shared: &Shared,
) -> Delivery<Index> {
    let Settings { live, dead_letter, .. } = &config.settings;
    let mirror = live.on.then(|| {
        Mirror::new(
            Arc::clone(&producer),
            &live.topic,
            life::spread(live, partitions),
            live.message_bytes_max,
            &shared.metrics,
        )
    });
    let names = config.pipelines.iter().map(|pipeline| pipeline.name.clone()).collect();
    let dead_letters =
        DeadLetters::new(producer, &dead_letter.topic, dead_letter.message_bytes_max, names);
    Delivery { index, mirror, dead_letters }
}

/// The live topic was asked for last.
fn live_partitions(cluster: &Cluster) -> usize {
    cluster.partitions.last().copied().unwrap_or_default()
}

fn path(
    settings: &Settings,
    prepare: Prepare,
    delivery: Delivery<Index>,
    shared: &Shared,
) -> Path<Index> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Path {
        prepare,
        prepare_in_flight_max: match settings.limits.prepare_threads {
            0 => cores,
            threads => threads,
        },
        batch: BatchLimits {
            bytes_max: settings.index.batch_bytes_max,
            age_max: settings.index.batch_age_max,
        },
        delivery: Arc::new(delivery),
        // Batches that wait for their neighbours' settling do not hold a request.
        settle_in_flight_max: settings.index.requests_in_flight_max * 2,
        shared: shared.clone(),
    }
}

/// Preparation with the plan in force, each worker with its own memory.
fn prepare(plans: &Arc<Plans>, geo: Current, cluster_id: &str, clock: &Clock) -> Prepare {
    let (plans, clock) = (Arc::clone(plans), clock.clone());
    let cluster_id: Arc<str> = cluster_id.into();
    let idle: Mutex<Vec<Scratch>> = Mutex::default();
    Arc::new(move |chunk| {
        let plan = plans.of(chunk.hold.pipeline).context("a chunk of no pipeline")?;
        let context = prepare::Context {
            plan,
            databases: geo.load_full(),
            now: clock.now(),
            cluster_id: Arc::clone(&cluster_id),
        };
        let lock = || idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = lock().pop().unwrap_or_default();
        let prepared = prepare::chunk(chunk, &context, &mut scratch);
        lock().push(scratch);
        Ok(prepared)
    })
}

pub(super) fn budget(settings: &Settings, metrics: &Metrics) -> Budget {
    let bytes_max = settings.limits.in_flight_bytes_max;
    metrics.in_flight_bytes_max.set(i64::try_from(bytes_max).unwrap_or(i64::MAX));
    Budget::new(bytes_max, metrics.in_flight_bytes.clone())
}

impl Sink for Index {
    async fn deliver(&self, bulk: Bulk) -> Vec<Verdict> {
        Self::deliver(self, bulk).await
    }
}
