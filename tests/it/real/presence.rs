//! The presence topic as `sluice setup` makes it on a real Kafka.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sluice::config::settings::{KafkaSettings, Settings};
use sluice::deliver::mirror::partition_of;
use sluice::setup::topics::{self, Made};
use sluice::stream::presence::Refused;

use super::world::server;
use crate::presence::{FIVE, Replica, end, fifty};
use crate::support::rig::until;

#[tokio::test(flavor = "multi_thread")]
async fn n1_holds_on_the_topic_of_setup_and_when_it_is_widened() {
    let Some(brokers) = server("SLUICE_TEST_KAFKA", "presence") else { return };
    let kafka = KafkaSettings { brokers: vec![brokers.clone()], ..KafkaSettings::default() };
    let mut settings = Settings { kafka: kafka.clone(), ..Settings::default() };
    let topic = format!("presence-{}", std::process::id());
    settings.presence.topic.clone_from(&topic);
    settings.presence.partitions = 2;
    let wanted = topics::wanted(&settings, &[]);
    let wanted: Vec<_> = wanted.into_iter().filter(|one| one.name == topic).collect();
    assert_eq!(topics::make(&settings, &wanted, false).await.unwrap(), [Made::Created]);
    let there = [Made::There(Vec::new())];
    assert_eq!(topics::make(&settings, &wanted, false).await.unwrap(), there);

    let mut replicas = ["r1", "r2"].map(|name| Replica::begin(&kafka, &topic, name));
    replicas.iter_mut().for_each(Replica::renew);
    let [one, other] = &replicas;
    until("the topic is read", || one.count().is_some() && other.count().is_some()).await;
    let (opened, refused) = fifty([one, other], FIVE).await;
    assert_eq!((opened.len(), refused.len()), (5, 45), "{refused:?}");

    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let wider = NewPartitions::new(&topic, 6);
    let made = admin.create_partitions([&wider], &AdminOptions::new()).await.unwrap();
    assert!(made[0].is_ok(), "{made:?}");
    let consumer: BaseConsumer = config.set("group.id", "reader").create().unwrap();
    let [before, after] = [2, 6].map(|count| partition_of("c1", count).cast_signed());
    assert_ne!(before, after);
    let wait = Duration::from_secs(5);
    let records = || {
        // The broker tells of new partitions a little later than they are made, and the client
        // remembers for minutes what it was told.
        consumer.fetch_metadata(Some(&topic), wait).unwrap();
        consumer.fetch_watermarks(&topic, after, wait).map_or(0, |(_, end)| end)
    };
    // Each replica finds it out by itself, and what is held is renewed where it belongs now.
    until("renewals come where they belong now", || records() > 0).await;
    let all = || one.count() == Some(5) && other.count() == Some(5);
    until("both have read it again", all).await;
    let began = records();
    until("both write there", || records() > began + 20 && all()).await;
    // Kafka tells of a partition's end only where nothing comes for a moment, and here something
    // always does.
    let third = Replica::begin(&kafka, &topic, "r3");
    until("who comes later has read it", || third.count() == Some(5)).await;
    for replica in [one, other, &third] {
        assert_eq!(replica.enter(FIVE).await.unwrap_err(), Refused::ChannelFull(5));
    }
    assert!(opened.iter().all(|opened| end(opened).is_none()));
    let gone = admin.delete_topics(&[&topic], &AdminOptions::new()).await.unwrap();
    assert!(gone[0].is_ok(), "{gone:?}");
}
