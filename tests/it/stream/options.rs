//! What a client may ask for, over the wire: filters, fields, samples, formats, compression, the
//! first message.

use serde_json::{Value, json};

use super::client::Client;
use super::{AREA, Rig, numbers};

/// The next status of a client.
async fn status(client: &mut Client) -> Value {
    loop {
        let message = client.any_message().await;
        if let Some(status) = message.get("status") {
            return status.clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_behind_when_it_comes_is_not_slow() {
    let rig = Rig::start(4_000).await;
    // More than one turn of reading.
    rig.go_live(0..15_000);
    let mut client = rig.client("websocket", "key=good&earliest&slow=disconnect").await;
    assert_eq!(numbers(&client.events(15_000).await), (0..15_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_the_same_on_every_transport_from_the_ring_and_from_kafka() {
    for ring_bytes_max in [1 << 20, 4_000] {
        let rig = Rig::start(ring_bytes_max).await;
        rig.go_live(0..100);
        for transport in ["websocket", "sse", "ndjson"] {
            for batch in [0, 1] {
                let query = format!(
                    "key=good&earliest&batch={batch}&filter=n%20%3E%3D%2050%20and%20not%20n%20in%20(60,61)"
                );
                let mut client = rig.client(transport, &query).await;
                let expected: Vec<_> = (50..100).filter(|n| ![60, 61].contains(n)).collect();
                assert_eq!(numbers(&client.events(48).await), expected, "{transport} {batch}");
                if (transport, batch) != ("ndjson", 1) {
                    continue;
                }
                let status = status(&mut client).await;
                assert_eq!((&status["sent"], &status["filtered"]), (&json!(48), &json!(52)));
                assert_eq!((&status["dropped"], &status["lag_events"]), (&json!(0), &json!(0)));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_a_filtered_stream_is_good_for_any_other() {
    let rig = Rig::start(1 << 20).await;
    let lines: String = (0..10).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    rig.kafka.go_live(rig.partition, &[(AREA, lines)]);
    let mut odd = rig.client("ndjson", "key=good&earliest&filter=n%20in%20(1,3,5)").await;
    let heard = odd.events(2).await;
    let cursor = heard[1]["cursor"].as_str().unwrap();
    let mut all = rig.client("sse", &format!("key=good&cursor={cursor}")).await;
    assert_eq!(numbers(&all.events(6).await), [4, 5, 6, 7, 8, 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_told_as_a_gap_and_the_sum_is_whole() {
    let rig = Rig::start(1 << 20).await;
    let lines: String = (0..1_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    rig.kafka.go_live(rig.partition, &[(AREA, lines)]);
    let mut client = rig.client("ndjson", "key=good&earliest&sample=10").await;
    let (mut sent, mut left_out) = (0, None);
    while left_out.is_none() {
        let message = client.any_message().await;
        sent += message["data"].as_array().map_or(0, Vec::len);
        if let Some(gap) = message.get("gap") {
            assert_eq!(gap["cause"], "sampled");
            assert!(gap["from"].is_string() && gap["to"].is_string());
            left_out = gap["count"].as_u64();
        }
    }
    assert_eq!(sent as u64 + left_out.unwrap(), 1_000);
    assert!((50..200).contains(&sent), "{sent}");
    assert_eq!(status(&mut client).await["dropped"].as_u64(), left_out);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_message_says_what_the_query_could() {
    let rig = Rig::start(1 << 20).await;
    rig.go_live(0..20);
    let mut client = rig.client("websocket", "key=good&hello=1").await;
    client.say(r#"{"filter":"n > 16","earliest":true,"batch":false}"#).await;
    assert_eq!(numbers(&client.events(3).await), [17, 18, 19]);
    for (message, expected) in [
        (r#"{"filter":"n = many"}"#, "`filter`"),
        (r#"{"nonsense":1}"#, "there is no parameter `nonsense`"),
        ("hi", "a JSON object"),
    ] {
        let mut client = rig.client("websocket", "key=good&hello=1").await;
        client.say(message).await;
        let told = client.message().await;
        assert_eq!(told["error"]["type"], "refused", "{told}");
        assert!(told["error"]["detail"].as_str().unwrap().contains(expected), "{told}");
        assert_eq!(client.close_code().await, Some(4400));
    }
    let refused = rig.client("sse", "key=good&hello=1").await;
    assert!(refused.head.starts_with("HTTP/1.1 400"), "{}", refused.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn masherys_clients_read_their_format_and_nothing_else() {
    let rig = Rig::start(1 << 20).await;
    for area in ["id:acme", "acme"] {
        let path = format!("/ecls/subscribe/{area}/acme?key=good");
        let mut client = Client::open(rig.replica.address, "websocket", &path).await;
        rig.kafka.go_live(
            rig.partition,
            &[(
                AREA,
                "{\"event_id\":\"e\",\"api_name\":\"orders\",\"status_code\":\"200 OK\"}\n"
                    .to_owned(),
            )],
        );
        let (opcode, payload) = client.frame().await;
        assert_eq!(opcode, 2);
        let message: Value = serde_json::from_slice(&payload).unwrap();
        let event = message["data"][0].as_object().unwrap();
        assert_eq!((message.as_object().unwrap().len(), event.len()), (1, 41));
        assert_eq!((&event["service_name"], &event["uri"]), (&json!("orders"), &json!("-")));
        drop(client);
    }
    for (path, status) in [
        ("/ecls/subscribe/id:other/acme?key=good", "401"),
        ("/ecls/subscribe/acme/acme?key=bad", "401"),
        ("/ecls/subscribe/acme/acme?key=good&filter=n:1", "400"),
    ] {
        let refused = Client::open(rig.replica.address, "websocket", path).await;
        assert!(refused.head.starts_with(&format!("HTTP/1.1 {status}")), "{}", refused.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_messages_with_the_dictionary_that_is_served() {
    let rig = Rig::start(1 << 20).await;
    rig.go_live(0..5);
    let dictionary = sluice::stream::dictionary::Dictionary::built_in().unwrap();
    let served = Client::open(rig.replica.address, "plain", "/v1/dictionary").await;
    assert!(served.head.contains(&format!("etag: \"{}\"", dictionary.id())), "{}", served.head);
    assert!(served.body(dictionary.bytes().len()).await == dictionary.bytes());
    let mut client = rig.client("websocket", "key=good&earliest&compression=zstd").await;
    let mut read = zstd::bulk::Decompressor::with_dictionary(dictionary.bytes()).unwrap();
    for n in 0..5 {
        let (opcode, payload) = client.frame().await;
        assert_eq!(opcode, 2);
        let message: Value =
            serde_json::from_slice(&read.decompress(&payload, 10_000).unwrap()).unwrap();
        assert_eq!(message["data"], json!([{ "n": n }]));
    }
    let refused = rig.client("ndjson", "key=good&compression=zstd").await;
    assert!(refused.head.starts_with("HTTP/1.1 400"), "{}", refused.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_wrongly_is_said_before_anything_is_sent() {
    let rig = Rig::start(1 << 20).await;
    let check = async |query: &str, expected: &str| {
        let client = rig.client("ndjson", &format!("key=good&{query}")).await;
        assert!(client.head.starts_with("HTTP/1.1 400"), "{query}: {}", client.head);
        let length = client.head.split("content-length: ").nth(1).unwrap();
        let length = length.lines().next().unwrap().parse().unwrap();
        let body = String::from_utf8(client.body(length).await).unwrap();
        assert!(body.contains(expected), "{query}: {body}");
    };
    check("filter=m%3D1", "character 1: no field `m`").await;
    check("filter=bytes_sent%3E10%20and%20bytes_sent%3C3", "no value of `bytes_sent`").await;
    check("fields=m", "no field `m`").await;
    check("fields=", "no field is named").await;
    check("sample=0", "whole number").await;
    check("since=noon", "2026-01-15T10:00:00Z").await;
    check("since=1&earliest", "not several").await;
}
