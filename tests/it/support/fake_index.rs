//! A `_bulk` server in this process, with a plan of faults.
//!
//! It keeps documents by index and id and answers as the real servers do: 201, 409 for an id that
//! exists, and what the plan says. [`FakeIndex::start`] runs it on a free port of loopback;
//! [`FakeIndex::plan`] adds a fault: *when* it strikes ([`When`]), *what* happens ([`Fault`]) and
//! *how often* ([`ALWAYS`] for ever). The first entry that fits strikes. When the fake is dropped,
//! an entry that never struck fails the test.
//!
//! ```ignore
//! let fake = FakeIndex::start().await;
//! fake.plan(When::Id("7"), item(429, "es_rejected_execution_exception"), 2);
//! fake.plan(When::Request(0), Fault::CutReply, 1);
//! // ... deliver to fake.url() ...
//! assert_eq!(fake.documents().len(), 10);
//! ```

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::http_wire::{Reply, Request, Wire};

/// As many times as it fits.
pub(crate) const ALWAYS: usize = usize::MAX;

/// When an entry of the plan strikes.
#[derive(Debug, Clone)]
pub(crate) enum When {
    /// The bulk request of this number, counted from 0.
    Request(usize),
    /// The item of this id; a request's fault strikes every request that holds it.
    Id(&'static str),
    /// Like [`When::Id`], for ids made by the test.
    Named(String),
    /// Requests whose body is larger, as it came.
    BodyOver(usize),
    Any,
}

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The item is answered so and not kept.
    Item { status: u16, error: Value },
    /// The item goes to the failure store: 201, and not kept.
    FailureStore,
    /// The request is answered so; nothing is kept.
    Request { status: u16, body: String },
    /// The connection is closed before an answer; nothing is kept.
    Cut,
    /// Everything is kept, then the answer is cut in the middle.
    CutReply,
    /// Everything is kept; the answer comes this late.
    Slow(Duration),
    /// Everything is kept; the answer lacks its last item.
    WrongCount,
    /// Everything is kept; the answer is 200 with half of a JSON text.
    Garbage,
    /// Nothing is kept; a proxy's page comes with 200.
    Html,
}

/// An item's refusal with this status and `error.type`.
pub(crate) fn item(status: u16, kind: &str) -> Fault {
    reasoned(status, kind, "as planned")
}

/// An item's refusal with its reason.
pub(crate) fn reasoned(status: u16, kind: &str, reason: &str) -> Fault {
    Fault::Item { status, error: json!({ "type": kind, "reason": reason }) }
}

/// A request's refusal.
pub(crate) fn request(status: u16, kind: &str) -> Fault {
    let body = json!({ "error": { "type": kind, "reason": "as planned" }, "status": status });
    Fault::Request { status, body: body.to_string() }
}

#[derive(Debug)]
struct Entry {
    when: When,
    fault: Fault,
    left: usize,
    struck: usize,
}

/// What the fake has seen and kept.
#[derive(Debug, Default)]
struct State {
    plan: Vec<Entry>,
    documents: BTreeMap<(String, String), String>,
    templates: BTreeMap<String, Value>,
    requests: usize,
    /// Ids of each bulk request, in order.
    seen: Vec<Vec<String>>,
    gzipped: usize,
    authorization: Option<String>,
    authorizations: Vec<String>,
}

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct FakeIndex {
    address: std::net::SocketAddr,
    state: Arc<Mutex<State>>,
    opensearch: Arc<AtomicBool>,
    unstruck_allowed: AtomicBool,
    tasks: JoinSet<()>,
}

