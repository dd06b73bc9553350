use proptest::prelude::*;

use super::*;

const KEY: &[u8] = b"a key of more than sixteen bytes";
const GENERATION: u32 = 0x1234_5678;

fn cursors() -> Cursors {
    Cursors::new(KEY).unwrap()
}

fn position(partition: i32, offset: i64, index: u32) -> Position {
    Position::new(GENERATION, partition, offset, index).unwrap()
}

#[test]
fn bounds() {
    let check = |partition: i32, offset: i64, index: u32, expected: bool| {
        let found = Position::new(0, partition, offset, index);
        assert_eq!(found.is_some(), expected, "{partition} {offset} {index}");
        let Some(found) = found else { return };
        assert_eq!((found.partition(), found.offset(), found.index()), (partition, offset, index));
        let text = cursors().seal("c", found);
        assert_eq!(cursors().open("c", text.as_str(), 0), Ok(found));
    };
    let (partition_max, offset_max) = (0xffff, 0xffff_ffff_ffff);
    check(0, 0, 0, true);
    check(partition_max, offset_max, INDEX_MAX, true);
    check(-1, 0, 0, false);
    check(partition_max + 1, 0, 0, false);
    check(0, -1, 0, false);
    // Kafka's names for the two ends of a partition are no offsets of records.
    check(0, -2, 0, false);
    check(0, offset_max + 1, 0, false);
    check(0, i64::MAX, 0, false);
    check(0, 0, INDEX_MAX + 1, false);
    check(0, 0, u32::MAX, false);
}

/// The layout is a promise to cursors that clients hold.
#[test]
fn layout() {
    let text = cursors().seal("channel", position(0x0102, 0x0304_0506_0708, 0x09_0a0b));
    let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).unwrap();
    assert_eq!(bytes.len(), CURSOR_BYTES);
    let covered = [1, 0x12, 0x34, 0x56, 0x78, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    assert_eq!(bytes[..COVERED_BYTES], covered);
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(b"sluice cursor");
    mac.update(&covered);
    mac.update(b"channel");
    assert_eq!(bytes[COVERED_BYTES..], mac.finalize().into_bytes()[..MAC_BYTES]);
    assert_eq!(text.to_string().len(), TEXT_BYTES);
}

#[test]
fn refused() {
    let ours = cursors().seal("c", position(3, 7, 1));
    let check = |channel: &str, text: &str, generation: u32, expected: CursorError| {
        assert_eq!(cursors().open(channel, text, generation), Err(expected), "{text}");
    };
    check("d", ours.as_str(), GENERATION, CursorError::Forged);
    check("", ours.as_str(), GENERATION, CursorError::Forged);
    check("c", ours.as_str(), GENERATION + 1, CursorError::OtherGeneration);
    let other = Cursors::new(b"another key of sixteen bytes").unwrap();
    check("c", other.seal("c", position(3, 7, 1)).as_str(), GENERATION, CursorError::Forged);
    let long = format!("{ours}A");
    let short = ours.as_str().get(..31).unwrap();
    let padded = format!("{short}=");
    let standard = format!("{short}+");
    let wide = format!("{}ä", short.get(..30).unwrap());
    for text in ["", "A", short, &long, &padded, &standard, &wide] {
        check("c", text, GENERATION, CursorError::Malformed);
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(ours.as_bytes()).unwrap();
    bytes[0] = 2;
    let text = URL_SAFE_NO_PAD.encode(&bytes);
    check("c", &text, GENERATION, CursorError::OtherVersion(2));
}

#[test]
fn keys() {
    assert!(Cursors::new(&[7; KEY_BYTES_MIN]).is_ok());
    assert!(Cursors::new(&[7; KEY_BYTES_MIN - 1]).is_err());
    assert!(Cursors::new(&[7; 200]).is_ok());
    assert_eq!(format!("{:?}", cursors()), "Cursors(keyed)");
}

#[test]
fn generations() {
    let now = generation("lXhN3zXuTqSvYJGVkN7IhA", 12);
    assert_eq!(now, generation("lXhN3zXuTqSvYJGVkN7IhA", 12));
    assert_ne!(now, generation("lXhN3zXuTqSvYJGVkN7IhA", 13));
    assert_ne!(now, generation("lXhN3zXuTqSvYJGVkN7IhB", 12));
    assert_ne!(generation("a1", 2), generation("a", 12));
    // A replica of the next release must come to the same.
    assert_eq!(now, 0x9954_4b99);
}

#[test]
fn order() {
    let check = |one: (i32, i64, u32), other: (i32, i64, u32), expected: Option<Ordering>| {
        let (one, other) = (position(one.0, one.1, one.2), position(other.0, other.1, other.2));
        assert_eq!(one.partial_cmp(&other), expected);
        assert_eq!(other.partial_cmp(&one), expected.map(Ordering::reverse));
    };
    check((1, 5, 2), (1, 5, 2), Some(Ordering::Equal));
    check((1, 5, 2), (1, 5, 3), Some(Ordering::Less));
    check((1, 5, 9), (1, 6, 0), Some(Ordering::Less));
    check((1, 5, 2), (2, 5, 2), None);
    let former = Position::new(GENERATION - 1, 1, 5, 2).unwrap();
    assert_eq!(former.partial_cmp(&position(1, 5, 2)), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn sealed_opens_and_one_flipped_bit_does_not(
        partition in 0..=0xffff_i32,
        offset in 0..=0xffff_ffff_ffff_i64,
        index in 0..=INDEX_MAX,
        generation in any::<u32>(),
        channel in "[a-z0-9-]{0,40}",
        bit in 0..CURSOR_BYTES * 8,
    ) {
        let position = Position::new(generation, partition, offset, index).unwrap();
        let text = cursors().seal(&channel, position);
        prop_assert_eq!(cursors().open(&channel, text.as_str(), generation), Ok(position));
        let mut bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let version = bytes[0];
        let flipped = cursors().open(&channel, &URL_SAFE_NO_PAD.encode(bytes), generation);
        let expected = if version == VERSION {
            CursorError::Forged
        } else {
            CursorError::OtherVersion(version)
        };
        prop_assert_eq!(flipped, Err(expected));
    }

    #[test]
    fn no_text_panics(text in ".{0,40}") {
        prop_assert!(cursors().open("c", &text, GENERATION).is_err());
    }
}
