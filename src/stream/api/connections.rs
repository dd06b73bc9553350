//! The connections of all replicas: who listens where, and the way to close one.

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::stream::presence::{Connection, Unavailable};
use crate::stream::request::Problem;

use super::{Api, administrator, answer, not_found};

/// `GET /api/v1/connections?channel=`
pub(super) async fn list(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut channel = None;
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "channel" => channel = Some(value.into_owned()),
            other => {
                let detail = format!("there is no parameter `{other}`");
                return Err(Problem::new(400, "bad-parameter", detail));
            }
        }
    }
    let all = api.presence.connections(channel.as_deref()).map_err(|error| unavailable(&error))?;
    let all: Vec<_> = all.iter().map(show).collect();
    Ok(answer(&json!({ "connections": all })))
}

/// `DELETE /api/v1/connections/{lease}`: whichever replica has it closes it.
pub(super) async fn disconnect(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let all = api.presence.connections(None).map_err(|error| unavailable(&error))?;
    let connection = all.iter().find(|one| one.id.as_str() == id).ok_or_else(not_found)?;
    api.presence
        .disconnect(connection, administrator()?)
        .await
        .map_err(|error| unavailable(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn show(connection: &Connection) -> Value {
    let Connection { id, channel, lease } = connection;
    let (claim, figures) = (&lease.claim, &lease.figures);
    json!({
        "id": id.as_str(),
        "channel": channel.as_str(),
        "token": claim.token.as_str(),
        "replica": claim.replica,
        "address": claim.address,
        "transport": claim.transport,
        "filter": claim.filter,
        "since": lease.since,
        // The figures are as of then.
        "renewed": lease.renewed,
        "lag_ms": figures.lag_ms,
        "events_per_s": lease.events_per_s(),
        "events": figures.events,
        "bytes": figures.bytes,
        "dropped": figures.dropped,
        "filtered": figures.filtered,
    })
}

fn unavailable(unavailable: &Unavailable) -> Problem {
    let problem = Problem::new(503, "presence-unavailable", unavailable.to_string());
    Problem { retry_after: Some(2), ..problem }
}
