//! Every field of the catalogue with every kind of JSON value: whatever does not fit moves aside,
//! and the index refuses none.

use sluice::schema::{CATALOGUE, GEO_KEYS, Kind};

use super::{Case, case, indexed};

/// One of each kind, and what looks like the right one and is not.
const VALUES: [&str; 28] = [
    "null",
    "true",
    "0",
    "-1.5",
    "1e999",
    "4294967296",
    "99999999999999999999",
    r#""""#,
    r#"" ""#,
    r#""text""#,
    r#""12""#,
    r#""+5""#,
    r#""1.2.3.4""#,
    r#""2016-09-29T22:17:43.404Z""#,
    r#""POINT (1 2)""#,
    "[]",
    "[null]",
    "[1,2]",
    r#"["a",true,1]"#,
    "[200,100]",
    "[[1,2],[3]]",
    "[[[]]]",
    "[{}]",
    r#"[{"a":1},"b"]"#,
    "{}",
    r#"{"a":{"b":[1,{"c":null}]}}"#,
    r#"{"lat":91,"lon":1}"#,
    r#"{"type":"Point","coordinates":[1,2]}"#,
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for row in CATALOGUE {
        match row.name.split_once('.') {
            None => each(&mut cases, row.name, |value| format!("{{\"{}\":{value}}}", row.name)),
            Some((parent, name)) => each(&mut cases, row.name, |value| {
                format!("{{\"{parent}\":{{\"{name}\":{value}}}}}")
            }),
        }
        if matches!(row.kind, Kind::Object | Kind::Nested | Kind::Flattened) {
            each(&mut cases, &format!("[{}]", row.name), |value| {
                format!("{{\"{}\":[{{\"task\":{value}}},{{\"started\":{value}}}]}}", row.name)
            });
        }
    }
    for (key, _) in GEO_KEYS {
        each(&mut cases, &format!("[client_geoip].{key}"), |value| {
            format!("{{\"client_geoip\":[{{\"{key}\":{value}}}]}}")
        });
    }
    // Where typed fields are lifted from.
    for header in ["user-agent", "Content-Type", "host", "referer"] {
        each(&mut cases, &format!("header {header}"), |value| {
            format!("{{\"request_http_headers\":{{\"{header}\":{value}}}}}")
        });
    }
    cases
}

fn each(cases: &mut Vec<Case>, name: &str, event: impl Fn(&str) -> String) {
    for value in VALUES {
        let message = event(value);
        cases.push(case(&format!("{name}: {message}"), message, indexed(&["{\"@timestamp\":"])));
    }
}
