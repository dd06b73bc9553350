//! The dead-letter topic: what could not be indexed, as it came.
//!
//! A letter's value is the event's original, unredacted bytes, so the topic is as secret as the
//! source: letters are never streamed, shown or logged. Its headers say where the event stood and
//! why it is here; all are text.

use std::ops::Range;
use std::sync::Arc;

use rdkafka::message::{Header, OwnedHeaders};

use crate::event::Chunk;
use crate::health::Component;
use crate::outcome::Reason;
use crate::prepare::{Document, Rejected};

use super::index::Refusal;
use super::producer::{Ended, Producer, Record};

/// What the headers and the framing of a record may need.
const RECORD_OVERHEAD_BYTES: usize = 2_048;
/// Of the index's error text so much is kept.
const ERROR_BYTES_MAX: usize = 8_192;

/// Writes dead letters.
#[derive(Debug)]
pub struct DeadLetters {
    producer: Arc<Producer>,
    topic: Arc<str>,
    value_bytes_max: usize,
    /// The names of the pipelines, by their place.
    pipelines: Vec<String>,
}

/// One event that could not be indexed.
#[derive(Debug, Clone)]
pub struct Letter<'a> {
    chunk: &'a Chunk,
    origin: &'a Range<usize>,
    message: usize,
    index_in_message: u32,
    reason: Reason,
    detail: &'a str,
    error_type: &'a str,
    error: &'a str,
}

impl<'a> Letter<'a> {
    /// An event that preparation refused.
    #[must_use]
    pub fn rejected(chunk: &'a Chunk, rejected: &'a Rejected) -> Self {
        Self {
            chunk,
            origin: &rejected.origin,
            message: rejected.message,
            index_in_message: rejected.index_in_message,
            reason: rejected.reason,
            detail: rejected.detail,
            error_type: "",
            error: "",
        }
    }

    /// A document that the index refused.
    #[must_use]
    pub fn refused(chunk: &'a Chunk, document: &'a Document, refusal: &'a Refusal) -> Self {
        Self {
            chunk,
            origin: &document.origin,
            message: document.message,
            index_in_message: document.index_in_message,
            reason: refusal.reason,
            detail: "",
            error_type: &refusal.error_type,
            error: head(&refusal.error, ERROR_BYTES_MAX),
        }
    }
}

impl DeadLetters {
    #[must_use]
    pub fn new(
        producer: Arc<Producer>,
        topic: &str,
        message_bytes_max: usize,
        pipelines: Vec<String>,
    ) -> Self {
        let value_bytes_max =
            message_bytes_max.saturating_sub(RECORD_OVERHEAD_BYTES + ERROR_BYTES_MAX);
        Self { producer, topic: topic.into(), value_bytes_max, pipelines }
    }

    /// Sends letters and waits until each is acknowledged, or no longer ours.
    pub async fn send(&self, letters: Vec<Letter<'_>>) {
        let mut sent = Vec::new();
        for letter in letters {
            sent.push(self.producer.enqueue(self.record(&letter)).await);
        }
        for one in sent {
            let mut ended = self.producer.wait(one).await;
            // The topic takes less than we were told: a shorter prefix.
            while let Ended::TooLarge(record) = ended {
                let sent = self.producer.enqueue(shorter(*record)).await;
                ended = self.producer.wait(sent).await;
            }
        }
    }

    fn record(&self, letter: &Letter<'_>) -> Record {
        let value = letter.chunk.slice(letter.origin);
        let fits = value.get(..self.value_bytes_max);
        let mut headers = self.headers(letter);
        if fits.is_some_and(|fits| fits.len() < value.len()) {
            headers = headers.insert(header("sluice.truncated", "true"));
        }
        Record {
            topic: Arc::clone(&self.topic),
            partition: None,
            key: None,
            payload: fits.unwrap_or(value).to_vec(),
            headers,
            hold: Arc::clone(&letter.chunk.hold),
            component: Component::DeadLetter,
        }
    }

    fn headers(&self, letter: &Letter<'_>) -> OwnedHeaders {
        let hold = &letter.chunk.hold;
        let message = letter.chunk.messages.get(letter.message);
        let offset = message.map(|message| message.offset).unwrap_or_default();
        let timestamp = message.and_then(|message| message.timestamp);
        let pipeline = self.pipelines.get(hold.pipeline).map_or("", String::as_str);
        let mut headers = OwnedHeaders::new_with_capacity(12)
            .insert(header("sluice.reason", letter.reason.label()))
            .insert(header("sluice.topic", &hold.topic))
            .insert(header("sluice.partition", &hold.partition.to_string()))
            .insert(header("sluice.offset", &offset.to_string()))
            .insert(header("sluice.index", &letter.index_in_message.to_string()))
            .insert(header("sluice.pipeline", pipeline))
            .insert(header("sluice.version", env!("CARGO_PKG_VERSION")));
        if let Some(timestamp) = timestamp {
            headers = headers.insert(header("sluice.timestamp", &timestamp.to_string()));
        }
        let texts = [
            ("sluice.detail", letter.detail),
            ("sluice.error_type", letter.error_type),
            ("sluice.error", letter.error),
        ];
        for (name, text) in texts {
            if !text.is_empty() {
                headers = headers.insert(header(name, text));
            }
        }
        headers
    }
}

fn header<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
    Header { key, value: Some(value) }
}

fn shorter(mut record: Record) -> Record {
    record.payload.truncate(record.payload.len() / 2);
    record.headers = record.headers.insert(header("sluice.truncated", "true"));
    record
}

/// The first bytes of a text, up to a character's boundary.
fn head(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_cut_at_a_character() {
        assert_eq!(head("aé", 2), "a");
        assert_eq!(head("aé", 3), "aé");
        assert_eq!(head("aé", 9), "aé");
    }
}
