//! One method for each kind of value.

use std::path::PathBuf;
use std::time::Duration;

use super::Reader;
use crate::config::document::{Entry, Raw};
use crate::config::fault::nearest;
use crate::config::keys::Kind;
use crate::config::settings::Secret;
use crate::config::units;

impl Reader<'_> {
    /// A string; empty where there is none.
    pub fn text(&mut self, path: &str) -> String {
        self.optional_text(path).unwrap_or_default()
    }

    pub fn optional_text(&mut self, path: &str) -> Option<String> {
        let found = self.find(path)?;
        match &found.value {
            Raw::Text(text) if text.is_empty() => {
                self.wrong(&found, "is empty".to_owned(), None);
                None
            }
            Raw::Text(text) => Some(text.clone()),
            _ => {
                self.mismatch(&found, "a string");
                None
            }
        }
    }

    pub fn texts(&mut self, path: &str) -> Vec<String> {
        let Some(found) = self.find(path) else { return Vec::new() };
        let Raw::List(list) = &found.value else {
            self.mismatch(&found, "a list of strings");
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(list.len());
        let mut kept = Vec::with_capacity(list.len());
        for (place, element) in list.iter().enumerate() {
            let key = format!("{path}[{place}]");
            match &element.value {
                Raw::Text(text) if !text.is_empty() => {
                    texts.push(text.clone());
                    kept.push(place);
                }
                Raw::Text(_) => self.fault(&key, "is an empty string", None),
                other => self.fault(&key, format!("is {}, not a string", other.kind()), None),
            }
        }
        self.kept.insert(path.to_owned(), kept);
        texts
    }

    pub fn bool(&mut self, path: &str) -> bool {
        let Some(found) = self.find(path) else { return false };
        let Raw::Bool(value) = found.value else {
            self.mismatch(&found, "`true` or `false`");
            return false;
        };
        value
    }

    /// An integer within the bounds of its key; 0 where there is none.
    pub fn integer<T: TryFrom<i64> + Default>(&mut self, path: &str) -> T {
        self.optional_integer(path).unwrap_or_default()
    }

    pub fn optional_integer<T: TryFrom<i64>>(&mut self, path: &str) -> Option<T> {
        let found = self.find(path)?;
        let Some(Kind::Integer { min, max }) = self.key(path).map(|key| key.kind) else {
            return None;
        };
        let Raw::Integer(value) = found.value else {
            self.mismatch(&found, "an integer");
            return None;
        };
        if value < min || value > max {
            self.wrong(&found, format!("{value} is not within {min} and {max}"), None);
            return None;
        }
        T::try_from(value).ok()
    }

    /// A size in bytes.
    pub fn bytes(&mut self, path: &str) -> usize {
        let Some(found) = self.find(path) else { return 0 };
        let min = match self.key(path).map(|key| key.kind) {
            Some(Kind::Bytes { min }) => min,
            _ => 0,
        };
        let size = match &found.value {
            Raw::Integer(value) => u64::try_from(*value).ok(),
            Raw::Text(text) => units::bytes(text),
            _ => None,
        };
        match size {
            Some(size) if size >= min => usize::try_from(size).unwrap_or(usize::MAX),
            Some(size) => {
                self.wrong(&found, format!("{size} bytes is below the least of {min}"), None);
                0
            }
            None => {
                self.wrong(&found, "is no size as in `8 MiB`".to_owned(), None);
                0
            }
        }
    }

    pub fn duration(&mut self, path: &str) -> Duration {
        let Some(found) = self.find(path) else { return Duration::ZERO };
        let duration = match &found.value {
            Raw::Text(text) => units::duration(text),
            _ => None,
        };
        match duration {
            Some(duration) if !duration.is_zero() => duration,
            _ => {
                let message = "is no duration as in `500ms`, `10s`, `5m`, `24h`, `30d`";
                self.wrong(&found, message.to_owned(), None);
                Duration::ZERO
            }
        }
    }

    /// One of the names of its key, as its place among them.
    pub fn choice(&mut self, path: &str) -> usize {
        let Some(found) = self.find(path) else { return 0 };
        let Some(Kind::Choice(names)) = self.key(path).map(|key| key.kind) else { return 0 };
        let Raw::Text(text) = &found.value else {
            self.mismatch(&found, "a string");
            return 0;
        };
        names.iter().position(|name| name == text).unwrap_or_else(|| {
            let (message, hint) = no_choice(text, names);
            self.wrong(&found, message, hint);
            0
        })
    }

    /// For each name of its key, whether it is among those that are said.
    pub fn choices<const COUNT: usize>(&mut self, path: &str) -> [bool; COUNT] {
        let said = self.texts(path);
        let names = match self.key(path).map(|key| key.kind) {
            Some(Kind::Choices(names)) => names,
            _ => &[],
        };
        if said.is_empty() {
            self.cross_fault(&[path], format!("names none of: {}", names.join(", ")), None);
        }
        for (at, text) in
            said.iter().enumerate().filter(|(_, text)| !names.contains(&text.as_str()))
        {
            let (message, hint) = no_choice(text, names);
            self.fault(&format!("{path}[{at}]"), message, hint);
        }
        std::array::from_fn(|place| {
            names.get(place).is_some_and(|name| said.iter().any(|text| text == name))
        })
    }

    /// A path, relative to the file that says it.
    pub fn path(&mut self, path: &str) -> Option<PathBuf> {
        let from_file = self.entries.contains_key(path) && self.variable(path).is_none();
        let text = self.optional_text(path)?;
        Some(if from_file { self.folder.join(text) } else { PathBuf::from(text) })
    }

    pub fn paths(&mut self, path: &str) -> Vec<PathBuf> {
        let from_file = self.entries.contains_key(path) && self.variable(path).is_none();
        let place = |text| if from_file { self.folder.join(text) } else { PathBuf::from(text) };
        let folder_of = place("");
        self.texts(path).into_iter().map(|text| folder_of.join(text)).collect()
    }

    /// A file that must be there.
    pub fn existing_file(&mut self, key: &str) -> Option<PathBuf> {
        let path = self.path(key)?;
        if !path.is_file() {
            self.fault(key, format!("there is no file {}", path.display()), None);
        }
        Some(path)
    }

    /// A secret: the value itself, or the file that `<key>_file` names.
    pub fn secret(&mut self, path: &'static str) -> Option<Secret> {
        let file_key = format!("{path}_file");
        let direct = self.optional_text(path);
        let file = match self.variable(&file_key) {
            Some((_, text)) => Some(PathBuf::from(text)),
            None => match self.entries.get(&file_key).map(|entry| entry.value.clone()) {
                Some(Raw::Text(text)) => Some(self.folder.join(text)),
                Some(_) => {
                    self.fault(&file_key, "is no path", None);
                    None
                }
                None => None,
            },
        };
        match (direct, file) {
            (Some(_), Some(_)) => {
                let message = format!("`{path}` is given as well: only one of the two");
                self.fault(&file_key, message, None);
                None
            }
            (Some(value), None) => Some(Secret::Value(value)),
            (None, Some(file)) => {
                if std::fs::read_to_string(&file).is_err() {
                    let message = format!("there is no readable file {}", file.display());
                    self.fault(&file_key, message, None);
                }
                Some(Secret::File(file))
            }
            (None, None) => None,
        }
    }

    /// A table of strings under free names.
    pub fn map(&mut self, path: &str) -> Vec<(String, String)> {
        let Some(found) = self.find(path) else { return Vec::new() };
        let Raw::Table(members) = &found.value else {
            self.mismatch(&found, "a table of strings");
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, entry) in flatten(members) {
            match entry.value {
                Raw::Text(text) => pairs.push((name, text)),
                Raw::Integer(value) => pairs.push((name, value.to_string())),
                Raw::Bool(value) => pairs.push((name, value.to_string())),
                other => {
                    let message = format!("is {}, not a string", other.kind());
                    self.fault_at(entry.line, &format!("{path}.{name}"), message, None);
                }
            }
        }
        pairs
    }

    /// A list of tables, each read by `read` with the keys of its kind.
    pub fn tables<T>(&mut self, path: &str, read: impl Fn(&mut Reader<'_>) -> Option<T>) -> Vec<T> {
        let Some(found) = self.find(path) else { return Vec::new() };
        let Some(Kind::Tables(keys)) = self.key(path).map(|key| key.kind) else {
            return Vec::new();
        };
        let Raw::List(list) = &found.value else {
            self.mismatch(&found, "a list of tables");
            return Vec::new();
        };
        let mut all = Vec::with_capacity(list.len());
        let mut kept = Vec::with_capacity(list.len());
        for (place, element) in list.iter().enumerate() {
            let Raw::Table(members) = &element.value else {
                let message = format!("is {}, not a table", element.value.kind());
                self.fault(&format!("{path}[{place}]"), message, None);
                continue;
            };
            let mut table = self.of_table(keys, members.clone());
            if let Some(one) = read(&mut table) {
                all.push(one);
                kept.push(place);
            }
            for mut fault in table.into_faults() {
                fault.key = format!("{path}[{place}].{}", fault.key);
                fault.line = if fault.line == 0 { element.line } else { fault.line };
                self.faulty.push(fault.key.clone());
                self.faults.push(fault);
            }
        }
        self.kept.insert(path.to_owned(), kept);
        all
    }
}

/// What to say of a text that is none of these names.
fn no_choice(text: &str, names: &[&str]) -> (String, Option<String>) {
    let hint = nearest(text, names.iter().copied()).map(|name| format!("did you mean `{name}`?"));
    (format!("`{text}` is none of: {}", names.join(", ")), hint)
}

/// Dotted names of nested tables: librdkafka's properties have dots in them.
fn flatten(members: &[(String, Entry)]) -> Vec<(String, Entry)> {
    let mut flat = Vec::new();
    for (name, entry) in members {
        if let Raw::Table(below) = &entry.value {
            let below = flatten(below).into_iter();
            flat.extend(below.map(|(rest, entry)| (format!("{name}.{rest}"), entry)));
        } else {
            flat.push((name.clone(), entry.clone()));
        }
    }
    flat
}
