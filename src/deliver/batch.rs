//! Prepared chunks gathered into batches, the unit of one bulk request.
//!
//! A batch moves its positions whatever became of its events: documents, rejects, skips and
//! positions stay together, and nothing takes a side path around it.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::prepare::Prepared;
use crate::source::Reserved;

use super::index::{Bulk, Item};

/// A prepared chunk whose events are in the ledger.
#[derive(Debug)]
pub struct Arrived {
    pub prepared: Prepared,
    pub reserved: Reserved,
}

/// When a batch is cut.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    pub bytes_max: usize,
    pub age_max: Duration,
}

/// Some chunks in the order in which they came.
#[derive(Debug)]
pub struct Batch {
    /// The bulk lines of all parts.
    pub bytes: Bytes,
    pub parts: Vec<Part>,
}

/// One chunk of a batch. Its body has moved into [`Batch::bytes`].
#[derive(Debug)]
pub struct Part {
    pub prepared: Prepared,
    /// Where its body begins in [`Batch::bytes`].
    pub base: usize,
    pub reserved: Reserved,
}

impl Batch {
    /// Joins chunks. The body of a single one is taken as it is.
    fn of(arrived: Vec<Arrived>) -> Self {
        let total = arrived.iter().map(|one| one.prepared.body.len()).sum();
        let alone = arrived.len() == 1;
        let mut bytes = Vec::new();
        if !alone {
            bytes.reserve_exact(total);
        }
        let mut parts = Vec::with_capacity(arrived.len());
        for Arrived { mut prepared, reserved } in arrived {
            let base = bytes.len();
            let body = std::mem::take(&mut prepared.body);
            if alone {
                bytes = body;
            } else {
                bytes.extend_from_slice(&body);
            }
            parts.push(Part { prepared, base, reserved });
        }
        Self { bytes: bytes.into(), parts }
    }

    /// The documents for the index, in order.
    #[must_use]
    pub fn bulk(&self) -> Bulk {
        let count = self.parts.iter().map(|part| part.prepared.documents.len()).sum();
        let mut items = Vec::with_capacity(count);
        for Part { prepared, base, .. } in &self.parts {
            items.extend(prepared.documents.iter().map(|document| Item {
                start: base + document.action,
                // The source line's newline belongs to the item.
                end: base + document.source.end + 1,
                hold: prepared.chunk.hold.clone(),
            }));
        }
        Bulk { bytes: self.bytes.clone(), items }
    }
}

impl Part {
    /// The bytes that live lines are ranges of.
    #[must_use]
    pub fn live<'a>(&'a self, batch: &'a Batch) -> &'a [u8] {
        match &self.prepared.live {
            Some(live) => live,
            None => batch.bytes.get(self.base..).unwrap_or_default(),
        }
    }
}

/// Gathers chunks into batches by size and age; order is kept.
pub fn batched<S>(
    chunks: S,
    limits: BatchLimits,
) -> impl Stream<Item = anyhow::Result<Batch>> + use<S>
where
    S: Stream<Item = anyhow::Result<Arrived>> + Send + 'static,
{
    let filling =
        Filling { chunks: chunks.boxed(), limits, held: Vec::new(), bytes: 0, next: None };
    stream::unfold(filling, |mut filling| async move {
        let batch = filling.batch().await?;
        Some((batch, filling))
    })
}

struct Filling {
    chunks: Pin<Box<dyn Stream<Item = anyhow::Result<Arrived>> + Send>>,
    limits: BatchLimits,
    held: Vec<Arrived>,
    bytes: usize,
    /// The chunk that found no room in the last batch.
    next: Option<Arrived>,
}

