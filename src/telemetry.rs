//! Logs: text or JSON lines on standard error, bounded per minute, never with a secret or a body.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::clock::{Clock, Millis};
use crate::config::settings::{LogFormat, LogSettings};

const MINUTE_MS: Millis = 60_000;

/// Starts logging for the whole process.
///
/// # Errors
/// Where the level is no filter, or logging was started before.
pub fn start(settings: &LogSettings, clock: Clock) -> anyhow::Result<()> {
    let levels = EnvFilter::try_new(&settings.level).context("log.level")?;
    let limiter = Limiter::new(settings.lines_per_minute_max, clock);
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match settings.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(limiter).with_filter(levels))
        .try_init()
        .context("logging was started before")
}

/// Lets at most so many lines of one place in the code through within a minute. What was held back
/// is said in one line when the next minute's first line of that place comes.
#[derive(Debug, Clone)]
struct Limiter {
    lines_per_minute_max: u32,
    clock: Clock,
    places: Arc<Mutex<HashMap<Identifier, Window>>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Millis,
    lines: u32,
}

/// What a line of one place meets.
#[derive(Debug, PartialEq, Eq)]
enum Pass {
    Through,
    /// The first line of a new minute, after so many were held back.
    After(u32),
    HeldBack,
}

impl Limiter {
    fn new(lines_per_minute_max: u32, clock: Clock) -> Self {
        Self { lines_per_minute_max, clock, places: Arc::default() }
    }

    fn pass(&self, place: Identifier) -> Pass {
        let now = self.clock.now();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let window = places.entry(place).or_insert(Window { began: now, lines: 0 });
        if now - window.began >= MINUTE_MS {
            let held_back = window.lines.saturating_sub(self.lines_per_minute_max);
            *window = Window { began: now, lines: 1 };
            return if held_back > 0 { Pass::After(held_back) } else { Pass::Through };
        }
        window.lines = window.lines.saturating_add(1);
        if window.lines > self.lines_per_minute_max { Pass::HeldBack } else { Pass::Through }
    }
}

impl<S: Subscriber> Filter<S> for Limiter {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // An error is rare by its meaning and is never held back.
        if *metadata.level() == Level::ERROR {
            return true;
        }
        match self.pass(metadata.callsite()) {
            Pass::Through => true,
            Pass::HeldBack => false,
            Pass::After(held_back) => {
                // Written directly: an event from within a filter would meet the filter again.
                let place = metadata.name();
                writeln!(io::stderr(), "{held_back} lines were held back last minute: {place}")
                    .unwrap_or_default();
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Callsite;

    use super::*;

    struct Place;

    impl Callsite for Place {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            unreachable!("only the address of a place is used")
        }
    }

    #[test]
    fn lines_of_one_place_are_bounded_and_the_rest_is_said() {
        static PLACE: Place = Place;
        let clock = Clock::fixed(0);
        let limiter = Limiter::new(2, clock.clone());
        let place = Identifier(&PLACE);
        let passes: Vec<_> = (0..4).map(|_| limiter.pass(place.clone())).collect();
        assert_eq!(passes, [Pass::Through, Pass::Through, Pass::HeldBack, Pass::HeldBack]);
        clock.set(MINUTE_MS);
        assert_eq!(limiter.pass(place.clone()), Pass::After(2));
        assert_eq!(limiter.pass(place), Pass::Through);
    }
}
