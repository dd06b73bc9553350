//! What goes wrong before a handler has its say, and the parts of a request that can.

use std::fmt::{self, Formatter};
use std::marker::PhantomData;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::ID_LENGTH_MAX;
use crate::stream::ids::CommandId;
use crate::stream::request::Problem;

mod told;

/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What is not there, or not for the eyes of the user.
pub(super) fn not_found() -> Problem {
    Problem::new(404, "not-found", "there is no such thing")
}

/// An answer that nobody may keep.
pub(super) fn json(body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, body).into_response()
}

/// A body of JSON.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

/// What is taken from a body.
pub(super) trait Example: DeserializeOwned {
    /// A good one, for whoever has sent another.
    const EXAMPLE: &str;
}

impl<S: Send + Sync, T: Example> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
        let Ok(read) = read else {
            return Err(Problem::new(408, "slow", "the body did not come in time"));
        };
        let bytes = read.map_err(|rejection| unread(&rejection))?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let read = object(&mut json).and_then(|body| json.end().map(|()| body));
        read.map(Self)
            .map_err(|error| Problem::new(400, "bad-request", told::body(&error, T::EXAMPLE)))
    }
}

/// Reads an object by the names of its members: serde would take a list of their values as well.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    struct Members<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = T;

        fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }

    from.deserialize_map(Members(PhantomData))
}

fn unread(rejection: &BytesRejection) -> Problem {
    match rejection.status().as_u16() {
        413 => Problem::new(413, "too-large", "the body is larger than 64 KiB"),
        _ => Problem::new(400, "bad-request", "the body could not be read"),
    }
}

/// Ids in the path. What is no text names nothing.
#[derive(Debug)]
pub(super) struct Ids<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Ids<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ids = Path::<T>::from_request_parts(parts, state).await;
        ids.map(|Path(ids)| Self(ids)).map_err(|_not_an_id| not_found())
    }
}

/// Parameters of the query.
#[derive(Debug)]
pub(super) struct Parameters<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        read.map(|Query(read)| Self(read)).map_err(|rejection| {
            Problem::new(400, "bad-parameter", told::query(&rejection.body_text()))
        })
    }
}

/// The id that the request has chosen, so that asking again applies nothing twice.
#[derive(Debug)]
pub(super) struct Chosen(pub(super) Option<CommandId>);

impl<S: Send + Sync> FromRequestParts<S> for Chosen {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim_matches('"');
        let id = CommandId::try_from(text.to_owned()).ok();
        match id.filter(|id| id.as_str().len() <= ID_LENGTH_MAX) {
            Some(id) => Ok(Self(Some(id))),
            None => {
                let detail = "`Idempotency-Key` is not 1 to 60 letters, digits, `-` or `_`";
                Err(Problem::new(400, "bad-id", detail))
            }
        }
    }
}
