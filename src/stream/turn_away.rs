//! Before Kafka was there once nothing can be served: whoever comes is told so at once, and not left
//! to wait for an answer.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::middleware::from_fn;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::metrics::stream::StreamMetrics;

use super::origins::{Origins, to_pages_only};
use super::request::Problem;
use super::server::{HEAD_TIMEOUT, next, serve_one};

const SOCKETS_MAX: usize = 64;

/// Answers whoever asks for a stream with this problem, and counts the refusal.
pub fn from_streams(problem: Problem, origins: &Origins, metrics: StreamMetrics) -> Router {
    let answer = move || {
        metrics.refused(problem.kind);
        std::future::ready(closing(problem.clone()))
    };
    Router::new().fallback(answer).layer(origins.layer()).layer(from_fn(to_pages_only))
}

/// Answers every request to the administrators' API with this problem.
pub fn from_api(problem: Problem) -> Router {
    Router::new().fallback(move || std::future::ready(closing(problem.clone())))
}

/// Nobody stays connected, so whoever asks again meets what is served by then.
fn closing(problem: Problem) -> ([(header::HeaderName, &'static str); 1], Problem) {
    ([(header::CONNECTION, "close")], problem)
}

/// Serves on a listener that stays the caller's, for as long as this is polled. Whoever has come by
/// then has an answer still.
pub async fn serve(listener: &TcpListener, router: Router) -> Infallible {
    let places = Arc::new(Semaphore::new(SOCKETS_MAX));
    let open = TaskTracker::new();
    loop {
        let (socket, peer) = next(listener, &places).await;
        open.spawn(serve_one(socket, (peer, HEAD_TIMEOUT), router.clone()));
    }
}