impl FakeIndex {
    /// Starts on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let opensearch = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let server = Server { state: state.clone(), opensearch: opensearch.clone() };
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(server.clone().connection(Wire::new(stream)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, state, opensearch, unstruck_allowed: AtomicBool::new(false), tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a fault that strikes so many times.
    pub(crate) fn plan(&self, when: When, fault: Fault, times: usize) {
        self.state().plan.push(Entry { when, fault, left: times, struck: 0 });
    }

    /// The faults that are left strike no more: the fault is mended.
    pub(crate) fn mend(&self) {
        for entry in &mut self.state().plan {
            entry.left = 0;
        }
    }

    /// For random plans, where an entry may find nothing to strike.
    pub(crate) fn allow_unstruck(&self) {
        self.unstruck_allowed.store(true, Ordering::Relaxed);
    }

    /// Answers 401 to every request whose `Authorization` is another.
    pub(crate) fn require_authorization(&self, value: &str) {
        self.state().authorization = Some(value.to_owned());
    }

    /// Behaves as OpenSearch: says no product.
    pub(crate) fn as_opensearch(&self) {
        self.opensearch.store(true, Ordering::Relaxed);
    }

    pub(crate) fn put_template(&self, name: &str, template: Value) {
        self.state().templates.insert(name.to_owned(), template);
    }

    /// What is kept: source by index and id.
    pub(crate) fn documents(&self) -> BTreeMap<(String, String), String> {
        self.state().documents.clone()
    }

    /// Ids of each bulk request, in the order of their coming.
    pub(crate) fn seen(&self) -> Vec<Vec<String>> {
        self.state().seen.clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.state().requests
    }

    pub(crate) fn gzipped(&self) -> usize {
        self.state().gzipped
    }

    /// How often the entries of the plan struck, in their order.
    pub(crate) fn struck(&self) -> Vec<usize> {
        self.state().plan.iter().map(|entry| entry.struck).collect()
    }

    /// Every `Authorization` that came.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.state().authorizations.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic in the fake")
    }
}

impl Drop for FakeIndex {
    fn drop(&mut self) {
        self.tasks.abort_all();
        if std::thread::panicking() || self.unstruck_allowed.load(Ordering::Relaxed) {
            return;
        }
        let state = self.state();
        let idle: Vec<_> = state.plan.iter().filter(|entry| entry.struck == 0).collect();
        assert!(idle.is_empty(), "planned and never struck: {idle:?}");
    }
}

#[derive(Clone)]
struct Server {
    state: Arc<Mutex<State>>,
    opensearch: Arc<AtomicBool>,
}

/// One document of a bulk body.
struct Line {
    op: String,
    index: String,
    id: String,
    source: String,
}

impl Server {
    async fn connection(self, mut wire: Wire) {
        while let Some(request) = wire.request().await {
            let Some((reply, wait)) = self.answer(&request) else {
                return;
            };
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
            if !wire.reply(&reply).await {
                return;
            }
        }
    }

