//! Events of before: from a time on, and what retention has left of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat};
use rdkafka::message::{Message as _, OwnedMessage, Timestamp};
use serde_json::{Value, json};

use super::{AREAS, Channel, Replica, Site, TRANSPORTS, live_partition, number, numbers};
use crate::stream::client::Client;

const BATCHES: u32 = 6;
const BATCH: u32 = 60;

/// Produces batches, each of which is in the live topic before the next one comes.
fn produce(site: &Site, batches: std::ops::Range<u32>) {
    for batch in batches {
        site.produce(batch * BATCH..(batch + 1) * BATCH);
        site.settled((batch + 1) * BATCH);
    }
}

/// Kafka's time of a record.
fn time(record: &OwnedMessage) -> i64 {
    match record.timestamp() {
        Timestamp::LogAppendTime(time) => time,
        other => panic!("not the broker's time: {other:?}"),
    }
}

/// The events of a record.
fn events(record: &OwnedMessage) -> Vec<u32> {
    let lines = record.payload().unwrap().split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines.map(|line| number(&serde_json::from_slice(line).unwrap())).collect()
}

/// The records of the partition that has both areas.
fn records(site: &Site) -> Vec<OwnedMessage> {
    let all = site.world.read(&site.live_topic()).into_iter();
    all.filter(|record| record.partition() == live_partition()).collect()
}

fn is_of(record: &OwnedMessage, area: &str) -> bool {
    record.key() == Some(area.as_bytes())
}

#[test]
fn since_begins_with_the_first_event_of_a_time_and_misses_none() {
    let Some(mut site) = Site::new("stream-since", 1, "") else { return };
    let replica = site.start("r1");
    let channel = site.channel(&replica, AREAS[0]);
    produce(&site, 0..BATCHES);
    let records = records(&site);
    let mut times: Vec<_> = records.iter().map(time).collect();
    assert!(times.is_sorted(), "{times:?}");
    times.dedup();
    assert!(times.len() >= BATCHES as usize, "{times:?}");
    // Those of the other area's records too, the moments before all, and those behind each.
    let sinces = times.iter().flat_map(|time| [time - 1, *time, time + 1]);
    let written = |since: i64| {
        DateTime::from_timestamp_millis(since).unwrap().to_rfc3339_opts(SecondsFormat::Millis, true)
    };
    let mut late = Vec::new();
    for (since, transport) in sinces.zip(TRANSPORTS.into_iter().cycle()) {
        let expected: Vec<_> = records
            .iter()
            .filter(|record| is_of(record, AREAS[0]) && time(record) >= since)
            .flat_map(events)
            .collect();
        for since in [since.to_string(), written(since)] {
            let mut client = site.open(&replica, transport, &channel, &format!("since={since}"));
            let heard = site.runtime.block_on(client.events(expected.len()));
            assert_eq!(numbers(&heard), expected, "since {since} over {transport}");
            if expected.is_empty() {
                late.push(client);
            }
        }
    }
    // Who wants what is younger than everything has its place.
    for client in &mut late {
        let first = site.runtime.block_on(client.any_message());
        assert!(first.get("status").is_some(), "{first}");
    }
    produce(&site, BATCHES..BATCHES + 1);
    let expected = site.of_area(0, BATCHES * BATCH..(BATCHES + 1) * BATCH);
    for mut client in late {
        let heard = site.runtime.block_on(client.events(expected.len()));
        assert_eq!(numbers(&heard), expected);
    }
    site.world.ended(replica.running);
}

/// The place that a cursor names: partition, offset, and the event's index in its record.
fn place(cursor: &Value) -> (i32, i64, u32) {
    let bytes = URL_SAFE_NO_PAD.decode(cursor.as_str().unwrap()).unwrap();
    let number = |range: std::ops::Range<usize>| {
        bytes[range].iter().fold(0_i64, |number, byte| number << 8 | i64::from(*byte))
    };
    (i32::try_from(number(5..7)).unwrap(), number(7..13), u32::try_from(number(13..16)).unwrap())
}

/// What clients are told that come with what they know of before: the gap, and the events behind
/// it.
fn resumed(
    site: &Site,
    (replica, channel): (&Replica, &Channel),
    query: &str,
    events: usize,
) -> [(Value, Vec<u32>); 3] {
    TRANSPORTS.map(|transport| {
        let mut client = site.open(replica, transport, channel, query);
        site.runtime.block_on(async {
            let gap = client.message().await["gap"].take();
            (gap, numbers(&client.events(events).await))
        })
    })
}

