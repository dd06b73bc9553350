use std::future::pending;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::*;
use crate::clock::Clock;
use crate::config::settings::KafkaSettings;
use crate::metrics::Metrics;
use crate::stream::block::Block;
use crate::stream::catch_up::CatchUps;
use crate::stream::connections::Flow;
use crate::stream::dictionary::Dictionary;
use crate::stream::live::LiveTopic;
use crate::stream::ring::Ring;
use crate::stream::shape::{Asked, Choice, Format, Shapes};

/// What a client says at most before it is heard.
const MESSAGES_MAX: usize = 8;

/// Takes everything, but for a pause after so many bytes.
struct Reader {
    taken: Arc<Mutex<Vec<u8>>>,
    told: mpsc::Sender<()>,
    pause: Option<(usize, Duration)>,
    until: Option<Instant>,
}

impl Sink for Reader {
    async fn write(&mut self, outbox: &mut Outbox) -> io::Result<Wrote> {
        let taken = self.taken.lock().unwrap().len();
        let mut room = usize::MAX;
        if let Some((after, pause)) = self.pause {
            room = after.saturating_sub(taken);
            if room == 0 {
                sleep_until(*self.until.get_or_insert_with(|| Instant::now() + pause)).await;
                (self.pause, room) = (None, usize::MAX);
            }
        }
        let (bytes, wrote) = outbox.take(room.min(1_000));
        self.taken.lock().unwrap().extend_from_slice(&bytes);
        // One that waits is enough.
        self.told.try_send(()).unwrap_or_default();
        Ok(wrote)
    }
}

/// What a client says, and then nothing.
struct Says(mpsc::Receiver<Message>);

impl Source for Says {
    async fn receive(&mut self) -> Result<Message, End> {
        match self.0.recv().await {
            Some(message) => Ok(message),
            None => pending().await,
        }
    }
}

struct Rig {
    ring: Arc<Ring>,
    taken: Arc<Mutex<Vec<u8>>>,
    told: mpsc::Receiver<()>,
    say: mpsc::Sender<Message>,
    ending: watch::Sender<Option<End>>,
    running: JoinSet<End>,
}

impl Rig {
    fn start(transport: Transport, pause: Option<(usize, Duration)>) -> Self {
        Self::with(transport, pause, Slow::CatchUp, &[0])
    }

    fn with(
        transport: Transport,
        pause: Option<(usize, Duration)>,
        slow: Slow,
        lanes: &[i32],
    ) -> Self {
        let live =
            LiveTopic { kafka: KafkaSettings::default(), topic: "live".to_owned(), partitions: 2 };
        let ring = Arc::new(Ring::new(1 << 20));
        lanes.iter().for_each(|lane| ring.open(*lane, 0));
        let shared = Shared {
            ring: Arc::clone(&ring),
            catch_ups: CatchUps::new(live),
            clock: Clock::fixed(0),
            metrics: Metrics::new(Registry::new(), &[]).unwrap().stream,
        };
        let shapes = Shapes::new(Arc::new(Dictionary::built_in().unwrap()));
        let (format, batch, zstd, fields) = (Format::Native, false, false, None);
        let wish = Wish {
            area: "a".into(),
            lanes: lanes.into(),
            from: From::Places(Places::all(lanes.len(), Place::of(0))),
            shape: shapes.of(Asked { transport, format, batch, zstd, fields }),
            choice: Choice::all(),
            slow,
            is_bare: false,
        };
        let (taken, (told, heard)) = (Arc::default(), mpsc::channel(MESSAGES_MAX));
        let (say, says) = mpsc::channel(MESSAGES_MAX);
        let (ending, asked) = watch::channel(None);
        let sink = Reader { taken: Arc::clone(&taken), told, pause, until: None };
        let signals = Signals { ending: asked, flow: Arc::new(Flow::default()) };
        let seal: Seal = Arc::new(|places: &Places| {
            let place = |place: &Place| format!("{:016}{:016}", place.offset, place.index);
            places.as_slice().iter().map(place).collect::<String>().into()
        });
        let mut session = Session::new(Arc::new(shared), wish, seal, (sink, Says(says)), signals);
        let mut running = JoinSet::new();
        running.spawn(async move { session.run().await });
        Self { ring, taken, told: heard, say, ending, running }
    }

