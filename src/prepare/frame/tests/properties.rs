//! What holds for every message.

use proptest::prelude::*;

use super::framed;

/// An object on one line that is neither an envelope nor an action line.
fn object() -> impl Strategy<Value = String> {
    proptest::collection::btree_map("[a-z]{1,4}", any::<Option<(String, i64)>>(), 0..5)
        .prop_filter("plain", |object| !object.keys().any(|name| matches!(name.as_str(), "data")))
        .prop_map(|object| serde_json::to_string(&object).unwrap())
}

fn bad_line() -> impl Strategy<Value = Vec<u8>> {
    let lines: Vec<&[u8]> = vec![
        b"x",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"{\"a\":",
        b"{\"a\":\"",
        b"{\"a\":\"\\",
        b"\xff",
        b"{\"a\":1},",
        b"[1,",
        b"\0\xff}",
        b"{\"a\":\"\xff",
        b"{}{}",
        b"5",
        b"[5]",
    ];
    prop_oneof![
        proptest::sample::select(lines).prop_map(<[u8]>::to_vec),
        Just("[".repeat(70).into_bytes()),
        Just("{\"a\":".repeat(70).into_bytes()),
    ]
}

/// The bytes of a message by parts that mean something, and some that mean nothing.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let parts: Vec<&[u8]> = vec![
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"\n",
        b" ",
        b"{}",
        b"{\"a\":1}",
        b"{\"data\":[",
        b"]}",
        b"{\"index\":{}}\n",
        b"\"a\"",
        b"1e999",
        b"null",
        b"\xff",
        b"\0",
        b"\xef\xbb\xbf",
        b"\\ud800",
        b"\\u",
        b"\xe2\x82",
    ];
    let deep = Just("[".repeat(65).into_bytes());
    let part =
        prop_oneof![30 => proptest::sample::select(parts).prop_map(<[u8]>::to_vec), 1 => deep];
    proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_bytes_come_to_something(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        framed(&payload);
    }

    #[test]
    fn any_soup_comes_to_something(payload in soup()) {
        let found = framed(&payload);
        // What a dead letter would hold of an event is that event again.
        for (kind, origin) in found {
            if matches!(kind.as_str(), "event" | "repaired") {
                let again = framed(&origin);
                let is_one = again.len() == 1 && again[0].0 != "not_json";
                prop_assert!(is_one || origin.starts_with(b"{\"data\""), "{again:?}");
            }
        }
    }

    #[test]
    fn an_object_is_one_event(object in object()) {
        prop_assert_eq!(framed(object.as_bytes()), [("event".to_owned(), object.into_bytes())]);
    }

    #[test]
    fn elements_and_lines_are_events(objects in proptest::collection::vec(object(), 1..6)) {
        let expected: Vec<_> =
            objects.iter().map(|object| ("event".to_owned(), object.clone().into_bytes())).collect();
        prop_assert_eq!(&framed(objects.join("\n").as_bytes()), &expected);
        prop_assert_eq!(&framed(objects.join("\r\n\n").as_bytes()), &expected);
        prop_assert_eq!(&framed(format!("[{}]", objects.join(" ,\n")).as_bytes()), &expected);
        prop_assert_eq!(&framed(format!("{{\"data\":[{}]}}", objects.join(",")).as_bytes()), &expected);
        let pairs: Vec<_> = objects.iter().map(|object| format!("{{\"index\":{{}}}}\n{object}")).collect();
        prop_assert_eq!(&framed(pairs.join("\n").as_bytes()), &expected);
    }

    #[test]
    fn a_bad_line_costs_itself(
        objects in proptest::collection::vec(object(), 2..6),
        bad in bad_line(),
        at in any::<proptest::sample::Index>(),
    ) {
        let at = at.index(objects.len() + 1);
        let mut lines: Vec<_> = objects.iter().map(|object| object.clone().into_bytes()).collect();
        lines.insert(at, bad.clone());
        let found = framed(&lines.join(&b'\n'));
        prop_assert_eq!(found.len(), lines.len());
        for (number, (kind, origin)) in found.iter().enumerate() {
            if number == at {
                prop_assert!(!matches!(kind.as_str(), "event" | "repaired"));
            } else {
                prop_assert_eq!((kind.as_str(), origin), ("event", &lines[number]));
            }
        }
    }

    /// Whatever a caller gets into a string that the gateway quotes: it is an event.
    #[test]
    fn no_value_hides_its_event(value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut payload = b"{\"a\":\"".to_vec();
        payload.extend(value.iter().filter(|&&byte| byte != b'"'));
        payload.extend(b"x\"}");
        let found = framed(&payload);
        prop_assert_eq!(found.len(), 1);
        prop_assert!(matches!(found[0].0.as_str(), "event" | "repaired"), "{:?}", found);
        prop_assert_eq!(&found[0].1, &payload);
    }
}
