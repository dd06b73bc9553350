use super::*;

/// What came out of a message, in short: `event`, `repaired` or the reject's reason, each with
/// its own bytes in the payload; or `empty`.
pub(super) fn framed(payload: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut parser = Parser::new();
    let mut found = Vec::new();
    frame(payload, &mut parser, &mut |index, framed| {
        assert_eq!(index as usize, found.len(), "each index once, in order");
        let (kind, origin) = match framed {
            Framed::Event(event) => {
                assert!(event.object.is_object(0));
                assert_eq!(event.object.next(0), event.object.nodes.len());
                (if event.repaired { "repaired" } else { "event" }, event.origin)
            }
            Framed::Reject { reason, detail, origin } => {
                assert!(!detail.is_empty());
                (reason.label(), origin)
            }
            Framed::Empty => ("empty", 0..0),
        };
        found.push((kind.to_owned(), payload[origin].to_vec()));
    });
    assert!(!found.is_empty());
    found
}

fn check(payload: impl AsRef<[u8]>, expected: &[(&str, &[u8])]) {
    let payload = payload.as_ref();
    let found = framed(payload);
    let found: Vec<_> = found.iter().map(|(kind, bytes)| (kind.as_str(), &**bytes)).collect();
    let shown = String::from_utf8_lossy(payload);
    assert_eq!(found, expected, "{}", shown.get(..200).unwrap_or(&shown));
}

/// A message that is one part.
fn whole(payload: impl AsRef<[u8]>, kind: &str) {
    let payload = payload.as_ref();
    check(payload, &[(kind, payload)]);
}

#[test]
fn one_object() {
    whole("{}", "event");
    whole("{\"a\":1}", "event");
    whole(" \n{\"a\":\n{\"b\":2}\n}\r\n", "event");
    whole("{\n\"data\":{\"x\":1}}", "event");
    whole("{\"data\":5}", "event");
    whole("{\"data\":[{}],\"more\":1}", "event");
    whole("{\"data\":[{}],\"data\":[{}]}", "event");
    whole("{\"index\":5}", "event");
}

#[test]
fn nothing_at_all() {
    for payload in ["", " ", "\n\r\t \n", "[]", " [ ] ", "{\"data\":[]}", "{\"data\":[]}\n[]"] {
        check(payload, &[("empty", b"")]);
    }
}

#[test]
fn no_object() {
    for payload in ["5", "\"text\"", "null", "true", "-1e999"] {
        whole(payload, "not_an_object");
    }
    for payload in ["x", "{", "{\"a\":007}", "{\"a\":+5}", "{\"a\":1.}", "{\"a\":NaN}", "{}{}"] {
        whole(payload, "not_json");
    }
}

#[test]
fn arrays_and_envelopes() {
    let elements: &[(&str, &[u8])] =
        &[("event", b"{\"a\":1}"), ("not_an_object", b"[2]"), ("event", b"{ }")];
    check("[{\"a\":1},[2],{ }]", elements);
    check(" [ {\"a\":1} ,\n[2]\t,{ } ] \n", elements);
    check("{\"data\":[{\"a\":1},[2],{ }]}", elements);
    check("{ \"data\" : [ {\"a\":1}\n, [2],{ } ] } ", elements);
    check(
        "[1,\"]\",null,true]",
        &[
            ("not_an_object", b"1"),
            ("not_an_object", b"\"]\""),
            ("not_an_object", b"null"),
            ("not_an_object", b"true"),
        ],
    );
    check("[[]]", &[("not_an_object", b"[]")]);
    whole("[{\"a\":1},{\"a\":2}", "not_json");
    whole("[{\"a\":1},]", "not_json");
}

