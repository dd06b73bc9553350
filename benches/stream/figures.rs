//! Each figure of the server: what it is given, and what is counted.

use std::time::{Duration, Instant};

use super::drivers::Drivers;
use super::feed::Feed;
use super::frames::Tally;
use super::server::Server;
use super::table::{BATCHED, CATCH_UP, CATCH_UP_TIME, IDLE, LATENCY, PLAIN, Table, ZSTD};
use super::{number, window};

/// Processes of listeners: one would be busy before the server is.
const DRIVERS: usize = 3;
/// Until everything is warm.
const WARM_UP: Duration = Duration::from_secs(1);
/// Nothing that is measured takes so long, unless events are lost.
const PATIENCE: Duration = Duration::from_secs(60);
const RING: usize = 256 * 1024 * 1024;
const SMALL: usize = 600;
const LARGE: usize = 1_200;

pub(crate) fn measure(name: &str, brokers: &str, table: &mut Table) {
    match name {
        "plain" => {
            // One event a wake-up is what costs most; as fast as it goes, many share one.
            for (bytes, sockets) in [(SMALL, 1_000), (LARGE, 1_000)] {
                let paced = Paced { bytes, sockets, query: "", events_per_second: 40 };
                let measured = paced.measure(brokers).frames;
                table.add(PLAIN, paced.to_string(), measured);
            }
            for (bytes, sockets) in [(SMALL, 100), (LARGE, 100), (SMALL, 1_000)] {
                let load = Load { bytes, sockets, query: "", events: 8, is_whole: false };
                let measured = load.measure(brokers);
                table.add(PLAIN, load.to_string(), measured);
            }
        }
        "batched" => {
            for bytes in [SMALL, LARGE] {
                let load =
                    Load { bytes, sockets: 20, query: "batch=1", events: 128, is_whole: true };
                let measured = load.measure(brokers);
                table.add(BATCHED, load.to_string(), measured);
            }
        }
        "zstd" => {
            let query = "compression=zstd";
            if !Server::start(brokers, RING).takes(query) {
                let why = "the server does not offer `compression=zstd`";
                println!("  !!! NOT MEASURED: {why}");
                return table.not_measured(&ZSTD, why);
            }
            for bytes in [SMALL, LARGE] {
                let paced = Paced { bytes, sockets: 1_000, query, events_per_second: 40 };
                let measured = paced.measure(brokers).frames;
                table.add(ZSTD, paced.to_string(), measured);
                let load = Load { bytes, sockets: 100, query, events: 8, is_whole: false };
                let measured = load.measure(brokers);
                table.add(ZSTD, load.to_string(), measured);
            }
        }
        "latency" => {
            // What one listener waits for is Kafka and the machine, not the server's fan-out.
            let alone = Paced { bytes: SMALL, sockets: 1, query: "", events_per_second: 20 };
            println!("  one socket alone: p99 {:.1} ms", alone.measure(brokers).p99_ms);
            let paced = Paced { bytes: SMALL, sockets: 1_000, query: "", events_per_second: 20 };
            let measured = paced.measure(brokers).p99_ms;
            table.add(LATENCY, format!("{paced}, Kafka's share in it"), measured);
        }
        "catchup" => catch_up(brokers, table),
        "slow" => super::slow::measure(brokers, table),
        _ => idle(brokers, table),
    }
}

/// Events to many listeners of one area, as fast as the slowest takes them.
struct Load {
    bytes: usize,
    sockets: usize,
    query: &'static str,
    /// In one record.
    events: u64,
    is_whole: bool,
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bytes, sockets, events, .. } = self;
        write!(f, "{bytes} B, {sockets} sockets, as fast as it goes, records of {events}")
    }
}

impl Load {
    /// Events that the listeners counted for each second of the server's CPU time.
    fn measure(&self, brokers: &str) -> f64 {
        let server = Server::start(brokers, RING);
        let task = server.task(self.query, self.sockets, self.is_whole);
        let mut drivers = Drivers::start(DRIVERS, &task);
        let mut feed = server.feed();
        println!("  server {}", server.pid());
        self.run(WARM_UP, &mut feed, &mut drivers);
        let (begun, cpu, before) = (Instant::now(), server.cpu_seconds(), drivers.tally());
        self.run(window(), &mut feed, &mut drivers);
        let after = await_all(&mut drivers, feed.made * self.sockets as u64);
        let (wall, cpu) = (begun.elapsed().as_secs_f64(), server.cpu_seconds() - cpu);
        let (events, bytes) = (after.events - before.events, after.bytes - before.bytes);
        let megabytes = bytes >> 20;
        println!("  {events} events, {megabytes} MiB in {wall:.1} s, {cpu:.2} s of CPU");
        events as f64 / cpu
    }

    fn run(&self, time: Duration, feed: &mut Feed, drivers: &mut Drivers) {
        // On their way at a time: a small part of the ring, many records.
        let ahead_max = (self.events * 64).max(512);
        let begun = Instant::now();
        while begun.elapsed() < time {
            let heard = drivers.tally().events / self.sockets as u64;
            if feed.made - heard >= ahead_max {
                std::thread::sleep(Duration::from_micros(500));
                continue;
            }
            for _ in 0..8 {
                feed.record(self.events, self.bytes);
            }
        }
    }
}

