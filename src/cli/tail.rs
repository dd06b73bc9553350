//! `sluice tail`: listens to a stream and prints one line a call, until it is told to end.

use std::fmt;
use std::io::{ErrorKind, Read as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use super::output;
use crate::client::address::{Address, Start, Taken};
use crate::client::backoff::Backoff;
use crate::client::follow::{Follower, Heard, Settings};
use crate::client::message::Gap;
use crate::client::socket::Credentials;
use crate::clock::Clock;
use crate::config::environment::Environment;
use crate::config::fault::OrMisuse as _;

mod line;
mod since;
mod state;

use line::Lines;
use since::Since;
use state::State;

/// Where the token is looked for at last.
const TOKEN_VARIABLE: &str = "SLUICE_STREAM_TOKEN";
/// Far longer than any token; a file that is none is not read to its end.
const TOKEN_BYTES_MAX: u64 = 4_096;
/// So much is gathered before it is written, where it is there already.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// How long a write that is under way may go on when the end is asked for.
const LAST_WRITE_MAX: Duration = Duration::from_secs(1);

/// Where a stream is, as given: it may hold a token, so it is not shown.
#[derive(Clone)]
struct Target(String);

impl FromStr for Target {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Target(..)")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Slow {
    /// It gets later what it was too slow for
    Catchup,
    /// It is closed with a cursor, with which it comes back
    Disconnect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Events as they are indexed
    Native,
    /// The 41 fields of Mashery's Enriched Call Log Streams
    Ecls,
}

#[derive(Debug, Args)]
#[command(after_help = "The token comes from --token-file, or from ?key= of the URL, or from the \
    variable SLUICE_STREAM_TOKEN.\nEvents go to standard output, all else to standard error. When it \
    ends, it says with which cursor to go on.")]
pub(super) struct Options {
    /// The stream's URL, or the channel's name where the configuration says where streams are
    #[arg(value_name = "URL|CHANNEL")]
    target: Target,
    /// The file with the access token; `-`: standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates in PEM to trust beside the well-known ones
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Only events that this filter lets through, as in `status_class = 5xx and not api_name = health`
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Only these fields; a line then is their values with tabs between
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    fields: Vec<String>,
    /// One event of so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,
    /// Begin with events of this time, or of so long ago, as in `2026-01-15T10:00:00Z` or `15m`; where
    /// there are none yet, as for a time still to come, with what comes next
    #[arg(long, value_name = "TIME|DURATION", group = "start")]
    since: Option<Since>,
    /// Begin with the oldest event held
    #[arg(long, group = "start")]
    earliest: bool,
    /// Go on behind the message that carried this cursor
    #[arg(long, group = "start")]
    cursor: Option<String>,
    /// Keep the cursor in this file; where it holds one already, go on from there
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Print each event as it comes, one JSON object a line
    #[arg(long)]
    json: bool,
    /// Let the server send as many events a message as there are: cheaper, a little later
    #[arg(long)]
    batch: bool,
    #[arg(long, value_enum, default_value = "native")]
    format: Format,
    /// What becomes of this client where it is slower than its events
    #[arg(long, value_enum)]
    slow: Option<Slow>,
    /// End after so many seconds [default: go on]
    #[arg(long)]
    seconds: Option<u64>,
    /// End after so many events [default: go on]
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

impl Options {
    /// Whether only the configuration knows where the stream is.
    pub(super) fn needs_configuration(&self) -> bool {
        !Address::is_url(&self.target.0)
    }

    /// What is passed on to the server as it is.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        if let Some(filter) = &self.filter {
            parameters.push(("filter", filter.clone()));
        }
        if !self.fields.is_empty() {
            parameters.push(("fields", self.fields.join(",")));
        }
        if let Some(sample) = self.sample {
            parameters.push(("sample", sample.to_string()));
        }
        if self.format == Format::Ecls {
            parameters.push(("format", "ecls".to_owned()));
        }
        if self.batch {
            parameters.push(("batch", "1".to_owned()));
        }
        match self.slow {
            Some(Slow::Catchup) => parameters.push(("slow", "catchup".to_owned())),
            Some(Slow::Disconnect) => parameters.push(("slow", "disconnect".to_owned())),
            None => {}
        }
        parameters
    }

    fn start(&self, clock: &Clock) -> anyhow::Result<Start> {
        Ok(match (&self.cursor, &self.since, self.earliest) {
            (Some(cursor), _, _) => Start::Cursor(cursor.clone()),
            (_, Some(since), _) => Start::Since(since.time(clock)?),
            (_, _, true) => Start::Earliest,
            _ => Start::Tip,
        })
    }

    fn lines(&self) -> Lines {
        match (self.json, self.format) {
            (true, _) => Lines::Json,
            _ if !self.fields.is_empty() => Lines::Fields(self.fields.clone()),
            (_, Format::Native) => Lines::Native,
            (_, Format::Ecls) => Lines::Ecls,
        }
    }
}

