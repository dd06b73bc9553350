//! The live topic: every prepared event, while it is being indexed.
//!
//! One record holds the events of one area out of one chunk as NDJSON, so that mirroring is not one
//! hand-over per event. An area is always in the same partition, which gives it one order, or where
//! it is spread in the same few. The key is the area, the header `sluice.schema` the version of the fields.

use std::sync::Arc;

use prometheus::IntCounter;
use rdkafka::message::{Header, OwnedHeaders};

use crate::event::Hold;
use crate::health::Component;
use crate::metrics::Metrics;
use crate::prepare::Document;
use crate::schema::SCHEMA_VERSION;

use super::batch::Batch;
use super::producer::{Ended, Producer, Record, Sent};

mod cut;
pub mod spread;

pub use spread::Spread;

/// What a record may need beside its lines: key, headers, the framing of a batch of one.
const RECORD_OVERHEAD_BYTES: usize = 1_024;
/// A record is not made smaller than this; a topic that refuses it is misconfigured.
const RECORD_BYTES_MIN: usize = 1_024;

/// Writes to the live topic.
#[derive(Debug)]
pub struct Mirror {
    producer: Arc<Producer>,
    topic: Arc<str>,
    spread: Spread,
    lines_bytes_max: usize,
    records: IntCounter,
    bytes: IntCounter,
    truncated: IntCounter,
}

impl Mirror {
    /// `message_bytes_max` is what one record of the topic may weigh.
    #[must_use]
    pub fn new(
        producer: Arc<Producer>,
        topic: &str,
        spread: Spread,
        message_bytes_max: usize,
        metrics: &Metrics,
    ) -> Self {
        Self {
            producer,
            topic: topic.into(),
            spread,
            lines_bytes_max: message_bytes_max.saturating_sub(RECORD_OVERHEAD_BYTES),
            records: metrics.mirrored_records.clone(),
            bytes: metrics.mirrored_bytes.clone(),
            truncated: metrics.live_truncated.clone(),
        }
    }

    /// Hands a batch's live lines to the producer, in order; waits only for room in its queue.
    pub async fn enqueue(&self, batch: &Batch) -> Vec<Sent> {
        let mut sent = Vec::new();
        for part in &batch.parts {
            let prepared = &part.prepared;
            let lines = Lines { live: part.live(batch), bytes_max: self.lines_bytes_max };
            let (records, truncated) = lines.by_area(&prepared.documents, prepared.areas.len());
            self.truncated.inc_by(truncated);
            for (area, payload) in records {
                let Some(area) = prepared.areas.get(area) else { continue };
                let record = self.record(area, payload, &prepared.chunk.hold);
                sent.push(self.producer.enqueue(record).await);
            }
        }
        sent
    }

    /// Waits until every record is acknowledged, or no longer ours.
    pub async fn settle(&self, sent: Vec<Sent>) {
        for one in sent {
            if let Ended::TooLarge(record) = self.producer.wait(one).await {
                self.send_smaller(*record).await;
            }
        }
    }

    /// The topic takes less than we were told: sends halves of the record, or one event cut down.
    async fn send_smaller(&self, record: Record) {
        let mut rest = vec![record];
        while let Some(record) = rest.pop() {
            let area = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
            let (mut smaller, truncated) = halve(&record.payload);
            self.truncated.inc_by(truncated);
            smaller.reverse();
            let records = smaller.into_iter().map(|lines| self.record(&area, lines, &record.hold));
            let mut records: Vec<_> = records.collect();
            while let Some(record) = records.pop() {
                let sent = self.producer.enqueue(record).await;
                if let Ended::TooLarge(record) = self.producer.wait(sent).await {
                    // The later ones wait, so that the order stays.
                    rest.append(&mut records);
                    rest.push(*record);
                }
            }
        }
    }

    fn record(&self, area: &str, payload: Vec<u8>, hold: &Arc<Hold>) -> Record {
        self.records.inc();
        self.bytes.inc_by(payload.len() as u64);
        let (version, lanes) = (SCHEMA_VERSION.to_string(), self.spread.count(area));
        let header = |key, value| Header { key, value: Some(value) };
        let mut headers =
            OwnedHeaders::new_with_capacity(2).insert(header("sluice.schema", &version));
        if lanes > 1 {
            headers = headers.insert(header(spread::LANES, &lanes.to_string()));
        }
        Record {
            topic: Arc::clone(&self.topic),
            partition: Some(self.spread.partition_for(area, hold.partition)),
            key: Some(area.as_bytes().to_vec()),
            payload,
            headers,
            hold: Arc::clone(hold),
            component: Component::Live,
        }
    }
}

