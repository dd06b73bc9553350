//! What the ring no longer holds, read from Kafka again.
//!
//! A few readers serve all who are behind. Whoever reads has one of them for a turn and comes again,
//! behind those who came meanwhile; the reader that it had is at its place still, unless somebody
//! needed it. So any number of slow listeners costs no more than these readers, and keeps nobody
//! from them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::consumer::Consumer as _;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Millis;

use super::block::Block;
use super::live::{Areas, LiveConsumer, LiveTopic, is_passing};
use super::place::Place;

/// Who catches up at the same time; others wait.
const READERS_MAX: usize = 8;
/// What librdkafka may fetch ahead for one of them.
const AHEAD_KBYTES_MAX: u32 = 2_048;
/// Nothing from Kafka for so long: the listener is told.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// The readers; clones share them.
#[derive(Debug, Clone)]
pub struct CatchUps {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    live: LiveTopic,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
}

/// A reader that is one listener's for a turn; goes back when it is dropped.
#[derive(Debug)]
struct Lease {
    inner: Arc<Inner>,
    reader: Option<Reader>,
    _place: OwnedSemaphorePermit,
}

struct Reader {
    consumer: LiveConsumer,
    areas: Areas,
    /// The partition that it reads, and the next offset that Kafka will give.
    at: Option<(i32, i64)>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("at", &self.at).finish_non_exhaustive()
    }
}

/// What a listener wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub area: Arc<str>,
    pub partition: i32,
    pub from: Place,
    /// Not wanted any more from this offset on.
    pub until: i64,
    /// About so much at a time.
    pub bytes_max: usize,
}

/// Some records, and where to go on.
#[derive(Debug)]
pub struct Turn {
    /// Of the area, oldest first.
    pub blocks: Vec<Block>,
    pub next: Place,
    /// Everything before this offset is lost to retention.
    pub lost_before: Option<i64>,
}

impl CatchUps {
    #[must_use]
    pub fn new(live: LiveTopic) -> Self {
        let places = Arc::new(Semaphore::new(READERS_MAX));
        Self { inner: Arc::new(Inner { live, places, idle: Mutex::default() }) }
    }

    /// How many read at the moment.
    #[must_use]
    pub fn reading(&self) -> usize {
        READERS_MAX - self.inner.places.available_permits()
    }

    /// Reads on, when a reader is free.
    ///
    /// # Errors
    /// Kafka is silent, or has trouble that it does not mend itself.
    pub async fn read(self, wanted: Wanted) -> anyhow::Result<Turn> {
        let lease = self.lease(Some((wanted.partition, wanted.from.offset))).await?;
        blocking(move || lease.work(|live, reader| reader.turn(live, &wanted))).await
    }

    /// The first offset of a partition, the one behind its last, and the first record at or after
    /// a time.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub async fn bounds(
        &self,
        partition: i32,
        since: Option<Millis>,
    ) -> anyhow::Result<(i64, i64, i64)> {
        let lease = self.lease(None).await?;
        let ask =
            move |live: &LiveTopic, reader: &mut Reader| reader.bounds(live, partition, since);
        blocking(move || lease.work(ask)).await
    }

    /// The reader that is at this place; or else a new one, while there are not as many as there may
    /// be; or else the one that was left longest ago.
    async fn lease(&self, at: Option<(i32, i64)>) -> anyhow::Result<Lease> {
        let place = Arc::clone(&self.inner.places).acquire_owned().await?;
        let mut idle = self.inner.idle();
        let found = idle.iter().position(|reader| at.is_some() && reader.at == at);
        // Each place that others have has one reader at most.
        let may_be_new = at.is_some() && idle.len() <= self.inner.places.available_permits();
        let found = found.or_else(|| (!may_be_new && !idle.is_empty()).then_some(0));
        let reader = found.map(|found| idle.remove(found));
        drop(idle);
        Ok(Lease { inner: Arc::clone(&self.inner), reader, _place: place })
    }
}

impl Inner {
    fn idle(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// A reader that has failed is not used again.
    fn work<T>(
        mut self,
        work: impl FnOnce(&LiveTopic, &mut Reader) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let live = &self.inner.live;
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => Reader {
                consumer: live.consumer(AHEAD_KBYTES_MAX)?,
                areas: Areas::default(),
                at: None,
            },
        };
        let done = work(live, &mut reader)?;
        self.reader = Some(reader);
        Ok(done)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // It goes on fetching, up to its bound: who comes next may be who had it, at the same place.
        if let Some(reader) = self.reader.take() {
            self.inner.idle().push(reader);
        }
    }
}

impl Reader {
    fn turn(&mut self, live: &LiveTopic, wanted: &Wanted) -> anyhow::Result<Turn> {
        let mut lost_before = None;
        let mut next = wanted.from.offset;
        if self.at != Some((wanted.partition, next)) {
            self.at = None;
            let bounds = live.bounds(&self.consumer, wanted.partition, ASK_TIMEOUT);
            let (low, high) = bounds.context("kafka does not answer")?;
            lost_before = (next < low).then_some(low);
            next = next.clamp(low, high.max(low));
            let place = [(wanted.partition, next)];
            live.assign(&self.consumer, place).context("kafka refuses to be read")?;
        }
        let blocks = self.read(wanted, &mut next)?;
        self.at = Some((wanted.partition, next));
        let next = if next == wanted.from.offset { wanted.from } else { Place::of(next) };
        Ok(Turn { blocks, next, lost_before })
    }

    fn read(&mut self, wanted: &Wanted, next: &mut i64) -> anyhow::Result<Vec<Block>> {
        let mut blocks = Vec::new();
        let mut bytes = 0;
        let since = Instant::now();
        while *next < wanted.until && bytes < wanted.bytes_max {
            let message = match self.consumer.poll(POLL) {
                Some(Ok(message)) => message,
                // Perhaps long ago: while nobody had this reader. Silence tells what lasts.
                Some(Err(error)) if is_passing(&error) => continue,
                Some(Err(error)) => bail!("kafka: {}", crate::kafka::plain(&error)),
                // What is there goes out before anybody waits for more.
                None if !blocks.is_empty() => break,
                None if since.elapsed() > SILENCE_MAX => bail!("kafka gives nothing more"),
                None => continue,
            };
            *next = message.offset() + 1;
            bytes += message.payload_len();
            let Some(block) = self.areas.block(&message) else { continue };
            if block.area == wanted.area {
                blocks.push(block);
            }
        }
        Ok(blocks)
    }

    fn bounds(
        &self,
        live: &LiveTopic,
        partition: i32,
        since: Option<Millis>,
    ) -> anyhow::Result<(i64, i64, i64)> {
        let bounds = live.bounds(&self.consumer, partition, ASK_TIMEOUT);
        let (low, high) = bounds.context("kafka does not answer")?;
        let Some(since) = since else { return Ok((low, high, high)) };
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(&live.topic, partition, Offset::Offset(since))?;
        let found = self.consumer.offsets_for_times(times, ASK_TIMEOUT);
        let found = found.context("kafka does not answer")?;
        let offset = found.elements().first().map(TopicPartitionListElem::offset);
        let first = match offset {
            Some(Offset::Offset(first)) => first,
            // No record is so young.
            _ => high,
        };
        Ok((low, high, first.clamp(low, high.max(low))))
    }
}

/// What asks Kafka and waits, off the threads of the sockets.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("catching up has failed")?
}
