//! What a client asks for: in its query, or in its first message under the same names.

use std::ops::Range;

use serde_json::Value;

use crate::clock::Millis;
use crate::prepare::time::Moment;

use super::request::Problem;
use super::session::Slow;
use super::shape::Format;

/// A longer name of a parameter is no slip of the pen.
const NAME_BYTES_MAX: usize = 24;

/// A longer value may be a secret in the wrong place; no time is longer.
const VALUE_BYTES_MAX: usize = 35;

/// Where the stream is to begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// With what comes next.
    #[default]
    Tip,
    /// With the oldest event held.
    Earliest,
    /// With the first record at or after this time.
    Since(Millis),
    Cursor(String),
}

/// What a client asks for: in its query, or in its first message under the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub key: Option<String>,
    pub start: Start,
    pub filter: Option<String>,
    pub fields: Option<Vec<String>>,
    /// About one event of so many.
    pub one_in: u32,
    pub format: Format,
    pub batch: bool,
    pub slow: Slow,
    pub zstd: bool,
    /// The rest comes in the first message.
    pub hello: bool,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            key: None,
            start: Start::Tip,
            filter: None,
            fields: None,
            one_in: 1,
            format: Format::Native,
            batch: false,
            slow: Slow::CatchUp,
            zstd: false,
            hello: false,
        }
    }
}

impl Query {
    /// # Errors
    /// A parameter is not known, comes twice, or has no such value: nothing is guessed.
    pub fn read(query: &str) -> Result<Self, Problem> {
        let mut read = Self::default();
        let mut seen = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if seen.contains(&name) {
                return Err(bad(format!("`{name}` stands there twice")));
            }
            match &*name {
                "key" => read.key = Some(value.into_owned()),
                "hello" => read.hello = truth("hello", &value)?,
                name => read.set(name, &value)?,
            }
            seen.push(name);
        }
        Ok(read)
    }

    /// Takes the first message: a JSON object of the same names. Lists may be arrays.
    ///
    /// # Errors
    /// It is none, or one of its members is as [`Self::read`] refuses it.
    pub fn hear(mut self, message: &str) -> Result<Self, Problem> {
        let message: serde_json::Map<String, Value> =
            serde_json::from_str(message).map_err(|_no_object| {
                bad("the first message is to be a JSON object, as in {\"filter\":\"status = 5xx\"}")
            })?;
        for (name, value) in message {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(true) => "1".to_owned(),
                Value::Bool(false) => "0".to_owned(),
                Value::Array(list) => {
                    let names: Option<Vec<_>> = list.iter().map(Value::as_str).collect();
                    names.ok_or_else(|| bad(format!("`{name}` is no list of texts")))?.join(",")
                }
                Value::Null => continue,
                Value::Object(_) => return Err(bad(format!("`{name}` is no object"))),
            };
            self.set(&name, &text)?;
        }
        Ok(self)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        match (name, value) {
            ("cursor", text) => self.begin(Start::Cursor(text.to_owned()))?,
            ("earliest", "" | "1" | "true") => self.begin(Start::Earliest)?,
            ("earliest", "0" | "false") => {}
            ("earliest", _) => return Err(bad("`earliest` has no value")),
            ("since", time) => self.begin(Start::Since(moment(time)?))?,
            ("filter", text) => self.filter = Some(text.to_owned()),
            ("fields", list) => {
                let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
                self.fields = Some(names.map(str::to_owned).collect());
            }
            ("sample", number) => {
                let one_in = number.parse().ok().filter(|one_in| *one_in > 0);
                self.one_in = one_in.ok_or_else(|| {
                    bad(format!(
                        "`sample` is a whole number from 1: about one event of so many is sent{}",
                        found(number)
                    ))
                })?;
            }
            ("format", "native") => self.format = Format::Native,
            ("format", "ecls") => self.format = Format::Ecls,
            ("format", _) => return Err(bad("`format` is `native` or `ecls`")),
            ("batch", value) => self.batch = truth("batch", value)?,
            ("slow", "catchup") => self.slow = Slow::CatchUp,
            ("slow", "disconnect") => self.slow = Slow::Disconnect,
            ("slow", _) => return Err(bad("`slow` is `catchup` or `disconnect`")),
            ("compression", "zstd") => self.zstd = true,
            ("compression", "none") => self.zstd = false,
            ("compression", _) => return Err(bad("`compression` is `zstd` or `none`")),
            // A secret may stand in the wrong place: no value is said, nor a name like no other.
            _ if name.len() > NAME_BYTES_MAX => return Err(bad("there is no such parameter")),
            _ => return Err(bad(format!("there is no parameter `{name}`"))),
        }
        Ok(())
    }

    fn begin(&mut self, start: Start) -> Result<(), Problem> {
        if self.start != Start::Tip {
            return Err(bad("one of `cursor`, `since` and `earliest`, not several"));
        }
        self.start = start;
        Ok(())
    }
}

fn truth(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "1" | "true" => Ok(true),
        "" | "0" | "false" => Ok(false),
        _ => Err(bad(format!("`{name}` is `1` or `0`"))),
    }
}

