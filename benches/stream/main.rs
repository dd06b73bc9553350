//! What the stream server costs: the figures of Call Log Streams against their bars.
//!
//! The server is `sluice run` itself with a real Kafka; its listeners are several processes of
//! their own ([`driver`]), each of which parses the head of every frame, looks at how its text
//! begins, and counts. So that the figures hold on a machine that others use too, "per core" is
//! per second of CPU time that the server process had, all its threads, user and system; what
//! listeners, Kafka and the load cost is not in it. Load is given as fast as the slowest listener
//! takes it, so nobody falls out of the ring.
//!
//! ```sh
//! ./dev bench stream                   # all of it, about four minutes
//! ./dev bench stream plain latency     # some of it
//! ```
//!
//! Figures: `plain`, `batched`, `zstd`, `latency`, `idle`, `catchup`, `filter`, `slow`. `SLUICE_BENCH_SECONDS`
//! (default 5) is how long each is measured, `SLUICE_BENCH_SOCKETS` (default 10000) how many sockets
//! are idle. Last comes a table, and each row of it as a line of JSON.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program for developers: it ends where something is wrong, and prints"
)]

use std::env;
use std::time::Duration;

mod driver;
mod drivers;
mod feed;
mod figures;
mod filters;
mod frames;
#[path = "../support/events.rs"]
mod events;
#[path = "../support/null_index.rs"]
mod null_index;
#[path = "../../tests/it/support/ports.rs"]
mod ports;
#[path = "../support/process.rs"]
mod process;
mod server;
mod slow;
mod table;

/// What a driver process is started with.
const DRIVER: &str = "driver";
const FIGURES: [&str; 8] =
    ["filter", "plain", "batched", "zstd", "latency", "catchup", "idle", "slow"];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|text| text != "--bench").collect();
    if arguments.first().is_some_and(|first| first == DRIVER) {
        return driver::main();
    }
    let unknown = arguments.iter().find(|name| !FIGURES.contains(&name.as_str()));
    assert!(unknown.is_none(), "there is no figure {unknown:?}; there are {FIGURES:?}");
    let is_wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|one| one == name);
    let brokers = env::var("SLUICE_KAFKA_BROKERS").ok();
    let mut table = table::Table::default();
    for name in FIGURES.into_iter().filter(|name| is_wanted(name)) {
        match (name, &brokers) {
            ("filter", _) => filters::measure(&mut table),
            (_, Some(brokers)) => {
                println!("{name}:");
                figures::measure(name, brokers, &mut table);
            }
            (_, None) => {
                println!("{name}: NOT RUN, no SLUICE_KAFKA_BROKERS; `./dev bench stream` has one")
            }
        }
    }
    table.print();
}

/// How long a figure is measured.
fn window() -> Duration {
    Duration::from_secs(number("SLUICE_BENCH_SECONDS", 5))
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}
