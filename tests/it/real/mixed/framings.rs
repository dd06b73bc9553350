//! Each framing with good and bad elements, each bad kind, and messages of no event.

use super::{Case, Expected, case, dead, indexed, several};

const GOOD: &str = r#"{"api_name":"good","datetime":"2026-01-02T03:04:05.678Z"}"#;
const FOUND: &str = r#""api_name":"good""#;

pub(super) fn cases() -> Vec<Case> {
    [framed(), bad(), empty(), timed()].into_iter().flatten().collect()
}

fn good() -> Expected {
    indexed(&[FOUND, "!\"tags\""])
}

fn bad_element(reason: &'static str, bytes: &str) -> Expected {
    Expected::Dead(reason, bytes.as_bytes().to_vec())
}

fn framed() -> Vec<Case> {
    let cut = r#"{"api_name":"cut"#;
    vec![
        case("an object", GOOD, good()),
        case("white space around", format!(" \n\t{GOOD}\r\n "), good()),
        several("an array", format!("[{GOOD},{GOOD}]"), vec![good(), good()]),
        several(
            "an array with what is no object",
            format!("[{GOOD},7,null,\"x\",[{GOOD}],{GOOD}]"),
            vec![
                good(),
                bad_element("not_an_object", "7"),
                bad_element("not_an_object", "null"),
                bad_element("not_an_object", "\"x\""),
                bad_element("not_an_object", &format!("[{GOOD}]")),
                good(),
            ],
        ),
        several("lines", format!("{GOOD}\n\n{GOOD}\r\n \n{GOOD}"), vec![good(), good(), good()]),
        several(
            "a bad line",
            format!("{GOOD}\n{cut}\n{GOOD}\n"),
            vec![good(), bad_element("not_json", cut), good()],
        ),
        several(
            "bulk pairs",
            format!("{{\"index\":{{\"_index\":\"apim\"}}}}\n{GOOD}\n{{\"create\":{{}}}}\n{GOOD}\n"),
            vec![good(), good()],
        ),
        several(
            "a bulk action without its source",
            format!("{{\"index\":{{}}}}\n{GOOD}\n{{\"index\":{{\"_id\":\"1\"}}}}\n"),
            vec![good(), bad_element("bulk_source_missing", r#"{"index":{"_id":"1"}}"#)],
        ),
        several("an envelope", format!("{{\"data\":[{GOOD},{GOOD}]}}"), vec![good(), good()]),
        several(
            "an envelope with what is no object",
            format!("{{\"data\":[1,{GOOD}]}}"),
            vec![bad_element("not_an_object", "1"), good()],
        ),
    ]
}

/// A chain of objects, one in the other, and an end.
fn nested(depth: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))
}

fn bad() -> Vec<Case> {
    vec![
        dead("no JSON", "no JSON", "not_json"),
        dead("cut off", r#"{"api_name":"cut"#, "not_json"),
        dead("a comma too many", r#"{"api_name":"x",}"#, "not_json"),
        dead("an array that is cut off", format!("[{GOOD},{GOOD}"), "not_json"),
        dead("bytes of something else", [0x1f, 0x8b, 0x08, 0, 0xff, 0xfe], "not_json"),
        dead("a number", "42", "not_an_object"),
        dead("a string", "\"text\"", "not_an_object"),
        dead("null", "null", "not_an_object"),
        case("64 deep", nested(64), indexed(&[nested(64).trim_matches(['{', '}'])])),
        dead("65 deep", nested(65), "too_deep"),
        dead("100 deep", nested(100), "too_deep"),
    ]
}

fn empty() -> Vec<Case> {
    let skipped = |name: &str, message: Option<&[u8]>, reason| Case {
        name: name.to_owned(),
        message: message.map(<[u8]>::to_vec),
        time: None,
        events: vec![Expected::Skipped(reason)],
    };
    vec![
        skipped("a tombstone", None, "tombstone"),
        skipped("no bytes", Some(b""), "empty"),
        skipped("white space", Some(b" \r\n\t\n"), "empty"),
        skipped("policy none", Some(br#"{"log_policy":"none","api_name":"x"}"#), "policy_none"),
    ]
}

/// Times that the producer gave.
fn timed() -> Vec<Case> {
    let far = 4_102_444_800_000;
    let day = r#"{"datetime":"2026-01-02T03:04:05.678Z"}"#;
    let never = r#"{"datetime":"1816-01-02T03:04:05.678Z"}"#;
    [
        ("no time", day, -1, vec!["!\"tags\""]),
        ("no time, and no sane one of its own", never, -1, vec!["_undated"]),
        ("no time, and none of its own", "{}", -1, vec!["_undated"]),
        ("before 2000", day, 1, vec!["!\"tags\""]),
        ("before 2000, and none of its own", "{}", 1, vec!["_undated"]),
        ("far ahead", day, far, vec!["!\"tags\""]),
        ("far ahead, and none of its own", "{}", far, vec!["_undated"]),
    ]
    .map(|(name, message, time, texts)| Case {
        time: Some(time),
        ..case(name, message, indexed(&texts))
    })
    .into()
}
