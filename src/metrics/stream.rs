//! The metrics of Call Log Streams. No token, channel, area or address is a label.

use prometheus::{Histogram, IntCounter, IntGauge};

use super::{Declare, collect};
use crate::outcome::labels;

labels! {
    /// How a listener takes its events.
    Transport {
        WebSocket => "websocket",
        /// Server-sent events (WHATWG HTML, section 9.2).
        Sse => "sse",
        Ndjson => "ndjson",
    }
}

labels! {
    /// Why a client misses events.
    GapCause {
        /// It was closed because it reads too slowly, by its own choice.
        Slow => "slow_consumer",
        /// Kafka has removed them.
        Retention => "retention",
        /// It asked for some of all.
        Sampled => "sampled",
        /// The live topic ends before the client's place: it has lost what it had.
        Restart => "restart",
    }
}

labels! {
    /// Why a stream ended.
    EndKind {
        Client => "client",
        Restart => "restart",
        Revoked => "revoked",
        Disconnected => "disconnected",
        Slow => "slow_consumer",
        Silent => "silent",
        Violation => "violation",
        Refused => "refused",
        Full => "full",
        Unavailable => "unavailable",
    }
}

labels! {
    /// Why somebody was not let in, by the kind of the problem that they were told.
    Refusal {
        BadParameter => "bad-parameter",
        BadCursor => "bad-cursor",
        OtherTopic => "cursor-of-another-topic",
        Unauthorized => "unauthorized",
        TooManyFailures => "too-many-failures",
        TooManyConnections => "too-many-connections",
        TooManyOfToken => "too-many-connections-of-token",
        NoTransport => "no-transport",
        BadHandshake => "bad-handshake",
        Control => "control-unavailable",
        Presence => "presence-unavailable",
        Live => "live-unavailable",
        Other => "other",
    }
}

impl Refusal {
    /// Of the kind of a problem document.
    #[must_use]
    pub fn of_kind(kind: &str) -> Self {
        Self::ALL.iter().copied().find(|refusal| refusal.label() == kind).unwrap_or(Self::Other)
    }
}

/// What the stream server counts.
#[derive(Debug, Clone)]
pub struct StreamMetrics {
    clients: [IntGauge; Transport::COUNT],
    pub messages: IntCounter,
    pub events: IntCounter,
    pub bytes: IntCounter,
    pub filtered: IntCounter,
    gaps: [IntCounter; GapCause::COUNT],
    gap_events: [IntCounter; GapCause::COUNT],
    pub catching_up: IntGauge,
    pub catch_up_events: IntCounter,
    pub ring_bytes: IntGauge,
    pub ring_bytes_max: IntGauge,
    /// From Kafka's time of a record to the last byte of the write that held it.
    pub delivery: Histogram,
    refusals: [IntCounter; Refusal::COUNT],
    ends: [IntCounter; EndKind::COUNT],
}

impl StreamMetrics {
    pub(super) fn new(of: &Declare<'_>) -> prometheus::Result<Self> {
        let clients = of.gauges(
            "stream_clients",
            "Open streams by transport: websocket, sse, ndjson",
            &["transport"],
        )?;
        let clients = Transport::ALL.iter().map(|of| clients.with_label_values(&[of.label()]));
        Ok(Self {
            clients: collect(clients)?,
            messages: of.counter("stream_messages_total", "Messages with events written")?,
            events: of.counter("stream_events_total", "Events written, of all listeners")?,
            bytes: of.counter("stream_sent_bytes_total", "Bytes written to listeners")?,
            filtered: of.counter(
                "stream_filtered_events_total",
                "Events that did not pass a listener's filter",
            )?,
            gaps: of.each(
                "stream_gaps_total",
                "Gaps told to listeners by cause: slow_consumer, retention, sampled, restart",
                "cause",
                GapCause::ALL.iter().map(|cause| cause.label()),
            )?,
            gap_events: of.each(
                "stream_gap_events_total",
                "Events in gaps, where their number is known, by cause",
                "cause",
                GapCause::ALL.iter().map(|cause| cause.label()),
            )?,
            catching_up: of.gauge(
                "stream_catching_up",
                "Readers that read the live topic again for listeners behind the ring",
            )?,
            catch_up_events: of.counter(
                "stream_catch_up_events_total",
                "Events read from the live topic again for listeners behind the ring",
            )?,
            ring_bytes: of.gauge("stream_ring_bytes", "Bytes of the live topic in memory")?,
            ring_bytes_max: of.gauge("stream_ring_limit_bytes", "Bound of stream_ring_bytes")?,
            delivery: of.histogram(
                "stream_delivery_seconds",
                "From Kafka's time of a record to the write that ended it, of the oldest record of \
                 each write to a listener that is not catching up",
                &[0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
            )?,
            refusals: of.each(
                "stream_refusals_total",
                "Requests for a stream that were refused, by the kind of the problem document",
                "reason",
                Refusal::ALL.iter().map(|refusal| refusal.label()),
            )?,
            ends: of.each(
                "stream_ends_total",
                "Streams that ended, by reason: see docs/streams.md",
                "reason",
                EndKind::ALL.iter().map(|end| end.label()),
            )?,
        })
    }

    /// One gap, of so many events where that is known.
    pub fn gap(&self, cause: GapCause, events: u64) {
        if let (Some(gaps), Some(gap_events)) =
            (self.gaps.get(cause.index()), self.gap_events.get(cause.index()))
        {
            gaps.inc();
            gap_events.inc_by(events);
        }
    }

    /// One request that was refused with a problem of this kind.
    pub fn refused(&self, kind: &str) {
        if let Some(refusals) = self.refusals.get(Refusal::of_kind(kind).index()) {
            refusals.inc();
        }
    }

    /// One stream more.
    pub fn opened(&self, transport: Transport) {
        if let Some(clients) = self.clients.get(transport.index()) {
            clients.inc();
        }
    }

    /// One stream less.
    pub fn ended(&self, transport: Transport, end: EndKind) {
        if let (Some(clients), Some(ends)) =
            (self.clients.get(transport.index()), self.ends.get(end.index()))
        {
            clients.dec();
            ends.inc();
        }
    }
}
