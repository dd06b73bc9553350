//! Nodes, credentials, compression, holds, and the check at the start.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sluice::config::pipeline::PipelineSpec;
use sluice::config::settings::{IndexAuth, IndexSettings, Secret};
use sluice::deliver::index::check::Unfit;
use sluice::deliver::index::template::{Family, Target, templates};
use sluice::event::Hold;
use sluice::metrics::RequestEnd;

use super::{Bench, bulk, ids, of, settings, until, words};
use crate::support::fake_index::{ALWAYS, FakeIndex, Fault, When, item, request};

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_dead_node_is_avoided() {
    let fake = FakeIndex::start().await;
    let mut settings = settings(&[nobody().await, fake.url()]);
    settings.backoff_max = Duration::from_secs(60);
    settings.backoff_min = Duration::from_millis(1);
    let bench = Bench::new(&settings);
    for batch in 0..20 {
        let verdicts = bench.index.deliver(bulk(&ids(&format!("b{batch}-"), 3))).await;
        assert_eq!(words(&verdicts), ["created"; 3]);
    }
    assert_eq!(fake.documents().len(), 60);
    let failed = bench.metrics.requests[RequestEnd::Connection.index()].get();
    assert!((1..20).contains(&failed), "{failed}");
    assert!(bench.health.is_ready());
}

#[tokio::test]
async fn both_nodes_are_used() {
    let (one, two) = (FakeIndex::start().await, FakeIndex::start().await);
    let bench = Bench::new(&settings(&[one.url(), two.url()]));
    for batch in 0..4 {
        bench.index.deliver(bulk(&ids(&format!("b{batch}-"), 1))).await;
    }
    assert_eq!((one.requests(), two.requests()), (2, 2));
}

#[tokio::test]
async fn nobody_answers_then_somebody_does() {
    let fake = FakeIndex::start().await;
    fake.plan(When::Any, Fault::Cut, ALWAYS);
    let bench = Bench::new(&of(&fake));
    let mend = async {
        until("not ready", || !bench.health.is_ready()).await;
        fake.mend();
    };
    let (verdicts, ()) = futures::join!(bench.index.deliver(bulk(&["1"])), mend);
    assert_eq!(words(&verdicts), ["created"]);
    assert!(bench.health.is_ready());
}

async fn authorized(auth: IndexAuth, expected: &str) {
    let fake = FakeIndex::start().await;
    fake.require_authorization(expected);
    let bench = Bench::new(&IndexSettings { auth, ..of(&fake) });
    assert_eq!(words(&bench.index.deliver(bulk(&["1"])).await), ["created"]);
}

#[tokio::test]
async fn every_kind_of_credentials() {
    let secret = |text: &str| Secret::Value(text.to_owned());
    let basic = IndexAuth::Basic { username: "sluice".to_owned(), password: secret("pa:ss") };
    authorized(basic, "Basic c2x1aWNlOnBhOnNz").await;
    authorized(IndexAuth::ApiKey(secret("aWQ6a2V5")), "ApiKey aWQ6a2V5").await;
    authorized(IndexAuth::Bearer(secret("token")), "Bearer token").await;
}

#[tokio::test]
async fn a_rotated_secret_is_taken_without_a_restart() {
    let fake = FakeIndex::start().await;
    fake.require_authorization("Bearer new");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    let auth = IndexAuth::Bearer(Secret::File(file.clone()));
    let bench = Bench::new(&IndexSettings { auth, ..of(&fake) });
    let rotate = async {
        until("refused", || bench.why_not_ready().contains("401")).await;
        std::fs::write(&file, "new\n").unwrap();
    };
    let (verdicts, ()) = futures::join!(bench.index.deliver(bulk(&["1"])), rotate);
    assert_eq!(words(&verdicts), ["created"]);
    assert_eq!(fake.authorizations().first().map(String::as_str), Some("Bearer old"));
    assert!(bench.health.is_ready());
}

#[tokio::test]
async fn bodies_are_gzip_where_asked_for() {
    let fake = FakeIndex::start().await;
    let bench = Bench::new(&IndexSettings { gzip: true, ..of(&fake) });
    let bulk = bulk(&ids("d", 200));
    let plain = bulk.bytes.len() as u64;
    assert_eq!(words(&bench.index.deliver(bulk).await), vec!["created"; 200]);
    assert_eq!(fake.gzipped(), 1);
    assert!(bench.metrics.index_sent_bytes.get() * 4 < plain);
}

#[tokio::test]
async fn concurrency_is_halved_by_429() {
    let fake = FakeIndex::start().await;
    fake.plan(When::Request(0), item(429, "es_rejected_execution_exception"), 1);
    fake.plan(When::Request(1), request(429, "es_rejected_execution_exception"), 1);
    let bench = Bench::new(&of(&fake));
    assert_eq!(bench.metrics.index_concurrency.get(), 4);
    bench.index.deliver(bulk(&["1"])).await;
    assert_eq!(bench.metrics.index_concurrency.get(), 1);
}