    /// The end, and after how many seconds of the paused clock.
    async fn end(&mut self, since: Instant) -> (End, u64) {
        let end = self.running.join_next().await.unwrap().unwrap();
        (end, since.elapsed().as_secs())
    }

    fn count(&self, what: &[u8]) -> usize {
        memchr::memmem::find_iter(&self.taken.lock().unwrap(), what).count()
    }
}

/// An empty ping of a server.
const PING: &[u8] = &[0x89, 0];

#[tokio::test(start_paused = true)]
async fn n2_pings_go_out_every_20_s_and_who_is_silent_for_60_s_is_closed() {
    let (since, mut rig) = (Instant::now(), Rig::start(Transport::WebSocket, None));
    assert_eq!(rig.end(since).await, (End::Silent, 60));
    // At 20 s and 40 s; statuses that the kernel takes are no sign of life.
    assert_eq!(rig.count(PING), 2);
    assert_eq!(rig.count(b"{\"status\""), 12);
}

#[tokio::test(start_paused = true)]
async fn n2_what_a_client_sends_is_a_sign_of_life() {
    let (since, mut rig) = (Instant::now(), Rig::start(Transport::WebSocket, None));
    for _ in 0..4 {
        tokio::time::advance(Duration::from_secs(50)).await;
        rig.say.try_send(Message::Pong).unwrap();
        yield_now().await;
    }
    assert_eq!(rig.end(since).await, (End::Silent, 260));
}

