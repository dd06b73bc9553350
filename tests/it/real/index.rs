//! The rows of the verdict table that a real server can be brought to, on every index server. No
//! setting of the whole cluster is touched in a way that another test could feel.

use std::time::Duration;

use elasticsearch::http::Method;
use serde_json::{Value, json};
use sluice::config::settings::{IndexAuth, IndexSettings, Secret};
use sluice::deliver::index::Verdict;
use sluice::deliver::index::client::Call;

use super::world::server;
use crate::verdicts::{Bench, bulk_into, settings, until, words};

const SERVERS: [&str; 3] =
    ["SLUICE_TEST_ELASTICSEARCH", "SLUICE_TEST_ELASTICSEARCH9", "SLUICE_TEST_OPENSEARCH"];

/// A client of a real server, and an index name of this test alone.
struct Real {
    bench: Bench,
    admin: Bench,
    name: String,
}

impl Real {
    fn new(settings: &IndexSettings, test: &str) -> Self {
        let name = format!("it-{test}-{}", std::process::id());
        Self { bench: Bench::new(settings), admin: Bench::new(settings), name }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> u16 {
        let body = body.map(|body| body.to_string().into());
        let content_type = "application/json";
        let call = Call { method, path, content_type, gzip: false, body };
        self.admin.index.client().call(call).await.unwrap().status
    }

    async fn make(&self, index: Value) {
        assert_eq!(self.ask(Method::Put, &self.name, Some(index)).await, 200);
    }

    async fn set(&self, settings: Value) {
        let path = format!("{}/_settings", self.name);
        assert_eq!(self.ask(Method::Put, &path, Some(settings)).await, 200);
    }

    async fn deliver(&self, ids: &[&str]) -> Vec<Verdict> {
        self.bench.index.deliver(bulk_into(&self.name, ids)).await
    }

    /// Delivers; while that is held back for this reason, mends the cluster.
    async fn held(&self, ids: &[&str], why: &str, mend: impl Future<Output = ()>) {
        let watch = async {
            until(why, || self.bench.why_not_ready().contains(why)).await;
            mend.await;
        };
        let (verdicts, ()) = futures::join!(self.deliver(ids), watch);
        assert!(words(&verdicts).iter().all(|word| *word == "created"), "{verdicts:?}");
        assert!(self.bench.health.is_ready());
    }

    async fn end(&self) {
        self.ask(Method::Delete, &format!("{}?ignore_unavailable=true", self.name), None).await;
    }
}

/// Without replicas: a server alone never has them.
fn plain() -> Value {
    json!({ "settings": { "number_of_replicas": 0 } })
}

fn quick(url: String) -> IndexSettings {
    let mut settings = settings(&[url]);
    settings.backoff_min = Duration::from_millis(20);
    settings.backoff_max = Duration::from_millis(200);
    settings.request_timeout = Duration::from_secs(60);
    settings
}

/// The servers that are here.
fn each(test: &str) -> Vec<IndexSettings> {
    SERVERS.iter().filter_map(|variable| server(variable, test)).map(quick).collect()
}

#[tokio::test]
async fn created_and_duplicate() {
    for settings in each("created_and_duplicate") {
        let real = Real::new(&IndexSettings { gzip: true, ..settings }, "created");
        real.make(plain()).await;
        let ids = crate::verdicts::ids("d", 100);
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        assert_eq!(words(&real.deliver(&ids).await), vec!["created"; 100]);
        assert_eq!(words(&real.deliver(&ids).await), vec!["duplicate"; 100]);
        real.end().await;
    }
}

#[tokio::test]
async fn a_mapping_conflict_costs_no_neighbour() {
    for settings in each("a_mapping_conflict_costs_no_neighbour") {
        let real = Real::new(&settings, "conflict");
        let mapping = json!({ "dynamic": false, "properties": { "name": { "type": "long" } } });
        let index = json!({ "settings": { "number_of_replicas": 0 }, "mappings": mapping });
        real.make(index).await;
        let verdicts = real.deliver(&["1", "two", "3"]).await;
        assert_eq!(words(&verdicts), ["created", "index_refused", "created"]);
        let Verdict::Refused(refusal) = &verdicts[1] else { panic!("{verdicts:?}") };
        assert!(refusal.error_type.ends_with("_parsing_exception"), "{}", refusal.error_type);
        assert!(refusal.error.contains("[name]"), "{}", refusal.error);
        real.end().await;
    }
}

#[tokio::test]
async fn an_id_that_is_too_long_costs_no_neighbour() {
    for settings in each("an_id_that_is_too_long_costs_no_neighbour") {
        let real = Real::new(&settings, "long-id");
        real.make(plain()).await;
        let long = "x".repeat(513);
        let verdicts = real.deliver(&["1", &long, "3", "4"]).await;
        assert_eq!(words(&verdicts), ["created", "request_refused", "created", "created"]);
        real.end().await;
    }
}

#[tokio::test]
async fn a_read_only_index_is_waited_for_and_given_up() {
    for mut settings in each("a_read_only_index_is_waited_for_and_given_up") {
        for block in ["index.blocks.write", "index.blocks.read_only_allow_delete"] {
            let real = Real::new(&settings, "blocked");
            real.make(plain()).await;
            real.set(json!({ block: true })).await;
            let mend = real.set(json!({ block: null }));
            real.held(&["1", "2"], "blocked or closed", mend).await;
            real.set(json!({ block: true })).await;
            settings.blocked_index_wait = Duration::from_millis(100);
            let impatient =
                Real { bench: Bench::new(&settings), ..Real::new(&settings, "blocked") };
            assert_eq!(words(&impatient.deliver(&["3"]).await), ["index_blocked"], "{block}");
            settings.blocked_index_wait = Duration::from_secs(300);
            real.set(json!({ block: null })).await;
            real.end().await;
        }
    }
}

#[tokio::test]
async fn a_closed_index_is_waited_for() {
    for settings in each("a_closed_index_is_waited_for") {
        let real = Real::new(&settings, "closed");
        real.make(plain()).await;
        let (close, open) = (format!("{}/_close", real.name), format!("{}/_open", real.name));
        assert_eq!(real.ask(Method::Post, &close, None).await, 200);
        let mend = async {
            assert_eq!(real.ask(Method::Post, &open, None).await, 200);
        };
        real.held(&["1"], "blocked or closed", mend).await;
        real.end().await;
    }
}

/// The template's index would alone exceed what the cluster may hold.
#[tokio::test]
async fn the_shard_limit_holds() {
    for settings in each("the_shard_limit_holds") {
        let real = Real::new(&settings, "shards");
        let path = format!("_index_template/{}", real.name);
        let template = |shards: u32| {
            json!({
                "index_patterns": [real.name],
                "priority": 900,
                "template": { "settings": { "number_of_shards": shards, "number_of_replicas": 0 } },
            })
        };
        assert_eq!(real.ask(Method::Put, &path, Some(template(1024))).await, 200);
        let mend = async {
            assert_eq!(real.ask(Method::Put, &path, Some(template(1))).await, 200);
        };
        real.held(&["1", "2"], "limit of shards", mend).await;
        real.end().await;
        real.ask(Method::Delete, &path, None).await;
    }
}

/// No template and auto-create off, for this test's index alone.
#[tokio::test]
async fn an_index_that_may_not_be_made_holds() {
    for settings in each("an_index_that_may_not_be_made_holds") {
        let real = Real::new(&settings, "missing");
        let create = |rule: Value| json!({ "persistent": { "action.auto_create_index": rule } });
        let rule = json!(format!("-{},+*", real.name));
        let path = "_cluster/settings";
        assert_eq!(real.ask(Method::Put, path, Some(create(rule))).await, 200);
        let mend = async {
            assert_eq!(real.ask(Method::Put, path, Some(create(Value::Null))).await, 200);
        };
        real.held(&["1", "2"], "index_not_found_exception", mend).await;
        real.end().await;
    }
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    use sluice::deliver::index::template::Family;
    for (variable, family, major) in [
        (SERVERS[0], Family::Elasticsearch, "8."),
        (SERVERS[1], Family::Elasticsearch, "9."),
        (SERVERS[2], Family::OpenSearch, "3."),
    ] {
        let Some(url) = server(variable, "the_server_says_what_it_is") else { continue };
        let found = Bench::new(&quick(url)).index.server().await.unwrap();
        assert_eq!(found.family, family);
        assert!(found.version.starts_with(major), "{found:?}");
    }
}

/// Elasticsearch with TLS and passwords: its settings, with the password in a file.
fn secured(test: &str, folder: &std::path::Path) -> Option<(IndexSettings, String)> {
    let url = server("SLUICE_TEST_ELASTICSEARCH_SECURED", test)?;
    let password = server("SLUICE_TEST_PASSWORD", test)?;
    let file = folder.join("password");
    std::fs::write(&file, &password).unwrap();
    let mut settings = quick(url);
    settings.ca_file = server("SLUICE_TEST_CA_FILE", test).map(Into::into);
    let identity = |what: &str| server(&format!("SLUICE_TEST_CLIENT_{what}_FILE"), test);
    settings.client_certificate_file = identity("CERTIFICATE").map(Into::into);
    settings.client_key_file = identity("KEY").map(Into::into);
    let username = server("SLUICE_TEST_USER", test)?;
    settings.auth = IndexAuth::Basic { username, password: Secret::File(file) };
    Some((settings, password))
}

#[tokio::test]
async fn a_wrong_password_holds_until_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let test = "a_wrong_password_holds_until_it_is_right";
    let Some((settings, password)) = secured(test, folder.path()) else { return };
    let real = Real::new(&settings, "password");
    real.make(plain()).await;
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong").unwrap();
    let wrong = Real { bench: Bench::new(&settings), ..Real::new(&settings, "password") };
    let mend = async { std::fs::write(&file, format!("{password}\n")).unwrap() };
    wrong.held(&["1", "2"], "401", mend).await;
    real.end().await;
}

#[tokio::test]
async fn a_user_without_the_right_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let test = "a_user_without_the_right_is_held";
    let Some((settings, _)) = secured(test, folder.path()) else { return };
    let Some(username) = server("SLUICE_TEST_READONLY_USER", test) else { return };
    let real = Real::new(&settings, "readonly");
    real.make(plain()).await;
    let password = Secret::File(folder.path().join("password"));
    let auth = IndexAuth::Basic { username, password };
    let bench = Bench::new(&IndexSettings { auth, ..settings });
    tokio::select! {
        verdicts = bench.index.deliver(bulk_into(&real.name, &["1"])) => panic!("{verdicts:?}"),
        () = until("held", || bench.why_not_ready().contains("security_exception")) => {}
    }
    real.end().await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let test = "a_certificate_that_is_not_trusted_is_said";
    let Some((settings, _)) = secured(test, folder.path()) else { return };
    let bench = Bench::new(&IndexSettings { ca_file: None, ..settings });
    tokio::select! {
        verdicts = bench.index.deliver(bulk_into("it-none", &["1"])) => panic!("{verdicts:?}"),
        () = until("said", || bench.why_not_ready().contains("certificate")) => {}
    }
}
