//! Cursors: where a client of the stream stands, as text that only we can make.
//!
//! A cursor is [`CURSOR_BYTES`] bytes where its area has one partition, told as [`TEXT_BYTES`]
//! characters of base64url (RFC 4648 section 5, without padding), all numbers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, [`VERSION`] |
//! | 4 | generation of the live topic, see [`generation`] |
//! | 2 | Kafka's partition |
//! | 6 | Kafka's offset of the record |
//! | 3 | index of the event in the record |
//! | 8 | MAC: the first bytes of HMAC-SHA256 over all of the above, their length and the channel's id |
//!
//! Where the area is spread over several partitions, the one that is told is its first, and offset
//! and index come again for each of the others: 9 bytes or 12 characters more.
//!
//! The MAC keeps a client from making up a position, and from taking a position of one channel to
//! another: the partition of a channel is also that of other tenants. RFC 2104 section 5 advises at
//! least 80 bits; we take 64, for the sake of the length, since each guess costs a request and a
//! right one opens nothing but another place.
//!
//! Nothing here awaits or knows Kafka.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::place::{Place, Places};
use crate::deliver::mirror::spread;

/// Raised with every change of the layout. It is the first byte whatever the layout.
pub const VERSION: u8 = 1;
/// The length of a cursor before it becomes text, where its area has one partition.
pub const CURSOR_BYTES: usize = 24;
/// The length of such a cursor as text.
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

/// Version, generation and partition.
const HEAD_BYTES: usize = 7;
/// Offset and index.
const PLACE_BYTES: usize = 9;
const MAC_BYTES: usize = CURSOR_BYTES - HEAD_BYTES - PLACE_BYTES;
const LANES_MAX: usize = spread::LANES_MAX as usize;
/// The length of the longest text.
pub const TEXT_BYTES_MAX: usize = (HEAD_BYTES + LANES_MAX * PLACE_BYTES + MAC_BYTES) / 3 * 4;
/// So that no other use of the same key makes a MAC that is good here.
const DOMAIN: &[u8] = b"sluice cursor";

/// A place in each partition of an area, in one generation of the live topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    generation: u32,
    partition: u16,
    places: Places,
}

impl Position {
    /// `generation` as [`generation`] tells it, Kafka's number of the area's first partition, and
    /// the places by lane. `None` where one of them is negative or above its bound:
    /// [`PARTITION_MAX`], [`OFFSET_MAX`], [`INDEX_MAX`], [`spread::LANES_MAX`].
    #[must_use]
    pub fn new(generation: u32, partition: i32, places: Places) -> Option<Self> {
        let partition = u16::try_from(partition).ok()?;
        let is_told = |place: &Place| {
            u64::try_from(place.offset).is_ok_and(|offset| offset <= OFFSET_MAX)
                && place.index <= INDEX_MAX
        };
        let all = places.as_slice();
        (all.len() <= LANES_MAX && all.iter().all(is_told)).then_some(Self {
            generation,
            partition,
            places,
        })
    }

    /// Kafka's number of the area's first partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        i32::from(self.partition)
    }

    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// What the MAC covers.
    fn covered(&self) -> Vec<u8> {
        let places = self.places.as_slice();
        let bytes = HEAD_BYTES + places.len() * PLACE_BYTES + MAC_BYTES;
        let mut covered = Vec::with_capacity(bytes);
        covered.push(VERSION);
        covered.extend_from_slice(&self.generation.to_be_bytes());
        covered.extend_from_slice(&self.partition.to_be_bytes());
        for place in places {
            let [_, _, offset @ ..] = place.offset.to_be_bytes();
            let [_, index @ ..] = place.index.to_be_bytes();
            covered.extend_from_slice(&offset);
            covered.extend_from_slice(&index);
        }
        covered
    }

    fn read(covered: &[u8]) -> Option<Self> {
        let ([_, g0, g1, g2, g3, p0, p1], places) = covered.split_first_chunk::<HEAD_BYTES>()?;
        let (places, rest) = places.as_chunks::<PLACE_BYTES>();
        let place = |[o0, o1, o2, o3, o4, o5, i0, i1, i2]: &[u8; PLACE_BYTES]| Place {
            offset: i64::from_be_bytes([0, 0, *o0, *o1, *o2, *o3, *o4, *o5]),
            index: u32::from_be_bytes([0, *i0, *i1, *i2]),
        };
        let places: Vec<Place> = places.iter().map(place).collect();
        (rest.is_empty() && places.len() <= LANES_MAX).then_some(())?;
        Some(Self {
            generation: u32::from_be_bytes([*g0, *g1, *g2, *g3]),
            partition: u16::from_be_bytes([*p0, *p1]),
            places: Places::new(&places)?,
        })
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
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CursorText(Text);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Text {
    /// Of one partition, as most are.
    Short([u8; TEXT_BYTES]),
    Long(Box<[u8]>),
}

impl CursorText {
    /// What stands where there is no cursor: a text that is none.
    #[must_use]
    pub const fn none() -> Self {
        Self(Text::Short([b'-'; TEXT_BYTES]))
    }

    /// The characters; all of them are ASCII, and JSON and URLs take them as they are.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Short(text) => text,
            Text::Long(text) => text,
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        // Base64 is ASCII, so nothing falls to the default.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl From<String> for CursorText {
    fn from(text: String) -> Self {
        let short = text.as_bytes().try_into().map(Text::Short);
        Self(short.unwrap_or_else(|_longer| Text::Long(text.into_bytes().into())))
    }
}

impl fmt::Display for CursorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CursorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Why a text is no place to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CursorError {
    /// Of no cursor's length, or not base64url.
    #[error("the cursor is not as many characters of base64url as a cursor has")]
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

    /// The cursor of a position for the clients of a channel.
    #[must_use]
    pub fn seal(&self, channel: &str, position: &Position) -> CursorText {
        let mut bytes = position.covered();
        let mac: [u8; 32] = self.mac(channel, &bytes).finalize().into_bytes().into();
        bytes.extend(mac.iter().take(MAC_BYTES));
        URL_SAFE_NO_PAD.encode(bytes).into()
    }

    /// The position that a cursor of a channel names. `generation_now` is that of the live topic.
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
        if text.len() > TEXT_BYTES_MAX {
            return Err(CursorError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_error| CursorError::Malformed)?;
        let (covered, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(CursorError::Malformed)?;
        // Before anything else, since another version may be of another length, and keep its MAC
        // elsewhere.
        match covered {
            [VERSION, ..] => {}
            // Of which there never was one: letters that say nothing.
            [0, ..] | [] => return Err(CursorError::Malformed),
            [version, ..] => return Err(CursorError::OtherVersion(*version)),
        }
        let position = Position::read(covered).ok_or(CursorError::Malformed)?;
        if self.mac(channel, covered).verify_truncated_left(mac).is_err() {
            return Err(CursorError::Forged);
        }
        if position.generation != generation_now {
            return Err(CursorError::OtherGeneration);
        }
        Ok(position)
    }

    /// The length comes first, so that no two pairs of cursor and channel give the same bytes.
    fn mac(&self, channel: &str, covered: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(&(covered.len() as u64).to_be_bytes());
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
