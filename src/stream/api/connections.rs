//! The open streams, and the way to end one.

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::stream::end::End;
use crate::stream::request::Problem;

use super::Api;
use super::access::User;
use super::problem::{Ids, not_found};
use super::shapes::Json;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Connections {
    connections: Vec<Connection>,
}

/// Who listens.
#[derive(Debug, Serialize, ToSchema)]
struct Connection {
    id: u64,
    channel: String,
    token: String,
    address: String,
    transport: &'static str,
}

/// The open streams of this replica that the user may see.
#[utoipa::path(get, path = "/api/v1/connections", tag = "connections",
    responses((status = 200, body = Connections)))]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(user): Extension<User>,
) -> Json<Connections> {
    let state = api.control.state();
    let is_seen = |channel: &str| {
        let channel = state.channel(channel);
        channel.is_some_and(|channel| user.may_read(&channel.area))
    };
    let open = api.connections.list().into_iter().filter(|(_, one)| is_seen(&one.channel));
    let connections = open.map(|(id, listener)| Connection {
        id,
        channel: listener.channel.to_string(),
        token: listener.token.to_string(),
        address: listener.address.to_string(),
        transport: listener.transport.label(),
    });
    Json(Connections { connections: connections.collect() })
}

/// Ends a stream of this replica.
#[utoipa::path(delete, path = "/api/v1/connections/{connection}", tag = "connections",
    params(("connection" = u64, Path)), responses((status = 204)))]
pub(super) async fn disconnect(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Ids(id): Ids<u64>,
) -> Result<StatusCode, Problem> {
    let open = api.connections.list();
    let (_, listener) = open.iter().find(|(of, _)| *of == id).ok_or_else(not_found)?;
    super::channels::channel_to_change(&api, &user, &listener.channel)?;
    match api.connections.end(|of, _| (of == id).then_some(End::Disconnected)) {
        0 => Err(not_found()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
