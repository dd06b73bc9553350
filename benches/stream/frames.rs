//! Frames of a server, as far as one must read them to count them.

/// What is looked at of a text.
const HEAD_BYTES: usize = 10;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const PING: u8 = 9;
/// The end of an event's own fields and the time at which the load made it, in microseconds.
pub(crate) const EVENT_ID: &[u8] = b"\"event_id\":\"";
pub(crate) const MADE: &[u8] = b"\"bench_made_us\":";

/// What came, since the beginning.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Frames with events.
    pub(crate) frames: u64,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// Pings that want an answer.
    pub(crate) pings: u64,
    /// Frames that are none, errors, gaps, closes.
    pub(crate) faults: u64,
}

/// One socket's frames, cut wherever its reads are.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: Vec<u8>,
    /// Of the payload.
    left: usize,
    opcode: u8,
    head: Vec<u8>,
    /// The whole payload, where it is looked at.
    whole: Option<Vec<u8>>,
    /// When events were made.
    pub(crate) made: Vec<u64>,
}

impl Frames {
    /// `is_whole`: texts are kept until they are whole, their events counted and dated.
    pub(crate) fn new(is_whole: bool) -> Self {
        Self { whole: is_whole.then(Vec::new), ..Self::default() }
    }

    pub(crate) fn feed(&mut self, mut bytes: &[u8], tally: &mut Tally) {
        tally.bytes += bytes.len() as u64;
        while let [first, rest @ ..] = bytes {
            if self.left > 0 {
                let (payload, behind) = bytes.split_at(self.left.min(bytes.len()));
                self.payload(payload);
                bytes = behind;
                if self.left == 0 {
                    self.end(tally);
                }
                continue;
            }
            self.header.push(*first);
            bytes = rest;
            let Some(length) = length(&self.header) else { continue };
            self.opcode = self.header[0] & 0x0f;
            // Whole, unmasked, and with nothing reserved.
            if self.header[0] & 0xf0 != 0x80 || self.header[1] & 0x80 != 0 {
                tally.faults += 1;
            }
            self.header.clear();
            self.left = length;
            if length == 0 {
                self.end(tally);
            }
        }
    }

    fn payload(&mut self, bytes: &[u8]) {
        self.left -= bytes.len();
        match &mut self.whole {
            Some(whole) => whole.extend_from_slice(bytes),
            None if self.head.len() < HEAD_BYTES => {
                let missing = HEAD_BYTES - self.head.len();
                self.head.extend_from_slice(&bytes[..missing.min(bytes.len())]);
            }
            None => {}
        }
    }

    fn end(&mut self, tally: &mut Tally) {
        let text = self.whole.as_deref().unwrap_or(&self.head);
        match self.opcode {
            TEXT if text.starts_with(b"{\"cursor\":") => {
                tally.frames += 1;
                if self.whole.is_some() {
                    tally.events += memchr::memmem::find_iter(text, EVENT_ID).count() as u64;
                    let made = memchr::memmem::find_iter(text, MADE);
                    self.made.extend(made.map(|at| number(&text[at + MADE.len()..])));
                } else {
                    tally.events += 1;
                }
            }
            TEXT if text.starts_with(b"{\"status\":") => {}
            // Compressed: it cannot be looked into.
            BINARY => {
                tally.frames += 1;
                tally.events += 1;
            }
            PING => tally.pings += 1,
            _ => tally.faults += 1,
        }
        self.head.clear();
        if let Some(whole) = &mut self.whole {
            whole.clear();
        }
    }
}

/// The payload's length, where the header is whole (RFC 6455, section 5.2).
fn length(header: &[u8]) -> Option<usize> {
    match (header.get(1)? & 0x7f, header.len()) {
        (short @ 0..=125, 2..) => Some(usize::from(short)),
        (126, 4..) => Some(usize::from(u16::from_be_bytes([header[2], header[3]]))),
        (127, 10..) => {
            let bytes: [u8; 8] = header[2..10].try_into().unwrap();
            Some(usize::try_from(u64::from_be_bytes(bytes)).unwrap())
        }
        _ => None,
    }
}

fn number(text: &[u8]) -> u64 {
    text.iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
