//! Which web pages may listen.
//!
//! A browser names the page's origin by itself. There is no cookie that a page could borrow: who
//! listens presents a token, so by default any page may. An operator can allow some pages only;
//! then a WebSocket of another page is refused here, since a browser would let it through.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::request::Problem;

/// How long a browser may remember that it may ask.
const REMEMBERED: Duration = Duration::from_secs(600);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The pages that may listen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origins {
    /// Every page that presents a token.
    #[default]
    Any,
    /// The pages of these origins: scheme, host, and port where it is not the scheme's own.
    Listed(Vec<HeaderValue>),
}

impl Origins {
    /// `*` among them is any. What can stand in no header is none.
    #[must_use]
    pub fn new(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            return Self::Any;
        }
        Self::Listed(origins.iter().filter_map(|origin| origin.parse().ok()).collect())
    }

    /// Refuses a request out of a page that may not listen. Who is no browser names no origin.
    ///
    /// # Errors
    /// The page's origin is not listed.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Self::Listed(listed) = self else { return Ok(()) };
        match headers.get(header::ORIGIN) {
            Some(origin) if !listed.contains(origin) => {
                let detail = "pages of this origin may not listen: see `stream.allowed_origins`";
                Err(Problem::new(403, "origin-not-allowed", detail))
            }
            _ => Ok(()),
        }
    }

    /// Answers a browser's question beforehand, and marks every answer, refusals too, as one that
    /// the page may read. Credentials that a browser adds by itself are never asked for.
    pub fn layer(&self) -> CorsLayer {
        let origin = match self {
            Self::Any => AllowOrigin::any(),
            Self::Listed(origins) => AllowOrigin::list(origins.iter().cloned()),
        };
        CorsLayer::new()
            .allow_origin(origin)
            .allow_methods([Method::GET])
            .allow_headers([header::AUTHORIZATION, header::ACCEPT, LAST_EVENT_ID])
            .expose_headers([header::RETRY_AFTER])
            .max_age(REMEMBERED)
    }
}

/// Takes the headers for pages off an answer that goes to none: most listeners are no browsers, and
/// no cache stands between, since streams are not stored.
pub(super) async fn to_pages_only(request: Request, next: Next) -> Response {
    let is_of_page = request.headers().contains_key(header::ORIGIN);
    let mut response = next.run(request).await;
    if !is_of_page {
        for name in [
            header::VARY,
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
        ] {
            response.headers_mut().remove(name);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_may_listen() {
        let check = |origins: &[&str], origin: Option<&str>, expected: bool| {
            let origins: Vec<_> = origins.iter().map(|&text| text.to_owned()).collect();
            let headers = origin.map(|origin| (header::ORIGIN, origin.parse().unwrap()));
            let headers = headers.into_iter().collect();
            let checked = Origins::new(&origins).check(&headers);
            assert_eq!(checked.is_ok(), expected, "{origins:?} {origin:?}");
        };
        check(&["*"], Some("https://a.example"), true);
        check(&["https://b.example", "*"], Some("null"), true);
        check(&["https://a.example"], Some("https://a.example"), true);
        check(&["https://a.example"], None, true);
        check(&["https://a.example"], Some("http://a.example"), false);
        check(&["https://a.example"], Some("https://a.example:8443"), false);
        check(&["https://a.example"], Some("https://a.example.evil.example"), false);
        check(&["https://a.example"], Some("null"), false);
        check(&[], Some("https://a.example"), false);
    }
}
