//! The traps that real records hold, row by row: odd values, numbers, bytes that are no text.

use super::{Case, case, indexed};

pub(super) fn cases() -> Vec<Case> {
    [fields(), times(), reserved(), numbers(), repaired(), doubled(), large()]
        .into_iter()
        .flatten()
        .collect()
}

/// Each message with what its document holds.
fn each(rows: &[(&str, &[&str])]) -> Vec<Case> {
    rows.iter().map(|(message, texts)| case(message, *message, indexed(texts))).collect()
}

fn fields() -> Vec<Case> {
    each(&[
        (
            r#"{"status_code":"200 OK"}"#,
            &[r#""status_code":"200 OK""#, r#""status":200"#, r#""status_class":"2xx""#],
        ),
        (
            r#"{"status_code":"404"}"#,
            &[r#""status_code":"404""#, r#""status":404"#, r#""status_class":"4xx""#],
        ),
        (r#"{"status_code":200}"#, &[r#""status":200"#, r#""status_class":"2xx""#]),
        (r#"{"query_string":"a=1&b=2"}"#, &[r#""query_string":"a=1&b=2""#]),
        (r#"{"query_string":[]}"#, &["!query_string"]),
        (r#"{"query_string":["a=1"]}"#, &[r#""query_string":"a=1""#]),
        (r#"{"query_string":""}"#, &["!query_string"]),
        (
            r#"{"request_http_headers":[{"X-One":"1"},{"x-two":"a"},{"X-TWO":"b"}]}"#,
            &[r#""request_http_headers":{"x-one":"1","x-two":["a","b"]}"#],
        ),
        (r#"{"request_http_headers":[]}"#, &["!request_http_headers"]),
        (r#"{"response_http_headers":{"X-N":1,"X-B":true}}"#, &[r#"{"x-n":"1","x-b":"true"}"#]),
        (r#"{"request_http_headers":"","response_http_headers":"x"}"#, &["unparsed"]),
        (r#"{"log_policy":"event"}"#, &[r#""log_policy":"event""#]),
        (
            r#"{"log_policy":"activity","request_body":"x"}"#,
            &[r#""log_policy":"activity""#, "!request_body"],
        ),
        (
            r#"{"log_policy":"headers","response_http_headers":{"a":"b"}}"#,
            &[r#""log_policy":"headers""#, r#"{"a":"b"}"#],
        ),
        (r#"{"log_policy":"payload","request_body":"x"}"#, &[r#""request_body":"x""#]),
        (
            r#"{"bytes_sent":"12","time_to_serve_request":"269"}"#,
            &[r#""bytes_sent":12"#, r#""time_to_serve_request":269"#],
        ),
        (
            r#"{"billing":{"amount":"0.1000","trial_period_days":"0"}}"#,
            &[r#""amount":0.1000,"trial_period_days":0"#],
        ),
        (r#"{"billing":{"amount":"+5"}}"#, &[r#""unparsed":{"billing.amount":"+5"}"#, "_unparsed"]),
        (r#"{"billing":{"amount":"007"}}"#, &[r#""unparsed":{"billing.amount":"007"}"#]),
        (r#"{"bytes_received":"many"}"#, &[r#""unparsed":{"bytes_received":"many"}"#]),
        (
            r#"{"bytes_sent":9223372036854775808}"#,
            &[r#""unparsed":{"bytes_sent":9223372036854775808}"#],
        ),
        (r#"{"rateLimit":{"count":"1","limit":100}}"#, &[r#""rateLimit":{"count":1,"limit":100}"#]),
        (
            r#"{"rateLimit":{"per-minute":{"count":"1","limit":"100"}}}"#,
            &[r#""rateLimit":[{"name":"per-minute","count":1,"limit":100}]"#],
        ),
        (
            r#"{"latency_info":[{"task":"Start","started":0},{"task":"proxy","started":"10"}],"time_to_serve_request":30}"#,
            &[r#"{"task":"proxy","started":10}"#, r#""gateway_ms":10"#, r#""backend_ms":20"#],
        ),
        (r#"{"api_version":1,"plan_id":2.50}"#, &["\"api_version\":", "2.50"]),
        (r#"{"tags":"one"}"#, &[r#""tags":["one""#]),
        (r#"{"tags":["one","two"],"bytes_sent":"x"}"#, &[r#"["one","two","_unparsed""#]),
        (
            r#"{"app_name":"","app_type":"N/A","endpoint_url":"undefined","host":"-"}"#,
            &[r#""app_name":"","app_type":"N/A","endpoint_url":"undefined","host":"-""#],
        ),
        (r#"{"client_ip":"not an address"}"#, &[r#""not an address""#, "_client_geoip_lookup"]),
        (
            r#"{"backend_url":"/x","opentracing_info":{"a":[1]}}"#,
            &[r#""backend_url":"/x""#, r#""opentracing_info":{"a":[1]}"#],
        ),
    ])
}

fn times() -> Vec<Case> {
    each(&[
        (
            r#"{"datetime":"2016-09-29T22:17:43.404Z"}"#,
            &[r#""datetime":"2016-09-29T22:17:43.404Z""#, "ingest_lag_ms"],
        ),
        (r#"{"datetime":"2016-09-29T22:17:43Z"}"#, &[r#""datetime":"2016-09-29T22:17:43"#]),
        (
            r#"{"datetime":"2016-09-29T22:17:43.123456789Z"}"#,
            &[r#""datetime":"2016-09-29T22:17:43.123"#],
        ),
        (
            r#"{"datetime":"2016-09-30T00:17:43.404+02:00"}"#,
            &[r#""datetime":"2016-09-29T22:17:43.404Z""#],
        ),
        (r#"{"datetime":1475187463404}"#, &[r#""datetime":"2016-09-29T22:17:43.404Z""#]),
        (r#"{"datetime":"1475187463404"}"#, &["\"datetime\":\""]),
        (
            r#"{"datetime":"yesterday"}"#,
            &[r#""unparsed":{"datetime":"yesterday"}"#, "\"datetime\":\"2", "\"tags\""],
        ),
        (r#"{"datetime":99999999999999999999}"#, &["99999999999999999999"]),
    ])
}

fn reserved() -> Vec<Case> {
    each(&[
        (
            r#"{"@timestamp":"2020-01-01T00:00:00.000Z","@version":"7"}"#,
            &[
                r#""source":{"@timestamp":"2020-01-01T00:00:00.000Z","@version":"7"}"#,
                r#""@version":"1""#,
            ],
        ),
        (r#"{"event_id":"theirs"}"#, &[r#""source":{"event_id":"theirs"}"#]),
        (
            r#"{"status":"x","latency":{"a":1},"unparsed":[1],"source":"s","ingest_lag_ms":"l"}"#,
            &[
                r#""status":"x""#,
                r#""latency":{"a":1}"#,
                r#""unparsed":[1]"#,
                r#""source":"s""#,
                r#""ingest_lag_ms":"l""#,
            ],
        ),
        (
            r#"{"client_geoip":{"ip":"9.20.152.215","location":[-78.9,35.9]}}"#,
            &[r#""client_geoip":{"ip":"9.20.152.215","location":[-78.9,35.9]}"#],
        ),
        (r#"{"headers":{"http_host":"x"}}"#, &["!http_host"]),
    ])
}

/// Digits as they came, wherever they stand.
fn numbers() -> Vec<Case> {
    let long = "7".repeat(1_001);
    let just = format!("1.{}", "3".repeat(998));
    let mut cases = each(&[
        (
            r#"{"n":1234567890123456789012345678901234567890}"#,
            &[r#""n":1234567890123456789012345678901234567890"#],
        ),
        (r#"{"n":1e999}"#, &[r#""n":1e999"#, "!_unparsed"]),
        (r#"{"n":[-0,0.1000,1E+2,-1e-999]}"#, &[r#""n":[-0,0.1000,1E+2,-1e-999]"#]),
        (r#"{"billing":{"amount":0.1000}}"#, &[r#""amount":0.1000"#]),
        (r#"{"billing":{"amount":1e999}}"#, &[r#""billing.amount":1e999"#, "_unparsed"]),
        (
            r#"{"plan_version":123456789012345678901234567890.50}"#,
            &["123456789012345678901234567890.50"],
        ),
    ]);
    let more = |name: &str, message: String, texts: &[&str]| case(name, message, indexed(texts));
    cases.push(more("999 digits", format!("{{\"n\":{just}}}"), &[&just, "!_unparsed"]));
    let quoted = format!("\"{long}\"");
    for (name, message) in [
        ("1,001 digits", format!("{{\"n\":{long}}}")),
        ("1,001 digits within", format!("{{\"n\":[{{\"a\":{long}}}]}}")),
        ("1,001 digits of a typed field", format!("{{\"bytes_sent\":{long}}}")),
        ("1,001 digits of a keyword", format!("{{\"api_version\":{long}}}")),
        ("1,001 digits of a part", format!("{{\"billing\":{{\"amount\":{long},\"x\":{long}}}}}")),
        ("1,001 digits of a header", format!("{{\"request_http_headers\":{{\"a\":{long}}}}}")),
    ] {
        let mut texts = vec![long.as_str()];
        if !name.ends_with("header") {
            texts.push("_unparsed");
        }
        if name == "1,001 digits" {
            texts.push(&quoted);
        }
        cases.push(more(name, message, &texts));
    }
    cases
}

fn repaired() -> Vec<Case> {
    let mended =
        |name: &str, message: &[u8], text: &str| case(name, message, indexed(&[text, "_repaired"]));
    vec![
        mended("invalid UTF-8", b"{\"api_name\":\"caf\xe9\"}", "\"api_name\":\"caf\u{fffd}\""),
        mended("an overlong NUL", b"{\"api_name\":\"a\xc0\x80b\"}", "\u{fffd}"),
        mended("invalid UTF-8 in a name", b"{\"caf\xe9\":1}", "\"caf\u{fffd}\":1"),
        mended("a lone surrogate", br#"{"api_name":"a\ud800b"}"#, "\"api_name\":\"a\u{fffd}b\""),
        mended("a low surrogate alone", br#"{"api_name":"\udc00"}"#, "\u{fffd}"),
        mended("a raw control byte", b"{\"api_name\":\"a\x01b\"}", "\"api_name\":\"a"),
        mended("a raw line break", b"{\"api_name\":\"a\nb\"}", "\"api_name\":\"a\\nb\""),
        mended("a raw NUL", b"{\"api_name\":\"a\0b\"}", "\"api_name\":\"a\\u0000b\""),
        mended("a byte-order mark", b"\xef\xbb\xbf{\"api_name\":\"x\"}", "\"api_name\":\"x\""),
        mended(
            "a raw NUL in a header's name",
            b"{\"request_http_headers\":{\"a\0b\":\"x\"}}",
            "unparsed",
        ),
        case(
            "a written NUL",
            r#"{"api_name":"a\u0000b"}"#,
            indexed(&["\"api_name\":\"a\\u0000b\"", "!_unparsed"]),
        ),
        case(
            "NUL in a header's name",
            r#"{"request_http_headers":{"a\u0000b":"x","c":"d"}}"#,
            indexed(&["unparsed", "_unparsed", r#"{"c":"d"}"#]),
        ),
        case(
            "NUL in a header's name and value, as an array",
            r#"{"response_http_headers":[{"\u0000":"x"},{"c":"\u0000d"}]}"#,
            indexed(&["unparsed", "\"c\":"]),
        ),
        case("NUL in an unknown name", r#"{"a\u0000b":1}"#, indexed(&["b\":1"])),
    ]
}

/// Of duplicates the last wins, at every depth.
fn doubled() -> Vec<Case> {
    each(&[
        (
            r#"{"a":1,"b":{"c":1,"c":2,"d":[{"e":1,"e":2}]},"a":2}"#,
            &["\"a\":2", r#""b":{"c":2,"d":[{"e":2}]}"#, "!\"a\":1"],
        ),
        (r#"{"api_name":"x","api_name":"y"}"#, &["\"api_name\":\"y\"", "!\"x\""]),
        (r#"{"api_name":"x","api_n\u0061me":"y"}"#, &["\"y\"", "!\"x\""]),
        (r#"{"billing":{"amount":1,"amount":2}}"#, &[r#"{"amount":2}"#]),
        (
            r#"{"billing":{"amount":1,"amount":"x","currency":"A","currency":"B"}}"#,
            &["\"currency\":\"B\"", "\"billing.amount\":\"x\""],
        ),
        (r#"{"client_geoip":{"ip":"1.2.3.4","ip":"5.6.7.8"}}"#, &["5.6.7.8", "!1.2.3.4"]),
        (
            r#"{"latency_info":[{"task":"a","task":"b","started":1,"started":2}]}"#,
            &[r#"[{"task":"b","started":2}]"#],
        ),
        (
            r#"{"rateLimit":{"l":{"count":1,"count":2},"l":{"count":3}}}"#,
            &[r#"[{"name":"l","count":3}]"#],
        ),
        (r#"{"rateLimit":{"l":{"name":"x","count":2}}}"#, &["\"name\":\"l\""]),
        (r#"{"request_http_headers":{"X-A":"1","x-a":"2"}}"#, &["\"x-a\":"]),
        (r#"{"unparsed":1,"unparsed":2,"source":1,"source":2}"#, &["\"source\":{"]),
        (r#"{"bytes_sent":"a","bytes_sent":"b"}"#, &["\"unparsed\":{"]),
        (r#"{"billing.amount":1,"billing":{"amount":"x"}}"#, &["\"billing.amount\":"]),
        (r#"{"event_id":1,"event_id":2,"@version":1,"@version":2}"#, &["\"@version\":\"1\""]),
        (r#"{"tags":"a","tags":["b"]}"#, &["\"tags\":[\"b\""]),
    ])
}

fn large() -> Vec<Case> {
    let body = "b".repeat(3 * 1024 * 1024);
    let message = format!("{{\"log_policy\":\"payload\",\"request_body\":\"{body}\"}}");
    let texts = ["_payload_truncated", "\"request_body_bytes\":3145728", &body[..2 * 1024 * 1024]];
    let mut cases = vec![case("a body of 3 MB", message, indexed(&texts))];
    let characters = "\u{20ac}".repeat(1024 * 1024);
    let message = format!("{{\"response_body\":\"{characters}\"}}");
    let texts = ["_payload_truncated", "\"response_body_bytes\":3145728", "!\u{fffd}"];
    cases.push(case("a body of many bytes to a character", message, indexed(&texts)));
    let long = "x".repeat(40_000);
    for (name, message, texts) in [
        ("a long keyword", format!("{{\"api_name\":\"{long}\"}}"), vec![long.as_str()]),
        ("long keywords", format!("{{\"tags\":[\"{long}\",\"a\"]}}"), vec![&long]),
        (
            "a long header",
            format!("{{\"request_http_headers\":{{\"User-Agent\":\"{long}\"}}}}"),
            vec!["_header_truncated", &long[..8_191]],
        ),
        ("a long part", format!("{{\"billing\":{{\"currency\":\"{long}\"}}}}"), vec![&long]),
        ("a long unknown text", format!("{{\"x\":{{\"y\":\"{long}\"}}}}"), vec![&long]),
    ] {
        cases.push(case(name, message, indexed(&texts)));
    }
    cases
}
