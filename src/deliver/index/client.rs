//! HTTP towards the index: the nodes in turn, the credentials, one answer or one failure.
//!
//! Every node has an `elasticsearch` transport of its own, so that a node which fails is avoided
//! for a while and then tried again; the client never asks the cluster for its nodes. Whether a
//! request is sent again is not decided here.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use elasticsearch::auth::{ClientCertificate, Credentials};
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::headers::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue,
    USER_AGENT,
};
use elasticsearch::http::transport::{
    CloudId, SingleNodeConnectionPool, Transport, TransportBuilder,
};
use elasticsearch::http::{Method, Url};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::limit::backoff;
use crate::config::settings::{IndexAuth, IndexSettings};

/// No answer of ours is larger; a larger one is some other server's.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// A failure's text in logs and health.
const FAILURE_CHARS_MAX: usize = 300;

/// What is asked of the index.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    pub method: Method,
    /// With its query; relative to the node's address.
    pub path: &'a str,
    pub content_type: &'static str,
    /// The body is gzip already.
    pub gzip: bool,
    pub body: Option<Bytes>,
}

impl<'a> Call<'a> {
    /// Asks without a body.
    #[must_use]
    pub fn get(path: &'a str) -> Self {
        let content_type = "application/json";
        Self { method: Method::Get, path, content_type, gzip: false, body: None }
    }
}

/// The server's answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
    /// It calls itself Elasticsearch.
    pub elasticsearch: bool,
}

/// No answer. The text names the node and the cause, never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    Timeout(String),
    Connection(String),
}

impl Failure {
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Timeout(text) | Self::Connection(text) => text,
        }
    }
}

/// All nodes of one index cluster.
#[derive(Debug)]
pub struct Client {
    nodes: Vec<Node>,
    next: AtomicUsize,
    settings: IndexSettings,
    tls: Mutex<Tls>,
    authorization: Mutex<Option<HeaderValue>>,
}

#[derive(Debug)]
struct Node {
    url: Url,
    /// Made anew where certificates change.
    transport: ArcSwap<Transport>,
    /// Host and port, for messages.
    name: String,
    host: String,
    port: u16,
    mark: Mutex<Mark>,
}

/// What we think of a node.
#[derive(Debug, Default, Clone, Copy)]
struct Mark {
    /// It answered last time, so its connections are worth a try without a probe.
    reached: bool,
    failures: u32,
    avoid_until: Option<Instant>,
}

impl Client {
    /// # Errors
    /// Where an address is no address, or a file cannot be read or holds no certificate.
    pub fn new(settings: &IndexSettings) -> anyhow::Result<Self> {
        let urls = match &settings.cloud_id {
            Some(id) => vec![CloudId::parse(id).context("index.cloud_id")?.url],
            None => settings
                .nodes
                .iter()
                .map(|node| Url::parse(node).with_context(|| format!("index.nodes: {node}")))
                .collect::<anyhow::Result<_>>()?,
        };
        anyhow::ensure!(!urls.is_empty(), "index.nodes is empty");
        let tls = Tls::read(settings)?;
        let nodes =
            urls.into_iter().map(|url| Node::new(url, &tls)).collect::<anyhow::Result<_>>()?;
        let client = Self {
            nodes,
            next: AtomicUsize::new(0),
            settings: settings.clone(),
            tls: Mutex::new(tls),
            authorization: Mutex::new(authorization(&settings.auth)?),
        };
        Ok(client)
    }

    /// Sends one request to the next node that is not avoided.
    ///
    /// # Errors
    /// Where no whole answer came.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer, Failure> {
        let node = self.pick();
        let answer = match self.probe(node).await {
            Ok(()) => Box::pin(self.exchange(node, call)).await,
            Err(failure) => Err(failure),
        };
        let well = answer.as_ref().is_ok_and(|answer| !matches!(answer.status, 502..=504));
        let avoid = (self.settings.backoff_min, self.settings.backoff_max);
        node.remember(well, answer.is_ok(), avoid);
        if answer.is_err() {
            self.renew();
        }
        answer
    }

    /// Reads the secret again after a 401; answers whether it is another than before.
    pub fn refresh(&self) -> bool {
        let Ok(fresh) = authorization(&self.settings.auth) else {
            tracing::warn!("the secret of the index cannot be read, the last one stays in use");
            return false;
        };
        let mut current = lock(&self.authorization);
        let changed = *current != fresh;
        *current = fresh;
        changed
    }

    /// Connects with the certificates as they are now, where they are others than before. Files
    /// that are being replaced are complete again at the next failure.
    fn renew(&self) {
        let Ok(fresh) = Tls::read(&self.settings) else { return };
        let mut current = lock(&self.tls);
        if *current == fresh {
            return;
        }
        let made: anyhow::Result<Vec<_>> =
            self.nodes.iter().map(|node| transport(&node.url, &fresh)).collect();
        let Ok(made) = made else { return };
        for (node, transport) in self.nodes.iter().zip(made) {
            node.transport.store(Arc::new(transport));
        }
        *current = fresh;
        tracing::info!("the TLS files of the index have changed, connecting again");
    }

    fn pick(&self) -> &Node {
        let now = Instant::now();
        let count = self.nodes.len();
        let start = self.next.fetch_add(1, Ordering::Relaxed) % count;
        let (before, after) = self.nodes.split_at(start);
        let in_turn = || after.iter().chain(before);
        let avoided = |node: &&Node| lock(&node.mark).avoid_until.filter(|until| *until > now);
        #[expect(clippy::expect_used, reason = "`new` refuses an empty list of nodes")]
        in_turn()
            .find(|node| avoided(node).is_none())
            .or_else(|| in_turn().min_by_key(avoided))
            .expect("at least one node")
    }

    /// A node that is not known to answer must at least take a connection, and soon: the transport
    /// has one time limit for the whole request, far too long to find out that a host is gone.
    async fn probe(&self, node: &Node) -> Result<(), Failure> {
        if lock(&node.mark).reached {
            return Ok(());
        }
        let connect = TcpStream::connect((node.host.as_str(), node.port));
        match timeout(self.settings.connect_timeout, connect).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Failure::Connection(format!("{}: {error}", node.name))),
            Err(_) => Err(Failure::Timeout(format!(
                "{}: no connection within {:?}",
                node.name, self.settings.connect_timeout
            ))),
        }
    }

    async fn exchange(&self, node: &Node, call: Call<'_>) -> Result<Answer, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(call.content_type));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // Answers are small; unpacking them would cost more than it saves.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("sluice/", env!("CARGO_PKG_VERSION"))),
        );
        if call.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(authorization) = lock(&self.authorization).clone() {
            headers.insert(AUTHORIZATION, authorization);
        }
        let limit = Some(self.settings.request_timeout);
        let transport = node.transport.load_full();
        let sent = transport.send(call.method, call.path, headers, None::<&()>, call.body, limit);
        let response = sent.await.map_err(|error| node.failure(&error))?;
        let status = response.status_code().as_u16();
        let product = response.headers().get("x-elastic-product");
        let elasticsearch = product.is_some_and(|name| name.as_bytes() == b"Elasticsearch");
        if response.content_length().is_some_and(|length| length > ANSWER_BYTES_MAX) {
            return Err(Failure::Connection(format!("{}: the answer is too large", node.name)));
        }
        let body = response.bytes().await.map_err(|error| node.failure(&error))?;
        Ok(Answer { status, body, elasticsearch })
    }
}

