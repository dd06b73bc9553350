//! A hundred listeners that hardly read, beside indexing.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::events::Events;
use super::server::{Does, Server};
use super::table::{BESIDE_SLOW, SLOW_MEMORY, Table};

const LISTENERS: usize = 100;
const EVENTS: u64 = 300_000;
/// Each is one run alone and one beside the listeners; the median counts. On a shared machine a pair
/// alone may be off by a third.
const ROUNDS: usize = 5;
const RING: usize = 64 * 1024 * 1024;

pub(crate) fn measure(brokers: &str, table: &mut Table) {
    let (mut speeds, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (alone, beside) = (run(brokers, 0), run(brokers, LISTENERS));
        speeds.push(beside.per_second / alone.per_second);
        memory.push((beside.peak_bytes as f64 - alone.peak_bytes as f64) / 1_048_576.0);
    }
    let of = format!("{LISTENERS} listeners, half read nothing, half a byte a second");
    table.add(BESIDE_SLOW, of.clone(), median(speeds));
    table.add(SLOW_MEMORY, of, median(memory));
}

struct Run {
    /// Events that were indexed.
    per_second: f64,
    peak_bytes: u64,
}

fn run(brokers: &str, listeners: usize) -> Run {
    let server = Server::start_as(Does::All, brokers, RING);
    let slow = Slow::start(&server, listeners);
    let mut feed = server.source();
    let (begun, cpu, mut peak_bytes) = (Instant::now(), server.cpu_seconds(), 0);
    for (number, event) in (0..EVENTS).zip(Events::new()) {
        feed.whole(&event);
        if number % 1_000 == 0 {
            peak_bytes = peak_bytes.max(server.anonymous_bytes());
        }
    }
    while server.documents() < EVENTS {
        peak_bytes = peak_bytes.max(server.anonymous_bytes());
        std::thread::sleep(Duration::from_millis(5));
    }
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), server.cpu_seconds() - cpu);
    let closed = slow.end();
    let mebibytes = peak_bytes >> 20;
    println!(
        "  {EVENTS} events beside {listeners} slow listeners in {wall:.2} s, {cpu:.2} s of CPU, \
         peak RssAnon {mebibytes} MiB, {closed} of them were closed"
    );
    Run { per_second: EVENTS as f64 / wall, peak_bytes }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Listeners of which every second one reads a byte a second, and the others nothing.
struct Slow {
    sockets: Vec<TcpStream>,
    stop: Arc<AtomicBool>,
    reading: JoinHandle<()>,
}

impl Slow {
    fn start(server: &Server, count: usize) -> Self {
        // Of those that fall behind, half ask to be closed rather than to catch up.
        let queries = ["", "slow=disconnect"];
        let open = |number: usize| server.open(queries[number / 2 % 2]).expect("a stream");
        let sockets: Vec<_> = (0..count).map(open).collect();
        let readers: Vec<_> =
            sockets.iter().step_by(2).map(|socket| socket.try_clone().unwrap()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let reading = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                while !stop.load(Relaxed) {
                    for mut socket in &readers {
                        // One that was closed has nothing more.
                        drop(socket.read(&mut [0]));
                    }
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        });
        Self { sockets, stop, reading }
    }

    /// Answers how many the server has closed.
    fn end(self) -> usize {
        self.stop.store(true, Relaxed);
        self.reading.join().unwrap();
        let is_closed = |mut socket: &TcpStream| {
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            let mut bytes = vec![0; 1 << 20];
            loop {
                match socket.read(&mut bytes) {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
                }
            }
        };
        self.sockets.iter().filter(|socket| is_closed(socket)).count()
    }
}
