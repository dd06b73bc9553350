//! Sizes and durations as people write them, and values from environment variables.

use std::time::Duration;

use super::document::{Entry, Raw};
use super::keys::Kind;

/// A size in bytes: `4096`, `512 KiB`, `8MiB`, `1 GiB`, and decimal `kB`, `MB`, `GB`.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let scale: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(scale)
}

/// A duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let scale: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(scale).map(Duration::from_millis)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim()))
}

/// The value that a variable's text means for a key of this kind. What cannot be read stays text,
/// and the key says what is wrong with it.
#[must_use]
pub fn from_variable(kind: Kind, text: &str) -> Raw {
    let as_text = || Raw::Text(text.to_owned());
    match kind {
        Kind::Texts | Kind::Choices(_) | Kind::Paths => Raw::List(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Entry { value: Raw::Text(part.to_owned()), line: 0 })
                .collect(),
        ),
        Kind::Bool => match text {
            "true" => Raw::Bool(true),
            "false" => Raw::Bool(false),
            _ => as_text(),
        },
        Kind::Integer { .. } => integer(text).unwrap_or_else(as_text),
        Kind::Map => Raw::Table(
            text.split(',')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| {
                    let value = Raw::Text(value.trim().to_owned());
                    (name.trim().to_owned(), Entry { value, line: 0 })
                })
                .collect(),
        ),
        _ => as_text(),
    }
}

/// `None` for what is no integer.
fn integer(text: &str) -> Option<Raw> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_integer.then(|| text.parse().map_or(Raw::Beyond, Raw::Integer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("8 MiB", Some(8 << 20)),
            ("512KiB", Some(512 << 10)),
            ("1 GB", Some(1_000_000_000)),
            ("", None),
            ("MiB", None),
            ("1 mb", None),
            ("-1", None),
            ("99999999999 GiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, expected_ms) in [
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("5 m", Some(300_000)),
            ("30d", Some(30 * 86_400_000)),
            ("10", None),
            ("1w", None),
            ("1.5s", None),
        ] {
            assert_eq!(duration(text), expected_ms.map(Duration::from_millis), "{text}");
        }
    }
}
