//! What a client sends: bytes in, messages out, with the checks of RFC 6455 and a bound on all
//! that is held.

use std::fmt;

/// A client sends small control messages only: larger ones close the socket (N3).
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// Of RFC 6455, section 5.5.
const CONTROL_BYTES_MAX: usize = 125;
/// Two bytes, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;

/// A whole message, or the client's wish to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Binary(Vec<u8>),
    /// To be answered with a pong of the same bytes.
    Ping(Vec<u8>),
    Pong,
    /// The code that it gave, if any.
    Close(Option<u16>),
}

/// Why the connection is to be closed, with its close code (RFC 6455, section 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    Protocol(&'static str),
    NotUtf8,
    TooLarge,
}

impl Violation {
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::NotUtf8 => 1007,
            Self::TooLarge => 1009,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(what) => f.write_str(what),
            Self::NotUtf8 => f.write_str("a text message that is not UTF-8"),
            Self::TooLarge => write!(f, "a message of more than {MESSAGE_BYTES_MAX} bytes"),
        }
    }
}

/// Reads frames; holds at most one message and one header.
#[derive(Debug, Default)]
pub struct Input {
    /// Bytes that are not a whole frame yet.
    held: Vec<u8>,
    /// The message whose last fragment has not come.
    fragments: Option<(Kind, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// The header of a frame.
struct Header {
    is_last: bool,
    opcode: u8,
    mask: [u8; 4],
    payload: std::ops::Range<usize>,
}

impl Input {
    /// Takes what came, at most a few kilobytes at a time, and puts out the messages that are
    /// whole.
    ///
    /// # Errors
    /// The client broke the protocol or a bound: nothing more is to be read.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Message>) -> Result<(), Violation> {
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(header) = header(self.held.get(at..).unwrap_or_default())? {
            let Some(payload) =
                self.held.get_mut(at..).and_then(|rest| rest.get_mut(header.payload.clone()))
            else {
                break;
            };
            for (byte, mask) in payload.iter_mut().zip(header.mask.into_iter().cycle()) {
                *byte ^= mask;
            }
            let payload = payload.to_vec();
            at += header.payload.end;
            if let Some(message) = self.frame(&header, payload)? {
                let is_close = matches!(message, Message::Close(_));
                out.push(message);
                if is_close {
                    break;
                }
            }
        }
        self.held.drain(..at);
        Ok(())
    }

    fn frame(&mut self, header: &Header, payload: Vec<u8>) -> Result<Option<Message>, Violation> {
        let (kind, mut message) = match (header.opcode, self.fragments.take()) {
            (8..=10, fragments) => {
                self.fragments = fragments;
                return control(header.opcode, payload).map(Some);
            }
            (0, Some(begun)) => begun,
            (0, None) => return Err(Violation::Protocol("a continuation of no message")),
            (_, Some(_)) => return Err(Violation::Protocol("a message inside another")),
            (1, None) => (Kind::Text, Vec::new()),
            (_, None) => (Kind::Binary, Vec::new()),
        };
        if message.len() + payload.len() > MESSAGE_BYTES_MAX {
            return Err(Violation::TooLarge);
        }
        message.extend_from_slice(&payload);
        if kind == Kind::Text && cannot_become_utf8(&message) {
            return Err(Violation::NotUtf8);
        }
        if !header.is_last {
            self.fragments = Some((kind, message));
            return Ok(None);
        }
        match kind {
            Kind::Binary => Ok(Some(Message::Binary(message))),
            Kind::Text => match String::from_utf8(message) {
                Ok(text) => Ok(Some(Message::Text(text))),
                Err(_) => Err(Violation::NotUtf8),
            },
        }
    }
}

/// Whether no further fragment could make it UTF-8: what ends within a character can go on.
fn cannot_become_utf8(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
}

/// The header at the start of `bytes`, where all of it is there.
fn header(bytes: &[u8]) -> Result<Option<Header>, Violation> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let (is_last, opcode) = (first & 0x80 != 0, first & 0x0f);
    if first & 0x70 != 0 {
        return Err(Violation::Protocol("a reserved bit is set"));
    }
    if !matches!(opcode, 0..=2 | 8..=10) {
        return Err(Violation::Protocol("an unknown opcode"));
    }
    if second & 0x80 == 0 {
        return Err(Violation::Protocol("a frame that is not masked"));
    }
    let (length, length_bytes) = match second & 0x7f {
        126 => match rest {
            [a, b, ..] => (u64::from(u16::from_be_bytes([*a, *b])), 2),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 8),
            None => return Ok(None),
        },
        short => (u64::from(short), 0),
    };
    if opcode >= 8 && (length > CONTROL_BYTES_MAX as u64 || !is_last) {
        return Err(Violation::Protocol("a control frame that is long or in pieces"));
    }
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= MESSAGE_BYTES_MAX)
    else {
        return Err(Violation::TooLarge);
    };
    let Some(mask) = rest.get(length_bytes..).and_then(<[u8]>::first_chunk::<4>) else {
        return Ok(None);
    };
    let start = 2 + length_bytes + 4;
    debug_assert!(start <= HEADER_BYTES_MAX);
    Ok(Some(Header { is_last, opcode, mask: *mask, payload: start..start + length }))
}

