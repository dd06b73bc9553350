//! The dictionary of the streams' compression: trained on believable events as a pipeline prepares
//! them. `UPDATE_DICTIONARY=1` trains it anew; clients then find a new id.

use std::path::Path;

use sluice::prepare::{Document, Scratch};
use sluice::stream::dictionary::Dictionary;
use sluice::traffic::Calls;

use crate::support::prepared::{NOW, Pipeline, RECORD_TIME};

const DICTIONARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/stream/dictionary.zstd");
const DICTIONARY_BYTES_MAX: usize = 32 * 1024;

/// Messages as the stream sends them.
fn messages(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/apiconnect");
    let pipeline = Pipeline::open(&folder).unwrap();
    let mut calls = Calls::new(seed);
    let events: Vec<_> = (0..count).map(|_| calls.next(NOW).to_string().into_bytes()).collect();
    let messages: Vec<_> = events.iter().map(|event| (Some(&**event), Some(RECORD_TIME))).collect();
    let prepared = pipeline.prepare(&messages, &mut Scratch::default());
    let live = prepared.live.as_ref().unwrap_or(&prepared.body);
    let line = |document: &Document| live[document.live.clone()].to_vec();
    let cursors = (0..).map(|at| format!("{:032x}", seed * 1_000_003 + at));
    let lines = prepared.documents.iter().map(line);
    lines
        .zip(cursors)
        .map(|(line, cursor)| {
            [format!("{{\"cursor\":\"{cursor}\",\"data\":[").as_bytes(), &line, b"]}"].concat()
        })
        .collect()
}

#[test]
fn small_messages_become_far_smaller_and_come_back_whole() {
    if std::env::var_os("UPDATE_DICTIONARY").is_some() {
        let trained = zstd::dict::from_samples(&messages(1, 4_000), DICTIONARY_BYTES_MAX).unwrap();
        std::fs::write(DICTIONARY, trained).unwrap();
        panic!("the dictionary was trained anew: build again");
    }
    let dictionary = Dictionary::built_in().unwrap();
    let mut read = zstd::bulk::Decompressor::with_dictionary(dictionary.bytes()).unwrap();
    // Other calls than those it was trained on.
    let messages = messages(2, 1_000);
    let (mut plain, mut packed, mut alone) = (0, 0, 0);
    for message in &messages {
        let mut out = Vec::new();
        assert!(dictionary.pack(message, &mut out));
        assert_eq!(read.decompress(&out, message.len()).unwrap(), *message);
        plain += message.len();
        packed += out.len();
        alone += zstd::bulk::compress(message, 1).unwrap().len();
    }
    assert!(packed * 4 < plain, "{packed} of {plain} bytes");
    assert!(packed * 2 < alone, "{packed} bytes, {alone} without the dictionary");
}
