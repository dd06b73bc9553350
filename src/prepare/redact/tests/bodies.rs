//! JSON paths and patterns in bodies.

use super::*;

fn body(rules: &[(&str, RedactAction)], value: &str, expected: &str) {
    let rules = rules.iter().map(|&(path, action)| (body_path(path), action)).collect();
    let redactor = Redactor::compile(&with(rules)).unwrap();
    check(|value, out| redactor.field("request_body", value, out), value, expected);
}

#[test]
fn body_paths() {
    for (path, value, expected) in [
        ("$.a", r#"{"a":1,"b":1.50}"#, r#"{"a":"[redacted]","b":1.50}"#),
        ("$.a", " { \"a\" : \"x\\\"y\" , \"b\":-0 }\n", " { \"a\" : \"[redacted]\" , \"b\":-0 }\n"),
        ("$.a", r#"{"a":{"a":[1,{"a":2}]},"b":{"a":3}}"#, r#"{"a":"[redacted]","b":{"a":3}}"#),
        (
            "$.a",
            r#"{"a":1,"a":2,"\u0061":3}"#,
            r#"{"a":"[redacted]","a":"[redacted]","\u0061":"[redacted]"}"#,
        ),
        ("$.a", r#"{"a":null,"b":"","c":[]}"#, r#"{"a":"[redacted]","b":"","c":[]}"#),
        ("$.a", r#"{"a":""}"#, r#"{"a":""}"#),
        ("$.a", r#"[{"a":1}]"#, r#"[{"a":1}]"#),
        (
            "$.a.b",
            r#"{"a":{"b":1,"c":{"b":1}},"b":1}"#,
            r#"{"a":{"b":"[redacted]","c":{"b":1}},"b":1}"#,
        ),
        ("$.a[1]", r#"{"a":[1, 2 ,3]}"#, r#"{"a":[1, "[redacted]" ,3]}"#),
        (
            "$[*].a",
            r#"[{"a":1},{"b":2,"a":3},4]"#,
            r#"[{"a":"[redacted]"},{"b":2,"a":"[redacted]"},4]"#,
        ),
        ("$.*", r#"{"a":1,"b":[2]}"#, r#"{"a":"[redacted]","b":"[redacted]"}"#),
        (
            "$..a",
            r#"{"a":1,"b":[{"a":{"a":2}},[[{"c":{"a":3}}]]]}"#,
            r#"{"a":"[redacted]","b":[{"a":"[redacted]"},[[{"c":{"a":"[redacted]"}}]]]}"#,
        ),
        ("$..a.b", r#"{"a":{"a":{"b":1}}}"#, r#"{"a":{"a":{"b":"[redacted]"}}}"#),
        ("$..[0]", r#"[[1,2],[3]]"#, r#"["[redacted]",["[redacted]"]]"#),
        ("$['a.b']", r#"{"a.b":1,"a":{"b":2}}"#, r#"{"a.b":"[redacted]","a":{"b":2}}"#),
        ("$[\"ä'\"]", r#"{"ä'":1e999}"#, r#"{"ä'":"[redacted]"}"#),
        // JSON that is the text of a string.
        ("$.a.b", r#"{"a":"{\"b\":\"x\",\"c\":1}"}"#, r#"{"a":"{\"b\":\"[redacted]\",\"c\":1}"}"#),
        (
            "$.a[0].b",
            r#"{"a":"[ \"{\\\"b\\\":1}\" ]"}"#,
            r#"{"a":"[ \"{\\\"b\\\":\\\"[redacted]\\\"}\" ]"}"#,
        ),
        ("$.a.b", r#"{"a":"\u007b\"b\":1}","c":2}"#, r#"{"a":"{\"b\":\"[redacted]\"}","c":2}"#),
        ("$.a.b", r#"{"a":"{\"b\":1"}"#, r#"{"a":"[redacted]"}"#),
        (
            "$..b",
            r#"{"a":"[draft] title","c":"\"best\" {x}"}"#,
            r#"{"a":"[draft] title","c":"\"best\" {x}"}"#,
        ),
        ("$.a.b", r#"{"a":" \"{\\\"b\\\":1"}"#, r#"{"a":"[redacted]"}"#),
        ("$.a.b", r#"{"a":"text","c":"{\"b\":1}"}"#, r#"{"a":"text","c":"{\"b\":1}"}"#),
        ("$..b", r#"{"a":["{\"x\":{\"b\":1}}"]}"#, r#"{"a":["{\"x\":{\"b\":\"[redacted]\"}}"]}"#),
        ("$.a", "\u{feff}{\"a\":1}", "\u{feff}{\"a\":\"[redacted]\"}"),
        ("$.a", "", ""),
        ("$.a", " \n", " \n"),
        ("$.a", "12", "12"),
        ("$.a", r#""text""#, r#""text""#),
    ] {
        body(&[(path, RedactAction::Mask)], value, expected);
    }
}

#[test]
fn what_is_no_json_is_removed() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for value in [
        "a=1&b=2",
        "<a>1</a>",
        "{",
        "{\"a\":1",
        "{\"a\":1}}",
        "{\"a\":1} {\"a\":2}",
        "{\"a\":1,}",
        "[1,]",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":NaN}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{\"\\x\":1}",
        "{\"\\ud800\":1}",
        "\"{\\\"a\\\":1}\"",
        "\"[1]\"",
        "\"open",
        "tru",
        "[1 2]",
        "[}",
        "{]",
        ",",
        "[,1]",
        &deep,
    ] {
        body(&[("$.a", RedactAction::Mask)], value, GONE);
    }
}

#[test]
fn members_are_removed_with_their_commas() {
    for (paths, value, expected) in [
        (&["$.a"][..], r#"{"a":1}"#, "{}"),
        (&["$.a"], r#"{ "a":1 , "b":2 }"#, r#"{  "b":2 }"#),
        (&["$.b"], r#"{"a":1 , "b":2 }"#, r#"{"a":1 }"#),
        (&["$.b"], r#"{"a":1,"b":2,"c":3}"#, r#"{"a":1,"c":3}"#),
        (&["$.b", "$.c"], r#"{"a":1,"b":2,"c":3}"#, r#"{"a":1}"#),
        (&["$.a", "$.b"], r#"{"a":1,"b":2,"c":3}"#, r#"{"c":3}"#),
        (&["$.a", "$.c"], r#"{"a":1,"b":2,"c":3}"#, r#"{"b":2}"#),
        (&["$.*"], r#"{"a":1,"b":{"c":1},"c":[3]}"#, "{}"),
        (
            &["$..a"],
            r#"{"x":{"a":1},"a":[{"a":1}],"y":[{"b":1,"a":2}]}"#,
            r#"{"x":{},"y":[{"b":1}]}"#,
        ),
        (&["$.a[0]"], r#"{"a":[1,2]}"#, r#"{"a":[null,2]}"#),
    ] {
        let rules: Vec<_> = paths.iter().map(|path| (*path, RedactAction::Remove)).collect();
        body(&rules, value, expected);
    }
}

#[test]
fn of_two_rules_the_stricter_holds() {
    let rules = [("$.a", RedactAction::Hash), ("$..a", RedactAction::Mask)];
    body(&rules, r#"{"a":1}"#, r#"{"a":"[redacted]"}"#);
    body(&[rules[1], ("$.*", RedactAction::Remove)], r#"{"a":1,"b":2}"#, "{}");
}

#[test]
fn patterns() {
    let redactor = Redactor::compile(&with(vec![
        (body_pattern(r"\b\d{4}(-\d{4}){3}\b"), RedactAction::Mask),
        (body_pattern(r"pin=(?<secret>\d*)"), RedactAction::Mask),
        (body_pattern("[a-z]{8}"), RedactAction::Mask),
        (body_pattern("gone"), RedactAction::Remove),
    ]))
    .unwrap();
    for (value, expected) in [
        ("1234-5678-9012-3456, 1234-5678-9012-3456", "[redacted], [redacted]"),
        ("pin=1;pin=;pin=22", "pin=[redacted];pin=;pin=[redacted]"),
        ("abcdefgh [redacted]", "[redacted] [redacted]"),
        ("a gone b", "a  b"),
        ("gone", GONE),
        ("none", "none"),
        ("", ""),
    ] {
        check(|value, out| redactor.field("request_body", value, out), value, expected);
    }
}
