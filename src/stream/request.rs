//! What a client asks for, taken from its request; and what it is told where that cannot be.

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::frames::Transport;
use super::query::Query;
use super::ws::{Opening, has_word};

/// Who was told that Kafka cannot be used may ask again after so many seconds.
const UNAVAILABLE_AGAIN_S: u64 = 2;

/// A problem document (RFC 9457), and the headers that go with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub status: u16,
    /// The last part of its type's address.
    pub kind: &'static str,
    pub detail: String,
    /// Seconds.
    pub retry_after: Option<u64>,
}

impl Problem {
    #[must_use]
    pub fn new(status: u16, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), retry_after: None }
    }

    /// Whoever holds no token that is good now is told the same.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "unauthorized", "an access token that is enabled is needed")
    }

    /// What channels and tokens there are cannot be told at the moment, or not be changed.
    #[must_use]
    pub fn control_unavailable(detail: impl Into<String>) -> Self {
        Self::unavailable("control-unavailable", detail)
    }

    /// Who listens, and whether there is room, cannot be told at the moment.
    #[must_use]
    pub fn presence_unavailable(detail: impl Into<String>) -> Self {
        Self::unavailable("presence-unavailable", detail)
    }

    /// The live topic cannot be read at the moment.
    #[must_use]
    pub fn live_unavailable(detail: impl Into<String>) -> Self {
        Self::unavailable("live-unavailable", detail)
    }

    fn unavailable(kind: &'static str, detail: impl Into<String>) -> Self {
        Self { retry_after: Some(UNAVAILABLE_AGAIN_S), ..Self::new(503, kind, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({
            "type": format!("urn:sluice:problem:{}", self.kind),
            "title": status.canonical_reason().unwrap_or_default(),
            "status": self.status,
            "detail": self.detail,
        });
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, kind, body.to_string()).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == 401 {
            let scheme = header::HeaderValue::from_static("Bearer realm=\"sluice\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if self.status == 426 {
            let websocket = header::HeaderValue::from_static("websocket");
            headers.insert(header::UPGRADE, websocket);
            let version = header::HeaderValue::from_static("13");
            headers.insert(header::SEC_WEBSOCKET_VERSION, version);
        }
        response
    }
}

/// What no route is for. The path is not said: a secret may stand in the wrong place.
pub(super) async fn no_such_path() -> Problem {
    Problem::new(404, "no-such-path", "there is no such path")
}

pub(super) async fn no_such_method(method: Method) -> Problem {
    Problem::new(405, "no-such-method", format!("the path does not take `{method}`"))
}

/// The subprotocol that we speak; a client that can set no header sends its token as another one,
/// `bearer.<token>`.
pub const SUBPROTOCOL: &str = "sluice.v1";
const BEARER_SUBPROTOCOL: &str = "bearer.";

/// The opening handshake's headers.
#[must_use]
pub fn opening(headers: &HeaderMap) -> Opening<'_> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // A list may come in several lines (RFC 9110, section 5.3), as a proxy writes it.
    let mut connection =
        headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    Opening {
        connection: connection.find(|line| has_word(line, "upgrade")),
        upgrade: text(header::UPGRADE),
        version: text(header::SEC_WEBSOCKET_VERSION),
        key: text(header::SEC_WEBSOCKET_KEY),
    }
}

/// How the client takes its events: by what it asks to upgrade to, or by what it accepts.
///
/// # Errors
/// It takes none of the three.
pub fn transport(headers: &HeaderMap) -> Result<Transport, Problem> {
    if opening(headers).is_asked_for() {
        return Ok(Transport::WebSocket);
    }
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for kind in accepted.flat_map(|list| list.split(',')) {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("text/event-stream") {
            return Ok(Transport::Sse);
        }
        if kind.eq_ignore_ascii_case("application/x-ndjson") {
            return Ok(Transport::Ndjson);
        }
    }
    let detail = "ask for a WebSocket, or accept `text/event-stream` or `application/x-ndjson`";
    Err(Problem::new(426, "no-transport", detail))
}

/// The access token: of the header `Authorization`, of a subprotocol, or of `?key=`.
#[must_use]
pub fn token<'a>(headers: &'a HeaderMap, query: &'a Query) -> Option<&'a str> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    bearer
        .or_else(|| offered(headers).find_map(|name| name.strip_prefix(BEARER_SUBPROTOCOL)))
        .or(query.key.as_deref())
        .filter(|token| !token.is_empty())
}

/// Whether the client offers our subprotocol.
#[must_use]
pub fn offers_subprotocol(headers: &HeaderMap) -> bool {
    offered(headers).any(|name| name == SUBPROTOCOL)
}

/// The subprotocols that the client offers, in one line or several.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    lines.filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn transports() {
        let check = |pairs: &[(header::HeaderName, &str)], expected: Option<Transport>| {
            assert_eq!(transport(&headers(pairs)).ok(), expected, "{pairs:?}");
        };
        check(&[], None);
        check(&[(header::ACCEPT, "*/*")], None);
        check(&[(header::ACCEPT, "text/event-stream")], Some(Transport::Sse));
        check(
            &[(header::ACCEPT, "text/html, Application/X-NDJSON;q=0.9")],
            Some(Transport::Ndjson),
        );
        let upgrade = [(header::CONNECTION, "Upgrade"), (header::UPGRADE, "websocket")];
        check(&upgrade, Some(Transport::WebSocket));
        let mut several = headers(&upgrade);
        several.insert(header::CONNECTION, "close".parse().unwrap());
        several.append(header::CONNECTION, "keep-alive, upgrade".parse().unwrap());
        assert_eq!(transport(&several).ok(), Some(Transport::WebSocket));
    }

    #[test]
    fn tokens() {
        let check = |pairs: &[(header::HeaderName, &str)], query: &str, expected: Option<&str>| {
            let query = Query::read(query).unwrap();
            assert_eq!(token(&headers(pairs), &query), expected, "{pairs:?}");
        };
        check(&[], "", None);
        check(&[], "key=k", Some("k"));
        check(&[], "key=", None);
        check(&[(header::AUTHORIZATION, "bearer  t")], "key=k", Some("t"));
        check(&[(header::AUTHORIZATION, "Basic dTpw")], "", None);
        let offered = [(header::SEC_WEBSOCKET_PROTOCOL, "sluice.v1, bearer.t")];
        check(&offered, "", Some("t"));
        assert!(offers_subprotocol(&headers(&offered)));
        let mut several = headers(&[(header::SEC_WEBSOCKET_PROTOCOL, "bearer.t")]);
        several.append(header::SEC_WEBSOCKET_PROTOCOL, "sluice.v1".parse().unwrap());
        assert_eq!(token(&several, &Query::default()), Some("t"));
        assert!(offers_subprotocol(&several));
    }
}
