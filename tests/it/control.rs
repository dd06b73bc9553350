//! Channels and tokens over librdkafka's mock cluster: replicas agree, and whoever's command stands
//! first in the topic has it.

use std::time::{Duration, Instant};

use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaRespErr;
use sluice::health::{Component, Health};
use sluice::stream::control::log::{self, Applied, LogSettings};
use sluice::stream::control::{
    Command, Control, ControlError, Limits, Refusal, State, Token, TokenOptions, TokenSpec,
};
use sluice::stream::ids::{Actor, CommandId};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::rig::{Kafka, until};

const TOPIC: &str = "control";
/// Longer than the mock cluster takes to be found again.
const PATIENCE: Duration = Duration::from_secs(30);

/// One replica; it stops when it is dropped.
struct Replica {
    control: Control,
    health: Health,
    _stop: DropGuard,
}

fn with_topic() -> Kafka {
    let kafka = Kafka::quick(1);
    kafka.cluster.create_topic(TOPIC, 1, 1).unwrap();
    kafka
}

fn replica(kafka: &Kafka, answer_timeout: Duration) -> Replica {
    let settings = LogSettings {
        answer_timeout,
        ..LogSettings::new(kafka.settings.clone(), TOPIC.to_owned())
    };
    let (health, stop) = (Health::default(), CancellationToken::new());
    health.set(Component::Control, Err("not read yet".to_owned()));
    let (control, _) = log::start(settings, health.clone(), stop.clone()).unwrap();
    Replica { control, health, _stop: stop.drop_guard() }
}

fn ada() -> Actor {
    Actor::try_from("ada".to_owned()).unwrap()
}

fn id(text: &str) -> CommandId {
    CommandId::try_from(text.to_owned()).unwrap()
}

fn spec() -> TokenSpec {
    TokenSpec::of(&Token::generate().unwrap(), TokenOptions::default())
}

fn generate(area: &str) -> Command {
    Command::Generate { area: area.to_owned(), token: spec() }
}

impl Replica {
    async fn give(&self, command: Command) -> Result<Applied, ControlError> {
        self.control.apply(ada(), command, Limits::default()).await
    }

    async fn give_as(&self, id: &CommandId, command: Command) -> Result<Applied, ControlError> {
        self.control.apply_as(id.clone(), ada(), command, Limits::default()).await
    }

    async fn shape(&self) -> String {
        shape(&self.control.fresh(PATIENCE).await.unwrap())
    }

    fn why(&self) -> Option<String> {
        let reasons = self.health.why_not_ready();
        let mine = reasons.into_iter().find(|(component, _)| *component == Component::Control);
        mine.map(|(_, reason)| reason)
    }
}

fn shape(state: &State) -> String {
    format!("{state:#?}")
}

