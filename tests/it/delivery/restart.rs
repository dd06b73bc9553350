//! A process that is killed, and the one that follows it: until the group gives it partitions it
//! says what it waits for.

use std::time::Duration;

use crate::stream::process::Served;
use crate::stream::upstream::index;
use crate::support::fake_index::FakeIndex;
use crate::support::rig::{Kafka, until};

const EVENT: &str = r#"{"org_id":"acme"}"#;
/// The mock cluster takes a second less for any rebalance of a group that is there.
const SETTINGS: &str = "roles = [\"ingest\"]\nkafka.session_timeout = \"12s\"\n";
const WAITING: &str = "waiting for the consumer group sluice to assign partitions; a member that \
                       was killed or cut off holds them up to kafka.session_timeout";

/// Returns when `/readyz` says this.
async fn says(of: &Served, wanted: &str) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let said = async {
        while !of.readiness().await.contains(wanted) {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(40), said).await.expect(wanted);
}

/// A process that has the partition.
async fn first(kafka: &Kafka, index: &FakeIndex) -> Served {
    let mut first = Served::with_index(kafka, SETTINGS, &index.url());
    first.run();
    kafka.produce(0, [Some(EVENT)]);
    until("the first has the partition", || index.documents().len() == 1).await;
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_killed_process_says_what_it_waits_for() {
    let kafka = Kafka::quick(1);
    let index = index().await;
    let mut killed = first(&kafka, &index).await;
    killed.kill();
    let mut next = Served::with_index(&kafka, SETTINGS, &index.url());
    next.run();
    says(&next, WAITING).await;
    kafka.produce(0, [Some(EVENT)]);
    until("the next has the partition", || index.documents().len() == 2).await;
    says(&next, "ready\n").await;
    let log = next.ended();
    assert_eq!(log.matches(WAITING).count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_too_many_waits_for_nothing() {
    let kafka = Kafka::quick(1);
    let index = index().await;
    let mut first = first(&kafka, &index).await;
    let mut second = Served::with_index(&kafka, SETTINGS, &index.url());
    second.run();
    says(&second, WAITING).await;
    says(&second, "ready\n").await;
    let (first, second) = (first.ended(), second.ended());
    assert!(first.contains("partitions are ours partitions=1"), "{first}");
    assert!(!second.contains("partitions are ours partitions=1"), "{second}");
}
