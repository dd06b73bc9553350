//! Row by row.

use std::time::Duration;

use sluice::metrics::{ItemVerdict, RequestEnd};

use super::{Bench, bulk, of, until, words};
use crate::support::fake_index::{ALWAYS, FakeIndex, Fault, When, item, reasoned, request};

const SHARD_LIMIT: &str = "Validation Failed: 1: this action would add [2] shards, but this \
                           cluster currently has [1000]/[1000] maximum normal shards open;";

/// Four documents, the fault, and what becomes of the four.
async fn check(when: When, fault: Fault, times: usize, expected: [&str; 4]) {
    let fake = FakeIndex::start().await;
    let context = format!("{when:?} {fault:?}");
    fake.plan(when, fault, times);
    let mut settings = of(&fake);
    settings.request_timeout = Duration::from_millis(500);
    settings.blocked_index_wait = Duration::from_millis(30);
    let bench = Bench::new(&settings);
    let verdicts = bench.index.deliver(bulk(&["1", "2", "3", "4"])).await;
    assert_eq!(words(&verdicts), expected, "{context}");
    assert!(bench.health.is_ready(), "{context}");
    assert_eq!(bench.metrics.cluster_holds.get(), 0, "{context}");
    let kept = expected.iter().filter(|word| ["created", "duplicate"].contains(word)).count();
    assert_eq!(fake.documents().len(), kept, "{context}");
}

const GOOD: [&str; 4] = ["created"; 4];
const THERE: [&str; 4] = ["duplicate"; 4];

fn second(word: &'static str) -> [&'static str; 4] {
    ["created", word, "created", "created"]
}

#[tokio::test]
async fn created_then_duplicate() {
    let fake = FakeIndex::start().await;
    let bench = Bench::new(&of(&fake));
    assert_eq!(words(&bench.index.deliver(bulk(&["1", "2"])).await), ["created"; 2]);
    let again = bench.index.deliver(bulk(&["1", "2", "3"])).await;
    assert_eq!(words(&again), ["duplicate", "duplicate", "created"]);
    assert_eq!(bench.metrics.verdicts[ItemVerdict::Duplicate.index()].get(), 2);
    assert_eq!(bench.metrics.requests[RequestEnd::Answered.index()].get(), 2);
    assert!(bench.metrics.index_received_bytes.get() > 0);
}

#[tokio::test]
async fn an_item_that_is_asked_to_wait_goes_again_alone() {
    for (status, kind) in [
        (429, "es_rejected_execution_exception"),
        (429, "circuit_breaking_exception"),
        (503, "unavailable_shards_exception"),
        (500, "exception"),
        (504, "timeout_exception"),
    ] {
        check(When::Id("2"), item(status, kind), 3, GOOD).await;
    }
    let fake = FakeIndex::start().await;
    fake.plan(When::Id("2"), item(503, "unavailable_shards_exception"), 2);
    Bench::new(&of(&fake)).index.deliver(bulk(&["1", "2", "3"])).await;
    assert_eq!(fake.seen(), [vec!["1", "2", "3"], vec!["2"], vec!["2"]]);
}

#[tokio::test]
async fn a_request_without_a_verdict_goes_again() {
    for status in [429, 500, 502, 503, 504] {
        check(When::Request(0), request(status, "unavailable"), 1, GOOD).await;
    }
    check(When::Any, Fault::Cut, 3, GOOD).await;
    check(When::Any, Fault::Html, 2, GOOD).await;
}

#[tokio::test]
async fn what_was_kept_without_an_answer_is_a_duplicate_the_next_time() {
    check(When::Request(0), Fault::CutReply, 1, THERE).await;
    check(When::Request(0), Fault::Garbage, 1, THERE).await;
    check(When::Request(0), Fault::WrongCount, 1, THERE).await;
    check(When::Request(0), Fault::Slow(Duration::from_secs(30)), 1, THERE).await;
}

#[tokio::test]
async fn a_refused_request_is_split_until_the_bad_item_is_alone() {
    check(When::Id("2"), request(413, "too_large"), ALWAYS, second("too_large")).await;
    let bad = request(400, "action_request_validation_exception");
    check(When::Id("2"), bad, ALWAYS, second("request_refused")).await;
}

