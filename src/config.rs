//! Configuration: what the files and the environment say, checked whole before anything starts.
//!
//! `sluice.toml` says where Sluice runs, `pipelines/<name>/pipeline.toml` what happens to the
//! events. [`load`] reads all of them and answers with every fault at once.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

pub mod fault;
pub mod pipeline;
pub mod settings;
pub mod environment;
pub mod keys;
pub mod reference;
pub mod document;
pub mod reader;
pub mod units;
pub mod names;
pub mod folders;
pub mod sluice_toml;
mod stream_toml;
pub mod api_toml;
pub mod pipeline_toml;

use environment::Environment;
use fault::{Fault, SpecFault};
use folders::pipeline_files;
use pipeline::PipelineSpec;
use reader::Reader;
use settings::Settings;

/// The file that is looked for where none is named.
pub const DEFAULT_FILE: &str = "sluice.toml";

/// A sound configuration.
#[derive(Debug, Clone)]
pub struct Config {
    pub settings: Settings,
    pub pipelines: Vec<PipelineSpec>,
    /// Every file that it was read from, for [`Config::files`].
    files: Vec<PathBuf>,
    /// For [`Config::notes`].
    notes: Vec<Fault>,
}

impl Config {
    /// Of parts that were read elsewhere, or made.
    #[must_use]
    pub fn of(settings: Settings, pipelines: Vec<PipelineSpec>) -> Self {
        Self { settings, pipelines, files: Vec::new(), notes: Vec::new() }
    }

    /// The files that it was read from; empty where there were only defaults.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What is no fault, and probably not meant.
    #[must_use]
    pub fn notes(&self) -> &[Fault] {
        &self.notes
    }
}

/// Finds faults of a pipeline that only preparation can find, as keys within its file.
pub type CheckPipeline<'a> = &'a dyn Fn(&PipelineSpec) -> Vec<SpecFault>;

/// Reads everything. `named` is the file of `--config`; without it `SLUICE_CONFIG`, then
/// `sluice.toml` here, then the defaults.
///
/// # Errors
/// Every fault, in the order of the files and their lines.
pub fn load(
    named: Option<&Path>,
    environment: &Environment,
    check: CheckPipeline<'_>,
) -> Result<Config, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut files = Vec::new();
    let (file, text) = main_file(named, environment, &mut faults);
    let found = file.as_deref().zip(text.as_deref());
    let mut reader = Reader::new(keys::SETTINGS, found, Some(environment), environment::PREFIX);
    let mut settings = sluice_toml::read(&mut reader);
    if !reader.says("pipelines") {
        let folder = file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        settings.pipelines = folder.join("pipelines");
    }
    let notes = notes(&reader, &settings);
    let said = reader.place("pipelines");
    // Where the folder is cannot be known from a key with a fault, or from a file that is not read.
    let file_is_missing = file.is_none();
    let is_known = !reader.is_faulty("pipelines") && file.is_some() == text.is_some();
    faults.extend(reader.into_faults());
    files.extend(file);

    let mut found = Vec::new();
    let names_of_files = match pipeline_files(&settings.pipelines) {
        Ok(files) => files,
        Err((message, hint)) => {
            // Without a file the folder was only guessed at: most likely this is another folder.
            let is_elsewhere = file_is_missing && said.file.is_none() && said.key == "pipelines";
            let hint = match is_elsewhere {
                true => format!(
                    "there is no {DEFAULT_FILE} here either: name one with --config or SLUICE_CONFIG"
                ),
                false => hint,
            };
            if is_known {
                faults.push(Fault { message, hint: Some(hint), ..said });
            }
            Vec::new()
        }
    };
    for (name, path) in names_of_files {
        found.extend(pipeline(&name, &path, environment, check, &mut faults));
        files.push(path);
    }
    one_owner_each(&settings, &found, &mut faults);
    faults.extend(environment.unknown());
    if !faults.is_empty() {
        return Err(in_order(faults, &files));
    }
    let pipelines = found.into_iter().map(|(spec, _)| spec).collect();
    Ok(Config { settings, pipelines, files, notes })
}

/// Reads `sluice.toml` alone, for commands that need no pipeline; the file is found as by [`load`].
///
/// # Errors
/// Every fault of it.
pub fn load_settings(
    named: Option<&Path>,
    environment: &Environment,
) -> Result<Settings, Vec<Fault>> {
    let mut faults = Vec::new();
    let (file, text) = main_file(named, environment, &mut faults);
    let found = file.as_deref().zip(text.as_deref());
    let mut reader = Reader::new(keys::SETTINGS, found, Some(environment), environment::PREFIX);
    let settings = sluice_toml::read(&mut reader);
    faults.extend(reader.into_faults());
    if faults.is_empty() { Ok(settings) } else { Err(in_order(faults, file.as_slice())) }
}

