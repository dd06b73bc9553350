//! One TOML file as plain values, each with the line on which it stands.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;

/// A value and its line, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub value: Raw,
    pub line: usize,
}

/// A TOML value without its notation.
#[derive(Debug, Clone, PartialEq)]
pub enum Raw {
    Text(String),
    Integer(i64),
    /// An integer that no `i64` holds.
    Beyond,
    Float(f64),
    Bool(bool),
    List(Vec<Entry>),
    Table(Vec<(String, Entry)>),
    Datetime,
}

impl Raw {
    /// What a user would call it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Beyond => "an integer of more than 64 bits",
            Self::Float(_) => "a float",
            Self::Bool(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Datetime => "a date",
        }
    }
}

/// Parses a file's text. What could be read in spite of a syntax error is returned all the same, so
/// that one error does not hide the others; but not a value with an error in it, which is a guess
/// of the parser's, and of what else it says there only the first: the rest follows from that.
pub fn parse(file: &Path, text: &str, faults: &mut Vec<Fault>) -> Vec<(String, Entry)> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut found: Vec<_> = errors
        .iter()
        .map(|error| {
            let line = error.span().map_or(0, |span| line_of(text, span.start));
            (line, error.message().trim().replace('\n', ", "))
        })
        .collect();
    found.sort_by_key(|(line, _)| *line);
    found.dedup_by_key(|(line, _)| *line);
    let mut document =
        Document { text, broken: found.iter().map(|(line, _)| *line).collect(), torn: Vec::new() };
    let members = document.members(table.get_ref());
    // One of several lines: what is said of the first of them stands for the value.
    let follows = |line: usize| {
        let is_of_both = |torn: &RangeInclusive<usize>, other: usize| {
            torn.contains(&line) && torn.contains(&other)
        };
        let before = document.broken.iter().take_while(|other| **other < line);
        before.into_iter().any(|other| document.torn.iter().any(|torn| is_of_both(torn, *other)))
    };
    for (line, message) in found.into_iter().filter(|(line, _)| !follows(*line)) {
        let (file, key) = (Some(file.to_owned()), "syntax".to_owned());
        faults.push(Fault { file, line, key, message, hint: None });
    }
    members
}

/// A text that is being read.
struct Document<'a> {
    text: &'a str,
    /// The lines with a syntax error, in their order.
    broken: Vec<usize>,
    /// The lines of each value that has one.
    torn: Vec<RangeInclusive<usize>>,
}

impl Document<'_> {
    fn members(&mut self, table: &DeTable<'_>) -> Vec<(String, Entry)> {
        let mut found: Vec<_> =
            table.iter().map(|(key, value)| (key.span().start, key, value)).collect();
        // The map is sorted by name; faults are to come in the order of the file.
        found.sort_by_key(|(start, ..)| *start);
        let entry = |(_, key, value): (usize, &Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            let is_sound = !self.is_torn(key.span().start, value);
            is_sound.then(|| (key.get_ref().to_string(), self.entry(key, value)))
        };
        found.into_iter().filter_map(entry).collect()
    }

    /// Whether a value without members has a syntax error in it; those with members have their own.
    fn is_torn(&mut self, start: usize, value: &Spanned<DeValue<'_>>) -> bool {
        let has_members = match value.get_ref() {
            DeValue::Table(_) => true,
            DeValue::Array(list) => {
                let mut tables = list.iter().map(|of| matches!(of.get_ref(), DeValue::Table(_)));
                !list.is_empty() && tables.all(|is_table| is_table)
            }
            _ => false,
        };
        let first = line_of(self.text, start);
        let last = line_of(self.text, value.span().end.saturating_sub(1)).max(first);
        let is_torn = !has_members && self.broken.iter().any(|line| (first..=last).contains(line));
        if is_torn {
            self.torn.push(first..=last);
        }
        is_torn
    }

    fn entry<T>(&mut self, at: &Spanned<T>, value: &Spanned<DeValue<'_>>) -> Entry {
        Entry { value: self.raw(value), line: line_of(self.text, at.span().start) }
    }

    fn raw(&mut self, value: &Spanned<DeValue<'_>>) -> Raw {
        match value.get_ref() {
            DeValue::String(value) => Raw::Text(value.to_string()),
            DeValue::Integer(value) => {
                i64::from_str_radix(value.as_str(), value.radix()).map_or(Raw::Beyond, Raw::Integer)
            }
            DeValue::Float(value) => Raw::Float(value.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Raw::Bool(*value),
            DeValue::Datetime(_) => Raw::Datetime,
            DeValue::Array(values) => {
                Raw::List(values.iter().map(|value| self.entry(value, value)).collect())
            }
            DeValue::Table(table) => Raw::Table(self.members(table)),
        }
    }
}

fn line_of(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().get(..byte).unwrap_or(text.as_bytes());
    1 + memchr::memchr_iter(b'\n', before).count()
}
