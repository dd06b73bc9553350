//! What goes over the wire: an event in its envelope, framed for the transport.
//!
//! Server frames of a WebSocket are not masked (RFC 6455, section 5.1), so one framing serves all
//! listeners of an area and is made once.

use bytes::Bytes;

use crate::outcome::labels;

use super::ring::{Block, Place};

/// The text of a cursor.
pub type CursorText = [u8; 32];

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
    /// A way in which events are made ready that many listeners share.
    Class {
        WebSocket => "websocket",
        WebSocketBatch => "websocket_batch",
        Sse => "sse",
        SseBatch => "sse_batch",
        Ndjson => "ndjson",
        NdjsonBatch => "ndjson_batch",
    }
}

impl Class {
    /// Whole events in the native format, one a message or as many as a record holds.
    #[must_use]
    pub const fn native(transport: Transport, batch: bool) -> Self {
        match (transport, batch) {
            (Transport::WebSocket, false) => Self::WebSocket,
            (Transport::WebSocket, true) => Self::WebSocketBatch,
            (Transport::Sse, false) => Self::Sse,
            (Transport::Sse, true) => Self::SseBatch,
            (Transport::Ndjson, false) => Self::Ndjson,
            (Transport::Ndjson, true) => Self::NdjsonBatch,
        }
    }
}

/// The events of one record, each ready to be written.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Bytes,
    /// Where each frame ends.
    ends: Vec<usize>,
}

impl Frames {
    /// One frame an event: `{"cursor":"…","data":[…]}`. `seal` makes the cursor of the event that
    /// follows a place.
    pub fn native(block: &Block, transport: Transport, seal: impl Fn(Place) -> CursorText) -> Self {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(block.len());
        for (index, line) in (1..).zip(block.lines()) {
            let cursor = seal(Place { offset: block.offset, index });
            let parts: [&[u8]; 5] = [br#"{"cursor":""#, &cursor, br#"","data":["#, line, b"]}"];
            put(&mut bytes, transport, &parts, Some(&cursor));
            ends.push(bytes.len());
        }
        Self { bytes: bytes.into(), ends }
    }

    /// One frame for all events of a record from a place on: `{"cursor":"…","data":[…,…]}`.
    pub fn batch(
        block: &Block,
        from: u32,
        transport: Transport,
        seal: impl Fn(Place) -> CursorText,
    ) -> Self {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let mut data = Vec::new();
        for line in block.lines().skip(from) {
            if !data.is_empty() {
                data.push(b',');
            }
            data.extend_from_slice(line);
        }
        if data.is_empty() {
            return Self::default();
        }
        let index = u32::try_from(block.len()).unwrap_or(u32::MAX);
        let cursor = seal(Place { offset: block.offset, index });
        let parts: [&[u8]; 5] = [br#"{"cursor":""#, &cursor, br#"","data":["#, &data, b"]}"];
        let mut bytes = Vec::new();
        put(&mut bytes, transport, &parts, Some(&cursor));
        let ends = vec![bytes.len()];
        Self { bytes: bytes.into(), ends }
    }

    /// The frames of the events from this place in the record on.
    #[must_use]
    pub fn from(&self, index: u32) -> Bytes {
        let start = usize::try_from(index).unwrap_or(usize::MAX);
        let start = match start.checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before).copied().unwrap_or(self.bytes.len()),
        };
        self.bytes.slice(start..)
    }

    /// The frame of one event.
    #[must_use]
    pub fn one(&self, index: usize) -> Bytes {
        let end = self.ends.get(index).copied().unwrap_or(self.bytes.len());
        let start =
            index.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or(end));
        self.bytes.slice(start.min(end)..end)
    }

    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes one message for a transport; `id` is the cursor that a reader of server-sent events
