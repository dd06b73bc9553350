//! Golden samples: a file in `samples/` of a pipeline is one Kafka message, the file of the same
//! name in `golden/` is what must become of it. Adding a file adds a test.
//!
//! Pipelines are those of `pipelines/`, and below `tests/it/golden/` those whose settings are not
//! the defaults. `UPDATE_GOLDEN=1 cargo test golden` writes what is missing or differs; who runs it
//! reads what it wrote. Beside a sample, `<name>.toml` says what is odd about the record itself:
//! `value = "none"` for a tombstone, `timestamp = "none"` or milliseconds.
//!
//! [`contract`] holds the same samples against `contract.txt`, which is written by hand from the
//! contract and never by a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sluice::clock::Millis;
use sluice::outcome::Skip;
use sluice::prepare::{GeoOutcome, Mended, Prepared, Scratch};

use crate::support::prepared::{Indexed, Pipeline, RECORD_TIME, examine, skipped};
use crate::support::strict_json::{self, Value};

mod contract;

/// A longer run of one character is written as its length.
const RUN_MAX: usize = 64;

/// One message on file.
struct Sample {
    /// The file, from the repository's root.
    shown: String,
    bytes: Vec<u8>,
    is_tombstone: bool,
    timestamp: Option<Millis>,
}

/// A pipeline with its samples by name.
struct Folder {
    path: PathBuf,
    name: String,
    pipeline: Pipeline,
    samples: BTreeMap<String, Sample>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

/// Every pipeline that has samples.
fn folders(faults: &mut Vec<String>) -> Vec<Folder> {
    let homes = [root().join("pipelines"), root().join("tests/it/golden")];
    let mut folders = Vec::new();
    for path in homes.iter().flat_map(|home| entries(home)) {
        if !path.join("pipeline.toml").exists() {
            continue;
        }
        match Pipeline::open(&path) {
            Ok(pipeline) => {
                let samples = samples(&path.join("samples"), faults);
                folders.push(Folder { name: stem(&path), path, pipeline, samples });
            }
            Err(fault) => faults.push(format!("{}: {fault}", shown(&path))),
        }
    }
    folders
}

fn samples(folder: &Path, faults: &mut Vec<String>) -> BTreeMap<String, Sample> {
    let mut samples = BTreeMap::new();
    for path in entries(folder) {
        let (name, shown) = (stem(&path), shown(&path));
        if is_toml(&path) {
            if !entries(folder).iter().any(|other| stem(other) == name && !is_toml(other)) {
                faults.push(format!("{shown}: no sample of this name"));
            }
            continue;
        }
        let oddities = fs::read_to_string(path.with_extension("toml")).unwrap_or_default();
        let oddities: toml::Table = oddities.parse().unwrap();
        let timestamp = match oddities.get("timestamp") {
            None => Some(RECORD_TIME),
            Some(value) => value.as_integer(),
        };
        let is_tombstone = oddities.contains_key("value");
        let bytes = fs::read(&path).unwrap();
        let sample = Sample { shown: shown.clone(), bytes, is_tombstone, timestamp };
        if samples.insert(name, sample).is_some() {
            faults.push(format!("{shown}: another sample has this name"));
        }
    }
    samples
}

impl Folder {
    fn prepare(&self, sample: &Sample) -> Prepared {
        let payload = (!sample.is_tombstone).then_some(sample.bytes.as_slice());
        self.pipeline.prepare(&[(payload, sample.timestamp)], &mut Scratch::default())
    }

