//! The last words of a stream: why it ends, and from where to go on.

use std::time::Duration;

use tokio::time::timeout;

use super::messages;
use super::outbox::Outbox;
use crate::stream::end::End;
use crate::stream::frames::{CursorText, Message, Transport, put_close, put_close_answer};
use crate::stream::io::Sink;

/// How long they may take.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

/// The error message and the close, framed; nothing where nobody is there to be told. Who reads
/// events only (`is_bare`) is closed without the message.
pub(crate) fn words(
    end: &End,
    transport: Transport,
    cursor: Option<&CursorText>,
    is_bare: bool,
) -> Vec<u8> {
    let mut words = Vec::new();
    let is_websocket = transport == Transport::WebSocket;
    match (end.farewell(), end) {
        (Some(farewell), _) => {
            if !is_bare {
                let text = messages::error(&farewell, cursor);
                // A browser comes back by itself with the last id, also where no event had one.
                let parts = [&text[..]];
                Message { id: cursor, ..Message::text(transport, &parts) }.put(&mut words);
            }
            if is_websocket {
                put_close(&mut words, farewell.code, &farewell.detail);
            }
        }
        // Its own close is answered with one (RFC 6455, section 5.5.1).
        (None, End::Closed(code)) if is_websocket => put_close_answer(&mut words, *code),
        (None, _) => {}
    }
    words
}

/// Writes what is left. Who does not read the last words has the cursor of its last event.
pub(crate) async fn say(outbox: &mut Outbox, sink: &mut impl Sink) {
    let said = async { while !outbox.is_empty() && sink.write(outbox).await.is_ok() {} };
    timeout(LAST_WORDS_MAX, said).await.unwrap_or_default();
}