#[test]
fn lines_stand_alone() {
    check("{\"a\":1}\n{\"a\":2}", &[("event", b"{\"a\":1}"), ("event", b"{\"a\":2}")]);
    check(
        "\n{\"a\":1}\r\n\n \t\n {\"a\":2}\n\n",
        &[("event", b"{\"a\":1}"), ("event", b"{\"a\":2}")],
    );
    check(
        b"{\"a\":1}\nbad\n5\n{\"a\":\"\xff\"}\n{\"a\":2}",
        &[
            ("event", b"{\"a\":1}"),
            ("not_json", b"bad"),
            ("not_an_object", b"5"),
            ("repaired", b"{\"a\":\"\xff\"}"),
            ("event", b"{\"a\":2}"),
        ],
    );
    check("bad\n{\"a\":1}", &[("not_json", b"bad"), ("event", b"{\"a\":1}")]);
    check(
        b"{\"a\":\"\xff\"}\n{\"a\":\"\\ud800\"}",
        &[("repaired", b"{\"a\":\"\xff\"}"), ("repaired", b"{\"a\":\"\\ud800\"}")],
    );
    check(
        "{\"a\":1}\n[{\"a\":2},{\"a\":3}]\n{\"data\":[{\"a\":4}]}",
        &[
            ("event", b"{\"a\":1}"),
            ("event", b"{\"a\":2}"),
            ("event", b"{\"a\":3}"),
            ("event", b"{\"a\":4}"),
        ],
    );
}

#[test]
fn bulk_pairs() {
    let (index, create) = ("{\"index\":{\"_index\":\"i\"}}", "{\"create\":{}}");
    let source: (&str, &[u8]) = ("event", b"{\"a\":1}");
    check(format!("{index}\n{{\"a\":1}}\n{create}\n\n{{\"a\":1}}\n"), &[source, source]);
    check(
        format!("{index}\n{{\"a\":1}}\n{create}\n"),
        &[source, ("bulk_source_missing", create.as_bytes())],
    );
    check(
        format!("{index}\n{create}\n{{\"a\":1}}\n"),
        &[("bulk_source_missing", index.as_bytes()), source],
    );
    check(
        format!("{index}\n{{\"data\":[]}}\n{create}\n[]\n{create}\nbad\n{{\"a\":1}}"),
        &[("event", b"{\"data\":[]}"), ("not_an_object", b"[]"), ("not_json", b"bad"), source],
    );
    whole(index, "bulk_source_missing");
    check(format!("{index}\n \n"), &[("bulk_source_missing", format!("{index}\n \n").as_bytes())]);
    check(format!("[{create}]"), &[("event", create.as_bytes())]);
}

#[test]
fn one_odd_byte_hides_nothing() {
    for payload in [
        &b"{\"a\":\"\xff\"}"[..],
        b"{\"\xff\":1}",
        b"{\"a\":\"\xe2\x82\"}",
        b"{\"a\":\"\xc0\xaf\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\\ude00\\ud83d\"}",
        b"{\"a\":\"\x01\0\x1f\"}",
        b"{\"a\":\"\n{}\n\"}",
        b"{\"a\":\"\\x41\\'\\u12G4\\u12\"}",
        b"\xef\xbb\xbf{\"a\":1}",
        b"{\"a\":1}\0",
        b"\0\0\0\0\x01{\"a\":1}",
        b"{\"a\"\xff:1,\x0c\"b\":\xe2\x80\xa82}",
        b"{\"a\":\"\\ud800\",\"b\":1e999}",
        b"{\n\"a\":\"\xff\",\"list\":[\n{}\n]}",
    ] {
        whole(payload, "repaired");
    }
    // All of these are JSON as they are.
    for payload in ["{\"a\":\"\u{7f}\u{2028}\u{feff}\"}", "{\"a\":\"\\u0000\"}", "{\"a\":1e999}"] {
        whole(payload, "event");
    }
    // Mending these would be a guess at the structure.
    for payload in ["{\"a\":1}}", "{\"a\":1},", "{\"a\":1}x", "{\"a\":1", "{a:1}", "\0", "tr\0ue"] {
        whole(payload, "not_json");
    }
    whole(b"\xff\xfe{\0}\0", "not_json");
}

