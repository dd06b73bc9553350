//! Cursors: where a client of the stream stands, as text that only we can make.
//!
//! A cursor is exactly [`CURSOR_BYTES`] bytes, told as [`TEXT_BYTES`] characters of base64url (RFC
//! 4648 section 5, without padding), all numbers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, [`VERSION`] |
//! | 4 | generation of the live topic, see [`generation`] |
//! | 2 | Kafka's partition |
//! | 6 | Kafka's offset of the record |
//! | 3 | index of the event in the record |
//! | 8 | MAC: the first bytes of HMAC-SHA256 over all of the above and the channel's id |
//!
//! The MAC keeps a client from making up a position, and from taking a position of one channel to
//! another: the partition of a channel is also that of other tenants. RFC 2104 section 5 advises at
//! least 80 bits; we take 64, for the sake of the length, since each guess costs a request and a
//! right one opens nothing but another place.
//!
//! Nothing here allocates, awaits or knows Kafka.

use std::cmp::Ordering;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Raised with every change of the layout. It is the first byte whatever the layout.
pub const VERSION: u8 = 1;
/// The length of a cursor before it becomes text.
pub const CURSOR_BYTES: usize = 24;
/// The length of a cursor as text.
pub const TEXT_BYTES: usize = 32;
/// A shorter key is refused: 128 random bits are beyond guessing. (RFC 2104 section 3 advises the
/// hash's own length, which is 32 bytes.)
pub const KEY_BYTES_MIN: usize = 16;
/// The highest partition that a cursor can name: 2 bytes.
pub const PARTITION_MAX: u32 = 0xffff;
/// The highest offset that a cursor can name: 6 bytes, 8 years of a million records a second.
pub const OFFSET_MAX: u64 = 0xffff_ffff_ffff;
/// The highest index in a record that a cursor can name: 3 bytes. An event has over 64 bytes, so a
/// record with more events would be over 1 GiB.
pub const INDEX_MAX: u32 = 0xff_ffff;

/// What the MAC covers of the cursor itself.
const COVERED_BYTES: usize = 16;
const MAC_BYTES: usize = CURSOR_BYTES - COVERED_BYTES;
/// So that no other use of the same key makes a MAC that is good here.
const DOMAIN: &[u8] = b"sluice cursor";

/// The place of one event in the live topic. Places of one partition and generation are ordered;
/// all others are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    generation: u32,
    partition: u16,
    offset: u64,
    index: u32,
}

impl Position {
    /// A place: `generation` as [`generation`] tells it, Kafka's partition and offset, and the
    /// index of the event in its record, counted from 0. `None` where one of them is negative or
    /// above its bound: [`PARTITION_MAX`], [`OFFSET_MAX`], [`INDEX_MAX`].
    #[must_use]
    pub fn new(generation: u32, partition: i32, offset: i64, index: u32) -> Option<Self> {
        let partition = u16::try_from(partition).ok()?;
        let offset = u64::try_from(offset).ok().filter(|offset| *offset <= OFFSET_MAX)?;
        (index <= INDEX_MAX).then_some(Self { generation, partition, offset, index })
    }

    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// As Kafka counts partitions.
    #[must_use]
    pub fn partition(&self) -> i32 {
        i32::from(self.partition)
    }

    /// As Kafka counts offsets; at most [`OFFSET_MAX`].
    #[must_use]
    pub fn offset(&self) -> i64 {
        i64::try_from(self.offset).unwrap_or(i64::MAX)
    }

    /// The event's place in its record, counted from 0.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    fn to_bytes(self) -> [u8; COVERED_BYTES] {
        let [g0, g1, g2, g3] = self.generation.to_be_bytes();
        let [p0, p1] = self.partition.to_be_bytes();
        let [_, _, o0, o1, o2, o3, o4, o5] = self.offset.to_be_bytes();
        let [_, i0, i1, i2] = self.index.to_be_bytes();
        [VERSION, g0, g1, g2, g3, p0, p1, o0, o1, o2, o3, o4, o5, i0, i1, i2]
    }

    fn from_bytes(bytes: [u8; COVERED_BYTES]) -> Self {
        let [_, g0, g1, g2, g3, p0, p1, o0, o1, o2, o3, o4, o5, i0, i1, i2] = bytes;
        Self {
            generation: u32::from_be_bytes([g0, g1, g2, g3]),
            partition: u16::from_be_bytes([p0, p1]),
            offset: u64::from_be_bytes([0, 0, o0, o1, o2, o3, o4, o5]),
            index: u32::from_be_bytes([0, i0, i1, i2]),
        }
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let comparable = self.generation == other.generation && self.partition == other.partition;
        comparable.then(|| (self.offset, self.index).cmp(&(other.offset, other.index)))
    }
}

