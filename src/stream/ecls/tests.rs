use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::stream::lines::Lines;

fn encode(event: &str) -> String {
    let mut out = Vec::new();
    Lines::new().read(event.as_bytes(), |event| write(event, &mut out)).unwrap();
    String::from_utf8(out).unwrap()
}

/// The fields of an event, which must be all of them, in order, and strings.
fn encoded(event: &str) -> Vec<(String, String)> {
    let text = encode(event);
    let value: Value = serde_json::from_str(&text).unwrap();
    let object = value.as_object().unwrap();
    assert_eq!(object.len(), 41, "{text}");
    let mut rest = text.as_str();
    let mut pairs = Vec::new();
    for name in fields() {
        let at = rest.find(&format!("\"{name}\":\"")).unwrap();
        assert!(at == 1, "{name} stands elsewhere in {text}");
        let value = object[name].as_str().unwrap().to_owned();
        let written = serde_json::to_string(&value).unwrap();
        rest = rest.get(1 + name.len() + 3 + written.len()..).unwrap();
        pairs.push((name.to_owned(), value));
    }
    assert_eq!(rest, "}");
    pairs
}

/// Checks every field that is not absent, but for the constant one.
fn check(event: &str, expected: &[(&str, &str)]) {
    let found = encoded(event);
    let found: Vec<_> = found
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, value)| *name != "log_type" && *value != ABSENT)
        .collect();
    assert_eq!(found, expected, "{event}");
}

/// The documents of the golden files of a pipeline, with the names of their files; without those in
/// which a long run is shortened, since that is no JSON everywhere.
fn golden() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/apiconnect/golden");
    let mut documents = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut document = None;
        for line in fs::read_to_string(&path).unwrap().lines() {
            match line {
                "{" => document = Some(String::from(line)),
                "}" => documents.extend(document.take().map(|text| (name.clone(), text + line))),
                _ => document.iter_mut().for_each(|text| text.push_str(line)),
            }
        }
    }
    documents.retain(|(_, document)| !document.contains('⟨'));
    documents
}

fn first_golden(name: &str) -> String {
    golden().into_iter().find(|(of, _)| of == name).unwrap().1
}

#[test]
fn every_golden_document_becomes_all_fields() {
    let documents = golden();
    assert!(documents.len() > 100, "{}", documents.len());
    for (name, document) in documents {
        let pairs = encoded(&document);
        let ingested = pairs.iter().find(|(name, _)| name == "ingestion_time").unwrap();
        assert_eq!(ingested.1, "1768471201500", "{name}");
    }
}

#[test]
fn samples() {
    check(
        &first_golden("apiconnect-v10"),
        &[
            ("bytes", "512"),
            ("http_method", "GET"),
            ("http_status_code", "200"),
            ("ingestion_time", "1768471201500"),
            ("org_name", "macs-shack"),
            ("org_uuid", "o-1"),
            ("quota_value", "1"),
            ("request_time", "2026-01-15T10:00:00.000Z"),
            ("response_string", "200_OK_API"),
            ("service_name", "accounts"),
            ("src_ip", "198.51.100.7"),
            ("ssl_enabled", "1"),
            ("total_request_exec_time", "0.271"),
            ("traffic_manager", "10.0.0.5"),
            ("uri", "/macs-shack/sandbox/accounts?limit=10"),
            ("user_agent", "curl/8"),
        ],
    );
    check(
        &first_golden("apiconnect-v5-header"),
        &[
            ("api_method_name", "post"),
            ("bytes", "256"),
            ("endpoint_name", "post"),
            ("http_method", "POST"),
            ("http_status_code", "200"),
            ("ingestion_time", "1768471201500"),
            ("org_name", "macs-shack"),
            ("package_name", "__INTERNAL_QS__"),
            ("plan_name", "default"),
            ("referrer", "https://apimanager.host.com/apim/"),
            ("request_time", "2016-09-29T22:53:46.766Z"),
            ("response_string", "200_OK_API"),
            ("service_name", "accountservice"),
            ("ssl_enabled", "1"),
            ("sub_org_name", "macs-shack"),
            ("total_request_exec_time", "0.317"),
            ("uri", "/macs-shack/sb/AccountService"),
            (
                "user_agent",
                "Mozilla/5.0 (Windows NT 6.1; WOW64; rv:45.0) Gecko/20100101 Firefox/45.0",
            ),
        ],
    );
}

