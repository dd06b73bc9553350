//! The connections of all replicas: who listens where, and the way to close one.

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Millis;
use crate::stream::presence::{self, Unavailable};
use crate::stream::request::Problem;

use super::Api;
use super::access::User;
use super::problem::{Ids, Parameters, not_found};
use super::shapes::Json;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of this channel only.
    channel: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Connections {
    connections: Vec<Connection>,
}

/// Who listens, and what has gone out as of `renewed`.
#[derive(Debug, Serialize, ToSchema)]
struct Connection {
    id: String,
    channel: String,
    token: String,
    /// The name of the replica that has it.
    replica: String,
    address: String,
    transport: String,
    filter: Option<String>,
    since: Millis,
    renewed: Millis,
    /// `null` where nobody can know it at the moment.
    lag_ms: Option<u64>,
    events_per_s: Option<f64>,
    events: u64,
    bytes: u64,
    /// Events that gaps have told of.
    dropped: u64,
    /// Events that did not pass the filter.
    filtered: u64,
}

/// The open streams of all replicas that the user may see.
#[utoipa::path(get, path = "/api/v1/connections", tag = "connections", params(Which),
    responses((status = 200, body = Connections)))]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Parameters(Which { channel }): Parameters<Which>,
) -> Result<Json<Connections>, Problem> {
    let state = api.control.state();
    let is_seen = |channel: &str| {
        let channel = state.channel(channel);
        channel.is_some_and(|channel| user.may_read(&channel.area))
    };
    let all = api.presence.connections(channel.as_deref()).map_err(|error| unavailable(&error))?;
    let seen = all.iter().filter(|one| is_seen(one.channel.as_str()));
    Ok(Json(Connections { connections: seen.map(show).collect() }))
}

/// Closes a stream, whichever replica has it.
#[utoipa::path(delete, path = "/api/v1/connections/{connection}", tag = "connections",
    params(("connection" = String, Path)), responses((status = 204)))]
pub(super) async fn disconnect(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Ids(id): Ids<String>,
) -> Result<StatusCode, Problem> {
    let all = api.presence.connections(None).map_err(|error| unavailable(&error))?;
    let connection = all.iter().find(|one| one.id.as_str() == id).ok_or_else(not_found)?;
    super::channels::channel_to_change(&api, &user, connection.channel.as_str())?;
    let closed = api.presence.disconnect(connection, user.actor.clone()).await;
    closed.map_err(|error| unavailable(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

fn show(connection: &presence::Connection) -> Connection {
    let presence::Connection { id, channel, lease } = connection;
    let (claim, figures) = (lease.claim.clone(), &lease.figures);
    Connection {
        id: id.to_string(),
        channel: channel.to_string(),
        token: claim.token.to_string(),
        replica: claim.replica,
        address: claim.address,
        transport: claim.transport,
        filter: claim.filter,
        since: lease.since,
        renewed: lease.renewed,
        lag_ms: figures.lag_ms,
        events_per_s: lease.events_per_s(),
        events: figures.events,
        bytes: figures.bytes,
        dropped: figures.dropped,
        filtered: figures.filtered,
    }
}

fn unavailable(unavailable: &Unavailable) -> Problem {
    Problem::presence_unavailable(unavailable.to_string())
}
