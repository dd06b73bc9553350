use proptest::prelude::*;

use super::*;

const KEY: &[u8] = b"a key of more than sixteen bytes";
const GENERATION: u32 = 0x1234_5678;

fn cursors() -> Cursors {
    Cursors::new(KEY).unwrap()
}

fn position(partition: i32, offset: i64, index: u32) -> Position {
    positions(partition, &[(offset, index)])
}

fn places(places: &[(i64, u32)]) -> Places {
    let places: Vec<_> =
        places.iter().map(|(offset, index)| Place { offset: *offset, index: *index }).collect();
    Places::new(&places).unwrap()
}

fn positions(partition: i32, all: &[(i64, u32)]) -> Position {
    Position::new(GENERATION, partition, places(all)).unwrap()
}

#[test]
fn bounds() {
    let check = |partition: i32, offset: i64, index: u32, expected: bool| {
        let found = Position::new(0, partition, places(&[(offset, index)]));
        assert_eq!(found.is_some(), expected, "{partition} {offset} {index}");
        // In any lane.
        let second = Position::new(0, partition, places(&[(1, 1), (offset, index)]));
        assert_eq!(second.is_some(), expected, "{partition} {offset} {index}");
        let (Some(found), Some(second)) = (found, second) else { return };
        for position in [found, second] {
            let text = cursors().seal("c", &position);
            assert_eq!(cursors().open("c", text.as_str(), 0), Ok(position));
        }
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
    let check = |position: &Position, expected: &[u8], characters: usize| {
        let text = cursors().seal("channel", position);
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).unwrap();
        let (covered, told) = bytes.split_last_chunk::<MAC_BYTES>().unwrap();
        assert_eq!(covered, expected);
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
        mac.update(b"sluice cursor");
        mac.update(&(expected.len() as u64).to_be_bytes());
        mac.update(expected);
        mac.update(b"channel");
        assert_eq!(*told, mac.finalize().into_bytes()[..MAC_BYTES]);
        assert_eq!(text.to_string().len(), characters);
    };
    let mut covered = vec![1, 0x12, 0x34, 0x56, 0x78, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    let first = (0x0304_0506_0708, 0x09_0a0b);
    check(&position(0x0102, first.0, first.1), &covered, TEXT_BYTES);
    covered.extend([0, 0, 0, 0, 0, 5, 0, 0, 6]);
    check(&positions(0x0102, &[first, (5, 6)]), &covered, 44);
    covered.extend([0; 14 * PLACE_BYTES]);
    let mut all = vec![first, (5, 6)];
    all.extend([(0, 0); 14]);
    check(&positions(0x0102, &all), &covered, TEXT_BYTES_MAX);
    all.push((0, 0));
    assert_eq!(Position::new(GENERATION, 0x0102, places(&all)), None);
}

#[test]
fn refused() {
    let ours = cursors().seal("c", &position(3, 7, 1));
    let check = |channel: &str, text: &str, generation: u32, expected: CursorError| {
        assert_eq!(cursors().open(channel, text, generation), Err(expected), "{text}");
    };
    check("d", ours.as_str(), GENERATION, CursorError::Forged);
    check("", ours.as_str(), GENERATION, CursorError::Forged);
    check("c", ours.as_str(), GENERATION + 1, CursorError::OtherGeneration);
    let other = Cursors::new(b"another key of sixteen bytes").unwrap();
    check("c", other.seal("c", &position(3, 7, 1)).as_str(), GENERATION, CursorError::Forged);
    let long = format!("{ours}A");
    let longest = "A".repeat(TEXT_BYTES_MAX + 4);
    let between = format!("AQ{}", "A".repeat(34));
    let short = ours.as_str().get(..31).unwrap();
    let padded = format!("{short}=");
    let standard = format!("{short}+");
    let wide = format!("{}ä", short.get(..30).unwrap());
    for text in ["", "A", short, &long, &longest, &between, &padded, &standard, &wide] {
        check("c", text, GENERATION, CursorError::Malformed);
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(ours.as_bytes()).unwrap();
    bytes[0] = 2;
    let text = URL_SAFE_NO_PAD.encode(&bytes);
    check("c", &text, GENERATION, CursorError::OtherVersion(2));
    // Whatever its length.
    bytes.pop();
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

/// What one cursor covers could be another's, with some of the channel's id.
#[test]
fn a_cursor_of_other_lanes_is_forged() {
    let two = cursors().seal("c", &positions(3, &[(7, 1), (8, 2)]));
    let mut bytes = URL_SAFE_NO_PAD.decode(two.as_bytes()).unwrap();
    let second: Vec<u8> =
        bytes.drain(HEAD_BYTES + PLACE_BYTES..HEAD_BYTES + 2 * PLACE_BYTES).collect();
    let channel = format!("{}c", String::from_utf8(second).unwrap());
    let text = URL_SAFE_NO_PAD.encode(bytes);
    assert_eq!(cursors().open(&channel, &text, GENERATION), Err(CursorError::Forged));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn sealed_opens_and_one_flipped_bit_does_not(
        partition in 0..=0xffff_i32,
        offset in 0..=0xffff_ffff_ffff_i64,
        index in 0..=INDEX_MAX,
        lanes in 1..=LANES_MAX,
        generation in any::<u32>(),
        channel in "[a-z0-9-]{0,40}",
        bit in 0..(HEAD_BYTES + LANES_MAX * PLACE_BYTES + MAC_BYTES) * 8,
    ) {
        let places = Places::all(lanes, Place { offset, index });
        let position = Position::new(generation, partition, places).unwrap();
        let text = cursors().seal(&channel, &position);
        prop_assert_eq!(cursors().open(&channel, text.as_str(), generation), Ok(position));
        let mut bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).unwrap();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let version = bytes[0];
        let flipped = cursors().open(&channel, &URL_SAFE_NO_PAD.encode(bytes), generation);
        let expected = match version {
            VERSION => CursorError::Forged,
            0 => CursorError::Malformed,
            version => CursorError::OtherVersion(version),
        };
        prop_assert_eq!(flipped, Err(expected));
    }

    #[test]
    fn no_text_panics(text in ".{0,300}") {
        prop_assert!(cursors().open("c", &text, GENERATION).is_err());
    }
}
