//! Names that are secret, found among many that are not.
//!
//! Writers and frameworks spell one name in many ways, and a caller may hide one behind an odd
//! byte: so names are compared by their letters and digits alone. Letter case, the characters that
//! join words, quotes, colons, control and invisible characters do not count; nor do the prefixes
//! that say nothing of what a name means: `X-`, CGI's `HTTP_`, and the `REDIRECT_` before it.
//!
//! Nearly every name that is asked for is no secret, so the first test is one bit: is there any
//! secret name with this first and this last letter?

use std::borrow::Cow;

/// First and last letters, folded onto the five low bits of ASCII.
const LETTERS: usize = 32;

/// Lower case.
pub(super) const PREFIXES: [&[u8]; 3] = [b"http", b"x", b"redirect"];

/// A small map from names to what becomes of their values.
#[derive(Debug)]
pub(crate) struct Names<T> {
    /// For each first letter the last letters of its names, one bit each.
    ends: [u32; LETTERS],
    /// Ordered by length. Each name as its letters and digits, in lower case.
    entries: Vec<(Box<[u8]>, T)>,
}

impl<T> Names<T> {
    pub(crate) fn new() -> Self {
        Self { ends: [0; LETTERS], entries: Vec::new() }
    }

    /// The value of a name, which is `value` where the name is new; `None` for what is no name.
    pub(crate) fn entry(&mut self, name: &str, value: T) -> Option<&mut T> {
        let name = letters(name);
        let (&first, &last) = (name.first()?, name.last()?);
        if let Some(at) = self.entries.iter().position(|(known, _)| *known == name) {
            return self.entries.get_mut(at).map(|(_, value)| value);
        }
        for first in PREFIXES.iter().filter_map(|prefix| prefix.first()).chain([&first]) {
            if let Some(ends) = self.ends.get_mut(letter(*first)) {
                *ends |= 1 << letter(last);
            }
        }
        let at = self.entries.partition_point(|(known, _)| known.len() <= name.len());
        self.entries.insert(at, (name, value));
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// As [`Self::get`], but a prefix belongs to the name.
    pub(super) fn whole(&self, name: &[u8]) -> Option<&T> {
        self.exactly(&spelt(name))
    }

    #[inline]
    pub(crate) fn get(&self, name: &[u8]) -> Option<&T> {
        let (&first, &last) = (name.first()?, name.last()?);
        let is_plain = first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric();
        let ends = self.ends.get(letter(first)).copied().unwrap_or_default();
        if is_plain && ends >> letter(last) & 1 == 0 { None } else { self.find(name) }
    }

    fn find(&self, name: &[u8]) -> Option<&T> {
        let spelt = spelt(name);
        let mut name = &*spelt;
        loop {
            match self.exactly(name) {
                None => name = without_prefix(name)?,
                found => return found,
            }
        }
    }

    fn exactly(&self, name: &[u8]) -> Option<&T> {
        let counted = || name.iter().filter(|byte| counts(**byte));
        let length = counted().count();
        let first = self.entries.partition_point(|(known, _)| known.len() < length);
        self.entries
            .get(first..)?
            .iter()
            .take_while(|(known, _)| known.len() == length)
            .find(|(known, _)| {
                known.iter().zip(counted()).all(|(a, b)| *a == b.to_ascii_lowercase())
            })
            .map(|(_, value)| value)
    }
}

/// What counts of a name: nothing, where it is none.
pub(super) fn letters(name: &str) -> Box<[u8]> {
    let spelt = spelt(name.as_bytes());
    spelt.iter().filter(|byte| counts(**byte)).map(u8::to_ascii_lowercase).collect()
}

fn counts(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

fn joins(byte: u8) -> bool {
    matches!(byte, b'-' | b'_' | b'.' | b' ' | b'+')
}

/// A name without what only looks like a part of it. A plain one stays as it is.
fn spelt(name: &[u8]) -> Cow<'_, [u8]> {
    if name.iter().all(|&byte| byte.is_ascii_alphanumeric() || joins(byte)) {
        return Cow::Borrowed(name);
    }
    let text = String::from_utf8_lossy(name);
    let spelt: String = text.chars().flat_map(fold).collect();
    Cow::Owned(spelt.into_bytes())
}

/// What a character stands for in a name: the Kelvin sign for `k`, a full-width letter for itself,
/// an invisible one, or what repair put for an unreadable one, for nothing.
fn fold(c: char) -> impl Iterator<Item = char> {
    let half_width = match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    };
    let cases = half_width.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    cases.filter(|c| c.is_alphanumeric() || u8::try_from(*c).is_ok_and(joins))
}

fn without_prefix(name: &[u8]) -> Option<&[u8]> {
    let from = name.iter().position(|byte| counts(*byte))?;
    let name = name.get(from..)?;
    PREFIXES.iter().find_map(|prefix| {
        let (head, rest) = name.split_at_checked(prefix.len())?;
        let is_prefix = head.eq_ignore_ascii_case(prefix) && joins(*rest.first()?);
        is_prefix.then_some(rest)
    })
}

fn letter(byte: u8) -> usize {
    usize::from(byte) % LETTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_meant_and_nothing_else() {
        let mut names = Names::new();
        let (long, longer) = ("x".repeat(70), "y".repeat(64));
        for name in ["X-Api-Key", "token", "tokem", "access_token", "ключ", &long, &longer] {
            names.entry(name, ()).unwrap();
        }
        for name in [
            "x-api-key",
            "X_API_KEY",
            "x api.key",
            "xapikey",
            "X-Api-Key:",
            "\"x-api-key\"",
            "HTTP_X_API_KEY",
            "http-x-api-key",
            "\u{feff}x-api-key",
            "x-api\u{200b}-key",
            "x-api-\u{212a}ey",
            "x-api-key\u{fffd}",
            "ｘ-ａｐｉ-ｋｅｙ",
            "\u{200b} http_x_api_key",
            "token",
            "TOKEN",
            " token",
            "token\0",
            "to\nken",
            "x-token",
            "HTTP_TOKEN",
            "REDIRECT_HTTP_TOKEN",
            "accessToken",
            "acce\u{17f}s_token",
            "Ключ",
            &long,
        ] {
            assert!(names.get(name.as_bytes()).is_some(), "{name:?}");
        }
        assert!(names.get(b"to\xffken").is_some());
        let longest = "x".repeat(71);
        for name in [
            "",
            "+",
            "x-api-kez",
            "tokens",
            "toke",
            "apikey",
            "httptoken",
            "xtoken",
            "https_token",
            "ä",
            "tökén",
            "http_",
            "x-",
            "x-http-",
            "клю",
            &longest,
        ] {
            assert!(names.get(name.as_bytes()).is_none(), "{name:?}");
        }
    }

    #[test]
    fn one_name_has_one_value() {
        let mut names = Names::new();
        assert_eq!(names.entry("a-b", 1), Some(&mut 1));
        assert_eq!(names.entry("A_B", 2), Some(&mut 1));
        assert_eq!(names.get(b"aB"), Some(&1));
        assert_eq!(names.entry(" -\u{200b}", 3), None);
    }
}
