//! Load: records of the live topic, as the pipeline writes them.

use std::fmt::Write as _;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};

use super::driver::now_us;
use super::server::AREA;

/// Ends the bench where a record cannot be written.
struct Loud;

impl ClientContext for Loud {}

impl ProducerContext for Loud {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            println!("a record was not written: {error}");
            std::process::exit(1);
        }
    }
}

pub(crate) struct Feed {
    producer: ThreadedProducer<Loud>,
    topic: String,
    partition: i32,
    /// Events so far.
    pub(crate) made: u64,
    payload: String,
}

impl Feed {
    pub(crate) fn new(brokers: &str, topic: &str, partition: i32) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("linger.ms", "0")
            .set("batch.size", "1000000")
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", "262144")
            .create_with_context(Loud)
            .unwrap();
        Self { producer, topic: topic.to_owned(), partition, made: 0, payload: String::new() }
    }

    /// One record of so many events of about so many bytes.
    pub(crate) fn record(&mut self, events: u64, event_bytes: usize) {
        self.payload.clear();
        for _ in 0..events {
            put_event(&mut self.payload, self.made, event_bytes);
            self.made += 1;
        }
        self.send(BaseRecord::to(&self.topic).key(AREA).payload(&self.payload));
    }

    /// One record as it is.
    pub(crate) fn whole(&mut self, event: &str) {
        self.made += 1;
        self.send(BaseRecord::to(&self.topic).payload(event));
    }

    fn send(&self, record: BaseRecord<'_, str, str>) {
        let mut record = record.partition(self.partition);
        while let Err((_full, back)) = self.producer.send(record) {
            self.producer.flush(Duration::from_millis(20)).unwrap_or_default();
            record = back;
        }
    }

    pub(crate) fn flush(&self) {
        self.producer.flush(Duration::from_secs(60)).unwrap();
    }
}

/// An event with the fields that listeners look at, filled up with a path.
fn put_event(out: &mut String, number: u64, bytes: usize) {
    let start = out.len();
    let status = [200, 200, 200, 404, 503][(number % 5) as usize];
    write!(
        out,
        r#"{{"bench_made_us":{},"@timestamp":"2026-01-15T10:00:01.500Z","event_id":"AZvBGQEAtWJIApQA{number:016x}","datetime":"2026-01-15T10:00:00.766Z","org_id":"bench","org_name":"macs-shack","api_name":"accountservice","api_version":"1.0.0","product_name":"retail","plan_name":"default","request_method":"POST","status":{status},"status_code":"{status}","time_to_serve_request":{},"bytes_sent":{},"client_ip":"9.20.152.215","client_geoip":{{"country_code2":"US","city_name":"Durham"}},"uri_path":"/macs-shack/sb/AccountService/{number}/"#,
        now_us(),
        number % 977,
        number % 4_096,
    )
    .unwrap();
    let missing = bytes.saturating_sub(out.len() - start + 2);
    out.extend(std::iter::repeat_n("item/", missing / 5));
    out.push_str("\"}\n");
}

pub(crate) fn delete(brokers: &str, topics: &[&str]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.delete_topics(topics, &AdminOptions::new())).unwrap();
}
