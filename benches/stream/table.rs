//! What was measured, beside what it should be.

use serde_json::json;

/// A figure of the contract of Call Log Streams, and its bars.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// What a comparable server reaches; "–" where none says.
    pub(crate) anchor: &'static str,
    pub(crate) must: f64,
    pub(crate) aim: f64,
    /// A latency or a size, and not a rate.
    pub(crate) is_less_better: bool,
}

const fn rate(name: &'static str, anchor: &'static str, must: f64, aim: f64) -> Figure {
    Figure { name, unit: "per CPU-second", anchor, must, aim, is_less_better: false }
}

const fn cost(
    name: &'static str,
    unit: &'static str,
    anchor: &'static str,
    bars: (f64, f64),
) -> Figure {
    Figure { name, unit, anchor, must: bars.0, aim: bars.1, is_less_better: true }
}

pub(crate) const PLAIN: Figure = rate("plain frames", "32000", 40_000.0, 65_000.0);
pub(crate) const ZSTD: Figure = rate("shared zstd frames", "37000", 45_000.0, 75_000.0);
pub(crate) const BATCHED: Figure = rate("batched events", "–", 300_000.0, 500_000.0);
pub(crate) const CATCH_UP: Figure =
    rate("events of one socket catching up", "79000", 120_000.0, 250_000.0);
/// What the listener sees. Kafka and the listener have the same cores.
pub(crate) const CATCH_UP_TIME: Figure = Figure { unit: "per second that passes", ..CATCH_UP };
pub(crate) const LATENCY: Figure = cost("latency p99", "ms", "21", (20.0, 10.0));
pub(crate) const BESIDE_SLOW: Figure = Figure {
    name: "indexing beside slow listeners",
    unit: "of its speed alone",
    anchor: "–",
    must: 0.95,
    aim: 0.98,
    is_less_better: false,
};
/// What the kernel's buffers do not hold of them waits in Kafka, so the ring's bytes are the bound.
pub(crate) const SLOW_MEMORY: Figure =
    cost("memory of slow listeners", "MiB of RssAnon", "–", (64.0, 16.0));
pub(crate) const IDLE: Figure = cost("idle socket", "KB of RssAnon", "11.6", (11.0, 8.0));
pub(crate) const SIMPLE: Figure = cost("simple filter", "ns", "12–94", (30.0, 15.0));
pub(crate) const COMPLEX: Figure = cost("complex filter", "ns", "12–94", (150.0, 100.0));

#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<(Figure, String, f64)>,
    missing: Vec<String>,
}

impl Table {
    /// `of` says what was measured, as in "600 B, 100 sockets".
    pub(crate) fn add(&mut self, figure: Figure, of: impl Into<String>, measured: f64) {
        let of = of.into();
        println!("  {} ({of}): {measured:.1} {}", figure.name, figure.unit);
        self.rows.push((figure, of, measured));
    }

    pub(crate) fn not_measured(&mut self, figure: &Figure, why: &str) {
        self.missing.push(format!("{}: NOT MEASURED, {why}", figure.name));
    }

    pub(crate) fn print(&self) {
        println!("\n| figure | of | unit | anchor | must | aim | measured | |");
        println!("|---|---|---|---|---|---|---|---|");
        for (figure, of, measured) in &self.rows {
            let Figure { name, unit, anchor, must, aim, .. } = figure;
            let verdict = verdict(figure, *measured);
            println!(
                "| {name} | {of} | {unit} | {anchor} | {must} | {aim} | {measured:.2} | {verdict} |"
            );
        }
        for line in &self.missing {
            println!("{line}");
        }
        println!();
        for (figure, of, measured) in &self.rows {
            let row = json!({
                "figure": figure.name,
                "of": of,
                "unit": figure.unit,
                "must": figure.must,
                "aim": figure.aim,
                "measured": measured,
                "verdict": verdict(figure, *measured),
            });
            println!("{row}");
        }
    }
}

fn verdict(figure: &Figure, measured: f64) -> &'static str {
    let reaches = |bar: f64| if figure.is_less_better { measured <= bar } else { measured >= bar };
    match (reaches(figure.aim), reaches(figure.must)) {
        (true, _) => "aim",
        (false, true) => "must",
        (false, false) => "BELOW",
    }
}
