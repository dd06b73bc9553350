//! What a parser says of a request, in the words of the API.

use serde_json::error::Category;

/// Why a body is not what it must be. Texts of it are not repeated: one may be a secret.
pub(super) fn body(error: &serde_json::Error, example: &str) -> String {
    let (line, column) = (error.line(), error.column());
    let why = match error.classify() {
        Category::Data => data(&error.to_string()),
        Category::Syntax | Category::Eof | Category::Io => "is no JSON".to_owned(),
    };
    format!("the body {why}, at line {line}, column {column} (as in {example})")
}

/// Why a parameter is not what it must be.
pub(super) fn query(text: &str) -> String {
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    // All numbers here are of one kind.
    let is_number = |why: &str| ["digit", "number too", "integer"].iter().any(|w| why.contains(w));
    match text.split_once(": ") {
        Some((name, why)) if is_number(why) => format!("`{name}` is a whole number from 0 on"),
        _ => unknown(text).unwrap_or_else(|| text.to_owned()),
    }
}

fn data(text: &str) -> String {
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    if let Some(name) = text.strip_prefix("missing field ") {
        return format!("has no {name}");
    }
    if let Some(unknown) = unknown(text) {
        return format!("has a member too many: {unknown}");
    }
    let given = text.strip_prefix("invalid type: ").or(text.strip_prefix("invalid value: "));
    // What was given may have a comma itself, what is expected has none.
    match given.and_then(|given| given.rsplit_once(", expected ")) {
        Some((given, expected)) => {
            format!("is to have {}, and has {}", wanted(expected), kind(given))
        }
        None => format!("is not as it must be: {text}"),
    }
}

fn unknown(text: &str) -> Option<String> {
    let (name, known) = text.strip_prefix("unknown field ")?.split_once(", expected ")?;
    Some(format!("there is no {name}, but {}", known.trim_start_matches("one of ")))
}

fn wanted(expected: &str) -> &str {
    match expected {
        "a string" => "a text",
        "a sequence" => "a list",
        "a boolean" => "`true` or `false`",
        "u32" | "u64" | "i64" | "usize" => "a whole number",
        object if object.starts_with("struct ") => "an object",
        other => other,
    }
}

fn kind(given: &str) -> &str {
    let kinds = [
        ("string", "a text"),
        ("integer", "the number"),
        ("floating point", "a number with a fraction"),
        ("boolean", "`true` or `false`"),
        ("map", "an object"),
        ("sequence", "a list"),
        ("null", "`null`"),
    ];
    let found = kinds.into_iter().find(|(name, _)| given.starts_with(name));
    match found {
        Some((_, "the number")) => given,
        Some((_, kind)) => kind,
        None => given,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Asked {
        area: String,
        limit: Option<u32>,
        fields: Option<Vec<String>>,
    }

    #[test]
    fn bodies() {
        let check = |text: &str, expected: &str| {
            let error = serde_json::from_str::<Asked>(text).unwrap_err();
            let told = body(&error, "{}");
            let told = told.strip_suffix(" (as in {})").unwrap();
            assert_eq!(told, format!("the body {expected}"), "{text}");
        };
        check("{", "is no JSON, at line 1, column 1");
        check("", "is no JSON, at line 1, column 0");
        check("{}", "has no `area`, at line 1, column 2");
        check("[1]", "is to have a text, and has integer `1`, at line 1, column 2");
        check("7", "is to have an object, and has integer `7`, at line 1, column 1");
        check(r#"{"area":7}"#, "is to have a text, and has integer `7`, at line 1, column 9");
        check(
            r#"{"area":"a","limit":"secret, expected"}"#,
            "is to have a whole number, and has a text, at line 1, column 38",
        );
        check(
            r#"{"area":"a","limit":-1}"#,
            "is to have a whole number, and has integer `-1`, at line 1, column 22",
        );
        check(
            r#"{"area":"a","fields":"b"}"#,
            "is to have a list, and has a text, at line 1, column 24",
        );
        check(
            r#"{"area":"a","more":1}"#,
            "has a member too many: there is no `more`, but `area`, `limit`, `fields`, at line 1, \
             column 18",
        );
    }

    #[test]
    fn queries() {
        let check = |text: &str, expected: &str| {
            let text = format!("Failed to deserialize query string: {text}");
            assert_eq!(query(&text), expected);
        };
        check("limit: invalid digit found in string", "`limit` is a whole number from 0 on");
        check(
            "limit: cannot parse integer from empty string",
            "`limit` is a whole number from 0 on",
        );
        check(
            "before: number too large to fit in target type",
            "`before` is a whole number from 0 on",
        );
        check(
            "unknown field `page`, expected one of `area`, `after`, `limit`",
            "there is no `page`, but `area`, `after`, `limit`",
        );
        check("duplicate field `limit`", "duplicate field `limit`");
    }
}
