//! What a filter costs on an event that was parsed once into slots.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};
use sluice::stream::filter::{Filter, Known, Slots, Table as Fields};
use sluice::stream::lines::Lines;

use super::table::{COMPLEX, Figure, SIMPLE, Table};

/// Evaluations in one measurement, and measurements of which the median counts.
const EVALUATIONS: u32 = 1_000_000;
const MEASUREMENTS: usize = 15;

const EVENT: &str = r#"{"event_id":"AZvBGQEAtWJIApQAAAAAAAAAAAcAAAAA","datetime":"2026-01-15T10:00:00.766Z","org_id":"bench","api_name":"accountservice","product_name":"retail","plan_name":"default","request_method":"POST","status":503,"status_class":"5xx","status_code":"503 Service Unavailable","time_to_serve_request":1317,"client_ip":"9.20.152.215","uri_path":"/macs-shack/sb/AccountService","request_http_headers":{"user-agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"},"tags":["slow"]}"#;

/// Each is looked through to its end.
const FILTERS: [(Figure, &str); 4] = [
    (SIMPLE, "status_class = 5xx"),
    (SIMPLE, "api_name = accountservice"),
    (
        COMPLEX,
        "(status_class = 5xx or time_to_serve_request > 5000) and client_ip in (10.0.0.0/8, \
         9.20.0.0/16) and not api_name in (health, metrics) and uri_path prefix \"/macs-shack/\"",
    ),
    (
        COMPLEX,
        "request_http_headers.user-agent contains~ firefox and tags = slow and \
         (request_method in (PUT, POST, DELETE) and datetime >= 2026-01-01T00:00:00Z)",
    ),
];

/// What this thread has used of a processor, in ns: on a busy machine it waits between.
fn cpu_ns() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec as f64 * 1e9 + used.tv_nsec as f64
}

pub(crate) fn measure(table: &mut Table) {
    println!("filter:");
    for (figure, text) in FILTERS {
        let filter = Filter::parse(text, &Known::new([])).unwrap();
        let mut fields = Fields::new();
        let matcher = fields.compile(&filter).unwrap();
        let mut slots = Slots::new();
        Lines::new().read(EVENT.as_bytes(), |event| slots.fill(&fields, event)).unwrap();
        assert!(matcher.matches(&slots), "{text}");
        let mut each: Vec<f64> = (0..MEASUREMENTS)
            .map(|_| {
                let begun = cpu_ns();
                for _ in 0..EVALUATIONS {
                    black_box(black_box(&matcher).matches(black_box(&slots)));
                }
                (cpu_ns() - begun) / f64::from(EVALUATIONS)
            })
            .collect();
        each.sort_unstable_by(f64::total_cmp);
        let of: String = text.chars().take(40).collect();
        table.add(figure, format!("`{of}…`"), each[MEASUREMENTS / 2]);
    }
}
