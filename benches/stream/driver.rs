//! A process of listeners: opens sockets, counts what comes, says so when it is asked.
//!
//! The first line of its input says what to do, as JSON ([`Task`]). When all sockets are open it
//! writes `ready`; from then on `count` is answered with the tally, `latency` with how many events
//! took how long, in steps. It ends with its input.

use std::cell::RefCell;
use std::io::{BufRead as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::frames::{Frames, Tally};

/// Sockets that are being opened at a time.
const OPENING_MAX: usize = 32;
const READ_BYTES: usize = 256 * 1024;
/// A step of the histogram of latencies, in microseconds, and how many there are.
pub(crate) const STEP_US: u64 = 100;
pub(crate) const STEPS: usize = 20_000;
/// An empty pong with an empty mask.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) address: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) token: String,
    pub(crate) sockets: usize,
    /// Texts are read to their end.
    pub(crate) is_whole: bool,
}

#[derive(Default)]
struct Counters {
    frames: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
    faults: AtomicU64,
    latencies: Mutex<Vec<u64>>,
}

impl Counters {
    fn add(&self, tally: Tally) {
        self.frames.fetch_add(tally.frames, Relaxed);
        self.events.fetch_add(tally.events, Relaxed);
        self.bytes.fetch_add(tally.bytes, Relaxed);
        self.faults.fetch_add(tally.faults, Relaxed);
    }

    fn took(&self, made: &mut Vec<u64>) {
        if made.is_empty() {
            return;
        }
        let now = now_us();
        let mut latencies = self.latencies.lock().unwrap();
        latencies.resize(STEPS, 0);
        for made in made.drain(..) {
            let step = usize::try_from(now.saturating_sub(made) / STEP_US).unwrap();
            latencies[step.min(STEPS - 1)] += 1;
        }
    }
}

/// The machine's clock: load and listeners are on one machine.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

pub(crate) fn main() {
    // A task that fails ends the whole process, which the bench notices.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |why| {
        tell(why);
        std::process::exit(1);
    }));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let task: Task = serde_json::from_str(&line).unwrap();
    let counters = Arc::new(Counters::default());
    let of_sockets = Arc::clone(&counters);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(listen(task, of_sockets));
    });
    for line in std::io::stdin().lock().lines() {
        match line.unwrap().as_str() {
            "count" => {
                let read = |counter: &AtomicU64| counter.load(Relaxed);
                let Counters { frames, events, bytes, faults, .. } = &*counters;
                say(&[read(frames), read(events), read(bytes), read(faults)]);
            }
            "latency" => say(&std::mem::take(&mut *counters.latencies.lock().unwrap())),
            other => panic!("unknown: {other}"),
        }
    }
}

fn say(numbers: &[u64]) {
    let text: Vec<_> = numbers.iter().map(u64::to_string).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.join(" ")).unwrap();
    out.flush().unwrap();
}

async fn listen(task: Task, counters: Arc<Counters>) {
    let task = Arc::new(task);
    let places = Arc::new(Semaphore::new(OPENING_MAX));
    let opened = Arc::new(AtomicU64::new(0));
    let mut sockets = JoinSet::new();
    for _ in 0..task.sockets {
        let (task, counters) = (Arc::clone(&task), Arc::clone(&counters));
        let (places, opened) = (Arc::clone(&places), Arc::clone(&opened));
        sockets.spawn(async move {
            let place = places.acquire().await.unwrap();
            let (socket, rest) = open(&task).await;
            drop(place);
            if opened.fetch_add(1, Relaxed) + 1 == task.sockets as u64 {
                println!("ready");
            }
            read(socket, &rest, (&task, &counters)).await;
            // It was closed, which nobody wanted.
            counters.faults.fetch_add(1, Relaxed);
        });
    }
    while sockets.join_next().await.is_some() {}
    std::future::pending::<()>().await;
}

/// Answers the socket, and what came behind the head of the answer.
async fn open(task: &Task) -> (TcpStream, Vec<u8>) {
    let mut socket = TcpStream::connect(&task.address).await.expect("a connection");
    let Task { target, token, .. } = task;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        assert!(socket.read_buf(&mut answer).await.unwrap() > 0, "closed before the answer");
        if let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]).into_owned();
            assert!(head.starts_with("HTTP/1.1 101"), "refused: {head}");
            let rest = answer.split_off(end + 4);
            return (socket, rest);
        }
    }
}

thread_local! {
    /// One for all sockets: what is read is looked at before the next is read.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

async fn read(socket: TcpStream, rest: &[u8], (task, counters): (&Task, &Counters)) {
    let mut frames = Frames::new(task.is_whole);
    let mut tally = Tally::default();
    frames.feed(rest, &mut tally);
    loop {
        counters.took(&mut frames.made);
        counters.add(tally);
        for _ in 0..std::mem::take(&mut tally).pings {
            // Where it does not fit, the server's next ping asks again.
            drop(socket.try_write(&PONG));
        }
        if socket.readable().await.is_err() {
            return;
        }
        let read = BUFFER.with_borrow_mut(|buffer| {
            let read = socket.try_read(buffer)?;
            frames.feed(&buffer[..read], &mut tally);
            Ok::<_, std::io::Error>(read)
        });
        match read {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
