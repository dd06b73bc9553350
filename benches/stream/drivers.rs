//! The listeners from the side of the bench.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::DRIVER;
use super::driver::{STEP_US, STEPS, Task};
use super::frames::Tally;

/// Several processes of listeners, which end with this.
pub(crate) struct Drivers {
    all: Vec<Driver>,
}

struct Driver {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Drivers {
    /// Starts as many processes and waits until all their sockets are open.
    pub(crate) fn start(processes: usize, task: &Task) -> Self {
        let sockets = task.sockets;
        let processes = processes.min(sockets);
        let mut all: Vec<_> = (0..processes)
            .map(|number| {
                // Sockets are dealt out evenly.
                let sockets = sockets / processes + usize::from(number < sockets % processes);
                Driver::start(&Task { sockets, ..task.clone() })
            })
            .collect();
        for driver in &mut all {
            assert_eq!(driver.line(), "ready");
        }
        Self { all }
    }

    pub(crate) fn tally(&mut self) -> Tally {
        let mut sum = Tally::default();
        for driver in &mut self.all {
            let numbers = driver.ask("count");
            let [frames, events, bytes, faults] = numbers[..] else { panic!("{numbers:?}") };
            sum.frames += frames;
            sum.events += events;
            sum.bytes += bytes;
            sum.faults += faults;
        }
        assert_eq!(sum.faults, 0, "frames that are none, or a socket that was closed");
        sum
    }

    /// Forgets the latencies so far; answers them at these parts of all events, in milliseconds.
    pub(crate) fn latencies(&mut self, parts: &[f64]) -> Vec<f64> {
        let mut steps = vec![0; STEPS];
        for driver in &mut self.all {
            for (sum, more) in steps.iter_mut().zip(driver.ask("latency")) {
                *sum += more;
            }
        }
        let all: u64 = steps.iter().sum();
        let at = |part: f64| {
            let mut seen = 0;
            let step = steps.iter().position(|count| {
                seen += count;
                seen as f64 >= part * all as f64
            });
            (step.unwrap_or(STEPS) as f64 + 1.0) * STEP_US as f64 / 1_000.0
        };
        parts.iter().map(|part| at(*part)).collect()
    }
}

impl Driver {
    fn start(task: &Task) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(DRIVER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{}", serde_json::to_string(task).unwrap()).unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input: Some(input), output }
    }

    fn ask(&mut self, what: &str) -> Vec<u64> {
        writeln!(self.input.as_mut().unwrap(), "{what}").unwrap();
        self.line().split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "a driver has ended; what it said is above");
        line.trim_end().to_owned()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.child.wait());
    }
}