impl Filling {
    async fn batch(&mut self) -> Option<anyhow::Result<Batch>> {
        if let Some(arrived) = self.next.take() {
            self.hold(arrived);
        }
        let mut due = Instant::now() + self.limits.age_max;
        while self.bytes < self.limits.bytes_max {
            let next = if self.held.is_empty() {
                let next = self.chunks.next().await;
                due = Instant::now() + self.limits.age_max;
                next
            } else {
                // The batch's age has come: it goes as it is.
                let Ok(next) = timeout_at(due, self.chunks.next()).await else { break };
                next
            };
            match next {
                None if self.held.is_empty() => return None,
                None => break,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(arrived)) if self.fits(&arrived) => self.hold(arrived),
                Some(Ok(arrived)) => {
                    self.next = Some(arrived);
                    break;
                }
            }
        }
        self.bytes = 0;
        Some(Ok(Batch::of(std::mem::take(&mut self.held))))
    }

    fn fits(&self, arrived: &Arrived) -> bool {
        self.held.is_empty() || self.bytes + arrived.prepared.body.len() <= self.limits.bytes_max
    }

    fn hold(&mut self, arrived: Arrived) {
        self.bytes += arrived.prepared.body.len();
        self.held.push(arrived);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::TryStreamExt;
    use prometheus::IntGauge;

    use super::*;
    use crate::event::{Chunk, Hold};
    use crate::outcome::Skip;
    use crate::prepare::{Document, Facts};
    use crate::source::Budget;

    fn arrived(line: &str) -> Arrived {
        let body = format!("{{}}\n{line}\n").into_bytes();
        let source = 3..3 + line.len();
        let document = Document {
            action: 0,
            source: source.clone(),
            live: source,
            origin: 0..0,
            message: 0,
            index_in_message: 0,
            area: 0,
        };
        let prepared = Prepared {
            chunk: Chunk {
                hold: Arc::new(Hold::new(1, 0, Arc::from("events"), 0)),
                bytes: Vec::new(),
                messages: Vec::new(),
                received: 0,
            },
            body,
            live: None,
            documents: vec![document],
            rejects: Vec::new(),
            skipped: [0; Skip::COUNT],
            areas: vec!["unassigned".into()],
            facts: Facts::default(),
        };
        let budget = Arc::new(Budget::new(1, IntGauge::new("used", "used").unwrap()));
        Arrived { prepared, reserved: budget.reserve(0) }
    }

    async fn check(bytes_max: usize, lines: &[&str], expected: &[&[&str]]) {
        let chunks: Vec<_> = lines.iter().map(|line| Ok(arrived(line))).collect();
        let limits = BatchLimits { bytes_max, age_max: Duration::from_secs(60) };
        let batches: Vec<_> = batched(stream::iter(chunks), limits).try_collect().await.unwrap();
        let found: Vec<Vec<_>> = batches
            .iter()
            .map(|batch| {
                batch
                    .bulk()
                    .items
                    .iter()
                    .map(|item| {
                        std::str::from_utf8(&batch.bytes[item.start..item.end]).unwrap().to_owned()
                    })
                    .collect()
            })
            .collect();
        let wanted: Vec<Vec<_>> = expected
            .iter()
            .map(|batch| batch.iter().map(|line| format!("{{}}\n{line}\n")).collect())
            .collect();
        assert_eq!(found, wanted);
        for batch in &batches {
            for part in &batch.parts {
                let line = &part.prepared.documents[0].live;
                assert!(part.live(batch)[line.clone()].starts_with(b"line"));
            }
        }
    }

    #[tokio::test]
    async fn batches_are_cut_by_size_and_keep_the_order() {
        check(20, &["line1", "line2", "line3"], &[&["line1", "line2"], &["line3"]]).await;
        check(1, &["line1", "line2"], &[&["line1"], &["line2"]]).await;
        check(
            18,
            &["line1", "line_too_large_for_all", "line2"],
            &[&["line1"], &["line_too_large_for_all"], &["line2"]],
        )
        .await;
        check(100, &[], &[]).await;
    }

    #[tokio::test]
    async fn a_batch_goes_when_its_age_has_come() {
        let chunks = stream::iter([Ok(arrived("line1"))]).chain(stream::pending());
        let limits = BatchLimits { bytes_max: 1 << 20, age_max: Duration::from_millis(5) };
        let batch = Box::pin(batched(chunks, limits)).next().await.unwrap().unwrap();
        assert_eq!(batch.parts.len(), 1);
    }
}
