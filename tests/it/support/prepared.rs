//! One message through preparation, as the path does it, with everything fixed that could move;
//! and what must hold of the outcome whatever the message was.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use sluice::clock::Millis;
use sluice::config::keys;
use sluice::config::pipeline::PipelineSpec;
use sluice::config::pipeline_toml;
use sluice::config::reader::Reader;
use sluice::event::{Chunk, Hold, Message};
use sluice::geo::demo;
use sluice::outcome::Skip;
use sluice::prepare::geo::{Bytes, Database, Databases};
use sluice::prepare::plan::Plan;
use sluice::prepare::{self, Context, Prepared, Scratch};

use super::strict_json::{self, Value};

/// 2026-01-15T10:00:00Z
pub(crate) const RECORD_TIME: Millis = 1_768_471_200_000;
/// A second and a half later.
pub(crate) const NOW: Millis = RECORD_TIME + 1_500;
pub(crate) const PARTITION: i32 = 0;
pub(crate) const OFFSET: i64 = 7;

static DEMO: LazyLock<Arc<Databases>> = LazyLock::new(|| {
    let bytes = Bytes::Owned(demo::nested(demo::DEMO_CSV).unwrap());
    Arc::new(Databases::new(1, vec![Arc::new(Database::verified(bytes).unwrap())]))
});

/// A pipeline, ready to prepare messages.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) topic: Arc<str>,
    pub(crate) context: Context,
}

/// One event's document, read back.
#[derive(Debug, Clone)]
pub(crate) struct Indexed {
    pub(crate) message: usize,
    pub(crate) index_in_message: u32,
    /// The action line.
    pub(crate) action: Value,
    pub(crate) source: Value,
    /// Where it differs from the source.
    pub(crate) live: Option<Value>,
}

impl Pipeline {
    /// The pipeline of a folder with a `pipeline.toml`.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let path = folder.join("pipeline.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let mut reader = Reader::new(keys::PIPELINE, Some((&path, &text)), None, "");
        let spec = pipeline_toml::read(&mut reader, &name);
        let faults: Vec<String> = reader.into_faults().iter().map(ToString::to_string).collect();
        if faults.is_empty() { Self::compile(&spec) } else { Err(faults.join("\n")) }
    }

    pub(crate) fn compile(spec: &PipelineSpec) -> Result<Self, String> {
        let plan = Plan::compile(spec).map_err(|faults| format!("{faults:?}"))?;
        Ok(Self {
            topic: spec.topics.first().ok_or("no topic")?.as_str().into(),
            context: Context {
                plan: Arc::new(plan),
                databases: Arc::clone(&DEMO),
                now: NOW,
                cluster_id: "golden".into(),
            },
        })
    }

    /// Prepares messages of consecutive offsets; `None` is a tombstone.
    pub(crate) fn prepare(
        &self,
        messages: &[(Option<&[u8]>, Option<Millis>)],
        scratch: &mut Scratch,
    ) -> Prepared {
        let mut chunk = Chunk {
            hold: Arc::new(Hold::new(1, 0, Arc::clone(&self.topic), PARTITION)),
            bytes: Vec::new(),
            messages: Vec::new(),
            received: NOW,
        };
        for (offset, &(payload, timestamp)) in (OFFSET..).zip(messages) {
            let payload = payload.map(|payload| {
                let start = chunk.bytes.len();
                chunk.bytes.extend_from_slice(payload);
                start..chunk.bytes.len()
            });
            chunk.messages.push(Message { offset, timestamp, payload });
        }
        prepare::chunk(chunk, &self.context, scratch)
    }
}

