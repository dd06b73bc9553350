//! Reads values by key: from the environment, else from the file, else the default. Every fault is
//! kept, so that one run names them all; one that only follows from another is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::document::{self, Entry, Raw};
use super::environment::Environment;
use super::fault::{Fault, SpecFault, nearest};
use super::keys::{Key, Kind};
use super::units;

mod values;

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
    /// The keys that have a fault, also where the fault shows a variable instead.
    faulty: Vec<String>,
    /// The file is torn: it may say more than could be read of it.
    is_torn: bool,
    /// Of a list of which elements were left out, the places of the others.
    kept: BTreeMap<String, Vec<usize>>,
}

/// A value and where it came from.
#[derive(Debug, Clone)]
struct Found {
    value: Raw,
    file: Option<PathBuf>,
    line: usize,
    path: String,
    /// The key, or the variable.
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
            faulty: Vec::new(),
            is_torn: false,
            kept: BTreeMap::new(),
        };
        if let Some((path, text)) = file {
            let members = document::parse(path, text, &mut reader.faults);
            reader.is_torn = !reader.faults.is_empty();
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
            faulty: Vec::new(),
            is_torn: self.is_torn,
            kept: BTreeMap::new(),
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
        self.faulty.push(key.to_owned());
        let (file, key) = (self.file.clone(), key.to_owned());
        self.faults.push(Fault { file, line, key, message, hint });
    }

    /// Adds a fault at a key, or at an element of its list or table: `redact.rules[3].pattern`.
    pub fn fault(&mut self, key: &str, message: impl Into<String>, hint: Option<String>) {
        let place = self.place(key);
        self.faulty.push(key.to_owned());
        self.faults.push(Fault { message: message.into(), hint, ..place });
    }

    /// Adds a fault at the first of the keys that it rests on, unless one of them has a fault of
    /// its own, from which this one would only follow.
    pub fn cross_fault(&mut self, keys: &[&str], message: impl Into<String>, hint: Option<String>) {
        let is_unread = |key: &&str| self.is_torn && !self.says(key);
        if !keys.iter().any(|key| self.is_faulty(key) || is_unread(key))
            && let Some(key) = keys.first()
        {
            self.fault(key, message, hint);
        }
    }

    /// Adds what was found wrong with the values, but not a second fault of a key.
    pub fn faults_of_values(&mut self, found: Vec<SpecFault>) {
        let is_new = |fault: &SpecFault| {
            let is_read = !self.is_torn || self.says(base(&fault.key));
            let written = self.as_written(&fault.key);
            is_read && !self.faulty.iter().any(|key| without_file(key) == written)
        };
        let found: Vec<_> = found.into_iter().filter(is_new).collect();
        for fault in found {
            let message = self.with_written_keys(&fault.message);
            self.fault(&fault.key, message, fault.hint);
        }
    }

    /// A message whose keys, between backticks, have the places of the file.
    fn with_written_keys(&self, message: &str) -> String {
        let parts: Vec<_> = message.split('`').map(|part| self.as_written(part)).collect();
        parts.join("`")
    }

    /// Whether a key, an element of its list or the file that it names has a fault.
    #[must_use]
    pub fn is_faulty(&self, key: &str) -> bool {
        self.faulty.iter().any(|faulty| base(without_file(faulty)) == without_file(key))
    }

    /// Where a key stands, as a fault without a message: in the file, or in a variable.
    #[must_use]
    pub fn place(&self, key: &str) -> Fault {
        let key = self.as_written(key);
        let (path, element) = key.split_at(base(&key).len());
        let (file, line, key) = match self.variable(path) {
            Some((name, _)) => (None, 0, format!("{name}{element}")),
            None => (self.file.clone(), self.line_of(&key), key),
        };
        Fault { file, line, key, message: String::new(), hint: None }
    }

    /// A key with its element's place in the file, rather than among those that were kept.
    fn as_written(&self, key: &str) -> String {
        let written = || {
            let (path, rest) = key.split_once('[')?;
            let (place, member) = rest.split_once(']')?;
            let place = self.kept.get(path)?.get(place.parse::<usize>().ok()?)?;
            Some(format!("{path}[{place}]{member}"))
        };
        written().unwrap_or_else(|| key.to_owned())
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
            return Some(Found { value, file: None, line: 0, path: path.to_owned(), name });
        }
        let name = path.to_owned();
        if let Some(entry) = self.entries.get(path) {
            let (value, line) = (entry.value.clone(), entry.line);
            let (file, path) = (self.file.clone(), path.to_owned());
            return Some(Found { value, file, line, path, name });
        }
        if key.default.is_empty() {
            return None;
        }
        let text = format!("x = {}", key.default);
        let (_, entry) = document::parse(Path::new(""), &text, &mut self.faults).pop()?;
        Some(Found { value: entry.value, file: None, line: 0, path: path.to_owned(), name })
    }

    fn wrong(&mut self, found: &Found, message: String, hint: Option<String>) {
        self.faulty.push(found.path.clone());
        let (file, line, key) = (found.file.clone(), found.line, found.name.clone());
        self.faults.push(Fault { file, line, key, message, hint });
    }

    fn mismatch(&mut self, found: &Found, expected: &str) {
        let message = format!("is {}, not {expected}", found.value.kind());
        self.wrong(found, message, None);
    }
}

/// A key without the element of its list.
fn base(key: &str) -> &str {
    key.split_once('[').map_or(key, |(path, _)| path)
}

/// The key of a secret, also where a file names it.
fn without_file(key: &str) -> &str {
    key.strip_suffix("_file").unwrap_or(key)
}