/// Listens to the end. `base` is where streams are by the configuration.
///
/// # Errors
/// The options are at fault, the server refuses for good, or nothing can be written.
pub(super) fn run(
    options: &Options,
    base: Option<&str>,
    environment: &Environment,
) -> anyhow::Result<()> {
    let (address, taken) = match base {
        Some(base) => (Address::of_channel(base, &options.target.0).or_misuse()?, Taken::default()),
        None => Address::read(&options.target.0).or_misuse()?,
    };
    let token = token(options, taken.token, environment).or_misuse()?;
    let state = options.state.clone().map(State::open).transpose().or_misuse()?;
    let clock = Clock::system();
    let start = match state.as_ref().and_then(State::cursor) {
        Some(cursor) => Start::Cursor(cursor),
        None => Some(options.start(&clock)?).filter(|s| *s != Start::Tip).unwrap_or(taken.start),
    };
    let settings = Settings {
        credentials: Credentials::new(&token, options.ca_file.as_deref()).or_misuse()?,
        address,
        parameters: options.parameters(),
        start,
        backoff: Backoff::default(),
    };
    let tail = Tail {
        lines: options.lines(),
        left: options.count,
        follower: Follower::new(settings),
        text: String::new(),
        place: None,
        written: None,
        state,
        has_heard: false,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let until = options.seconds.map(Duration::from_secs);
    let ended = runtime.block_on(Box::pin(tail.run(until)));
    // A reader that has stopped reading holds a thread that writes to it.
    runtime.shutdown_background();
    ended
}

/// The token, from the first place that has one.
fn token(
    options: &Options,
    of_url: Option<String>,
    environment: &Environment,
) -> anyhow::Result<String> {
    let token = match &options.token_file {
        Some(path) => {
            let mut text = String::new();
            let read = if path.as_os_str() == "-" {
                std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text)
            } else {
                let file = std::fs::File::open(path);
                file.and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text))
            };
            read.with_context(|| format!("--token-file {}", path.display()))?;
            text
        }
        None => of_url.or_else(|| environment.take(TOKEN_VARIABLE)).with_context(|| {
            format!("no access token: give it with --token-file FILE or in {TOKEN_VARIABLE}")
        })?,
    };
    let token = token.trim();
    anyhow::ensure!(!token.is_empty(), "the access token is empty");
    Ok(token.to_owned())
}

/// Why it ends without a fault.
enum End {
    /// It was asked to, or has done what it was to do.
    Done,
    /// Nobody reads what it prints any more.
    ReaderGone,
}

struct Tail {
    lines: Lines,
    /// Events to print still.
    left: Option<u64>,
    follower: Follower,
    /// What is to be written.
    text: String,
    /// The cursor behind everything in `text`.
    place: Option<String>,
    /// The cursor behind everything that is written.
    written: Option<String>,
    state: Option<State>,
    /// The server has taken where it was asked to begin.
    has_heard: bool,
}