/// comes back with.
pub fn put(out: &mut Vec<u8>, transport: Transport, parts: &[&[u8]], id: Option<&[u8]>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    match transport {
        Transport::WebSocket => put_header(out, Opcode::Text, length),
        Transport::Sse => {
            if let Some(id) = id {
                out.extend_from_slice(b"id: ");
                out.extend_from_slice(id);
                out.push(b'\n');
            }
            // JSON has no raw line ends, so a message is one line.
            out.extend_from_slice(b"data: ");
        }
        Transport::Ndjson => {}
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    match transport {
        Transport::WebSocket => {}
        Transport::Sse => out.extend_from_slice(b"\n\n"),
        Transport::Ndjson => out.push(b'\n'),
    }
}

/// The frames that we send (RFC 6455, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// Writes the header of a whole, unmasked frame.
pub fn put_header(out: &mut Vec<u8>, opcode: Opcode, length: usize) {
    const FIN: u8 = 0x80;
    out.push(FIN | opcode as u8);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.push(short),
        (_, Ok(medium)) => {
            out.push(126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Writes a close frame: a code and a reason, of which as much as fits 123 bytes.
pub fn put_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    const REASON_BYTES_MAX: usize = 123;
    let reason = crate::prepare::trim::head(reason, REASON_BYTES_MAX);
    put_header(out, Opcode::Close, reason.len() + 2);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Writes the answer to a ping: the same bytes.
pub fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    put_header(out, Opcode::Pong, payload.len());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(transport: Transport, lines: &str) -> Frames {
        let block = Block::new(("a".into(), 0, 7), 0, Bytes::copy_from_slice(lines.as_bytes()));
        let seal = |place: Place| {
            let mut text = [b'.'; 32];
            text[0] = b'0' + u8::try_from(place.offset).unwrap();
            text[1] = b'0' + u8::try_from(place.index).unwrap();
            text
        };
        Frames::native(&block, transport, seal)
    }

    #[test]
    fn envelopes_of_every_transport() {
        let dots = ".".repeat(30);
        let check = |transport, expected: &[String]| {
            let frames = frames(transport, "{\"a\":1}\n{\"b\":2}\n");
            let each: Vec<_> = (0..2)
                .map(|index| String::from_utf8_lossy(&frames.one(index)).into_owned())
                .collect();
            assert_eq!(each, expected);
            assert_eq!(frames.from(0), expected.concat().as_bytes());
            assert_eq!(frames.from(1), expected[1].as_bytes());
            assert!(frames.from(2).is_empty() && frames.from(9).is_empty());
            assert_eq!(frames.len_bytes(), expected.concat().len());
        };
        let envelope = |index: usize, line: &str| {
            format!("{{\"cursor\":\"7{index}{dots}\",\"data\":[{line}]}}")
        };
        let both = [envelope(1, "{\"a\":1}"), envelope(2, "{\"b\":2}")];
        check(Transport::Ndjson, &both.clone().map(|text| text + "\n"));
        check(
            Transport::Sse,
            &[1, 2].map(|index| format!("id: 7{index}{dots}\ndata: {}\n\n", both[index - 1])),
        );
        let header = format!("\u{1}{}", char::from(u8::try_from(both[0].len()).unwrap()));
        let frames = frames(Transport::WebSocket, "{\"a\":1}\n");
        assert_eq!(frames.one(0)[1..2], header.as_bytes()[1..2]);
        assert_eq!(frames.one(0)[0], 0x81);
        assert_eq!(&frames.one(0)[2..], both[0].as_bytes());
    }

    #[test]
    fn a_batch_is_one_message() {
        let block = Block::new(("a".into(), 0, 7), 0, Bytes::from_static(b"1\n2\n3\n"));
        let check = |from, expected: &str| {
            let frames = Frames::batch(&block, from, Transport::Ndjson, |_| [b'c'; 32]);
            assert_eq!(String::from_utf8_lossy(&frames.from(0)), expected);
        };
        let cursor = "c".repeat(32);
        check(0, &format!("{{\"cursor\":\"{cursor}\",\"data\":[1,2,3]}}\n"));
        check(2, &format!("{{\"cursor\":\"{cursor}\",\"data\":[3]}}\n"));
        check(3, "");
    }

    #[test]
    fn headers_of_every_length() {
        let check = |length: usize, expected: &[u8]| {
            let mut out = Vec::new();
            put_header(&mut out, Opcode::Text, length);
            assert_eq!(out, expected);
        };
        check(0, &[0x81, 0]);
        check(125, &[0x81, 125]);
        check(126, &[0x81, 126, 0, 126]);
        check(255, &[0x81, 126, 0, 255]);
        check(65_535, &[0x81, 126, 0xff, 0xff]);
        check(65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_close_frame_fits_a_control_frame() {
        let mut out = Vec::new();
        put_close(&mut out, 1012, &"ä".repeat(100));
        assert_eq!(out.len(), 2 + 2 + 122);
        assert_eq!(out[..4], [0x88, 124, 0x03, 0xf4]);
    }
}
