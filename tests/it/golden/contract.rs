//! `contract.txt` against what preparation makes of the samples.
//!
//! A line `[pipeline/sample]` begins a section; each line below it is one demand, about the event
//! of the index-in-message that it begins with:
//!
//! ```text
//! 0 /billing/amount 9.99          what a JSON pointer finds, without white space
//! 0 /query_string absent
//! 0 live /api_name "x"            the same in what the live topic gets
//! 0 index api-events-2026.01.15
//! 0 dead_letter not_json
//! 0 holds not secret              a text that the document must not hold
//! skipped empty 1
//! counted mended.repaired 1
//! ```

use std::fs;

use sluice::outcome::Skip;
use sluice::prepare::Prepared;

use super::{Folder, counted, folders, root, short};
use crate::support::prepared::{Indexed, examine, skipped};

struct Outcome {
    prepared: Prepared,
    documents: Vec<Indexed>,
}

fn outcome(folders: &[Folder], section: &str) -> Result<Outcome, String> {
    let (pipeline, name) = section.split_once('/').ok_or("not `pipeline/sample`")?;
    let folder = folders.iter().find(|one| one.name == pipeline).ok_or("no such pipeline")?;
    let sample = folder.samples.get(name).ok_or("no such sample")?;
    let prepared = folder.prepare(sample);
    let documents = examine(&prepared)?;
    Ok(Outcome { prepared, documents })
}

impl Outcome {
    /// Answers what was found instead, where the demand is not met.
    fn fault(&self, demand: &str) -> Option<String> {
        let words: Vec<&str> = demand.splitn(3, ' ').collect();
        match *words.as_slice() {
            ["skipped", reason, count] => {
                let skip = Skip::ALL.iter().find(|skip| skip.label() == reason);
                differs(&skip.map_or(0, |&skip| skipped(&self.prepared, skip)).to_string(), count)
            }
            ["counted", name, count] => {
                let counted = counted(&self.prepared);
                let found = counted.iter().find(|(known, _)| known == name);
                differs(&found.map_or(0, |found| found.1).to_string(), count)
            }
            [event, "dead_letter", reason] => {
                let mut rejects = self.prepared.rejects.iter();
                let found = rejects.find(|one| one.index_in_message.to_string() == event);
                differs(found.map_or("no dead letter", |one| one.reason.label()), reason)
            }
            [event, what, rest] => {
                let mut documents = self.documents.iter();
                let found = documents.find(|one| one.index_in_message.to_string() == event);
                match found {
                    Some(document) => of_document(document, what, rest),
                    None => Some("no document".to_owned()),
                }
            }
            _ => Some("a demand that cannot be read".to_owned()),
        }
    }
}

fn of_document(document: &Indexed, what: &str, rest: &str) -> Option<String> {
    let (value, pointer, expected) = match what {
        "index" => {
            let index = document.action.pointer("/create/_index");
            return differs(&index.and_then(|index| index.text()).unwrap_or_default(), rest);
        }
        "holds" => {
            let text = document.source.compact();
            let unwanted = rest.strip_prefix("not ").unwrap_or_default();
            return text.contains(unwanted).then_some(text);
        }
        "live" => {
            let (pointer, expected) = rest.split_once(' ').unwrap_or((rest, ""));
            (document.live.as_ref().unwrap_or(&document.source), pointer, expected)
        }
        pointer => (&document.source, pointer, rest),
    };
    let found = value.pointer(pointer).map_or("absent".to_owned(), |found| found.compact());
    differs(&short(&found), expected)
}

fn differs(found: &str, expected: &str) -> Option<String> {
    (found != expected).then(|| found.to_owned())
}

#[test]
fn contract() {
    let mut faults = Vec::new();
    let folders = folders(&mut faults);
    let text = fs::read_to_string(root().join("tests/it/golden/contract.txt")).unwrap();
    let mut section = ("", Err("no section".to_owned()));
    for (line, number) in text.lines().zip(1..) {
        let demand = line.trim();
        if demand.is_empty() || demand.starts_with('#') {
            continue;
        }
        if let Some(name) = demand.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = (name, outcome(&folders, name));
            if let (name, Err(fault)) = &section {
                faults.push(format!("contract.txt:{number}: [{name}]: {fault}"));
            }
        } else if let (name, Ok(outcome)) = &section
            && let Some(found) = outcome.fault(demand)
        {
            faults.push(format!("contract.txt:{number}: [{name}] {demand}\n    found: {found}"));
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}
