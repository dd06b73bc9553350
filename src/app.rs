//! The composition root: makes every part, hands each its own settings, clock, registry and
//! client, runs them, and ends them in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use prometheus::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::clock::Clock;
use crate::config::Config;
use crate::health::Health;
use crate::http::Http;
use crate::ledger::Ledger;
use crate::metrics::{Metrics, conservation};
use crate::source::Shared;
use crate::stream::api::areas::Areas;
use crate::stream::filter::Known;
use crate::telemetry;

mod geo;
mod ingest;
mod life;
mod reload;
mod stream;

pub use self::ingest::flow;
pub use self::reload::Load;
use self::reload::Plans;

/// A cluster or a topic that does not answer is asked again this much later.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long the path may take to end after its source has.
const WIND_UP_MAX: Duration = Duration::from_secs(2);

/// How the process is asked to end.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take no more, finish what is in flight.
    pub drain: CancellationToken,
    /// End now.
    pub at_once: CancellationToken,
}

impl Shutdown {
    /// The first SIGTERM or SIGINT drains, the second ends at once.
    ///
    /// # Errors
    /// Where signals cannot be listened for.
    pub async fn on_signals(self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        for token in [&self.drain, &self.at_once] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
            info!("asked to end");
        }
        Ok(())
    }
}

/// `sluice run`: logging, a runtime, signals, and [`run`] until it ends.
///
/// # Errors
/// Whatever ended it before its time.
pub fn main(config: Config, load: Load) -> anyhow::Result<()> {
    telemetry::start(&config.settings.log, Clock::system())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime could be made")?;
    let shutdown = Shutdown::default();
    let ended = runtime.block_on(async {
        let mut signals = JoinSet::new();
        signals.spawn(shutdown.clone().on_signals());
        // Large, and held once: on the heap.
        Box::pin(run(config, load, shutdown)).await
    });
    // Whatever still blocks a thread, a broker's answer for one, is not waited for.
    runtime.shutdown_background();
    ended
}

/// Runs every part until it is asked to end, or until one of them cannot go on.
///
/// # Errors
/// Where the start is refused (a missing topic or template, a port in use), and where a part
/// failed by our own fault.
pub async fn run(config: Config, load: Load, shutdown: Shutdown) -> anyhow::Result<()> {
    let clock = Clock::system();
    let plans = Plans::compile(&config.pipelines)?;
    let metrics = Metrics::new(Registry::new(), &plans.geo_targets())?;
    let (ledger, health) = (Arc::new(Ledger::default()), Health::default());
    conservation::register(metrics.registry(), Arc::clone(&ledger), &clock)?;
    let http = Http::bind(config.settings.http.listen).await?;
    info!(version = env!("CARGO_PKG_VERSION"), http = %http.address()?, "starting");
    let roles = config.settings.roles;
    let listeners = match roles.stream {
        true => Some(stream::bind(&config.settings).await?),
        false => None,
    };
    let stop = CancellationToken::new();
    let _stop_parts = stop.clone().drop_guard();
    let mut parts = JoinSet::new();
    parts.spawn(http.serve(metrics.clone(), health.clone(), stop.clone()));

    let mut streams = JoinSet::new();
    if let Some(listeners) = listeners {
        let settings = config.settings.clone();
        let fields = Arc::new(Known::of_pipelines(&config.pipelines));
        let fields = (fields, Areas::of_pipelines(&config.pipelines));
        let given = (clock.clone(), health.clone(), metrics.clone(), fields);
        let drain = shutdown.drain.clone();
        streams
            .spawn(async move { Box::pin(stream::run(&settings, listeners, given, drain)).await });
    }
    let stream_drain = config.settings.stream.drain + WIND_UP_MAX;

    let shared = Shared {
        board: Arc::default(),
        budget: Arc::new(ingest::budget(&config.settings, &metrics)),
        ledger: Arc::clone(&ledger),
        metrics,
        health,
        clock,
    };
    let work = async {
        if roles.ingest {
            return Box::pin(ingest::work(config, load, plans, &shared, &shutdown)).await;
        }
        shutdown.drain.cancelled().await;
        Ok(())
    };
    let ended = tokio::select! {
        ended = work => ended,
        failed = first_failure(&mut parts) => Err(failed),
        failed = first_failure(&mut streams) => Err(failed),
        () = shutdown.at_once.cancelled() => Err(anyhow::anyhow!("ended at once, as asked")),
    };
    if ended.is_ok() {
        // Listeners are sent away with their cursors, whatever became of the events.
        let gone = async { while streams.join_next().await.is_some() {} };
        tokio::time::timeout(stream_drain, gone).await.unwrap_or_default();
    }
    tell_the_end(&ledger);
    ended
}

/// The first part that ends with an error; parts that end well are not missed.
async fn first_failure(parts: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Error {
    while let Some(end) = parts.join_next().await {
        match end {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(panic) => return anyhow::Error::new(panic).context("a part has failed"),
        }
    }
    std::future::pending().await
}

/// The last word: what became of every event.
fn tell_the_end(ledger: &Ledger) {
    let end = ledger.snapshot();
    let settled = &end.settled;
    let (dead_lettered, skipped): (u64, u64) =
        (settled.dead_lettered.iter().sum(), settled.skipped.iter().sum());
    info!(
        consumed = end.consumed,
        created = settled.created,
        duplicate = settled.duplicate,
        dead_lettered,
        skipped,
        handed_over = settled.handed_over,
        in_flight = end.in_flight,
        "ended"
    );
    if !end.is_conserved() {
        error!("the books do not balance: events were counted twice or never");
    }
}
