//! Believable traffic of an API gateway, for a first look and for load: events in the form of API
//! Connect's activity, header and payload records. The same seed makes the same calls.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::{Value, json};

use crate::clock::{Clock, Millis};
use crate::config::settings::KafkaSettings;
use crate::kafka;

/// How much traffic, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Events each second; 0: as fast as Kafka takes them.
    pub rate: u32,
    /// Ends after so many events; `None`: goes on.
    pub count: Option<u64>,
    /// Ends after this time; `None`: goes on.
    pub time: Option<Duration>,
    pub seed: u64,
}

/// How long the last events may take to be acknowledged.
const FLUSH: Duration = Duration::from_secs(30);
/// The rate is kept by writing this often.
const TICK: Duration = Duration::from_millis(50);

/// Writes the given messages and then traffic to a topic, and answers how many messages it wrote,
/// all acknowledged. Those given are not part of the load.
///
/// # Errors
/// Where Kafka cannot be reached or does not acknowledge.
pub fn write(
    settings: &KafkaSettings,
    topic: &str,
    first: &[Vec<u8>],
    load: Load,
    clock: &Clock,
) -> anyhow::Result<u64> {
    let producer: ThreadedProducer<DefaultProducerContext> = kafka::client_config(settings)?
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.kbytes", "65536")
        .create()
        .context("kafka: no producer")?;
    for message in first {
        send(&producer, topic, message)?;
    }
    let began = Instant::now();
    let mut calls = Calls::new(load.seed);
    let mut written = 0_u64;
    while !is_over(load, written, began.elapsed()) {
        let due = due(load, began.elapsed());
        if load.rate > 0 && written >= due {
            std::thread::sleep(TICK);
            continue;
        }
        let event = calls.next(clock.now()).to_string();
        send(&producer, topic, event.as_bytes())?;
        written += 1;
    }
    producer.flush(FLUSH).context("kafka: the last events were not acknowledged")?;
    Ok(written + first.len() as u64)
}

fn is_over(load: Load, written: u64, elapsed: Duration) -> bool {
    load.count.is_some_and(|count| written >= count)
        || load.time.is_some_and(|time| elapsed >= time)
}

fn due(load: Load, elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).saturating_mul(load.rate.into()) / 1_000
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    event: &[u8],
) -> anyhow::Result<()> {
    let mut record = BaseRecord::<(), [u8]>::to(topic).payload(event);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.flush(Duration::from_millis(10)).unwrap_or_default();
            }
            Err((error, _)) => return Err(error).context("kafka: an event was not taken"),
        }
    }
}

/// An API with what its calls look like.
struct Api {
    name: &'static str,
    product: &'static str,
    base: &'static str,
    operations: &'static [(&'static str, &'static str)],
    /// The backend's usual answer time.
    backend_ms: u64,
}

const APIS: &[Api] = &[
    Api {
        name: "accountservice",
        product: "retail-banking",
        base: "/macs-shack/sb/accounts",
        operations: &[
            ("GET", "/{id}/balance"),
            ("GET", "/{id}/transactions"),
            ("POST", "/transfer"),
        ],
        backend_ms: 120,
    },
    Api {
        name: "weather",
        product: "open-data",
        base: "/macs-shack/sb/weather",
        operations: &[("GET", "/forecast"), ("GET", "/current")],
        backend_ms: 25,
    },
    Api {
        name: "orders",
        product: "shop",
        base: "/acme/prod/orders",
        operations: &[("GET", "/"), ("POST", "/"), ("PUT", "/{id}"), ("DELETE", "/{id}")],
        backend_ms: 60,
    },
    Api {
        name: "payments",
        product: "shop",
        base: "/acme/prod/payments",
        operations: &[("POST", "/charge"), ("POST", "/refund")],
        backend_ms: 350,
    },
];

const ORGS: &[(&str, &str)] = &[("5a1f00", "macs-shack"), ("77b2c4", "acme"), ("91d3e8", "globex")];
const APPS: &[&str] = &["mobile-ios", "mobile-android", "web-shop", "partner-x", "batch-nightly"];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "okhttp/4.12.0",
    "AcmeShop/7.3 (iPhone; iOS 18.1)",
    "python-requests/2.32",
    "curl/8.5.0",
];
/// Status lines with how many of a thousand calls have them.
const STATUSES: &[(&str, u64)] = &[
    ("200 OK", 860),
    ("201 Created", 50),
    ("401 Unauthorized", 25),
    ("404 Not Found", 30),
    ("429 Too Many Requests", 15),
    ("500 Internal Server Error", 12),
    ("503 Service Unavailable", 8),
];

/// An endless run of calls.
#[derive(Debug)]
pub struct Calls {
    random: Random,
    addresses: Vec<String>,
    number: u64,
}

