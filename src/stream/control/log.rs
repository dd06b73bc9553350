//! The control topic: commands go in, their answers come from reading them back.
//!
//! A thread reads the topic's only partition from its beginning, by plain assignment, and for ever:
//! while Kafka is away [`Control::state`] answers with what was read last, and reading goes on by
//! itself. A command is answered only when its own record was read back and decided, so an answer
//! is what every replica comes to. A replica that lags lets nobody in: [`Control::fresh`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Semaphore, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::settings::KafkaSettings;
use crate::health::Health;
use crate::stream::ids::{Actor, CommandId};
use crate::stream::writer::{Outgoing, Writer};

use super::command::{Command, Limits};
use super::record::Record;
use super::rules::Refusal;
use super::state::{Answer, Made, State};

mod reader;

use self::reader::PARTITION;

/// Commands of this replica that wait for their answers at a time; more wait for one of these.
const COMMANDS_WAITING_MAX: usize = 64;
/// Where the topic's end was not told, it is asked for again this much later.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// What the log needs to know.
#[derive(Debug, Clone)]
pub struct LogSettings {
    pub kafka: KafkaSettings,
    pub topic: String,
    /// How long a command's answer is waited for.
    pub answer_timeout: Duration,
}

impl LogSettings {
    /// With an answer's usual timeout, 5 s.
    #[must_use]
    pub fn new(kafka: KafkaSettings, topic: String) -> Self {
        Self { kafka, topic, answer_timeout: Duration::from_secs(5) }
    }
}

/// A command that was applied, now or when it was asked for before under the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub id: CommandId,
    /// The broker time of its record, in ms since the Unix epoch.
    pub at: i64,
    pub made: Made,
}

/// Why there is no answer, or none that one would like.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nothing was changed.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Whether it was or will be applied is not known. Asking again under the same id tells, and
    /// applies nothing twice.
    #[error("command {id} has no answer yet: {reason}")]
    Unavailable { id: CommandId, reason: String },
    /// Nothing was asked.
    #[error("the system gives no random bits: {0}")]
    Random(#[from] getrandom::Error),
}

/// Why it is not known whether the state is fresh; for an operator's eyes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the control topic cannot be read up to its end: {0}")]
pub struct Unavailable(pub String);

/// Channels and tokens, shared by all replicas. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
    writer: Arc<Writer>,
    ends: Arc<Ends>,
    places: Arc<Semaphore>,
    answer_timeout: Duration,
}

/// What the reading thread and everyone else share.
#[derive(Debug)]
struct Shared {
    state: ArcSwap<State>,
    /// The offset behind the last record of `state`; told after the state is there.
    next: watch::Sender<u64>,
    /// Why reading has ended for good, where it has.
    halted: OnceLock<String>,
    /// Whether the topic was read once up to an end that it had.
    was_read: AtomicBool,
    health: Health,
}

/// The topic's end as it was asked for last.
#[derive(Debug, Default)]
struct Ends {
    begun: AtomicU64,
    last: Mutex<Option<(u64, Result<u64, String>)>>,
}

/// Starts the reading thread, which ends when `stop` is cancelled, or when nothing can be read any
/// more: then everything but [`Control::state`] answers with the reason. The receiver is told of
/// the end; it fails where the thread has panicked. Kafka need not be there yet.
///
/// # Errors
/// Where no thread can be made.
pub fn start(
    settings: LogSettings,
    health: Health,
    stop: CancellationToken,
) -> anyhow::Result<(Control, oneshot::Receiver<()>)> {
    let shared = Arc::new(Shared {
        state: ArcSwap::default(),
        next: watch::Sender::new(0),
        halted: OnceLock::new(),
        was_read: AtomicBool::new(false),
        health,
    });
    let control = Control {
        shared: Arc::clone(&shared),
        writer: Arc::new(writer(&settings)),
        ends: Arc::default(),
        places: Arc::new(Semaphore::new(COMMANDS_WAITING_MAX)),
        answer_timeout: settings.answer_timeout,
    };
    let (tell, ended) = oneshot::channel();
    let thread = thread::Builder::new().name("control".to_owned());
    let run = move || {
        reader::run(&settings, &shared, &stop);
        // Nobody listens any more when the app has gone on.
        tell.send(()).unwrap_or_default();
    };
    thread.spawn(run).context("no thread for the control topic")?;
    Ok((control, ended))
}

fn writer(settings: &LogSettings) -> Writer {
    // Before the answer is given up, so that its asker is told the reason.
    let message_timeout = settings.answer_timeout * 3 / 4;
    Writer::new(settings.kafka.clone(), settings.topic.clone(), message_timeout)
}

impl Control {
    /// Gives a command under an id of its own: see [`Control::apply_as`].
    ///
    /// # Errors
    /// As there.
    pub async fn apply(
        &self,
        actor: Actor,
        command: Command,
        limits: Limits,
    ) -> Result<Applied, ControlError> {
        self.apply_as(CommandId::random()?, actor, command, limits).await
    }