fn control(opcode: u8, payload: Vec<u8>) -> Result<Message, Violation> {
    match opcode {
        9 => Ok(Message::Ping(payload)),
        10 => Ok(Message::Pong),
        _ => close(&payload),
    }
}

fn close(payload: &[u8]) -> Result<Message, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        let empty = payload.is_empty();
        return if empty {
            Ok(Message::Close(None))
        } else {
            Err(Violation::Protocol("a close code of one byte"))
        };
    };
    let code = u16::from_be_bytes(*code);
    // Those that a peer may send (section 7.4, and the registry that it made).
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::Protocol("a close code that nobody may send"));
    }
    if str::from_utf8(reason).is_err() {
        return Err(Violation::NotUtf8);
    }
    Ok(Message::Close(Some(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
            length => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes.extend_from_slice(&MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// Fed whole, and byte by byte.
    fn check(bytes: &[u8], expected: Result<&[Message], Violation>) {
        let mut whole = Vec::new();
        let outcome = Input::default().feed(bytes, &mut whole);
        assert_eq!(outcome.map(|()| whole.as_slice()), expected);
        let (mut input, mut single) = (Input::default(), Vec::new());
        let outcome = bytes.iter().try_for_each(|byte| input.feed(&[*byte], &mut single));
        assert_eq!(outcome.map(|()| single.as_slice()), expected);
        assert!(input.held.len() <= MESSAGE_BYTES_MAX + HEADER_BYTES_MAX);
    }

    #[test]
    fn messages() {
        let text = |text: &str| Message::Text(text.to_owned());
        check(&frame(0x81, b"hello"), Ok(&[text("hello")]));
        check(&frame(0x81, b""), Ok(&[text("")]));
        check(&frame(0x82, b"\xff"), Ok(&[Message::Binary(vec![0xff])]));
        check(&frame(0x89, b"p"), Ok(&[Message::Ping(b"p".to_vec())]));
        check(&frame(0x8a, b"p"), Ok(&[Message::Pong]));
        check(&frame(0x88, b""), Ok(&[Message::Close(None)]));
        check(&frame(0x88, b"\x03\xe8bye"), Ok(&[Message::Close(Some(1000))]));
        let long = "x".repeat(MESSAGE_BYTES_MAX);
        check(&frame(0x81, long.as_bytes()), Ok(&[text(&long)]));
        // In pieces, with a ping between them, and a character in both.
        let pieces =
            [frame(0x01, b"a\xc3"), frame(0x89, b""), frame(0x00, b"\xa4"), frame(0x80, b"b")];
        check(&pieces.concat(), Ok(&[Message::Ping(vec![]), text("aäb")]));
        let two = [frame(0x81, b"1"), frame(0x81, b"2")].concat();
        check(&two, Ok(&[text("1"), text("2")]));
    }

    #[test]
    fn violations() {
        let protocol = |bytes: &[u8], what| check(bytes, Err(Violation::Protocol(what)));
        protocol(&frame(0xc1, b"x"), "a reserved bit is set");
        protocol(&frame(0x83, b"x"), "an unknown opcode");
        protocol(&frame(0x8b, b"x"), "an unknown opcode");
        protocol(&[0x81, 0x01, b'x'], "a frame that is not masked");
        protocol(&frame(0x09, b"x"), "a control frame that is long or in pieces");
        protocol(&frame(0x89, &[0; 126]), "a control frame that is long or in pieces");
        protocol(&frame(0x80, b"x"), "a continuation of no message");
        protocol(&[frame(0x01, b"a"), frame(0x81, b"b")].concat(), "a message inside another");
        protocol(&frame(0x88, b"x"), "a close code of one byte");
        protocol(&frame(0x88, &1005_u16.to_be_bytes()), "a close code that nobody may send");
        protocol(&frame(0x88, &999_u16.to_be_bytes()), "a close code that nobody may send");
        check(&frame(0x81, b"\xff"), Err(Violation::NotUtf8));
        check(&frame(0x81, b"\xc3"), Err(Violation::NotUtf8));
        // Before the last fragment has come.
        check(&frame(0x01, b"a\xed\xa0"), Err(Violation::NotUtf8));
        check(&frame(0x88, b"\x03\xe8\xff"), Err(Violation::NotUtf8));
        check(&frame(0x81, &[b'x'; MESSAGE_BYTES_MAX + 1]), Err(Violation::TooLarge));
        let pieces = [frame(0x01, &[b'x'; MESSAGE_BYTES_MAX]), frame(0x80, b"x")].concat();
        check(&pieces, Err(Violation::TooLarge));
        // A length that no memory has is refused before anything is held for it.
        let huge = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes()].concat();
        check(&huge, Err(Violation::TooLarge));
    }
}
