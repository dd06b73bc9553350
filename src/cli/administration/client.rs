//! HTTP to the administrators' API.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};
use serde_json::Value;

use crate::config::settings::ApiSettings;

/// A change that has no answer is told as one of 503 well before.
const TIMEOUT: Duration = Duration::from_secs(30);
/// No answer of the API is larger: a page of channels with all their tokens.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

const NO_BASE: &str = "is no URL as in `https://sluice.example.com`";

/// The URL before `/api/v1/`.
pub(super) fn base(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && !url.cannot_be_a_base())
        .ok_or(NO_BASE)
}

pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
}

impl Client {
    /// To `api`, or to where this configuration has it listen.
    pub(super) fn new(settings: &ApiSettings, api: Option<&Url>) -> anyhow::Result<Self> {
        let base = match api {
            Some(base) => base.clone(),
            None => Url::parse(&format!("http://{}", reachable(settings.listen)))?,
        };
        let Some(token) = &settings.token else {
            bail!(
                "no administrators' token: set `SLUICE_API_TOKEN`, `SLUICE_API_TOKEN_FILE` or \
                 `api.token`; `sluice setup` prints one when it makes it"
            )
        };
        let token = token.read().context("api.token")?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
            .ok()
            .context("api.token holds bytes that no header can carry")?;
        authorization.set_sensitive(true);
        // The token goes to the API and to nobody else.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .context("no HTTP client")?;
        Ok(Self { http, base, authorization })
    }

    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(self.http.get(url)).await
    }

    /// Asked again under the same id, nothing is done twice.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &[&str],
        body: &Value,
        id: &str,
    ) -> anyhow::Result<Value> {
        let request = self.http.request(method, self.url(path)?).header("Idempotency-Key", id);
        let request = request.header("Content-Type", "application/json").body(body.to_string());
        self.send(request).await.map_err(|error| match error.is::<Refused>() {
            true => error,
            false => {
                error.context(format!("it may be done all the same, ask again with --id {id}"))
            }
        })
    }

    fn url(&self, path: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(["api", "v1"]).extend(path),
            Err(()) => bail!("--api {NO_BASE}"),
        };
        Ok(url)
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let sent = request.header(AUTHORIZATION, self.authorization.clone()).send().await;
        let mut response = sent.map_err(|error| told(&error))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| told(&error))? {
            anyhow::ensure!(
                bytes.len() + chunk.len() <= ANSWER_BYTES_MAX,
                "the answer is too large"
            );
            bytes.extend_from_slice(&chunk);
        }
        let body = serde_json::from_slice::<Value>(&bytes);
        if status.is_success() {
            return body.with_context(|| format!("{} answers with no JSON", self.base));
        }
        let detail = body.ok().and_then(|body| Some(body.get("detail")?.as_str()?.to_owned()));
        let detail = detail.unwrap_or_else(|| format!("{} answers {status}", self.base));
        match status.is_client_error() {
            true => Err(Refused(detail).into()),
            false => bail!(detail),
        }
    }
}

/// Nothing was done, and it would not be if it was asked again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// What listens on every address is on this machine as well.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let mut address = listen;
    if listen.ip().is_unspecified() {
        address.set_ip(match listen {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The outermost of an error's texts names the address, the innermost the cause.
fn told(error: &reqwest::Error) -> anyhow::Error {
    let address = error.url().map(ToString::to_string).unwrap_or_default();
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    anyhow::anyhow!("{address}: {cause}")
}
