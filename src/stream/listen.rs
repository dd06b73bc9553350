//! From a request to a session: what it asks for, whether it may, and the connection taken over.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::{Extension, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::consume_budget;
use tokio::time::timeout;
use tracing::debug;

use super::connections::{Listener, Opened};
use super::end::End;
use super::frames::Transport;
use super::io::{Body, Gone, Heard, Sink, Socket, Source};
use super::place::Places;
use super::query::{Query, Start, bad};
use super::request::{Problem, SUBPROTOCOL, offers_subprotocol, opening, token, transport};
use super::server::{Admitted, Peer, Streams};
use super::session::outbox::Outbox;
use super::session::{CANNOT_BE_READ, From, OPEN_MAX, Session, Signals, Wish, asked, farewell};
use super::shape::Format;
use super::ws::input::Message;

/// How long a client may take for its first message.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Who listens to what, and how.
struct Asking {
    streams: Streams,
    channel: Arc<str>,
    transport: Transport,
    query: Query,
    is_bare: bool,
    /// Its place is taken as long as it listens.
    peer: Peer,
}

/// `/v1/streams/{channel}`
pub(super) async fn stream(
    State(streams): State<Streams>,
    Extension(peer): Extension<Peer>,
    Path(channel): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let metrics = streams.shared.metrics.clone();
    let answer = async {
        let transport = entered(&streams, &request)?;
        let mut query = Query::read(query.as_deref().unwrap_or_default())?;
        if query.hello && transport != Transport::WebSocket {
            return Err(bad("`hello` is for WebSockets: nobody else has a first message"));
        }
        let last_event = request.headers().get("last-event-id");
        // A browser that comes back by itself says where it was.
        if transport == Transport::Sse
            && let Some(cursor) = last_event.and_then(|value| value.to_str().ok())
        {
            query.start = Start::Cursor(cursor.to_owned());
        }
        let channel = channel.into();
        let asking = Asking { streams, channel, transport, query, is_bare: false, peer };
        asking.answer(None, request).await
    };
    told(answer.await, |kind| metrics.refused(kind))
}

