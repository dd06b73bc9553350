//! What a session says of itself, as JSON: its state, what is lost, why it ends.

use crate::prepare::json;
use crate::stream::end::Farewell;
use crate::stream::frames::CursorText;

/// `{"status":{…}}`: where the topic ends, and how far behind it the client is.
pub(super) struct Status {
    pub(super) tip: CursorText,
    /// `None` while nobody has looked.
    pub(super) lag_events: Option<u64>,
    pub(super) lag_ms: Option<u64>,
    pub(super) sent: u64,
}

impl Status {
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = b"{\"status\":{\"tip\":\"".to_vec();
        text.extend_from_slice(&self.tip);
        text.push(b'"');
        put_number(&mut text, "lag_events", self.lag_events);
        put_number(&mut text, "lag_ms", self.lag_ms);
        put_number(&mut text, "sent", Some(self.sent));
        text.extend_from_slice(b"}}");
        text
    }
}

/// `{"gap":{…}}`: nobody knows how many events retention took, only from where to where.
pub(super) fn lost(from: &CursorText, to: &CursorText) -> Vec<u8> {
    let head = b"{\"gap\":{\"cause\":\"retention\",\"count\":null,\"from\":\"";
    [&head[..], from, b"\",\"to\":\"", to, b"\"}}"].concat()
}

/// `{"error":{…}}`: why the stream ends, and from where to go on.
pub(super) fn error(farewell: &Farewell, cursor: &CursorText) -> Vec<u8> {
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
    text.extend_from_slice(b",\"cursor\":\"");
    text.extend_from_slice(cursor);
    text.extend_from_slice(b"\"}}");
    text
}

/// `,"name":12` or `,"name":null`.
fn put_number(out: &mut Vec<u8>, name: &str, number: Option<u64>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    match number {
        Some(number) => json::write_u64(out, number),
        None => out.extend_from_slice(b"null"),
    }
}
