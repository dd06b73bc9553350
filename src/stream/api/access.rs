//! Who asks, and what that user may do.
//!
//! A user is named by a proxy of ours, or holds the administrators' token, or holds a session that
//! was begun with it ([`super::session`]); in this order, since a proxy may pass foreign
//! credentials on. A header that names a user counts only when it comes from a listed proxy.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

use crate::clock::Millis;
use crate::config::settings::{ProxySettings, Role, RoleSettings};
use crate::stream::control::{AdminToken, Digest};
use crate::stream::ids::Actor;
use crate::stream::request::Problem;
use crate::stream::server::Peer;

use super::{Api, not_made, session};

/// How long a change waits for the newest state, and whatever is asked before the first.
const FRESH_MAX: Duration = Duration::from_secs(2);

/// Who may ask, as it is configured.
#[derive(Debug)]
pub struct Access {
    /// `None`: the one that the control topic knows of.
    token: Option<AdminToken>,
    pub(super) sessions: session::Sessions,
    /// Scheme, host and port that browsers reach the API by, where that is configured.
    pub(super) origin: Option<String>,
    user_header: HeaderName,
    groups_header: HeaderName,
    roles: Vec<RoleSettings>,
}

impl Access {
    /// `token` is the configured one. `origin` is as in `https://sluice.example.com`.
    #[must_use]
    pub fn new(
        token: Option<&str>,
        sessions: session::Sessions,
        origin: Option<String>,
        (proxy, roles): (&ProxySettings, &[RoleSettings]),
    ) -> Self {
        Self {
            token: token.map(AdminToken::of),
            sessions,
            origin,
            user_header: proxy.user_header.clone(),
            groups_header: proxy.groups_header.clone(),
            roles: roles.to_vec(),
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) actor: Actor,
    pub(super) via: Via,
    pub(super) rights: Arc<Rights>,
}

/// How it is known who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    Token,
    /// Until this time.
    Session(Millis),
    Proxy,
}

/// What a user may do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) is_of_everything: bool,
    /// May be read and changed.
    pub(super) administers: BTreeSet<String>,
    /// May be read.
    pub(super) reads: BTreeSet<String>,
}

impl Rights {
    fn of_everything() -> Self {
        Self { is_of_everything: true, ..Self::default() }
    }

    /// The sum of what the groups may do; `None` where that is nothing.
    fn of_groups<'a>(
        roles: &[RoleSettings],
        groups: impl IntoIterator<Item = &'a str>,
    ) -> Option<Self> {
        let groups: BTreeSet<_> = groups.into_iter().collect();
        let mut rights = Self::default();
        for of_group in roles.iter().filter(|of| groups.contains(of.group.as_str())) {
            match &of_group.role {
                Role::Administrator => rights.is_of_everything = true,
                Role::AreaAdministrator(areas) => rights.administers.extend(areas.iter().cloned()),
                Role::AreaReader(areas) => rights.reads.extend(areas.iter().cloned()),
            }
        }
        (rights != Self::default()).then_some(rights)
    }
}

impl User {
    pub(super) fn is_administrator_of_everything(&self) -> bool {
        self.rights.is_of_everything
    }

    pub(super) fn may_read(&self, area: &str) -> bool {
        self.may_change(area) || self.rights.reads.contains(area)
    }

    fn may_change(&self, area: &str) -> bool {
        self.rights.is_of_everything || self.rights.administers.contains(area)
    }

    /// # Errors
    /// The user may not change what is of this area.
    pub(super) fn change(&self, area: &str) -> Result<(), Problem> {
        if self.may_change(area) {
            return Ok(());
        }
        Err(Problem::new(403, "forbidden", format!("you may not change what is of `{area}`")))
    }
}