/// `/ecls/subscribe/{area}/{channel}`: as Mashery's clients ask, who know no more than this.
pub(super) async fn bare(
    State(streams): State<Streams>,
    Extension(peer): Extension<Peer>,
    Path((area, channel)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let metrics = streams.shared.metrics.clone();
    let answer = async {
        let transport = entered(&streams, &request)?;
        if transport != Transport::WebSocket {
            return Err(Problem::new(426, "no-transport", "ask for a WebSocket here"));
        }
        let query = Query::read(query.as_deref().unwrap_or_default())?;
        if query != (Query { key: query.key.clone(), ..Query::default() }) {
            return Err(bad("this path takes `key` and nothing else: see `/v1/streams/`"));
        }
        let query = Query { format: Format::Ecls, ..query };
        let channel = channel.into();
        let asking = Asking { streams, channel, transport, query, is_bare: true, peer };
        asking.answer(Some(&area), request).await
    };
    told(answer.await, |kind| metrics.refused(kind))
}

fn told(answer: Result<Response, Problem>, refused: impl Fn(&'static str)) -> Response {
    answer.unwrap_or_else(|problem| {
        refused(problem.kind);
        problem.into_response()
    })
}

impl Asking {
    async fn answer(self, area: Option<&str>, mut request: Request) -> Result<Response, Problem> {
        let headers = request.headers();
        let accept = match self.transport {
            // RFC 6455, section 4.1.
            Transport::WebSocket if request.version() < Version::HTTP_11 => {
                let detail = "HTTP/1.1 is needed for a WebSocket";
                return Err(Problem::new(426, "bad-handshake", detail));
            }
            Transport::WebSocket => Some(
                opening(headers)
                    .accept()
                    .map_err(|error| Problem::new(426, "bad-handshake", error.to_string()))?,
            ),
            Transport::Sse | Transport::Ndjson => None,
        };
        let gate = &self.streams.gate;
        let address = gate.enter(self.peer.address, headers, &self.query)?;
        let admitted = self.admitted(area, token(headers, &self.query)).await;
        let admitted = admitted.inspect_err(|problem| gate.note(address, problem))?;
        // Said before the upgrade, where it can be.
        let wish = match self.query.hello {
            true => None,
            false => Some(self.wish(&admitted, &self.query)?),
        };
        let listener = Listener {
            channel: admitted.channel.clone(),
            token: admitted.token.clone(),
            address,
            transport: self.transport,
            filter: self.query.filter.as_deref().map(Arc::from),
        };
        let opened = self.streams.door.open(listener, admitted.limits).await?;
        let wish = match wish {
            Some(wish) => Some(self.placed(wish).await?),
            None => None,
        };
        let tasks = self.streams.tasks.clone();
        match (accept, wish) {
            (None, Some(wish)) => Ok(self.plain(wish, opened)),
            (accept, wish) => {
                let response = switching(&accept.unwrap_or_default(), headers);
                let upgrade = hyper::upgrade::on(&mut request);
                tasks.spawn(self.upgraded(upgrade, admitted, wish, opened));
                Ok(response)
            }
        }
    }

    async fn admitted(&self, area: Option<&str>, token: Option<&str>) -> Result<Admitted, Problem> {
        let admitted = self.streams.door.admit(&self.channel, token).await?;
        // Whoever knows the channel but not its area has the wrong address.
        match area.is_none_or(|area| is_named(&admitted.area, area)) {
            true => Ok(admitted),
            false => Err(Problem::unauthorized()),
        }
    }

    /// Where and how the client listens.
    fn wish(&self, admitted: &Admitted, query: &Query) -> Result<Wish, Problem> {
        let Self { streams, transport, .. } = self;
        let lanes = streams.spread.lanes(&admitted.area);
        let from = match &query.start {
            Start::Tip => From::Tip,
            Start::Earliest => From::Earliest,
            Start::Since(time) => From::Since(*time),
            Start::Cursor(text) => {
                let (first, places) = streams.cursors.open(&self.channel, text)?;
                if lanes.first() != Some(&first) || lanes.len() != places.as_slice().len() {
                    let detail = "the cursor is of other partitions of the live topic than the \
                                  area is in now: go on with `earliest`, or without a cursor";
                    return Err(Problem::new(409, "cursor-of-another-topic", detail));
                }
                From::Places(places)
            }
        };
        let area = Arc::clone(&admitted.area);
        let (shape, choice) = streams.offer.choose(&area, &admitted.fixed, *transport, query)?;
        let (slow, is_bare) = (query.slow, self.is_bare);
        Ok(Wish { area, lanes, from, shape, choice, slow, is_bare })
    }

    /// Who wants what comes from now on hears everything that comes behind our answer: before that
    /// its partitions are read.
    async fn placed(&self, wish: Wish) -> Result<Wish, Problem> {
        if wish.from != From::Tip {
            return Ok(wish);
        }
        let mut reading = self.streams.shared.ring.subscribe(&wish.area, &wish.lanes);
        let ends = timeout(OPEN_MAX, reading.ends()).await;
        let ends = ends.map_err(|_overdue| Problem::live_unavailable(CANNOT_BE_READ))?;
        // When nobody listens any more they are read for a while: as long as it takes.
        Ok(Wish { from: From::Places(ends), ..wish })
    }

    /// Takes the connection over as a WebSocket.
    async fn upgraded(
        self,
        upgrade: OnUpgrade,
        admitted: Admitted,
        wish: Option<Wish>,
        opened: Opened,
    ) {
        // The client went away before the connection was its own.
        let Ok(upgraded) = upgrade.await else { return };
        let Some((socket, before)) = taken_over(upgraded) else { return };
        let (from, to) = socket.into_split();
        let (mut source, mut sink) = (Heard::new(from, &before), Socket(to));
        let wish = match wish {
            Some(wish) => wish,
            None => match self.first_message(&admitted, &mut source, &opened).await {
                Ok(wish) => wish,
                Err(end) => return refuse(&end, &mut sink).await,
            },
        };
        self.listen((wish, opened), sink, source);
    }

    /// What the client asks for in its first message.
    async fn first_message(
        &self,
        admitted: &Admitted,
        source: &mut impl Source,
        opened: &Opened,
    ) -> Result<Wish, End> {
        let refused = |problem: Problem| End::Refused(problem.detail);
        let hello = async {
            loop {
                match source.receive().await? {
                    Message::Text(text) => return Ok(text),
                    Message::Close(code) => return Err(End::Closed(code)),
                    // Reading alone would never let the time run out.
                    Message::Ping(_) | Message::Pong | Message::Binary(_) => consume_budget().await,
                }
            }
        };
        let overdue = |_| End::Refused("the first message did not come in time".to_owned());
        let mut ending = opened.ending.clone();
        let hello = tokio::select! {
            end = asked(&mut ending) => return Err(end),
            hello = timeout(HELLO_TIMEOUT, hello) => hello.map_err(overdue)??,
        };
        let query = self.query.clone().hear(&hello).map_err(refused)?;
        let wish = self.wish(admitted, &query).map_err(refused)?;
        if let Some(filter) = &query.filter {
            opened.flow.filter.get_or_init(|| filter.as_str().into());
        }
        Ok(wish)
    }

    /// A response whose body goes on for ever.
    fn plain(self, wish: Wish, opened: Opened) -> Response {
        let kind = match self.transport {
            Transport::Ndjson => "application/x-ndjson",
            Transport::Sse | Transport::WebSocket => "text/event-stream",
        };
        let (sender, receiver) = mpsc::channel::<Bytes>(1);
        self.listen((wish, opened), Body(sender.clone()), Gone(sender));
        let body = stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|bytes| (Ok::<_, Infallible>(bytes), receiver))
        });
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, "no-store"),
            // Nothing comes behind a stream.
            (header::CONNECTION, "close"),
            // Of nginx: what goes through is not to be held back.
            (header::HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        (headers, HttpBody::from_stream(body)).into_response()
    }

    /// Begins a task that needs no more memory than the session itself: there may be many.
    fn listen(
        self,
        (wish, opened): (Wish, Opened),
        sink: impl Sink + 'static,
        source: impl Source + 'static,
    ) {
        let Self { streams, channel, transport, peer, .. } = self;
        let (cursors, of) = (Arc::clone(&streams.cursors), Arc::clone(&channel));
        let first = wish.lanes.first().copied().unwrap_or_default();
        let seal = Arc::new(move |places: &Places| cursors.seal(&of, first, places));
        let signals = Signals { ending: opened.ending.clone(), flow: Arc::clone(&opened.flow) };
        let shared = Arc::clone(&streams.shared);
        let mut session = Session::new(Arc::clone(&shared), wish, seal, (sink, source), signals);
        streams.tasks.spawn(async move {
            shared.metrics.opened(transport);
            let end = session.run().await;
            shared.metrics.ended(transport, end.kind());
            debug!(%channel, end = end.kind().label(), "a stream ended");
            // Its places among the channel's connections and among the sockets.
            drop((opened, peer));
        });
    }
}

