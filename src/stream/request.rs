//! What a client asks for, taken from its request; and what it is told where that cannot be.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::frames::Transport;
use super::session::Slow;
use super::ws::Opening;

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

/// The subprotocol that we speak; a client that can set no header sends its token as another one,
/// `bearer.<token>`.
pub const SUBPROTOCOL: &str = "sluice.v1";
const BEARER_SUBPROTOCOL: &str = "bearer.";

/// Where the stream is to begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// With what comes next.
    #[default]
    Tip,
    /// With the oldest event held.
    Earliest,
    Cursor(String),
}

/// The query of a request, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    pub key: Option<String>,
    pub start: Start,
    pub batch: bool,
    pub slow: Slow,
}

impl Query {
    /// # Errors
    /// A parameter is not known, comes twice, or has no such value: nothing is guessed.
    pub fn read(query: &str) -> Result<Self, Problem> {
        let mut read = Self::default();
        let mut seen = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if seen.contains(&name) {
                return Err(bad(format!("`{name}` stands there twice")));
            }
            match (&*name, &*value) {
                ("key", key) => read.key = Some(key.to_owned()),
                ("cursor", text) => read.begin(Start::Cursor(text.to_owned()))?,
                ("earliest", "" | "1" | "true") => read.begin(Start::Earliest)?,
                ("batch", "1" | "true") => read.batch = true,
                ("batch", "" | "0" | "false") => read.batch = false,
                ("slow", "catchup") => read.slow = Slow::CatchUp,
                ("slow", "disconnect") => read.slow = Slow::Disconnect,
                ("slow", _) => return Err(bad("`slow` is `catchup` or `disconnect`")),
                ("batch", _) => return Err(bad("`batch` is `1` or `0`")),
                ("earliest", _) => return Err(bad("`earliest` has no value")),
                // Values may be secrets in the wrong place: only the name is said.
                _ => return Err(bad(format!("there is no parameter `{name}`"))),
            }
            seen.push(name);
        }
        Ok(read)
    }

    fn begin(&mut self, start: Start) -> Result<(), Problem> {
        if self.start != Start::Tip {
            return Err(bad("one of `cursor` and `earliest`, not both"));
        }
        self.start = start;
        Ok(())
    }
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(400, "bad-parameter", detail)
}

/// The opening handshake's headers.
#[must_use]
pub fn opening(headers: &HeaderMap) -> Opening<'_> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    Opening {
        connection: text(header::CONNECTION),
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
    let offered = text(header::SEC_WEBSOCKET_PROTOCOL).unwrap_or_default();
    let mut offered = offered.split(',').map(str::trim);
    bearer
        .or_else(|| offered.find_map(|name| name.strip_prefix(BEARER_SUBPROTOCOL)))
        .or(query.key.as_deref())
        .filter(|token| !token.is_empty())
}

/// Whether the client offers our subprotocol.
#[must_use]
pub fn offers_subprotocol(headers: &HeaderMap) -> bool {
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    offered.unwrap_or_default().split(',').any(|name| name.trim() == SUBPROTOCOL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn queries() {
        let check = |query: &str, expected: Result<Query, &str>| {
            assert_eq!(
                Query::read(query).map_err(|problem| problem.detail),
                expected.map_err(str::to_owned),
                "{query}"
            );
        };
        check("", Ok(Query::default()));
        let cursor = Start::Cursor("a b".to_owned());
        check("cursor=a%20b&batch=1", Ok(Query { start: cursor, batch: true, ..Query::default() }));
        check("earliest", Ok(Query { start: Start::Earliest, ..Query::default() }));
        check(
            "key=k&slow=disconnect",
            Ok(Query { key: Some("k".into()), slow: Slow::Disconnect, ..Query::default() }),
        );
        check("slow=drop", Err("`slow` is `catchup` or `disconnect`"));
        check("batch=many", Err("`batch` is `1` or `0`"));
        check("batch=1&batch=1", Err("`batch` stands there twice"));
        check("cursor=a&earliest", Err("one of `cursor` and `earliest`, not both"));
        check("kursor=secret", Err("there is no parameter `kursor`"));
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
    }
}
