//! What holds for every value.

use proptest::prelude::*;

use super::*;

/// A redactor with everything on that masks.
fn everything() -> Redactor {
    let mut spec = with(vec![
        (body_path("$..secret"), RedactAction::Mask),
        (body_path("$.gone"), RedactAction::Remove),
        (RedactTarget::QueryParameter("gone".to_owned()), RedactAction::Remove),
        (RedactTarget::Header("x-hashed".to_owned()), RedactAction::Hash),
        (RedactTarget::QueryParameter("hashed".to_owned()), RedactAction::Hash),
        (body_path("$..hashed"), RedactAction::Hash),
    ]);
    spec.addresses.privacy = AddressPrivacy::Truncate;
    Redactor::compile(&spec).unwrap()
}

const HEADERS: [&str; 9] = [
    "authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "referer",
    "forwarded",
    "x-forwarded-for",
    "x-hashed",
    "accept",
];

/// Text rich in what the parsers look for.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-zé€]{0,3}",
        r#"[&;=?#%/:@"\\,\[\]{} .+\-]{1,3}"#,
        "[\0-\u{20}%]{1,2}",
        "(%[0-9a-f]{2}|%25|%3[dD]|%26){1,3}",
        "(token|gone|hashed|secret|code|to%6ben|Bearer|for|by|Path|https://)",
        "(1.2.3.4|2001:db8::1|\"token\":|\"gone\":|\"secret\":|1e5|null|\\\\u0061)",
        Just("[redacted]".to_owned()),
    ];
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

/// No word of the tests' texts holds these letters.
fn secret() -> impl Strategy<Value = String> {
    "[QXZ]{8}[QXZ!*~|<>]{0,8}[QXZ]{4}"
}

fn run(redact: impl Fn(&mut String) -> Redacted, value: &str) -> Option<String> {
    let mut out = "left".to_owned();
    match redact(&mut out) {
        Redacted::Same => {
            assert!(out.is_empty());
            Some(value.to_owned())
        }
        Redacted::Changed => {
            assert!(!out.is_empty());
            Some(out)
        }
        Redacted::Removed => {
            assert!(out.is_empty());
            None
        }
    }
}

/// Every way in, by a number.
fn any_way(redactor: &Redactor, way: usize, value: &str) -> Option<String> {
    run(
        |out| match way {
            0 => redactor.query(value, out),
            1 => redactor.url(value, out),
            2 => redactor.field("request_body", value, out),
            3 => redactor.address(value, out),
            header => redactor.header(HEADERS[(header - 4) % HEADERS.len()], value, out),
        },
        value,
    )
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,9})?(e[+-]?[0-9])?",
        r#""([a-z é€,:{}\[\]]|\\["\\nu]0061){0,8}""#.prop_map(|text| text
            .replace("\\n0061", "\\n")
            .replace("\\\"0061", "\\\"")
            .replace("\\\\0061", "\\\\")),
    ];
    let space = || "[ \n\t]{0,2}";
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let key = r#""(secret|gone|hashed|a|b|s\\u0065cret)""#;
        let member = (space(), key, space(), space(), inner.clone(), space())
            .prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"));
        let element = (space(), inner, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        prop_oneof![
            prop::collection::vec(member, 1..5).prop_map(|all| format!("{{{}}}", all.join(","))),
            prop::collection::vec(element, 1..5).prop_map(|all| format!("[{}]", all.join(","))),
        ]
    })
}

/// What the paths of [`everything`] ask for, by way of a tree.
fn expected(value: &mut serde_json::Value, root: bool, cover: &Cover) {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            if root {
                members.remove("gone");
            }
            for (key, member) in members {
                let empty = member.as_str() == Some("");
                match key.as_str() {
                    "secret" | "hashed" if empty => {}
                    "secret" => *member = Value::String(cover::MASK.to_owned()),
                    "hashed" => {
                        // The text of a number or a container is that of the body, which the tree
                        // no longer has.
                        let Value::String(text) = &*member else {
                            *member = Value::Null;
                            continue;
                        };
                        let mut hash = String::new();
                        cover.write(RedactAction::Hash, text.as_bytes(), &mut hash);
                        *member = Value::String(hash);
                    }
                    _ => expected(member, false, cover),
                }
            }
        }
        Value::Array(elements) => {
            elements.iter_mut().for_each(|element| expected(element, false, cover));
        }
        Value::String(text) if !root => hide_broken(text),
        _ => {}
    }
}

/// A string that looks like JSON is searched; the tests' are none, or hold no member.
fn hide_broken(text: &mut String) {
    let before = |c: char| c.is_whitespace() || c == '"';
    if !text.trim_start_matches(before).starts_with(['{', '[']) {
        return;
    }
    // The search lets raw control characters pass.
    match serde_json::from_str(&text.replace('\n', " ")) {
        Ok(serde_json::Value::String(inner)) => {
            let mut hidden = inner.clone();
            hide_broken(&mut hidden);
            if hidden != inner {
                // Blanks around the string stay.
                let hidden = serde_json::to_string(&hidden).unwrap();
                *text = text.replace(text.trim(), &hidden);
            }
        }
        Err(_) if text.contains('"') => cover::MASK.clone_into(text),
        _ => {}
    }
}