impl Node {
    fn new(url: Url, tls: &Tls) -> anyhow::Result<Self> {
        let host = url.host().with_context(|| format!("index.nodes: {url} names no host"))?;
        let host = match host {
            url::Host::Ipv6(address) => address.to_string(),
            other => other.to_string(),
        };
        let port = url.port_or_known_default().context("index.nodes: a node has no port")?;
        let transport = ArcSwap::from_pointee(transport(&url, tls)?);
        let name = format!("{host}:{port}");
        Ok(Self { url, transport, name, host, port, mark: Mutex::default() })
    }

    fn failure(&self, error: &elasticsearch::Error) -> Failure {
        let text = format!("{}: {}", self.name, innermost(error));
        if error.is_timeout() { Failure::Timeout(text) } else { Failure::Connection(text) }
    }

    fn remember(&self, well: bool, reached: bool, avoid: (Duration, Duration)) {
        let mut mark = lock(&self.mark);
        mark.reached = reached;
        if well {
            mark.failures = 0;
            mark.avoid_until = None;
        } else {
            mark.avoid_until = Some(Instant::now() + backoff(avoid.0, avoid.1, mark.failures));
            mark.failures = mark.failures.saturating_add(1);
        }
    }
}

fn transport(url: &Url, tls: &Tls) -> anyhow::Result<Transport> {
    let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(url.clone()))
        .disable_proxy()
        .enable_meta_header(false)
        .request_body_compression(false);
    if let Some(pem) = &tls.ca {
        let chain = Certificate::from_pem(pem).context("index.ca_file")?;
        builder = builder.cert_validation(CertificateValidation::Full(chain));
    }
    if let Some(pem) = &tls.identity {
        // The `Authorization` header is set for each request, so that a client certificate
        // and a password can be used together.
        let certificate = ClientCertificate::Pem(pem.clone());
        builder = builder.auth(Credentials::Certificate(certificate));
    }
    builder.build().context("index: TLS settings")
}

/// The PEM files.
#[derive(PartialEq, Eq)]
struct Tls {
    ca: Option<Vec<u8>>,
    /// Certificate and key, one after the other.
    identity: Option<Vec<u8>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    fn read(settings: &IndexSettings) -> anyhow::Result<Self> {
        let read = |key: &str, path: &std::path::Path| {
            std::fs::read(path).with_context(|| format!("index.{key}: {}", path.display()))
        };
        let ca = settings.ca_file.as_deref().map(|path| read("ca_file", path)).transpose()?;
        let identity = match (&settings.client_certificate_file, &settings.client_key_file) {
            (Some(certificate), Some(key)) => {
                let mut pem = read("client_certificate_file", certificate)?;
                pem.push(b'\n');
                pem.extend(read("client_key_file", key)?);
                Some(pem)
            }
            (None, None) => None,
            _ => anyhow::bail!("index: client_certificate_file and client_key_file go together"),
        };
        Ok(Self { ca, identity })
    }
}

fn authorization(auth: &IndexAuth) -> anyhow::Result<Option<HeaderValue>> {
    let text = match auth {
        IndexAuth::None => return Ok(None),
        IndexAuth::Basic { username, password } => {
            let password = password.read().context("index: the password")?;
            format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
        }
        IndexAuth::ApiKey(key) => format!("ApiKey {}", key.read().context("index: the API key")?),
        IndexAuth::Bearer(token) => {
            format!("Bearer {}", token.read().context("index: the bearer token")?)
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .ok()
        .context("index: the secret holds bytes that no header can carry")?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The innermost cause says what is the matter; the outer ones repeat the address.
fn innermost(error: &elasticsearch::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text.chars().take(FAILURE_CHARS_MAX).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks guard is assigned whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
