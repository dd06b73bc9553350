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
