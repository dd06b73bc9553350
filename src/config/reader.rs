//! Reads typed values by key: from the environment, else from the file, else the default. Every
//! fault is kept, so that one run names them all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{self, Entry, Raw};
use super::environment::Environment;
use super::fault::{Fault, nearest};
use super::keys::{Key, Kind};
use super::settings::Secret;
use super::units;

/// One file with its table of keys.
#[derive(Debug)]
pub struct Reader<'a> {
    keys: &'static [Key],
    file: Option<PathBuf>,
    /// Relative paths are relative to this folder.
    folder: PathBuf,
    entries: BTreeMap<String, Entry>,
    environment: Option<&'a Environment>,
    /// `SLUICE_` or `SLUICE_PIPELINE_<NAME>_`.
    variables: String,
    faults: Vec<Fault>,
}

/// A value and where it came from.
#[derive(Debug, Clone)]
struct Found {
    value: Raw,
    file: Option<PathBuf>,
    line: usize,
    name: String,
}

impl<'a> Reader<'a> {
    /// `file` and its text; without one, every default.
    pub fn new(
        keys: &'static [Key],
        file: Option<(&Path, &str)>,
        environment: Option<&'a Environment>,
        variables: &str,
    ) -> Self {
        let mut reader = Self {
            keys,
            file: file.map(|(path, _)| path.to_owned()),
            folder: file
                .and_then(|(path, _)| path.parent())
                .map(Path::to_owned)
                .unwrap_or_default(),
            entries: BTreeMap::new(),
            environment,
            variables: variables.to_owned(),
            faults: Vec::new(),
        };
        if let Some((path, text)) = file {
            let members = document::parse(path, text, &mut reader.faults);
            reader.take("", members);
        }
        reader
    }

    /// A reader of one table of a list, with its own keys.
    fn of_table(&self, keys: &'static [Key], members: Vec<(String, Entry)>) -> Self {
        let mut reader = Self {
            keys,
            file: self.file.clone(),
            folder: self.folder.clone(),
            entries: BTreeMap::new(),
            environment: None,
            variables: String::new(),
            faults: Vec::new(),
        };
        reader.take("", members);
        reader
    }

    fn take(&mut self, above: &str, members: Vec<(String, Entry)>) {
        for (name, entry) in members {
            let path = if above.is_empty() { name } else { format!("{above}.{name}") };
            if self.accepts(&path) {
                self.entries.insert(path, entry);
                continue;
            }
            let is_table = self.keys.iter().any(|key| {
                key.path.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.'))
            });
            match entry.value {
                Raw::Table(members) if is_table => self.take(&path, members),
                other if is_table => {
                    let message = format!("is a table of keys, not {}", other.kind());
                    self.fault_at(entry.line, &path, message, None);
                }
                _ => self.unknown(entry.line, &path),
            }
        }
    }

    /// Whether a path is a key, or the `_file` form of a secret.
    fn accepts(&self, path: &str) -> bool {
        self.keys.iter().any(|key| {
            key.path == path
                || matches!(key.kind, Kind::Secret) && path.strip_suffix("_file") == Some(key.path)
        })
    }

    fn unknown(&mut self, line: usize, path: &str) {
        let tables = self.keys.iter().filter_map(|key| key.path.split_once('.')).map(|(t, _)| t);
        let known = self.keys.iter().map(|key| key.path).chain(tables);
        let hint = nearest(path, known).map(|name| format!("did you mean `{name}`?"));
        self.fault_at(line, path, "unknown key".to_owned(), hint);
    }

    fn fault_at(&mut self, line: usize, key: &str, message: String, hint: Option<String>) {
        self.faults.push(Fault {
            file: self.file.clone(),
            line,
            key: key.to_owned(),
            message,
            hint,
        });
    }

    /// Adds a fault at a key, or at an element of its list or table: `redact.rules[3].pattern`.
    pub fn fault(&mut self, key: &str, message: impl Into<String>, hint: Option<String>) {
        let line = self.line_of(key);
        self.fault_at(line, key, message.into(), hint);
    }

