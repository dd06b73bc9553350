//! The role `stream`: the live topic is read, listeners are let in, administrators are served.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use super::life;
use crate::clock::Clock;
use crate::config::settings::Settings;
use crate::health::{Component, Health};
use crate::http;
use crate::metrics::Metrics;
use crate::metrics::stream::StreamMetrics;
use crate::stream::api;
use crate::stream::api::areas::Areas;
use crate::stream::catch_up::CatchUps;
use crate::stream::connections::Connections;
use crate::stream::control::Control;
use crate::stream::control::log::{self, LogSettings};
use crate::stream::cursor;
use crate::stream::dictionary::Dictionary;
use crate::stream::door::{self, TokenDoor};
use crate::stream::filter::Known;
use crate::stream::gate::{Failures, Gate};
use crate::stream::live::{self, LiveTopic};
use crate::stream::origins::Origins;
use crate::stream::presence;
use crate::stream::request::Problem;
use crate::stream::ring::Ring;
use crate::stream::seal::LiveCursors;
use crate::stream::select::Selections;
use crate::stream::server::{Server, Streams};
use crate::stream::session;
use crate::stream::shape::Shapes;
use crate::stream::topic_id::Topic;
use crate::stream::turn_away;
use crate::stream::wish::Offer;

mod administration;

use administration::Parts;

const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// How long the last releases of leases may take.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// The listeners' address, taken before anything else is done.
///
/// # Errors
/// It cannot be listened on.
pub(super) async fn bind(settings: &Settings) -> anyhow::Result<(Server, TcpListener)> {
    let server = Server::bind(settings.stream.listen).await?;
    info!(stream = %server.address()?, "listening for streams");
    let api = http::listener("api.listen", settings.api.listen).await?;
    info!(api = %api.local_addr()?, "listening for administrators");
    Ok((server, api))
}

/// Serves until `drain`; what is open then is sent away.
///
/// # Errors
/// The settings are refused, or a part failed by our own fault.
pub(super) async fn run(
    settings: &Settings,
    (server, api): (Server, TcpListener),
    (clock, health, metrics, (fields, areas)): (Clock, Health, Metrics, (Arc<Known>, Areas)),
    drain: CancellationToken,
) -> anyhow::Result<()> {
    // Dropped at the end, after the last stream.
    let stop = CancellationToken::new();
    let _stop_readers = stop.clone().drop_guard();
    for component in [Component::Control, Component::Presence, Component::Stream] {
        health.set(component, Err("its topic was not read yet".to_owned()));
    }
    let log = LogSettings::new(settings.kafka.clone(), settings.control.topic.clone());
    let (control, mut control_ended) = log::start(log, health.clone(), stop.clone())?;
    let origins = Origins::new(&settings.stream.allowed_origins);
    let refuse = |problem| turn_away::from_streams(problem, &origins, metrics.stream.clone());
    let key = tokio::select! {
        key = key(settings, &control, (&server, &api), refuse) => key?,
        () = drain.cancelled() => return Ok(()),
    };
    let connections = Connections::default();
    let times = (clock.clone(), health.clone());
    let (presence, mut presence_ended) =
        presence::log::start(presence_log(settings), connections.clone(), times, stop.clone())?;
    let mut parts: JoinSet<anyhow::Result<()>> = JoinSet::new();
    // Administrators are served whether or not there is a live topic.
    let failures = Failures::new(settings.stream.failures_per_minute_max, clock.clone());
    let api_parts = Parts {
        control: control.clone(),
        presence: presence.clone(),
        clock: clock.clone(),
        failures: failures.clone(),
        fields: Arc::clone(&fields),
        areas,
    };
    let administered = administration::api(settings, api_parts, &key)?;
    goes_on(&mut parts, api::serve(api, administered, stop.clone()));
    goes_on(&mut parts, administration::read_once(control.clone()));
    let not_yet = Problem::live_unavailable("the live topic cannot be read yet");
    let topic = tokio::select! {
        topic = life::described(settings, &health) => topic,
        never = turn_away::serve(server.listener(), refuse(not_yet)) => match never {},
        () = drain.cancelled() => return Ok(()),
        failed = super::first_failure(&mut parts) => return Err(failed),
    };
    let partitions = i32::try_from(topic.partitions).context("the live topic's partitions")?;
    let given = (clock.clone(), health, metrics);
    let shared = read(settings, partitions, given, (&mut parts, &stop));
    goes_on(&mut parts, renewed(presence.clone()));
    goes_on(&mut parts, door::watch(control.clone(), connections.clone(), clock.clone()));
    let most = settings.stream.connections_per_channel_max;
    let streams = Streams {
        shared,
        door: Arc::new(TokenDoor::new(control, presence.clone(), clock, most)),
        cursors: Arc::new(cursors(&key, topic)?),
        connections,
        offer: Offer {
            known: fields,
            shapes: Shapes::new(Arc::new(Dictionary::built_in()?)),
            selections: Selections::default(),
        },
        gate: Gate::new(failures, &settings.stream.proxies, settings.stream.key_in_query),
        origins,
        spread: life::spread(&settings.live, topic.partitions),
        tasks: TaskTracker::new(),
    };
    let ended = tokio::select! {
        ended = serve(settings, topic, (server, streams), drain) => ended,
        failed = super::first_failure(&mut parts) => return Err(failed),
        _ = &mut control_ended => anyhow::bail!("the control topic's reader has ended"),
        _ = &mut presence_ended => anyhow::bail!("the presence topic's reader has ended"),
    };
    // The places of those who were sent away are free on every replica.
    let flush = tokio::task::spawn_blocking(move || presence.flush(FLUSH_MAX));
    flush.await.context("writing the last releases has failed")?;
    ended
}

