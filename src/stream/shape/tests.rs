use bytes::Bytes;

use super::*;
use crate::stream::filter::{Filter, Known};
use crate::stream::select::Selections;

const LINES: &str = "{\"event_id\":\"0\",\"request_method\":\"GET\"}\n\
                     {\"event_id\":\"1\",\"request_method\":\"PUT\"}\n\
                     {\"event_id\":\"2\",\"request_method\":\"GET\"}\n";

struct Rig {
    shapes: Shapes,
    selections: Selections,
    block: Block,
}

impl Rig {
    fn new(lines: &str) -> Self {
        let bytes = Bytes::copy_from_slice(lines.as_bytes());
        Self {
            shapes: Shapes::new(Arc::new(Dictionary::built_in().unwrap())),
            selections: Selections::default(),
            block: Block::new(("a".into(), 0, 7), 0, bytes),
        }
    }

    fn shape(&self, change: impl FnOnce(&mut Asked)) -> Arc<Shape> {
        let mut asked = Asked {
            transport: Transport::Ndjson,
            format: Format::Native,
            batch: false,
            zstd: false,
            fields: None,
        };
        change(&mut asked);
        self.shapes.of(asked)
    }

    fn choice(&self, filter: &str) -> Choice {
        let filter = Filter::parse(filter, &Known::default()).unwrap();
        Choice { filter: Some(self.selections.select(&"a".into(), &filter).unwrap()), one_in: 1 }
    }

    fn ready(&self, shape: &Shape, choice: &Choice, from: u32) -> Ready {
        shape.ready((&self.block, from, from), choice, true, seal)
    }
}

/// Offset and index, and dots.
fn seal(place: Place) -> CursorText {
    let text = format!("{}{}", place.offset, place.index);
    format!("{text:.<32}").into()
}

fn text(ready: &Ready) -> String {
    let bytes = |run: &Range<usize>| {
        let range = ready.frames.start(run.start)..ready.frames.start(run.end);
        String::from_utf8_lossy(ready.frames.bytes(range)).into_owned()
    };
    ready.runs.iter().map(bytes).collect()
}

fn native(index: usize, events: &[usize]) -> String {
    let event = |at: &usize| {
        let method = if *at == 1 { "PUT" } else { "GET" };
        format!("{{\"event_id\":\"{at}\",\"request_method\":\"{method}\"}}")
    };
    let data: Vec<_> = events.iter().map(event).collect();
    format!("{{\"cursor\":\"7{index}{}\",\"data\":[{}]}}\n", ".".repeat(30), data.join(","))
}

#[test]
fn one_event_a_message_from_a_place_on() {
    let rig = Rig::new(LINES);
    let shape = rig.shape(|_| {});
    let each = [native(1, &[0]), native(2, &[1]), native(3, &[2])];
    for from in 0..4 {
        let ready = rig.ready(&shape, &Choice::all(), from);
        assert_eq!(text(&ready), each[from as usize..].concat());
        assert_eq!(ready.share, Share::default());
    }
}

#[test]
fn what_does_not_pass_is_left_out_and_counted() {
    let rig = Rig::new(LINES);
    let shape = rig.shape(|_| {});
    let check = |filter: &str, from, expected: &str, filtered| {
        let ready = rig.ready(&shape, &rig.choice(filter), from);
        assert_eq!((text(&ready), ready.share.filtered), (expected.to_owned(), filtered));
    };
    check("request_method=GET", 0, &(native(1, &[0]) + &native(3, &[2])), 1);
    check("request_method=GET", 1, &native(3, &[2]), 1);
    check("request_method=PUT", 0, &native(2, &[1]), 2);
    check("request_method=HEAD", 0, "", 3);
}

#[test]
fn a_batch_is_one_message_of_what_passes() {
    let rig = Rig::new(LINES);
    let shape = rig.shape(|asked| asked.batch = true);
    let check = |choice: &Choice, from, expected: &str| {
        let ready = rig.ready(&shape, choice, from);
        assert_eq!(text(&ready), expected);
        assert_eq!(
            ready.frames.events(0..ready.frames.len()),
            expected.matches("event_id").count() as u64
        );
    };
    check(&Choice::all(), 0, &native(3, &[0, 1, 2]));
    check(&Choice::all(), 2, &native(3, &[2]));
    check(&Choice::all(), 3, "");
    check(&rig.choice("request_method=GET"), 0, &native(3, &[0, 2]));
    check(&rig.choice("request_method=GET"), 1, &native(3, &[2]));
    check(&rig.choice("request_method=PUT"), 0, &native(3, &[1]));
}

