//! The oracle of resuming: whatever happens between, a client that keeps its cursor has every event
//! of its area, in the order of each partition, and what it was told it misses is exactly what is
//! missing.
//!
//! Schedules are made from a seed: records of one or many events, clients that go and come back
//! on either replica and any transport, that read slowly or not at all while the ring moves on,
//! that filter or take batches, areas in one partition or several, and replicas that are restarted
//! under them. A schedule that
//! fails prints its seed.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;
use sluice::config::settings::KafkaSettings;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::Replica;
use super::client::Client;
use super::places::spread;
use crate::support::rig::{Kafka, Live};

const SCHEDULES: u64 = 200;
/// Schedules that share a cluster and its replicas, each with an area of its own.
const TOGETHER: u64 = 10;
const STEPS: u64 = 12;
/// So little that whoever stops reading is behind the ring soon.
const RING_BYTES_MAX: usize = 24_000;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A place in something of so many.
    fn place(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }

    fn of(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }
}

/// Two replicas that anybody may restart.
struct Fleet {
    kafka: KafkaSettings,
    live: Live,
    replicas: [Mutex<Option<Replica>>; 2],
    /// None while it is restarted.
    addresses: [watch::Sender<Option<SocketAddr>>; 2],
}

impl Fleet {
    async fn start(kafka: KafkaSettings) -> Self {
        let (one, two) = (
            Replica::start(&kafka, RING_BYTES_MAX).await,
            Replica::start(&kafka, RING_BYTES_MAX).await,
        );
        let addresses = [one.address, two.address].map(|address| watch::Sender::new(Some(address)));
        let live = Live::new(&kafka);
        Self { kafka, live, replicas: [Mutex::new(Some(one)), Mutex::new(Some(two))], addresses }
    }

    async fn restart(&self, which: usize) {
        let mut place = self.replicas[which].lock().await;
        self.addresses[which].send_replace(None);
        if let Some(before) = place.take() {
            before.end().await;
        }
        let replica = Replica::start(&self.kafka, RING_BYTES_MAX).await;
        self.addresses[which].send_replace(Some(replica.address));
        *place = Some(replica);
    }
}

/// What a client keeps.
struct Listener {
    fleet: Arc<Fleet>,
    channel: String,
    random: Random,
    /// `filter`, the same for the whole schedule.
    asked: String,
    cursor: Option<String>,
    client: Option<Client>,
    /// By lane.
    heard: Vec<Vec<u64>>,
    /// Since it connected.
    last: Vec<Option<u64>>,
    reconnected: u64,
}

impl Listener {
    async fn connect(&mut self) {
        let transport = ["websocket", "sse", "ndjson"][self.random.place(3)];
        let start = match &self.cursor {
            Some(cursor) => format!("cursor={cursor}"),
            None => "earliest".to_owned(),
        };
        let batch = self.random.below(2);
        let target =
            format!("/v1/streams/{}?key=good&{start}&batch={batch}{}", self.channel, self.asked);
        loop {
            let which = self.random.place(2);
            let mut addresses = self.fleet.addresses[which].subscribe();
            let Some(address) = *addresses.borrow_and_update() else {
                addresses.changed().await.unwrap();
                continue;
            };
            let client = Client::try_open(address, transport, &target).await;
            let client = client.filter(|client| ["101", "200"].contains(&&client.head[9..12]));
            if client.is_some() {
                self.client = client;
                break;
            }
            // It was restarted meanwhile, and the address may be somebody else's by now.
            assert!(addresses.has_changed().unwrap(), "refused");
        }
        self.last.fill(None);
        self.reconnected += 1;
    }

    /// Hears events until there are so many, whatever happens to the connection.
    async fn hear(&mut self, until: usize) {
        while self.count() < until {
            let Some(client) = &mut self.client else {
                self.connect().await;
                continue;
            };
            let Some(message) = client.try_message().await else {
                self.client = None;
                continue;
            };
            if let Some(events) = message["data"].as_array() {
                events.iter().for_each(|event| self.event(event));
                self.cursor = Some(message["cursor"].as_str().unwrap().to_owned());
            } else if let Some(error) = message.get("error") {
                assert_eq!(error["type"], "restart", "{message}");
                // As good as that of the last event.
                if self.random.below(2) == 0 {
                    self.cursor = Some(error["cursor"].as_str().unwrap().to_owned());
                }
            } else {
                assert!(message.get("status").is_some(), "nothing is missing here: {message}");
            }
        }
    }

    /// How many events it has heard, each counted once.
    fn count(&self) -> usize {
        self.heard.iter().map(Vec::len).sum()
    }

    fn event(&mut self, event: &Value) {
        let number = event["n"].as_u64().unwrap();
        let lane = usize::try_from(event["lane"].as_u64().unwrap()).unwrap();
        let last = &mut self.last[lane];
        assert!(last.is_none_or(|last| number > last), "{number} after {last:?}");
        *last = Some(number);
        let heard = &mut self.heard[lane];
        if heard.last().is_none_or(|last| number > *last) {
            heard.push(number);
        }
    }
}

