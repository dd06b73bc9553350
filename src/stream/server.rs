//! The listener of the streams: one path, three transports.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body as HttpBody;
use axum::extract::{Extension, Path, RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::http;

use super::connections::{Connections, Listener, Opened};
use super::end::End;
use super::frames::{CursorText, Transport};
use super::ids::{ChannelId, TokenId};
use super::io::{Body, Socket, read};
use super::presence::Limits;
use super::request::{
    Problem, Query, SUBPROTOCOL, Start, offers_subprotocol, opening, token, transport,
};
use super::ring::Place;
use super::session::{From, Session, Shared, Signals, Wish};

/// The head of a request: its lines and headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// How long a client may take for the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client's messages that wait to be looked at.
const MESSAGES_MAX: usize = 4;

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
}

/// Cursors of the live topic, each good for one channel only.
pub trait Cursors: Send + Sync + 'static {
    fn seal(&self, channel: &str, partition: i32, place: Place) -> CursorText;
    /// # Errors
    /// It is not ours, of another channel, or of a topic that was made anew.
    fn open(&self, channel: &str, cursor: &str) -> Result<(i32, Place), Problem>;
}

/// Everything that a stream is made of.
#[derive(Clone)]
pub struct Streams {
    pub shared: Arc<Shared>,
    pub door: Arc<dyn Door>,
    pub cursors: Arc<dyn Cursors>,
    pub connections: Connections,
    /// The partition of an area.
    pub partition_of: fn(&str, u32) -> u32,
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
}

impl Server {
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind(listen: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { listener: http::listener("stream.listen", listen).await? })
    }

    /// # Errors
    /// The socket has no address.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until `stop`, then lets the open streams end, spread over `drain`.
    pub async fn serve(
        self,
        streams: Streams,
        sockets_max: usize,
        (stop, drain): (CancellationToken, Duration),
    ) {
        let (connections, tasks) = (streams.connections.clone(), streams.tasks.clone());
        let router = Router::new().route("/v1/streams/{channel}", get(stream)).with_state(streams);
        let places = Arc::new(Semaphore::new(sockets_max));
        loop {
            // Who comes when all places are taken waits in the kernel's queue.
            let place = tokio::select! {
                () = stop.cancelled() => break,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((socket, address)) = accepted else {
                // Out of descriptors, mostly: it passes when others close.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let router = router.clone();
            tasks.spawn(async move {
                serve_one(socket, address, router).await;
                drop(place);
            });
        }
        drop(self.listener);
        connections.drain(drain).await;
        tasks.close();
    }
}

async fn serve_one(socket: TcpStream, address: SocketAddr, router: Router) {
    // Small messages are to arrive now, not together later.
    socket.set_nodelay(true).unwrap_or_default();
    let service = TowerToHyperService::new(router.layer(Extension(Peer(address))));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        debug!(%error, "a connection ended");
    }
}

#[derive(Debug, Clone, Copy)]
struct Peer(SocketAddr);

async fn stream(
    State(streams): State<Streams>,
    Extension(Peer(address)): Extension<Peer>,
    Path(channel): Path<String>,
    RawQuery(query): RawQuery,
    mut request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers();
    let transport = transport(headers)?;
    let query = Query::read(query.as_deref().unwrap_or_default())?;
    let accept = match transport {
        Transport::WebSocket => Some(
            opening(headers)
                .accept()
                .map_err(|error| Problem::new(426, "bad-handshake", error.to_string()))?,
        ),
        Transport::Sse | Transport::Ndjson => None,
    };
    let with_subprotocol = offers_subprotocol(headers);
    let last_event = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let last_event = last_event.map(str::to_owned);
    let admitted = streams.door.admit(&channel, token(headers, &query)).await?;
    let wish = wish(&streams, (&channel, &admitted), transport, (query, last_event))?;
    let Admitted { channel: of, token, limits, .. } = admitted;
    let listener = Listener { channel: of, token, address, transport, filter: None };
    let opened = streams.door.open(listener, limits).await?;
    let Some(accept) = accept else { return Ok(plain(&streams, &channel, wish, opened)) };
    let upgrade = hyper::upgrade::on(&mut request);
    let tasks = streams.tasks.clone();
    tasks.spawn(async move {
        // The client went away before the connection was its own.
        let Ok(upgraded) = upgrade.await else { return };
        let (from, to) = tokio::io::split(TokioIo::new(upgraded));
        let (sender, input) = mpsc::channel(MESSAGES_MAX);
        let listen = listen(&streams, &channel, (wish, opened), Socket(to), Some(input));
        tokio::select! {
            () = listen => {}
            // It goes on until what it has read is heard.
            () = async { read(from, sender).await; std::future::pending().await } => {}
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if with_subprotocol {
        let name = HeaderValue::from_static(SUBPROTOCOL);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    }
    Ok(response)
}

/// Where and how the client listens.
fn wish(
    streams: &Streams,
    (channel, admitted): (&str, &Admitted),
    transport: Transport,
    (query, last_event): (Query, Option<String>),
) -> Result<Wish, Problem> {
    let partitions = u32::try_from(streams.shared.live.partitions).unwrap_or(1);
    let partition = (streams.partition_of)(&admitted.area, partitions);
    let partition = i32::try_from(partition).unwrap_or_default();
    let start = match (query.start, last_event.filter(|_| transport == Transport::Sse)) {
        // A browser that comes back by itself says where it was.
        (_, Some(cursor)) => Start::Cursor(cursor),
        (start, None) => start,
    };
    let from = match start {
        Start::Tip => From::Tip,
        Start::Earliest => From::Earliest,
        Start::Cursor(text) => {
            let (of, place) = streams.cursors.open(channel, &text)?;
            if of != partition {
                let detail = "the cursor is of another partition of the live topic";
                return Err(Problem::new(409, "cursor-of-another-topic", detail));
            }
            From::Place(place)
        }
    };
    let area = Arc::clone(&admitted.area);
    Ok(Wish { area, partition, from, transport, batch: query.batch, slow: query.slow })
}

/// A response whose body goes on for ever.
fn plain(streams: &Streams, channel: &str, wish: Wish, opened: Opened) -> Response {
    let kind = match wish.transport {
        Transport::Ndjson => "application/x-ndjson",
        Transport::Sse | Transport::WebSocket => "text/event-stream",
    };
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let (streams, channel) = (streams.clone(), channel.to_owned());
    let tasks = streams.tasks.clone();
    tasks.spawn(async move {
        let gone = sender.clone();
        let listen = listen(&streams, &channel, (wish, opened), Body(sender), None);
        tokio::select! {
            () = listen => {}
            () = gone.closed() => {}
        }
    });
    let body = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|bytes| (Ok::<_, Infallible>(bytes), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        // Of nginx: what goes through is not to be held back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, HttpBody::from_stream(body)).into_response()
}

async fn listen<S: super::session::Sink>(
    streams: &Streams,
    channel: &str,
    (wish, opened): (Wish, Opened),
    sink: S,
    input: Option<mpsc::Receiver<Result<super::ws::input::Message, End>>>,
) {
    let (cursors, partition) = (Arc::clone(&streams.cursors), wish.partition);
    let of: Arc<str> = channel.into();
    let seal = Arc::new(move |place| cursors.seal(&of, partition, place));
    let signals = Signals { input, ending: opened.ending.clone() };
    let session = Session::new(Arc::clone(&streams.shared), wish, seal, sink, signals);
    let (end, sent) = Box::pin(session.run()).await;
    debug!(channel, end = end.kind().label(), sent, "a stream ended");
    drop(opened);
}
