//! The API's answers for people: columns, and what is shown only once.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

/// A list of an answer; empty where it has none.
pub(super) fn list<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn channels(channels: &[Value]) -> String {
    let mut rows = vec![row(["CHANNEL", "AREA", "STATUS", "LIVE", "UPDATED", "NAME"])];
    rows.extend(channels.iter().map(|channel| {
        let cells = ["id", "area", "enabled", "connections", "updated", "name"];
        cells.map(|name| cell(channel, name)).to_vec()
    }));
    columns(&rows)
}

pub(super) fn channel(channel: &Value) -> String {
    let names = ["id", "area", "name", "description", "enabled", "connections", "created"];
    let mut rows: Vec<_> = names
        .into_iter()
        .chain(["updated", "url"])
        .map(|name| {
            vec![if name == "enabled" { "status" } else { name }.to_owned(), cell(channel, name)]
        })
        .collect();
    rows.push(Vec::new());
    columns(&rows) + &tokens(list(channel, "tokens"))
}

/// What a token may be held to has a column where one of these is.
pub(super) fn tokens(tokens: &[Value]) -> String {
    let always = [
        ("TOKEN", "id"),
        ("ENDS IN", "last_four"),
        ("STATUS", "enabled"),
        ("CREATED", "created"),
        ("UPDATED", "updated"),
        ("LAST USED", "last_used"),
    ];
    let held = [
        ("EXPIRES", "expires"),
        ("CONNECTIONS", "connections_max"),
        ("FIELDS", "fields"),
        ("FILTER", "filter"),
    ];
    let is_set = |token: &Value, name: &str| token.get(name).is_some_and(|value| !value.is_null());
    let held = held.into_iter().filter(|(_, name)| tokens.iter().any(|token| is_set(token, name)));
    let shown: Vec<_> = always.into_iter().chain(held).collect();
    let mut rows = vec![shown.iter().map(|(head, _)| (*head).to_owned()).collect::<Vec<_>>()];
    rows.extend(
        tokens
            .iter()
            .map(|token| shown.iter().map(|(_, name)| cell(token, name)).collect::<Vec<_>>()),
    );
    columns(&rows)
}

/// A channel with its new token.
pub(super) fn made(made: &Value) -> String {
    let text = |pointer: &str| made.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let channel = text("/channel/id");
    let mut told = format!("channel {channel} of {}\n", text("/channel/area"));
    match made.pointer("/token/secret").and_then(Value::as_str) {
        Some(secret) => write!(
            told,
            "token {}, shown this once:\n  {secret}\n  {}\n",
            text("/token/id"),
            text("/token/url")
        ),
        None => write!(
            told,
            "token {} was made when this was asked for before, and shown only then:\n  disable it \
             and make another\n",
            text("/token/id")
        ),
    }
    .unwrap_or_default();
    told
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn cell(of: &Value, name: &str) -> String {
    let value = of.get(name).unwrap_or(&Value::Null);
    match (name, value) {
        ("enabled", Value::Bool(enabled)) => {
            if *enabled { "enabled" } else { "disabled" }.to_owned()
        }
        ("created" | "updated" | "last_used" | "expires", value) => time(value),
        (_, Value::Null) => "-".to_owned(),
        (_, Value::String(text)) if text.is_empty() => "-".to_owned(),
        // What an administrator wrote must not move the cursor of another's terminal.
        (_, Value::String(text)) => text.replace(char::is_control, " "),
        (_, Value::Array(list)) => {
            let parts = list.iter().filter_map(Value::as_str);
            parts.collect::<Vec<_>>().join(",").replace(char::is_control, " ")
        }
        (_, other) => other.to_string(),
    }
}

fn time(value: &Value) -> String {
    let time = value.as_i64().and_then(DateTime::from_timestamp_millis);
    time.map_or("-".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Every cell as wide as the widest of its column.
fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            write!(line, "{cell:<width$}  ", width = width(column)).unwrap_or_default();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_tokens_are_held_to_is_shown_where_one_is() {
        let token = |more: Value| {
            let mut token = json!({ "id": "t1", "last_four": "wxyz", "enabled": true, "created": 0,
                "updated": 0, "last_used": null, "expires": null, "connections_max": null,
                "filter": null, "fields": null });
            for (name, value) in more.as_object().unwrap() {
                token[name] = value.clone();
            }
            token
        };
        let check = |of: &[Value], expected: &[&str]| {
            let text = tokens(of);
            let held = |line: &str| line.split_once("  LAST USED").map(|(_, rest)| rest.to_owned());
            let lines: Vec<_> = text.lines().collect();
            let heads = held(lines[0]).unwrap();
            let heads = heads.trim_start();
            assert_eq!(heads, expected[0], "{text}");
            for (line, expected) in lines[1..].iter().zip(&expected[1..]) {
                let (_, rest) = line.split_once("Z  -").unwrap_or((line, ""));
                assert_eq!(rest.trim_start(), *expected, "{text}");
            }
            assert_eq!(lines.len(), expected.len());
        };
        check(&[token(json!({}))], &["", ""]);
        check(
            &[
                token(json!({ "expires": 1_700_000_000_000_i64, "connections_max": 2 })),
                token(json!({ "fields": ["status", "api_name"], "filter": "status = 5xx" })),
            ],
            &[
                "EXPIRES               CONNECTIONS  FIELDS           FILTER",
                "2023-11-14T22:13:20Z  2            -                -",
                "-                     -            status,api_name  status = 5xx",
            ],
        );
    }

    #[test]
    fn answers_for_people() {
        let token = json!({ "id": "t1", "last_four": "wxyz", "enabled": false, "created": 0,
            "updated": 1_700_000_000_000_i64, "last_used": null, "expires": null,
            "filter": "status >= 500" });
        let of = json!({ "id": "c1", "area": "id:a", "name": "A\u{1b}[2J", "description": "",
            "enabled": true, "connections": 3, "created": 0, "updated": 0, "url": "ws://x",
            "tokens": [token] });
        let listed = "CHANNEL  AREA  STATUS   LIVE  UPDATED               NAME\n\
                      c1       id:a  enabled  3     1970-01-01T00:00:00Z  A [2J\n";
        assert_eq!(channels(std::slice::from_ref(&of)), listed);
        let shown = channel(&of);
        assert!(shown.contains("status       enabled\n"), "{shown}");
        assert!(shown.contains("description  -\n"), "{shown}");
        let row = "t1     wxyz     disabled  1970-01-01T00:00:00Z  2023-11-14T22:13:20Z  -          \
                   status >= 500\n";
        assert!(shown.ends_with(row), "{shown}");
        let new =
            json!({ "channel": of, "token": { "id": "t1", "secret": "s", "url": "ws://x?key=s" } });
        assert!(made(&new).contains("shown this once:\n  s\n  ws://x?key=s\n"));
        let again =
            json!({ "channel": of, "token": { "id": "t1", "secret": null, "url": "ws://x" } });
        assert!(made(&again).contains("disable it"));
    }
}