/// The key of the cursors, waited for; who comes meanwhile is turned away.
async fn key(
    settings: &Settings,
    control: &Control,
    (server, api): (&Server, &TcpListener),
    refuse: impl Fn(Problem) -> Router,
) -> anyhow::Result<Vec<u8>> {
    let not_yet = Problem::control_unavailable("the control topic was not read yet");
    tokio::select! {
        key = administration::cursor_key(settings, control) => key,
        never = turn_away::serve(server.listener(), refuse(not_yet.clone())) => match never {},
        never = turn_away::serve(api, turn_away::from_api(not_yet)) => match never {},
    }
}

/// Serves until `drain`.
///
/// # Errors
/// The live topic is another one than it was.
async fn serve(
    settings: &Settings,
    topic: Topic,
    (server, streams): (Server, Streams),
    drain: CancellationToken,
) -> anyhow::Result<()> {
    let ending = drain.child_token();
    let ends = (ending.clone(), settings.stream.drain);
    let mut serving = Box::pin(server.serve(streams, settings.stream.sockets_max, ends));
    tokio::select! {
        () = &mut serving => Ok(()),
        why = life::changed(settings, (Some(topic.id), topic.partitions)) => {
            // As at a stop everybody is sent away with a cursor, which is refused from now on.
            ending.cancel();
            serving.await;
            Err(why)
        }
    }
}

/// Spawns what cannot fail.
fn goes_on(
    parts: &mut JoinSet<anyhow::Result<()>>,
    part: impl Future<Output = ()> + Send + 'static,
) {
    parts.spawn(async move {
        part.await;
        Ok(())
    });
}

async fn renewed(presence: presence::Presence) {
    presence.renew().await;
}

/// Reads the live topic, for all who listen.
fn read(
    settings: &Settings,
    partitions: i32,
    (clock, health, metrics): (Clock, Health, Metrics),
    (parts, stop): (&mut JoinSet<anyhow::Result<()>>, &CancellationToken),
) -> Arc<session::Shared> {
    let live =
        LiveTopic { kafka: settings.kafka.clone(), topic: settings.live.topic.clone(), partitions };
    let ring = Arc::new(Ring::new(settings.stream.ring_bytes_max));
    metrics.stream.ring_bytes_max.set(gauged(settings.stream.ring_bytes_max));
    parts.spawn_blocking({
        let (live, ring, stop) = (live.clone(), Arc::clone(&ring), stop.clone());
        move || {
            live::run(&live, &ring, &health, &stop);
            Ok(())
        }
    });
    let catch_ups = CatchUps::new(live);
    goes_on(parts, measure(Arc::clone(&ring), catch_ups.clone(), metrics.stream.clone()));
    Arc::new(session::Shared { ring, catch_ups, clock, metrics: metrics.stream })
}

fn presence_log(settings: &Settings) -> presence::log::LogSettings {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    let replica = settings.stream.replica.clone().unwrap_or_else(host);
    info!(replica, "the name of this replica");
    presence::log::LogSettings::new(
        settings.kafka.clone(),
        settings.presence.topic.clone(),
        replica,
    )
}

/// Keeps the gauges of what nobody counts on the way.
async fn measure(ring: Arc<Ring>, catch_ups: CatchUps, metrics: StreamMetrics) {
    let mut ticks = tokio::time::interval(MEASURE_EVERY);
    loop {
        ticks.tick().await;
        ring.trim();
        metrics.ring_bytes.set(gauged(ring.used()));
        metrics.catching_up.set(gauged(catch_ups.reading()));
    }
}

fn gauged(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn cursors(key: &[u8], topic: Topic) -> anyhow::Result<LiveCursors> {
    let cursors = cursor::Cursors::new(key).context("stream.cursor_key")?;
    let id = URL_SAFE_NO_PAD.encode(topic.id);
    let partitions = u32::try_from(topic.partitions).unwrap_or(u32::MAX);
    Ok(LiveCursors::new(cursors, cursor::generation(&id, partitions)))
}
