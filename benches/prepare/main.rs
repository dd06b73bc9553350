//! Preparation alone, from the bytes of a message to the bytes of a bulk body, against what
//! simd-json takes to make a tape of the same bytes, in turns within one run.
//!
//! ```sh
//! cargo bench --bench prepare
//! ```
//!
//! `SLUICE_BENCH_GEO` (a geo database; default: the demo one) and `SLUICE_BENCH_ROUNDS` (default 40)
//! choose what is measured.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program for developers: it ends where something is wrong, and prints"
)]

use std::env;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use simd_json::{Buffers, Tape};
use sluice::config::keys;
use sluice::config::pipeline_toml;
use sluice::config::reader::Reader;
use sluice::event::{Chunk, Hold, Message};
use sluice::geo::demo;
use sluice::prepare::geo::{Bytes, Database, Databases};
use sluice::prepare::plan::Plan;
use sluice::prepare::{self, Context, Scratch};

#[path = "../support/events.rs"]
mod events;

/// Half a megabyte of events a chunk, as the source cuts them.
const CHUNK_EVENTS: usize = 250;
const CHUNKS: usize = 40;

fn main() {
    let rounds = env::var("SLUICE_BENCH_ROUNDS").map_or(40, |text| text.parse().unwrap());
    let context = context();
    let events: Vec<String> = events::Events::new().take(CHUNKS * CHUNK_EVENTS).collect();
    let bytes: usize = events.iter().map(String::len).sum();
    let mut scratch = Scratch::default();
    let mut tapes = Tapes::default();
    let (mut prepared, mut parsed) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let since = cpu_seconds();
        for event in &events {
            tapes.parse(event);
        }
        parsed.push(cpu_seconds() - since);
        let chunks: Vec<_> = events.chunks(CHUNK_EVENTS).map(chunk).collect();
        let since = cpu_seconds();
        for chunk in chunks {
            let done = prepare::chunk(chunk, &context, &mut scratch);
            assert_eq!(done.documents.len(), CHUNK_EVENTS);
            black_box(&done.body);
        }
        prepared.push(cpu_seconds() - since);
    }
    let mut ratios: Vec<_> = prepared.iter().zip(&parsed).map(|(one, other)| one / other).collect();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let count = events.len() as f64;
    println!(
        "{} bytes an event: prepare {:.2} us, tape {:.2} us, ratio {:.2} (medians of {rounds})",
        bytes / events.len(),
        median(&mut prepared) / count * 1e6,
        median(&mut parsed) / count * 1e6,
        median(&mut ratios),
    );
}

#[derive(Default)]
struct Tapes {
    copy: Vec<u8>,
    buffers: Buffers,
}

impl Tapes {
    fn parse(&mut self, event: &str) {
        self.copy.clear();
        self.copy.extend_from_slice(event.as_bytes());
        let tape: Tape<'_> =
            simd_json::to_tape_with_buffers(&mut self.copy, &mut self.buffers).unwrap();
        black_box(&tape);
    }
}

fn context() -> Context {
    let mut reader = Reader::new(
        keys::PIPELINE,
        Some((Path::new("pipeline.toml"), "topics = [\"t\"]")),
        None,
        "",
    );
    let spec = pipeline_toml::read(&mut reader, "bench");
    assert!(reader.into_faults().is_empty());
    let bytes = match env::var("SLUICE_BENCH_GEO") {
        Ok(file) => std::fs::read(file).unwrap(),
        Err(_) => demo::nested(demo::DEMO_CSV).unwrap(),
    };
    let database = Database::verified(Bytes::Owned(bytes)).unwrap();
    Context {
        plan: Arc::new(Plan::compile(&spec).unwrap()),
        databases: Arc::new(Databases::new(1, vec![Arc::new(database)])),
        now: 1_795_600_000_000,
        cluster_id: "bench".into(),
    }
}

fn chunk(events: &[String]) -> Chunk {
    let mut chunk = Chunk {
        hold: Arc::new(Hold::new(1, 0, Arc::from("t"), 0)),
        bytes: Vec::new(),
        messages: Vec::new(),
        received: 1_795_600_000_000,
    };
    for (offset, event) in (0..).zip(events) {
        let start = chunk.bytes.len();
        chunk.bytes.extend_from_slice(event.as_bytes());
        let payload = Some(start..chunk.bytes.len());
        chunk.messages.push(Message { offset, timestamp: Some(1_795_600_000_000), payload });
    }
    chunk
}

/// What this thread has run so far (proc(5), `schedstat`, in nanoseconds): others on the machine
/// do not count.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
