//! The administrators' HTTP API: channels, tokens, connections.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::{Clock, Millis};

use super::control::log::Applied;
use super::control::{
    Channel, Command, Control, ControlError, Digest, Limits, Refusal, Token, TokenEntry,
    TokenOptions, TokenSpec,
};
use super::ids::{Actor, ChannelId, TokenId};
use super::presence::Presence;
use super::request::Problem;

mod connections;

/// A request's body: names and descriptions.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Whoever holds the administrators' token.
const ADMINISTRATOR: &str = "administrator";

/// What the API works on.
#[derive(Debug, Clone)]
pub struct Api {
    pub control: Control,
    pub presence: Presence,
    pub clock: Clock,
    pub limits: Limits,
    /// Of the administrators' token.
    pub admin: Digest,
    /// What stands before `/v1/streams/…` in the URLs that are shown.
    pub public_url: Arc<str>,
}

/// Every route, behind the administrators' token.
pub fn routes(api: Api) -> Router {
    Router::new()
        .route("/api/v1/channels", get(channels).post(generate))
        .route("/api/v1/channels/{channel}", get(channel).patch(edit))
        .route("/api/v1/channels/{channel}/tokens", post(new_token))
        .route("/api/v1/channels/{channel}/tokens/{token}", patch(toggle))
        .route("/api/v1/channels/{channel}/audit", get(audit))
        .route("/api/v1/connections", get(connections::list))
        .route("/api/v1/connections/{connection}", delete(connections::disconnect))
        .layer(middleware::from_fn_with_state(api.clone(), authorized))
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}

async fn authorized(State(api): State<Api>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if Digest::of(token.trim()) == api.admin {
        return next.run(request).await;
    }
    Problem::new(401, "unauthorized", "the administrators' token is needed").into_response()
}

async fn channels(State(api): State<Api>) -> Response {
    let state = api.control.state();
    let all: Vec<_> = state.channels().map(|channel| api.show(channel)).collect();
    answer(&json!({ "channels": all }))
}

