//! Two replicas that share the work: whoever listens, wherever, hears its area.

use std::collections::BTreeSet;

use super::listening::Listener;
use super::{AREAS, Channel, Replica, Site, TRANSPORTS};
use crate::real::crash::each_event_once;

const EVENTS: u32 = 4_000;
/// The last events, which come when everybody has heard all others.
const MORE: u32 = 4;
const PARTITIONS: u32 = 2;

/// Someone listens at each replica, to each area, over each transport.
fn everywhere(
    site: &Site,
    replicas: &[Replica; 2],
    channels: &[Channel; 2],
) -> Vec<(usize, Listener)> {
    let mut listeners = Vec::new();
    for replica in replicas {
        for (area, channel) in channels.iter().enumerate() {
            for transport in TRANSPORTS {
                listeners.push((area, Listener::begin(site, replica, transport, channel, "")));
            }
        }
    }
    listeners
}

#[test]
fn two_replicas_let_everyone_hear_every_event_of_their_area_once_in_order() {
    let Some(mut site) = Site::new("stream-replicas", PARTITIONS, "") else { return };
    let replicas = ["r1", "r2"].map(|name| site.start(name));
    replicas.iter().for_each(|replica| site.holds(replica, 1));
    let channels = AREAS.map(|area| site.channel(&replicas[0], area));
    let listeners = everywhere(&site, &replicas, &channels);

    site.produce(0..EVENTS);
    let hear = |events: u32| {
        site.world.until("everyone has heard everything", |_| {
            let heard = |(area, listener): &(usize, Listener)| {
                listener.has(site.of_area(*area, 0..events).len())
            };
            listeners.iter().all(heard).then_some(())
        });
    };
    hear(EVENTS);
    // Something too many would come before these.
    site.produce(EVENTS..EVENTS + MORE);
    hear(EVENTS + MORE);

    let created = site.world.until("everything is settled", |world| {
        let each = [world.metrics_from(&replicas[0].http)?, world.metrics_from(&replicas[1].http)?];
        let created = each.map(|metrics| metrics.settled("created"));
        (created.iter().sum::<u64>() >= u64::from(EVENTS + MORE)).then_some(created)
    });
    assert_eq!(created.iter().sum::<u64>(), u64::from(EVENTS + MORE));
    assert!(created.iter().all(|created| *created > 0), "both were at work: {created:?}");
    each_event_once(&site.world, EVENTS + MORE);
    let documents = site.world.documents();
    for (place, (area, listener)) in listeners.iter().enumerate() {
        let heard = listener.heard();
        let numbers = heard.numbers();
        for partition in 0..PARTITIONS {
            let of = |number: &u32| number % PARTITIONS == partition;
            let produced = site.of_area(*area, 0..EVENTS + MORE).into_iter().filter(of);
            let heard = numbers.iter().copied().filter(of);
            assert!(heard.eq(produced), "listener {place}, partition {partition}: {numbers:?}");
        }
        let org = AREAS[*area].trim_start_matches("id:");
        let indexed = documents.iter().filter(|(_, document)| document["org_id"] == org);
        let indexed: BTreeSet<_> = indexed.map(|(id, _)| id.as_str()).collect();
        let ids = heard.events.iter().map(|(event, _)| event["event_id"].as_str().unwrap());
        assert_eq!(ids.collect::<BTreeSet<_>>(), indexed, "listener {place}");
        assert_eq!(numbers.len(), indexed.len(), "listener {place}");
        assert!(!heard.has_ended);
    }
    replicas.into_iter().for_each(|replica| site.world.ended(replica.running));
}
