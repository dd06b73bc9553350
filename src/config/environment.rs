//! The environment, read once: the only place that looks at it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::{Fault, nearest};
use super::keys::{Kind, SETTINGS};

/// What every variable of ours begins with.
pub const PREFIX: &str = "SLUICE_";
/// Variables that are ours and no key: the configuration file's path, a listener's token, and those
/// of the tests.
const OTHERS: [&str; 3] = ["SLUICE_CONFIG", "SLUICE_REQUIRE_SERVERS", "SLUICE_STREAM_TOKEN"];
const TESTS: &str = "SLUICE_TEST_";

/// Our variables, and which of them a key asked for.
#[derive(Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    taken: Mutex<BTreeSet<String>>,
}

impl Environment {
    /// The process's own environment.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// Variables as given, for tests.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        Self { variables: ours, taken: Mutex::default() }
    }

    /// The value of a variable, which counts as known from now on.
    #[must_use]
    pub fn take(&self, name: &str) -> Option<String> {
        let value = self.variables.get(name)?;
        self.taken().insert(name.to_owned());
        Some(value.clone())
    }

    /// The configuration file that the environment names.
    #[must_use]
    pub fn config_file(&self) -> Option<PathBuf> {
        self.variables.get("SLUICE_CONFIG").map(PathBuf::from)
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fault for each variable of ours that no key asked for: a misspelt one would otherwise be
    /// ignored in silence.
    #[must_use]
    pub fn unknown(&self) -> Vec<Fault> {
        let taken = self.taken();
        let known: Vec<_> = SETTINGS.iter().flat_map(|key| names(key.path, key.kind)).collect();
        self.variables
            .keys()
            .filter(|name| !taken.contains(*name))
            .filter(|name| !name.starts_with(TESTS) && !OTHERS.contains(&name.as_str()))
            .filter(|name| !known.contains(name))
            .map(|name| Fault {
                file: None,
                line: 0,
                key: name.clone(),
                message: "unknown environment variable".to_owned(),
                hint: nearest(name, known.iter().map(String::as_str))
                    .map(|name| format!("did you mean `{name}`?")),
            })
            .collect()
    }
}

/// The variables of a key of `sluice.toml`.
#[must_use]
pub fn names(path: &str, kind: Kind) -> Vec<String> {
    let name = format!("{PREFIX}{}", path.replace('.', "_").to_uppercase());
    if matches!(kind, Kind::Secret) {
        let file = format!("{name}_FILE");
        return vec![name, file];
    }
    vec![name]
}