async fn channel(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    Ok(answer(&api.show(api.control.state().channel(&id).ok_or_else(not_found)?)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Generate {
    area: String,
    #[serde(default)]
    token: Options,
}

/// T7.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Milliseconds since the Unix epoch.
    expires: Option<Millis>,
    connections_max: Option<u32>,
}

impl From<Options> for TokenOptions {
    fn from(asked: Options) -> Self {
        let Options { expires, connections_max } = asked;
        Self { expires, connections_max, filter: None, fields: None }
    }
}

async fn generate(State(api): State<Api>, body: Bytes) -> Result<Response, Problem> {
    let Generate { area, token: options } = read(&body)?;
    let token = new_secret()?;
    let spec = TokenSpec::of(&token, options.into());
    let applied = api.apply(Command::Generate { area, token: spec }).await?;
    api.made(&applied, &token)
}

async fn new_token(
    State(api): State<Api>,
    Path(channel): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let options: Options = read(&body)?;
    let token = new_secret()?;
    let spec = TokenSpec::of(&token, options.into());
    let command = Command::NewToken { channel: channel_id(channel)?, token: spec };
    let applied = api.apply(command).await?;
    api.made(&applied, &token)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    name: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
}

async fn edit(
    State(api): State<Api>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Edit { name, description, enabled } = read(&body)?;
    let channel = channel_id(id.clone())?;
    if name.is_some() || description.is_some() {
        let channel = channel.clone();
        api.apply(Command::EditChannel { channel, name, description }).await?;
    }
    if let Some(enabled) = enabled {
        api.apply(Command::SetChannelEnabled { channel, enabled }).await?;
    }
    self::channel(State(api), Path(id)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Toggle {
    enabled: bool,
}

async fn toggle(
    State(api): State<Api>,
    Path((id, token)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let Toggle { enabled } = read(&body)?;
    let token = TokenId::try_from(token).map_err(|_not_an_id| not_found())?;
    let channel = channel_id(id.clone())?;
    api.apply(Command::SetTokenEnabled { channel, token, enabled }).await?;
    self::channel(State(api), Path(id)).await
}

async fn audit(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let state = api.control.state();
    let channel = state.channel(&id).ok_or_else(not_found)?;
    let entries: Vec<_> = channel
        .audit()
        .rev()
        .map(|entry| {
            json!({
                "at": entry.at,
                "id": entry.id.as_str(),
                "actor": entry.actor.as_str(),
                "refused": entry.result.as_ref().err().map(Refusal::label),
            })
        })
        .collect();
    Ok(answer(&json!({ "audit": entries })))
}

impl Api {
    async fn apply(&self, command: Command) -> Result<Applied, Problem> {
        let applied = self.control.apply(administrator()?, command, self.limits).await;
        applied.map_err(|error| match error {
            ControlError::Refused(refusal) => {
                let status = match refusal {
                    Refusal::NoSuchChannel | Refusal::NoSuchToken => 404,
                    Refusal::Malformed(_) | Refusal::ExpiryPast => 400,
                    _ => 409,
                };
                Problem::new(status, refusal.label(), refusal.to_string())
            }
            ControlError::Unavailable { .. } | ControlError::Random(_) => {
                let detail = error.to_string();
                Problem { retry_after: Some(2), ..Problem::new(503, "control-unavailable", detail) }
            }
        })
    }

    /// The channel with its new token, whose secret is shown this once.
    fn made(&self, applied: &Applied, token: &Token) -> Result<Response, Problem> {
        let state = self.control.state();
        let channel = state.channel(applied.made.channel.as_str()).ok_or_else(not_found)?;
        let secret = token.reveal();
        let body = json!({
            "channel": self.show(channel),
            "token": {
                "id": applied.made.token.as_ref().map(TokenId::as_str),
                "secret": secret,
                "url": format!("{}?key={secret}", self.url(channel)),
            },
        });
        Ok((StatusCode::CREATED, answer(&body)).into_response())
    }

    fn url(&self, channel: &Channel) -> String {
        format!("{}/v1/streams/{}", self.public_url, channel.id)
    }

    fn show(&self, channel: &Channel) -> Value {
        let now = self.clock.now();
        let tokens: Vec<_> =
            channel.tokens.iter().map(|token| self.show_token(channel, token, now)).collect();
        json!({
            "id": channel.id.as_str(),
            "area": channel.area,
            "name": channel.name,
            "description": channel.description,
            "enabled": channel.is_enabled,
            "created": channel.created,
            "updated": channel.updated,
            "url": self.url(channel),
            // `null` while it cannot be told.
            "connections": self.presence.count(channel.id.as_str()),
            "may_have_new_token": channel.enabled_at(now) < self.limits.token_overlap_max as usize,
            "tokens": tokens,
        })
    }

    fn show_token(&self, channel: &Channel, token: &TokenEntry, now: Millis) -> Value {
        json!({
            "id": token.id.as_str(),
            "last_four": token.last_four,
            "url": self.url(channel),
            "enabled": token.is_enabled_at(now),
            "created": token.created,
            "updated": token.updated,
            "last_used": self.presence.last_used(token.id.as_str()),
            "expires": token.options.expires,
            "connections_max": token.options.connections_max,
        })
    }
}

fn administrator() -> Result<Actor, Problem> {
    Actor::try_from(ADMINISTRATOR.to_owned())
        .map_err(|error| Problem::new(500, "internal", error.to_string()))
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(400, "bad-request", format!("the body: {error}")))
}

fn answer(body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (kind, body.to_string()).into_response()
}

fn new_secret() -> Result<Token, Problem> {
    Token::generate().map_err(|error| Problem::new(503, "no-random-bits", error.to_string()))
}

fn channel_id(text: String) -> Result<ChannelId, Problem> {
    ChannelId::try_from(text).map_err(|_not_an_id| not_found())
}

fn not_found() -> Problem {
    Problem::new(404, "not-found", "there is no such thing")
}
