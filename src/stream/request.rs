//! What a client asks for, taken from its request; and what it is told where that cannot be.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::clock::Millis;
use crate::prepare::time::Moment;

use super::frames::Transport;
use super::session::Slow;
use super::shape::Format;
use super::ws::{Opening, has_word};

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

/// A longer name of a parameter is no slip of the pen.
const NAME_BYTES_MAX: usize = 24;

/// Where the stream is to begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// With what comes next.
    #[default]
    Tip,
    /// With the oldest event held.
    Earliest,
    /// With the first record at or after this time.
    Since(Millis),
    Cursor(String),
}

/// What a client asks for: in its query, or in its first message under the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub key: Option<String>,
    pub start: Start,
    pub filter: Option<String>,
    pub fields: Option<Vec<String>>,
    /// About one event of so many.
    pub one_in: u32,
    pub format: Format,
    pub batch: bool,
    pub slow: Slow,
    pub zstd: bool,
    /// The rest comes in the first message.
    pub hello: bool,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            key: None,
            start: Start::Tip,
            filter: None,
            fields: None,
            one_in: 1,
            format: Format::Native,
            batch: false,
            slow: Slow::CatchUp,
            zstd: false,
            hello: false,
        }
    }
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
            match &*name {
                "key" => read.key = Some(value.into_owned()),
                "hello" => read.hello = truth("hello", &value)?,
                name => read.set(name, &value)?,
            }
            seen.push(name);
        }
        Ok(read)
    }

    /// Takes the first message: a JSON object of the same names. Lists may be arrays.
    ///
    /// # Errors
    /// It is none, or one of its members is as [`Self::read`] refuses it.
    pub fn hear(mut self, message: &str) -> Result<Self, Problem> {
        let message: serde_json::Map<String, Value> = serde_json::from_str(message)
            .map_err(|_no_object| bad("the first message is to be a JSON object"))?;
        for (name, value) in message {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(true) => "1".to_owned(),
                Value::Bool(false) => "0".to_owned(),
                Value::Array(list) => {
                    let names: Option<Vec<_>> = list.iter().map(Value::as_str).collect();
                    names.ok_or_else(|| bad(format!("`{name}` is no list of texts")))?.join(",")
                }
                Value::Null => continue,
                Value::Object(_) => return Err(bad(format!("`{name}` is no object"))),
            };
            self.set(&name, &text)?;
        }
        Ok(self)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match (name, value) {
            ("cursor", text) => self.begin(Start::Cursor(text.to_owned()))?,
            ("earliest", "" | "1" | "true") => self.begin(Start::Earliest)?,
            ("earliest", "0" | "false") => {}
            ("earliest", _) => return Err(bad("`earliest` has no value")),
            ("since", time) => self.begin(Start::Since(moment(time)?))?,
            ("filter", text) => self.filter = Some(text.to_owned()),
            ("fields", list) => {
                let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
                self.fields = Some(names.map(str::to_owned).collect());
            }
            ("sample", number) => {
                let one_in = number.parse().ok().filter(|one_in| *one_in > 0);
                self.one_in = one_in.ok_or_else(|| {
                    bad("`sample` is a whole number from 1: about one event of so many is sent")
                })?;
            }
            ("format", "native") => self.format = Format::Native,
            ("format", "ecls") => self.format = Format::Ecls,
            ("format", _) => return Err(bad("`format` is `native` or `ecls`")),
            ("batch", value) => self.batch = truth("batch", value)?,
            ("slow", "catchup") => self.slow = Slow::CatchUp,
            ("slow", "disconnect") => self.slow = Slow::Disconnect,
            ("slow", _) => return Err(bad("`slow` is `catchup` or `disconnect`")),
            ("compression", "zstd") => self.zstd = true,
            ("compression", "none") => self.zstd = false,
            ("compression", _) => return Err(bad("`compression` is `zstd` or `none`")),
            // A secret may stand in the wrong place: no value is said, nor a name like no other.
            _ if name.len() > NAME_BYTES_MAX => return Err(bad("there is no such parameter")),
            _ => return Err(bad(format!("there is no parameter `{name}`"))),
        }
        Ok(())
    }

    fn begin(&mut self, start: Start) -> Result<(), Problem> {
        if self.start != Start::Tip {
            return Err(bad("one of `cursor`, `since` and `earliest`, not several"));
        }
        self.start = start;
        Ok(())
    }
}

fn truth(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "1" | "true" => Ok(true),
        "" | "0" | "false" => Ok(false),
        _ => Err(bad(format!("`{name}` is `1` or `0`"))),
    }
}

/// A time as RFC 3339 has it, or as milliseconds since 1970.
fn moment(text: &str) -> Result<Millis, Problem> {
    let of_text = || Moment::of_text(text).map(|moment| moment.millis);
    text.parse().ok().or_else(of_text).filter(|millis| *millis >= 0).ok_or_else(|| {
        bad("`since` is a time as in `2026-01-15T10:00:00Z`, or milliseconds since 1970")
    })
}

/// A request that asks for what cannot be.
pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(400, "bad-parameter", detail)
}

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
        check("cursor=a&earliest", Err("one of `cursor`, `since` and `earliest`, not several"));
        check("kursor=secret", Err("there is no parameter `kursor`"));
        check("n0LXb1bU3bG8yqJmWm2mUQm0yQ2m=1", Err("there is no such parameter"));
        check(
            "since=1767225600000",
            Ok(Query { start: Start::Since(1_767_225_600_000), ..Query::default() }),
        );
        check(
            "since=2026-01-01T01:00:00%2B01:00",
            Ok(Query { start: Start::Since(1_767_225_600_000), ..Query::default() }),
        );
        check(
            "since=yesterday",
            Err("`since` is a time as in `2026-01-15T10:00:00Z`, or milliseconds since 1970"),
        );
        check(
            "filter=a%3D1&fields=a,%20b.c,&sample=10&format=ecls&compression=zstd&hello=1",
            Ok(Query {
                filter: Some("a=1".into()),
                fields: Some(vec!["a".into(), "b.c".into()]),
                one_in: 10,
                format: Format::Ecls,
                zstd: true,
                hello: true,
                ..Query::default()
            }),
        );
        check(
            "sample=0",
            Err("`sample` is a whole number from 1: about one event of so many is sent"),
        );
        check("format=xml", Err("`format` is `native` or `ecls`"));
        check("compression=gzip", Err("`compression` is `zstd` or `none`"));
    }

    #[test]
    fn first_messages() {
        let check = |message: &str, expected: Result<Query, &str>| {
            assert_eq!(
                Query::default().hear(message).map_err(|problem| problem.detail),
                expected.map_err(str::to_owned),
                "{message}"
            );
        };
        check("{}", Ok(Query::default()));
        check(
            r#"{"filter":"a=1","fields":["a","b.c"],"sample":3,"batch":true,"earliest":true,"slow":null}"#,
            Ok(Query {
                filter: Some("a=1".into()),
                fields: Some(vec!["a".into(), "b.c".into()]),
                one_in: 3,
                batch: true,
                start: Start::Earliest,
                ..Query::default()
            }),
        );
        check("[]", Err("the first message is to be a JSON object"));
        check(r#"{"fields":[1]}"#, Err("`fields` is no list of texts"));
        check(r#"{"filter":{}}"#, Err("`filter` is no object"));
        check(r#"{"key":"secret"}"#, Err("there is no parameter `key`"));
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