/// As somebody mends them: each file from its first line to its last, what it does not say, then
/// the variables.
fn in_order(mut faults: Vec<Fault>, files: &[PathBuf]) -> Vec<Fault> {
    faults.sort_by_key(|fault| {
        let file = fault.file.as_ref().and_then(|of| files.iter().position(|file| file == of));
        (file.unwrap_or(files.len()), fault.line == 0, fault.line)
    });
    faults
}

fn main_file(
    named: Option<&Path>,
    environment: &Environment,
    faults: &mut Vec<Fault>,
) -> (Option<PathBuf>, Option<String>) {
    let named = named.map(Path::to_owned).or_else(|| environment.config_file());
    let file = match named {
        Some(file) => file,
        None if Path::new(DEFAULT_FILE).exists() => PathBuf::from(DEFAULT_FILE),
        None => return (None, None),
    };
    let text = read(&file, "configuration", faults);
    (Some(file), text)
}

fn read(file: &Path, what: &str, faults: &mut Vec<Fault>) -> Option<String> {
    let mut fault = |line: usize, message: String, hint: Option<String>| {
        let (file, key) = (Some(file.to_owned()), what.to_owned());
        faults.push(Fault { file, line, key, message, hint });
    };
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            fault(0, format!("cannot be read: {error}"), folders::meant(file));
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let read = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = 1 + memchr::memchr_iter(b'\n', read).count();
            fault(line, "holds bytes that are no UTF-8".to_owned(), None);
            None
        }
    }
}

/// A database that is not there: Sluice runs without it and takes it when it comes, so that it is
/// no fault, but a misspelt path looks the same.
fn notes(reader: &Reader<'_>, settings: &Settings) -> Vec<Fault> {
    let databases = settings.geo.databases.iter().enumerate();
    let missing = databases.filter(|(_, path)| !path.exists());
    missing
        .map(|(place, path)| Fault {
            message: format!(
                "there is no file {}: no look-ups in it until it comes",
                path.display()
            ),
            hint: folders::meant(path),
            ..reader.place(&format!("geo.databases[{place}]"))
        })
        .collect()
}

/// A pipeline, and where each of its topics is said.
fn pipeline(
    name: &str,
    path: &Path,
    environment: &Environment,
    check: CheckPipeline<'_>,
    faults: &mut Vec<Fault>,
) -> Option<(PipelineSpec, Vec<Fault>)> {
    let text = read(path, "pipeline", faults)?;
    let variables = format!(
        "{}PIPELINE_{}_",
        environment::PREFIX,
        name.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
    );
    let mut reader =
        Reader::new(keys::PIPELINE, Some((path, &text)), Some(environment), &variables);
    let spec = pipeline_toml::read(&mut reader, name);
    reader.faults_of_values(check(&spec));
    let places = 0..spec.topics.len();
    let places = places.map(|place| reader.place(&format!("topics[{place}]"))).collect();
    faults.extend(reader.into_faults());
    Some((spec, places))
}

/// A topic belongs to one pipeline, and none reads what Sluice itself writes.
fn one_owner_each(
    settings: &Settings,
    pipelines: &[(PipelineSpec, Vec<Fault>)],
    faults: &mut Vec<Fault>,
) {
    let ours = [
        &settings.live.topic,
        &settings.dead_letter.topic,
        &settings.control.topic,
        &settings.presence.topic,
    ];
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for (spec, places) in pipelines {
        for (topic, place) in spec.topics.iter().zip(places) {
            let message = if let Some(owner) = owners.insert(topic, &spec.name) {
                format!("`{topic}` belongs to the pipeline `{owner}` already")
            } else if ours.contains(&topic) {
                format!("`{topic}` is a topic that Sluice itself writes")
            } else {
                continue;
            };
            faults.push(Fault { message, ..place.clone() });
        }
    }
}

/// A URL as it may be shown: without `user:password@`.
#[must_use]
pub fn without_user(url: &str) -> String {
    let start = url.find("//").map_or(0, |at| at + 2);
    match (url.get(..start), url.rfind('@').and_then(|at| url.get(at..))) {
        (Some(head), Some(tail)) => format!("{head}[redacted]{tail}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let check = |url: &str, expected: &str| assert_eq!(without_user(url), expected);
        check("http://host:9200/a", "http://host:9200/a");
        check("http://user:p@ss@host:9200", "http://[redacted]@host:9200");
        check("user:pass@bad host", "[redacted]@bad host");
    }
}
