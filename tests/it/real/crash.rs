//! A process that is killed in the middle: the next one makes up for it, nothing is lost and
//! nothing is doubled.

use serde_json::{Value, json};

use super::world::{Kind, Timed, World};

const EVENTS: u32 = 200_000;

#[test]
fn a_kill_in_the_middle_loses_and_doubles_nothing() {
    let Some(world) = World::new(Kind::Elasticsearch8, "crash", "", "") else { return };
    let _alone = world.alone();
    write(&world, 1, 0..EVENTS);
    let first = world.run();
    world.until("a tenth is indexed", |world| {
        (world.metrics()?.settled("created") > u64::from(EVENTS / 10)).then_some(())
    });
    first.kill();
    let (indexed, committed) = (world.count(), position(&world));
    assert!(0 < indexed && indexed < u64::from(EVENTS), "killed in the middle: {indexed}");
    assert!(committed <= indexed, "{committed} committed, {indexed} indexed");

    let second = world.run();
    let rest = u64::from(EVENTS) - committed;
    let metrics = world.settled(f64::from(EVENTS) - position_as_float(committed));
    // What was on its way when the process was killed may have been indexed after the count.
    let (created, duplicate) = (metrics.settled("created"), metrics.settled("duplicate"));
    assert_eq!(created + duplicate, rest);
    assert!(created <= u64::from(EVENTS) - indexed, "{created} created, {indexed} were there");
    world.ended(second);
    each_event_once(&world, EVENTS);
    assert_eq!(position(&world), u64::from(EVENTS));
}

/// Small events with numbers.
pub(super) fn write(world: &World, partitions: i32, numbers: std::ops::Range<u32>) {
    let messages: Vec<_> =
        numbers.map(|number| format!("{{\"bytes_sent\":{number},\"org_id\":\"o\"}}")).collect();
    world.produce_to(
        partitions,
        messages.iter().map(|message| Timed { value: Some(message.as_bytes()), time: None }),
    );
}

/// The committed position, over all partitions.
pub(in crate::real) fn position(world: &World) -> u64 {
    world.committed().into_iter().map(|position| u64::try_from(position).unwrap_or(0)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn position_as_float(position: u64) -> f64 {
    position as f64
}

/// The numbers from 0 on, each in one document: so many, with their sum, from the first to the
/// last, none twice.
pub(super) fn each_event_once(world: &World, events: u32) {
    let aggs = json!({
        "numbers": { "stats": { "field": "bytes_sent" } },
        "twice": { "terms": { "field": "bytes_sent", "min_doc_count": 2, "size": 10 } },
    });
    let found = world.search(&json!({ "size": 0, "track_total_hits": true, "aggs": aggs }));
    assert_eq!(found["hits"]["total"]["value"], json!(events));
    let numbers = &found["aggregations"]["numbers"];
    let events = f64::from(events);
    let number = |name: &str| numbers[name].as_f64().unwrap();
    assert!((number("sum") - events * (events - 1.0) / 2.0).abs() < 0.5, "{numbers}");
    assert!(number("min") < 0.5 && (number("max") - events + 1.0).abs() < 0.5, "{numbers}");
    assert_eq!(found["aggregations"]["twice"]["buckets"], Value::Array(Vec::new()));
}