#[test]
fn only_the_bad_element_is_repaired() {
    check(
        b"[{\"a\":1},{\"b\":\"\xff\xff\"}, {\"c\":\"\\ud800\"} ,{\"d\":4}]",
        &[
            ("event", b"{\"a\":1}"),
            ("repaired", b"{\"b\":\"\xff\xff\"}"),
            ("repaired", b"{\"c\":\"\\ud800\"}"),
            ("event", b"{\"d\":4}"),
        ],
    );
    check(
        b"{\"data\":[\n{\"a\":\"\x01\"},\n{\"b\":2}\n]}",
        &[("repaired", b"{\"a\":\"\x01\"}"), ("event", b"{\"b\":2}")],
    );
    // Between the elements: it counts for the next one, or for the last.
    check(
        b"\xef\xbb\xbf[{\"a\":1},{\"b\":2}]",
        &[("repaired", b"{\"a\":1}"), ("event", b"{\"b\":2}")],
    );
    check(
        b"[{\"a\":1},\0{\"b\":2},{\"c\":3}]\0",
        &[("event", b"{\"a\":1}"), ("repaired", b"{\"b\":2}"), ("repaired", b"{\"c\":3}")],
    );
    // The mark before the first line, blank lines of odd bytes.
    check(b"\xef\xbb\xbf{\"index\":{}}\n\0\n{\"a\":1}\n\0\0", &[("event", b"{\"a\":1}")]);
    check(
        b"\xef\xbb\xbf{\"a\":1}\n\xef\xbb\xbf{\"b\":2}",
        &[("repaired", b"\xef\xbb\xbf{\"a\":1}"), ("repaired", b"\xef\xbb\xbf{\"b\":2}")],
    );
}

/// An object of so many levels.
fn nest(levels: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

#[test]
fn depth_costs_the_deep_alone() {
    whole(nest(64), "event");
    for levels in [65, 66, 67, 100, 2_000] {
        whole(nest(levels), "too_deep");
    }
    let (sound, deep) = (nest(64), nest(65));
    let deep_array = format!("{}{}", "[".repeat(70), "]".repeat(70));
    let expected: &[(&str, &[u8])] = &[
        ("event", sound.as_bytes()),
        ("too_deep", deep.as_bytes()),
        ("not_an_object", deep_array.as_bytes()),
        ("event", b"{}"),
    ];
    let elements = format!("{sound} ,{deep},\n{deep_array}, {{}}");
    check(format!("[{elements}]"), expected);
    check(format!(" {{ \"data\" : [{elements} ] }}"), expected);
    check(
        format!("{sound}\n{deep}\n{deep_array}\n{{}}"),
        &[
            ("event", sound.as_bytes()),
            ("too_deep", deep.as_bytes()),
            // A line that is an array: its only element is the next bracket.
            ("not_an_object", &deep_array.as_bytes()[1..deep_array.len() - 1]),
            ("event", b"{}"),
        ],
    );
    // Repaired and deep.
    let odd = deep.replace('1', "\"\u{1}\"");
    check(
        format!("[{odd},{{\"a\":\"\u{1}\"}},{{}}]"),
        &[("too_deep", odd.as_bytes()), ("repaired", b"{\"a\":\"\x01\"}"), ("event", b"{}")],
    );
    // Deep, and cut short.
    whole(&deep.as_bytes()[..deep.len() - 1], "not_json");
    check(
        format!("{}\n{{}}", "[".repeat(1_000)),
        &[("not_json", "[".repeat(1_000).as_bytes()), ("event", b"{}")],
    );
    let source = format!("{{\"index\":{{}}}}\n{deep}\n{{\"create\":{{}}}}\n{deep_array}");
    check(source, &[("too_deep", deep.as_bytes()), ("not_an_object", deep_array.as_bytes())]);
}

mod properties;
mod size;