    /// Gives a command under an id that its asker chose, and waits until its record was read back
    /// and decided, `answer_timeout` at most. Asking again under the same id gets the first answer
    /// while it is remembered: [`super::COMMANDS_REMEMBERED_MAX`].
    ///
    /// # Errors
    /// Where the command is refused, or has no answer in time.
    pub async fn apply_as(
        &self,
        id: CommandId,
        actor: Actor,
        command: Command,
        limits: Limits,
    ) -> Result<Applied, ControlError> {
        // What is malformed is refused by the fold as well; it need not stand there for ever.
        command.check().map_err(|fault| ControlError::Refused(fault.into()))?;
        let record = Record { id, actor, limits, command };
        let answer = timeout(self.answer_timeout, self.answer(&record)).await;
        let answer = answer.unwrap_or_else(|_| Err("it was not read back in time".to_owned()));
        match answer {
            Ok(Answer { at, result: Ok(made) }) => Ok(Applied { id: record.id, at, made }),
            Ok(Answer { result: Err(refusal), .. }) => Err(ControlError::Refused(refusal)),
            Err(reason) => Err(ControlError::Unavailable { id: record.id, reason }),
        }
    }

    async fn answer(&self, record: &Record) -> Result<Answer, String> {
        let mut changes = self.changes();
        if let Some(answer) = self.state().recall(record) {
            return Ok(answer);
        }
        self.shared.may_go_on()?;
        let bytes = record.encode().map_err(|error| error.to_string())?;
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let outgoing = Outgoing { partition: PARTITION, key: None, payload: Some(&bytes) };
        let mut written = self.writer.write(outgoing).await;
        loop {
            changes.borrow_and_update();
            if let Some(answer) = self.state().recall(record) {
                return Ok(answer);
            }
            // What has failed to be acknowledged may have been read back all the same.
            std::mem::replace(&mut written, Ok(()))?;
            self.shared.may_go_on()?;
            changes.changed().await.map_err(|error| error.to_string())?;
        }
    }

    /// What was read last; of no age in particular.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.shared.state.load_full()
    }

    /// Tells the offset behind the last record read, each time that the state has changed: whoever
    /// has seen the change finds the state at least as new.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.next.subscribe()
    }

    /// What was read last, once the topic was read up to an end that it had: before that nothing
    /// is known of what there is, and this waits for it.
    ///
    /// # Errors
    /// Where that is not to be had `within` this time.
    pub async fn known(&self, within: Duration) -> Result<Arc<State>, Unavailable> {
        if self.shared.was_read.load(Ordering::Acquire) {
            return Ok(self.state());
        }
        self.fresh(within).await
    }

    /// A state with everything that was in the topic when this was called. To be asked for before
    /// a listener is admitted.
    ///
    /// # Errors
    /// Where that is not to be had `within` this time.
    pub async fn fresh(&self, within: Duration) -> Result<Arc<State>, Unavailable> {
        let fresh = timeout(within, self.caught_up(within)).await;
        fresh.unwrap_or_else(|_| Err("not in time".to_owned())).map_err(Unavailable)
    }

    /// The topic's end. Its partition may be without a leader for a moment, as it is when the topic
    /// was made just now.
    async fn end(&self, within: Duration) -> Result<u64, String> {
        let since = Instant::now();
        loop {
            let left = within.saturating_sub(since.elapsed());
            match self.ends.ask(&self.writer, left).await {
                Err(_) if left > ASK_AGAIN => tokio::time::sleep(ASK_AGAIN).await,
                answer => return answer,
            }
        }
    }

    async fn caught_up(&self, within: Duration) -> Result<Arc<State>, String> {
        let before = *self.shared.next.borrow();
        let end = self.end(within).await?;
        if end < before {
            return Err("the topic ends before what was read of it: it was made anew".to_owned());
        }
        let reached = |next: &u64| *next >= end || self.shared.halted.get().is_some();
        let mut changes = self.changes();
        changes.wait_for(reached).await.map_err(|error| error.to_string())?;
        self.shared.may_go_on()?;
        self.shared.was_read.store(true, Ordering::Release);
        Ok(self.state())
    }
}

impl Shared {
    fn may_go_on(&self) -> Result<(), String> {
        self.halted.get().map_or(Ok(()), |reason| Err(reason.clone()))
    }
}

impl Ends {
    /// The topic's end at some time after this call began. However many ask, one question is under
    /// way at a time, and whoever came before it began shares its answer.
    async fn ask(&self, writer: &Arc<Writer>, within: Duration) -> Result<u64, String> {
        let came = self.begun.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        if let Some((number, answer)) = last.as_ref()
            && *number > came
        {
            return answer.clone();
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let writer = Arc::clone(writer);
        let asked = tokio::task::spawn_blocking(move || writer.end(PARTITION, within)).await;
        let answer = asked.map_err(|error| error.to_string()).and_then(|answer| answer);
        *last = Some((number, answer.clone()));
        answer
    }
}
