//! Channels: the list, the wizard's one step, and the settings of one.

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::stream::control::{Command, Token, TokenSpec};
use crate::stream::ids::{ChannelId, CommandId};
use crate::stream::request::Problem;

use super::access::User;
use super::problem::{Body, Chosen, Example, Ids, Parameters, not_found, object};
use super::shapes::{ChannelShape, Channels, Json, Made, Shaper};
use super::tokens::{Options, made, new_secret};
use super::{Api, Asking};

/// Channels of one page.
const PAGE: usize = 100;
const PAGE_MAX: usize = 1000;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The channel of this area only.
    area: Option<String>,
    /// Only those behind this id.
    after: Option<String>,
    /// So many at most: 1 to 1000, by default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// The channels that the user may see.
#[utoipa::path(get, path = "/api/v1/channels", tag = "channels", params(Which),
    responses((status = 200, body = Channels)))]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Parameters(which): Parameters<Which>,
) -> Result<Json<Channels>, Problem> {
    let limit = which.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::new(400, "bad-parameter", "`limit` is 1 to 1000"));
    }
    let state = api.control.state();
    let is_one = |of: &str| which.area.as_ref().is_none_or(|area| area == of);
    let is_behind = |id: &str| which.after.as_ref().is_none_or(|after| id > after.as_str());
    let mut found = state.channels().filter(|channel| {
        is_behind(channel.id.as_str()) && is_one(&channel.area) && user.may_read(&channel.area)
    });
    let shaper = Shaper::new(&api);
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let last = page.last().map(|channel| channel.id.to_string());
    let next = last.filter(|_| found.next().is_some());
    let channels = page.into_iter().map(|channel| shaper.channel(channel)).collect();
    Ok(Json(Channels { channels, next }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Generate {
    /// As in `id:5a1f00`: one that a pipeline can make.
    area: String,
    #[serde(default, deserialize_with = "object")]
    token: Options,
}

impl Example for Generate {
    const EXAMPLE: &str = r#"{"area":"id:5a1f00","token":{"filter":"status = 5xx"}}"#;
}

/// Makes an area's channel and its first token, in one step. The token's secret is in this answer
/// and in no other.
#[utoipa::path(post, path = "/api/v1/channels", tag = "channels", request_body = Generate,
    params(("Idempotency-Key" = Option<String>, Header, description = "Asked again under the same id, nothing is made twice.")),
    responses((status = 201, body = Made)))]
pub(super) async fn generate(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Chosen(id): Chosen,
    Body(Generate { area, token }): Body<Generate>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    user.change(&area)?;
    api.areas.check(&area)?;
    let options = token.checked(&api.fields)?;
    let secret = new_secret()?;
    let command = Command::Generate { area, token: TokenSpec::of(&secret, options) };
    let applied = Asking { api: &api, user: &user, id }.apply(command).await?;
    made(&api, &applied, &secret)
}

/// A channel with its tokens.
#[utoipa::path(get, path = "/api/v1/channels/{channel}", tag = "channels",
    params(("channel" = String, Path)), responses((status = 200, body = ChannelShape)))]
pub(super) async fn show(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Ids(id): Ids<String>,
) -> Result<Json<ChannelShape>, Problem> {
    let state = api.control.state();
    let channel = state.channel(&id).filter(|channel| user.may_read(&channel.area));
    Ok(Json(Shaper::new(&api).channel(channel.ok_or_else(not_found)?)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    name: Option<String>,
    description: Option<String>,
    /// Disabling closes the channel's connections.
    enabled: Option<bool>,
}

impl Example for Edit {
    const EXAMPLE: &str = r#"{"name":"Orders","enabled":true}"#;
}

/// Changes what the body names, and leaves the rest.
#[utoipa::path(patch, path = "/api/v1/channels/{channel}", tag = "channels", request_body = Edit,
    params(("channel" = String, Path)), responses((status = 200, body = ChannelShape)))]
pub(super) async fn edit(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Ids(id): Ids<String>,
    Chosen(chosen): Chosen,
    Body(Edit { name, description, enabled }): Body<Edit>,
) -> Result<Json<ChannelShape>, Problem> {
    let channel = channel_to_change(&api, &user, &id)?;
    if name.is_some() || description.is_some() {
        let channel = channel.clone();
        let asking = Asking { api: &api, user: &user, id: chosen.clone() };
        asking.apply(Command::EditChannel { channel, name, description }).await?;
    }
    if let Some(enabled) = enabled {
        // A second command needs a second id, the same when it is asked for again.
        let id = chosen.and_then(|id| CommandId::try_from(format!("{id}-2")).ok());
        let asking = Asking { api: &api, user: &user, id };
        asking.apply(Command::SetChannelEnabled { channel, enabled }).await?;
    }
    show(State(api), Extension(user), Ids(id)).await
}

/// The channel of a change, if there is one that the user may change.
pub(super) fn channel_to_change(api: &Api, user: &User, id: &str) -> Result<ChannelId, Problem> {
    let state = api.control.state();
    match state.channel(id) {
        Some(channel) if user.may_read(&channel.area) => {
            user.change(&channel.area)?;
            Ok(channel.id.clone())
        }
        // This replica may lag behind the one that has made it; the fold tells.
        None if user.is_administrator_of_everything() => {
            ChannelId::try_from(id.to_owned()).map_err(|_not_an_id| not_found())
        }
        _ => Err(not_found()),
    }
}

/// Whether a secret in hand is the one of the token that was made.
pub(super) fn is_of(secret: &Token, api: &Api, channel: &str, token: &str) -> bool {
    let state = api.control.state();
    let entry = state.channel(channel).and_then(|channel| channel.token(token));
    entry.is_some_and(|entry| entry.digest == secret.digest())
}
