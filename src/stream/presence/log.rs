//! The presence topic: requests go out, their verdicts come from reading them back.
//!
//! A thread reads all partitions by plain assignment and for ever, and a task renews what this
//! replica holds. While Kafka is away open streams go on and nobody new is admitted. A lease that
//! was renewed too late and finds no room again is lost: its stream is closed with its cursor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Millis};
use crate::config::settings::KafkaSettings;
use crate::deliver::mirror::partition_of;
use crate::health::Health;
use crate::stream::connections::{Connections, Listener, Opened};
use crate::stream::ids::{Actor, ChannelId, LeaseId, LifeId};
use crate::stream::writer::{Outgoing, Writer};

use super::RENEW_EVERY_MS;
use super::leases::{Lease, Leases, Verdict};
use super::record::{Claim, Limits, Record};

mod held;
mod reader;
mod renewal;

use self::held::{Held, Place};

/// Of a filter's text in a lease, in bytes.
const FILTER_BYTES_MAX: usize = 256;

/// What the log needs to know.
#[derive(Debug, Clone)]
pub struct LogSettings {
    pub kafka: KafkaSettings,
    pub topic: String,
    /// The name of this replica: the leases under it of another life are released at the start.
    pub replica: String,
    /// How long a verdict is waited for.
    pub answer_timeout: Duration,
    /// How often a lease is renewed.
    pub renew_every: Duration,
}

impl LogSettings {
    /// With the usual times: a verdict within 2 s, a renewal every 10 s.
    #[must_use]
    pub fn new(kafka: KafkaSettings, topic: String, replica: String) -> Self {
        Self {
            kafka,
            topic,
            replica,
            answer_timeout: Duration::from_secs(2),
            renew_every: Duration::from_millis(RENEW_EVERY_MS),
        }
    }
}

/// Why nobody can be admitted at the moment; for an operator's eyes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the presence topic cannot be used: {0}")]
pub struct Unavailable(pub String);

/// Why a listener was not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the channel has {0} connections already, which is as many as it may")]
    ChannelFull(u32),
    #[error("the token has {0} connections already, which is as many as it may")]
    TokenFull(u32),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A connection to any replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub id: LeaseId,
    pub channel: ChannelId,
    pub lease: Lease,
}

/// The open connections of all replicas. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Presence {
    shared: Arc<Shared>,
}

/// What the reading thread, the renewals and everyone else share.
#[derive(Debug)]
struct Shared {
    settings: LogSettings,
    life: LifeId,
    writer: Arc<Writer>,
    clock: Clock,
    health: Health,
    connections: Connections,
    /// Nothing else is locked while this is.
    view: Mutex<View>,
    held: Mutex<Held>,
}

/// What was read.
#[derive(Debug, Default)]
struct View {
    leases: Leases,
    /// For each partition, whether it was read to its end; none while the topic is not known.
    is_current: Vec<bool>,
    /// Why the topic cannot be used, where it cannot.
    trouble: Option<String>,
}

/// Starts the reading thread, which ends when `stop` is cancelled. Leases of this replica's former
/// life are released as soon as they are read. Kafka need not be there yet.
///
/// # Errors
/// Where no thread can be made, or the system gives no random bits.
pub fn start(
    settings: LogSettings,
    connections: Connections,
    (clock, health): (Clock, Health),
    stop: CancellationToken,
) -> anyhow::Result<(Presence, oneshot::Receiver<()>)> {
    // A renewal that was not written until the next one is due has become useless.
    let message_timeout = settings.renew_every.max(settings.answer_timeout);
    let writer = Writer::new(settings.kafka.clone(), settings.topic.clone(), message_timeout);
    let shared = Arc::new(Shared {
        life: LifeId::random().context("no name for this life")?,
        writer: Arc::new(writer),
        clock,
        health,
        connections,
        view: Mutex::default(),
        held: Mutex::default(),
        settings,
    });
    let presence = Presence { shared: Arc::clone(&shared) };
    let (tell, ended) = oneshot::channel();
    let run = move || {
        reader::run(&shared, &stop);
        // Nobody listens any more when the app has gone on.
        tell.send(()).unwrap_or_default();
    };
    let thread = thread::Builder::new().name("presence".to_owned());
    thread.spawn(run).context("no thread for the presence topic")?;
    Ok((presence, ended))
}

impl Presence {
    /// Opens a stream where there is room for it (N1, T7): writes a request and waits until it was
    /// read back and decided, `answer_timeout` at most. The stream can be ended from when this is
    /// called; its lease is released when it is dropped, and at once where it was refused.
    ///
    /// # Errors
    /// Where there is no room, or no verdict in time.
    pub async fn enter(&self, listener: Listener, limits: Limits) -> Result<Opened, Refused> {
        let shared = &self.shared;
        shared.may_admit(&listener.channel)?;
        let lease = LeaseId::random().map_err(|error| Unavailable(error.to_string()))?;
        let (channel, claim) = (listener.channel.clone(), shared.claim(&listener));
        let mut opened = shared.connections.open(lease.clone(), listener);
        let (tell, verdict) = oneshot::channel();
        let flow = Arc::clone(&opened.flow);
        shared.held().begin(lease.clone(), (channel.clone(), claim.clone(), limits), flow, tell);
        opened.keep(Place {
            shared: Arc::clone(shared),
            channel: channel.clone(),
            lease: lease.clone(),
        });
        let request = Record::Request { channel, lease, claim, limits };
        let verdict = timeout(shared.settings.answer_timeout, shared.decided(&request, verdict));
        match verdict.await.unwrap_or_else(|_| Err("no verdict in time".to_owned())) {
            Ok(Verdict::Admitted | Verdict::Noted) => Ok(opened),
            Ok(Verdict::ChannelFull) => Err(Refused::ChannelFull(limits.channel_max)),
            Ok(Verdict::TokenFull) => {
                Err(Refused::TokenFull(limits.token_max.unwrap_or(limits.channel_max)))
            }
            Err(reason) => Err(Unavailable(reason).into()),
        }
    }

