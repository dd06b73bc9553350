//! The HTTP listener of the operator: `/metrics`, `/livez`, `/readyz`.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::metrics::Metrics;

/// The text exposition format (Prometheus documentation, "Exposition formats").
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A listener that is bound and not yet served.
#[derive(Debug)]
pub struct Http {
    listener: TcpListener,
}

impl Http {
    /// Takes the address, so that a port in use stops the start and not the running.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn bind(listen: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { listener: listener("http.listen", listen).await? })
    }

    /// The address in use; its port where port 0 was asked for.
    ///
    /// # Errors
    /// Where the socket has none.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// Where the listener fails as a whole.
    pub async fn serve(
        self,
        metrics: Metrics,
        health: Health,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let routes = Router::new()
            .route("/metrics", get(scrape))
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(readiness))
            .with_state((metrics, health));
        axum::serve(self.listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await?;
        Ok(())
    }
}

/// Takes an address that a key of the configuration names.
///
/// # Errors
/// Where it cannot be listened on, with the key.
pub async fn listener(key: &str, listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.with_context(|| format!("{key} = {listen}"))
}

async fn scrape(State((metrics, health)): State<(Metrics, Health)>) -> Response {
    metrics.ready.set(i64::from(health.is_ready()));
    match metrics.scrape() {
        Ok(text) => ([(header::CONTENT_TYPE, EXPOSITION)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn readiness(State((_, health)): State<(Metrics, Health)>) -> Response {
    let reasons = health.why_not_ready();
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    let mut text = String::new();
    for (component, reason) in reasons {
        writeln!(text, "{}: {reason}", component.label()).unwrap_or_default();
    }
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}