    fn golden(&self, name: &str) -> PathBuf {
        self.path.join("golden").join(format!("{name}.json"))
    }
}

/// What became of a sample, as a golden file has it: for each event its action line, its document,
/// and what the live topic gets where that differs; or its dead letter; then what was counted.
fn render(prepared: &Prepared) -> Result<String, String> {
    let mut parts: BTreeMap<u32, String> = BTreeMap::new();
    for Indexed { index_in_message, action, source, live, .. } in examine(prepared)? {
        let mut text = format!("{}\n{}\n", action.compact(), source.pretty());
        if let Some(live) = live {
            text.push_str(&format!("{{\"live\":{}}}\n", live.compact()));
        }
        parts.insert(index_in_message, text);
    }
    for reject in &prepared.rejects {
        let bytes = String::from_utf8_lossy(prepared.chunk.slice(&reject.origin)).into_owned();
        let (reason, detail) = (reject.reason, reject.detail);
        let text = format!(
            "{{\"dead_letter\":\"{reason}\",\"detail\":{},\"bytes\":{}}}\n",
            serde_json::to_string(detail).unwrap(),
            serde_json::to_string(&bytes).unwrap(),
        );
        parts.insert(reject.index_in_message, text);
    }
    let mut text: String = parts.into_values().collect();
    for &skip in Skip::ALL {
        for _ in 0..skipped(prepared, skip) {
            text.push_str(&format!("{{\"skipped\":\"{skip}\"}}\n"));
        }
    }
    let counted = counted(prepared);
    if !counted.is_empty() {
        let pairs: Vec<_> = counted.iter().map(|(name, n)| format!("\"{name}\":{n}")).collect();
        text.push_str(&format!("{{\"counted\":{{{}}}}}\n", pairs.join(",")));
    }
    Ok(short(&text))
}

/// Everything of the facts that is not zero, but for what the documents show.
fn counted(prepared: &Prepared) -> Vec<(String, u64)> {
    let mended = Mended::ALL.iter().map(|what| {
        (format!("mended.{what}"), prepared.facts.mended.get(what.index()).copied().unwrap_or(0))
    });
    let geo = prepared.facts.geo.iter().enumerate().flat_map(|(pair, counts)| {
        GeoOutcome::ALL
            .iter()
            .map(move |outcome| (format!("geo.{pair}.{outcome}"), counts[outcome.index()]))
    });
    mended.chain(geo).filter(|(_, count)| *count > 0).collect()
}

/// Runs of one character as `⟨x × 8191⟩`.
fn short(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = rest.trim_start_matches(first);
        let run = &rest[..rest.len() - after.len()];
        let count = run.chars().count();
        if count > RUN_MAX {
            out.push_str(&format!("⟨{first} × {count}⟩"));
        } else {
            out.push_str(run);
        }
        rest = after;
    }
    out
}

/// The first line that differs.
fn difference(expected: &str, found: &str) -> String {
    let (mut expected, mut found) = (expected.lines(), found.lines());
    for number in 1.. {
        match (expected.next(), found.next()) {
            (None, None) => break,
            (one, other) if one == other => {}
            (one, other) => {
                let text = |line: Option<&str>| line.unwrap_or("nothing").trim().to_owned();
                return format!(
                    "line {number}\n    golden: {}\n    found:  {}",
                    text(one),
                    text(other)
                );
            }
        }
    }
    "only the line ends differ".to_owned()
}

#[test]
fn golden() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut faults = Vec::new();
    for folder in folders(&mut faults) {
        for (name, sample) in &folder.samples {
            match render(&folder.prepare(sample)) {
                Ok(text) => compare(&folder.golden(name), sample, &text, update, &mut faults),
                Err(fault) => faults.push(format!("{}: {fault}", sample.shown)),
            }
        }
        let known: BTreeSet<_> = folder.samples.keys().cloned().collect();
        for golden in entries(&folder.path.join("golden")) {
            if !known.contains(&stem(&golden)) {
                faults.push(format!("{}: no sample of this name", shown(&golden)));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

fn compare(golden: &Path, sample: &Sample, text: &str, update: bool, faults: &mut Vec<String>) {
    let expected = fs::read_to_string(golden).ok();
    if expected.as_deref() == Some(text) {
        return;
    }
    if update {
        fs::create_dir_all(golden.parent().unwrap()).unwrap();
        fs::write(golden, text).unwrap();
        return;
    }
    faults.push(match expected {
        None => format!(
            "{}: no golden; `UPDATE_GOLDEN=1 cargo test golden` writes {}, then read it",
            sample.shown,
            shown(golden)
        ),
        Some(expected) => format!("{}: {}", sample.shown, difference(&expected, text)),
    });
}

#[test]
fn runs_are_shortened() {
    let long = "x".repeat(RUN_MAX + 1);
    assert_eq!(short(&format!("a{long}b{}", "y".repeat(RUN_MAX))), {
        format!("a⟨x × {}⟩b{}", RUN_MAX + 1, "y".repeat(RUN_MAX))
    });
    assert_eq!(difference("a\nb", "a\nc"), "line 2\n    golden: b\n    found:  c");
    let value: Value = strict_json::parse(b"{}").unwrap();
    assert_eq!(value.pretty(), "{}");
}