#[tokio::test]
async fn no_more_requests_at_a_time_than_allowed() {
    let fake = FakeIndex::start().await;
    fake.plan(When::Any, Fault::Slow(Duration::from_millis(20)), ALWAYS);
    let bench = Bench::new(&IndexSettings { requests_in_flight_max: 2, ..of(&fake) });
    let each = (0..10).map(|batch| bench.index.deliver(bulk(&ids(&format!("b{batch}-"), 2))));
    let began = std::time::Instant::now();
    for verdicts in futures::future::join_all(each).await {
        assert_eq!(words(&verdicts), ["created"; 2]);
    }
    assert!(began.elapsed() >= Duration::from_millis(100), "five pairs of 20 ms");
}

#[tokio::test]
async fn a_lost_hold_abandons() {
    let fake = FakeIndex::start().await;
    fake.plan(When::Any, item(503, "unavailable_shards_exception"), ALWAYS);
    let bench = Bench::new(&of(&fake));
    let mut bulk = bulk(&["1", "2"]);
    let gone = Arc::new(Hold::new(2, 0, Arc::from("events"), 1));
    gone.lose();
    bulk.items[0].hold = gone;
    let kept = bulk.items[1].hold.clone();
    let lose = async {
        until("two tries", || fake.requests() > 1).await;
        kept.lose();
    };
    let (verdicts, ()) = futures::join!(bench.index.deliver(bulk), lose);
    assert_eq!(words(&verdicts), ["abandoned"; 2]);
    assert!(fake.seen().iter().all(|ids| ids == &["2"]), "{:?}", fake.seen());
}

#[tokio::test]
async fn a_dropped_delivery_leaves_nothing_behind() {
    let fake = FakeIndex::start().await;
    fake.plan(When::Any, request(403, "security_exception"), ALWAYS);
    let bench = Bench::new(&of(&fake));
    tokio::select! {
        verdicts = bench.index.deliver(bulk(&["1"])) => panic!("{verdicts:?}"),
        () = until("held", || bench.metrics.cluster_holds.get() == 1) => {}
    }
    assert!(bench.health.is_ready());
    assert_eq!(bench.metrics.cluster_holds.get(), 0);
}

#[tokio::test]
async fn nothing_to_deliver() {
    let fake = FakeIndex::start().await;
    let bench = Bench::new(&of(&fake));
    assert!(bench.index.deliver(bulk::<&str>(&[])).await.is_empty());
    assert_eq!(fake.requests(), 0);
}

fn pipelines() -> Vec<PipelineSpec> {
    vec![PipelineSpec::new("apiconnect")]
}

fn put_templates(fake: &FakeIndex, family: Family) {
    let pipelines = pipelines();
    let settings = of(fake);
    let target = Target { family, lifecycle: false, settings: &settings, pipelines: &pipelines };
    for template in templates(&target) {
        fake.put_template(&template.name, template.body);
    }
}

#[tokio::test]
async fn the_start_demands_the_template() {
    let fake = FakeIndex::start().await;
    let bench = Bench::new(&of(&fake));
    let missing = bench.index.check(&pipelines()).await.unwrap_err().to_string();
    assert!(missing.contains("missing") && missing.contains("sluice setup"), "{missing}");
    put_templates(&fake, Family::Elasticsearch);
    let server = bench.index.check(&pipelines()).await.unwrap();
    assert_eq!((server.family, server.version.as_str()), (Family::Elasticsearch, "9.2.0"));
    fake.put_template("api-events", json!({ "_meta": { "sluice": { "schema_version": 0 } } }));
    let older = bench.index.check(&pipelines()).await.unwrap_err().to_string();
    assert!(older.contains("older") && older.contains("sluice setup"), "{older}");
}

#[tokio::test]
async fn opensearch_is_known_by_what_it_does_not_say() {
    let fake = FakeIndex::start().await;
    fake.as_opensearch();
    put_templates(&fake, Family::OpenSearch);
    let server = Bench::new(&of(&fake)).index.check(&pipelines()).await.unwrap();
    assert_eq!((server.family, server.version.as_str()), (Family::OpenSearch, "3.8.0"));
}

#[tokio::test]
async fn the_start_waits_for_a_server_and_for_its_password() {
    let bench = Bench::new(&settings(&[nobody().await]));
    let nobody = bench.index.check_once(&pipelines()).await.unwrap_err();
    assert!(matches!(&nobody, Unfit::NotYet(why) if why.contains("refused")), "{nobody:?}");

    let fake = FakeIndex::start().await;
    put_templates(&fake, Family::Elasticsearch);
    fake.require_authorization("Bearer right");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "wrong").unwrap();
    let auth = IndexAuth::Bearer(Secret::File(file.clone()));
    let bench = Bench::new(&IndexSettings { auth, ..of(&fake) });
    let mend = async {
        until("401", || bench.why_not_ready().contains("401")).await;
        std::fs::write(&file, "right").unwrap();
    };
    let pipelines = pipelines();
    let (server, ()) = futures::join!(bench.index.check(&pipelines), mend);
    assert!(server.is_ok());
    assert!(bench.health.is_ready());
}
