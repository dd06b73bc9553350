//! What holds of preparation whatever a message holds.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use sluice::config::pipeline::PipelineSpec;
use sluice::outcome::Skip;
use sluice::prepare::{Prepared, Scratch};
use sluice::schema::Field;

use crate::support::prepared::{Pipeline, RECORD_TIME, examine, skipped};
use crate::support::strict_json::{self, Value};

/// Stands only where it must not be seen.
const SECRET: &str = "S3CR3T";

/// Every default.
static DEFAULTS: LazyLock<Pipeline> = LazyLock::new(|| {
    let spec =
        PipelineSpec { topics: vec!["api-events".to_owned()], ..PipelineSpec::new("properties") };
    Pipeline::compile(&spec).unwrap()
});

fn prepare(messages: &[Vec<u8>], scratch: &mut Scratch) -> Prepared {
    let messages: Vec<_> =
        messages.iter().map(|payload| (Some(payload.as_slice()), Some(RECORD_TIME))).collect();
    DEFAULTS.prepare(&messages, scratch)
}

/// What became of a message, without what its coordinates make different.
fn summary(prepared: &Prepared, message: usize) -> Vec<(u32, String)> {
    let documents = examine(prepared).unwrap_or_else(|fault| panic!("{fault}"));
    let documents = documents.into_iter().filter(|one| one.message == message).map(|one| {
        let Value::Object(mut members) = one.source else { panic!("no object") };
        members.retain(|(name, _)| name != "\"event_id\"");
        (one.index_in_message, Value::Object(members).compact())
    });
    let rejects = prepared.rejects.iter().filter(|one| one.message == message);
    let rejects =
        rejects.map(|one| (one.index_in_message, format!("{} {}", one.reason, one.detail)));
    let mut all: Vec<_> = documents.chain(rejects).collect();
    all.sort();
    all
}

/// A number's text, of any length and size.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
        select(vec!["-0", "0.1000", "1e999", "-0.0", "18446744073709551616"])
            .prop_map(str::to_owned),
    ]
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        select(vec![
            r#""\u00e4\ud83d\ude00""#,
            r#""\u0000""#,
            r#""\/\b""#,
            r#""9.20.152.215""#,
            r#""none""#,
            r#""payload""#,
            r#""200 OK""#,
            r#""12""#,
            r#""2016-09-29T22:17:43.404Z""#,
            r#""""#,
        ])
        .prop_map(str::to_owned),
    ]
}

/// Any value; the names in it are `inner`, twice the same not excluded.
fn value(inner: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    let constant = select(vec!["true", "false", "null"]).prop_map(str::to_owned);
    let leaf = prop_oneof![number(), string(), constant].boxed();
    let inner = inner.boxed();
    leaf.prop_recursive(4, 24, 4, move |value| {
        let members = proptest::collection::vec((inner.clone(), value.clone()), 0..4);
        prop_oneof![
            proptest::collection::vec(value, 0..4).prop_map(|all| format!("[{}]", all.join(","))),
            members.prop_map(|members| object(&members)),
        ]
    })
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).unwrap()))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Names that mean something to Sluice or to the index, parts of such, and others.
fn name() -> impl Strategy<Value = String> {
    let known: Vec<String> = Field::all().map(|field| field.name().to_owned()).collect();
    let parts: Vec<String> = known
        .iter()
        .filter_map(|name| name.rsplit_once('.'))
        .map(|(_, part)| part.to_owned())
        .collect();
    let odd = ["", " ", ".", "a..b", ".a", "_id", "_source", "_routing", "h", "p", "h.host", "x.y"];
    let odd: Vec<String> = odd.iter().map(|&name| name.to_owned()).collect();
    prop_oneof![4 => select(known), 2 => select(parts), 2 => select(odd), 1 => "[a-y]{1,4}"]
}

/// An event; what `zz` holds belongs to no one.
fn event() -> impl Strategy<Value = (String, String)> {
    let members = proptest::collection::vec((name(), value(name())), 0..8);
    (members, value("[a-c]{1,2}")).prop_map(|(mut members, foreign)| {
        members.push(("zz".to_owned(), foreign.clone()));
        (object(&members), foreign)
    })
}

