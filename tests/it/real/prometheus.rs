//! The real Prometheus scrapes a running process, and its linter has nothing to say.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::world::{Kind, World, server};

/// A sound metrics text, through `promtool check metrics`: empty output, status 0.
fn lint(promtool: &str, text: &str) {
    let mut promtool = Command::new(promtool);
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "", "{text}");
    assert!(output.status.success());
}

#[test]
fn it_is_scraped_and_has_no_fault() {
    let test = "prometheus";
    let Some(prometheus) = server("SLUICE_TEST_PROMETHEUS", test) else { return };
    let Some(targets) = server("SLUICE_TEST_PROMETHEUS_TARGETS", test) else { return };
    let Some(promtool) = server("SLUICE_TEST_PROMTOOL", test) else { return };
    let Some(world) = World::new(Kind::Elasticsearch8, test, "", "") else { return };
    let running = world.run();
    world.until("it listens", World::metrics);
    let at_zero = world.metrics().unwrap();
    lint(&promtool, &at_zero.0);

    let file = Path::new(&targets).join(format!("{}.json", world.name));
    let address = format!("127.0.0.1:{}", world.port);
    std::fs::write(&file, format!("[{{\"targets\":[\"{address}\"]}}]")).unwrap();
    let value = |query: &str| -> Option<String> {
        let path = format!("/api/v1/query?query={query}%7Binstance=%22{address}%22%7D");
        let found: Value = world.ask_at(&prometheus, &path);
        Some(found["data"]["result"][0]["value"][1].as_str()?.to_owned())
    };
    world.until("it is up", |_| (value("up")? == "1").then_some(()));
    let events = [Some(&b"{}"[..]), Some(b"no JSON"), None];
    world.produce(events);
    let metrics = world.settled(3.0);
    lint(&promtool, &metrics.0);
    world.until("it is counted", |_| (value("sluice_events_consumed_total")? == "3").then_some(()));
    world.until("outcomes are too", |_| {
        let path = format!(
            "/api/v1/query?query=sum(sluice_events_settled_total%7Binstance=%22{address}%22%7D)"
        );
        let found = world.ask_at(&prometheus, &path);
        (found["data"]["result"][0]["value"][1] == "3").then_some(())
    });
    // The same series from the first scrape on, but those of a partition.
    let series = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let names = lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()));
        names.filter(|name| !name.contains("partition=")).collect()
    };
    assert_eq!(series(&at_zero.0), series(&metrics.0));
    std::fs::remove_file(file).unwrap();
    world.ended(running);
}
