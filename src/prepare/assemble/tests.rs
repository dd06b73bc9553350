//! What only this module can be asked: how our own failures end.

use std::sync::Arc;

use super::*;
use crate::config::pipeline::PipelineSpec;
use crate::event::Hold;
use crate::prepare::geo::Databases;

/// Stands for a fault of ours that an event brings out.
const FAIL: &str = "test_of_failure";

pub(super) fn fail_where_asked(event: &Event<'_>) {
    let object = event.object;
    let asked = object.members(0).any(|(key, _)| object.string(key) == Some(FAIL));
    assert!(!asked, "as asked");
}

fn prepare(spec: &PipelineSpec, messages: &[&[u8]]) -> Prepared {
    let mut bytes = Vec::new();
    let messages = messages.iter().zip(40..).map(|(message, offset)| {
        let start = bytes.len();
        bytes.extend_from_slice(message);
        Message { offset, timestamp: Some(1_700_000_000_000), payload: Some(start..bytes.len()) }
    });
    let messages = messages.collect();
    let hold = Arc::new(Hold::new(1, 0, Arc::from("events"), 3));
    let context = Context {
        plan: Arc::new(Plan::compile(spec).unwrap()),
        databases: Arc::new(Databases::none()),
        now: 1_700_000_001_000,
        cluster_id: Arc::from("cluster"),
    };
    let given = Chunk { hold, bytes, messages, received: 0 };
    chunk(given, &context, &mut Scratch::default())
}

#[test]
fn a_failure_of_ours_costs_its_event_alone() {
    let message = br#"[{"a":1},{"test_of_failure":1},{"a":3}]"#;
    let prepared = prepare(&PipelineSpec::new("test"), &[message, br#"{"a":4}"#]);
    assert_eq!(prepared.documents.len(), 3);
    let [reject] = prepared.rejects.as_slice() else { panic!("{:?}", prepared.rejects) };
    assert_eq!((reject.reason, reject.index_in_message), (Reason::Internal, 1));
    assert_eq!(prepared.chunk.slice(&reject.origin), br#"{"test_of_failure":1}"#);
    let body = String::from_utf8(prepared.body).unwrap();
    assert_eq!(body.lines().count(), 6);
    assert!(!body.contains("test_of_failure"));
}