/// Whoever speaks HTTP/1.1 names one host (RFC 9112, section 3.2): what does not was not made by a
/// client of ours.
fn one_host(request: &Request) -> Result<(), Problem> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if hosts == 1 || (hosts == 0 && request.version() == Version::HTTP_10) {
        return Ok(());
    }
    Err(Problem::new(400, "bad-host", "one `Host` is needed"))
}

/// The connection itself, without what HTTP needed for it, and what came behind the handshake.
fn taken_over(upgraded: Upgraded) -> Option<(TcpStream, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

/// Says why nothing comes, and closes.
async fn refuse(end: &End, sink: &mut impl Sink) {
    let mut outbox = Outbox::default();
    outbox.say(farewell::words(end, Transport::WebSocket, None, false));
    farewell::say(&mut outbox, sink).await;
}

/// How the client takes its events, if it may ask at all: one host, and an origin that is allowed.
fn entered(streams: &Streams, request: &Request) -> Result<Transport, Problem> {
    one_host(request)?;
    streams.origins.check(request.headers())?;
    transport(request.headers())
}

/// Whether a path names an area: as it is, or without the kind before its colon.
fn is_named(area: &str, name: &str) -> bool {
    area == name || area.split_once(':').is_some_and(|(_, bare)| bare == name)
}

fn switching(accept: &str, headers: &HeaderMap) -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let answers = response.headers_mut();
    answers.remove(header::CONTENT_LENGTH);
    answers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        answers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if offers_subprotocol(headers) {
        let name = HeaderValue::from_static(SUBPROTOCOL);
        answers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    }
    response
}