/// A gap between two places.
fn check(gap: &Value, from: (i32, i64, u32), to: i64) {
    assert_eq!(gap["cause"], "retention", "{gap}");
    assert_eq!(gap["count"], json!(null), "{gap}");
    let to = (live_partition(), to, 0);
    assert_eq!((place(&gap["from"]), place(&gap["to"])), (from, to), "{gap}");
}

/// Events of the first batches that a client has heard while they came, and the cursors of these.
struct Heard {
    events: Vec<u32>,
    cursors: Vec<Value>,
    /// Keeps them in its replica's memory.
    _client: Client,
}

fn heard(site: &Site, replica: &Replica, channel: &Channel) -> Heard {
    let mut client = site.open(replica, "ndjson", channel, "");
    let first = site.runtime.block_on(client.any_message());
    assert!(first.get("status").is_some(), "{first}");
    produce(site, 0..BATCHES);
    let events = site.of_area(0, 0..BATCHES * BATCH);
    let mut heard = site.runtime.block_on(client.events(events.len()));
    assert_eq!(numbers(&heard), events);
    let cursors = heard.iter_mut().map(|message| message["cursor"].take()).collect();
    Heard { events, cursors, _client: client }
}

/// Removes everything that the live topic has of both areas, and produces batches. Answers the
/// first offset that is left, and the time of the area's oldest record.
fn removed(site: &Site, batches: std::ops::Range<u32>) -> (i64, i64) {
    let (topic, partition) = (site.live_topic(), live_partition());
    let low = site.world.end(&topic, partition);
    produce(site, batches);
    site.world.delete_records(&topic, partition, low);
    let left = records(site);
    let oldest = left.iter().find(|record| is_of(record, AREAS[0])).unwrap();
    assert_eq!(left[0].offset(), low);
    (low, time(oldest))
}

#[test]
fn retention_is_told_as_a_gap_of_exactly_what_is_gone() {
    let Some(mut site) = Site::new("stream-retention", 1, "") else { return };
    let old = site.start("r1");
    let channel = site.channel(&old, AREAS[0]);
    let before = heard(&site, &old, &channel);
    let (low, oldest) = removed(&site, BATCHES..2 * BATCHES);
    let behind = site.of_area(0, BATCHES * BATCH..2 * BATCHES * BATCH);
    let known = 10;
    let cursor = &before.cursors[known];
    let query = format!("cursor={}", cursor.as_str().unwrap());

    let new = site.start("r2");
    for (gap, events) in resumed(&site, (&new, &channel), &query, behind.len()) {
        check(&gap, place(cursor), low);
        assert_eq!((&gap["from"], &gap["until_ms"]), (cursor, &json!(oldest)));
        assert_eq!(events, behind);
    }
    // From a time on that was before what is gone.
    for (gap, events) in resumed(&site, (&new, &channel), "since=1", behind.len()) {
        check(&gap, (live_partition(), 0, 0), low);
        assert_eq!(events, behind);
    }
    // Where memory has it still, nothing is gone.
    let all = [&before.events[known + 1..], &behind].concat();
    let mut client = site.open(&old, "ndjson", &channel, &query);
    assert_eq!(numbers(&site.runtime.block_on(client.events(all.len()))), all);
    // Whoever wants the oldest there is misses nothing.
    let mut client = site.open(&new, "sse", &channel, "earliest");
    assert_eq!(numbers(&site.runtime.block_on(client.events(behind.len()))), behind);
    for replica in [old, new] {
        site.world.ended(replica.running);
    }
}

#[test]
fn retention_up_to_what_memory_holds_is_told_with_its_time_too() {
    let Some(mut site) = Site::new("stream-forgotten", 1, "") else { return };
    let old = site.start("r1");
    let channel = site.channel(&old, AREAS[0]);
    let before = heard(&site, &old, &channel);
    let new = site.start("r2");
    let mut witness = site.open(&new, "ndjson", &channel, "");
    let first = site.runtime.block_on(witness.any_message());
    assert!(first.get("status").is_some(), "{first}");
    let (low, oldest) = removed(&site, BATCHES..BATCHES + 1);
    let behind = site.of_area(0, BATCHES * BATCH..(BATCHES + 1) * BATCH);
    let heard = site.runtime.block_on(witness.events(behind.len()));
    assert_eq!(numbers(&heard), behind);
    let cursor = &before.cursors[0];
    let query = format!("cursor={}", cursor.as_str().unwrap());
    for (gap, events) in resumed(&site, (&new, &channel), &query, behind.len()) {
        check(&gap, place(cursor), low);
        assert_eq!(gap["until_ms"], oldest, "{gap}");
        assert_eq!(events, behind);
    }
    for replica in [old, new] {
        site.world.ended(replica.running);
    }
}
