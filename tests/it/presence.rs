//! Open connections over librdkafka's mock cluster: replicas agree on who has a place, whatever
//! becomes of one of them or of Kafka.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use sluice::clock::Clock;
use sluice::config::settings::KafkaSettings;
use sluice::health::{Component, Health};
use sluice::stream::connections::{Connections, Figures, Listener, Opened};
use sluice::stream::end::End;
use sluice::stream::frames::Transport;
use sluice::stream::ids::Actor;
use sluice::stream::presence::log::{self, LogSettings};
use sluice::stream::presence::{COMPACTION_LAG_MS, Connection, Limits, Presence, Refused};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::rig::{Kafka, until};

const TOPIC: &str = "presence";
const PARTITIONS: i32 = 3;
/// Longer than the mock cluster takes to be found again.
const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const FIVE: Limits = Limits { channel_max: 5, token_max: None };
const ONE: Limits = Limits { channel_max: 1, token_max: None };
const TWO: Limits = Limits { channel_max: 2, token_max: None };

/// One replica; it is killed when it is dropped.
pub(crate) struct Replica {
    pub(crate) presence: Presence,
    connections: Connections,
    health: Health,
    renewals: JoinSet<()>,
    _stop: DropGuard,
}

fn with_topic() -> Kafka {
    let kafka = Kafka::quick(1);
    kafka.cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    kafka
}

impl Replica {
    /// Renews so often that a test need not wait for it.
    pub(crate) fn begin(kafka: &KafkaSettings, topic: &str, name: &str) -> Self {
        Self::begin_with(kafka, topic, name, Clock::system())
    }

    fn begin_with(kafka: &KafkaSettings, topic: &str, name: &str, clock: Clock) -> Self {
        let settings = LogSettings {
            answer_timeout: PATIENCE,
            renew_every: Duration::from_millis(200),
            ..LogSettings::new(kafka.clone(), topic.to_owned(), name.to_owned())
        };
        let (connections, health) = (Connections::default(), Health::default());
        let stop = CancellationToken::new();
        let of = (clock, health.clone());
        let (presence, _) = log::start(settings, connections.clone(), of, stop.clone()).unwrap();
        let (renewals, _stop) = (JoinSet::new(), stop.drop_guard());
        Self { presence, connections, health, renewals, _stop }
    }

    async fn start(kafka: &Kafka, name: &str) -> Self {
        let mut replica = Self::start_without_renewals(kafka, name).await;
        replica.renew();
        replica
    }

    async fn start_without_renewals(kafka: &Kafka, name: &str) -> Self {
        let replica = Self::begin(&kafka.settings, TOPIC, name);
        until("the topic is read", || replica.presence.connections(None).is_ok()).await;
        replica
    }

    pub(crate) fn renew(&mut self) {
        let presence = self.presence.clone();
        self.renewals.spawn(async move { presence.renew().await });
    }

    pub(crate) async fn enter(&self, limits: Limits) -> Result<Opened, Refused> {
        self.enter_with("t1", limits).await
    }

    async fn enter_with(&self, token: &str, limits: Limits) -> Result<Opened, Refused> {
        let listener = Listener {
            channel: "c1".to_owned().try_into().unwrap(),
            token: token.to_owned().try_into().unwrap(),
            address: "192.0.2.1:443".parse().unwrap(),
            transport: Transport::Sse,
            filter: Some("ä".repeat(200).into()),
        };
        self.presence.enter(listener, limits).await
    }

    fn list(&self) -> Vec<Connection> {
        self.presence.connections(Some("c1")).unwrap_or_default()
    }

    pub(crate) fn count(&self) -> Option<usize> {
        self.presence.count("c1")
    }

    /// Waits until this lease was renewed so often.
    async fn renewed(&self, opened: &Opened, times: usize) {
        let when = || {
            let all = self.list();
            all.iter().find(|one| one.id == *opened.id()).map(|one| one.lease.renewed)
        };
        for _ in 0..times {
            let before = when();
            until("it is renewed", || when() > before).await;
        }
    }

    fn why(&self) -> Option<String> {
        let reasons = self.health.why_not_ready();
        let mine = reasons.into_iter().find(|(component, _)| *component == Component::Presence);
        mine.map(|(_, reason)| reason)
    }
}

pub(crate) fn end(opened: &Opened) -> Option<End> {
    opened.ending.borrow().clone()
}

