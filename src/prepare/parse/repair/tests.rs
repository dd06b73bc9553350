use proptest::prelude::*;

use super::*;

fn check(original: &[u8], expected: &str) {
    let mut repair = Repair::default();
    let changed = repair.run(original);
    assert_eq!(String::from_utf8_lossy(repair.text()), expected);
    assert_eq!(changed, original != expected.as_bytes(), "{expected}");
}

#[test]
fn inside_strings() {
    // What is sound stays.
    check(
        br#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 \u0000""#,
        r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 \u0000""#,
    );
    check("\"\u{7f}\u{2028}\u{feff}é€😀\"".as_bytes(), "\"\u{7f}\u{2028}\u{feff}é€😀\"");
    // Not UTF-8: a lone byte, overlong, cut short, a surrogate in three bytes, out of range.
    check(b"\"a\xffb\"", "\"a\u{fffd}b\"");
    check(b"\"\xc0\xaf\"", "\"\u{fffd}\u{fffd}\"");
    check(b"\"\xe2\x82\"", "\"\u{fffd}\"");
    check(b"\"\xed\xa0\x80\"", "\"\u{fffd}\u{fffd}\u{fffd}\"");
    check(b"\"\xf5\x80\"", "\"\u{fffd}\u{fffd}\"");
    // Surrogates alone, reversed, before another escape, at the end.
    check(br#""\ud800x""#, r#""\ufffdx""#);
    check(br#""\ude00\ud83d""#, r#""\ufffd\ufffd""#);
    check(br#""\uD83D\n""#, r#""\ufffd\n""#);
    check(br#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#);
    check(b"\"\\ud83d\xff\\ude00\"", "\"\\ufffd\u{fffd}\\ufffd\"");
    // Control bytes.
    check(b"\"a\0b\x1f\n\r\t\x0c\"", r#""a\u0000b\u001f\n\r\t\f""#);
    // Backslashes that begin nothing.
    check(br#""\x41\'\u12G4\u12""#, r#""\\x41\\'\\u12G4\\u12""#);
    check(b"\"\\\n\\\xff\"", "\"\\\\\\n\\\\\u{fffd}\"");
    check(br#""\u""#, r#""\\u""#);
}

#[test]
fn between_tokens() {
    check("\u{feff}{}".as_bytes(), "   {}");
    check(b"{\0\"a\"\x0c:\xff1}\0\0", "{ \"a\" : 1}  ");
    check("{\u{a0}}\u{2028}\u{85}".as_bytes(), "{  }     ");
    check("{é}".as_bytes(), "{é}");
    check(b"12\xff34", "12 34");
    check(b"tr\0ue", "tr ue");
}

#[test]
fn utf_16_is_left_alone() {
    let mut repair = Repair::default();
    assert!(!repair.run(b"\xff\xfe{\0}\0"));
    assert!(!repair.run(b"\xfe\xff\0{\0}"));
}

#[test]
fn places_before_the_repair() {
    let original = b"\xff[\"\x01\x02\xff\",\0{},\"\\x\", 1]";
    let mut repair = Repair::default();
    assert!(repair.run(original));
    let text = String::from_utf8(repair.text().to_vec()).unwrap();
    for (token, touched) in [("{}", false), ("\"\\\\x\"", true), (" 1", false), ("]", false)] {
        let start = text.find(token).unwrap();
        let range = start..start + token.len();
        let expected: &[u8] = if touched { b"\"\\x\"" } else { token.as_bytes() };
        assert_eq!(&original[repair.origin(&range)], expected);
        assert_eq!(repair.touched(&range), touched, "{token}");
    }
    assert_eq!(repair.origin(&(0..text.len())), 0..original.len());
    assert!(repair.touched(&(0..text.len())));
}

proptest! {
    #[test]
    fn a_second_repair_finds_nothing(original in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut first = Repair::default();
        first.run(&original);
        let mut second = Repair::default();
        prop_assert!(!second.run(first.text()));
        prop_assert!(std::str::from_utf8(first.text()).is_ok());
    }

    #[test]
    fn sound_json_stays(value in proptest::collection::vec(".*", 0..4)) {
        let text = serde_json::to_vec(&value).unwrap();
        let mut repair = Repair::default();
        prop_assert!(!repair.run(&text));
        prop_assert_eq!(repair.text(), &text[..]);
    }
}