#[tokio::test(start_paused = true)]
async fn n2_events_that_are_taken_are_a_sign_of_life() {
    let (since, mut rig) = (Instant::now(), Rig::start(Transport::WebSocket, None));
    for offset in 0..4 {
        tokio::time::advance(Duration::from_secs(50)).await;
        rig.ring.push([block(offset, 1)]);
        yield_now().await;
    }
    assert_eq!(rig.end(since).await, (End::Silent, 260));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_send_lives_by_what_it_takes() {
    let mut rig = Rig::start(Transport::Sse, None);
    tokio::time::advance(Duration::from_secs(300)).await;
    rig.ending.send_replace(Some(End::Disconnected));
    assert_eq!(rig.end(Instant::now()).await.0, End::Disconnected);
}

#[tokio::test(start_paused = true)]
async fn a_lag_that_nobody_can_know_is_null() {
    let mut rig = Rig::start(Transport::Ndjson, None);
    let known = br#""lag_events":0,"lag_ms":0,"#;
    let unknown = br#""lag_events":null,"lag_ms":null,"#;
    for (is_blind, [of_known, of_unknown]) in [(false, [1, 0]), (true, [1, 1]), (false, [2, 1])] {
        rig.ring.set_blind(is_blind);
        let statuses = of_known + of_unknown;
        while rig.count(b"{\"status\"") < statuses {
            rig.told.recv().await.unwrap();
        }
        assert_eq!([rig.count(known), rig.count(unknown)], [of_known, of_unknown]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pauses_gets_every_event_once_and_in_order() {
    // In the middle of a message, between two, before the first.
    for after in [0, 9_999, 10_000, 20_017, 50_000] {
        let pause = Some((after, Duration::from_secs(30)));
        let mut rig = Rig::start(Transport::Ndjson, pause);
        rig.ring.push((0..100).map(|offset| block(offset, 10)));
        while rig.count(b"\"n\":999,") == 0 {
            rig.told.recv().await.unwrap();
        }
        rig.ending.send_replace(Some(End::Disconnected));
        rig.end(Instant::now()).await;
        let text = String::from_utf8(rig.taken.lock().unwrap().clone()).unwrap();
        let numbers: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter_map(|message| message["data"][0]["n"].as_u64())
            .collect();
        assert!(numbers == (0..1_000).collect::<Vec<_>>(), "{after}: {numbers:?}");
        // The pause was one: what was told and forgotten came again.
        assert!(text.matches("{\"status\"").count() >= 2, "{after}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_gap_of_a_slow_client_begins_where_its_last_event_ends() {
    // Not long enough for a stall: what waits is not forgotten yet.
    let pause = Some((5_000, Duration::from_millis(500)));
    let mut rig = Rig::with(Transport::Ndjson, pause, Slow::Disconnect, &[0]);
    rig.ring.push((0..10).map(|offset| block(offset, 10)));
    while rig.taken.lock().unwrap().len() < 5_000 {
        rig.told.recv().await.unwrap();
    }
    // More than the ring holds.
    rig.ring.push((10..1_000).map(|offset| block(offset, 10)));
    assert_eq!(rig.end(Instant::now()).await.0, End::Slow);
    let text = String::from_utf8(rig.taken.lock().unwrap().clone()).unwrap();
    let messages: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = messages.iter().rfind(|message| message.get("data").is_some()).unwrap();
    let find = |name: &str| messages.iter().find_map(|message| message.get(name)).unwrap();
    assert_eq!(find("gap")["cause"], "slow_consumer");
    let from = find("gap")["from"].as_str().unwrap();
    assert_eq!(find("error")["cursor"], from);
    assert_eq!(last["data"][0]["n"].as_u64(), Some(events_before(from)[0] - 1));
}

/// How many events are before a cursor in each lane, of ten in each record: the end of a record and
/// the beginning of the next are one place.
fn events_before(cursor: &str) -> Vec<u64> {
    let number = |text: &[u8]| str::from_utf8(text).unwrap().parse::<u64>().unwrap();
    let places = cursor.as_bytes().chunks(32).map(|place| place.split_at(16));
    places.map(|(offset, index)| number(offset) * 10 + number(index)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cursor_in_several_lanes_is_behind_what_came_and_no_more() {
    for after in [0, 9_999, 20_017, 50_000] {
        let pause = Some((after, Duration::from_secs(30)));
        let mut rig = Rig::with(Transport::Ndjson, pause, Slow::CatchUp, &[0, 1]);
        rig.ring.push((0..100).map(|at| block_in(at % 3 % 2, at, 10)));
        let counts = [67 * 10, 33 * 10];
        let mut heard = [Vec::new(), Vec::new()];
        let mut read = 0;
        while heard[0].len() < counts[0] || heard[1].len() < counts[1] {
            rig.told.recv().await.unwrap();
            let text = rig.taken.lock().unwrap()[read..].to_vec();
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            read += whole;
            for line in str::from_utf8(&text[..whole]).unwrap().lines() {
                let message: serde_json::Value = serde_json::from_str(line).unwrap();
                let Some(number) = message["data"][0]["n"].as_u64() else { continue };
                heard[usize::from(number / 10 % 3 == 1)].push(number);
                // The next record of each lane is as good as the end of its last.
                let before = events_before(message["cursor"].as_str().unwrap());
                for (lane, heard) in heard.iter().enumerate() {
                    let of_lane = |n: u64| usize::from(n / 10 % 3 == 1) == lane;
                    let claimed = (0..before[lane]).filter(|n| of_lane(*n)).count();
                    assert_eq!(claimed, heard.len(), "{after}: lane {lane} in {message}");
                }
            }
        }
        for (lane, heard) in heard.iter().enumerate() {
            let of_lane = (0..1_000).filter(|n| usize::from(n / 10 % 3 == 1) == lane);
            assert_eq!(*heard, of_lane.collect::<Vec<_>>(), "{after}: lane {lane}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_fewer_lanes_than_were_written_is_told() {
    let mut rig = Rig::start(Transport::Ndjson, None);
    let mut second = block(1, 1);
    second.lanes = 2;
    rig.ring.push([block(0, 1), second]);
    let (end, _) = rig.end(Instant::now()).await;
    let End::Unavailable(why) = end else { panic!("{end:?}") };
    assert!(why.contains("in 2 partitions") && why.contains("reads 1"), "{why}");
    assert_eq!(rig.count(b"\"n\":1,"), 0);
}

/// A record of so many events, numbered through.
fn block(offset: i64, events: i64) -> Block {
    block_in(0, offset, events)
}

fn block_in(partition: i64, offset: i64, events: i64) -> Block {
    let partition = i32::try_from(partition).unwrap();
    let line = |n| format!("{{\"n\":{n},\"pad\":\"{}\"}}\n", "x".repeat(150));
    let lines: String = (offset * events..(offset + 1) * events).map(line).collect();
    Block::new(("a".into(), partition, offset), 0, Bytes::from(lines))
}
