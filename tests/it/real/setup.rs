//! `sluice setup` on every server: it can be repeated, it can be asked what it would do, and
//! without it nothing starts.

use super::world::{Kind, World};

fn topics(world: &World) -> [String; 3] {
    [world.name.clone(), format!("{}-live", world.name), format!("{}-dead", world.name)]
}

fn templates(world: &World) -> [String; 2] {
    [world.name.clone(), format!("{}-undated", world.name)]
        .map(|name| format!("/_index_template/{name}"))
}

fn check(kind: Kind, test: &str) {
    let Some(world) = World::bare(kind, test, "", "") else { return };
    let would = world.sluice(&["setup", "--dry-run"]);
    for topic in topics(&world) {
        assert!(would.contains(&topic), "{topic} in {would}");
        assert_eq!(world.partitions(&topic), 0, "{topic}");
    }
    for template in templates(&world) {
        assert!(would.contains(&template), "{template} in {would}");
        assert!(!world.has(&template), "{template}");
    }
    let [control, presence] = ["control", "presence"].map(|of| format!("{}-{of}", world.name));
    assert!(would.contains(&control) && would.contains(&presence), "{would}");
    assert!(would.contains("cleanup.policy = compact"), "{would}");
    let done = world.sluice(&["setup"]);
    assert_eq!(world.partitions(&control), 1, "{done}");
    assert_eq!(world.partitions(&presence), 4, "{done}");
    assert!(!done.contains("nothing to do"), "{done}");
    assert!(topics(&world).iter().all(|topic| world.partitions(topic) > 0), "{done}");
    assert!(templates(&world).iter().all(|template| world.has(template)), "{done}");
    for arguments in [&["setup"][..], &["setup", "--dry-run"]] {
        let again = world.sluice(arguments);
        assert!(again.trim_end().ends_with("nothing to do"), "{arguments:?}: {again}");
    }
    missing(&world);
    let running = world.run();
    world.ready();
    world.ended(running);
}

/// With one thing missing `run` does not start, and names the command; `setup` makes just that.
fn missing(world: &World) {
    for template in templates(world) {
        world.delete(&template);
        refuses_to_start(world, template.rsplit('/').next().unwrap_or_default());
        let made = world.sluice(&["setup"]);
        assert!(made.contains(&template) && !made.contains("nothing to do"), "{made}");
    }
    for topic in topics(world) {
        world.delete_topic(&topic);
        refuses_to_start(world, &topic);
        let made = world.sluice(&["setup"]);
        assert!(made.contains(&topic) && !made.contains("nothing to do"), "{made}");
    }
}

fn refuses_to_start(world: &World, missing: &str) {
    let end = world.end_of(&["run"]);
    let said = String::from_utf8_lossy(&end.stderr);
    assert!(!end.status.success(), "{said}");
    let line = said.lines().last().unwrap_or_default();
    assert!(line.contains(missing) && line.contains("`sluice setup`"), "{missing}: {said}");
}

#[test]
fn elasticsearch_8() {
    check(Kind::Elasticsearch8, "setup-es8");
}

#[test]
fn elasticsearch_9() {
    check(Kind::Elasticsearch9, "setup-es9");
}

#[test]
fn opensearch() {
    check(Kind::OpenSearch, "setup-os");
}