    /// The line of a key as [`Reader::fault`] takes it; 0 where the file does not say it.
    fn line_of(&self, key: &str) -> usize {
        let (path, rest) = key.split_once('[').unwrap_or((key, ""));
        let Some(entry) = self.entries.get(path) else { return 0 };
        let (place, member) = rest.split_once(']').unwrap_or((rest, ""));
        let Raw::List(list) = &entry.value else { return entry.line };
        let Some(element) = place.parse::<usize>().ok().and_then(|place| list.get(place)) else {
            return entry.line;
        };
        let Raw::Table(members) = &element.value else { return element.line };
        let member = member.trim_start_matches('.');
        members.iter().find(|(name, _)| name == member).map_or(element.line, |(_, at)| at.line)
    }

    /// Every fault so far.
    #[must_use]
    pub fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Whether the file or the environment says anything of a key.
    #[must_use]
    pub fn says(&self, path: &str) -> bool {
        self.entries.contains_key(path) || self.variable(path).is_some()
    }

    fn variable(&self, path: &str) -> Option<(String, String)> {
        let name = format!("{}{}", self.variables, path.replace('.', "_").to_uppercase());
        let value = self.environment?.take(&name)?;
        Some((name, value))
    }

    fn key(&self, path: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.path == path)
    }

    /// The environment's value, else the file's, else the default; `None` where there is none.
    fn find(&mut self, path: &str) -> Option<Found> {
        let key = self.key(path)?;
        if let Some((name, text)) = self.variable(path) {
            let value = units::from_variable(key.kind, &text);
            return Some(Found { value, file: None, line: 0, name });
        }
        let name = path.to_owned();
        if let Some(entry) = self.entries.get(path) {
            let (value, line) = (entry.value.clone(), entry.line);
            return Some(Found { value, file: self.file.clone(), line, name });
        }
        if key.default.is_empty() {
            return None;
        }
        let text = format!("x = {}", key.default);
        let (_, entry) = document::parse(Path::new(""), &text, &mut self.faults).pop()?;
        Some(Found { value: entry.value, file: None, line: 0, name })
    }

    fn wrong(&mut self, found: &Found, message: String) {
        self.faults.push(Fault {
            file: found.file.clone(),
            line: found.line,
            key: found.name.clone(),
            message,
            hint: None,
        });
    }

    fn mismatch(&mut self, found: &Found, expected: &str) {
        let message = format!("is {}, not {expected}", found.value.kind());
        self.wrong(found, message);
    }

    /// A string; empty where there is none.
    pub fn text(&mut self, path: &str) -> String {
        self.optional_text(path).unwrap_or_default()
    }

    pub fn optional_text(&mut self, path: &str) -> Option<String> {
        let found = self.find(path)?;
        match &found.value {
            Raw::Text(text) if text.is_empty() => {
                self.wrong(&found, "is empty".to_owned());
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
        for element in list {
            match &element.value {
                Raw::Text(text) if !text.is_empty() => texts.push(text.clone()),
                Raw::Text(_) => {
                    self.fault_at(element.line, path, "holds an empty string".to_owned(), None)
                }
                other => {
                    let message = format!("holds {}, not a string", other.kind());
                    self.fault_at(element.line, path, message, None);
                }
            }
        }
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
            self.wrong(&found, format!("{value} is not within {min} and {max}"));
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
                self.wrong(&found, format!("{size} bytes is below the least of {min}"));
                0
            }
            None => {
                self.wrong(&found, "is no size as in `8 MiB`".to_owned());
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
                self.wrong(
                    &found,
                    "is no duration as in `500ms`, `10s`, `5m`, `24h`, `30d`".to_owned(),
                );
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
        if let Some(place) = names.iter().position(|name| name == text) {
            return place;
        }
        let hint =
            nearest(text, names.iter().copied()).map(|name| format!("did you mean `{name}`?"));
        let message = format!("`{text}` is none of: {}", names.join(", "));
        self.faults.push(Fault {
            file: found.file.clone(),
            line: found.line,
            key: found.name,
            message,
            hint,
        });
        0
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
        for (place, element) in list.iter().enumerate() {
            let Raw::Table(members) = &element.value else {
                let message = format!("holds {}, not a table", element.value.kind());
                self.fault_at(element.line, path, message, None);
                continue;
            };
            let mut table = self.of_table(keys, members.clone());
            all.extend(read(&mut table));
            for mut fault in table.into_faults() {
                fault.key = format!("{path}[{place}].{}", fault.key);
                fault.line = if fault.line == 0 { element.line } else { fault.line };
                self.faults.push(fault);
            }
        }
        all
    }
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
