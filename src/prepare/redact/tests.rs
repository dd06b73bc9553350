//! Tables: what comes in, what goes out.

use super::*;
use crate::config::pipeline::{RedactAction, RedactRule, RedactTarget};

mod properties;

const GONE: &str = "<removed>";

fn default() -> Redactor {
    Redactor::compile(&PipelineSpec::new("test")).unwrap()
}

/// Runs twice: what is redacted must stay as it is.
fn check(redact: impl Fn(&str, &mut String) -> Redacted, value: &str, expected: &str) {
    let mut out = String::from("left over");
    let found = redact(value, &mut out);
    let text = match found {
        Redacted::Same => value,
        Redacted::Changed => out.as_str(),
        Redacted::Removed => GONE,
    };
    assert_eq!(text, expected, "of {value:?}");
    assert_eq!(found == Redacted::Changed, !out.is_empty(), "of {value:?}");
    if found == Redacted::Changed {
        let mut again = String::new();
        assert_eq!(redact(&out, &mut again), Redacted::Same, "{out:?} became {again:?}");
    }
}

fn header(name: &str, value: &str, expected: &str) {
    let redactor = default();
    check(|value, out| redactor.header(name, value, out), value, expected);
}

fn query(value: &str, expected: &str) {
    let redactor = default();
    check(|value, out| redactor.query(value, out), value, expected);
}

fn url(value: &str, expected: &str) {
    let redactor = default();
    check(|value, out| redactor.url(value, out), value, expected);
}

#[test]
fn credentials() {
    for (value, expected) in [
        ("Bearer abc.def", "Bearer [redacted]"),
        ("bearer  abc", "bearer  [redacted]"),
        (" Basic dXNlcjpwYXNz", " Basic [redacted]"),
        ("Basic\tdXNlcjpwYXNz", "Basic\t[redacted]"),
        ("Basic abc, Bearer def", "Basic [redacted]"),
        ("Digest username=\"u\", response=\"r\"", "Digest [redacted]"),
        ("AWS4-HMAC-SHA256 Credential=AK/2024, Signature=s", "AWS4-HMAC-SHA256 [redacted]"),
        ("opaque", "[redacted]"),
        ("mysecret and more", "[redacted]"),
        ("Bearer:abc", "[redacted]"),
        ("Bearer\u{a0}abc", "[redacted]"),
        ("\"Bearer abc\"", "[redacted]"),
        ("Bearer", "Bearer"),
        ("Bearer ", "Bearer "),
        ("Negotiate", "Negotiate"),
        ("", ""),
        ("Bearer [redacted]", "Bearer [redacted]"),
        ("Bearer [redacted] abc", "Bearer [redacted]"),
        ("Bearer ä\0€", "Bearer [redacted]"),
    ] {
        header("authorization", value, expected);
        header("proxy-authorization", value, expected);
        header("Proxy_Authorization", value, expected);
    }
}

#[test]
fn cookies() {
    for (value, expected) in [
        ("a=1; b=2", "a=[redacted]; b=[redacted]"),
        ("a=1;b=2;", "a=[redacted];b=[redacted];"),
        ("a=b=c; d", "a=[redacted]; [redacted]"),
        ("nameless", "[redacted]"),
        ("=nameless", "=[redacted]"),
        ("a=; b=", "a=; b="),
        ("a=\"x; y=z\"; b=2", "a=[redacted]; b=[redacted]"),
        ("a=\"x\\\"; y=z\"w; b=2", "a=[redacted]; b=[redacted]"),
        ("a=\"never closed; b=2", "a=[redacted]"),
        ("a=1,b=2", "a=[redacted]"),
        ("a = 1 ; b=2", "a = [redacted] ; b=[redacted]"),
        ("a=[redacted]; b=2", "a=[redacted]; b=[redacted]"),
        ("a=ä; €=\0", "a=[redacted]; €=[redacted]"),
        ("", ""),
        (";;", ";;"),
    ] {
        header("cookie", value, expected);
    }
}

