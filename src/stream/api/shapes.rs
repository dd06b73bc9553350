//! What the answers look like. Times are milliseconds since the Unix epoch.

use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Millis;
use crate::stream::control::{Channel, TokenEntry};

use super::{Api, problem};

/// An answer in JSON.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        // Of texts and numbers, which can always be written.
        problem::json(serde_json::to_string(&self.0).unwrap_or_default())
    }
}

/// A page of channels.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Channels {
    pub(super) channels: Vec<ChannelShape>,
    /// `after` of the next page, where there is one.
    pub(super) next: Option<String>,
}

/// The one channel of an area.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Channel)]
pub(super) struct ChannelShape {
    id: String,
    area: String,
    name: String,
    description: String,
    enabled: bool,
    created: Millis,
    /// When anything of it changed that is not one of its tokens.
    updated: Millis,
    /// Of the stream, without a key.
    url: String,
    /// Live connections to all replicas; `null` while that cannot be told.
    connections: Option<usize>,
    /// Whether a new token would be taken now: fewer are enabled than may be.
    may_have_new_token: bool,
    /// In the order in which they were made; they are never deleted.
    tokens: Vec<TokenShape>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tokens {
    pub(super) tokens: Vec<TokenShape>,
    /// Whether a new token would be taken now: fewer are enabled than may be.
    pub(super) may_have_new_token: bool,
}

/// What is known of an access token; its secret is not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenShape {
    id: String,
    /// Of its secret, to tell it from others by.
    last_four: String,
    /// Of the stream, without a key.
    url: String,
    /// Whether it opens the stream of its channel, if that is enabled: an expired one does not.
    enabled: bool,
    created: Millis,
    updated: Millis,
    /// When it last opened a stream, where that is known.
    last_used: Option<Millis>,
    /// From this time on it counts as disabled.
    expires: Option<Millis>,
    /// Connections at a time, within those of the channel.
    connections_max: Option<u32>,
    /// Only events that match are delivered.
    filter: Option<String>,
    /// Only these fields are delivered.
    fields: Option<Vec<String>>,
}

/// A channel with the token that was made for it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Made {
    pub(super) channel: ChannelShape,
    pub(super) token: NewToken,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewToken {
    pub(super) id: String,
    /// Shown this once. `null`: it was made when this was asked for before, and shown only then.
    pub(super) secret: Option<String>,
    /// Of the stream; with the secret as `?key=` where that is taken.
    pub(super) url: String,
}

/// The channels' shapes at one moment.
#[derive(Debug)]
pub(super) struct Shaper<'a> {
    api: &'a Api,
    now: Millis,
}

impl<'a> Shaper<'a> {
    pub(super) fn new(api: &'a Api) -> Self {
        Self { api, now: api.clock.now() }
    }

    pub(super) fn channel(&self, channel: &Channel) -> ChannelShape {
        ChannelShape {
            id: channel.id.to_string(),
            area: channel.area.clone(),
            name: channel.name.clone(),
            description: channel.description.clone(),
            enabled: channel.is_enabled,
            created: channel.created,
            updated: channel.updated,
            url: self.url(channel),
            connections: self.api.presence.count(channel.id.as_str()),
            may_have_new_token: self.may_have_new_token(channel),
            tokens: channel.tokens.iter().map(|token| self.token(channel, token)).collect(),
        }
    }

    pub(super) fn tokens(&self, channel: &Channel) -> Tokens {
        Tokens {
            tokens: channel.tokens.iter().map(|token| self.token(channel, token)).collect(),
            may_have_new_token: self.may_have_new_token(channel),
        }
    }

    pub(super) fn token(&self, channel: &Channel, token: &TokenEntry) -> TokenShape {
        let options = token.options.clone();
        TokenShape {
            id: token.id.to_string(),
            last_four: token.last_four.clone(),
            url: self.url(channel),
            enabled: token.is_enabled_at(self.now),
            created: token.created,
            updated: token.updated,
            last_used: self.api.presence.last_used(token.id.as_str()),
            expires: options.expires,
            connections_max: options.connections_max,
            filter: options.filter,
            fields: options.fields,
        }
    }

    /// The stream's URL.
    pub(super) fn url(&self, channel: &Channel) -> String {
        format!("{}/v1/streams/{}", self.api.public_url, channel.id)
    }

    fn may_have_new_token(&self, channel: &Channel) -> bool {
        let allowed = self.api.limits.token_overlap_max.max(1) as usize;
        channel.enabled_at(self.now) < allowed
    }
}
