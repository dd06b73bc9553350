//! Kafka to a null index: events per CPU-second of the `sluice` process, all its threads, and its
//! peak of anonymous memory. A bare consumer reads the same topic first: machines differ, and so
//! does one machine from hour to hour, but the ratio of the two holds.
//!
//! The index only counts the lines of a bulk body and answers that all were created. Both servers
//! and the load run in other processes, so that their time is not counted. Needs a real Kafka:
//!
//! ```sh
//! ./dev up kafka && eval "$(./dev env kafka)" && cargo bench --bench pipeline
//! ```
//!
//! `SLUICE_BENCH_EVENTS` (default 600000) and `SLUICE_BENCH_GEO` (a geo database; default: the demo
//! one) choose what is measured; `SLUICE_BENCH_LIVE=1` mirrors onto a live topic too.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program for developers: it ends where something is wrong, and prints"
)]

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

#[path = "../support/events.rs"]
mod events;
mod load;
#[path = "../support/null_index.rs"]
mod null_index;
#[path = "../support/process.rs"]
mod process;

const PARTITIONS: i32 = 4;

fn main() {
    let Ok(brokers) = env::var("SLUICE_KAFKA_BROKERS") else {
        println!(
            "pipeline: NOT RUN, no SLUICE_KAFKA_BROKERS; see the head of benches/pipeline/main.rs"
        );
        return;
    };
    let number = |name: &str, default: u64| {
        env::var(name).ok().map_or(default, |text| text.parse().unwrap())
    };
    let events = number("SLUICE_BENCH_EVENTS", 600_000);
    let live = number("SLUICE_BENCH_LIVE", 0) > 0;
    let geo = env::var("SLUICE_BENCH_GEO").ok();

    let name = format!("bench-{}", std::process::id());
    let folder = TempDir::new().unwrap();
    let index = null_index::start();
    configure(folder.path(), &name, &brokers, &index, (geo, live));
    // The topic first: `setup` would make it with one partition.
    let bytes = load::produce(&brokers, &name, events);
    assert!(sluice(folder.path(), "setup").wait().unwrap().success());
    println!("{events} events of {} bytes on average", bytes / events);

    let bare = load::bare_consumer(&brokers, &name, events);
    println!("{bare:.0} messages per CPU-second by a bare consumer, which looks at none");

    let mut running = sluice(folder.path(), "run");
    let measured = watch(&running, &index, events);
    let pid = i32::try_from(running.id()).unwrap();
    process::terminate(pid);
    assert!(running.wait().unwrap().success());
    load::delete(&brokers, &[&name, &format!("{name}-live"), &format!("{name}-dead")]);
    println!(
        "{:.0} events per CPU-second ({:.1} s of CPU in {:.1} s), {:.3} of the bare consumer's, peak \
         RssAnon {} MiB",
        measured.events / measured.cpu,
        measured.cpu,
        measured.wall,
        measured.events / measured.cpu / bare,
        measured.peak_anonymous >> 20,
    );
}

struct Measured {
    events: f64,
    cpu: f64,
    wall: f64,
    peak_anonymous: u64,
}

/// From the first tenth of the events, when everything is warm, to the last one.
fn watch(running: &Child, index: &null_index::NullIndex, events: u64) -> Measured {
    let pid = running.id();
    let mut peak_anonymous = 0;
    let mut begun: Option<(u64, f64, Instant)> = None;
    loop {
        std::thread::sleep(Duration::from_millis(20));
        peak_anonymous = peak_anonymous.max(process::anonymous_bytes(pid));
        let (done, cpu) = (index.documents(), process::cpu_seconds(pid));
        match begun {
            None if done >= events / 10 => begun = Some((done, cpu, Instant::now())),
            Some((first, cpu_before, since)) if done >= events => {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
                let counted = (done - first) as f64;
                return Measured {
                    events: counted,
                    cpu: cpu - cpu_before,
                    wall: since.elapsed().as_secs_f64(),
                    peak_anonymous,
                };
            }
            _ => {}
        }
    }
}

fn configure(
    folder: &Path,
    name: &str,
    brokers: &str,
    index: &null_index::NullIndex,
    (geo, live): (Option<String>, bool),
) {
    let geo = geo.unwrap_or_else(|| {
        let file = folder.join("demo.mmdb");
        fs::write(&file, sluice::geo::demo::nested(include_str!("../../geoip/demo.csv")).unwrap())
            .unwrap();
        file.display().to_string()
    });
    let toml = format!(
        "roles = [\"ingest\"]\nkafka.brokers = [\"{brokers}\"]\nkafka.group = \"{name}\"\n\
         index.nodes = [\"{}\"]\ngeo.databases = [\"{geo}\"]\n\
         live.on = {live}\nlive.topic = \"{name}-live\"\nlive.partitions = 4\n\
         dead_letter.topic = \"{name}-dead\"\ndead_letter.partitions = 1\n\
         http.listen = \"127.0.0.1:0\"\n",
        index.url(),
    );
    fs::write(folder.join("sluice.toml"), toml).unwrap();
    let pipeline = folder.join("pipelines/bench");
    fs::create_dir_all(&pipeline).unwrap();
    fs::write(pipeline.join("pipeline.toml"), format!("topics = [\"{name}\"]\n")).unwrap();
}

fn sluice(folder: &Path, command: &str) -> Child {
    let config = folder.join("sluice.toml");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sluice"));
    child.env_clear().arg("--config").arg(config).arg(command).stdout(Stdio::null());
    child.spawn().unwrap()
}