/// Why there is no user.
enum Unknown {
    /// Nothing was presented, or what was once good.
    Nobody(&'static str),
    /// What was presented never was good: that counts as a failure.
    Wrong,
    /// Something else.
    Problem(Problem),
}

/// Lets a request on with its [`User`], if it has one.
pub(super) async fn authorized(
    State(api): State<Api>,
    Extension(Peer { address: peer, .. }): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = api.gate.client(peer, request.headers());
    if let Err(problem) = api.gate.check(client) {
        return problem.into_response();
    }
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    let admin = match admin_token(&api, is_change).await {
        Ok(admin) => admin,
        Err(problem) => return problem.into_response(),
    };
    let user = known(&api, peer, request.headers(), admin.as_ref()).and_then(|user| {
        let checked = is_change.then(|| same_origin(&api, peer, request.headers(), user.via));
        checked.unwrap_or(Ok(())).map_err(Unknown::Problem)?;
        Ok(user)
    });
    let problem = match user {
        Ok(user) => {
            request.extensions_mut().insert(user);
            return next.run(request).await;
        }
        Err(Unknown::Problem(problem)) => return problem.into_response(),
        Err(Unknown::Nobody(detail)) => Problem::new(401, "unauthorized", detail),
        Err(Unknown::Wrong) => {
            let problem = Problem::new(401, "unauthorized", "the administrators' token is wrong");
            api.gate.note(client, &problem);
            problem
        }
    };
    let has_session = session::of(request.headers()).is_some();
    let mut response = problem.into_response();
    if has_session {
        response.headers_mut().insert(header::SET_COOKIE, session::no_cookie());
    }
    response
}

/// The token that is good now. A change waits for the newest state: a replica that lags must not
/// take a token that was replaced. Nobody is answered, and no token is wrong, before there is a
/// state at all.
async fn admin_token(api: &Api, is_change: bool) -> Result<Option<AdminToken>, Problem> {
    let configured = api.access.token;
    let state = match is_change && configured.is_none() {
        true => api.control.fresh(FRESH_MAX).await,
        false => api.control.known(FRESH_MAX).await,
    };
    let state = state.map_err(|unavailable| {
        if is_change {
            not_made(&unavailable.0);
        }
        Problem::control_unavailable(unavailable.to_string())
    })?;
    Ok(configured.or_else(|| state.admin_token().copied()))
}

fn known(
    api: &Api,
    peer: SocketAddr,
    headers: &HeaderMap,
    admin: Option<&AdminToken>,
) -> Result<User, Unknown> {
    if api.gate.is_proxy(peer.ip()) && headers.contains_key(&api.access.user_header) {
        return named(&api.access, headers).map_err(Unknown::Problem);
    }
    let via = if let Some(token) = bearer(headers) {
        let is_good = admin.is_some_and(|admin| admin.digest == Digest::of(token));
        is_good.then_some(Via::Token).ok_or(Unknown::Wrong)?
    } else if let Some(cookie) = session::of(headers) {
        let until = api.access.sessions.open(cookie, admin).ok_or(Unknown::Wrong)?;
        if until <= api.clock.now() {
            return Err(Unknown::Nobody("the session is over"));
        }
        Via::Session(until)
    } else if admin.is_none() {
        return Err(Unknown::Nobody("there is no administrators' token: `sluice setup` makes one"));
    } else {
        return Err(Unknown::Nobody("the administrators' token is needed"));
    };
    let actor = Actor::try_from(Actor::ADMINISTRATOR.to_owned());
    let actor = actor.map_err(|error| Problem::new(500, "internal", error.to_string()));
    let rights = Arc::new(Rights::of_everything());
    Ok(User { actor: actor.map_err(Unknown::Problem)?, via, rights })
}

/// The user that a proxy names.
fn named(access: &Access, headers: &HeaderMap) -> Result<User, Problem> {
    let names: Vec<_> = headers.get_all(&access.user_header).iter().collect();
    // Two would be one of the proxy's and one of somebody else's.
    let [name] = names[..] else {
        return Err(Problem::new(401, "unauthorized", "the proxy names more than one user"));
    };
    let name = std::str::from_utf8(name.as_bytes()).unwrap_or_default().trim();
    let actor = Actor::try_from(name.to_owned()).map_err(|error| {
        Problem::new(401, "unauthorized", format!("the user's name as the proxy has it {error}"))
    })?;
    if [Actor::ADMINISTRATOR, Actor::SETUP].contains(&name) {
        let detail = format!("no user may be called `{name}`: the audit trail means another by it");
        return Err(Problem::new(403, "forbidden", detail));
    }
    let lines = headers.get_all(&access.groups_header).iter();
    let groups = lines.filter_map(|line| std::str::from_utf8(line.as_bytes()).ok());
    let groups = groups.flat_map(|line| line.split(',')).map(str::trim);
    let Some(rights) = Rights::of_groups(&access.roles, groups) else {
        return Err(Problem::new(403, "forbidden", "none of your groups has a role here"));
    };
    Ok(User { actor, via: Via::Proxy, rights: Arc::new(rights) })
}

/// What a browser sends by itself must come from our own pages. What names its token in a header
/// no foreign page can send.
fn same_origin(api: &Api, peer: SocketAddr, headers: &HeaderMap, via: Via) -> Result<(), Problem> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_ours = match (via, text(header::ORIGIN)) {
        (Via::Token, _) => true,
        (Via::Session(_) | Via::Proxy, Some(origin)) => match &api.access.origin {
            Some(ours) => origin == ours,
            None => {
                let forwarded = text(HeaderName::from_static("x-forwarded-host"));
                let forwarded = forwarded.filter(|_| api.gate.is_proxy(peer.ip()));
                let host = forwarded.or_else(|| text(header::HOST));
                host.is_some_and(|host| is_at(origin, host))
            }
        },
        // Every browser says where a change comes from: this is none, and its user is the proxy's
        // word.
        (Via::Proxy, None) => true,
        (Via::Session(_), None) => false,
    };
    if is_ours {
        return Ok(());
    }
    Err(Problem::new(403, "foreign-origin", "changes are taken from our own pages only"))
}