/// An area's first partition of the live topic: FNV-1a, 64 bits, of its name, modulo the partitions.
/// Readers compute it too, so it never changes.
#[must_use]
pub fn partition_of(area: &str, partitions: u32) -> u32 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash =
        area.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    u32::try_from(hash % u64::from(partitions.max(1))).unwrap_or_default()
}

/// The live lines of one chunk.
struct Lines<'a> {
    live: &'a [u8],
    bytes_max: usize,
}

impl Lines<'_> {
    /// Gathers lines by area into records of at most `bytes_max`, and tells how many events had to
    /// be cut for it. Within an area the order is that of the documents.
    fn by_area(&self, documents: &[Document], areas: usize) -> (Vec<(usize, Vec<u8>)>, u64) {
        let mut filling: Vec<Vec<u8>> = vec![Vec::new(); areas];
        let (mut records, mut truncated) = (Vec::new(), 0);
        if let [alone] = filling.as_mut_slice() {
            alone.reserve(self.live.len().min(self.bytes_max));
        }
        for document in documents {
            let line = self.live.get(document.live.clone()).unwrap_or_default();
            let Some(record) = filling.get_mut(document.area) else { continue };
            if !record.is_empty() && record.len() + line.len() + 1 > self.bytes_max {
                records.push((document.area, std::mem::take(record)));
            }
            if line.len() + 1 > self.bytes_max {
                truncated += 1;
                record.extend_from_slice(&cut::cut(line, self.bytes_max.saturating_sub(1)));
            } else {
                record.extend_from_slice(line);
            }
            record.push(b'\n');
        }
        let rest = filling.into_iter().enumerate().filter(|(_, lines)| !lines.is_empty());
        records.extend(rest);
        (records, truncated)
    }
}

/// Two records of half the lines each; of a single line one record of about half its bytes. The
/// second answer is how many events were cut.
fn halve(payload: &[u8]) -> (Vec<Vec<u8>>, u64) {
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', payload).map(|at| at + 1).collect();
    if ends.len() > 1
        && let Some(&middle) = ends.get(ends.len() / 2 - 1)
    {
        let (first, second) = payload.split_at(middle);
        return (vec![first.to_vec(), second.to_vec()], 0);
    }
    let line = payload.strip_suffix(b"\n").unwrap_or(payload);
    let mut smaller = cut::cut(line, (line.len() / 2).max(RECORD_BYTES_MIN));
    smaller.push(b'\n');
    (vec![smaller], 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(live: std::ops::Range<usize>, area: usize) -> Document {
        Document {
            action: 0,
            source: live.clone(),
            live,
            origin: 0..0,
            message: 0,
            index_in_message: 0,
            area,
        }
    }

    #[test]
    fn the_partition_of_an_area_never_changes() {
        assert_eq!(partition_of("", 16), 5);
        // FNV-1a of "a" is 0xaf63dc4c8601ec8c.
        assert_eq!(u64::from(partition_of("a", 1 << 31)), 0xaf63_dc4c_8601_ec8c % (1 << 31));
    }

    #[test]
    fn a_record_holds_one_area_and_stays_within_its_limit() {
        let live = br#"{"a":1}{"b":2}{"c":3}{"d":4}"#;
        let documents =
            [(0, 0), (1, 1), (2, 0), (3, 0)].map(|(at, area)| document(at * 7..at * 7 + 7, area));
        let lines = Lines { live, bytes_max: 16 };
        let (records, truncated) = lines.by_area(&documents, 2);
        assert_eq!(truncated, 0);
        assert_eq!(
            records,
            [
                (0, b"{\"a\":1}\n{\"c\":3}\n".to_vec()),
                (0, b"{\"d\":4}\n".to_vec()),
                (1, b"{\"b\":2}\n".to_vec()),
            ]
        );
    }

    #[test]
    fn an_event_too_large_loses_its_bodies() {
        let live = format!(r#"{{"event_id":"x","request_body":"{}"}}"#, "a".repeat(300));
        let lines = Lines { live: live.as_bytes(), bytes_max: 100 };
        let (records, truncated) = lines.by_area(&[document(0..live.len(), 0)], 1);
        assert_eq!(truncated, 1);
        let expected = "{\"event_id\":\"x\",\"tags\":[\"_live_truncated\"]}\n";
        assert_eq!(records, [(0, expected.as_bytes().to_vec())]);
    }

    #[test]
    fn halves_keep_all_lines() {
        assert_eq!(halve(b"1\n2\n3\n").0, [b"1\n".to_vec(), b"2\n3\n".to_vec()]);
        assert_eq!(halve(b"1\n2\n").0, [b"1\n".to_vec(), b"2\n".to_vec()]);
    }
}
