//! `--since`: a time, or how long ago.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};

use crate::clock::Clock;
use crate::config::fault::Misuse;
use crate::config::units;

/// Where the past begins that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Since {
    /// As it was given.
    Time(String),
    Ago(Duration),
}

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(ago) = units::duration(text) {
            return Ok(Self::Ago(ago));
        }
        match DateTime::parse_from_rfc3339(text) {
            Ok(_) => Ok(Self::Time(text.to_owned())),
            Err(_says_little) => Err("a time is as in `2026-01-15T10:00:00Z` or \
                 `2026-01-15T11:00:00+01:00`, a duration as in `15m` or `2h`"),
        }
    }
}

impl Since {
    /// A time as it is, or the one that was so long ago.
    ///
    /// # Errors
    /// It would be before 1970.
    pub(super) fn time(&self, clock: &Clock) -> anyhow::Result<String> {
        let ago = match self {
            Self::Time(text) => return Ok(text.clone()),
            Self::Ago(ago) => i64::try_from(ago.as_millis()).unwrap_or(i64::MAX),
        };
        // The server takes no time before 1970.
        let then = Some(clock.now().saturating_sub(ago)).filter(|then| *then >= 0);
        let then = then.and_then(DateTime::from_timestamp_millis);
        let then = then.ok_or_else(|| {
            Misuse::told("--since is before 1970; --earliest begins with the oldest event held")
        })?;
        Ok(then.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let clock = Clock::fixed(1_768_471_200_000);
        let check = |text: &str, expected: Option<&str>| {
            let time = Since::from_str(text).ok().and_then(|since| since.time(&clock).ok());
            assert_eq!(time.as_deref(), expected, "{text}");
        };
        check("15m", Some("2026-01-15T09:45:00.000Z"));
        check("2026-01-15T10:00:00+01:00", Some("2026-01-15T10:00:00+01:00"));
        check("yesterday", None);
        check("99999999999d", None);
    }
}
