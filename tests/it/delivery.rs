//! From Kafka to outcomes, over librdkafka's mock cluster: nothing is lost, nothing is counted
//! twice, and no commit overtakes an event.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use sluice::config::settings::Limits;
use sluice::deliver::mirror::{Spread, partition_of};
use sluice::metrics::CommitEnd;
use sluice::outcome::{Reason, Skip};

use crate::support::memory::{Held, Memory};
use crate::support::rig::{Choice, DEAD, EVENTS, Kafka, LIVE, LIVE_PARTITIONS, Member, until};

mod restart;

fn numbered(count: usize) -> impl Iterator<Item = Option<String>> {
    (0..count).map(|number| Some(format!("a{number}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_has_one_outcome() {
    let kafka = Kafka::start(2);
    let mixed = [Some("a1"), Some("bad1"), None, Some("b refuse"), Some("c2"), Some("bad2")];
    kafka.produce(0, mixed);
    kafka.produce(1, numbered(100));
    let index = Memory::default();
    let member = Member::start(&kafka, index.clone(), &Choice::default());
    until("all are settled", || member.snapshot().settled.events() == 106).await;
    let end = member.stop().await;
    assert_eq!((end.consumed, end.settled.created), (106, 102));
    assert_eq!(end.settled.dead_lettered[Reason::NotJson.index()], 2);
    assert_eq!(end.settled.dead_lettered[Reason::IndexRefused.index()], 1);
    assert_eq!(end.settled.skipped[Skip::Tombstone.index()], 1);
    assert_eq!(index.documents(), 102);
    assert_eq!(kafka.committed(2), [Some(6), Some(100)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_events_come_one_by_one_none_waits_until_a_chunk_is_full() {
    let kafka = Kafka::quick(1);
    let choice = Choice { limits: Limits::default(), ..Choice::default() };
    let chunk = choice.limits.chunk_messages_max;
    let member = Member::start(&kafka, Memory::default(), &choice);
    kafka.produce(0, [Some("a1")]);
    until("the partition is read", || member.snapshot().settled.events() == 1).await;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.cluster.bootstrap_servers()).set("linger.ms", "0");
    let producer: BaseProducer = config.create().unwrap();
    let mut more = 0;
    while member.snapshot().settled.events() == 1 {
        producer
            .send(BaseRecord::<(), str>::to(EVENTS).partition(0).payload("a1"))
            .map_err(|(error, _)| error)
            .unwrap();
        // So many a second that there is never a pause, and not so many that a chunk fills at once.
        producer.poll(Duration::from_millis(10));
        more += 1;
        assert!(more < chunk - 10, "{more} events wait");
    }
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_holds_the_original_bytes_and_says_why() {
    let kafka = Kafka::start(1);
    kafka.produce(0, [Some("a1"), Some("bad \u{e9}"), Some("b refuse")]);
    let member = Member::start(&kafka, Memory::default(), &Choice::default());
    until("all are settled", || member.snapshot().settled.events() == 3).await;
    member.stop().await;
    let mut letters = kafka.read(DEAD, 1, 2);
    letters.sort_by(|one, other| one.headers["sluice.offset"].cmp(&other.headers["sluice.offset"]));
    let expected = [
        ("bad \u{e9}", "not_json", "1", Some("no JSON"), None),
        ("b refuse", "index_refused", "2", None, Some("document_parsing_exception")),
    ];
    for (letter, (value, reason, offset, detail, error_type)) in letters.iter().zip(expected) {
        let header = |name: &str| letter.headers.get(name).map(String::as_str);
        assert_eq!(letter.value, value.as_bytes());
        assert_eq!(header("sluice.reason"), Some(reason));
        assert_eq!(header("sluice.topic"), Some("events"));
        assert_eq!(header("sluice.partition"), Some("0"));
        assert_eq!(header("sluice.offset"), Some(offset));
        assert_eq!(header("sluice.index"), Some("0"));
        assert_eq!(header("sluice.timestamp"), Some("1700000000000"));
        assert_eq!(header("sluice.pipeline"), Some("gateway"));
        assert_eq!(header("sluice.version"), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(header("sluice.detail"), detail);
        assert_eq!(header("sluice.error_type"), error_type);
        assert_eq!(header("sluice.error").is_some(), error_type.is_some());
        assert_eq!(header("sluice.truncated"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_too_large_for_its_topic_is_a_prefix() {
    let kafka = Kafka::start(1);
    let large = format!("bad{}", "x".repeat(50_000));
    kafka.produce(0, [Some(large.as_str()), Some("a1")]);
    let choice = Choice { dead_bytes_max: 20_000, live_bytes_max: 20_000, ..Choice::default() };
    let member = Member::start(&kafka, Memory::default(), &choice);
    until("all are settled", || member.snapshot().settled.events() == 2).await;
    member.stop().await;
    let letters = kafka.read(DEAD, 1, 1);
    assert_eq!(letters[0].headers["sluice.truncated"], "true");
    assert!(large.as_bytes().starts_with(&letters[0].value));
    assert!((5_000..20_000).contains(&letters[0].value.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_area_that_is_spread_keeps_the_order_of_each_partition_of_the_source() {
    const SOURCES: i32 = 3;
    let kafka = Kafka::start(SOURCES);
    let events = |source: i32| (0..60).map(move |n| format!("{}{source}.{n}", ["a", "b"][n % 2]));
    (0..SOURCES).for_each(|source| kafka.produce(source, events(source).map(Some)));
    let spread = BTreeMap::from([("a".to_owned(), 2)]);
    let choice = Choice { spread: spread.clone(), ..Choice::default() };
    let member = Member::start(&kafka, Memory::default(), &choice);
    until("all are settled", || member.snapshot().settled.events() == 180).await;
    let records = usize::try_from(member.metrics.mirrored_records.get()).unwrap();
    member.stop().await;
    let records = kafka.read(LIVE, LIVE_PARTITIONS.cast_signed(), records);
    let spread = Spread::new(LIVE_PARTITIONS, &spread);
    assert_eq!((spread.lanes("a").len(), spread.lanes("b").len()), (2, 1));
    for (area, source) in
        ["a", "b"].into_iter().flat_map(|area| (0..SOURCES).map(move |source| (area, source)))
    {
        let begins = format!("{area}{source}.");
        let mut lines = Vec::new();
        for record in &records {
            let text = str::from_utf8(&record.value).unwrap();
            let of_source: Vec<_> = text.lines().filter(|line| line.starts_with(&begins)).collect();
            if of_source.is_empty() {
                continue;
            }
            assert_eq!(record.partition, spread.partition_for(area, source));
            // Readers of fewer learn of it.
            let lanes = record.headers.get("sluice.lanes").map(String::as_str);
            assert_eq!(lanes, (area == "a").then_some("2"));
            lines.extend(of_source);
        }
        let expected: Vec<_> = events(source).filter(|event| event.starts_with(area)).collect();
        assert_eq!(lines, expected, "{begins}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_topic_has_every_document_in_its_areas_order() {
    let kafka = Kafka::start(1);
    let events: Vec<_> = (0..300).map(|n| format!("{}{n}", ["a", "b", "c"][n % 3])).collect();
    kafka.produce(0, events.iter().map(Some));
    let choice = Choice { live_bytes_max: 1_024 + 40, ..Choice::default() };
    let member = Member::start(&kafka, Memory::default(), &choice);
    until("all are settled", || member.snapshot().settled.events() == 300).await;
    let records = usize::try_from(member.metrics.mirrored_records.get()).unwrap();
    member.stop().await;
    let records = kafka.read(LIVE, 4, records);
    for area in ["a", "b", "c"] {
        let of_area: Vec<_> = records.iter().filter(|record| record.key == area).collect();
        let mut lines = Vec::new();
        for record in of_area {
            assert_eq!(u32::try_from(record.partition), Ok(partition_of(area, 4)));
            assert_eq!(record.headers["sluice.schema"], "1");
            assert!(record.value.len() <= 40);
            let text = String::from_utf8(record.value.clone()).unwrap();
            lines.extend(text.lines().map(str::to_owned));
        }
        let expected: Vec<_> = events.iter().filter(|event| event.starts_with(area)).collect();
        assert_eq!(lines.iter().collect::<Vec<_>>(), expected);
    }
}

/// The index holds one batch back; whatever else settles meanwhile, no commit passes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_never_covers_an_unsettled_event() {
    let checks = ["0/0", "1/30", "2/120"].map(|held| async move {
        let kafka = Kafka::start(3);
        for partition in 0..3 {
            kafka.produce(partition, numbered(200));
        }
        let index = Memory::holding(Held::With(held));
        let choice = Choice { batch_bytes_max: 300, ..Choice::default() };
        let member = Member::start(&kafka, index.clone(), &choice);
        until("the batch is held", || index.waiting().is_some()).await;
        let created = || usize::try_from(member.snapshot().settled.created).unwrap();
        until("others overtake it", || created() < index.documents()).await;
        // Batches settle in order: before the first one there may be nothing to commit.
        let commits = &member.metrics.commits[CommitEnd::Done.index()];
        until("something was committed", || created() == 0 || commits.get() > 0).await;
        let first = index.waiting().unwrap();
        for _ in 0..3 {
            for (partition, committed) in kafka.committed(3).iter().enumerate() {
                for id in &first {
                    let (of, offset) = id.split_once('/').unwrap();
                    let offset: i64 = offset.parse().unwrap();
                    if of == partition.to_string() {
                        assert!(committed.is_none_or(|at| at <= offset), "{id} was overtaken");
                    }
                }
            }
        }
        assert!(member.snapshot().in_flight > 0);
        index.let_go();
        until("all are settled", || member.snapshot().settled.created == 600).await;
        until("all are committed", || kafka.committed(3) == [Some(200); 3]).await;
        member.stop().await;
    });
    futures::future::join_all(checks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_is_sent_again() {
    let kafka = Kafka::start(1);
    kafka.produce(0, numbered(100));
    let denied = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 3];
    kafka.cluster.request_errors(RDKafkaApiKey::OffsetCommit, &denied);
    let member = Member::start(&kafka, Memory::default(), &Choice::default());
    let [done, failed] = &member.metrics.commits;
    until("it was denied", || failed.get() == 3).await;
    until("it was sent again", || done.get() > 0).await;
    until("all are committed", || kafka.committed(1) == [Some(100)]).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_is_in_flight() {
    let kafka = Kafka::start(1);
    kafka.produce(0, numbered(100));
    let index = Memory::holding(Held::First);
    let member = Member::start(&kafka, index.clone(), &Choice::default());
    until("the batch is held", || index.waiting().is_some()).await;
    member.shutdown.drain.cancel();
    until("polling has ended", || member.snapshot().in_flight > 0).await;
    index.let_go();
    let end = member.stop().await;
    assert_eq!(end.settled.handed_over, 0);
    let taken = i64::try_from(end.consumed).unwrap();
    assert_eq!(kafka.committed(1), [Some(taken)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_deadline_a_stop_hands_over_and_nothing_is_lost() {
    let kafka = Kafka::start(1);
    kafka.produce(0, numbered(100));
    let index = Memory::holding(Held::With("0/20"));
    let limits =
        Limits { shutdown_deadline: Duration::from_millis(300), ..Choice::default().limits };
    let choice = Choice { limits, batch_bytes_max: 300, ..Choice::default() };
    let member = Member::start(&kafka, index.clone(), &choice);
    until("the batch is held", || index.waiting().is_some()).await;
    let end = member.stop().await;
    assert!(end.settled.handed_over > 0);
    let committed = kafka.committed(1)[0].unwrap();
    assert!(committed < 100);
    assert!((0..committed).all(|offset| index.has(&format!("0/{offset}"))));

    index.let_go();
    let next = Member::start(&kafka, index.clone(), &Choice::default());
    until("all are there", || index.documents() == 100).await;
    next.stop().await;
    assert_eq!(kafka.committed(1), [Some(100)]);
}

/// A second member joins in mid-stream: partitions change hands, each event ends up in the index
/// under its one id, and both members' books balance.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_change_hands_without_loss() {
    let kafka = Kafka::start(4);
    for partition in 0..4 {
        kafka.produce(partition, numbered(300));
    }
    let index = Memory::default();
    let first = Member::start(&kafka, index.clone(), &Choice::default());
    until("the first is at work", || index.documents() > 0).await;
    let second = Member::start(&kafka, index.clone(), &Choice::default());
    until("the second has its share", || {
        second.metrics.partitions_held.get() == 2 && first.metrics.partitions_held.get() == 2
    })
    .await;
    for partition in 0..4 {
        kafka.produce(partition, numbered(300));
    }
    until("all are there", || index.documents() == 2_400).await;
    let (first, second) = (first.stop().await, second.stop().await);
    assert!(second.consumed >= 600);
    let created = first.settled.created + second.settled.created;
    assert_eq!(created, 2_400);
    assert_eq!(kafka.committed(4), [Some(600); 4]);
}

/// What is still in flight of a revoked partition at the deadline is handed over, and its late
/// outcome is neither counted nor committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoke_waits_until_its_deadline() {
    let kafka = Kafka::start(2);
    kafka.produce(0, numbered(50));
    kafka.produce(1, numbered(50));
    let index = Memory::holding(Held::First);
    let limits = Limits { revoke_deadline: Duration::from_millis(500), ..Choice::default().limits };
    let choice = Choice { limits, batch_bytes_max: 1 << 20, ..Choice::default() };
    let first = Member::start(&kafka, index.clone(), &choice);
    until("the batch is held", || index.waiting().is_some()).await;
    let second = Member::start(&kafka, index.clone(), &Choice::default());
    until("a partition was handed over", || first.snapshot().settled.handed_over > 0).await;
    // A batch behind the held one may be in the index and not settled: then it comes as duplicates.
    let settled = || second.snapshot().settled;
    until("the second has it", || settled().created + settled().duplicate > 0).await;
    index.let_go();
    until("all are there", || index.documents() == 100).await;
    let (first, second) = (first.stop().await, second.stop().await);
    assert_eq!(first.consumed, first.settled.events());
    assert_eq!(second.settled.handed_over, 0);
    assert_eq!(kafka.committed(2), [Some(50); 2]);
}

/// With the index standing still, what is taken stays within the bound, and all of it arrives
/// when it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_in_flight_stay_within_their_bound() {
    let kafka = Kafka::start(2);
    let large = "a".repeat(10_000);
    for partition in 0..2 {
        kafka.produce(partition, std::iter::repeat_n(Some(&large), 200));
    }
    let index = Memory::holding(Held::First);
    let limits = Limits { in_flight_bytes_max: 500_000, ..Choice::default().limits };
    let choice = Choice { limits, batch_bytes_max: 50_000, ..Choice::default() };
    let member = Member::start(&kafka, index.clone(), &choice);
    until("polling has stopped", || member.metrics.polling_paused.get() == 1).await;
    assert!(member.metrics.in_flight_bytes.get() < 1_000_000);
    assert!(member.metrics.messages.get() < 100);
    // The lag grows all the same, also when the partitions are paused, after 5 s.
    let lag = member.metrics.lag.with_label_values(&[EVENTS, "0"]);
    let (began, mut events) = (Instant::now(), 200);
    while began.elapsed() < Duration::from_secs(7) {
        kafka.produce(0, [Some(&large)]);
        events += 1;
        until("the lag is known", || {
            let committed = kafka.committed(1)[0].unwrap_or(0);
            lag.get() == events - committed
        })
        .await;
    }
    index.let_go();
    let all = usize::try_from(200 + events).unwrap();
    until("all are there", || index.documents() == all).await;
    member.stop().await;
}

/// A position that retention has overtaken: counted to the record, and reading goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_position_beyond_the_end_begins_again() {
    let kafka = Kafka::start(1);
    kafka.produce(0, numbered(10));
    kafka.commit(0, 5_000);
    let index = Memory::default();
    let member = Member::start(&kafka, index.clone(), &Choice::default());
    until("all are there", || index.documents() == 10).await;
    until("its new position is committed", || kafka.committed(1) == [Some(10)]).await;
    member.stop().await;
}
