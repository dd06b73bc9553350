//! A call in one line that a terminal can be trusted with.

use std::borrow::Cow;

use serde_json::Value;

/// What is shown of one value, in characters.
const SHOWN_CHARS_MAX: usize = 300;
const ABSENT: &str = "-";

/// How events are printed.
#[derive(Debug)]
pub(super) enum Lines {
    /// As they come.
    Json,
    /// The values of these fields, with tabs between.
    Fields(Vec<String>),
    Native,
    /// In Mashery's format every value is a text.
    Ecls,
}

/// One column: the fields of which the first that is there is shown, the unit, and its width.
struct Column {
    fields: &'static [&'static str],
    unit: &'static str,
    width: Width,
}

#[derive(Clone, Copy)]
enum Width {
    Left(usize),
    Right(usize),
}

const NATIVE: [Column; 8] = [
    Column { fields: &["datetime", "@timestamp"], unit: "", width: Width::Left(24) },
    Column { fields: &["request_method"], unit: "", width: Width::Left(6) },
    Column { fields: &["status", "status_code"], unit: "", width: Width::Left(3) },
    Column { fields: &["time_to_serve_request"], unit: " ms", width: Width::Right(8) },
    Column {
        fields: &["client_geoip.country_code2", "client_geoip.country_name"],
        unit: "",
        width: Width::Left(2),
    },
    Column { fields: &["org_name", "org_id"], unit: "", width: Width::Left(12) },
    Column { fields: &["api_name", "api_id"], unit: "", width: Width::Left(16) },
    Column { fields: &["uri_path"], unit: "", width: Width::Left(0) },
];

const ECLS: [Column; 7] = [
    Column { fields: &["request_time"], unit: "", width: Width::Left(24) },
    Column { fields: &["http_method"], unit: "", width: Width::Left(6) },
    Column { fields: &["http_status_code"], unit: "", width: Width::Left(3) },
    Column { fields: &["total_request_exec_time"], unit: " s", width: Width::Right(8) },
    Column { fields: &["org_name", "org_uuid"], unit: "", width: Width::Left(12) },
    Column { fields: &["service_name", "service_id"], unit: "", width: Width::Left(16) },
    Column { fields: &["uri"], unit: "", width: Width::Left(0) },
];

impl Lines {
    /// Writes the line of an event.
    pub(super) fn put(&self, out: &mut String, event: &str) {
        if matches!(self, Self::Json) {
            out.push_str(event);
            out.push('\n');
            return;
        }
        let Ok(value) = serde_json::from_str::<Value>(event) else {
            // Nothing that came is left out.
            out.push_str(&shown(event));
            out.push('\n');
            return;
        };
        match self {
            Self::Fields(fields) => {
                for (number, field) in fields.iter().enumerate() {
                    out.push_str(if number > 0 { "\t" } else { "" });
                    out.push_str(&text(&value, field).unwrap_or_else(|| ABSENT.to_owned()));
                }
            }
            Self::Ecls => put_columns(out, &value, &ECLS),
            Self::Native | Self::Json => put_columns(out, &value, &NATIVE),
        }
        out.push('\n');
    }
}

fn put_columns(out: &mut String, event: &Value, columns: &[Column]) {
    for (number, column) in columns.iter().enumerate() {
        out.push_str(if number > 0 { "  " } else { "" });
        let found = column.fields.iter().find_map(|field| text(event, field));
        let shown = match found {
            Some(text) => text + column.unit,
            None => ABSENT.to_owned(),
        };
        match column.width {
            Width::Left(width) => out.push_str(&format!("{shown:width$}")),
            Width::Right(width) => out.push_str(&format!("{shown:>width$}")),
        }
    }
}

/// The value of a field, by its whole name or by its path; `None` for what is absent.
fn text(event: &Value, field: &str) -> Option<String> {
    let value = event
        .get(field)
        .or_else(|| field.split('.').try_fold(event, |value, name| value.get(name)))?;
    match value {
        Value::Null => None,
        Value::String(text) if text == ABSENT || text.is_empty() => None,
        Value::String(text) => Some(shown(text)),
        other => Some(shown(&other.to_string())),
    }
}

/// A text without what a terminal would obey, cut where it is very long.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars();
    for c in chars.by_ref().take(SHOWN_CHARS_MAX) {
        if is_safe(c) {
            shown.push(c);
        } else {
            shown.extend(escape(c).chars());
        }
    }
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

fn escape(c: char) -> Cow<'static, str> {
    match c {
        '\t' => "\\t".into(),
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        other => other.escape_unicode().to_string().into(),
    }
}

/// Controls would be obeyed; marks of direction and line separators would turn the line round or
/// break it.
fn is_safe(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(lines: &Lines, event: &str) -> String {
        let mut out = String::new();
        lines.put(&mut out, event);
        out
    }

    #[test]
    fn lines() {
        let check = |lines: Lines, event: &str, expected: &str| {
            assert_eq!(line(&lines, event), format!("{expected}\n"));
        };
        let event = r#"{"datetime":"2016-09-29T22:53:46.766Z","request_method":"POST","status":200,"time_to_serve_request":317,"client_geoip":{"country_code2":"US"},"org_name":"macs-shack","api_name":"accountservice","uri_path":"/macs-shack/sb/AccountService","n":1.50}"#;
        check(
            Lines::Native,
            event,
            "2016-09-29T22:53:46.766Z  POST    200    317 ms  US  macs-shack    accountservice    /macs-shack/sb/AccountService",
        );
        check(
            Lines::Native,
            r#"{"@timestamp":"2026-01-15T10:00:01.500Z","status":null,"api_name":""}"#,
            "2026-01-15T10:00:01.500Z  -       -           -  -   -             -                 -",
        );
        check(Lines::Json, event, event);
        let fields = |names: &str| Lines::Fields(names.split(',').map(str::to_owned).collect());
        check(fields("status,client_geoip.country_code2,none,n"), event, "200\tUS\t-\t1.5");
        check(fields("a.b,c"), r#"{"a.b":"x\ty","c":[1,"\u001b"]}"#, r#"x\ty	[1,"\u001b"]"#);
        check(
            Lines::Ecls,
            r#"{"request_time":"2016-09-29T22:53:46.766Z","http_method":"GET","http_status_code":"404","total_request_exec_time":"0.317","org_name":"-","org_uuid":"o","service_name":"s","uri":"/a?b=1"}"#,
            "2016-09-29T22:53:46.766Z  GET     404   0.317 s  o             s                 /a?b=1",
        );
    }

    #[test]
    fn nothing_is_obeyed() {
        let check = |text: &str, expected: &str| assert_eq!(shown(text), expected);
        check("grüße 漢字", "grüße 漢字");
        check("\u{1b}[2J\u{7}\r\n", "\\u{1b}[2J\\u{7}\\r\\n");
        check("a\u{202e}b\u{9b}", "a\\u{202e}b\\u{9b}");
        check(&"x".repeat(301), &format!("{}…", "x".repeat(300)));
    }
}
