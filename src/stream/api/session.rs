//! Sessions of browsers: a cookie in the place of the administrators' token.
//!
//! The cookie is `<end>.<secret>.<mac>`. The secret is made from the token and does not tell it; the
//! control topic has a digest of it. The MAC, with the cursors' key, is what makes the end one.
//! So every replica can check it, whoever reads the control topic alone can make none, and with a
//! new token every session is over.

use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;

use crate::clock::Millis;
use crate::stream::control::{AdminToken, Digest, keyed, session_secret};
use crate::stream::request::Problem;
use crate::stream::server::Peer;

use super::Api;
use super::access::{User, Via, bearer};
use super::shapes::Json;

const COOKIE: &str = "sluice_session";

/// Makes and opens cookies.
pub struct Sessions {
    key: Vec<u8>,
    lasts: Duration,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("lasts", &self.lasts).finish_non_exhaustive()
    }
}

impl Sessions {
    /// `key` is that of the cursors.
    #[must_use]
    pub fn new(key: &[u8], lasts: Duration) -> Self {
        Self { key: key.to_vec(), lasts }
    }

    /// A session of whoever holds the token: its cookie's value, and its end.
    fn begin(&self, token: &str, now: Millis) -> (String, Millis) {
        let lasts = Millis::try_from(self.lasts.as_millis()).unwrap_or(Millis::MAX);
        let until = now.saturating_add(lasts);
        let secret = session_secret(token);
        let mac = self.mac(&until.to_string(), &secret);
        (format!("{until}.{secret}.{mac}"), until)
    }

    /// The end of a session that was begun with this token, also where it is in the past.
    pub(super) fn open(&self, cookie: &str, admin: Option<&AdminToken>) -> Option<Millis> {
        let mut parts = cookie.splitn(3, '.');
        let (until, secret, mac) = (parts.next()?, parts.next()?, parts.next()?);
        let is_ours: bool = self.mac(until, secret).as_bytes().ct_eq(mac.as_bytes()).into();
        if !is_ours || admin?.session != Digest::of(secret) {
            return None;
        }
        until.parse().ok()
    }

    fn mac(&self, until: &str, secret: &str) -> String {
        let parts = [b"sluice session.", until.as_bytes(), b".", secret.as_bytes()];
        URL_SAFE_NO_PAD.encode(keyed(&self.key, &parts))
    }
}

/// The session that a request presents.
pub(super) fn of(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE && !value.is_empty()).then_some(value)
    })
}

/// Takes the cookie away.
pub(super) fn no_cookie() -> HeaderValue {
    HeaderValue::from_static("sluice_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// Who asks, and what that user may do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Session {
    /// As it stands in the audit trail.
    user: String,
    /// `token`, `session` or `proxy`.
    via: &'static str,
    /// When the session ends, in milliseconds since the Unix epoch.
    expires: Option<Millis>,
    /// Whether the user is an administrator of everything.
    administrator: bool,
    /// Areas that the user may read and change.
    administers: Vec<String>,
    /// Areas that the user may read.
    reads: Vec<String>,
}

impl Session {
    fn of(user: &User, expires: Option<Millis>) -> Self {
        Self {
            user: user.actor.to_string(),
            via: match user.via {
                Via::Token => "token",
                Via::Session(_) => "session",
                Via::Proxy => "proxy",
            },
            expires,
            administrator: user.rights.is_of_everything,
            administers: user.rights.administers.iter().cloned().collect(),
            reads: user.rights.reads.iter().cloned().collect(),
        }
    }
}

/// Who asks, and what that user may do.
#[utoipa::path(get, path = "/api/v1/session", tag = "session",
    responses((status = 200, body = Session)))]
pub(super) async fn show(Extension(user): Extension<User>) -> Json<Session> {
    let expires = match user.via {
        Via::Session(until) => Some(until),
        Via::Token | Via::Proxy => None,
    };
    Json(Session::of(&user, expires))
}

/// Begins a browser's session, for whoever sends the administrators' token as `Authorization:
/// Bearer`: a cookie stands in its place until the session ends.
#[utoipa::path(post, path = "/api/v1/session", tag = "session",
    responses((status = 200, body = Session)))]
pub(super) async fn begin(
    State(api): State<Api>,
    Extension(Peer { address: peer, .. }): Extension<Peer>,
    Extension(user): Extension<User>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let token = bearer(&headers).filter(|_| user.via == Via::Token).ok_or_else(|| {
        Problem::new(403, "token-needed", "a session begins with the administrators' token")
    })?;
    let (value, until) = api.access.sessions.begin(token, api.clock.now());
    let is_tls = match &api.access.origin {
        Some(origin) => origin.starts_with("https:"),
        None => {
            let scheme = headers.get("x-forwarded-proto").filter(|_| api.gate.is_proxy(peer.ip()));
            scheme.is_some_and(|scheme| scheme == "https")
        }
    };
    let seconds = api.access.sessions.lasts.as_secs();
    let secure = if is_tls { "; Secure" } else { "" };
    let cookie =
        format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let session = Session::of(&user, Some(until));
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Json(session)).into_response())
}

/// Ends the browser's session: the cookie is taken away. One that was copied is good until its end,
/// or until there is a new administrators' token.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 204)))]
pub(super) async fn end() -> Response {
    (StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, no_cookie())])).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_opens_where_key_and_token_are_the_same_and_nothing_else_does() {
        let sessions = |key: &[u8]| Sessions::new(key, Duration::from_secs(60));
        let (key, admin) = (b"a key of sixteen bytes".as_slice(), AdminToken::of("token"));
        let (cookie, until) = sessions(key).begin("token", 1_000);
        assert_eq!(until, 61_000);
        let check = |cookie: &str, key: &[u8], admin: Option<&AdminToken>, is_good: bool| {
            let opened = sessions(key).open(cookie, admin);
            assert_eq!(opened, is_good.then_some(until), "{cookie}");
        };
        check(&cookie, key, Some(&admin), true);
        check(&cookie, b"another key", Some(&admin), false);
        check(&cookie, key, Some(&AdminToken::of("new")), false);
        check(&cookie, key, None, false);
        check(&cookie.replacen("61000", "91000", 1), key, Some(&admin), false);
        for wrong in ["", ".", "..", "61000", "token", "61000.token.mac"] {
            check(wrong, key, Some(&admin), false);
        }
        assert!(!cookie.contains("token"));
        // What stands in the control topic, with the key, makes no session.
        let digest = String::from(admin.session);
        let forged = format!("61000.{digest}.{}", sessions(key).mac("61000", &digest));
        check(&forged, key, Some(&admin), false);
    }

    #[test]
    fn cookies() {
        let check = |lines: &[&str], expected: Option<&str>| {
            let pairs = lines.iter().map(|line| (header::COOKIE, line.parse().unwrap()));
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name, value);
            }
            assert_eq!(of(&headers), expected, "{lines:?}");
        };
        check(&[], None);
        check(&["a=b; sluice_session=v; c=d"], Some("v"));
        check(&["a=b", "sluice_session=v"], Some("v"));
        check(&["sluice_session="], None);
        check(&["xsluice_session=v"], None);
    }
}