    /// The reply and how late it comes; `None` closes the connection.
    fn answer(&self, request: &Request) -> Option<(Reply, Option<Duration>)> {
        let authorization = request.header("authorization").unwrap_or_default().to_owned();
        let refused = {
            let mut state = self.state.lock().expect("no panic in the fake");
            state.authorizations.push(authorization.clone());
            state.authorization.as_ref().is_some_and(|wanted| *wanted != authorization)
        };
        let (mut reply, wait) = if refused {
            (Reply::json(401, r#"{"error":{"type":"security_exception"},"status":401}"#), None)
        } else if request.method == "POST" && request.target.starts_with("/_bulk") {
            self.bulk(request)?
        } else {
            (self.other(request), None)
        };
        if !self.opensearch.load(Ordering::Relaxed) {
            reply.headers.push(("x-elastic-product", "Elasticsearch".to_owned()));
        }
        Some((reply, wait))
    }

    fn other(&self, request: &Request) -> Reply {
        let mut state = self.state.lock().expect("no panic in the fake");
        let path = request.target.split('?').next().unwrap_or_default();
        if let Some(name) = path.strip_prefix("/_index_template/") {
            if request.method == "PUT" {
                let body = serde_json::from_slice(&request.body).expect("a template");
                state.templates.insert(name.to_owned(), body);
                return Reply::json(200, r#"{"acknowledged":true}"#);
            }
            return match state.templates.get(name) {
                Some(template) => {
                    let found = json!({ "name": name, "index_template": template });
                    Reply::json(200, json!({ "index_templates": [found] }).to_string())
                }
                None => Reply::json(404, r#"{"error":{"type":"resource_not_found_exception"}}"#),
            };
        }
        if path.starts_with("/_nodes") {
            let opensearch = self.opensearch.load(Ordering::Relaxed);
            let version = if opensearch { "3.8.0" } else { "9.2.0" };
            let body = json!({ "nodes": { "a": { "version": version } } });
            return Reply::json(200, body.to_string());
        }
        Reply::json(405, r#"{"error":"no such thing here"}"#)
    }

    fn bulk(&self, request: &Request) -> Option<(Reply, Option<Duration>)> {
        let mut state = self.state.lock().expect("no panic in the fake");
        let number = state.requests;
        state.requests += 1;
        let gzip = request.header("content-encoding") == Some("gzip");
        state.gzipped += usize::from(gzip);
        let lines = lines(&request.body, gzip);
        state.seen.push(lines.iter().map(|line| line.id.clone()).collect());
        let planned = state.strike(true, |when| match when {
            When::Request(wanted) => *wanted == number,
            When::Id(id) => lines.iter().any(|line| line.id == **id),
            When::Named(id) => lines.iter().any(|line| line.id == *id),
            When::BodyOver(bytes) => request.body.len() > *bytes,
            When::Any => true,
        });
        match planned {
            Some(Fault::Cut) => return None,
            Some(Fault::Request { status, body }) => {
                return Some((Reply::json(status, body), None));
            }
            Some(Fault::Html) => {
                let mut page = Reply::json(200, "<html><body>Welcome</body></html>");
                page.content_type = "text/html";
                return Some((page, None));
            }
            _ => {}
        }
        let mut items: Vec<_> = lines.into_iter().map(|line| state.keep(number, line)).collect();
        if matches!(planned, Some(Fault::WrongCount)) {
            items.pop();
        }
        let errors = items.iter().any(|item| item.contains("\"error\""));
        let body = format!("{{\"errors\":{errors},\"items\":[{}]}}", items.join(","));
        let half = body.len() / 2;
        let mut reply = Reply::json(200, body);
        let mut wait = None;
        match planned {
            Some(Fault::Slow(time)) => wait = Some(time),
            Some(Fault::CutReply) => reply.cut_after = Some(half),
            Some(Fault::Garbage) => reply.body.truncate(half),
            _ => {}
        }
        Some((reply, wait))
    }
}

impl State {
    /// The first fitting entry, for requests or for items.
    fn strike(&mut self, of_request: bool, fits: impl Fn(&When) -> bool) -> Option<Fault> {
        let entry = self.plan.iter_mut().find(|entry| {
            let of_item = matches!(entry.fault, Fault::Item { .. } | Fault::FailureStore);
            entry.left > 0 && of_item != of_request && fits(&entry.when)
        })?;
        entry.left = entry.left.saturating_sub(usize::from(entry.left != ALWAYS));
        entry.struck += 1;
        Some(entry.fault.clone())
    }

    /// Keeps one document, or does what the plan says; the answer's item.
    fn keep(&mut self, number: usize, line: Line) -> String {
        let planned = self.strike(false, |when| match when {
            When::Request(wanted) => *wanted == number,
            When::Id(id) => line.id == **id,
            When::Named(id) => line.id == *id,
            When::BodyOver(bytes) => line.source.len() > *bytes,
            When::Any => true,
        });
        let op = &line.op;
        match planned {
            Some(Fault::Item { status, error }) => {
                return format!("{{\"{op}\":{{\"status\":{status},\"error\":{error}}}}}");
            }
            Some(Fault::FailureStore) => {
                return format!("{{\"{op}\":{{\"failure_store\":\"used\",\"status\":201}}}}");
            }
            _ => {}
        }
        let key = (line.index, line.id);
        if op == "create" && self.documents.contains_key(&key) {
            let error = json!({
                "type": "version_conflict_engine_exception",
                "reason": format!("[{}]: version conflict, document already exists", key.1),
            });
            return format!("{{\"create\":{{\"status\":409,\"error\":{error}}}}}");
        }
        let status = if self.documents.insert(key, line.source).is_some() { 200 } else { 201 };
        format!("{{\"{op}\":{{\"status\":{status}}}}}")
    }
}

fn lines(body: &[u8], gzip: bool) -> Vec<Line> {
    let mut text = String::new();
    if gzip {
        flate2::read::GzDecoder::new(body).read_to_string(&mut text).expect("gzip of UTF-8");
    } else {
        text.push_str(std::str::from_utf8(body).expect("UTF-8"));
    }
    assert!(text.ends_with('\n'), "a bulk body ends with a newline");
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(action) = lines.next() {
        let action: Value = serde_json::from_str(action).expect("an action line");
        let (op, target) = action.as_object().and_then(|a| a.iter().next()).expect("one operation");
        let text = |key: &str| target[key].as_str().expect("index and id").to_owned();
        let source = lines.next().expect("a source line").to_owned();
        found.push(Line { op: op.clone(), index: text("_index"), id: text("_id"), source });
    }
    found
}