#[test]
fn set_cookies() {
    for (value, expected) in [
        ("a=1; Path=/; HttpOnly", "a=[redacted]; Path=/; HttpOnly"),
        (
            "a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Max-Age=-1; Domain=.x.org; SameSite=Lax",
            "a=[redacted]; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Max-Age=-1; Domain=.x.org; SameSite=Lax",
        ),
        (
            "a=1; secure;partitioned; priority=High",
            "a=[redacted]; secure;partitioned; priority=High",
        ),
        ("a=1; Path=/, b=2; HttpOnly", "a=[redacted]; Path=[redacted]; HttpOnly"),
        ("a=1; HttpOnly, b=2", "a=[redacted]; HttpOnly, b=[redacted]"),
        ("a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT, b=2", "a=[redacted]; Expires=[redacted]"),
        ("a=1; Secure, secret", "a=[redacted]; [redacted]"),
        ("a=1; what=ever", "a=[redacted]; what=[redacted]"),
        ("a=\"x; Path=/\"; Path=/", "a=[redacted]; Path=/"),
        ("nameless; Path=/", "[redacted]; Path=/"),
        ("", ""),
    ] {
        header("set-cookie", value, expected);
    }
}

#[test]
fn other_headers() {
    header("x-api-key", "abc", "[redacted]");
    header("x_api_key", "Bearer abc", "[redacted]");
    header("x-ibm-client-secret", " ", "[redacted]");
    header("x-csrf-token", "", "");
    header("accept", "token=abc", "token=abc");
    header("x-forwarded-for", "1.2.3.4", "1.2.3.4");
    header("referer", "https://x/?token=abc", "https://x/?token=[redacted]");
    header("location", "/cb#access_token=abc&x=1", "/cb#access_token=[redacted]&x=1");
    header("link", "<https://x/?sig=a>; rel=\"next\"", "<https://x/?sig=[redacted]; rel=\"next\"");
}

#[test]
fn queries() {
    for (value, expected) in [
        ("", ""),
        ("a=1&b=2", "a=1&b=2"),
        ("token=abc", "token=[redacted]"),
        ("?a=1&token=abc&b=2", "?a=1&token=[redacted]&b=2"),
        ("a=1;token=abc;b=2", "a=1;token=[redacted];b=2"),
        ("token=abc;def&b=2", "token=[redacted]&b=2"),
        ("token=abc=def==&b", "token=[redacted]&b"),
        ("token=1&token=2&TOKEN=3", "token=[redacted]&token=[redacted]&TOKEN=[redacted]"),
        ("token&tokens=1&token=", "token&tokens=1&token="),
        ("acc%65ss_token=a", "acc%65ss_token=[redacted]"),
        ("access+token=a&api-key=b", "access+token=[redacted]&api-key=[redacted]"),
        ("%61cc%2565ss_token=a%26b", "%61cc%2565ss_token=[redacted]"),
        ("token[]=a&filter[token]=b", "token[]=[redacted]&filter[token]=[redacted]"),
        ("filter%5Btoken%5D=b", "filter%5Btoken%5D=[redacted]"),
        ("user.password=b&codes=1", "user.password=[redacted]&codes=1"),
        (
            "x-amz-signature=a&awsaccesskeyid=b",
            "x-amz-signature=[redacted]&awsaccesskeyid=[redacted]",
        ),
        ("a=1&amp;token=abc", "a=1&amp;token=[redacted]"),
        ("a=1?token=abc", "a=1?token=[redacted]"),
        ("state=token=abc", "state=token=[redacted]"),
        ("token=\0\u{1}é", "token=[redacted]"),
        ("tok\0en=a&\0token\0=b", "tok\0en=a&\0token\0=[redacted]"),
        ("a=%zz&%=1&token=%zz%", "a=%zz&%=1&token=[redacted]"),
        ("a=%e4%zz%3d&b=100%25", "a=%e4%zz%3d&b=100%25"),
        ("r=https://x/?token=abc", "r=https://x/?token=[redacted]"),
        (
            "r=https%3A%2F%2Fx%2F%3Ftoken%3Dabc%26b%3D1&c=2",
            "r=https%3A%2F%2Fx%2F%3Ftoken%3D[redacted]%26b%3D1&c=2",
        ),
        (
            "r=https%253A%252F%252Fx%253Fa%253D%25C3%25A4%2526token%253Dabc",
            "r=https%253A%252F%252Fx%253Fa%253D%25C3%25A4%2526token%253D[redacted]",
        ),
        ("%3Dcode%3D=%26", "%3Dcode%3D[redacted]"),
        ("r=https%3A%2F%2Fu%3Ap%40host%2F", "r=https%3A%2F%2F[redacted]%40host%2F"),
        ("mail=a%40b.org&url=//x", "mail=a%40b.org&url=//x"),
        ("a=%252525252525253D", GONE),
        ("a%2525252525253D=1", GONE),
    ] {
        query(value, expected);
        if !value.is_empty() && !value.starts_with('?') && expected != GONE {
            url(&format!("/p?{value}"), &format!("/p?{expected}"));
        }
    }
}

