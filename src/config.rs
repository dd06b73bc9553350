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
pub mod sluice_toml;
pub mod pipeline_toml;

use environment::Environment;
use fault::{Fault, SpecFault};
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
}

impl Config {
    /// The files that it was read from; empty where there were only defaults.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

/// Finds faults of a pipeline that only preparation can find, as keys within its file.
pub type CheckPipeline<'a> = &'a dyn Fn(&PipelineSpec) -> Vec<SpecFault>;

/// Reads everything. `named` is the file of `--config`; without it `SLUICE_CONFIG`, then
/// `sluice.toml` here, then the defaults.
///
/// # Errors
/// Every fault, in the order of the files.
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
    faults.extend(reader.into_faults());
    files.extend(file);

    let mut pipelines = Vec::new();
    for (name, path) in pipeline_files(&settings.pipelines, &mut faults) {
        if let Some(spec) = pipeline(&name, &path, environment, check, &mut faults) {
            pipelines.push((path.clone(), spec));
        }
        files.push(path);
    }
    one_owner_each(&settings, &pipelines, &mut faults);
    faults.extend(environment.unknown());
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Config { settings, pipelines: pipelines.into_iter().map(|(_, spec)| spec).collect(), files })
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
    fs::read_to_string(file)
        .map_err(|error| {
            faults.push(Fault {
                file: Some(file.to_owned()),
                line: 0,
                key: what.to_owned(),
                message: format!("cannot be read: {error}"),
                hint: None,
            });
        })
        .ok()
}

/// Every `<folder>/<name>/pipeline.toml`, by name.
fn pipeline_files(folder: &Path, faults: &mut Vec<Fault>) -> Vec<(String, PathBuf)> {
    let mut fault = |message: String| {
        faults.push(Fault {
            file: Some(folder.to_owned()),
            line: 0,
            key: "pipelines".to_owned(),
            message,
            hint: Some("a pipeline is a folder here with a `pipeline.toml`".to_owned()),
        });
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            fault(format!("the folder cannot be read: {error}"));
            return Vec::new();
        }
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| {
            Some((entry.file_name().into_string().ok()?, entry.path().join("pipeline.toml")))
        })
        .collect();
    found.sort();
    if found.is_empty() {
        fault("holds no pipeline".to_owned());
    }
    found
}

fn pipeline(
    name: &str,
    path: &Path,
    environment: &Environment,
    check: CheckPipeline<'_>,
    faults: &mut Vec<Fault>,
) -> Option<PipelineSpec> {
    let text = read(path, "pipeline", faults)?;
    let variables = format!(
        "{}PIPELINE_{}_",
        environment::PREFIX,
        name.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
    );
    let mut reader =
        Reader::new(keys::PIPELINE, Some((path, &text)), Some(environment), &variables);
    let spec = pipeline_toml::read(&mut reader, name);
    for fault in check(&spec) {
        reader.fault(&fault.key, fault.message, fault.hint);
    }
    faults.extend(reader.into_faults());
    Some(spec)
}

/// A topic belongs to one pipeline, and none reads what Sluice itself writes.
fn one_owner_each(
    settings: &Settings,
    pipelines: &[(PathBuf, PipelineSpec)],
    faults: &mut Vec<Fault>,
) {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for (path, spec) in pipelines {
        for topic in &spec.topics {
            let message = if let Some(owner) = owners.insert(topic, &spec.name) {
                format!("`{topic}` belongs to the pipeline `{owner}` already")
            } else if *topic == settings.live.topic || *topic == settings.dead_letter.topic {
                format!("`{topic}` is a topic that Sluice itself writes")
            } else {
                continue;
            };
            let line = line_of_topic(path, topic);
            faults.push(Fault {
                file: Some(path.clone()),
                line,
                key: "topics".to_owned(),
                message,
                hint: None,
            });
        }
    }
}

fn line_of_topic(path: &Path, topic: &str) -> usize {
    let text = fs::read_to_string(path).unwrap_or_default();
    let quoted = format!("\"{topic}\"");
    text.lines().position(|line| line.contains(&quoted)).map_or(0, |place| place + 1)
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
