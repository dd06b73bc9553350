//! The mixed topic: every good, odd and bad message side by side in one topic. Each event ends in
//! exactly one counted outcome, what can be repaired is in the index and says so, digits are those
//! that came, and nothing bad costs a neighbour.

use std::collections::BTreeMap;

use super::world::{Coordinates, Kind, Timed, World};

mod framings;
mod names;
mod shapes;
mod traps;

/// One message and what becomes of its events, in order.
pub(super) struct Case {
    name: String,
    /// `None` is a tombstone.
    message: Option<Vec<u8>>,
    /// As [`Timed::time`].
    time: Option<i64>,
    events: Vec<Expected>,
}

/// What becomes of one event.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    /// A document whose source holds these texts, and not those that begin with `!`.
    Indexed(Vec<String>),
    /// A dead letter with this reason that holds these bytes.
    Dead(&'static str, Vec<u8>),
    Skipped(&'static str),
}

pub(super) fn indexed(texts: &[&str]) -> Expected {
    Expected::Indexed(texts.iter().map(|&text| text.to_owned()).collect())
}

/// A message of one event.
pub(super) fn case(name: &str, message: impl Into<Vec<u8>>, expected: Expected) -> Case {
    several(name, message, vec![expected])
}

pub(super) fn several(name: &str, message: impl Into<Vec<u8>>, events: Vec<Expected>) -> Case {
    Case { name: name.to_owned(), message: Some(message.into()), time: None, events }
}

/// A message that is one dead letter, whole.
pub(super) fn dead(name: &str, message: impl Into<Vec<u8>>, reason: &'static str) -> Case {
    let message = message.into();
    case(name, message.clone(), Expected::Dead(reason, message))
}

/// An event that stands on both sides of every case and must be as if they were not there.
fn neighbour(number: usize) -> Case {
    let name = format!("\"api_name\":\"neighbour {number}\"");
    let message =
        format!("{{\"datetime\":\"2026-01-02T03:04:05.678Z\",{name},\"bytes_sent\":{number}}}");
    let sent = format!("\"bytes_sent\":{number}");
    let expected = indexed(&[&name, &sent, "!\"tags\"", "!\"unparsed\"", "!\"source\""]);
    case(&format!("neighbour {number}"), message, expected)
}

fn cases() -> Vec<Case> {
    let all = [traps::cases(), framings::cases(), names::cases(), shapes::cases()];
    let mut cases = vec![neighbour(0)];
    for (case, number) in all.into_iter().flatten().zip(1..) {
        cases.push(case);
        cases.push(neighbour(number));
    }
    cases
}

fn check(kind: Kind, test: &str) {
    let Some(world) = World::bare(kind, test, "", "") else { return };
    // Kafka itself would refuse times that are far ahead.
    let any_time = [("message.timestamp.after.max.ms", "9223372036854775807")];
    world.create_topic(&world.name, 1, &any_time);
    world.sluice(&["setup"]);
    let cases = cases();
    world.produce_timed(
        cases.iter().map(|case| Timed { value: case.message.as_deref(), time: case.time }),
    );
    let running = world.run();
    let events: usize = cases.iter().map(|case| case.events.len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let metrics = world.settled(events as f64);
    let faults = [faults_of_events(&world, &cases), faults_of_counts(&metrics.0, &cases)].concat();
    assert!(faults.is_empty(), "{} faults:\n{}\n{}", faults.len(), faults.join("\n"), world.log());
    world.ended(running);
    assert_eq!(world.committed(), [i64::try_from(cases.len()).unwrap()]);
}

/// Every event against its outcome; each document and each letter belongs to one event.
fn faults_of_events(world: &World, cases: &[Case]) -> Vec<String> {
    let mut sources = world.sources();
    let mut letters: BTreeMap<Coordinates, (String, Vec<u8>)> = BTreeMap::new();
    let mut faults = Vec::new();
    for letter in world.letters() {
        let reason = format!(
            "{} {} {}",
            letter.header("sluice.reason"),
            letter.header("sluice.detail"),
            letter.header("sluice.error")
        );
        if letters.insert(letter.coordinates(), (reason, letter.value)).is_some() {
            faults.push("two dead letters of one event".to_owned());
        }
    }
    for (case, offset) in cases.iter().zip(0..) {
        for (expected, index) in case.events.iter().zip(0..) {
            let source = sources.remove(&(offset, index));
            let letter = letters.remove(&(offset, index));
            if let Some(fault) = fault(expected, source.as_deref(), letter.as_ref()) {
                faults.push(format!("{} [{index}]: {fault}", case.name));
            }
        }
    }
    faults.extend(sources.iter().map(|(place, text)| format!("nobody's at {place:?}: {text}")));
    faults
        .extend(letters.iter().map(|(place, letter)| format!("nobody's at {place:?}: {letter:?}")));
    faults
}

fn fault(
    expected: &Expected,
    source: Option<&str>,
    letter: Option<&(String, Vec<u8>)>,
) -> Option<String> {
    let reason = letter.map(|(reason, _)| reason.as_str());
    match (expected, source, letter) {
        (Expected::Indexed(texts), Some(source), None) => {
            let holds = |text: &&String| match text.strip_prefix('!') {
                Some(text) => source.contains(text),
                None => !source.contains(text.as_str()),
            };
            let wrong: Vec<_> = texts.iter().filter(holds).collect();
            (!wrong.is_empty()).then(|| format!("{wrong:?} in {source:.2000}"))
        }
        (Expected::Dead(wanted, bytes), None, Some((reason, value))) => {
            let right = reason.split(' ').next() == Some(*wanted) && bytes == value;
            (!right)
                .then(|| format!("dead-lettered {reason}: {:?}", String::from_utf8_lossy(value)))
        }
        (Expected::Skipped(_), None, None) => None,
        (Expected::Skipped(_), ..) => Some("not skipped".to_owned()),
        (Expected::Indexed(_), None, _) => Some(format!("not indexed; dead letter: {reason:?}")),
        (Expected::Indexed(_), Some(_), Some(_)) => Some(format!("also a dead letter: {reason:?}")),
        (Expected::Dead(..), source, _) => {
            Some(format!("no dead letter alone: {reason:?}, indexed {source:.500?}"))
        }
    }
}

/// The metrics against the sum of the expectations.
fn faults_of_counts(scrape: &str, cases: &[Case]) -> Vec<String> {
    let mut wanted: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for expected in cases.iter().flat_map(|case| &case.events) {
        let outcome = match expected {
            Expected::Indexed(_) => ("created", ""),
            Expected::Dead(reason, _) => ("dead_lettered", *reason),
            Expected::Skipped(reason) => ("skipped", *reason),
        };
        *wanted.entry(outcome).or_default() += 1;
    }
    let mut faults = Vec::new();
    for line in scrape.lines() {
        let Some(labels) = line.strip_prefix("sluice_events_settled_total") else { continue };
        let label = |name: &str| {
            let value = labels.split_once(&format!("{name}=\""));
            value.and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
        };
        let count = wanted.remove(&(label("outcome"), label("reason"))).unwrap_or_default();
        if line.rsplit(' ').next() != Some(count.to_string().as_str()) {
            faults.push(format!("{line}, wanted {count}"));
        }
    }
    faults.extend(
        wanted.into_iter().map(|(outcome, count)| format!("no {outcome:?}, wanted {count}")),
    );
    faults
}

#[test]
fn elasticsearch_8() {
    check(Kind::Elasticsearch8, "mixed-es8");
}

#[test]
fn elasticsearch_9() {
    check(Kind::Elasticsearch9, "mixed-es9");
}

#[test]
fn opensearch() {
    check(Kind::OpenSearch, "mixed-os");
}
