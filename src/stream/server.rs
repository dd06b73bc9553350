//! The listener of the streams: one path, three transports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, State};
use axum::http::header;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::deliver::mirror::Spread;
use crate::http;

use super::connections::{Connections, Listener, Opened};
use super::frames::CursorText;
use super::gate::Gate;
use super::ids::{ChannelId, TokenId};
use super::listen::{bare, stream};
use super::origins::{Origins, to_pages_only};
use super::place::Places;
use super::presence::Limits;
use super::request::{Problem, no_such_method, no_such_path};
use super::session::Shared;
use super::wish::{Fixed, Offer};

/// The head of a request: its lines and headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// How long to wait where nobody can be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// How long a client may take for the head of its request.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Who may listen to what.
pub trait Door: Send + Sync + 'static {
    /// Lets a listener in, or says why not. Whoever has no token that is good now is told the
    /// same, [`Problem::unauthorized`].
    fn admit<'a>(
        &'a self,
        channel: &'a str,
        token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Admitted, Problem>>;

    /// Opens a stream for a listener that was let in, where there is room (N1, T7): 429 where there
    /// is none.
    fn open(&self, listener: Listener, limits: Limits) -> BoxFuture<'_, Result<Opened, Problem>>;
}

/// What a token opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    pub channel: ChannelId,
    pub area: Arc<str>,
    pub token: TokenId,
    pub limits: Limits,
    pub fixed: Fixed,
}

/// Cursors of the live topic, each good for one channel only.
pub trait Cursors: Send + Sync + 'static {
    /// The cursor of places in an area, by lane, whose first partition this is.
    fn seal(&self, channel: &str, partition: i32, places: &Places) -> CursorText;
    /// # Errors
    /// It is not ours, of another channel, or of a topic that was made anew.
    fn open(&self, channel: &str, cursor: &str) -> Result<(i32, Places), Problem>;
}

/// Everything that a stream is made of.
#[derive(Clone)]
pub struct Streams {
    pub shared: Arc<Shared>,
    pub door: Arc<dyn Door>,
    pub cursors: Arc<dyn Cursors>,
    pub connections: Connections,
    pub offer: Offer,
    /// What a request passes before it comes to the door.
    pub gate: Gate,
    /// The pages that may listen.
    pub origins: Origins,
    /// The partitions of an area.
    pub spread: Spread,
    pub tasks: TaskTracker,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// A listener that is bound and not yet served.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    head_timeout: Duration,
}

impl Server {
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind(listen: SocketAddr) -> anyhow::Result<Self> {
        let listener = http::listener("stream.listen", listen).await?;
        Ok(Self { listener, head_timeout: HEAD_TIMEOUT })
    }

    /// Gives a client only so long for the head of its request, 10 s where this is not called.
    #[must_use]
    pub fn with_head_timeout(self, head_timeout: Duration) -> Self {
        Self { head_timeout, ..self }
    }

    /// # Errors
    /// The socket has no address.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// The listener, while nobody is served on it.
    #[must_use]
    pub fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// Serves until `stop`, then lets the open streams end, spread over `drain`.
    pub async fn serve(
        self,
        streams: Streams,
        sockets_max: usize,
        (stop, drain): (CancellationToken, Duration),
    ) {
        let (connections, tasks) = (streams.connections.clone(), streams.tasks.clone());
        let origins = streams.origins.layer();
        let router = Router::new()
            .route("/v1/streams/{channel}", get(stream))
            .route("/ecls/subscribe/{area}/{channel}", get(bare))
            .method_not_allowed_fallback(no_such_method)
            .layer(origins.clone())
            .layer(from_fn(to_pages_only))
            .route("/v1/dictionary", get(dictionary).fallback(no_such_method).layer(origins))
            .fallback(no_such_path)
            .with_state(streams);
        let places = Arc::new(Semaphore::new(sockets_max));
        loop {
            let (socket, peer) = tokio::select! {
                () = stop.cancelled() => break,
                next = next(&self.listener, &places) => next,
            };
            tasks.spawn(serve_one(socket, (peer, self.head_timeout), router.clone()));
        }
        drop(self.listener);
        connections.drain(drain).await;
        tasks.close();
    }
}

/// The next who comes. Where all places are taken, it waits in the kernel's queue.
pub(super) async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Peer) {
    let place = Arc::clone(places).acquire_owned().await;
    loop {
        if let Ok((socket, address)) = listener.accept().await {
            return (socket, Peer::new(address, place));
        }
        // Out of descriptors, mostly: it passes when others close.
        tokio::time::sleep(ACCEPT_AGAIN).await;
    }
}

/// Serves one connection of HTTP, with the bounds and time limits of a head.
pub(super) async fn serve_one(
    socket: TcpStream,
    (peer, head_timeout): (Peer, Duration),
    router: Router,
) {
    // Small messages are to arrive now, not together later.
    socket.set_nodelay(true).unwrap_or_default();
    let service = TowerToHyperService::new(router.layer(Extension(peer)));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        debug!(%error, "a connection ended");
    }
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Given back with the last clone: a connection that has become a WebSocket keeps it.
    _place: Arc<Result<OwnedSemaphorePermit, AcquireError>>,
}

impl Peer {
    fn new(address: SocketAddr, place: Result<OwnedSemaphorePermit, AcquireError>) -> Self {
        Self { address, _place: Arc::new(place) }
    }
}

/// The dictionary that `compression=zstd` uses; a new one has a new id.
async fn dictionary(State(streams): State<Streams>) -> Response {
    let dictionary = streams.offer.shapes.dictionary();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CACHE_CONTROL, "public, max-age=86400".to_owned()),
        (header::ETAG, format!("\"{}\"", dictionary.id())),
    ];
    (headers, dictionary.bytes()).into_response()
}
