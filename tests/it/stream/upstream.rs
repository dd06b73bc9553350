//! The index is away and the window of in-flight bytes is full: a listener of a replica that takes
//! no events itself is told so, and that it is over.

use serde_json::json;
use sluice::config::pipeline::PipelineSpec;
use sluice::config::settings::IndexSettings;
use sluice::deliver::index::template::{Family, Target, templates};

use tokio::time::{interval, timeout};

use super::process::Served;
use super::*;
use crate::support::fake_index::{ALWAYS, FakeIndex, When, request};
use crate::support::rig::Live;

const EVENTS: usize = 400;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn index() -> FakeIndex {
    let fake = FakeIndex::start().await;
    let (settings, pipelines) = (IndexSettings::default(), [PipelineSpec::new("test")]);
    let family = Family::Elasticsearch;
    let target = Target { family, lifecycle: false, settings: &settings, pipelines: &pipelines };
    for template in templates(&target) {
        fake.put_template(&template.name, template.body);
    }
    fake
}

/// Of about 10 KB.
fn event(number: usize) -> String {
    let body = "a".repeat(10_000);
    json!({ "org_id": "acme", "transaction_id": number.to_string(), "request_body": body })
        .to_string()
}

/// The next status that says so; answers the events that came before it, and is told no other
/// thing.
async fn status(client: &mut Client, stalled: bool, heard: &mut Vec<usize>) {
    loop {
        let message = client.any_message().await;
        if message.get("status").is_some_and(|status| status["upstream_stalled"] == json!(true)) {
            if stalled {
                return;
            }
        } else if message.get("status").is_some() && !stalled {
            return;
        }
        let events = message["data"].as_array().into_iter().flatten();
        heard.extend(
            events.map(|event| event["transaction_id"].as_str().unwrap().parse::<usize>().unwrap()),
        );
    }
}

/// Hears all that is left of so many events, in order, and that they go on.
async fn rest(client: &mut Client, heard: &mut Vec<usize>, events: usize) {
    let rest = async {
        while heard.len() < events {
            status(client, false, heard).await;
        }
    };
    timeout(PATIENCE, rest).await.expect("the rest of the events, and a status that says so");
    assert_eq!(*heard, (0..events).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_anywhere_is_told_that_no_events_are_taken() {
    let rig = Rig::start(1 << 20).await;
    let index = index().await;
    index.plan(When::Any, request(503, "unavailable"), ALWAYS);
    let mut client = rig.client("ndjson", "key=good&earliest").await;
    rig.kafka.produce(0, (0..EVENTS).map(|number| Some(event(number))));
    let more = "roles = [\"ingest\"]\nlimits.in_flight_bytes_max = \"1 MiB\"\n\
                index.batch_bytes_max = \"256 KiB\"\nindex.backoff_max = \"200ms\"\n";
    let mut served = Served::with_index(&rig.kafka, more, &index.url());
    served.run();
    let mut heard = Vec::new();
    let told = timeout(PATIENCE, status(&mut client, true, &mut heard)).await;
    assert!(told.is_ok(), "{} events came; {}", heard.len(), served.ended());
    let before = heard.len();
    assert!(before < EVENTS, "{before}");
    index.mend();
    rest(&mut client, &mut heard, EVENTS).await;
    let log = served.ended();
    assert!(
        log.contains("what was taken is not delivered")
            && log.contains("events are delivered again"),
        "{log}"
    );
}

/// Few events: long before their bytes fill the window no further batch is begun.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_told_of_a_standstill_that_is_small() {
    let rig = Rig::start(1 << 20).await;
    let index = index().await;
    index.plan(When::Any, request(503, "unavailable"), ALWAYS);
    let mut client = rig.client("ndjson", "key=good&earliest").await;
    let mut served = Served::with_index(
        &rig.kafka,
        "roles = [\"ingest\"]\nindex.batch_age_max = \"50ms\"\nindex.backoff_max = \"200ms\"\n",
        &index.url(),
    );
    served.run();
    let mut heard = Vec::new();
    let mut number = 0;
    let mut pace = interval(Duration::from_millis(20));
    let producing = async {
        loop {
            let event = json!({ "org_id": "acme", "transaction_id": number.to_string() });
            rig.kafka.produce(0, [Some(event.to_string())]);
            number += 1;
            pace.tick().await;
        }
    };
    let told = tokio::select! {
        told = timeout(PATIENCE, status(&mut client, true, &mut heard)) => told,
        () = producing => unreachable!(),
    };
    assert!(told.is_ok(), "{} events came of {number}; {}", heard.len(), served.ended());
    index.mend();
    rest(&mut client, &mut heard, number).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_are_no_events_to_whoever_listens_or_catches_up() {
    // One ring holds everything, the other next to nothing.
    for ring_bytes_max in [1 << 20, 4_000] {
        let rig = Rig::start(ring_bytes_max).await;
        let live = Live::new(&rig.kafka.settings);
        for from in [0, 50] {
            rig.go_live(from..from + 50);
            live.put_marker(rig.partition);
        }
        let mut client = rig.client("ndjson", "key=good&earliest").await;
        let mut heard = client.events(100).await;
        live.put_marker(rig.partition);
        rig.go_live(100..110);
        heard.extend(client.events(10).await);
        assert_eq!(numbers(&heard), (0..110).collect::<Vec<_>>());
        // A marker stands right behind the cursor.
        let cursor = heard[99]["cursor"].as_str().unwrap();
        let mut next = rig.client("sse", &format!("key=good&cursor={cursor}")).await;
        assert_eq!(numbers(&next.events(10).await), (100..110).collect::<Vec<_>>());
    }
}
