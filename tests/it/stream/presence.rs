//! Who has a place and who is listed, by HTTP, with two replicas over one mock cluster.

use super::administration::{Replica, kafka};
use super::*;

/// A channel with a token, made through the API: their ids and the secret.
async fn channel(replica: &Replica) -> (String, String, String) {
    let (status, made) =
        replica.ask("POST", "/channels", serde_json::json!({ "area": AREA })).await;
    assert_eq!(status, 201, "{made}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["channel"]["id"]), text(&made["token"]["id"]), text(&made["token"]["secret"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn n1_the_sixth_connection_is_told_why_and_a_place_that_is_free_is_given() {
    let kafka = kafka();
    let (one, other) = (Replica::start(&kafka, "r1").await, Replica::start(&kafka, "r2").await);
    let (channel, _, secret) = channel(&one).await;
    let mut clients = Vec::new();
    for replica in [&one, &other, &one, &other, &one] {
        let client = replica.listen(&channel, &secret).await;
        assert!(client.head.starts_with("HTTP/1.1 101"), "{}", client.head);
        clients.push(client);
    }
    for replica in [&one, &other] {
        let refused = replica.listen(&channel, &secret).await;
        assert!(refused.head.starts_with("HTTP/1.1 429"), "{}", refused.head);
        assert!(refused.head.contains("retry-after: 5"), "{}", refused.head);
    }
    clients.pop();
    // Its release is in the topic, and not only its end known to the one replica.
    listed(&other, &format!("/connections?channel={channel}"), 4).await;
    let client = other.listen(&channel, &secret).await;
    assert!(client.head.starts_with("HTTP/1.1 101"), "{}", client.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_all_replicas_are_listed_and_closed_through_any() {
    let kafka = kafka();
    let (one, other) = (Replica::start(&kafka, "r1").await, Replica::start(&kafka, "r2").await);
    let (channel, token, secret) = channel(&one).await;
    let mut clients = [one.listen(&channel, &secret).await, other.listen(&channel, &secret).await];
    let of_channel = format!("/connections?channel={channel}");
    for replica in [&one, &other] {
        let listed = listed(replica, &of_channel, 2).await;
        let mut replicas: Vec<_> =
            listed.iter().map(|one| one["replica"].as_str().unwrap().to_owned()).collect();
        replicas.sort();
        assert_eq!(replicas, ["r1", "r2"]);
        for connection in &listed {
            assert_eq!(connection["token"], *token);
            assert_eq!(connection["transport"], "websocket");
            assert!(connection["address"].as_str().unwrap().starts_with("127.0.0.1:"));
            for figure in ["since", "renewed", "events", "bytes", "dropped", "filtered"] {
                assert!(connection[figure].is_u64(), "{figure} in {connection}");
            }
        }
        let (_, shown) = replica.ask("GET", &format!("/channels/{channel}"), Value::Null).await;
        assert_eq!(shown["connections"], 2);
        assert!(shown["tokens"][0]["last_used"].is_u64(), "{shown}");
    }
    assert_eq!(listed(&one, "/connections?channel=c9", 0).await, Vec::<Value>::new());
    let (status, _) = one.ask("GET", "/connections?chanel=c1", Value::Null).await;
    assert_eq!(status, 400);
    // Through one, of the other.
    let all = listed(&one, "/connections", 2).await;
    let theirs = all.iter().find(|one| one["replica"] == "r2").unwrap();
    let path = format!("/connections/{}", theirs["id"].as_str().unwrap());
    let (status, _) = one.ask("DELETE", &path, Value::Null).await;
    assert_eq!(status, 204);
    assert_eq!(clients[1].close_code().await, Some(4403));
    listed(&one, &of_channel, 1).await;
    let (status, _) = one.ask("DELETE", &path, Value::Null).await;
    assert_eq!(status, 404);
    assert_eq!(one.connections.count(), 1);
    let [mine, _] = &mut clients;
    one.connections.end(|_, _| Some(End::Full));
    assert_eq!(mine.close_code().await, Some(4429));
}

/// The connections that a replica lists, as soon as they are so many.
async fn listed(replica: &Replica, path: &str, count: usize) -> Vec<Value> {
    let since = std::time::Instant::now();
    loop {
        let (status, answer) = replica.ask("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        let all = answer["connections"].as_array().unwrap();
        if all.len() == count {
            return all.clone();
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{answer}");
        tokio::task::yield_now().await;
    }
}