#[tokio::test]
async fn splitting_finds_exactly_the_bad_ones() {
    let fake = FakeIndex::start().await;
    let ids = super::ids("d", 64);
    let bad = ["d3", "d31", "d32", "d63"];
    for id in bad {
        fake.plan(When::Id(id), request(400, "action_request_validation_exception"), ALWAYS);
    }
    let bench = Bench::new(&of(&fake));
    let verdicts = bench.index.deliver(bulk(&ids)).await;
    for (id, word) in ids.iter().zip(words(&verdicts)) {
        let expected = if bad.contains(&id.as_str()) { "request_refused" } else { "created" };
        assert_eq!(word, expected, "{id}");
    }
    assert_eq!(fake.documents().len(), 60);
}

#[tokio::test]
async fn after_413_bodies_stay_below() {
    let fake = FakeIndex::start().await;
    fake.plan(When::BodyOver(200_000), request(413, "too_large"), ALWAYS);
    let bench = Bench::new(&of(&fake));
    let ids = super::ids(&"x".repeat(400), 400);
    let verdicts = bench.index.deliver(bulk(&ids)).await;
    assert_eq!(words(&verdicts), vec!["created"; 400]);
    let refused = fake.struck()[0];
    let again = bench.index.deliver(bulk(&ids)).await;
    assert_eq!(words(&again), vec!["duplicate"; 400]);
    assert_eq!(fake.struck()[0], refused, "no request is refused twice for its size");
}

#[tokio::test]
async fn a_blocked_index_is_waited_for() {
    for (status, kind) in [
        (403, "cluster_block_exception"),
        (429, "cluster_block_exception"),
        (400, "index_closed_exception"),
    ] {
        check(When::Id("2"), item(status, kind), ALWAYS, second("index_blocked")).await;
        check(When::Id("2"), item(status, kind), 1, GOOD).await;
    }
}

/// Held: nothing is given back, readiness and the metric say why; mended: everything is created.
async fn held(when: When, fault: Fault, why: &str) {
    let fake = FakeIndex::start().await;
    fake.plan(when, fault, ALWAYS);
    let mut settings = of(&fake);
    settings.item_retry_max = Duration::ZERO;
    settings.blocked_index_wait = Duration::ZERO;
    let bench = Bench::new(&settings);
    let mend = async {
        until(why, || bench.why_not_ready().contains(why) && fake.struck()[0] > 4).await;
        assert_eq!(bench.metrics.cluster_holds.get(), 1, "{why}");
        fake.mend();
    };
    let (verdicts, ()) = futures::join!(bench.index.deliver(bulk(&["1", "2", "3", "4"])), mend);
    assert_eq!(words(&verdicts), GOOD, "{why}");
    assert!(bench.health.is_ready());
    assert_eq!(bench.metrics.cluster_holds.get(), 0, "{why}");
}

#[tokio::test]
async fn the_clusters_fault_holds_for_as_long_as_it_takes() {
    held(When::Any, request(401, "security_exception"), "401 (security_exception)").await;
    held(When::Any, request(403, "security_exception"), "403 (security_exception)").await;
    held(When::Any, request(404, "no_such_path"), "404 (no_such_path)").await;
    held(When::Id("2"), item(403, "security_exception"), "security_exception").await;
    held(When::Id("2"), item(404, "index_not_found_exception"), "index_not_found").await;
    held(When::Id("2"), reasoned(400, "validation_exception", SHARD_LIMIT), "shards").await;
}

#[tokio::test]
async fn other_refusals_are_for_good() {
    for (status, kind) in [
        (400, "document_parsing_exception"),
        (400, "mapper_parsing_exception"),
        (400, "strict_dynamic_mapping_exception"),
        (400, "invalid_index_name_exception"),
        (400, "illegal_argument_exception"),
        (400, "validation_exception"),
        (404, "document_missing_exception"),
    ] {
        check(When::Id("2"), item(status, kind), ALWAYS, second("index_refused")).await;
    }
    check(When::Id("2"), Fault::FailureStore, ALWAYS, second("index_refused")).await;
}

#[tokio::test]
async fn a_refusal_carries_type_and_text() {
    let fake = FakeIndex::start().await;
    let reason = format!("failed to parse 'secret' {}", "é".repeat(9_000));
    fake.plan(When::Any, reasoned(400, "document_parsing_exception", &reason), 1);
    let verdicts = Bench::new(&of(&fake)).index.deliver(bulk(&["1"])).await;
    let sluice::deliver::index::Verdict::Refused(refusal) = &verdicts[0] else { panic!() };
    assert_eq!(refusal.error_type, "document_parsing_exception");
    assert!(refusal.error.contains("'secret'") && refusal.error.len() <= 8 * 1024);
}
