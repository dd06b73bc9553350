//! The brake and the hostage rule.

use std::time::Duration;

use sluice::outcome::Reason;

use super::{Bench, bulk, count, ids, of, until, words};
use crate::support::fake_index::{ALWAYS, FakeIndex, Fault, When, item};

fn refused() -> Fault {
    item(400, "document_parsing_exception")
}

/// So many refused among so many, given to the index at once.
async fn fake_refusing(fault: &Fault, bad: usize) -> FakeIndex {
    let fake = FakeIndex::start().await;
    for id in ids("bad", bad) {
        fake.plan(When::Named(id), fault.clone(), ALWAYS);
    }
    fake
}

fn mixed(good: usize, bad: usize) -> Vec<String> {
    [ids("good", good), ids("bad", bad)].concat()
}

async fn lets_through(good: usize, bad: usize) {
    let fake = fake_refusing(&refused(), bad).await;
    let bench = Bench::new(&of(&fake));
    let verdicts = bench.index.deliver(bulk(&mixed(good, bad))).await;
    assert_eq!(count(&verdicts, Reason::IndexRefused), bad, "{good} good, {bad} bad");
    assert_eq!(bench.metrics.brake_engaged.get(), 0);
}

#[tokio::test]
async fn refusals_that_are_few_or_not_most_go_to_the_dead_letters() {
    lets_through(0, 99).await;
    lets_through(100, 100).await;
    lets_through(500, 120).await;
}

/// Engages, holds over several tries, and ends by `end`.
async fn engages(fault: Fault, end: impl Fn(&FakeIndex, &Bench), expected: &str) {
    let fake = fake_refusing(&fault, 150).await;
    let mut settings = of(&fake);
    settings.item_retry_max = Duration::ZERO;
    settings.blocked_index_wait = Duration::ZERO;
    let bench = Bench::new(&settings);
    let watch = async {
        until("the brake", || bench.metrics.brake_engaged.get() == 1).await;
        let tries = fake.requests();
        until("more tries", || fake.requests() > tries + 3).await;
        assert!(bench.why_not_ready().contains("brake"), "{}", bench.why_not_ready());
        end(&fake, &bench);
    };
    let (verdicts, ()) = futures::join!(bench.index.deliver(bulk(&mixed(50, 150))), watch);
    let words = words(&verdicts);
    assert_eq!(words[..50], vec!["created"; 50]);
    assert_eq!(words[50..], vec![expected; 150]);
    assert_eq!(bench.metrics.brake_engaged.get(), 0);
    assert!(bench.health.is_ready(), "{}", bench.why_not_ready());
}

#[tokio::test]
async fn holds_until_the_cluster_is_mended() {
    let mend = |fake: &FakeIndex, _: &Bench| fake.mend();
    engages(refused(), mend, "created").await;
    // Both of these count too, when their time is over.
    engages(item(429, "es_rejected_execution_exception"), mend, "created").await;
    engages(item(403, "cluster_block_exception"), mend, "created").await;
}

#[tokio::test]
async fn holds_until_the_operator_lets_go() {
    let off = |_: &FakeIndex, bench: &Bench| bench.index.switch_brake(false);
    engages(refused(), off, "index_refused").await;
    engages(item(429, "es_rejected_execution_exception"), off, "retry_exhausted").await;
    engages(item(403, "cluster_block_exception"), off, "index_blocked").await;
}

#[tokio::test]
async fn switched_off_from_the_start_it_never_engages() {
    let fake = fake_refusing(&refused(), 150).await;
    let mut settings = of(&fake);
    settings.brake.on = false;
    let bench = Bench::new(&settings);
    let verdicts = bench.index.deliver(bulk(&ids("bad", 150))).await;
    assert_eq!(count(&verdicts, Reason::IndexRefused), 150);
}

#[tokio::test]
async fn refused_requests_engage_it_without_taking_everything_apart() {
    let fake = FakeIndex::start().await;
    fake.plan(When::Any, crate::support::fake_index::request(400, "illegal_argument"), ALWAYS);
    let bench = Bench::new(&of(&fake));
    let watch = async {
        until("the brake", || bench.metrics.brake_engaged.get() == 1).await;
        assert!(fake.requests() < 1_000, "{}", fake.requests());
        fake.mend();
    };
    let (verdicts, ()) = futures::join!(bench.index.deliver(bulk(&ids("d", 1_000))), watch);
    assert_eq!(words(&verdicts), vec!["created"; 1_000]);
}

#[tokio::test]
async fn an_item_does_not_keep_the_others_hostage() {
    let fake = FakeIndex::start().await;
    fake.plan(When::Id("2"), item(429, "es_rejected_execution_exception"), ALWAYS);
    let mut settings = of(&fake);
    settings.item_retry_max = Duration::from_millis(50);
    let bench = Bench::new(&settings);
    let verdicts = bench.index.deliver(bulk(&["1", "2"])).await;
    assert_eq!(words(&verdicts), ["created", "retry_exhausted"]);
    assert!(fake.struck()[0] > 1);
}

#[tokio::test]
async fn while_nothing_is_accepted_an_item_waits_for_ever() {
    let fake = FakeIndex::start().await;
    fake.plan(When::Id("2"), item(429, "es_rejected_execution_exception"), ALWAYS);
    let mut settings = of(&fake);
    settings.item_retry_max = Duration::from_millis(20);
    let bench = Bench::new(&settings);
    let delivery = bench.index.deliver(bulk(&["2"]));
    let other = async {
        until("many tries", || fake.struck()[0] > 20).await;
        // Now another is accepted: this one is refused, not the cluster.
        bench.index.deliver(bulk(&["1"])).await
    };
    let (verdicts, other) = futures::join!(delivery, other);
    assert_eq!(words(&other), ["created"]);
    assert_eq!(words(&verdicts), ["retry_exhausted"]);
}

#[tokio::test]
async fn an_index_that_was_away_has_refused_nothing() {
    let fake = FakeIndex::start().await;
    // The first is accepted, then nobody answers for longer than `item_retry_max`, then the
    // index is busy for a moment.
    fake.plan(When::Request(0), item(503, "unavailable_shards_exception"), 1);
    for number in 1..12 {
        fake.plan(When::Request(number), Fault::Cut, 1);
    }
    fake.plan(When::Request(12), item(429, "es_rejected_execution_exception"), 1);
    let mut settings = of(&fake);
    settings.backoff_min = Duration::from_millis(20);
    settings.item_retry_max = Duration::from_millis(40);
    let bench = Bench::new(&settings);
    let verdicts = bench.index.deliver(bulk(&["1", "2"])).await;
    assert_eq!(words(&verdicts), ["created"; 2]);
}