/// Fifty at once through two replicas.
pub(crate) async fn fifty(replicas: [&Replica; 2], limits: Limits) -> (Vec<Opened>, Vec<Refused>) {
    let asked = (0..50).map(|place| replicas[place % 2].enter(limits));
    let (mut opened, mut refused) = (Vec::new(), Vec::new());
    for answer in join_all(asked).await {
        match answer {
            Ok(one) => opened.push(one),
            Err(why) => refused.push(why),
        }
    }
    (opened, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_of_fifty_at_once_through_two_replicas_five_are_admitted() {
    let kafka = with_topic();
    let (one, other) = (Replica::start(&kafka, "r1").await, Replica::start(&kafka, "r2").await);
    let (mut opened, refused) = fifty([&one, &other], FIVE).await;
    assert_eq!((opened.len(), refused.len()), (5, 45));
    assert!(refused.iter().all(|why| *why == Refused::ChannelFull(5)), "{refused:?}");
    assert_eq!(one.connections.count() + other.connections.count(), 5);
    let ids = |replica: &Replica| replica.list().into_iter().map(|one| one.id).collect::<Vec<_>>();
    let mut expected: Vec<_> = opened.iter().map(|one| one.id().clone()).collect();
    expected.sort();
    until("both know of the five", || ids(&one) == expected && ids(&other) == expected).await;
    // Whoever leaves makes room for one, through either replica.
    drop(opened.pop());
    until("it is released", || one.count() == Some(4)).await;
    let (more, _) = fifty([&other, &one], FIVE).await;
    assert_eq!(more.len(), 1);
    // They stay while they are renewed.
    for opened in opened.iter().chain(&more) {
        one.renewed(opened, 2).await;
        assert_eq!(end(opened), None);
    }
    assert_eq!(other.count(), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn t7_a_token_has_its_own_limit_over_all_replicas() {
    let kafka = with_topic();
    let (one, other) = (Replica::start(&kafka, "r1").await, Replica::start(&kafka, "r2").await);
    let limits = Limits { channel_max: 5, token_max: Some(2) };
    let (opened, refused) = fifty([&one, &other], limits).await;
    assert_eq!((opened.len(), refused.len()), (2, 48));
    assert!(refused.iter().all(|why| *why == Refused::TokenFull(2)), "{refused:?}");
    let _third = other.enter_with("t2", limits).await.unwrap();
    let unlimited = Limits { token_max: None, ..limits };
    let _fourth = one.enter(unlimited).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_a_replica_that_starts_again_frees_what_its_former_life_held() {
    let kafka = with_topic();
    let (one, other) = (Replica::start(&kafka, "r1").await, Replica::start(&kafka, "r2").await);
    let killed = one.enter(TWO).await.unwrap();
    let kept = other.enter(TWO).await.unwrap();
    // Nothing is released when a process is killed.
    mem::forget(killed);
    drop(one);
    assert_eq!(other.enter(TWO).await.unwrap_err(), Refused::ChannelFull(2));
    let again = Replica::start(&kafka, "r1").await;
    until("its place is free", || other.count() == Some(1)).await;
    let _new = again.enter(TWO).await.unwrap();
    assert_eq!(again.enter(TWO).await.unwrap_err(), Refused::ChannelFull(2));
    assert_eq!(end(&kept), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_a_replica_whose_clock_is_ahead_releases_nobodys_lease() {
    let kafka = with_topic();
    let one = Replica::start(&kafka, "r1").await;
    let opened = one.enter(TWO).await.unwrap();
    let since = || one.list().into_iter().find(|of| of.id == *opened.id()).unwrap().lease.since;
    let before = since();
    let ahead = Clock::fixed(Clock::system().now() + 2 * COMPACTION_LAG_MS);
    let other = Replica::begin_with(&kafka.settings, TOPIC, "r2", ahead);
    until("the topic is read", || other.presence.connections(None).is_ok()).await;
    // Behind whatever the other one has written when it had read the topic.
    let _second = other.enter(TWO).await.unwrap();
    one.renewed(&opened, 2).await;
    // It was never admitted anew.
    assert_eq!((since(), end(&opened)), (before, None));
}

/// A lease that somebody has released: another replica under the same name, against what the
/// documentation says, takes it for one of its former life. By the time it is renewed it is late.
async fn late(kafka: &Kafka, limits: Limits) -> (Replica, Opened, Replica, Opened) {
    let mut one = Replica::start_without_renewals(kafka, "r1").await;
    let late = one.enter(limits).await.unwrap();
    let other = Replica::start(kafka, "r1").await;
    let new = other.enter(limits).await.unwrap();
    one.renew();
    (one, late, other, new)
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_a_late_renewal_that_finds_no_room_closes_its_stream() {
    let kafka = with_topic();
    let (_one, mut late, other, new) = late(&kafka, ONE).await;
    assert_eq!(*late.ending.wait_for(Option::is_some).await.unwrap(), Some(End::Full));
    drop(late);
    other.renewed(&new, 2).await;
    assert_eq!((end(&new), other.count()), (None, Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_a_late_renewal_that_finds_room_goes_on() {
    let kafka = with_topic();
    let (one, late, other, new) = late(&kafka, TWO).await;
    until("it is there again", || one.count() == Some(2)).await;
    one.renewed(&late, 2).await;
    other.renewed(&new, 2).await;
    assert_eq!((end(&late), end(&new)), (None, None));
    assert_eq!(other.enter(TWO).await.unwrap_err(), Refused::ChannelFull(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_is_away_open_streams_go_on_and_nobody_new_is_admitted() {
    let kafka = with_topic();
    let one = Replica::start(&kafka, "r1").await;
    let opened = one.enter(TWO).await.unwrap();
    kafka.cluster.broker_down(1).unwrap();
    until("the trouble is told", || one.why().is_some()).await;
    let refused = one.enter(TWO).await.unwrap_err();
    assert!(matches!(refused, Refused::Unavailable(_)), "{refused:?}");
    assert_eq!((one.connections.count(), one.count()), (1, None));
    assert!(one.presence.connections(None).is_err());
    assert_eq!(end(&opened), None);
    kafka.cluster.broker_up(1).unwrap();
    until("the trouble is over", || one.why().is_none()).await;
    one.renewed(&opened, 2).await;
    let _second = one.enter(TWO).await.unwrap();
    assert_eq!(one.enter(TWO).await.unwrap_err(), Refused::ChannelFull(2));
    assert_eq!(end(&opened), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_admitted_before_the_topic_was_read_to_its_end() {
    let kafka = Kafka::quick(1);
    let one = Replica::begin(&kafka.settings, TOPIC, "r1");
    let refused = one.enter(FIVE).await.unwrap_err();
    assert!(matches!(refused, Refused::Unavailable(_)), "{refused:?}");
    until("the trouble is told", || one.why().is_some()).await;
    kafka.cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    until("the trouble is over", || one.why().is_none() && one.count().is_some()).await;
    let _opened = one.enter(FIVE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_another_replica_is_seen_and_closed() {
    let kafka = with_topic();
    let (one, other) = (Replica::start(&kafka, "r1").await, Replica::start(&kafka, "r2").await);
    let mut opened = one.enter(FIVE).await.unwrap();
    let kept = one.enter(FIVE).await.unwrap();
    let figures = Figures { events: 7, bytes: 900, dropped: 1, filtered: 2, lag_ms: Some(30) };
    opened.flow.events.store(7, Ordering::Relaxed);
    opened.flow.bytes.store(900, Ordering::Relaxed);
    opened.flow.dropped.store(1, Ordering::Relaxed);
    opened.flow.filtered.store(2, Ordering::Relaxed);
    opened.flow.lag_ms.store(30, Ordering::Relaxed);
    let seen = || other.list().into_iter().find(|one| one.id == *opened.id());
    until("the figures came", || seen().is_some_and(|one| one.lease.figures == figures)).await;
    let connection = seen().unwrap();
    let claim = &connection.lease.claim;
    assert_eq!(
        (&*claim.replica, &*claim.address, &*claim.transport, claim.token.as_str()),
        ("r1", "192.0.2.1:443", "sse", "t1")
    );
    assert_eq!(claim.filter, Some("ä".repeat(128)));
    let ada = Actor::try_from("ada".to_owned()).unwrap();
    other.presence.disconnect(&connection, ada).await.unwrap();
    let ended = opened.ending.wait_for(Option::is_some).await.unwrap().clone();
    assert_eq!(ended, Some(End::Disconnected));
    drop(opened);
    until("its place is free", || other.count() == Some(1)).await;
    assert_eq!(end(&kept), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_token_was_used_last_is_kept_and_not_written_with_every_renewal() {
    let kafka = with_topic();
    let one = Replica::start(&kafka, "r1").await;
    assert_eq!(one.presence.last_used("t1"), None);
    let opened = one.enter(FIVE).await.unwrap();
    until("it is told", || one.presence.last_used("t1").is_some()).await;
    let first = one.presence.last_used("t1");
    one.renewed(&opened, 3).await;
    assert_eq!(one.presence.last_used("t1"), first);
    let later = Replica::start(&kafka, "r2").await;
    assert_eq!(later.presence.last_used("t1"), first);
    assert_eq!(later.presence.last_used("t2"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_sluice_wrote_admits_nobody_and_closes_nobody() {
    let kafka = with_topic();
    let one = Replica::start(&kafka, "r1").await;
    let opened = one.enter(FIVE).await.unwrap();
    produce(&kafka, "no record of ours", "");
    let _second = one.enter(FIVE).await.unwrap();
    produce(&kafka, "lease/c1/x", "{\"v\":2,\"record\":{}}");
    until("it is told", || one.why().is_some()).await;
    let reason = one.why().unwrap();
    assert!(reason.contains("it has version 2"), "{reason}");
    let refused = one.enter(FIVE).await.unwrap_err();
    assert!(matches!(refused, Refused::Unavailable(_)), "{refused:?}");
    assert_eq!(end(&opened), None);
}

fn produce(kafka: &Kafka, key: &str, payload: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.cluster.bootstrap_servers());
    let producer: BaseProducer = config.create().unwrap();
    let partition = sluice::deliver::mirror::partition_of("c1", PARTITIONS.unsigned_abs());
    let record = BaseRecord::to(TOPIC).partition(partition.cast_signed()).key(key).payload(payload);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_goes_while_it_waits_leaves_nothing_behind() {
    let kafka = with_topic();
    let one = Replica::start(&kafka, "r1").await;
    for _ in 0..20 {
        // Polled once: its request is written, and nobody waits for the verdict any more.
        let gone = Box::pin(one.enter(ONE));
        assert!(futures::FutureExt::now_or_never(gone).is_none());
    }
    assert_eq!(one.connections.count(), 0);
    let opened = one.enter(ONE).await.unwrap();
    assert_eq!(Arc::strong_count(&opened.flow), 2);
    assert_eq!(one.count(), Some(1));
}
