//! Servers that cannot be used: it is said once and clearly, `/readyz` says why, nothing is
//! committed, and it goes on by itself when the fault is gone.

use std::time::{Duration, Instant};

use super::world::{Kind, Proxy, World, server};

const EVENT: &[u8] = br#"{"api_name":"waits"}"#;
/// So long a fault lasts at least, so that what is said again and again would be seen.
const FAULT_LASTS: Duration = Duration::from_secs(4);

/// With a fault from the start: what `/readyz` says, and the one line of the log.
fn from_the_start(world: &World, why: &str, mend: impl FnOnce()) {
    world.produce(vec![Some(EVENT); 3]);
    let running = world.run();
    let reason = world.not_ready(why);
    let began = Instant::now();
    world.until("the fault lasts", |world| {
        let (status, text) = world.get("/readyz")?;
        assert_eq!((status, &text), (503, &reason));
        (began.elapsed() > FAULT_LASTS).then_some(())
    });
    assert_eq!(world.committed(), [-1], "nothing is committed");
    assert_eq!(world.lines_with(why), 1, "one line says it: {}", world.log());
    mend();
    world.settled(3.0);
    world.ready();
    assert_eq!(world.count(), 3);
    assert_eq!(world.lines_with(why), 1, "{}", world.log());
    world.ended(running);
    assert_eq!(world.committed(), [3]);
}

fn wrong_password(mechanism: &str, listener: &str, test: &str) {
    let Some(mut world) = World::new(Kind::Elasticsearch8, test, "", "") else { return };
    let brokers = server(listener, test).expect("Kafka has all its listeners");
    let user = server("SLUICE_TEST_USER", test).expect("a user");
    let password = server("SLUICE_TEST_PASSWORD", test).expect("a password");
    world.set("SLUICE_KAFKA_BROKERS", brokers);
    world.set("SLUICE_KAFKA_SASL_MECHANISM", mechanism);
    world.set("SLUICE_KAFKA_SASL_USERNAME", user);
    world.set("SLUICE_KAFKA_SASL_PASSWORD_FILE", world.path("secret").display().to_string());
    if listener.ends_with("SSL") {
        let ca = server("SLUICE_TEST_CA_FILE", test).expect("an authority");
        world.set("SLUICE_KAFKA_TLS", "true");
        world.set("SLUICE_KAFKA_CA_FILE", ca);
    }
    world.write("secret", "wrong");
    from_the_start(&world, "uthentication failed", || world.write("secret", &password));
    assert!(!world.log().contains(&password) && !world.log().contains("wrong"));
}

#[test]
fn kafka_refuses_a_plain_password() {
    wrong_password("PLAIN", "SLUICE_TEST_KAFKA_SASL", "faults-plain");
}

#[test]
fn kafka_refuses_a_scram_password() {
    wrong_password("SCRAM-SHA-512", "SLUICE_TEST_KAFKA_SASL_SSL", "faults-scram");
}

#[test]
fn the_certificate_of_kafka_is_not_trusted() {
    let test = "faults-kafka-tls";
    let Some(mut world) = World::new(Kind::Elasticsearch8, test, "", "") else { return };
    let file = |variable: &str| server(variable, test).expect("a file");
    let (other, key) =
        (file("SLUICE_TEST_CLIENT_CERTIFICATE_FILE"), file("SLUICE_TEST_CLIENT_KEY_FILE"));
    world.set("SLUICE_KAFKA_BROKERS", file("SLUICE_TEST_KAFKA_SSL"));
    world.set("SLUICE_KAFKA_TLS", "true");
    world.set("SLUICE_KAFKA_CA_FILE", world.path("kafka-ca.pem").display().to_string());
    world.set("SLUICE_KAFKA_CERTIFICATE_FILE", other.clone());
    world.set("SLUICE_KAFKA_KEY_FILE", key);
    world.write("kafka-ca.pem", std::fs::read(other).unwrap());
    let ca = std::fs::read(file("SLUICE_TEST_CA_FILE")).unwrap();
    from_the_start(&world, "certificate", || world.write("kafka-ca.pem", ca));
}

#[test]
fn kafka_does_not_answer() {
    let Some(mut world) = World::new(Kind::Elasticsearch8, "faults-kafka", "", "") else { return };
    let mut proxy = Proxy::of(&world.kafka);
    world.set("SLUICE_KAFKA_BROKERS", proxy.address());
    from_the_start(&world, "refused", || proxy.switch_on());
}