#[test]
fn urls() {
    for (value, expected) in [
        ("/a/b/c", "/a/b/c"),
        ("/a@b/c?d=e@f", "/a@b/c?d=e@f"),
        ("/a;token=abc/d?e=f", "/a;token=[redacted]?e=f"),
        ("https://user:pass@host/p", "https://[redacted]@host/p"),
        ("https://pat@host:8/p?token=a#b", "https://[redacted]@host:8/p?token=[redacted]"),
        ("https://u:p@ss&x@host?a=b@c", "https://[redacted]@host?a=b@c"),
        ("//u:p@host/", "//[redacted]@host/"),
        ("u:p@host:80/x", "[redacted]@host:80/x"),
        ("/r?to=//u:p@host/&b=@", "/r?to=//[redacted]@host/&b=@"),
        ("/r?to=https://h&mail=a@b", "/r?to=https://h&mail=a@b"),
        ("/r?to=https:%2f%2fu:p@h", "/r?to=https:%2f%2f[redacted]@h"),
        ("/cb#access_token=a&state=b", "/cb#access_token=[redacted]&state=b"),
        ("/cb?code=a#state=b", "/cb?code=[redacted]#state=b"),
        ("/cb%3Fcode=a", "/cb%3Fcode=[redacted]"),
    ] {
        url(value, expected);
    }
}

const KEY: &[u8] = b"0123456789abcdef";

fn with(rules: Vec<(RedactTarget, RedactAction)>) -> PipelineSpec {
    let mut spec = PipelineSpec::new("test");
    let rules = rules.into_iter().map(|(target, action)| RedactRule { target, action });
    spec.redact.rules = rules.collect();
    spec.redact.hash_key = Some(KEY.to_vec());
    spec
}

fn body_path(path: &str) -> RedactTarget {
    RedactTarget::BodyPath { field: "request_body".to_owned(), path: path.to_owned() }
}

fn body_pattern(pattern: &str) -> RedactTarget {
    RedactTarget::Pattern { field: "request_body".to_owned(), pattern: pattern.to_owned() }
}

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
    assert!(redactor.has_foreign_rules());
    assert!(!default().has_foreign_rules());
    assert_eq!(default().handling("app_id"), None);
}

#[test]
fn removed_parameters_go_with_one_separator() {
    let rule = |name: &str| (RedactTarget::QueryParameter(name.to_owned()), RedactAction::Remove);
    let redactor = Redactor::compile(&with(vec![rule("token"), rule("sig")])).unwrap();
    for (value, expected) in [
        ("a=1&token=x&b=2", "a=1&b=2"),
        ("token=x&b=2", "b=2"),
        ("?token=x&sig=y&b=2", "?b=2"),
        ("a=1&token=x&sig=y", "a=1"),
        ("a=1&token=x&token=y&b=2", "a=1&b=2"),
        ("token=x", GONE),
        ("token=", GONE),
        ("?token=x", "?"),
        ("a=token=x&b=2", "a=&b=2"),
        ("a=1;token=x;b=2", "a=1;b=2"),
        ("a=1#token=x&sig=y&b=1", "a=1#b=1"),
        ("r=%3Ftoken%3Dx%26b%3D1&c=2", "r=%3Fb%3D1&c=2"),
    ] {
        check(|value, out| redactor.query(value, out), value, expected);
    }
}

fn private(privacy: AddressPrivacy) -> Redactor {
    let mut spec = with(Vec::new());
    spec.addresses.privacy = privacy;
    Redactor::compile(&spec).unwrap()
}

