//! curl: a line at a time, as a script would read it.

use super::*;

/// Runs curl until so many lines came that are wanted; answers them.
async fn lines(arguments: &[&str], count: usize, wanted: &str) -> Option<Vec<String>> {
    let program = server("SLUICE_TEST_CLIENT_CURL", "curl")?;
    let plain = ["--silent", "--no-buffer", "--noproxy", "*"];
    let Reports::Lines(mut curl) = start(&program, &[&plain, arguments].concat(), &[]) else {
        panic!("not a program")
    };
    let mut found = Vec::new();
    while found.len() < count {
        let line = timeout(PATIENCE, curl.1.next_line()).await.unwrap().unwrap();
        let line = line.expect("curl goes on");
        found.extend(line.strip_prefix(wanted).map(str::to_owned));
    }
    curl.0.kill().await.unwrap();
    Some(found)
}

fn data(lines: &[String]) -> (Vec<Value>, String) {
    let messages: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cursor = messages.last().unwrap()["cursor"].as_str().unwrap().to_owned();
    (messages.iter().map(|message| message["data"][0].clone()).collect(), cursor)
}

#[tokio::test(flavor = "multi_thread")]
async fn ndjson_and_server_sent_events() {
    let rig = Rig::start(4 << 20).await;
    let all = events(0..EVENTS);
    rig.go_live_with(&all);
    let url = rig.url("http");
    let token = "authorization: Bearer good";
    let of_data = "{\"cursor\"";
    for (accept, prefix) in
        [("accept: application/x-ndjson", ""), ("accept: text/event-stream", "data: ")]
    {
        let earliest = format!("{url}?earliest");
        let wanted = format!("{prefix}{of_data}");
        let whole = |lines: Vec<String>| {
            let lines: Vec<_> = lines.iter().map(|line| format!("{of_data}{line}")).collect();
            data(&lines)
        };
        let arguments = ["-H", token, "-H", accept, &earliest];
        let Some(first) = lines(&arguments, LEAVE_AFTER, &wanted).await else { return };
        let (mut heard, cursor) = whole(first);
        // By its query, and as a reader of server-sent events comes back.
        let (further, last) =
            (format!("{url}?cursor={cursor}"), format!("last-event-id: {cursor}"));
        let arguments = match prefix {
            "" => vec!["-H", token, "-H", accept, &further],
            _ => vec!["-H", token, "-H", accept, "-H", &last, &earliest],
        };
        let rest = lines(&arguments, EVENTS - LEAVE_AFTER, &wanted).await.unwrap();
        heard.extend(whole(rest).0);
        assert_eq!(heard, all);
    }
    // What a script sees where it may not, and its exit code.
    let program = server("SLUICE_TEST_CLIENT_CURL", "curl").unwrap();
    let mut curl = Command::new(program);
    let arguments =
        ["--silent", "--fail-with-body", "--noproxy", "*", "-H", "accept: text/event-stream"];
    let output = curl.args(arguments).arg(&url).output().await.unwrap();
    assert_eq!(output.status.code(), Some(22));
    let problem: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(problem["type"], "urn:sluice:problem:unauthorized");
}