/// Parts that mean something, and bytes that mean nothing.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let parts: Vec<&[u8]> = vec![
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"\n",
        b"{\"a\":1}",
        b"{\"data\":[",
        b"]}",
        b"{\"index\":{}}\n",
        b"\"tags\"",
        b"1e999",
        b"null",
        b"\xff",
        b"\0",
        b"\xef\xbb\xbf",
        b"\\ud800",
        b"\"log_policy\":\"none\"",
    ];
    let part = prop_oneof![
        8 => select(parts).prop_map(<[u8]>::to_vec),
        2 => event().prop_map(|(text, _)| text.into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// Headers, parameters and fields whose values are secret by default, and a value with the secret.
fn secret() -> impl Strategy<Value = String> {
    let headers = PipelineSpec::new("").redact.headers;
    let parameters = PipelineSpec::new("").redact.query_parameters;
    let header = (select(headers), any::<bool>(), wrapped(credentials()))
        .prop_map(|(name, upper, value)| (if upper { name.to_uppercase() } else { name }, value));
    let headers_field = select(vec!["request_http_headers", "response_http_headers"]);
    let form = select(vec!["{@}", "[{@}]", "[[{@}]]", "[{\"Host\":\"h\"},{@}]"]);
    let in_headers = (headers_field, form, header).prop_map(|(field, form, (name, value))| {
        format!("\"{field}\":{}", form.replace('@', &format!("\"{name}\":{value}")))
    });
    let query = (select(parameters), any::<bool>()).prop_map(|(name, lower)| {
        format!("a=1&{}={SECRET}", if lower { name.to_lowercase() } else { name })
    });
    let quoted = query.clone().prop_map(|query| format!("\"{query}\""));
    let in_query = wrapped(quoted).prop_map(|value| format!("\"query_string\":{value}"));
    let field = select(vec!["uri_path", "endpoint_url"]);
    let url = query.clone().prop_map(|query| format!("\"https://u:{SECRET}@h/p?{query}#top\""));
    let in_url =
        (field, wrapped(url.clone())).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let in_referer = wrapped(url)
        .prop_map(|value| format!("\"request_http_headers\":[{{\"Referer\":{value}}}]"));
    prop_oneof![in_headers, in_query, in_url, in_referer]
}

fn credentials() -> impl Strategy<Value = String> {
    let forms = ["\"@\"", "\"Bearer @\"", "\"a=@; b=@\"", "\"@ @\"", "\"sid=@; Path=/\""];
    select(forms.to_vec()).prop_map(|form| form.replace('@', SECRET))
}

/// As it is, or of a kind in which it should not come.
fn wrapped(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let forms =
        ["@", "@", "[@]", "[1,@]", "{\"k\":@}", "[[@]]", "{\"k\":[{\"x\":@}]}", "[{\"k\":@}]"];
    (value, select(forms.to_vec())).prop_map(|(value, form)| form.replace('@', &value))
}

fn policy() -> impl Strategy<Value = &'static str> {
    select(vec![
        "",
        "\"log_policy\":\"activity\",",
        "\"log_policy\":\"payload\",",
        "\"log_policy\":7,",
    ])
}

proptest! {
    #[test]
    fn any_bytes_have_outcomes(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        let prepared = prepare(&[payload], &mut Scratch::default());
        prop_assert!(prepared.events() > 0);
        summary(&prepared, 0);
    }

    #[test]
    fn messages_do_not_touch_each_other(messages in proptest::collection::vec(soup(), 1..5)) {
        let mut scratch = Scratch::default();
        let together = prepare(&messages, &mut scratch);
        let mut events = 0;
        for (place, message) in messages.iter().enumerate() {
            let alone = prepare(std::slice::from_ref(message), &mut Scratch::default());
            events += alone.events();
            prop_assert_eq!(summary(&alone, 0), summary(&together, place));
        }
        prop_assert_eq!(together.events(), events);
        let again = prepare(&messages, &mut scratch);
        prop_assert_eq!(&again.body, &together.body);
        prop_assert_eq!(&again.facts, &together.facts);
    }

    #[test]
    fn any_object_is_indexed((text, foreign) in event()) {
        let prepared = prepare(&[text.clone().into_bytes()], &mut Scratch::default());
        let documents = examine(&prepared).map_err(TestCaseError::fail)?;
        prop_assert_eq!(prepared.events(), 1);
        let [document] = documents.as_slice() else {
            prop_assert_eq!(skipped(&prepared, Skip::PolicyNone), 1, "{}", text);
            return Ok(());
        };
        prop_assert!(prepared.live.is_none());
        let expected = strict_json::parse_last_wins(foreign.as_bytes()).unwrap();
        let found = document.source.get("zz");
        prop_assert!(found.is_some_and(|found| found.same(&expected)), "{:?}", found);
    }

    #[test]
    fn no_secret_survives(
        secrets in proptest::collection::vec(secret(), 1..4),
        policy in policy(),
        odd in any::<bool>(),
    ) {
        let odd = if odd { "\"x\":\"\u{1}\"," } else { "" };
        let text = format!("{{{policy}{odd}{}}}", secrets.join(","));
        let prepared = prepare(&[text.clone().into_bytes()], &mut Scratch::default());
        examine(&prepared).map_err(TestCaseError::fail)?;
        prop_assert_eq!(prepared.documents.len(), 1);
        let body = String::from_utf8_lossy(&prepared.body);
        prop_assert!(!body.contains(SECRET), "{}\nbecame {}", text, body);
        prop_assert!(prepared.live.is_none());
    }
}