    /// The connections to all replicas, or those of one channel, by channel and id. Their figures
    /// are as old as their last renewal.
    ///
    /// # Errors
    /// Where not everything there is was read.
    pub fn connections(&self, channel: Option<&str>) -> Result<Vec<Connection>, Unavailable> {
        let now = self.shared.clock.now();
        let view = self.shared.view();
        view.is_usable()?;
        let at = view.leases.now().max(now);
        let all = view.leases.all(at);
        let of = all.filter(|(of, ..)| channel.is_none_or(|channel| of.as_str() == channel));
        Ok(of
            .map(|(channel, id, lease)| Connection {
                id: id.clone(),
                channel: channel.clone(),
                lease: lease.clone(),
            })
            .collect())
    }

    /// How many connections a channel has; `None` while that is not known.
    #[must_use]
    pub fn count(&self, channel: &str) -> Option<usize> {
        let now = self.shared.clock.now();
        let view = self.shared.view();
        view.is_usable().ok()?;
        Some(view.leases.of(channel, view.leases.now().max(now)).count())
    }

    /// When a token was used last, to a minute; `None`: never, as far as was read.
    #[must_use]
    pub fn last_used(&self, token: &str) -> Option<Millis> {
        self.shared.view().leases.last_used(token)
    }

    /// Tells whichever replica has the connection to close it. Returns when that is written.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn disconnect(
        &self,
        connection: &Connection,
        actor: Actor,
    ) -> Result<(), Unavailable> {
        let Connection { id, channel, .. } = connection.clone();
        let record = Record::Disconnect { channel, lease: id, actor };
        let written = async { self.shared.send(&record)?.await };
        let written = timeout(self.shared.settings.answer_timeout, written).await;
        written.unwrap_or_else(|_| Err("not written in time".to_owned())).map_err(Unavailable)
    }

    /// Renews what this replica holds. Goes on for ever.
    pub async fn renew(&self) {
        renewal::run(&self.shared).await;
    }

    /// Waits until the releases of what was closed are written, or this time is over. Blocks.
    pub fn flush(&self, within: Duration) {
        self.shared.writer.flush(within);
    }
}

impl View {
    fn is_usable(&self) -> Result<(), Unavailable> {
        if let Some(reason) = &self.trouble {
            return Err(Unavailable(reason.clone()));
        }
        if self.is_current.is_empty() || self.is_current.contains(&false) {
            return Err(Unavailable("it was not read to its end yet".to_owned()));
        }
        Ok(())
    }

    fn partition_of(&self, channel: &ChannelId) -> Result<i32, Unavailable> {
        let count = u32::try_from(self.is_current.len()).unwrap_or_default();
        if count == 0 {
            return Err(Unavailable("it was not seen yet".to_owned()));
        }
        // Kafka has no more partitions than that.
        Ok(i32::try_from(partition_of(channel.as_str(), count)).unwrap_or_default())
    }
}

/// As much of a filter's text as a lease tells.
fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(FILTER_BYTES_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}

impl Shared {
    fn may_admit(&self, channel: &ChannelId) -> Result<(), Unavailable> {
        let view = self.view();
        let partition = view.partition_of(channel)?;
        let place = usize::try_from(partition).unwrap_or_default();
        match &view.trouble {
            Some(reason) => Err(Unavailable(reason.clone())),
            None if view.is_current.get(place) == Some(&true) => Ok(()),
            None => Err(Unavailable("it was not read to its end yet".to_owned())),
        }
    }

    fn claim(&self, listener: &Listener) -> Claim {
        Claim {
            token: listener.token.clone(),
            replica: self.settings.replica.clone(),
            life: self.life.clone(),
            address: listener.address.to_string(),
            transport: listener.transport.label().to_owned(),
            filter: listener.filter.as_deref().map(cut),
        }
    }

    /// Writes a request and waits for its verdict.
    async fn decided(
        &self,
        request: &Record,
        mut verdict: oneshot::Receiver<Verdict>,
    ) -> Result<Verdict, String> {
        let written = self.send(request)?;
        let told = |verdict: Result<Verdict, _>| {
            // Somebody else has released it.
            verdict.map_err(|_dropped| "the request was given up".to_owned())
        };
        tokio::select! {
            biased;
            verdict = &mut verdict => told(verdict),
            written = written => match written {
                Ok(()) => told(verdict.await),
                Err(reason) => Err(reason),
            },
        }
    }

    /// Puts a record behind those sent before, in the partition of its channel.
    fn send(
        &self,
        record: &Record,
    ) -> Result<impl Future<Output = Result<(), String>> + Send + use<>, String> {
        let partition = self.view().partition_of(record.channel()).map_err(|error| error.0)?;
        let (key, value) = record.encode().map_err(|error| error.to_string())?;
        let payload = value.as_deref();
        self.writer.send(Outgoing { partition, key: Some(&key), payload })
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // A record is applied whole or, where that panics, the thread that reads has ended.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Each change is one insertion, removal or assignment.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