/// A host that nobody knows: said and waited for, and a stop is heard meanwhile.
fn unknown_host(variable: &'static str, value: &str, component: &str, test: &str) {
    let Some(mut world) = World::new(Kind::Elasticsearch8, test, "", "") else { return };
    world.set(variable, value);
    world.produce([Some(EVENT)]);
    let running = world.run();
    let reason = world.not_ready("nowhere.invalid");
    assert!(reason.starts_with(component), "{reason}");
    assert_eq!(world.lines_with("nowhere.invalid"), 1, "{}", world.log());
    assert_eq!(world.committed(), [-1]);
    world.ended(running);
    world.unset(variable);
    let running = world.run();
    world.settled(1.0);
    world.ended(running);
}

#[test]
fn the_host_of_kafka_is_unknown() {
    unknown_host("SLUICE_KAFKA_BROKERS", "nowhere.invalid:9092", "kafka", "faults-kafka-host");
}

#[test]
fn the_host_of_the_index_is_unknown() {
    unknown_host("SLUICE_INDEX_NODES", "http://nowhere.invalid:9200", "index", "faults-index-host");
}

#[test]
fn the_index_refuses_the_password() {
    let test = "faults-index-password";
    let Some(world) = World::new(Kind::Secured, test, "", "") else { return };
    let password = std::fs::read(world.path("password")).unwrap();
    world.write("password", "wrong");
    from_the_start(&world, "401", || world.write("password", &password));
}

#[test]
fn the_certificate_of_the_index_is_not_trusted() {
    let test = "faults-index-tls";
    let Some(world) = World::new(Kind::Secured, test, "", "") else { return };
    let ca = std::fs::read(world.path("ca.pem")).unwrap();
    let other = server("SLUICE_TEST_CLIENT_CERTIFICATE_FILE", test).expect("a certificate");
    world.write("ca.pem", std::fs::read(other).unwrap());
    from_the_start(&world, "certificate", || world.write("ca.pem", &ca));
}

/// The index goes away in mid-stream and comes back.
fn away_and_back(kind: Kind, test: &str) {
    const EVENTS: u32 = 60_000;
    let Some(mut world) = World::new(kind, test, "", "") else { return };
    let _alone = world.alone();
    let target = world.index_url.trim_start_matches("http://").to_owned();
    let mut proxy = Proxy::of(&target);
    world.set("SLUICE_INDEX_NODES", format!("http://{}", proxy.address()));
    super::crash::write(&world, 1, 0..EVENTS);
    let running = world.run();
    world.not_ready("index");
    // All answers together are several times as long.
    let off = proxy.switch_on_for(400_000);
    world.until("the index goes away", |_| off.is_cancelled().then_some(()));
    proxy.switch_off();
    world.not_ready("index");
    let away = world.metrics().unwrap();
    let settled = away.settled("created");
    assert!(settled < u64::from(EVENTS), "in mid-stream");
    let bound = away.sum("sluice_in_flight_limit_bytes");
    let began = Instant::now();
    world.until("the index is away", |world| {
        let metrics = world.metrics()?;
        assert_eq!(metrics.settled("dead_lettered"), 0, "{}", metrics.0);
        // The message that uses the bound up may pass it.
        assert!(metrics.sum("sluice_in_flight_bytes") <= bound + 1_024.0, "{}", metrics.0);
        (began.elapsed() > FAULT_LASTS).then_some(())
    });
    assert!(super::crash::position(&world) <= world.count());
    proxy.switch_on();
    let metrics = world.settled(f64::from(EVENTS));
    assert_eq!(metrics.settled("created") + metrics.settled("duplicate"), u64::from(EVENTS));
    world.ready();
    world.ended(running);
    super::crash::each_event_once(&world, EVENTS);
}

#[test]
fn elasticsearch_8_is_away_and_back() {
    away_and_back(Kind::Elasticsearch8, "away-es8");
}

#[test]
fn elasticsearch_9_is_away_and_back() {
    away_and_back(Kind::Elasticsearch9, "away-es9");
}

#[test]
fn opensearch_is_away_and_back() {
    away_and_back(Kind::OpenSearch, "away-os");
}
