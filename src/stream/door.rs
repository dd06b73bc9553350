//! Who may listen: the tokens of the control topic, asked as they are now, and the leases of the
//! presence topic, which tell whether there is room.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::interval;
use tracing::info;

use crate::clock::Clock;

use super::connections::{Connections, Listener, Opened};
use super::control::{Control, Digest, Standing};
use super::end::End;
use super::presence::{Limits, Presence, Refused};
use super::request::Problem;
use super::server::{Admitted, Door};
use super::wish::Fixed;

/// How long a listener waits at the door for the newest state.
const FRESH_MAX: Duration = Duration::from_secs(2);
/// How often it is looked whether tokens have expired.
const EXPIRY_EVERY: Duration = Duration::from_millis(500);

/// Lets in who holds an enabled token of the channel, while there is room.
#[derive(Debug)]
pub struct TokenDoor {
    control: Control,
    presence: Presence,
    clock: Clock,
    channel_max: u32,
}

impl TokenDoor {
    /// `channel_max` is how many may listen to a channel at a time, over all replicas (N1).
    #[must_use]
    pub fn new(control: Control, presence: Presence, clock: Clock, channel_max: u32) -> Self {
        Self { control, presence, clock, channel_max }
    }

    async fn look(&self, channel: &str, token: &str) -> Result<Admitted, Problem> {
        // A state that lags could let somebody in whose token was disabled just now.
        let state = self.control.fresh(FRESH_MAX).await.map_err(|unavailable| {
            info!(%unavailable, "a listener was turned away");
            Problem::control_unavailable("whether the token is good cannot be told at the moment")
        })?;
        let (of, token) = state
            .admit(&Digest::of(token), self.clock.now())
            .filter(|(of, _)| of.id.as_str() == channel)
            .ok_or_else(Problem::unauthorized)?;
        let limits =
            Limits { channel_max: self.channel_max, token_max: token.options.connections_max };
        let area = of.area.as_str().into();
        let fixed =
            Fixed { filter: token.options.filter.clone(), fields: token.options.fields.clone() };
        Ok(Admitted { channel: of.id.clone(), area, token: token.id.clone(), limits, fixed })
    }

    async fn find_room(&self, listener: Listener, limits: Limits) -> Result<Opened, Problem> {
        self.presence.enter(listener, limits).await.map_err(|refused| {
            let (status, kind, retry_after) = match &refused {
                Refused::ChannelFull(_) => (429, "too-many-connections", 5),
                Refused::TokenFull(_) => (429, "too-many-connections-of-token", 5),
                Refused::Unavailable(unavailable) => {
                    info!(%unavailable, "a listener was turned away");
                    let detail = "whether there is room cannot be told at the moment";
                    return Problem::presence_unavailable(detail);
                }
            };
            let problem = Problem::new(status, kind, refused.to_string());
            Problem { retry_after: Some(retry_after), ..problem }
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

    fn open(&self, listener: Listener, limits: Limits) -> BoxFuture<'_, Result<Opened, Problem>> {
        Box::pin(self.find_room(listener, limits))
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
            let standing = state.standing(listener.channel.as_str(), listener.token.as_str(), now);
            (standing != Standing::Good).then_some(End::Revoked)
        });
    }
}
