//! A live topic that is made anew or widened while processes use it: they end, and say why.

use std::time::Instant;

use super::{AREAS, Site, live_partition, numbers};
use crate::real::crash::position;
use crate::real::world::{Kind, PATIENCE, World};

#[test]
fn a_live_topic_that_is_made_anew_ends_its_streams_and_its_cursors() {
    let Some(mut site) = Site::new("stream-life", 1, "") else { return };
    let mut replica = site.start("one");
    let channel = site.channel(&replica, AREAS[0]);
    let mut client = site.open(&replica, "websocket", &channel, "");
    site.produce(0..40);
    let expected = site.of_area(0, 0..40);
    let heard = site.runtime.block_on(client.events(expected.len()));
    assert_eq!(numbers(&heard), expected);
    // What is not would come again: the process ends at once.
    site.world.until("all is committed", |world| (position(world) == 40).then_some(()));

    let live = site.live_topic();
    site.world.delete_topic(&live);
    site.world.create_topic(&live, 2, &[("message.timestamp.type", "LogAppendTime")]);
    let told = site.runtime.block_on(client.message());
    let cursor = told["error"]["cursor"].as_str().unwrap_or_else(|| panic!("{told}"));
    assert_eq!(replica.running.ended(Instant::now() + PATIENCE).code(), Some(1));
    let reason = format!("error: the live topic {live} was made anew: start again");
    assert_eq!(site.world.log().lines().last(), Some(reason.as_str()));

    let replica = site.start("two");
    let refused = site.open(&replica, "websocket", &channel, &format!("cursor={cursor}"));
    assert!(refused.head.starts_with("HTTP/1.1 409"), "{}", refused.head);
    let mut client = site.open(&replica, "websocket", &channel, "");
    site.produce(40..80);
    let expected = site.of_area(0, 40..80);
    let heard = site.runtime.block_on(client.events(expected.len()));
    assert_eq!(numbers(&heard), expected);
    assert!(site.world.end(&live, live_partition()) > 0);
}

#[test]
fn a_live_topic_that_is_widened_ends_who_writes_to_it_too() {
    let Some(world) = World::new(Kind::Elasticsearch8, "live-widened", "", "") else { return };
    let live = format!("{}-live", world.name);
    let event = || Some(&br#"{"org_id":"a"}"#[..]);
    let mut running = world.run();
    world.produce([event()]);
    world.settled(1.0);
    world.widen_topic(&live, 5);
    assert_eq!(running.ended(Instant::now() + PATIENCE).code(), Some(1));
    let reason = format!("error: the live topic {live} has 5 partitions, not 2: start again");
    assert_eq!(world.log().lines().last(), Some(reason.as_str()));

    let running = world.run();
    world.produce([event()]);
    world.until("the second event is there", |world| (world.count() == 2).then_some(()));
    world.ended(running);
}