/// As milliseconds these are days of 1970 and some years behind it, as seconds 2001 to 2100: meant is
/// the latter.
const SECONDS: Range<Millis> = 1_000_000_000..4_102_444_800;

/// A time as RFC 3339 has it, or as milliseconds since 1970.
fn moment(text: &str) -> Result<Millis, Problem> {
    let of_text = || Moment::of_text(text).map(|moment| moment.millis);
    let millis = text.parse().ok();
    if millis.is_some_and(|millis| SECONDS.contains(&millis)) {
        let detail = format!("`since` is in milliseconds since 1970, as `{text}000`");
        return Err(bad(detail));
    }
    millis.or_else(of_text).filter(|millis| *millis >= 0).ok_or_else(|| {
        // The zone's sign, where nobody has written it for a URL.
        let hint = if text.contains(' ') { "; in a URL `+` is written `%2B`" } else { "" };
        bad(format!(
            "`since` is a time as in `2026-01-15T10:00:00Z`, or milliseconds since 1970{}{hint}",
            found(text)
        ))
    })
}

/// What was given instead, unless it is as long as a secret.
fn found(text: &str) -> String {
    if text.len() > VALUE_BYTES_MAX { String::new() } else { format!("; found `{text}`") }
}

/// A request that asks for what cannot be.
pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(400, "bad-parameter", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let check = |query: &str, expected: Result<Query, &str>| {
            assert_eq!(
                Query::read(query).map_err(|problem| problem.detail),
                expected.map_err(str::to_owned),
                "{query}"
            );
        };
        check("", Ok(Query::default()));
        let cursor = Start::Cursor("a b".to_owned());
        check("cursor=a%20b&batch=1", Ok(Query { start: cursor, batch: true, ..Query::default() }));
        check("earliest", Ok(Query { start: Start::Earliest, ..Query::default() }));
        check(
            "key=k&slow=disconnect",
            Ok(Query { key: Some("k".into()), slow: Slow::Disconnect, ..Query::default() }),
        );
        check("slow=drop", Err("`slow` is `catchup` or `disconnect`"));
        check("batch=many", Err("`batch` is `1` or `0`"));
        check("batch=1&batch=1", Err("`batch` stands there twice"));
        check("cursor=a&earliest", Err("one of `cursor`, `since` and `earliest`, not several"));
        check("kursor=secret", Err("there is no parameter `kursor`"));
        check("n0LXb1bU3bG8yqJmWm2mUQm0yQ2m=1", Err("there is no such parameter"));
        check(
            "since=1767225600000",
            Ok(Query { start: Start::Since(1_767_225_600_000), ..Query::default() }),
        );
        check(
            "since=2026-01-01T01:00:00%2B01:00",
            Ok(Query { start: Start::Since(1_767_225_600_000), ..Query::default() }),
        );
        let since = |rest: &str| {
            let time = "a time as in `2026-01-15T10:00:00Z`, or milliseconds since 1970";
            format!("`since` is {time}{rest}")
        };
        check("since=1764197000", Err("`since` is in milliseconds since 1970, as `1764197000000`"));
        check("since=1", Ok(Query { start: Start::Since(1), ..Query::default() }));
        check("since=yesterday", Err(&since("; found `yesterday`")));
        check(
            "since=2026-01-01T01:00:00+01:00",
            Err(&since("; found `2026-01-01T01:00:00 01:00`; in a URL `+` is written `%2B`")),
        );
        check(&format!("since={}", "x".repeat(36)), Err(&since("")));
        check(
            "filter=a%3D1&fields=a,%20b.c,&sample=10&format=ecls&compression=zstd&hello=1",
            Ok(Query {
                filter: Some("a=1".into()),
                fields: Some(vec!["a".into(), "b.c".into()]),
                one_in: 10,
                format: Format::Ecls,
                zstd: true,
                hello: true,
                ..Query::default()
            }),
        );
        check(
            "sample=0",
            Err("`sample` is a whole number from 1: about one event of so many is sent; found `0`"),
        );
        check("format=xml", Err("`format` is `native` or `ecls`"));
        check("compression=gzip", Err("`compression` is `zstd` or `none`"));
    }

    #[test]
    fn first_messages() {
        let check = |message: &str, expected: Result<Query, &str>| {
            assert_eq!(
                Query::default().hear(message).map_err(|problem| problem.detail),
                expected.map_err(str::to_owned),
                "{message}"
            );
        };
        check("{}", Ok(Query::default()));
        check(
            r#"{"filter":"a=1","fields":["a","b.c"],"sample":3,"batch":true,"earliest":true,"slow":null}"#,
            Ok(Query {
                filter: Some("a=1".into()),
                fields: Some(vec!["a".into(), "b.c".into()]),
                one_in: 3,
                batch: true,
                start: Start::Earliest,
                ..Query::default()
            }),
        );
        check(
            "[]",
            Err("the first message is to be a JSON object, as in {\"filter\":\"status = 5xx\"}"),
        );
        check(r#"{"fields":[1]}"#, Err("`fields` is no list of texts"));
        check(r#"{"filter":{}}"#, Err("`filter` is no object"));
        check(r#"{"key":"secret"}"#, Err("there is no parameter `key`"));
    }
}
