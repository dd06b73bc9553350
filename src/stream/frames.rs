//! What goes over the wire: messages framed for the transport, ready to be written.
//!
//! Server frames of a WebSocket are not masked (RFC 6455, section 5.1), so one framing serves all
//! listeners that ask for the same, and is made once.

use std::ops::Range;

use bytes::Bytes;

pub use super::cursor::CursorText;
pub use crate::metrics::stream::Transport;

/// The events of one record, ready to be written: messages behind one another.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Bytes,
    frames: Vec<Frame>,
}

/// One message.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// Where it ends in the bytes.
    end: usize,
    /// The event of the record that follows those in it.
    next: u32,
    /// Events in it and in those before it.
    events: u64,
}

impl Frames {
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The first message with events from this place in the record on.
    #[must_use]
    pub fn first_from(&self, index: u32) -> usize {
        self.frames.partition_point(|frame| frame.next <= index)
    }

    /// The event that follows those of a message.
    #[must_use]
    pub fn next(&self, frame: usize) -> u32 {
        self.frames.get(frame).map_or(u32::MAX, |frame| frame.next)
    }

    /// How many events some messages hold.
    #[must_use]
    pub fn events(&self, frames: Range<usize>) -> u64 {
        let until = |frame: usize| {
            let last = frame.checked_sub(1).and_then(|last| self.frames.get(last));
            last.map_or(0, |frame| frame.events)
        };
        until(frames.end) - until(frames.start)
    }

    /// Where the bytes of a message end; of those before the first, at 0.
    #[must_use]
    pub fn end(&self, frame: usize) -> usize {
        self.frames.get(frame).map_or(self.bytes.len(), |frame| frame.end)
    }

    /// Where the bytes of a message begin.
    #[must_use]
    pub fn start(&self, frame: usize) -> usize {
        frame.checked_sub(1).map_or(0, |before| self.end(before))
    }

    /// The message that a byte is of.
    #[must_use]
    pub fn frame_at(&self, byte: usize) -> usize {
        self.frames.partition_point(|frame| frame.end <= byte)
    }

    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// The same bytes, shared and not copied.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        let end = range.end.min(self.bytes.len());
        self.bytes.slice(range.start.min(end)..end)
    }
}

/// Writes messages behind one another.
#[derive(Debug, Default)]
pub struct Framing {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

impl Framing {
    /// With room for so many bytes and messages.
    #[must_use]
    pub fn with_capacity(bytes: usize, frames: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), frames: Vec::with_capacity(frames) }
    }

    /// One more message of so many events, which `next` follows in the record.
    pub fn put(&mut self, message: &Message<'_>, next: u32, events: u64) {
        message.put(&mut self.bytes);
        let before = self.frames.last().map_or(0, |frame| frame.events);
        self.frames.push(Frame { end: self.bytes.len(), next, events: before + events });
    }

    #[must_use]
    pub fn done(self) -> Frames {
        Frames { bytes: self.bytes.into(), frames: self.frames }
    }
}

/// One message and how it is framed.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub transport: Transport,
    /// Of a WebSocket.
    pub opcode: Opcode,
    pub parts: &'a [&'a [u8]],
    /// The cursor that a reader of server-sent events comes back with.
    pub id: Option<&'a CursorText>,
}

impl<'a> Message<'a> {
    /// Something said in JSON that is no event.
    #[must_use]
    pub fn text(transport: Transport, parts: &'a [&'a [u8]]) -> Self {
        Self { transport, opcode: Opcode::Text, parts, id: None }
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        let length: usize = self.parts.iter().map(|part| part.len()).sum();
        match self.transport {
            Transport::WebSocket => put_header(out, self.opcode, length),
            Transport::Sse => {
                if let Some(id) = self.id {
                    out.extend_from_slice(b"id: ");
                    out.extend_from_slice(id.as_bytes());
                    out.push(b'\n');
                }
                // JSON has no raw line ends, so a message is one line.
                out.extend_from_slice(b"data: ");
            }
            Transport::Ndjson => {}
        }
        self.parts.iter().for_each(|part| out.extend_from_slice(part));
        match self.transport {
            Transport::WebSocket => {}
            Transport::Sse => out.extend_from_slice(b"\n\n"),
            Transport::Ndjson => out.push(b'\n'),
        }
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

/// Writes the answer to a client's close frame: the same code, if it gave one (RFC 6455, section
/// 5.5.1).
pub fn put_close_answer(out: &mut Vec<u8>, code: Option<u16>) {
    match code {
        Some(code) => put_close(out, code, ""),
        None => put_header(out, Opcode::Close, 0),
    }
}

/// Writes the answer to a ping: the same bytes.
pub fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    put_header(out, Opcode::Pong, payload.len());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_every_transport() {
        let id = CursorText::from("c".repeat(32));
        let check = |transport, opcode, expected: &str| {
            let mut out = Vec::new();
            Message { transport, opcode, parts: &[b"{\"a\"", b":1}"], id: Some(&id) }.put(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        };
        check(Transport::Ndjson, Opcode::Text, "{\"a\":1}\n");
        let sse = format!("id: {}\ndata: {{\"a\":1}}\n\n", "c".repeat(32));
        check(Transport::Sse, Opcode::Text, &sse);
        let mut out = Vec::new();
        Message::text(Transport::WebSocket, &[b"hi"]).put(&mut out);
        assert_eq!(out, [0x81, 2, b'h', b'i']);
    }

    #[test]
    fn frames_are_found_by_event_and_by_byte() {
        let mut framing = Framing::default();
        // Events 0 and 1 in one message, 2 in none, 3 in the next.
        for (text, next) in [("ab", 2), ("c", 4)] {
            framing.put(&Message::text(Transport::Ndjson, &[text.as_bytes()]), next, 2);
        }
        let frames = framing.done();
        assert_eq!((frames.len(), frames.len_bytes()), (2, 5));
        let first = [0, 1, 2, 3, 4, 9].map(|index| frames.first_from(index));
        assert_eq!(first, [0, 0, 1, 1, 2, 2]);
        let at = [0, 2, 3, 4, 5].map(|byte| frames.frame_at(byte));
        assert_eq!(at, [0, 0, 1, 1, 2]);
        assert_eq!((frames.start(0), frames.end(0), frames.start(1), frames.end(1)), (0, 3, 3, 5));
        assert_eq!(frames.bytes(frames.start(1)..frames.end(1)), b"c\n");
        assert_eq!(frames.slice(3..99), "c\n");
        assert_eq!((frames.events(0..0), frames.events(1..2), frames.events(0..2)), (0, 2, 4));
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