/// Reads the documents of a chunk back, and finds whatever can never be right.
pub(crate) fn examine(prepared: &Prepared) -> Result<Vec<Indexed>, String> {
    every_event_once(prepared)?;
    let (mut ids, mut documents) = (HashSet::new(), Vec::new());
    let (mut body_end, mut live_end) = (0, 0);
    for document in &prepared.documents {
        let place = (document.message, document.index_in_message);
        let fault = |what: &str| Err(format!("{place:?}: {what}"));
        if document.action != body_end || document.source.start <= document.action {
            return fault("its lines do not follow those before");
        }
        let action = line(&prepared.body, &(document.action..document.source.start - 1))?;
        let source = line(&prepared.body, &document.source)?;
        body_end = document.source.end + 1;
        let live = match &prepared.live {
            None if document.live != document.source => return fault("live is not the source"),
            None => None,
            Some(_) if document.live.start != live_end => return fault("a gap in live"),
            Some(live) => Some(line(live, &document.live)?),
        };
        live_end = document.live.end + 1;
        if document.area >= prepared.areas.len() {
            return fault("no such area");
        }
        let id = action.pointer("/create/_id").and_then(Value::text).unwrap_or_default();
        for value in [Some(&source), live.as_ref()].into_iter().flatten() {
            if let Err(what) = stamped(value, &id) {
                return fault(&what);
            }
        }
        if !ids.insert(id) {
            return fault("its id is another's");
        }
        let index_in_message = document.index_in_message;
        let message = document.message;
        documents.push(Indexed { message, index_in_message, action, source, live });
    }
    if prepared.body.len() != body_end {
        return Err("the body holds more than the documents".to_owned());
    }
    if prepared.live.as_ref().is_some_and(|live| live.len() != live_end) {
        return Err("live holds more than the documents".to_owned());
    }
    Ok(documents)
}

/// A line of a buffer, whose newline stands behind the range.
fn line(buffer: &[u8], range: &Range<usize>) -> Result<Value, String> {
    let bytes = buffer.get(range.clone()).ok_or("a range outside of its buffer")?;
    if buffer.get(range.end) != Some(&b'\n') || bytes.contains(&b'\n') {
        return Err("a range that is no line".to_owned());
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|error| error.to_string())?;
    strict_json::parse(bytes)
}

fn stamped(document: &Value, id: &str) -> Result<(), String> {
    let Value::Object(members) = document else { return Err("no object".to_owned()) };
    let names: Vec<&str> = members.iter().take(3).map(|(name, _)| name.as_str()).collect();
    if names != ["\"@timestamp\"", "\"@version\"", "\"event_id\""] {
        return Err(format!("begins with {names:?}"));
    }
    if id.is_empty() || document.get("event_id").and_then(Value::text).as_deref() != Some(id) {
        return Err(format!("its event_id is not its id {id:?}"));
    }
    Ok(())
}

/// Every place of every message is a document's, a reject's or a skip's, and none is two's.
fn every_event_once(prepared: &Prepared) -> Result<(), String> {
    let documents = prepared.documents.iter().map(|one| (one.message, one.index_in_message));
    let rejects = prepared.rejects.iter().map(|one| (one.message, one.index_in_message));
    let mut seen = HashSet::new();
    for place in documents.clone().chain(rejects.clone()) {
        if !seen.insert(place) {
            return Err(format!("{place:?} has two outcomes"));
        }
    }
    if !documents.clone().is_sorted() || !rejects.clone().is_sorted() {
        return Err("out of order".to_owned());
    }
    let messages = prepared.chunk.messages.len();
    let skipped: u64 = prepared.skipped.iter().sum();
    let seen_in = |message| seen.iter().filter(move |place| place.0 == message);
    let of_message = |message| seen_in(message).map(|place| u64::from(place.1) + 1).max();
    let gaps: u64 = (0..messages)
        .map(|message| of_message(message).unwrap_or(0) - seen_in(message).count() as u64)
        .sum();
    let silent = (0..messages).filter(|&message| of_message(message).is_none()).count() as u64;
    if skipped < gaps + silent {
        return Err(format!("{gaps} gaps, {silent} silent messages, {skipped} skipped"));
    }
    for (what, origin, message) in prepared
        .documents
        .iter()
        .map(|one| ("document", &one.origin, one.message))
        .chain(prepared.rejects.iter().map(|one| ("reject", &one.origin, one.message)))
    {
        let payload = prepared.chunk.messages.get(message).and_then(|one| one.payload.clone());
        let payload = payload.ok_or(format!("a {what} of a message without payload"))?;
        if origin.is_empty() || origin.start < payload.start || origin.end > payload.end {
            return Err(format!("a {what} whose bytes are not of its message"));
        }
    }
    Ok(())
}

/// How many events were skipped for this reason.
pub(crate) fn skipped(prepared: &Prepared, skip: Skip) -> u64 {
    prepared.skipped[skip.index()]
}