#[test]
fn addresses_are_truncated() {
    let redactor = private(AddressPrivacy::Truncate);
    for (value, expected) in [
        ("192.0.2.77", "192.0.2.0"),
        ("192.0.2.0", "192.0.2.0"),
        (" 192.0.2.77:8080 ", "192.0.2.0"),
        ("2001:db8:1:2::3", "2001:db8:1::"),
        ("[2001:db8:1:2::3]:443", "2001:db8:1::"),
        ("[2001:DB8:1::]", "2001:db8:1::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.0.2.77", "192.0.2.0"),
        ("::192.0.2.77", "::"),
        ("64:ff9b::192.0.2.77", "64:ff9b::"),
        ("2002:c000:24d::1", "2002:c000:200::"),
        ("192.0.2.77, 198.51.100.9,2001:db8::1", "192.0.2.0, 198.51.100.0, 2001:db8::"),
        ("192.0.2.77, unknown, 1.2.3", "192.0.2.0"),
        ("\"[2001:db8::1]:80\"", "2001:db8::"),
        ("unknown", GONE),
        ("host.example.org", GONE),
        ("01.2.3.4", GONE),
        ("0x7f000001", GONE),
        ("1.2.3.4:port", GONE),
        ("[2001:db8::1", GONE),
        ("[2001:db8::1]x", GONE),
        ("1.2.3.4/24", GONE),
        (",", GONE),
        (" ", GONE),
        ("", ""),
    ] {
        check(|value, out| redactor.address(value, out), value, expected);
        for name in ["client_ip", "immediate_client_ip", "gateway_ip", "client_geoip.ip"] {
            check(|value, out| redactor.field(name, value, out), value, expected);
        }
        for name in ["x-forwarded-for", "x-real-ip", "x-client-ip", "true-client-ip"] {
            check(|value, out| redactor.header(name, value, out), value, expected);
        }
    }
}

#[test]
fn forwarded_is_truncated() {
    let redactor = private(AddressPrivacy::Truncate);
    for (value, expected) in [
        ("for=192.0.2.77;proto=https;by=198.51.100.9", "for=192.0.2.0;proto=https;by=198.51.100.0"),
        ("For=\"[2001:db8:1::2]:80\", for=192.0.2.7", "For=\"[2001:db8:1::]\", for=192.0.2.0"),
        ("for=192.0.2.0;host=x.org:80", "for=192.0.2.0;host=x.org:80"),
        ("host=192.0.2.77;secret=1.2.3.4x", "host=192.0.2.0"),
        ("for=unknown;proto=http, for=_hidden", "proto=http"),
        ("for=\"192.0.2.7, 1.1.1.1\";proto=http", "proto=http"),
        ("for=\"a\\\",for=192.0.2.7;x=\"", GONE),
        ("192.0.2.7", GONE),
        ("for=", GONE),
        ("", ""),
    ] {
        check(|value, out| redactor.header("forwarded", value, out), value, expected);
    }
}

#[test]
fn addresses_are_hashed_and_removed() {
    let redactor = private(AddressPrivacy::Hash);
    let (mut one, mut other) = (String::new(), String::new());
    assert_eq!(redactor.address("192.0.2.77", &mut one), Redacted::Changed);
    assert!(one.starts_with("100::") && one.parse::<std::net::Ipv6Addr>().is_ok(), "{one}");
    redactor.header("x-forwarded-for", "::ffff:192.0.2.77, nonsense", &mut other);
    assert_eq!(one, other);
    redactor.header("forwarded", "for=192.0.2.77:80;by=x", &mut other);
    assert_eq!(other, format!("for=\"[{one}]\""));
    assert_eq!(redactor.address("nonsense", &mut other), Redacted::Removed);

    let redactor = private(AddressPrivacy::Remove);
    assert_eq!(redactor.address("192.0.2.77", &mut one), Redacted::Removed);
    assert_eq!(redactor.header("x-real-ip", "any", &mut one), Redacted::Removed);
    assert_eq!(redactor.header("forwarded", "for=1.2.3.4;proto=http", &mut one), Redacted::Changed);
    assert_eq!(one, "proto=http");
    assert!(redactor.has_address_privacy());

    let redactor = private(AddressPrivacy::Keep);
    assert_eq!(redactor.address("nonsense", &mut one), Redacted::Same);
    assert_eq!(redactor.field("client_ip", "nonsense", &mut one), Redacted::Same);
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
        ]
    );
    let mut spec = PipelineSpec::new("test");
    spec.addresses.privacy = AddressPrivacy::Hash;
    assert_eq!(faults(&spec), ["redact.hash_key: missing, but `addresses.privacy` is `hash`"]);
    spec.redact.hash_key = Some(b"short".to_vec());
    assert_eq!(faults(&spec), ["redact.hash_key: has 5 bytes, needs 16"]);
}
