//! Rules of a pipeline together, and what is wrong with them.

use super::*;

#[test]
fn equal_values_have_equal_hashes_wherever_they_stand() {
    let redactor = Redactor::compile(&with(vec![
        (RedactTarget::Header("authorization".to_owned()), RedactAction::Hash),
        (RedactTarget::Header("cookie".to_owned()), RedactAction::Hash),
        (RedactTarget::QueryParameter("token".to_owned()), RedactAction::Hash),
        (RedactTarget::Field("client_id".to_owned()), RedactAction::Hash),
        (body_path("$.a"), RedactAction::Hash),
        (body_pattern("b=(?<secret>[^\"]+)"), RedactAction::Hash),
    ]))
    .unwrap();
    let (mut hash, mut out) = (String::new(), String::new());
    assert_eq!(redactor.field("client_id", "s é/t", &mut hash), Redacted::Changed);
    assert_eq!(hash, "hash:cDurFdXdJ7jLeqxkYEYXSA");
    redactor.header("authorization", "Bearer s é/t", &mut out);
    assert_eq!(out, format!("Bearer {hash}"));
    redactor.header("cookie", "a=s é/t; b=", &mut out);
    assert_eq!(out, format!("a={hash}; b="));
    redactor.query("token=s%20%C3%a9%2ft", &mut out);
    assert_eq!(out, format!("token={hash}"));
    redactor.query("to%6ben=s%2520é/t", &mut out);
    assert_eq!(out, format!("to%6ben={hash}"));
    redactor.field("request_body", r#"{"a":"s \u00e9\/t","c":"b=s é/t"}"#, &mut out);
    assert_eq!(out, format!(r#"{{"a":"{hash}","c":"b={hash}"}}"#));
}

#[test]
fn patterns_of_headers_and_of_what_names_have_masked() {
    let pattern = |field: &str, pattern: &str| {
        let target = RedactTarget::Pattern { field: field.to_owned(), pattern: pattern.to_owned() };
        (target, RedactAction::Mask)
    };
    let redactor = Redactor::compile(&with(vec![
        pattern("request_http_headers", "eyJ[a-z]+"),
        pattern("response_http_headers.x-trace", "[0-9]+"),
        pattern("query_string", "[a-z]{7,}"),
    ]))
    .unwrap();
    let header = |name: &'static str, value: &str, expected: &str| {
        check(|value, out| redactor.header(name, value, out), value, expected);
    };
    header("x-any", "a eyJabc", "a [redacted]");
    header("x-trace", "eyJabc 123", "[redacted] [redacted]");
    header("authorization", "Bearer eyJabc", "Bearer [redacted]");
    header("x-other", "123", "123");
    let query = |value: &str, expected: &str| {
        check(|value, out| redactor.query(value, out), value, value);
        check(|value, out| redactor.field("query_string", value, out), value, expected);
    };
    query("q=longword&b=short", "q=[redacted]&b=short");
    query("token=[redacted]&q=longword", "token=[redacted]&q=[redacted]");
}

#[test]
fn fields() {
    let mut spec = with(vec![
        (RedactTarget::Field("client_id".to_owned()), RedactAction::Mask),
        (RedactTarget::Field("debug".to_owned()), RedactAction::Remove),
        (RedactTarget::Field("v10".to_owned()), RedactAction::Mask),
        (RedactTarget::Field("bytes_sent".to_owned()), RedactAction::Remove),
    ]);
    spec.extra = vec!["v10".to_owned()];
    let redactor = Redactor::compile(&spec).unwrap();
    for (name, value, expected) in [
        ("client_id", "abc", "[redacted]"),
        ("debug", "abc", GONE),
        ("v10.inner.secret", "abc", "[redacted]"),
        ("v1", "abc", "abc"),
        ("bytes_sent", "12", GONE),
        ("app_id", "abc", "abc"),
        ("uri_path", "/a?token=b", "/a?token=[redacted]"),
        ("query_string", "token=b", "token=[redacted]"),
        ("endpoint_url", "https://u:p@h/?sig=b", "https://[redacted]@h/?sig=[redacted]"),
    ] {
        check(|value, out| redactor.field(name, value, out), value, expected);
    }
    // What is in no place of the catalogue's goes by its name.
    for (name, value, expected) in [
        ("Query_String", "token=b", "token=[redacted]"),
        ("unparsed.query_string", "token=b", "token=[redacted]"),
        ("uriPath", "/a?token=b", "/a?token=[redacted]"),
        ("h.authorization", "Bearer b", "Bearer [redacted]"),
        ("Client_ID", "abc", "[redacted]"),
        ("Request_Http_Headers", "Authorization: Bearer b", "[redacted]"),
    ] {
        let handling = redactor.member(name).unwrap();
        check(|value, out| redactor.handled(handling, value, out), value, expected);
    }
    assert_eq!(redactor.member("query_strings"), None);
    // Others use the names of headers for what is no URL.
    for (name, value, expected) in [
        ("destination", "ops@example.com", false),
        ("origin", "joe@acme.org", false),
        ("location", "bob@home.net, room 5", false),
        ("link", "code=5", false),
        ("location", "/a?token=b", true),
        ("backend_url", "https://u:p@h/", true),
        ("referer", "https:\\/\\/u:p@h", true),
        ("link", "next?token=b", true),
        ("authorization", "Bearer b", true),
    ] {
        let handling = redactor.member(name).unwrap();
        assert_eq!(redactor.may_hold(handling, value), expected, "{name} {value}");
    }
    assert!(redactor.has_foreign_rules());
    assert!(!default().has_foreign_rules());
    assert_eq!(default().handling("app_id"), None);
}

fn faults(spec: &PipelineSpec) -> Vec<String> {
    let faults = Redactor::compile(spec).unwrap_err();
    faults.into_iter().map(|f| format!("{}: {}", f.key, f.message)).collect()
}

#[test]
fn every_fault_is_told_at_once() {
    use RedactAction::{Hash, Mask, Remove};
    let field = |name: &str| RedactTarget::Field(name.to_owned());
    let mut spec = with(vec![
        (RedactTarget::Header(" ".to_owned()), Mask),
        (field("client_idd"), Hash),
        (field("org_id"), Mask),
        (field("bytes_sent"), Mask),
        (field("status"), Remove),
        (field("request_http_headers"), Mask),
        (field("client_ip"), Mask),
        (field("client_geoip.city_name"), Mask),
        (body_path("a"), Mask),
        (body_path("$"), Mask),
        (body_path("$.a[?(@.b)]"), Mask),
        (body_path("$.a["), Mask),
        (body_path("$..a.b c"), Mask),
        (body_pattern("("), Mask),
        (body_pattern("a*"), Mask),
        (body_pattern(r"(\w{200}){200}"), Mask),
        (RedactTarget::QueryParameter("x".to_owned()), Mask),
        (RedactTarget::QueryParameter("X".to_owned()), Hash),
        (RedactTarget::BodyPath { field: "app_id".to_owned(), path: "$.a".to_owned() }, Mask),
        (RedactTarget::Header("x-a".to_owned()), Mask),
        (RedactTarget::Header("X_A".to_owned()), Mask),
    ]);
    spec.redact.hash_key = None;
    assert_eq!(
        faults(&spec),
        [
            "redact.hash_key: missing, but `redact.rules[1].action` is `hash`",
            "redact.rules[0].header: empty",
            "redact.rules[1].field: no field `client_idd`",
            "redact.rules[2].field: `org_id` time, tenancy and identity rest on it",
            "redact.rules[3].field: `bytes_sent` is no text",
            "redact.rules[4].field: `status` is written by Sluice",
            "redact.rules[5].field: `request_http_headers` holds many headers",
            "redact.rules[6].field: `client_ip` is an address",
            "redact.rules[7].field: `client_geoip.city_name` is written by the look-up",
            "redact.rules[8].path: a path begins with `$`",
            "redact.rules[9].path: `$` is the whole body: use a rule with `field`",
            "redact.rules[10].path: `[` needs a quoted name, a place counted from 0, or `*`",
            "redact.rules[11].path: `[` needs a quoted name, a place counted from 0, or `*`",
            "redact.rules[12].path: `b c` is no plain name: write `['b c']` if it is one",
            "redact.rules[13].pattern: no regular expression: unclosed group",
            "redact.rules[14].pattern: matches the empty text, and so every place",
            "redact.rules[15].pattern: is larger than 1048576 bytes when compiled",
            "redact.rules[17]: the same place as `redact.rules[16]`",
            "redact.rules[18].field: `app_id` is no body",
            "redact.rules[20]: the same place as `redact.rules[19]`",
        ]
    );
    let mut spec = PipelineSpec::new("test");
    spec.addresses.privacy = AddressPrivacy::Hash;
    assert_eq!(faults(&spec), ["redact.hash_key: missing, but `addresses.privacy` is `hash`"]);
    spec.redact.hash_key = Some(b"short".to_vec());
    assert_eq!(faults(&spec), ["redact.hash_key: has 5 bytes, needs 16"]);
}
