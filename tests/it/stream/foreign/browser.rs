//! Chromium: a page of another origin than the stream's listens by every way that a browser has.

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::support::http_wire::{Reply, Wire};

/// A browser that runs one page, and the server of that page, which it reports to.
pub(super) struct Pages {
    reports: mpsc::Receiver<String>,
    _server: JoinSet<()>,
    _browser: Child,
    _profile: TempDir,
}

impl Pages {
    /// `None` where no browser is there.
    async fn open(rig: &Rig, way: &str) -> Option<Self> {
        let browser = server("SLUICE_TEST_CLIENT_CHROMIUM", "a browser")?;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (sender, reports) = mpsc::channel(16);
        let mut server = JoinSet::new();
        server.spawn(serve(listener, sender));
        let url = rig.url(if matches!(way, "subprotocol" | "key") { "ws" } else { "http" });
        let page = url::Url::parse_with_params(
            &origin,
            [
                ("url", url.as_str()),
                ("token", "good"),
                ("way", way),
                ("leave_after", &LEAVE_AFTER.to_string()),
            ],
        );
        let profile = TempDir::new().unwrap();
        let mut command = Command::new(browser);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server"])
            // Kept running, whatever the page does.
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(page.unwrap().as_str())
            .env("HOME", profile.path())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let browser = command.spawn().unwrap();
        Some(Self { reports, _server: server, _browser: browser, _profile: profile })
    }

    pub(super) async fn next(&mut self) -> String {
        self.reports.recv().await.unwrap()
    }
}

/// Serves the page, and takes what it reports.
async fn serve(listener: TcpListener, reports: mpsc::Sender<String>) {
    let page = std::fs::read(sources("browser").join("page.html")).unwrap();
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (page, reports) = (page.clone(), reports.clone());
        connections.spawn(async move {
            let mut wire = Wire::new(socket);
            while let Some(request) = wire.request().await {
                let reply = match (request.method.as_str(), request.target.as_str()) {
                    ("POST", "/report") => {
                        reports.send(String::from_utf8(request.body).unwrap()).await.unwrap();
                        Reply::json(204, "")
                    }
                    (_, target) if target.starts_with("/?") => {
                        Reply { content_type: "text/html", ..Reply::json(200, page.clone()) }
                    }
                    _ => Reply::json(404, ""),
                };
                if !wire.reply(&reply).await {
                    return;
                }
            }
        });
    }
}

async fn check(way: &str, expected: &[Value]) {
    let rig = Rig::start(4 << 20).await;
    let Some(pages) = Pages::open(&rig, way).await else { return };
    let mut reports = Reports::Pages(Box::new(pages));
    assert_eq!(sessions(&rig, &mut reports).await, expected, "{way}");
}

/// A page is not told why a WebSocket did not open, only that: 1006.
fn websocket_reports(subprotocol: &str) -> [Value; 5] {
    [
        json!({ "refused": 1006 }),
        json!({ "opened": subprotocol }),
        json!({ "left": 1000 }),
        json!({ "opened": subprotocol }),
        json!({ "closed": 1012, "reason": "this server restarts" }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_with_its_token_as_a_subprotocol() {
    check("subprotocol", &websocket_reports("sluice.v1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_with_its_token_in_the_url() {
    check("key", &websocket_reports("")).await;
}

/// With a header that a browser asks about first, and a refusal that the page can read.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_of_ndjson() {
    let problem = json!({
        "type": "urn:sluice:problem:unauthorized",
        "title": "Unauthorized",
        "status": 401,
        "detail": "an access token that is enabled is needed",
    });
    let expected = [
        json!({ "refused": 401, "problem": problem, "retry": null }),
        json!({ "opened": "application/x-ndjson" }),
        json!({ "left": 1000 }),
        json!({ "opened": "application/x-ndjson" }),
        json!({ "closed": 1012, "reason": "" }),
    ];
    check("fetch", &expected).await;
}

/// It comes back by itself, with the id of the last event.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_that_is_cut_off() {
    let rig = Rig::start(4 << 20).await;
    let Some(mut pages) = Pages::open(&rig, "eventsource").await else { return };
    let all = events(0..EVENTS);
    rig.go_live_with(&all[..LEAVE_AFTER]);
    let (mut heard, mut other) = (Vec::new(), Vec::new());
    while heard.len() < EVENTS {
        let report: Value =
            serde_json::from_str(&timeout(PATIENCE, pages.next()).await.unwrap()).unwrap();
        let Some(text) = report["message"].as_str() else {
            if report["away"] == true {
                rig.go_live_with(&all[LEAVE_AFTER..]);
            }
            other.push(report);
            continue;
        };
        let message: Value = serde_json::from_str(text).unwrap();
        if let Some(data) = message["data"].as_array() {
            assert_eq!(report["id"], message["cursor"]);
            heard.extend(data.iter().cloned());
            if heard.len() == LEAVE_AFTER {
                rig.replica.connections.end(|_, _| Some(End::Restart));
            }
        }
    }
    assert_eq!(heard, all);
    assert_eq!(other, [json!({ "opened": "" }), json!({ "away": true }), json!({ "opened": "" })]);
}
