//! Access tokens: made, listed, enabled and disabled.

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::clock::Millis;
use crate::stream::control::log::Applied;
use crate::stream::control::{Command, Token, TokenOptions, TokenSpec};
use crate::stream::filter::{Filter, FilterError, Known};
use crate::stream::ids::TokenId;
use crate::stream::project::{Projection, ProjectionError};
use crate::stream::request::Problem;

use super::access::User;
use super::channels::{channel_to_change, is_of};
use super::problem::{Body, Chosen, Example, Ids, not_found};
use super::shapes::{Json, Made, NewToken, Shaper, TokenShape, Tokens};
use super::{Api, Asking, no_random_bits};

/// What a new token may do beyond listening to its channel.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = TokenOptions)]
pub(super) struct Options {
    /// From this time on it counts as disabled, in milliseconds since the Unix epoch.
    #[serde(deserialize_with = "time")]
    expires: Option<Millis>,
    /// Connections at a time, within those of the channel.
    #[schema(minimum = 1)]
    connections_max: Option<u32>,
    /// Only events that match are delivered, whatever a listener asks for.
    filter: Option<String>,
    /// Only these fields are delivered.
    fields: Option<Vec<String>>,
}

impl Example for Options {
    const EXAMPLE: &str = r#"{"expires":1801353600000,"connections_max":2}"#;
}

/// A time, or `null` for none.
fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Millis>, D::Error> {
    struct Time;

    impl<'de> Visitor<'de> for Time {
        type Value = Option<Millis>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("milliseconds since 1970 as in `1801353600000`")
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
            Ok(Some(value))
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
            let out_of_range = |_| E::invalid_value(Unexpected::Unsigned(value), &self);
            i64::try_from(value).map(Some).map_err(out_of_range)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    from.deserialize_any(Time)
}

impl Options {
    /// What the control topic takes as it comes is compiled here.
    pub(super) fn checked(self, known: &Known) -> Result<TokenOptions, Problem> {
        let Self { expires, connections_max, filter, fields } = self;
        if let Some(text) = &filter {
            Filter::parse(text, known)
                .map_err(|error| Problem::new(400, "bad-filter", error.to_string()))?;
        }
        if let Some(fields) = &fields {
            // As it is read when somebody listens.
            Projection::new(fields.iter().map(String::as_str), known)
                .map_err(|error| Problem::new(400, "bad-field", told(&error)))?;
        }
        Ok(TokenOptions { expires, filter, fields, connections_max })
    }
}

fn told(error: &ProjectionError) -> String {
    match error {
        ProjectionError::Unknown(FilterError { message, hint: Some(hint), .. }) => {
            format!("{message} ({hint})")
        }
        ProjectionError::Unknown(FilterError { message, .. }) => message.clone(),
        ProjectionError::TooMany | ProjectionError::Empty => error.to_string(),
    }
}

/// The tokens of a channel.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/tokens", tag = "tokens",
    params(("channel" = String, Path)), responses((status = 200, body = Tokens)))]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Ids(id): Ids<String>,
) -> Result<Json<Tokens>, Problem> {
    let state = api.control.state();
    let channel = state.channel(&id).filter(|channel| user.may_read(&channel.area));
    Ok(Json(Shaper::new(&api).tokens(channel.ok_or_else(not_found)?)))
}

/// Makes a token, while fewer are enabled than may be. Its secret is in this answer and in no other.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/tokens", tag = "tokens",
    request_body = Options,
    params(("channel" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Asked again under the same id, nothing is made twice.")),
    responses((status = 201, body = Made)))]
pub(super) async fn create(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Ids(id): Ids<String>,
    Chosen(chosen): Chosen,
    Body(options): Body<Options>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    let channel = channel_to_change(&api, &user, &id)?;
    let options = options.checked(&api.fields)?;
    let secret = new_secret()?;
    let command = Command::NewToken { channel, token: TokenSpec::of(&secret, options) };
    let applied = Asking { api: &api, user: &user, id: chosen }.apply(command).await?;
    made(&api, &applied, &secret)
}

/// One token.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/tokens/{token}", tag = "tokens",
    params(("channel" = String, Path), ("token" = String, Path)),
    responses((status = 200, body = TokenShape)))]
pub(super) async fn show(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Ids((id, token)): Ids<(String, String)>,
) -> Result<Json<TokenShape>, Problem> {
    let state = api.control.state();
    let channel = state.channel(&id).filter(|channel| user.may_read(&channel.area));
    let channel = channel.ok_or_else(not_found)?;
    let token = channel.token(&token).ok_or_else(not_found)?;
    Ok(Json(Shaper::new(&api).token(channel, token)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenEdit)]
pub(super) struct Edit {
    enabled: bool,
}

impl Example for Edit {
    const EXAMPLE: &str = r#"{"enabled":false}"#;
}

/// Enables or disables a token; disabling closes its connections within a second, on every replica.
#[utoipa::path(patch, path = "/api/v1/channels/{channel}/tokens/{token}", tag = "tokens",
    request_body = Edit, params(("channel" = String, Path), ("token" = String, Path)),
    responses((status = 200, body = TokenShape)))]
pub(super) async fn edit(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Ids((id, token)): Ids<(String, String)>,
    Chosen(chosen): Chosen,
    Body(Edit { enabled }): Body<Edit>,
) -> Result<Json<TokenShape>, Problem> {
    let channel = channel_to_change(&api, &user, &id)?;
    let of = TokenId::try_from(token.clone()).map_err(|_not_an_id| not_found())?;
    let command = Command::SetTokenEnabled { channel, token: of, enabled };
    Asking { api: &api, user: &user, id: chosen }.apply(command).await?;
    show(State(api), Extension(user), Ids((id, token))).await
}

pub(super) fn new_secret() -> Result<Token, Problem> {
    Token::generate().map_err(|error| no_random_bits(&error))
}

/// The channel with its new token, whose secret is shown this once.
pub(super) fn made(
    api: &Api,
    applied: &Applied,
    secret: &Token,
) -> Result<(StatusCode, Json<Made>), Problem> {
    let state = api.control.state();
    let channel = applied.made.channel.as_ref().and_then(|id| state.channel(id.as_str()));
    let (channel, token) = channel.zip(applied.made.token.as_ref()).ok_or_else(not_found)?;
    let shaper = Shaper::new(api);
    let mut url = shaper.url(channel);
    // Where it was made when this was asked for before, the secret in hand opens nothing.
    let secret = is_of(secret, api, channel.id.as_str(), token.as_str()).then(|| secret.reveal());
    if let Some(secret) = secret.filter(|_| api.gate.takes_key_in_query()) {
        url.push_str("?key=");
        url.push_str(secret);
    }
    let token = NewToken { id: token.to_string(), secret: secret.map(str::to_owned), url };
    Ok((StatusCode::CREATED, Json(Made { channel: shaper.channel(channel), token })))
}
