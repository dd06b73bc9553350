//! One TOML file as plain values, each with the line on which it stands.

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

/// Parses a file's text. Every syntax error is a fault, and what could be read in spite of it is
/// returned all the same, so that one error does not hide the others.
pub fn parse(file: &Path, text: &str, faults: &mut Vec<Fault>) -> Vec<(String, Entry)> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        faults.push(Fault {
            file: Some(file.to_owned()),
            line: error.span().map_or(0, |span| line_of(text, span.start)),
            key: "syntax".to_owned(),
            message: error.message().trim().replace('\n', ", "),
            hint: None,
        });
    }
    members(text, table.get_ref())
}

fn members(text: &str, table: &DeTable<'_>) -> Vec<(String, Entry)> {
    let mut found: Vec<_> = table
        .iter()
        .map(|(key, value)| (key.span().start, key.get_ref().to_string(), entry(text, key, value)))
        .collect();
    // The map is sorted by name; faults are to come in the order of the file.
    found.sort_by_key(|(start, ..)| *start);
    found.into_iter().map(|(_, name, entry)| (name, entry)).collect()
}

fn entry<T>(text: &str, at: &Spanned<T>, value: &Spanned<DeValue<'_>>) -> Entry {
    Entry { value: raw(text, value), line: line_of(text, at.span().start) }
}

fn raw(text: &str, value: &Spanned<DeValue<'_>>) -> Raw {
    match value.get_ref() {
        DeValue::String(value) => Raw::Text(value.to_string()),
        DeValue::Integer(value) => {
            i64::from_str_radix(value.as_str(), value.radix()).map_or(Raw::Beyond, Raw::Integer)
        }
        DeValue::Float(value) => Raw::Float(value.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::Datetime(_) => Raw::Datetime,
        DeValue::Array(values) => {
            Raw::List(values.iter().map(|value| entry(text, value, value)).collect())
        }
        DeValue::Table(table) => Raw::Table(members(text, table)),
    }
}

fn line_of(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().get(..byte).unwrap_or(text.as_bytes());
    1 + memchr::memchr_iter(b'\n', before).count()
}
