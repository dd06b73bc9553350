//! Processes that come and go as they should: whatever one has taken it settles and commits, and
//! the next one takes nothing twice.

use super::crash::{each_event_once, position, position_as_float, write};
use super::world::{Kind, World, listener};
use crate::support::ports::free_port;

const EVENTS: u32 = 100_000;
const PARTITIONS: i32 = 4;

fn world(kind: Kind, test: &str) -> Option<World> {
    // So little that a stop finds most of the events not yet taken.
    let world = World::bare(
        kind,
        test,
        "limits.in_flight_bytes_max = \"4 MiB\"\nindex.batch_bytes_max = \"1 MiB\"\n\
         limits.shutdown_deadline = \"90s\"",
        "",
    )?;
    world.create_topic(&world.name, PARTITIONS, &[]);
    world.sluice(&["setup"]);
    Some(world)
}

/// A figure of the last line of a process's log, the one that tells its end.
fn told(line: &str, figure: &str) -> u64 {
    let found =
        line.split_whitespace().find_map(|word| word.strip_prefix(figure)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {figure} in {line}")).parse().unwrap()
}

/// The line with which the process of this port ended.
fn end_of(world: &World, place: usize) -> String {
    let log = world.log();
    let lines = log.lines().filter(|line| line.contains("ended consumed="));
    lines.into_iter().nth(place).unwrap_or_else(|| panic!("{log}")).to_owned()
}

#[test]
fn a_stop_settles_what_was_taken_and_the_next_takes_nothing_twice() {
    let test = "drain";
    let Some(world) = world(Kind::Elasticsearch8, test) else { return };
    let _alone = world.alone();
    write(&world, PARTITIONS, 0..EVENTS);
    let first = world.run();
    world.until("some are settled", |world| {
        (world.metrics()?.settled("created") > 1_000).then_some(())
    });
    world.ended(first);
    let (indexed, end) = (world.count(), end_of(&world, 0));
    assert!(indexed < u64::from(EVENTS), "stopped in mid-stream");
    assert_eq!((told(&end, "consumed"), told(&end, "created")), (indexed, indexed), "{end}");
    assert_eq!(told(&end, "in_flight"), 0, "{end}");
    assert_eq!(position(&world), indexed, "what is settled is committed");

    let second = world.run();
    let metrics = world.settled(f64::from(EVENTS) - position_as_float(indexed));
    assert_eq!(metrics.settled("duplicate"), 0);
    assert_eq!(metrics.count("sluice_events_consumed_total"), u64::from(EVENTS) - indexed);
    world.ended(second);
    each_event_once(&world, EVENTS);
}

fn sharing(kind: Kind, test: &str) {
    let Some(world) = world(kind, test) else { return };
    let _alone = world.alone();
    let port = free_port();
    let other = listener(port);
    let (first, second) = (world.run(), world.run_on(port));
    let held = "sluice_partitions_held";
    world.until("each holds half of the partitions", |world| {
        let each = [world.metrics()?, world.metrics_from(&other)?];
        each.iter().all(|metrics| metrics.count(held) == 2).then_some(())
    });
    write(&world, PARTITIONS, 0..EVENTS);
    world.until("both are at work", |world| {
        let each = [world.metrics()?, world.metrics_from(&other)?];
        let created: Vec<_> = each.iter().map(|metrics| metrics.settled("created")).collect();
        assert!(created.iter().sum::<u64>() < u64::from(EVENTS), "in mid-stream: {created:?}");
        created.iter().all(|created| *created > 100).then_some(())
    });
    world.ended(second);
    let end = end_of(&world, 0);
    let (theirs, given) = (told(&end, "created"), told(&end, "handed_over"));
    assert!(theirs < u64::from(EVENTS / 2), "stopped in mid-stream: {end}");
    assert_eq!(told(&end, "consumed"), theirs + given, "{end}");
    let metrics = world.settled(f64::from(EVENTS) - position_as_float(theirs));
    assert_eq!(metrics.settled("created"), u64::from(EVENTS) - theirs);
    assert_eq!((metrics.settled("duplicate"), given), (0, 0), "{end}");
    assert_eq!(metrics.count(held), 4);
    world.ended(first);
    each_event_once(&world, EVENTS);
    assert_eq!(position(&world), u64::from(EVENTS));
}

#[test]
fn two_processes_share_the_work_and_one_leaves() {
    sharing(Kind::Elasticsearch8, "sharing");
}
