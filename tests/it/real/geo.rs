//! The geo database of a running process: a new file is taken while events flow, a damaged one is
//! refused, and without one it runs.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use serde_json::{Value, json};
use sluice::geo::demo;

use super::world::{Kind, World};

const SETTINGS: &str = "geo.databases = [\"city.mmdb\"]\ngeo.check_every = \"100ms\"";
const EVENT: &[u8] = br#"{"client_ip":"192.0.2.1","gateway_ip":"10.0.0.1"}"#;

/// A database that places 192.0.2.0/24 in a city of this name.
fn city(name: &str) -> Vec<u8> {
    let header = demo::DEMO_CSV.lines().next().unwrap();
    let rows = format!("{header}\n192.0.2.0/24,DE,Germany,EU,BE,Berlin,{name},,52.5,13.4,,\n");
    demo::nested(&rows).unwrap()
}

fn reloads(world: &World, result: &str) -> Option<u64> {
    let metrics = world.metrics()?;
    let mut series = metrics.0.lines().filter(|line| line.starts_with("sluice_reloads_total{"));
    let label = |value: &str| format!("=\"{value}\"");
    let line = series.find(|line| line.contains(&label("geo")) && line.contains(&label(result)))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// How many documents are of this city, as far as the index can say.
fn located(world: &World, city: &str) -> u64 {
    let query = json!({ "size": 0, "query": { "term": { "client_geoip.city_name": city } } });
    let found = world.try_search(&query).unwrap_or_default();
    // While there is no index yet, the answer has no number.
    found["hits"]["total"]["value"].as_u64().unwrap_or_default()
}

/// Looks until there are more events of this city than now.
fn until_more(world: &World, city: &str) {
    let before = located(world, city);
    world.until(&format!("more events of {city}"), |world| {
        (located(world, city) > before).then_some(())
    });
}

#[test]
fn a_new_file_is_taken_and_a_damaged_one_refused_while_events_flow() {
    let Some(world) = World::new(Kind::Elasticsearch8, "geo", SETTINGS, "") else { return };
    world.write("city.mmdb", city("Old"));
    let running = world.run();
    let (written, over) = (AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let flow = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) && written.load(Ordering::Relaxed) < 9_000 {
                world.produce(vec![Some(EVENT); 10]);
                written.fetch_add(10, Ordering::Relaxed);
            }
        });
        let taken = world.until("the first is taken", |world| reloads(world, "taken"));
        until_more(&world, "Old");
        world.write("city.mmdb", city("New"));
        until_more(&world, "New");
        assert_eq!(reloads(&world, "taken"), Some(taken + 1));
        let good = city("Never");
        world.write("city.mmdb", &good[..good.len() / 2]);
        world.until("the damaged one is refused", |world| {
            (reloads(world, "refused")? == 1).then_some(())
        });
        until_more(&world, "New");
        over.store(true, Ordering::Relaxed);
        flow.join().unwrap();
    });
    let events = written.into_inner();
    let metrics = world.settled(f64::from(events));
    assert_eq!(metrics.settled("created"), u64::from(events));
    assert_eq!(located(&world, "Old") + located(&world, "New"), u64::from(events));
    assert_eq!(reloads(&world, "refused"), Some(1));
    assert_eq!(world.lines_with("refused"), 1, "{}", world.log());
    world.ended(running);
}

/// `said` stands in exactly one line of the log.
fn without(test: &str, settings: &str, said: &str) {
    let Some(world) = World::new(Kind::Elasticsearch8, test, settings, "") else { return };
    let running = world.run();
    world.produce(vec![Some(EVENT); 300]);
    let metrics = world.settled(300.0);
    assert_eq!(metrics.settled("created"), 300);
    let outcomes = metrics.0.lines().filter(|line| line.contains("outcome=\"no_database\""));
    let counted: Vec<_> = outcomes.filter(|line| line.ends_with(" 300")).collect();
    assert_eq!(counted.len(), 2, "each look-up is counted: {}", metrics.0);
    for source in world.sources().values() {
        let source: Value = serde_json::from_str(source).unwrap();
        assert!(
            source.get("client_geoip").is_none() && source["tags"] == json!(["_datetime_missing"]),
            "{source}"
        );
    }
    world.ready();
    world.ended(running);
    assert_eq!(world.lines_with(said), 1, "{}", world.log());
}

#[test]
fn without_a_database_it_runs_and_says_so_once() {
    without("geo-none", "", "names no file");
}

#[test]
fn without_the_file_it_runs_and_says_so_once() {
    without("geo-missing", SETTINGS, "city.mmdb");
}