#[test]
fn one_field_each() {
    check("{}", &[]);
    for (name, field) in [
        ("client_id", "api_key"),
        ("client_ip", "src_ip"),
        ("host", "request_host_name"),
        ("datetime", "request_time"),
        ("transaction_id", "request_uuid"),
        ("product_id", "package_uuid"),
        ("plan_id", "plan_uuid"),
        ("api_id", "service_id"),
        ("developer_org_id", "sub_org_uuid"),
        ("resource_id", "api_method_name"),
        ("endpoint_url", "endpoint_name"),
        ("uri_path", "uri"),
        ("http_user_agent", "user_agent"),
    ] {
        check(&format!(r#"{{"{name}":"a \"ä\" \\"}}"#), &[(field, "a \"ä\" \\")]);
        check(&format!(r#"{{"{name}":["first","second"]}}"#), &[(field, "first")]);
        for absent in ["\"\"", "null", "[]", "{}", "{\"a\":1}", "[[1]]", "[null]"] {
            check(&format!(r#"{{"{name}":{absent}}}"#), &[]);
        }
    }
}

#[test]
fn values() {
    let status = |text: &str, digits: &str, shown: &str| {
        let event = format!(r#"{{"status_code":{text}}}"#);
        let expected = [("http_status_code", digits), ("response_string", shown)];
        check(&event, if digits.is_empty() { &expected[1..] } else { &expected });
    };
    status("\"200 OK\"", "200", "200_OK_API");
    status("\"404 Not Found\"", "404", "404_Not_Found_API");
    status("503", "503", "503_API");
    status("\"none \\\"at\\\" all\"", "", "none_\"at\"_all_API");
    let seconds = |millis: &str, expected: Option<&str>| {
        let pair = expected.map(|text| ("total_request_exec_time", text));
        check(&format!(r#"{{"time_to_serve_request":{millis}}}"#), pair.as_slice());
    };
    seconds("0", Some("0.000"));
    seconds("7", Some("0.007"));
    seconds("1000", Some("1.000"));
    seconds("-1234", Some("-1.234"));
    seconds("9223372036854775807", Some("9223372036854775.807"));
    seconds("\"301\"", Some("0.301"));
    seconds("1.5", None);
    seconds("1e3", None);
    seconds("\"-\"", None);
    check(r#"{"request_protocol":"HTTPS"}"#, &[("ssl_enabled", "1")]);
    check(r#"{"request_protocol":"http"}"#, &[("ssl_enabled", "0")]);
    check(r#"{"uri_path":"/a","query_string":"b=ä&c"}"#, &[("uri", "/a?b=ä&c")]);
    check(r#"{"query_string":"b=1"}"#, &[("uri", "?b=1")]);
    check(r#"{"uri_path":"/a","query_string":""}"#, &[("uri", "/a")]);
    check(r#"{"rateLimit":{"count":7,"limit":9}}"#, &[("quota_value", "7")]);
    check(r#"{"rateLimit":[{"name":"a","count":7},{"count":8}]}"#, &[("quota_value", "7")]);
    check(r#"{"rateLimit.count":7}"#, &[]);
    check(r#"{"@timestamp":"soon"}"#, &[]);
    check(
        r#"{"request_http_headers":{"referer":["r","s"],"user-agent":"u","host":"h"}}"#,
        &[("referrer", "r"), ("user_agent", "u")],
    );
    check(
        r#"{"http_user_agent":"own","request_http_headers":{"user-agent":"u"}}"#,
        &[("user_agent", "own")],
    );
    // A token that some gateway put into a field of that name is none of the format's business.
    check(r#"{"oauth_access_token":"secret","api_key":"secret"}"#, &[]);
}

#[test]
fn messages() {
    let check = |events: &[&str], expected: &str| {
        let mut out = Vec::new();
        envelope(events.iter().map(|event| event.as_bytes()), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    };
    check(&[], r#"{"data":[]}"#);
    check(&["{}"], r#"{"data":[{}]}"#);
    check(&["{\"a\":1}", "{}"], r#"{"data":[{"a":1},{}]}"#);
    let mut out = Vec::new();
    Lines::new().read(b"{}", |event| message(event, &mut out)).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out, format!("{{\"data\":[{}]}}", encode("{}")));
    assert!(out.starts_with("{\"data\":[{\"api_key\":\"-\",\"api_method_name\":\"-\","), "{out}");
}
