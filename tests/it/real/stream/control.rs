//! A control topic that cannot be written, and then is not there at all: nothing can be changed,
//! and whoever listens is not disturbed.

use futures::future::join_all;
use serde_json::{Value, json};

use super::listening::Listener;
use super::{AREAS, Channel, Replica, Site, TRANSPORTS, asked};

const EVENTS_AT_A_TIME: u32 = 40;
/// What `sluice setup` gives the topic.
const SETTINGS: [(&str, &str); 4] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("message.timestamp.type", "LogAppendTime"),
];

/// One more batch of events is heard by everyone, all of it and nothing else.
fn hear(site: &Site, listeners: &[Listener], events: &mut u32) {
    let next = *events + EVENTS_AT_A_TIME;
    site.produce(*events..next);
    *events = next;
    let expected = site.of_area(0, 0..next);
    site.world.until("everyone hears on", |_| {
        listeners.iter().all(|listener| listener.has(expected.len())).then_some(())
    });
    for listener in listeners {
        assert_eq!(listener.heard().numbers(), expected);
    }
}

/// Every kind of change that there is.
fn changes(channel: &Channel) -> [(&'static str, String, Value); 5] {
    let of = format!("/channels/{}", channel.id);
    let tokens = format!("{of}/tokens");
    let token = format!("{tokens}/{}", channel.token);
    [
        ("PATCH", of.clone(), json!({ "name": "Mine" })),
        ("PATCH", of, json!({ "enabled": false })),
        ("PATCH", token, json!({ "enabled": false })),
        ("POST", tokens, json!({})),
        ("POST", "/channels".to_owned(), json!({ "area": AREAS[1] })),
    ]
}

/// None of the changes can be made, and each is told so; answers their ids.
fn nothing_can_be_changed(site: &Site, replica: &Replica, channel: &Channel) -> [String; 5] {
    let each = changes(channel).map(|(method, path, body)| async move {
        let answer = asked(replica.api, "", (method, &path), &body).await;
        let (status, problem) = answer.expect("a whole answer");
        assert_eq!((status, &problem["status"]), (503, &json!(503)), "{method} {path}: {problem}");
        assert_eq!(problem["type"], "urn:sluice:problem:control-unavailable");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("ask again with the id as `Idempotency-Key`"), "{detail}");
        let (_, rest) = detail.split_once("command ").unwrap();
        rest.split(' ').next().unwrap().to_owned()
    });
    // Each is waited for as long as an answer may take.
    site.runtime.block_on(join_all(each)).try_into().unwrap()
}

/// Whether a change that changes nothing can be made.
fn can_be_changed(site: &Site, replica: &Replica, channel: &Channel) -> bool {
    let path = format!("/channels/{}", channel.id);
    let (status, problem) = site.ask(replica, ("PATCH", &path), &json!({ "description": "" }));
    assert!(matches!(status, 200 | 503), "{problem}");
    status == 200
}

#[test]
fn without_the_control_topic_nothing_is_changed_and_streams_go_on() {
    let Some(mut site) = Site::new("stream-control", 1, "") else { return };
    let replica = site.start("r1");
    let channel = site.channel(&replica, AREAS[0]);
    let listeners: Vec<_> = TRANSPORTS
        .map(|transport| Listener::begin(&site, &replica, transport, &channel, ""))
        .into();
    let mut events = 0;
    hear(&site, &listeners, &mut events);

    let topic = format!("{}-control", site.world.name);
    // Too small for any record. (One broker acknowledges whatever number of replicas is asked for.)
    site.world.configure_topic(&topic, &[&SETTINGS[..], &[("max.message.bytes", "1")]].concat());
    site.world.until("the broker refuses writes", |_| {
        (!can_be_changed(&site, &replica, &channel)).then_some(())
    });
    let ids = nothing_can_be_changed(&site, &replica, &channel);
    hear(&site, &listeners, &mut events);
    // What can be read tells who may listen.
    let late = Listener::begin(&site, &replica, "ndjson", &channel, "earliest");
    site.world
        .until("one more listens", |_| late.has(listeners[0].heard().events.len()).then_some(()));
    let (_, shown) = site.ask(&replica, ("GET", &format!("/channels/{}", channel.id)), &json!({}));
    assert_eq!((&shown["name"], &shown["enabled"]), (&json!("Channel for id:blue"), &json!(true)));
    assert_eq!(shown["tokens"][0]["enabled"], true, "{shown}");

    site.world.configure_topic(&topic, &SETTINGS);
    site.world.until("the broker takes writes", |_| {
        can_be_changed(&site, &replica, &channel).then_some(())
    });
    // Asked for again under its id, it is made, and once.
    for expected in [true, false] {
        let header = format!("Idempotency-Key: {}\r\n", ids[4]);
        let request = ("POST", "/channels");
        let answer = site.try_ask(replica.api, &header, request, &json!({ "area": AREAS[1] }));
        let (status, made) = answer.expect("a whole answer");
        assert_eq!((status, made["token"]["secret"].is_string()), (201, expected), "{made}");
    }

    site.world.delete_topic(&topic);
    nothing_can_be_changed(&site, &replica, &channel);
    hear(&site, &listeners, &mut events);
    let refused = site.open(&replica, "sse", &channel, "");
    assert!(refused.head.starts_with("HTTP/1.1 503"), "{}", refused.head);
    site.world.ended(replica.running);
}