/// Waits until the listeners have as many events, and not one more.
fn await_all(drivers: &mut Drivers, events: u64) -> Tally {
    let patience = Instant::now() + PATIENCE;
    loop {
        let tally = drivers.tally();
        if tally.events >= events {
            assert_eq!(tally.events, events, "an event came twice");
            return tally;
        }
        assert!(Instant::now() < patience, "{} of {events} events came", tally.events);
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Events that come one by one, at a rate that does not depend on how the listeners do.
struct Paced {
    bytes: usize,
    sockets: usize,
    query: &'static str,
    events_per_second: u64,
}

impl std::fmt::Display for Paced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bytes, sockets, events_per_second, .. } = self;
        write!(f, "{bytes} B, {sockets} sockets × {events_per_second} events/s, records of 1")
    }
}

/// What came of it.
struct Outcome {
    /// For each second of the server's CPU time.
    frames: f64,
    /// From the moment in which an event is made, through Kafka, to its listener.
    p99_ms: f64,
}

impl Paced {
    fn measure(&self, brokers: &str) -> Outcome {
        let server = Server::start(brokers, RING);
        let mut drivers = Drivers::start(DRIVERS, &server.task(self.query, self.sockets, true));
        let mut feed = server.feed();
        let every = Duration::from_micros(1_000_000 / self.events_per_second);
        let mut next = Instant::now();
        let mut run = |time: Duration| {
            let until = next + time;
            while next < until {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                feed.record(1, self.bytes);
                next += every;
            }
            feed.made * self.sockets as u64
        };
        let before = run(WARM_UP * 2);
        await_all(&mut drivers, before);
        drivers.latencies(&[]);
        let cpu = server.cpu_seconds();
        let after = run(window() * 2);
        await_all(&mut drivers, after);
        let cpu = server.cpu_seconds() - cpu;
        let [half, p99_ms, nearly] = drivers.latencies(&[0.5, 0.99, 0.999])[..] else {
            panic!("three parts, three answers")
        };
        let counted = after - before;
        println!("  {counted} events, {cpu:.2} s of CPU, p50 {half:.1} ms, p99.9 {nearly:.1} ms");
        Outcome { frames: counted as f64 / cpu, p99_ms }
    }
}

/// Memory of the server for each socket beyond the first hundred.
fn idle(brokers: &str, table: &mut Table) {
    const STEPS: usize = 4;
    let sockets = usize::try_from(number("SLUICE_BENCH_SOCKETS", 10_000)).unwrap();
    let server = Server::start(brokers, RING);
    let _warm = Drivers::start(1, &server.task("", 100, false));
    // A status has come to everyone, so that what it needs is there.
    std::thread::sleep(Duration::from_secs(6));
    let before = server.anonymous_bytes();
    let mut open = Vec::new();
    let mut per_socket = 0.0;
    for step in 1..=STEPS {
        open.push(Drivers::start(1, &server.task("", sockets / STEPS, false)));
        std::thread::sleep(Duration::from_secs(6));
        let count = sockets / STEPS * step;
        per_socket =
            server.anonymous_bytes().saturating_sub(before) as f64 / count as f64 / 1_024.0;
        println!("  {count} sockets: {per_socket:.2} KB each");
    }
    let cpu = server.cpu_seconds();
    std::thread::sleep(window());
    let cpu = (server.cpu_seconds() - cpu) / window().as_secs_f64();
    println!("  {sockets} idle sockets use {:.1} % of a core", cpu * 100.0);
    for drivers in &mut open {
        drivers.tally();
    }
    table.add(IDLE, format!("{sockets} sockets"), per_socket);
}

/// One listener from the beginning of the topic on, of which the ring holds next to nothing.
fn catch_up(brokers: &str, table: &mut Table) {
    const EVENTS: u64 = 400_000;
    for (events_a_record, query) in [(8, "earliest"), (128, "earliest"), (128, "earliest&batch=1")]
    {
        let server = Server::start(brokers, 1024 * 1024);
        let mut feed = server.feed();
        while feed.made < EVENTS {
            feed.record(events_a_record, SMALL);
        }
        feed.flush();
        // What the ring took meanwhile is not counted.
        std::thread::sleep(WARM_UP);
        let is_whole = query.contains("batch");
        let (begun, cpu) = (Instant::now(), server.cpu_seconds());
        let mut drivers = Drivers::start(1, &server.task(query, 1, is_whole));
        await_all(&mut drivers, feed.made);
        let (wall, cpu) = (begun.elapsed().as_secs_f64(), server.cpu_seconds() - cpu);
        println!("  {EVENTS} events in {wall:.1} s, {cpu:.2} s of CPU");
        let of = format!("{SMALL} B, records of {events_a_record}, `{query}`");
        table.add(CATCH_UP, of.clone(), EVENTS as f64 / cpu);
        table.add(CATCH_UP_TIME, of, EVENTS as f64 / wall);
    }
}