/// The generation of a live topic: the first 4 bytes of a SHA-256 over Kafka's id of the topic, as
/// Kafka shows it, and the number of its partitions. A topic made anew has another id, and one
/// that was widened keeps its areas elsewhere: either makes old positions mean nothing. That two
/// generations that follow each other look the same happens once in 2³² times.
#[must_use]
pub fn generation(topic_id: &str, partitions: u32) -> u32 {
    let mut hash = Sha256::new();
    // The number is of fixed length and stands first, so no two pairs give the same bytes.
    hash.update(partitions.to_be_bytes());
    hash.update(topic_id.as_bytes());
    let [first, second, third, fourth, ..]: [u8; 32] = hash.finalize().into();
    u32::from_be_bytes([first, second, third, fourth])
}

/// A cursor as clients see it: base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text([u8; TEXT_BYTES]);

impl Text {
    /// The characters; all of them are ASCII, and JSON and URLs take them as they are.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; TEXT_BYTES] {
        &self.0
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        // Base64 is ASCII, so nothing falls to the default.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Why a text is no place to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CursorError {
    /// Not [`TEXT_BYTES`] characters of base64url.
    #[error("the cursor is not {TEXT_BYTES} characters of base64url")]
    Malformed,
    /// Made by another version of Sluice.
    #[error("the cursor is of version {0}, known is {VERSION}")]
    OtherVersion(u8),
    /// Not made by us for this channel.
    #[error("the cursor was not made for this channel")]
    Forged,
    /// The live topic was made anew or widened since.
    #[error("the cursor is of a former live topic")]
    OtherGeneration,
}

/// The key is shorter than [`KEY_BYTES_MIN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key of cursors is shorter than {KEY_BYTES_MIN} bytes")]
pub struct KeyTooShort;

/// Makes and reads cursors under one key. All replicas need the same key.
#[derive(Clone)]
pub struct Cursors {
    /// With the key taken in: a copy of it begins a MAC.
    keyed: Hmac<Sha256>,
}

impl Cursors {
    /// # Errors
    ///
    /// The key has less than [`KEY_BYTES_MIN`] bytes.
    pub fn new(key: &[u8]) -> Result<Self, KeyTooShort> {
        if key.len() < KEY_BYTES_MIN {
            return Err(KeyTooShort);
        }
        // HMAC itself takes keys of every length.
        let Ok(mut keyed) = Hmac::<Sha256>::new_from_slice(key) else { return Err(KeyTooShort) };
        keyed.update(DOMAIN);
        Ok(Self { keyed })
    }

    /// The cursor of a place for the clients of a channel.
    #[must_use]
    pub fn seal(&self, channel: &str, position: Position) -> Text {
        let covered = position.to_bytes();
        let mac: [u8; 32] = self.mac(channel, &covered).finalize().into_bytes().into();
        let mut bytes = [0; CURSOR_BYTES];
        for (byte, from) in bytes.iter_mut().zip(covered.iter().chain(&mac)) {
            *byte = *from;
        }
        let mut text = [b'A'; TEXT_BYTES];
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        debug_assert_eq!(written, Ok(TEXT_BYTES));
        Text(text)
    }

    /// The place that a cursor of a channel names. `generation_now` is that of the live topic.
    ///
    /// # Errors
    ///
    /// In this order: the text is no cursor, of another version, not ours or another channel's, of
    /// another generation. The MAC is compared in constant time.
    pub fn open(
        &self,
        channel: &str,
        text: &str,
        generation_now: u32,
    ) -> Result<Position, CursorError> {
        if text.len() != TEXT_BYTES {
            return Err(CursorError::Malformed);
        }
        let mut bytes = [0; CURSOR_BYTES];
        let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        if decoded != Ok(CURSOR_BYTES) {
            return Err(CursorError::Malformed);
        }
        let (covered, mac) =
            bytes.split_first_chunk::<COVERED_BYTES>().ok_or(CursorError::Malformed)?;
        debug_assert_eq!(mac.len(), MAC_BYTES);
        // Before the MAC, since another version may keep that elsewhere.
        match covered {
            [VERSION, ..] => {}
            [version, ..] => return Err(CursorError::OtherVersion(*version)),
        }
        if self.mac(channel, covered).verify_truncated_left(mac).is_err() {
            return Err(CursorError::Forged);
        }
        let position = Position::from_bytes(*covered);
        if position.generation != generation_now {
            return Err(CursorError::OtherGeneration);
        }
        Ok(position)
    }

    /// The channel's id comes last, behind bytes of fixed length, so that no two pairs of cursor
    /// and channel give the same bytes.
    fn mac(&self, channel: &str, covered: &[u8; COVERED_BYTES]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(covered);
        mac.update(channel.as_bytes());
        mac
    }
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursors(keyed)")
    }
}

#[cfg(test)]
mod tests;
