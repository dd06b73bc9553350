//! The way to a stream: a WebSocket, over TLS where the address says so.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::UrlError;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};
use url::Url;

/// An open WebSocket.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Name look-up, connection, TLS and upgrade together.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// Above the largest record of the live topic, which is one message where `batch` is asked for.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What is told of a refusal.
const DETAIL_CHARS_MAX: usize = 300;

/// The token and the certificates that are trusted.
#[derive(Clone)]
pub struct Credentials {
    authorization: HeaderValue,
    tls: Arc<rustls::ClientConfig>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// `ca_file` holds certificates in PEM that are trusted beside the well-known ones.
    ///
    /// # Errors
    /// The token cannot stand in a header, or the file holds no certificate.
    pub fn new(token: &str, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_quotes_it| anyhow::anyhow!("the token has characters that no token has"))?;
        authorization.set_sensitive(true);
        let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = ca_file {
            let shown = || path.display().to_string();
            let mut found = 0;
            for certificate in CertificateDer::pem_file_iter(path).with_context(shown)? {
                roots.add(certificate.with_context(shown)?).with_context(shown)?;
                found += 1;
            }
            anyhow::ensure!(found > 0, "{} holds no certificate", path.display());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { authorization, tls: Arc::new(tls) })
    }
}

/// Why there is no stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It may go well later; the server may have said when.
    Passing { why: String, after: Option<Duration> },
    /// It will not go well however often it is tried.
    Lasting(String),
}

/// Opens a stream.
///
/// # Errors
/// Nobody is there, or the server refuses.
pub async fn open(url: &Url, credentials: &Credentials) -> Result<Socket, Refusal> {
    let lasting = |error: Error| Refusal::Lasting(error.to_string());
    let mut request = url.as_str().into_client_request().map_err(lasting)?;
    let headers = request.headers_mut();
    headers.insert(header::AUTHORIZATION, credentials.authorization.clone());
    let agent = concat!("sluice/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(MESSAGE_BYTES_MAX);
    config.max_frame_size = Some(MESSAGE_BYTES_MAX);
    let tls = Connector::Rustls(Arc::clone(&credentials.tls));
    let connect = connect_async_tls_with_config(request, Some(config), true, Some(tls));
    match timeout(CONNECT_MAX, Box::pin(connect)).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(refusal(error)),
        Err(_elapsed) => {
            Err(Refusal::Passing { why: "the server does not answer".to_owned(), after: None })
        }
    }
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::Http(response) => {
            let (head, body) = response.into_parts();
            let body = body.unwrap_or_default();
            refused(head.status.as_u16(), &head.headers, &body)
        }
        Error::Url(UrlError::UnableToConnect(_)) => {
            Refusal::Passing { why: "nobody answers at the address".to_owned(), after: None }
        }
        // A certificate that is not trusted is not trusted a second later either.
        Error::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            Refusal::Lasting(error.to_string())
        }
        Error::Io(error) => Refusal::Passing { why: error.to_string(), after: None },
        Error::Protocol(error) => Refusal::Passing { why: error.to_string(), after: None },
        other => Refusal::Lasting(other.to_string()),
    }
}

/// What an answer means that is no upgrade.
fn refused(status: u16, headers: &HeaderMap, body: &[u8]) -> Refusal {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let why = match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { detail }) => {
            let detail: String = detail.chars().take(DETAIL_CHARS_MAX).collect();
            format!("{status}: {detail}")
        }
        Err(_no_problem_document) => format!("the server answers {status}"),
    };
    let after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    match status {
        408 | 425 | 429 | 500 | 502 | 503 | 504 => Refusal::Passing { why, after },
        _ => Refusal::Lasting(why),
    }
}

/// What a close without an error message means (docs/streams.md has the codes).
#[must_use]
pub fn closed(code: u16, reason: &Utf8Bytes) -> Refusal {
    let why = match reason.as_str() {
        "" => format!("the server closed with {code}"),
        reason => format!("the server closed with {code}: {reason}"),
    };
    match code {
        1002 | 1003 | 1007 | 1008 | 1009 | 4400 | 4401 | 4403 => Refusal::Lasting(why),
        1012 => Refusal::Passing { why, after: Some(Duration::from_secs(1)) },
        1013 => Refusal::Passing { why, after: Some(Duration::from_secs(5)) },
        _ => Refusal::Passing { why, after: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(refusal: &Refusal) -> String {
        match refusal {
            Refusal::Passing { why, after } => format!("again {after:?}: {why}"),
            Refusal::Lasting(why) => format!("never: {why}"),
        }
    }

    #[test]
    fn answers() {
        let check = |status: u16, retry_after: Option<&str>, body: &str, expected: &str| {
            let mut headers = HeaderMap::new();
            if let Some(value) = retry_after {
                headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            }
            assert_eq!(told(&refused(status, &headers, body.as_bytes())), expected);
        };
        check(401, None, r#"{"detail":"an access token"}"#, "never: 401: an access token");
        check(409, None, "", "never: the server answers 409");
        check(429, Some("5"), r#"{"detail":"five"}"#, "again Some(5s): 429: five");
        check(
            503,
            Some("Fri, 31 Dec 1999 23:59:59 GMT"),
            "{",
            "again None: the server answers 503",
        );
        check(302, None, "", "never: the server answers 302");
    }

    #[test]
    fn closes() {
        let check = |code: u16, reason: &'static str, expected: &str| {
            assert_eq!(told(&closed(code, &Utf8Bytes::from_static(reason))), expected);
        };
        check(1001, "", "again None: the server closed with 1001");
        check(1012, "bye", "again Some(1s): the server closed with 1012: bye");
        check(1013, "", "again Some(5s): the server closed with 1013");
        check(1009, "", "never: the server closed with 1009");
        check(4401, "x", "never: the server closed with 4401: x");
        check(4409, "x", "again None: the server closed with 4409: x");
    }

    #[test]
    fn credentials_are_checked_and_not_shown() {
        let error = Credentials::new("se\ncret", None).unwrap_err();
        assert!(!format!("{error:?}").contains("cret"), "{error:?}");
        let credentials = Credentials::new("secret", None).unwrap();
        assert!(!format!("{credentials:?}").contains("secret"));
        let no_certificate = Path::new("Cargo.toml");
        assert!(Credentials::new("secret", Some(no_certificate)).is_err());
    }
}