/// Fifty at once through two replicas: one is applied, all others are refused for one reason.
async fn one_wins(replicas: [&Replica; 2], command: impl Fn() -> Command) -> (Applied, Refusal) {
    let given = (0..50).map(|place| replicas[place % 2].give(command()));
    let (mut applied, mut refused) = (Vec::new(), Vec::new());
    for answer in join_all(given).await {
        match answer {
            Ok(answer) => applied.push(answer),
            Err(ControlError::Refused(refusal)) => refused.push(refusal),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((applied.len(), refused.len()), (1, 49), "{applied:?}");
    refused.dedup();
    assert_eq!(refused.len(), 1, "{refused:?}");
    (applied.remove(0), refused.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_at_once_through_two_replicas_one_wins() {
    let kafka = with_topic();
    let (one, other) = (replica(&kafka, PATIENCE), replica(&kafka, PATIENCE));
    let (first, refusal) = one_wins([&one, &other], || generate("a")).await;
    let (channel, token) = (first.made.channel.unwrap(), first.made.token.unwrap());
    assert_eq!(refusal, Refusal::ChannelExists(channel.clone()));

    let off = Command::SetTokenEnabled { channel: channel.clone(), token, enabled: false };
    one.give(off).await.unwrap();
    let new_token = || Command::NewToken { channel: channel.clone(), token: spec() };
    let (second, refusal) = one_wins([&one, &other], new_token).await;
    assert_eq!(refusal, Refusal::TokenEnabled(1));

    assert_eq!(one.shape().await, other.shape().await);
    let state = one.control.state();
    let channel = state.channel_of("a").unwrap();
    assert_eq!(channel.tokens.len(), 2);
    assert_eq!(channel.tokens[1].id, second.made.token.unwrap());
    assert_eq!(channel.audit().count(), 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_starts_later_comes_to_the_same_state() {
    let kafka = with_topic();
    let one = replica(&kafka, PATIENCE);
    let mut changes = one.control.changes();
    let token = Token::generate().unwrap();
    let spec = TokenSpec::of(&token, TokenOptions::default());
    let made = one.give(Command::Generate { area: "a".to_owned(), token: spec }).await.unwrap();
    changes.changed().await.unwrap();
    assert_eq!(*changes.borrow_and_update(), 1);
    for area in ["b", "c", "b"] {
        drop(one.give(generate(area)).await);
    }
    let disable =
        Command::SetChannelEnabled { channel: made.made.channel.unwrap(), enabled: false };
    let made = one.give(disable.clone()).await.unwrap();
    let expected = one.shape().await;
    let end = *changes.borrow_and_update();
    assert_eq!(end, 5);
    drop(one);

    let again = replica(&kafka, PATIENCE);
    assert_eq!(again.shape().await, expected);
    let state = again.control.state();
    assert_eq!(state.channels().count(), 3);
    assert!(state.admit(&token.digest(), made.at).is_none());
    // What the former one was asked is known to the new one.
    let answer = again.give_as(&made.id, disable).await.unwrap();
    assert_eq!(answer, made);
    assert_eq!(again.shape().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_under_the_same_id_applies_nothing_twice() {
    let kafka = with_topic();
    let (one, other) = (replica(&kafka, PATIENCE), replica(&kafka, PATIENCE));
    let id = id("from-the-asker");
    // At once, through both, and again later: one record decides.
    let given = (0..10).map(|place| [&one, &other][place % 2].give_as(&id, generate("a")));
    let mut answers: Vec<_> = join_all(given).await.into_iter().map(Result::unwrap).collect();
    answers.push(other.give_as(&id, generate("a")).await.unwrap());
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let refused = other.give_as(&id, generate("b")).await;
    assert!(matches!(refused, Err(ControlError::Refused(Refusal::IdInUse))), "{refused:?}");
    assert_eq!(one.shape().await, other.shape().await);
    let state = one.control.state();
    assert_eq!(state.channels().count(), 1);
    assert_eq!(state.channel_of("a").unwrap().audit().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_is_away_nothing_is_decided_and_the_state_is_still_told() {
    let kafka = with_topic();
    let patient = replica(&kafka, PATIENCE);
    let made = patient.give(generate("a")).await.unwrap().made;
    let one = replica(&kafka, Duration::from_secs(1));
    until("it is read", || one.control.state().channel_of("a").is_some()).await;
    kafka.cluster.broker_down(1).unwrap();

    let id = id("asked-in-vain");
    let channel = made.channel.unwrap();
    let command = Command::SetChannelEnabled { channel, enabled: false };
    let answer = one.give_as(&id, command.clone()).await;
    let Err(ControlError::Unavailable { id: told, reason }) = answer else { panic!("{answer:?}") };
    assert_eq!(told, id);
    assert!(!reason.is_empty());
    let stale = one.control.fresh(Duration::from_millis(500)).await;
    assert!(stale.is_err(), "{stale:?}");
    assert!(one.control.state().channel_of("a").unwrap().is_enabled);
    until("the trouble is told", || one.why().is_some()).await;

    kafka.cluster.broker_up(1).unwrap();
    until("the trouble is over", || one.why().is_none()).await;
    patient.give_as(&id, command).await.unwrap();
    assert_eq!(one.shape().await, patient.shape().await);
    let state = one.control.state();
    let channel = state.channel_of("a").unwrap();
    assert!(!channel.is_enabled);
    assert_eq!(channel.audit().filter(|entry| entry.id == id).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_sluice_wrote_is_not_passed_over() {
    let kafka = with_topic();
    let one = replica(&kafka, PATIENCE);
    one.give(generate("a")).await.unwrap();
    produce(&kafka, "no record of ours");
    one.give(generate("b")).await.unwrap();
    let before = one.shape().await;

    produce(&kafka, "{\"v\":3,\"record\":{}}");
    until("it is told", || one.why().is_some()).await;
    let reason = "the control topic's record at 3: it has version 3, and this build reads none \
                  above 2";
    assert_eq!(one.why().as_deref(), Some(reason));
    let stale = one.control.fresh(PATIENCE).await;
    assert_eq!(stale.unwrap_err().0, reason);
    let answer = one.give(generate("c")).await;
    let Err(ControlError::Unavailable { reason: told, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(told, reason);
    assert_eq!(shape(&one.control.state()), before);
}

fn produce(kafka: &Kafka, payload: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.cluster.bootstrap_servers());
    let producer: BaseProducer = config.create().unwrap();
    let record = BaseRecord::<(), str>::to(TOPIC).partition(0).payload(payload);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_comes_later_is_read() {
    let kafka = Kafka::quick(1);
    let one = replica(&kafka, PATIENCE);
    until("the trouble is told", || one.why().is_some()).await;
    kafka.cluster.create_topic(TOPIC, 1, 1).unwrap();
    until("the trouble is over", || one.why().is_none()).await;
    one.give(generate("a")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_ask_for_a_fresh_state_at_once() {
    let kafka = with_topic();
    let (one, other) = (replica(&kafka, PATIENCE), replica(&kafka, PATIENCE));
    let made = one.give(generate("a")).await.unwrap();
    let asked = (0..500).map(|_| other.control.fresh(PATIENCE));
    let channel = made.made.channel.unwrap();
    for state in join_all(asked).await {
        assert!(state.unwrap().channel(channel.as_str()).is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_gone_is_noticed_soon_though_nobody_asks() {
    let kafka = with_topic();
    let replica = replica(&kafka, PATIENCE);
    replica.give(generate("id:acme")).await.unwrap();
    until("it is read", || replica.why().is_none()).await;
    let gone = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    kafka.cluster.topic_error(TOPIC, gone).unwrap();
    let since = Instant::now();
    let is_told = || replica.why().is_some_and(|why| why.contains("topic control: Unknown"));
    until("it is noticed", is_told).await;
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    kafka.cluster.topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    until("it is read again", || replica.why().is_none()).await;
    replica.give(generate("id:other")).await.unwrap();
}
