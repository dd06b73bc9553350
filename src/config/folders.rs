//! The folder of the pipelines, and what stands beside a file that is not there.

use std::fs;
use std::path::{Path, PathBuf};

use super::fault::nearest;

const FILE: &str = "pipeline.toml";

/// Every `<folder>/<name>/pipeline.toml`, by name.
///
/// # Errors
/// Why there is none, and what to do.
pub fn pipeline_files(folder: &Path) -> Result<Vec<(String, PathBuf)>, (String, String)> {
    let hint = || format!("a pipeline is a folder here with a `{FILE}`");
    let entries = fs::read_dir(folder).map_err(|error| {
        let message = format!("the folder {} cannot be read: {error}", folder.display());
        (message, meant(folder).unwrap_or_else(hint))
    })?;
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path().join(FILE))))
        .collect();
    found.sort();
    if found.is_empty() {
        return Err((format!("the folder {} holds no pipeline", folder.display()), hint()));
    }
    Ok(found)
}

/// What was probably meant by a path where nothing is: the nearest name beside it.
#[must_use]
pub fn meant(missing: &Path) -> Option<String> {
    if missing.exists() {
        return None;
    }
    let name = missing.file_name()?.to_str()?;
    let folder = missing.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let beside: Vec<_> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let nearest = nearest(name, beside.iter().map(String::as_str))?;
    Some(format!("did you mean `{}`?", missing.with_file_name(nearest).display()))
}