impl Calls {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), addresses: crate::geo::demo::addresses(), number: 0 }
    }

    /// The next call, as the gateway would record it at `now`.
    pub fn next(&mut self, now: Millis) -> Value {
        self.number += 1;
        let Some(api) = self.random.pick(APIS) else { return Value::Null };
        let (method, path) = self.random.pick(api.operations).copied().unwrap_or(("GET", "/"));
        let (org_id, org_name) = self.random.pick_skewed(ORGS).copied().unwrap_or_default();
        let app = self.random.pick_skewed(APPS).copied().unwrap_or_default();
        let status = self.status();
        let gateway_ms = 2 + self.random.below(12);
        let backend_ms = api.backend_ms / 2 + self.random.below(api.backend_ms);
        let slow = if self.random.below(100) == 0 { 10 } else { 1 };
        let total_ms = gateway_ms + backend_ms * slow;
        let mut event = json!({
            "datetime": text_of(now - Millis::try_from(total_ms).unwrap_or_default()),
            "transaction_id": format!("{:016x}", self.random.next()),
            "api_id": format!("{}:1.0.0", api.name), "api_name": api.name, "api_version": "1.0.0",
            "app_id": app, "app_name": app, "app_type": "Production",
            "product_name": api.product, "product_version": "1.0.0",
            "plan_name": "default", "plan_version": "1.0.0",
            "org_id": org_id, "org_name": org_name, "catalog_name": "prod",
            "developer_org_id": "dev-1", "developer_org_name": "partners",
            "request_method": method, "request_protocol": "https",
            "uri_path": format!("{}{}", api.base, path.replace("{id}", &self.random.below(9_999).to_string())),
            "resource_path": path, "query_string": "",
            "status_code": status,
            "bytes_received": self.random.below(2_000), "bytes_sent": 200 + self.random.below(20_000),
            "time_to_serve_request": total_ms,
            "latency_info": [
                { "task": "Start", "started": 0 },
                { "task": "security-appID", "started": gateway_ms / 3 },
                { "task": "proxy", "started": gateway_ms },
            ],
            "billing": { "amount": "0", "currency": "USD", "model": "free", "provider": "none", "trial_period_days": "0" },
            "gateway_ip": "9.79.12.126", "log_policy": "activity",
            "request_body": "", "response_body": "",
        });
        self.address(&mut event);
        self.headers(&mut event, status);
        event
    }

    fn status(&mut self) -> &'static str {
        let mut rest = self.random.below(1_000);
        for &(status, share) in STATUSES {
            if rest < share {
                return status;
            }
            rest -= share;
        }
        "200 OK"
    }

    fn address(&mut self, event: &mut Value) {
        if let (Some(address), Some(members)) =
            (self.random.pick_skewed(&self.addresses), event.as_object_mut())
        {
            members.insert("client_ip".to_owned(), json!(address));
        }
    }

    /// Half of the calls log headers; failed ones log their bodies, as the gateway's default does.
    fn headers(&mut self, event: &mut Value, status: &str) {
        let failed = !status.starts_with('2');
        let agent = self.random.pick_skewed(AGENTS).copied().unwrap_or_default();
        let Some(members) = event.as_object_mut() else { return };
        members.insert("http_user_agent".to_owned(), json!(agent));
        if !failed && self.random.below(2) == 0 {
            return;
        }
        let policy = if failed { "payload" } else { "header" };
        members.insert("log_policy".to_owned(), json!(policy));
        let request = json!([
            { "Host": "api.example.com" }, { "User-Agent": agent }, { "Accept": "application/json" },
            { "Accept-Language": "en-US,en;q=0.5" }, { "Content-Type": "application/json" },
            { "Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.demo" },
            { "X-Global-Transaction-ID": self.number.to_string() },
        ]);
        members.insert("request_http_headers".to_owned(), request);
        let response = json!([
            { "Content-Type": "application/json" }, { "X-RateLimit-Remaining": "99" },
        ]);
        members.insert("response_http_headers".to_owned(), response);
        if failed {
            let body = json!({ "error": status }).to_string();
            members.insert("response_body".to_owned(), json!(body));
        }
    }
}

fn text_of(time: Millis) -> String {
    DateTime::from_timestamp_millis(time)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A small generator of numbers (SplitMix64, Steele et al. 2014): repeatable, not secret.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(usize::try_from(self.below(all.len() as u64)).ok()?)
    }

    /// The first ones more often than the last ones.
    fn pick_skewed<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let end = 1 + self.below(all.len() as u64);
        all.get(usize::try_from(self.below(end)).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_calls() {
        let run = || {
            let mut calls = Calls::new(7);
            (0..50).map(|_| calls.next(1_700_000_000_000).to_string()).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        assert!(run().iter().any(|event| event.contains("\"log_policy\":\"header\"")));
    }
}
