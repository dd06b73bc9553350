//! What a session says of itself, as JSON: its state, what is missing, why it ends.

use crate::metrics::stream::GapCause;
use crate::prepare::json;
use crate::stream::end::Farewell;
use crate::stream::frames::CursorText;

/// `{"gap":{…}}`: what a client misses between two cursors.
#[derive(Debug, Clone)]
pub(super) struct Gap {
    pub(super) cause: GapCause,
    /// `None` where nobody can know.
    pub(super) count: Option<u64>,
    pub(super) from: CursorText,
    pub(super) to: CursorText,
    /// Kafka's time of the first record that there is behind it.
    pub(super) until_ms: Option<i64>,
}

impl Gap {
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = b"{\"gap\":{\"cause\":\"".to_vec();
        text.extend_from_slice(self.cause.label().as_bytes());
        text.push(b'"');
        put_number(&mut text, "count", self.count);
        put_cursor(&mut text, "from", &self.from);
        put_cursor(&mut text, "to", &self.to);
        let until = self.until_ms.and_then(|until| u64::try_from(until).ok());
        if until.is_some() {
            put_number(&mut text, "until_ms", until);
        }
        text.extend_from_slice(b"}}");
        text
    }
}

/// `{"status":{…}}`: where the client is, where the topic ends, and what it did not get.
pub(super) struct Status {
    /// Behind everything that was written.
    pub(super) cursor: CursorText,
    pub(super) tip: CursorText,
    /// Events before the client's choice; `None` while it catches up, where nobody has looked.
    pub(super) lag_events: Option<u64>,
    /// `None` where nobody can know it.
    pub(super) lag_ms: Option<u64>,
    pub(super) sent: u64,
    /// Events that did not pass the filter.
    pub(super) filtered: u64,
    /// Events that gaps have told of.
    pub(super) dropped: u64,
    /// Why events do not come at the moment, from the live topic's side.
    pub(super) upstream_stalled: bool,
}

impl Status {
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = b"{\"status\":{\"cursor\":\"".to_vec();
        text.extend_from_slice(self.cursor.as_bytes());
        text.push(b'"');
        put_cursor(&mut text, "tip", &self.tip);
        put_number(&mut text, "lag_events", self.lag_events);
        put_number(&mut text, "lag_ms", self.lag_ms);
        put_number(&mut text, "sent", Some(self.sent));
        put_number(&mut text, "filtered", Some(self.filtered));
        put_number(&mut text, "dropped", Some(self.dropped));
        if self.upstream_stalled {
            text.extend_from_slice(b",\"upstream_stalled\":true");
        }
        text.extend_from_slice(b"}}");
        text
    }
}

/// `{"error":{…}}`: why the stream ends, and from where to go on.
pub(super) fn error(farewell: &Farewell, cursor: Option<&CursorText>) -> Vec<u8> {
    let mut text = b"{\"error\":{\"type\":".to_vec();
    json::write_string(&mut text, farewell.kind.label());
    text.extend_from_slice(b",\"detail\":");
    json::write_string(&mut text, &farewell.detail);
    put_number(&mut text, "code", Some(farewell.code.into()));
    text.extend_from_slice(b",\"retry\":");
    match farewell.retry_after {
        Some(after) => {
            text.extend_from_slice(b"true");
            let millis = u64::try_from(after.as_millis()).unwrap_or(0);
            put_number(&mut text, "retry_after_ms", Some(millis));
        }
        None => text.extend_from_slice(b"false"),
    }
    if let Some(cursor) = cursor {
        put_cursor(&mut text, "cursor", cursor);
    }
    text.extend_from_slice(b"}}");
    text
}

/// `,"name":12` or `,"name":null`.
fn put_number(out: &mut Vec<u8>, name: &str, number: Option<u64>) {
    put_name(out, name);
    match number {
        Some(number) => json::write_u64(out, number),
        None => out.extend_from_slice(b"null"),
    }
}

fn put_cursor(out: &mut Vec<u8>, name: &str, cursor: &CursorText) {
    put_name(out, name);
    out.push(b'"');
    out.extend_from_slice(cursor.as_bytes());
    out.push(b'"');
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}