/// Whether an origin is at a host, as `Host` has it: of a scheme's own port it says nothing.
fn is_at(origin: &str, host: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let host = Url::parse(&format!("{}://{host}/", origin.scheme()));
    matches!(origin.scheme(), "http" | "https")
        && host.is_ok_and(|host| host.origin() == origin.origin())
}

/// The token of the header `Authorization`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(group: &str, role: Role) -> RoleSettings {
        RoleSettings { group: group.to_owned(), role }
    }

    #[test]
    fn rights_are_the_sum_of_the_groups() {
        let areas = |areas: &[&str]| areas.iter().map(|area| (*area).to_owned()).collect();
        let roles = [
            of("ops", Role::Administrator),
            of("a", Role::AreaAdministrator(areas(&["id:a"]))),
            of("ab", Role::AreaReader(areas(&["id:a", "id:b"]))),
        ];
        let check = |groups: &[&str], expected: &str| {
            let rights = Rights::of_groups(&roles, groups.iter().copied());
            let shown = rights.map(|rights| {
                let Rights { is_of_everything, administers, reads } = rights;
                format!("{is_of_everything} {administers:?} {reads:?}")
            });
            assert_eq!(shown.as_deref().unwrap_or("nothing"), expected, "{groups:?}");
        };
        check(&[], "nothing");
        check(&["", "op", "ops2", "OPS"], "nothing");
        check(&["ops"], "true {} {}");
        check(&["x", "a"], r#"false {"id:a"} {}"#);
        check(&["ab", "a"], r#"false {"id:a"} {"id:a", "id:b"}"#);
    }

    #[test]
    fn origins() {
        let check = |origin: &str, host: &str, expected: bool| {
            assert_eq!(is_at(origin, host), expected, "{origin} at {host}");
        };
        check("http://127.0.0.1:9602", "127.0.0.1:9602", true);
        check("https://a.example", "a.example", true);
        check("https://a.example", "a.example:443", true);
        check("https://a.example", "a.example:9602", false);
        check("https://b.example", "a.example", false);
        check("https://a.example.evil", "a.example", false);
        check("null", "a.example", false);
        check("ftp://a.example", "a.example", false);
        check("http://a.example", "user@a.example", true);
    }

    #[test]
    fn bearers() {
        let check = |value: &str, expected: Option<&str>| {
            let headers = [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect();
            assert_eq!(bearer(&headers), expected, "{value}");
        };
        check("Bearer t", Some("t"));
        check("bearer  t ", Some("t"));
        check("Bearer", None);
        check("Basic t", None);
    }
}