impl Tail {
    async fn run(mut self, until: Option<Duration>) -> anyhow::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let until = until.map(|until| Instant::now() + until);
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = at(until) => {}
            }
        };
        let ended = self.listen(stop.boxed().shared()).await;
        if let (Some(state), Some(cursor)) = (&mut self.state, &self.written) {
            state.keep_now(cursor)?;
        }
        let is_quiet = matches!(ended, Ok(End::ReaderGone));
        if let Some(cursor) = self.written.filter(|_| !is_quiet) {
            output::complain(&format!("go on with --cursor {cursor}"));
        }
        match (ended, &self.state) {
            // What was not heard from once began with the file's cursor.
            (Err(error), Some(state)) if !self.has_heard => Err(state.blamed(error)),
            (ended, _) => ended.map(|_| ()),
        }
    }

    async fn listen(&mut self, stop: Shared<BoxFuture<'static, ()>>) -> anyhow::Result<End> {
        loop {
            let heard = tokio::select! {
                heard = self.follower.next() => heard?,
                () = stop.clone() => return Ok(End::Done),
            };
            let mut is_done = self.take(heard);
            while !is_done
                && self.text.len() < WRITE_BYTES_MAX
                && let Some(heard) = self.follower.ready()?
            {
                is_done = self.take(heard);
            }
            let text = std::mem::take(&mut self.text);
            if !text.is_empty() {
                // On a thread of its own, so that a signal is heard while nobody reads.
                let write = tokio::task::spawn_blocking(move || output::print(&text));
                let given_up = async {
                    stop.clone().await;
                    sleep(LAST_WRITE_MAX).await;
                };
                let written = tokio::select! {
                    written = write => written?,
                    () = given_up => return Ok(End::Done),
                };
                match written {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                        return Ok(End::ReaderGone);
                    }
                    Err(error) => return Err(error).context("standard output"),
                }
            }
            self.written.clone_from(&self.place);
            if let (Some(state), Some(cursor)) = (&mut self.state, &self.written) {
                state.keep(cursor)?;
            }
            if is_done {
                return Ok(End::Done);
            }
        }
    }

    /// Answers whether as many events as wanted were heard.
    fn take(&mut self, heard: Heard) -> bool {
        self.has_heard |= !matches!(heard, Heard::Cut { .. });
        match heard {
            Heard::Events { events, cursor } => {
                let whole = events.len() as u64;
                let wanted = self.left.map_or(whole, |left| left.min(whole));
                let shown = usize::try_from(wanted).unwrap_or(usize::MAX);
                for event in events.iter().take(shown) {
                    self.lines.put(&mut self.text, event);
                }
                // A message that is not printed to its end comes again.
                if wanted == whole && cursor.is_some() {
                    self.place = cursor;
                }
                self.left = self.left.map(|left| left - wanted);
                return self.left == Some(0);
            }
            Heard::Place(place) => self.place = Some(place),
            Heard::Gap(gap) => output::complain(&told(&gap)),
            Heard::Cut { why, wait, is_lossy } => {
                let loss = if is_lossy { ", and what comes meanwhile is missed" } else { "" };
                let seconds = wait.as_secs_f64();
                output::complain(&format!("{why}; again in {seconds:.1} s{loss}"));
            }
        }
        false
    }
}

fn told(gap: &Gap) -> String {
    let Gap { cause, count, from, to } = gap;
    let count = match count {
        Some(1) => "1 event".to_owned(),
        Some(count) => format!("{count} events"),
        None => "nobody knows how many events".to_owned(),
    };
    let from = from.as_deref().unwrap_or("?");
    let to = to.as_deref().unwrap_or("?");
    line::shown(&format!("gap: {count} not delivered ({cause}), from {from} to {to}"))
}

async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps() {
        let check = |count: Option<u64>, to: Option<&str>, expected: &str| {
            let (from, to) = (Some("a".to_owned()), to.map(str::to_owned));
            let gap = Gap { cause: "slow_consumer".to_owned(), count, from, to };
            assert_eq!(told(&gap), expected);
        };
        check(Some(17), Some("b"), "gap: 17 events not delivered (slow_consumer), from a to b");
        check(Some(1), None, "gap: 1 event not delivered (slow_consumer), from a to ?");
        check(
            None,
            Some("\u{1b}[2J"),
            "gap: nobody knows how many events not delivered (slow_consumer), from a to \\u{1b}[2J",
        );
    }
}
