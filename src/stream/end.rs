//! How a stream ends, and what the client is told: whether to come back, and when.

use std::borrow::Cow;
use std::time::Duration;

pub use crate::metrics::stream::EndKind;

use super::ws::input::Violation;

/// The end of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The connection broke, or the client went without a word.
    Client,
    /// The client closed, with the code that it gave.
    Closed(Option<u16>),
    /// This server stops.
    Restart,
    /// The token or its channel was disabled, or the token has expired.
    Revoked,
    /// An administrator closed it.
    Disconnected,
    /// Kafka was away for too long, and its place in the channel has become another's.
    Full,
    /// It asked to be closed rather than to catch up.
    Slow,
    /// No sign of life for too long.
    Silent,
    /// It broke the protocol.
    Violation(Violation),
    /// What it asks for in its first message cannot be.
    Refused(String),
    /// Kafka does not give what the client has missed.
    Unavailable(String),
}

/// What a client is told at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farewell {
    /// The close code of a WebSocket (RFC 6455, section 7.4; from 4000 on our own).
    pub code: u16,
    pub kind: EndKind,
    pub detail: Cow<'static, str>,
    /// When to come back with the last cursor; `None`: not at all.
    pub retry_after: Option<Duration>,
}

impl End {
    /// `None` where nobody is there to be told.
    #[must_use]
    pub fn farewell(&self) -> Option<Farewell> {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let (code, kind, detail, retry_after): (_, _, Cow<'static, str>, _) = match self {
            Self::Client | Self::Closed(_) => return None,
            Self::Restart => (1012, EndKind::Restart, "this server restarts".into(), seconds(1)),
            Self::Revoked => (
                4401,
                EndKind::Revoked,
                "the token or its channel was disabled, or the token has expired".into(),
                None,
            ),
            Self::Disconnected => {
                (4403, EndKind::Disconnected, "an administrator closed the stream".into(), None)
            }
            Self::Full => {
                let detail = "the channel or the token has as many connections as it may";
                (4429, EndKind::Full, detail.into(), seconds(5))
            }
            Self::Slow => {
                (4408, EndKind::Slow, "the client reads slower than events come".into(), seconds(0))
            }
            Self::Silent => {
                (4409, EndKind::Silent, "no sign of life from the client".into(), seconds(0))
            }
            Self::Violation(violation) => {
                (violation.code(), EndKind::Violation, violation.to_string().into(), None)
            }
            Self::Refused(why) => (4400, EndKind::Refused, why.clone().into(), None),
            Self::Unavailable(why) => (1013, EndKind::Unavailable, why.clone().into(), seconds(5)),
        };
        Some(Farewell { code, kind, detail, retry_after })
    }

    #[must_use]
    pub fn kind(&self) -> EndKind {
        self.farewell().map_or(EndKind::Client, |farewell| farewell.kind)
    }
}