/// As [`expected`] does with what it cannot hash.
fn forget_hashes(found: &mut serde_json::Value, came: &serde_json::Value) {
    use serde_json::Value;
    match (found, came) {
        (Value::Object(found), Value::Object(came)) => {
            for (key, found) in found {
                match came.get(key) {
                    Some(came) if key == "hashed" && !came.is_string() => *found = Value::Null,
                    Some(came) => forget_hashes(found, came),
                    None => {}
                }
            }
        }
        (Value::Array(found), Value::Array(came)) => {
            found.iter_mut().zip(came).for_each(|(found, came)| forget_hashes(found, came));
        }
        _ => {}
    }
}

/// Found by a property, with another seed.
#[test]
fn blanks_around_a_string_within_a_string_stay() {
    let body = r#"{"a":"\n\"[\\\"\" "}"#;
    let redacted = any_way(&everything(), 2, body).unwrap();
    let mut tree: serde_json::Value = serde_json::from_str(body).unwrap();
    expected(&mut tree, true, &Cover::new(Some(KEY)));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&redacted).unwrap(), tree);
    assert!(redacted.contains(cover::MASK), "{redacted}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_panics_and_masking_twice_is_masking_once(value in text(), way in 0_usize..13) {
        let redactor = everything();
        let Some(once) = any_way(&redactor, way, &value) else { return Ok(()) };
        // A hash of a hash is another hash.
        if !once.contains("hash:") {
            prop_assert_eq!(any_way(&redactor, way, &once), Some(once.clone()));
        }
    }

    #[test]
    fn no_secret_comes_through(
        secret in secret(), before in text(), after in text(), place in 0_usize..12,
    ) {
        let redactor = everything();
        let quoted = serde_json::to_string(&secret).unwrap();
        let encoded: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (way, value) = match place {
            0 => (0, format!("{before}&token={secret}&{after}")),
            1 => (1, format!("/{before}?TO%6BEN={secret}{after}")),
            2 => (1, format!("https://u:{secret}@host/{after}")),
            3 => (0, format!("r=https%3A%2F%2Fx%3Fcode%3D{secret}%26{after}")),
            4 => (2, format!("{{\"a\":[{{\"secret\":{quoted}}}],{after}")),
            5 => (3, format!("{before},{secret}")),
            6 => (4, format!("Bearer {secret} {after}")),
            7 => (4, format!("{secret} {after}")),
            8 => (5, format!("a={secret}; b=\"{after};{secret}")),
            9 => (6, format!("a={secret}; Path=/; {after}")),
            10 => (7, format!("{before}{secret}{after}")),
            _ => (0, format!("{before}&hashed={encoded}")),
        };
        if let Some(redacted) = any_way(&redactor, way, &value) {
            prop_assert!(!redacted.contains(&secret), "{} in {}", secret, redacted);
            prop_assert!(!redacted.contains(&encoded), "{} in {}", encoded, redacted);
        }
    }

    #[test]
    fn around_a_secret_parameter_nothing_changes(
        before in "[a-f/]{0,9}[?][a-f=&+,é]{0,20}", secret in "[!$'-:<->@-~é]{1,30}",
        after in "(&[a-f=+é]{0,20})?",
    ) {
        let redactor = default();
        let value = format!("{before}&token={secret}{after}");
        let expected = format!("{before}&token=[redacted]{after}");
        prop_assert_eq!(any_way(&redactor, 1, &value), Some(expected));
    }

    #[test]
    fn bodies_agree_with_a_tree(body in json()) {
        let redactor = everything();
        // Duplicate keys: the tree keeps the last, the text all.
        let came: serde_json::Value = serde_json::from_str(&body).unwrap();
        let mut tree = came.clone();
        expected(&mut tree, true, &Cover::new(Some(KEY)));
        let redacted = any_way(&redactor, 2, &body);
        prop_assume!(redacted.is_some() || !body.trim_start().starts_with('"'));
        let mut found: serde_json::Value = serde_json::from_str(&redacted.unwrap()).unwrap();
        forget_hashes(&mut found, &came);
        prop_assert_eq!(found, tree);
    }

    #[test]
    fn bodies_without_a_match_stay(body in json()) {
        let redactor = Redactor::compile(&with(vec![(body_path("$..none"), RedactAction::Mask)]));
        let redacted = any_way(&redactor.unwrap(), 2, &body);
        // What is covered looks like JSON in a string, and is none.
        if let Some(redacted) = redacted.filter(|text| !text.contains(cover::MASK)) {
            prop_assert_eq!(redacted, body);
        }
    }
}
