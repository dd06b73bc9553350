//! Names and depths that the index refuses, or takes for something else.

use super::{Case, case, indexed};

/// Refused at the top level by one server or the other.
const TOP_LEVEL: [&str; 32] = [
    "",
    " ",
    "  ",
    "\\t",
    ".",
    "..",
    "a..b",
    ".a",
    "a.",
    " .a",
    "a. ",
    "a. .b",
    "_id",
    "_index",
    "_source",
    "_routing",
    "_type",
    "_version",
    "_seq_no",
    "_primary_term",
    "_field_names",
    "_ignored",
    "_ignored_source",
    "_size",
    "_tier",
    "_doc_count",
    "_nested_path",
    "_data_stream_timestamp",
    "_inference_fields",
    "_tsid",
    "_recovery_source",
    "_anything",
];

/// Paths below fields that are mapped.
const DOTTED: [&str; 26] = [
    "billing.amount",
    "billing.amount.x",
    "billing.unknown",
    "api_name.x",
    "bytes_sent.x",
    "datetime.x",
    "client_ip.x",
    "client_geoip.location",
    "client_geoip.location.lat",
    "client_geoip.x",
    "latency_info.task",
    "latency_info.x",
    "rateLimit.count",
    "request_http_headers.x",
    "response_http_headers.a.b",
    "request_body.x",
    "tags.x",
    "@timestamp.x",
    "@version.x",
    "event_id.x",
    "status.x",
    "latency.gateway_ms",
    "h.user_agent",
    "unparsed.x",
    "source.x",
    "headers.x",
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in TOP_LEVEL {
        // Marked so that the value is found wherever it went.
        for (value, found) in [("\"moved\"", "moved"), ("{\"moved\":1}", "moved")] {
            let message = format!("{{\"{name}\":{value}}}");
            let texts = [found, "\"unparsed\":{", "_unparsed"];
            cases.push(case(&message, message.clone(), indexed(&texts)));
        }
    }
    for name in DOTTED {
        for value in ["\"moved\"", "{\"moved\":1}", "[{\"x\":\"moved\"}]"] {
            let message = format!("{{\"{name}\":{value}}}");
            cases.push(case(&message, message.clone(), indexed(&["!\"!\""])));
        }
    }
    cases.extend(within());
    cases.extend(long());
    cases.extend(deep());
    cases
}

/// Odd names below a field, which not every field takes.
fn within() -> Vec<Case> {
    let mut cases = Vec::new();
    let fields = [
        "unknown",
        "billing",
        "client_geoip",
        "latency_info",
        "rateLimit",
        "request_http_headers",
        "response_http_headers",
        "headers",
        "unparsed",
        "source",
    ];
    for field in fields {
        for name in ["", " ", ".", "..", "a..b", ".a", "a.", "a.b", "_id", "_source", "\\u0000"] {
            for message in [
                format!("{{\"{field}\":{{\"{name}\":\"value\"}}}}"),
                format!("{{\"{field}\":[{{\"{name}\":{{\"{name}\":1}}}}]}}"),
            ] {
                cases.push(case(&message, message.clone(), indexed(&[])));
            }
        }
    }
    for part in ["amount.x", "amount..x", "currency.", "ip.x", "location.lat", "task.x", "count.x"]
    {
        for field in ["billing", "client_geoip", "latency_info", "rateLimit"] {
            let message = format!("{{\"{field}\":{{\"{part}\":1,\"x.y\":{{\"z\":1}}}}}}");
            cases.push(case(&message, message.clone(), indexed(&[])));
        }
    }
    cases
}

fn long() -> Vec<Case> {
    let mut cases = Vec::new();
    for bytes in [32 * 1024, 32 * 1024 + 1, 60_000] {
        let long = "n".repeat(bytes);
        let over = bytes > 32 * 1024;
        for (name, message) in [
            ("a name", format!("{{\"{long}\":1}}")),
            ("a name within", format!("{{\"x\":[{{\"{long}\":1}}]}}")),
            ("a part's name", format!("{{\"billing\":{{\"{long}\":1}}}}")),
            ("a header's name", format!("{{\"request_http_headers\":{{\"{long}\":\"1\"}}}}")),
            (
                "a header's name in an array",
                format!("{{\"request_http_headers\":[{{\"{long}\":\"1\"}}]}}"),
            ),
            ("a limit's name", format!("{{\"rateLimit\":{{\"{long}\":{{\"count\":1}}}}}}")),
            (
                "a name below a header",
                format!("{{\"request_http_headers\":{{\"a\":{{\"{long}\":1}}}}}}"),
            ),
            ("a name of ours", format!("{{\"source\":{{\"{long}\":1}}}}")),
            ("a name of a mapped field", format!("{{\"billing.{long}\":1}}")),
        ] {
            // A limit's name becomes a value, which may be long.
            let moves = over && name != "a limit's name" && name != "a name below a header";
            let texts: &[&str] = if moves { &["nnn", "\"tags\""] } else { &["nnn"] };
            cases.push(case(&format!("{name} of {bytes} bytes"), message, indexed(texts)));
        }
    }
    // A header's name and its value make one term of the index.
    for (name, value) in [(8_000, 8_000), (20_000, 8_000), (32_000, 8_191), (16_000, 32_000)] {
        let (long, text) = ("n".repeat(name), "\u{20ac}".repeat(value / 3));
        let message = format!("{{\"request_http_headers\":{{\"{long}\":\"{text}\"}}}}");
        let name = format!("a header of {name} bytes with a value of {value}");
        cases.push(case(&name, message, indexed(&["nnn"])));
    }
    cases
}

fn deep() -> Vec<Case> {
    let mut cases = Vec::new();
    for depth in [19, 20, 21, 40] {
        let chain = format!("{}\"end\"{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let arrays = format!("{}\"end\"{}", "[".repeat(depth), "]".repeat(depth));
        for value in [&chain, &arrays] {
            for field in ["request_http_headers", "unknown", "billing", "latency_info", "source"] {
                for message in [
                    format!("{{\"{field}\":{value}}}"),
                    format!("{{\"{field}\":{{\"x\":{value}}}}}"),
                    format!("{{\"{field}\":[{{\"x\":{value}}}]}}"),
                ] {
                    let name = format!("{field} {depth} deep: {}", &message[..40]);
                    // Headers that are no headers might hold a secret anywhere.
                    let masked = message.starts_with("{\"request_http_headers\":[[");
                    let text = if masked { "[redacted]" } else { "end" };
                    cases.push(case(&name, message, indexed(&[text])));
                }
            }
        }
    }
    cases
}
