//! One stream from the client's side, across connections: nothing twice, nothing left out in
//! silence.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tracing::debug;

use super::address::{Address, Start};
use super::backoff::Backoff;
use super::message::{self, Farewell, Gap, Message};
use super::repeats::Repeats;
use super::socket::{self, Credentials, Refusal, Socket};

/// The server says something every five seconds; whoever says nothing for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How many ids of events are known as repeats.
pub const REPEATS_MAX: usize = 16_384;

/// What to listen to.
#[derive(Debug)]
pub struct Settings {
    pub address: Address,
    pub credentials: Credentials,
    /// Passed on with every request.
    pub parameters: Vec<(&'static str, String)>,
    pub start: Start,
    pub backoff: Backoff,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Events as they came, without those that came before, and the cursor behind them.
    Events {
        events: Vec<String>,
        cursor: Option<String>,
    },
    /// Nothing is missing up to this cursor.
    Place(String),
    Gap(Gap),
    /// The stream was cut off. It is tried again after `wait`, which the next [`Follower::next`]
    /// waits.
    Cut {
        why: String,
        wait: Duration,
        /// There is no cursor: what comes meanwhile is missed.
        is_lossy: bool,
    },
}

/// The stream is over for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Over(pub String);

/// Listens for as long as the server lets it.
#[derive(Debug)]
pub struct Follower {
    settings: Settings,
    socket: Option<Socket>,
    wait: Option<Duration>,
    repeats: Repeats,
    repeated: u64,
}

/// What became of a frame.
enum Step {
    Heard(Heard),
    /// Nothing to tell.
    On,
    Ended(Refusal),
}

impl Follower {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, socket: None, wait: None, repeats: Repeats::new(REPEATS_MAX), repeated: 0 }
    }

    /// Events that came again and were left out.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Waits for whatever comes next, connecting first where that is needed.
    ///
    /// # Errors
    /// The server refuses for good.
    pub async fn next(&mut self) -> Result<Heard, Over> {
        loop {
            if let Some(wait) = self.wait {
                sleep(wait).await;
                self.wait = None;
            }
            let Some(open) = &mut self.socket else {
                let Settings { address, parameters, start, credentials, .. } = &self.settings;
                let url = address.request(parameters, start);
                match socket::open(&url, credentials).await {
                    Ok(opened) => self.socket = Some(opened),
                    Err(refusal) => return self.cut(refusal),
                }
                continue;
            };
            let Ok(frame) = timeout(SILENCE_MAX, open.next()).await else {
                let why = "the server has fallen silent".to_owned();
                return self.cut(Refusal::Passing { why, after: None });
            };
            match self.take(frame.as_ref())? {
                Step::Heard(heard) => return Ok(heard),
                Step::On => {}
                Step::Ended(refusal) => return self.cut(refusal),
            }
        }
    }

    /// What has come already; waits for nothing.
    ///
    /// # Errors
    /// As [`Follower::next`].
    pub fn ready(&mut self) -> Result<Option<Heard>, Over> {
        while let Some(open) = &mut self.socket
            && let Some(frame) = open.next().now_or_never()
        {
            match self.take(frame.as_ref())? {
                Step::Heard(heard) => return Ok(Some(heard)),
                Step::On => {}
                Step::Ended(refusal) => return self.cut(refusal).map(Some),
            }
        }
        Ok(None)
    }

    fn take(&mut self, frame: Option<&Result<Frame, Error>>) -> Result<Step, Over> {
        let passing = |why: String| Step::Ended(Refusal::Passing { why, after: None });
        let heard = match frame {
            None => return Ok(passing("the connection was cut".to_owned())),
            Some(Err(Error::Capacity(error))) => return Err(Over(error.to_string())),
            Some(Err(error)) => return Ok(passing(error.to_string())),
            Some(Ok(Frame::Close(Some(close)))) => {
                return Ok(Step::Ended(socket::closed(close.code.into(), &close.reason)));
            }
            Some(Ok(Frame::Close(None))) => return Ok(passing("the server closed".to_owned())),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => return Ok(Step::On),
            Some(Ok(Frame::Text(text))) => message::read(text.as_bytes()),
            Some(Ok(Frame::Binary(bytes))) => message::read(bytes),
        };
        let message = heard.map_err(|error| {
            Over(format!("the server says what is no message of ours: {error}"))
        })?;
        if !matches!(message, Message::Error(_)) {
            self.settings.backoff.reset();
        }
        Ok(match message {
            Message::Events { cursor, events } => {
                let cursor = cursor.map(std::borrow::Cow::into_owned);
                self.go_on_from(cursor.as_deref());
                let new = events.iter().map(|event| event.get()).filter(|event| {
                    let id = message::event_id(event);
                    let is_new = !id.is_some_and(|id| self.repeats.is_repeat(&id));
                    self.repeated += u64::from(!is_new);
                    is_new
                });
                let events = new.map(str::to_owned).collect();
                Step::Heard(Heard::Events { events, cursor })
            }
            Message::Status(status) => match status.place() {
                Some(place) => {
                    self.go_on_from(Some(&place));
                    Step::Heard(Heard::Place(place))
                }
                None => Step::On,
            },
            // The cursor stays before it: what of it can still be had comes after a cut.
            Message::Gap(gap) => Step::Heard(Heard::Gap(gap)),
            Message::Error(farewell) => self.farewell(farewell),
            Message::Other => Step::On,
        })
    }

    fn farewell(&mut self, farewell: Farewell) -> Step {
        self.go_on_from(farewell.cursor.as_deref());
        let after = farewell.retry_after();
        let Farewell { kind, detail, retry, .. } = farewell;
        let why = if detail.is_empty() { kind } else { detail };
        Step::Ended(if retry { Refusal::Passing { why, after } } else { Refusal::Lasting(why) })
    }

    fn go_on_from(&mut self, cursor: Option<&str>) {
        if let Some(cursor) = cursor {
            self.settings.start = Start::Cursor(cursor.to_owned());
        }
    }

    fn cut(&mut self, refusal: Refusal) -> Result<Heard, Over> {
        let was_open = self.socket.take().is_some();
        let (why, after) = match refusal {
            Refusal::Passing { why, after } => (why, after),
            Refusal::Lasting(why) => return Err(Over(why)),
        };
        // Without chance all waits are the shortest, which is still right.
        let chance = getrandom::u32().unwrap_or_default();
        let wait = self.settings.backoff.wait(after, chance);
        debug!(why, ?wait, "cut off");
        self.wait = Some(wait);
        Ok(Heard::Cut { why, wait, is_lossy: was_open && self.settings.start == Start::Tip })
    }
}
