//! Who may listen: the tokens of the control topic, asked as they are now.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::interval;
use tracing::info;

use crate::clock::Clock;

use super::connections::Connections;
use super::control::{Control, Digest, Standing};
use super::end::End;
use super::request::Problem;
use super::server::{Admitted, Door};
use super::wish::Fixed;

/// How long a listener waits at the door for the newest state.
const FRESH_MAX: Duration = Duration::from_secs(2);
/// How often it is looked whether tokens have expired.
const EXPIRY_EVERY: Duration = Duration::from_millis(500);

/// Lets in who holds an enabled token of the channel.
#[derive(Debug)]
pub struct TokenDoor {
    control: Control,
    clock: Clock,
    connections_max: usize,
}

impl TokenDoor {
    /// `connections_max` is how many may listen to a channel at a time (N1).
    #[must_use]
    pub fn new(control: Control, clock: Clock, connections_max: usize) -> Self {
        Self { control, clock, connections_max }
    }

    async fn look(&self, channel: &str, token: &str) -> Result<Admitted, Problem> {
        // A state that lags could let somebody in whose token was disabled just now.
        let state = self.control.fresh(FRESH_MAX).await.map_err(|unavailable| {
            info!(%unavailable, "a listener was turned away");
            let detail = "whether the token is good cannot be told at the moment";
            Problem { retry_after: Some(2), ..Problem::new(503, "control-unavailable", detail) }
        })?;
        let (of, token) = state
            .admit(&Digest::of(token), self.clock.now())
            .filter(|(of, _)| of.id.as_str() == channel)
            .ok_or_else(Problem::unauthorized)?;
        let of_token = token.options.connections_max.and_then(|max| usize::try_from(max).ok());
        Ok(Admitted {
            area: of.area.as_str().into(),
            token: token.id.as_str().into(),
            connections_max: of_token
                .map_or(self.connections_max, |max| max.min(self.connections_max)),
            fixed: Fixed {
                filter: token.options.filter.clone(),
                fields: token.options.fields.clone(),
            },
        })
    }
}

impl Door for TokenDoor {
    fn admit<'a>(
        &'a self,
        channel: &'a str,
        token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Admitted, Problem>> {
        // Whoever presents nothing takes as long as whoever presents something wrong.
        Box::pin(self.look(channel, token.unwrap_or_default()))
    }
}

/// Ends the streams of tokens and channels that are disabled, or whose time has come (T4). Goes on
/// for ever.
pub async fn watch(control: Control, connections: Connections, clock: Clock) {
    let mut changes = control.changes();
    let mut expiry = interval(EXPIRY_EVERY);
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = expiry.tick() => {}
        }
        let (state, now) = (control.state(), clock.now());
        connections.end(|_, listener| {
            let standing = state.standing(&listener.channel, &listener.token, now);
            (standing != Standing::Good).then_some(End::Revoked)
        });
    }
}