#[test]
fn what_is_made_once_serves_all_who_ask_for_the_same() {
    let rig = Rig::new(LINES);
    let (one, same) = (rig.shape(|_| {}), rig.shape(|_| {}));
    let known = Known::default();
    let fields = |names: [&str; 2]| Some(Projection::new(names, &known).unwrap());
    let other = rig.shape(|asked| asked.fields = fields(["api_name", "org_id"]));
    let other_order = rig.shape(|asked| asked.fields = fields(["org_id", "api_name"]));
    assert!(Arc::ptr_eq(&one, &same) && Arc::ptr_eq(&other, &other_order));
    assert!(!Arc::ptr_eq(&one, &other));
    let all = Choice::all();
    let frames = |shape: &Shape, choice: &Choice| rig.ready(shape, choice, 0).frames;
    assert!(Arc::ptr_eq(&frames(&one, &all), &frames(&same, &rig.choice("request_method=PUT"))));
    assert!(!Arc::ptr_eq(&frames(&one, &all), &frames(&other, &all)));
    let before = rig.block.cost();
    drop(frames(&one, &all));
    assert_eq!(rig.block.cost(), before);
}

#[test]
fn fields_and_formats() {
    let rig = Rig::new(
        "{\"event_id\":\"0\",\"api_name\":\"orders\",\"status_code\":\"200 OK\"}\nbroken\n",
    );
    let fields = Projection::new(["status_code"], &Known::default()).unwrap();
    let shape = rig.shape(|asked| asked.fields = Some(fields.clone()));
    let ready = rig.ready(&shape, &Choice::all(), 0);
    assert!(
        text(&ready).ends_with("\"data\":[{\"event_id\":\"0\",\"status_code\":\"200 OK\"}]}\n")
    );
    let ecls = rig.shape(|asked| {
        asked.format = Format::Ecls;
        asked.transport = Transport::WebSocket;
    });
    let ready = rig.ready(&ecls, &Choice::all(), 0);
    let bytes = ready.frames.bytes(0..ready.frames.len_bytes());
    // A binary frame of a length in two bytes.
    assert_eq!(bytes[..2], [0x82, 126]);
    let message: serde_json::Value = serde_json::from_slice(&bytes[4..]).unwrap();
    assert_eq!(message["data"][0]["service_name"], "orders");
    assert_eq!(message["data"][0].as_object().unwrap().len(), 41);
    assert_eq!(
        (message["data"][0]["http_status_code"].as_str(), message.get("cursor")),
        (Some("200"), None)
    );
    // A token's fields are all that ECLS is made of.
    let held = rig.shape(|asked| {
        asked.format = Format::Ecls;
        asked.fields = Some(fields);
    });
    let text = text(&rig.ready(&held, &Choice::all(), 0));
    let message: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(message["data"][0]["service_name"], "-");
    assert_eq!(message["data"][0]["http_status_code"], "200");
}

#[test]
fn a_sample_is_the_same_for_everybody_and_what_is_left_out_is_counted() {
    let lines: String = (0..1_000).map(|at| format!("{{\"event_id\":\"{at}\"}}\n")).collect();
    let rig = Rig::new(&lines);
    let choice = Choice { filter: None, one_in: 10 };
    let (one, two) = (rig.shape(|_| {}), rig.shape(|asked| asked.batch = true));
    let (single, batch) = (rig.shape(|_| {}), rig.ready(&two, &choice, 0));
    let ready = rig.ready(&one, &choice, 0);
    let sent = ready.runs.iter().map(|run| ready.frames.events(run.clone())).sum::<u64>();
    assert_eq!(sent + ready.share.sampled_out, 1_000);
    assert!((50..150).contains(&sent), "{sent}");
    assert_eq!(text(&rig.ready(&single, &choice, 0)), text(&ready));
    assert_eq!(batch.frames.events(0..1), sent);
}

#[test]
fn compressed_messages_are_binary_and_come_back() {
    let rig = Rig::new(LINES);
    let shape = rig.shape(|asked| {
        asked.transport = Transport::WebSocket;
        asked.zstd = true;
    });
    let ready = rig.ready(&shape, &Choice::all(), 0);
    let dictionary = Dictionary::built_in().unwrap();
    let mut read = zstd::bulk::Decompressor::with_dictionary(dictionary.bytes()).unwrap();
    for frame in 0..3 {
        let bytes = ready.frames.bytes(ready.frames.start(frame)..ready.frames.end(frame));
        assert_eq!(bytes[0], 0x82);
        let plain = read.decompress(&bytes[2..], 1_000).unwrap();
        assert_eq!(String::from_utf8(plain).unwrap() + "\n", native(frame + 1, &[frame]));
    }
}
