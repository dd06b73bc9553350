//! A token stands nowhere but in the answer that made it: whatever was asked by it, neither in what
//! the process prints at its most talkative, nor in its metrics, nor in an answer.

use std::fs;

use serde_json::{Value, json};

use super::{ADMIN, AREAS, Site};
use crate::stream::administration::secrets::{TRANSPORTS, forms, requests, said};

const SETTINGS: &str = "log.level = \"trace\"\nlog.lines_per_minute_max = 1000000\n\
                        stream.failures_per_minute_max = 1000000\n";

#[test]
fn t6_no_token_stands_in_output_metrics_or_answers() {
    let Some(mut site) = Site::new("stream-secrets", 1, SETTINGS) else { return };
    let replica = site.start("r1");
    let channel = site.channel(&replica, AREAS[0]);
    site.produce(0..100);
    site.settled(100);
    let path = format!("/v1/streams/{}", channel.id);
    // One that is almost right is almost as secret.
    let wrong = format!("{}A{}", &channel.secret[..20], &channel.secret[21..]);
    let mut answers = Vec::new();
    let mut opened = 0;
    for key in [&channel.secret, &wrong] {
        for transport in TRANSPORTS {
            for (target, headers) in requests(&path, key, transport) {
                let request = said(replica.streams, &target, &headers);
                let answer = site.runtime.block_on(request);
                opened += usize::from(matches!(&answer[9..12], "200" | "101"));
                answers.push(answer);
            }
        }
    }
    // By the query, a header and a subprotocol, over three transports.
    assert_eq!(opened, 9);
    let of_channel = format!("/channels/{}", channel.id);
    for path in [
        "/channels",
        &of_channel,
        &format!("{of_channel}/tokens"),
        &format!("{of_channel}/audit"),
        "/audit",
        "/connections",
        &format!("/channels/{}", channel.secret),
    ] {
        let (_, answer): (u16, Value) = site.ask(&replica, ("GET", path), &json!({}));
        answers.push(answer.to_string());
    }
    let metrics = site.world.metrics_from(&replica.http).expect("a scrape").0;
    site.world.ended(replica.running);
    let output = [site.world.log(), fs::read_to_string(site.world.path("out")).unwrap()].concat();
    // They have something to say of what happened here.
    assert!(output.contains("TRACE") && output.contains("a stream ended"), "{output}");
    assert!(metrics.contains("sluice_stream_"), "{metrics}");
    let answers = answers.join("\n");
    for (whose, secret) in
        [("the token", channel.secret.as_str()), ("a wrong one", &wrong), ("the admin's", ADMIN)]
    {
        for (form, text) in forms(secret) {
            for (place, found) in
                [("an answer", &answers), ("the output", &output), ("a metric", &metrics)]
            {
                let line = found.lines().find(|line| line.contains(&text));
                assert_eq!(line, None, "{whose}, {form}, in {place}");
            }
        }
    }
}