/// One area with its events.
struct Area {
    fleet: Arc<Fleet>,
    area: String,
    /// Its partitions.
    lanes: Arc<[i32]>,
    /// What was produced, by lane.
    produced: Vec<Vec<u64>>,
    next: u64,
}

impl Area {
    /// Puts so many more events into records of a few.
    async fn produce(&mut self, random: &mut Random, events: u64, pad: usize) {
        let end = self.next + events;
        let mut records: Vec<(i32, String)> = Vec::new();
        while self.next < end {
            let last = end.min(self.next + random.of(1..9));
            let lane = random.place(self.lanes.len());
            let lines = (self.next..last).map(|n| {
                let (c, pad) = (n % 3, "x".repeat(pad));
                format!("{{\"n\":{n},\"c\":{c},\"lane\":{lane},\"pad\":\"{pad}\"}}\n")
            });
            records.push((self.lanes[lane], lines.collect()));
            self.produced[lane].extend(self.next..last);
            self.next = last;
        }
        let (fleet, area) = (Arc::clone(&self.fleet), self.area.clone());
        let produce = move || {
            let records = records.iter();
            fleet.live.put_each(records.map(|(partition, lines)| (*partition, &*area, &**lines)));
        };
        tokio::task::spawn_blocking(produce).await.unwrap();
    }

    /// What a filter leaves of it, by lane.
    fn passing(&self, passes: fn(u64) -> bool) -> Vec<Vec<u64>> {
        let passing = |lane: &Vec<u64>| lane.iter().copied().filter(|n| passes(*n)).collect();
        self.produced.iter().map(passing).collect()
    }
}

/// What a schedule came to, so that the whole shows that it was none of nothing.
#[derive(Default)]
struct Seen {
    events: u64,
    reconnects: u64,
    restarts: u64,
    /// Schedules of an area in several partitions.
    spread: u64,
}

async fn schedule(seed: u64, fleet: Arc<Fleet>) -> Seen {
    let mut random = Random(seed);
    let channel = format!("acme-{seed}");
    let area = format!("id:{channel}");
    let lanes = spread().lanes(&area);
    let count = lanes.len();
    let produced = vec![Vec::new(); count];
    let mut area = Area { fleet: Arc::clone(&fleet), area, lanes, produced, next: 0 };
    let (asked, passes): (&str, fn(u64) -> bool) = match random.below(3) {
        0 => ("&filter=c%3D1", |n| n % 3 == 1),
        _ => ("", |_| true),
    };
    let mut listener = Listener {
        fleet: Arc::clone(&fleet),
        channel,
        random: Random(!seed),
        asked: asked.to_owned(),
        cursor: None,
        client: None,
        heard: vec![Vec::new(); count],
        last: vec![None; count],
        reconnected: 0,
    };
    let mut seen = Seen { spread: u64::from(count > 1), ..Seen::default() };
    // Once: the mock cluster keeps 5 MB of a partition.
    let mut is_large = seed.is_multiple_of(4);
    for _ in 0..STEPS {
        match random.below(10) {
            0..=3 => {
                let events = random.of(1..30);
                let pad = random.place(200);
                area.produce(&mut random, events, pad).await;
            }
            4..=6 => {
                let there = area.passing(passes).iter().map(Vec::len).sum::<usize>();
                let had = listener.count();
                let until = had + random.place(there - had + 1);
                listener.hear(until).await;
            }
            7 => listener.client = None,
            // More than the sockets hold: it falls behind the ring in mid-message.
            8 if is_large => {
                is_large = false;
                area.produce(&mut random, 30, 20_000).await;
            }
            8 => area.produce(&mut random, 100, 1_000).await,
            _ if random.below(4) == 0 => {
                fleet.restart(random.place(2)).await;
                seen.restarts += 1;
            }
            _ => listener.connect().await,
        }
    }
    let expected = area.passing(passes);
    listener.hear(expected.iter().map(Vec::len).sum()).await;
    assert!(listener.heard == expected, "seed {seed}: {:?} of {expected:?}", listener.heard);
    seen.events = listener.count() as u64;
    seen.reconnects = listener.reconnected.saturating_sub(1);
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_in_silence() {
    let mut all = Seen::default();
    for group in 0..SCHEDULES / TOGETHER {
        let kafka = Kafka::start(1);
        let fleet = Arc::new(Fleet::start(kafka.settings.clone()).await);
        let mut running = JoinSet::new();
        for seed in group * TOGETHER..(group + 1) * TOGETHER {
            running.spawn(schedule(seed, Arc::clone(&fleet)));
        }
        while let Some(seen) = running.join_next().await {
            let seen = seen.unwrap();
            all.events += seen.events;
            all.reconnects += seen.reconnects;
            all.restarts += seen.restarts;
            all.spread += seen.spread;
        }
    }
    // The plan fired.
    assert!(all.events > 10_000, "{} events", all.events);
    assert!(all.reconnects > SCHEDULES, "{} reconnects", all.reconnects);
    assert!(all.restarts > 20, "{} restarts", all.restarts);
    assert!(all.spread > SCHEDULES / 4, "{} of a spread area", all.spread);
}
