//! The administrators' HTTP API: channels, tokens, connections, the audit trail.
//!
//! Whoever asks is a user ([`access`]) before anything is looked at; each handler asks that user
//! whether it may. Every error is a problem document.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::clock::Clock;

use super::control::log::Applied;
use super::control::{Command, Control, ControlError, Limits, Refusal};
use super::filter::Known;
use super::gate::Gate;
use super::ids::CommandId;
use super::presence::Presence;
use super::request::{Problem, no_such_method, no_such_path};
use super::server::{HEAD_TIMEOUT, next, serve_one};

pub mod access;
pub mod session;
pub mod document;
pub mod areas;
mod problem;
mod shapes;
mod channels;
mod tokens;
mod audit;
mod connections;

use access::{Access, User};
use areas::Areas;

/// A request's body: names, descriptions and filters.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Of a request's own id; one request may come to two commands.
pub const ID_LENGTH_MAX: usize = 60;
/// Connections at a time; who comes beyond that waits.
const SOCKETS_MAX: usize = 256;

/// What the API works on.
#[derive(Debug, Clone)]
pub struct Api {
    pub control: Control,
    pub presence: Presence,
    pub clock: Clock,
    pub limits: Limits,
    pub access: Arc<Access>,
    /// With the failures that the streams count as well.
    pub gate: Gate,
    /// What a token's filter may ask for.
    pub fields: Arc<Known>,
    /// Of what a channel can be made.
    pub areas: Areas,
    /// What stands before `/v1/streams/…` in the URLs that are shown.
    pub public_url: Arc<str>,
}

/// Every route that is behind [`access::authorized`], with its description.
fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(channels::list, channels::generate))
        .routes(routes!(channels::show, channels::edit))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::show, tokens::edit))
        .routes(routes!(audit::of_channel))
        .routes(routes!(audit::of_all))
        .routes(routes!(connections::list))
        .routes(routes!(connections::disconnect))
        .routes(routes!(session::show, session::begin, session::end))
}

/// Every route; [`serve_one`] says who is at the other end.
fn routes(api: Api) -> Router {
    let (router, _) = described().split_for_parts();
    let document: Arc<str> = document::text().into();
    let documented = get(move || async move { problem::json(document.to_string()) });
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(api.clone(), access::authorized))
        .route("/api/v1/openapi.json", documented.fallback(no_such_method))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}

/// Serves until `stop`; what is asked then is answered still, for as long as the process lives.
pub async fn serve(listener: TcpListener, api: Api, stop: CancellationToken) {
    let router = routes(api);
    let places = Arc::new(Semaphore::new(SOCKETS_MAX));
    let mut open = JoinSet::new();
    loop {
        let (socket, peer) = tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = open.join_next() => continue,
            next = next(&listener, &places) => next,
        };
        open.spawn(serve_one(socket, (peer, HEAD_TIMEOUT), router.clone()));
    }
}

/// Asks, as the user and under the id that the request has chosen.
struct Asking<'a> {
    api: &'a Api,
    user: &'a User,
    id: Option<CommandId>,
}

impl Asking<'_> {
    async fn apply(&self, command: Command) -> Result<Applied, Problem> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => CommandId::random().map_err(|error| no_random_bits(&error))?,
        };
        let Api { control, limits, .. } = self.api;
        let applied = control.apply_as(id, self.user.actor.clone(), command, *limits).await;
        applied.map_err(|error| match error {
            ControlError::Refused(refusal) => refused(&refusal),
            ControlError::Unavailable { ref reason, .. } => {
                not_made(reason);
                let detail = format!("{error}; ask again with the id as `Idempotency-Key`");
                Problem::control_unavailable(detail)
            }
            ControlError::Random(error) => no_random_bits(&error),
        })
    }
}

/// Tells the operator, who else would hear of it from users only.
fn not_made(reason: &str) {
    warn!(reason, "a change is refused: the control topic is unavailable");
}

fn refused(refusal: &Refusal) -> Problem {
    let status = match refusal {
        Refusal::NoSuchChannel | Refusal::NoSuchToken => 404,
        Refusal::Malformed(_) | Refusal::ExpiryPast => 400,
        Refusal::IdInUse
        | Refusal::ChannelExists(_)
        | Refusal::ChannelsFull(_)
        | Refusal::TokenEnabled(_)
        | Refusal::TokensFull(_)
        | Refusal::TokenKnown
        | Refusal::Expired
        | Refusal::CursorKeyThere
        | Refusal::AdminTokenThere => 409,
    };
    Problem::new(status, refusal.label(), refusal.to_string())
}

fn no_random_bits(error: &getrandom::Error) -> Problem {
    Problem::new(503, "no-random-bits", error.to_string())
}
