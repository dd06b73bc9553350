//! Kafka's own id of a topic, which a topic that is made anew does not share. One of the few modules
//! that may use `unsafe`: rdkafka has no safe call for it.

use std::ffi::CString;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rdkafka::bindings::{
    rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new,
    rd_kafka_AdminOptions_set_request_timeout, rd_kafka_DescribeTopics,
    rd_kafka_DescribeTopics_result_topics, rd_kafka_TopicCollection_destroy,
    rd_kafka_TopicCollection_of_topic_names, rd_kafka_TopicDescription_error,
    rd_kafka_TopicDescription_partitions, rd_kafka_TopicDescription_topic_id,
    rd_kafka_Uuid_least_significant_bits, rd_kafka_Uuid_most_significant_bits, rd_kafka_admin_op_t,
    rd_kafka_error_code, rd_kafka_event_DescribeTopics_result, rd_kafka_event_destroy,
    rd_kafka_event_error, rd_kafka_event_t, rd_kafka_queue_destroy, rd_kafka_queue_new,
    rd_kafka_queue_poll, rd_kafka_resp_err_t, rd_kafka_t,
};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

/// What names one life of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Zero where the broker gives its topics no ids.
    pub id: [u8; 16],
    pub partitions: usize,
}

/// Asks Kafka for a topic's id and its partitions.
///
/// # Errors
/// Kafka does not answer in time, or has no such topic.
pub fn describe<C: ClientContext + ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    within: Duration,
) -> anyhow::Result<Topic> {
    let name = CString::new(topic).context("a topic's name has no zero byte")?;
    let client = client.client().native_ptr();
    let millis = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
    let event = Event::ask(client, &name, millis);
    ensure!(!event.0.is_null(), "kafka has not described the topic {topic} in time");
    event.topic().with_context(|| format!("the topic {topic}"))
}

/// An answer of librdkafka's; given back when it is dropped.
struct Event(*mut rd_kafka_event_t);

impl Event {
    #[expect(unsafe_code, reason = "the binding has no safe call for a topic's id")]
    fn ask(client: *mut rd_kafka_t, name: &CString, millis: i32) -> Self {
        let mut names = [name.as_ptr()];
        // SAFETY: the client outlives the call, which waits for the answer. `names` holds as many
        // names as it says, and librdkafka copies them. What is made here is given back here, once.
        unsafe {
            let queue = rd_kafka_queue_new(client);
            let op = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
            let options = rd_kafka_AdminOptions_new(client, op);
            // A time that it refuses leaves its own, which is longer.
            let _ours =
                rd_kafka_AdminOptions_set_request_timeout(options, millis, std::ptr::null_mut(), 0);
            let topics = rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            rd_kafka_DescribeTopics(client, topics, options, queue);
            let event = rd_kafka_queue_poll(queue, millis);
            rd_kafka_TopicCollection_destroy(topics);
            rd_kafka_AdminOptions_destroy(options);
            rd_kafka_queue_destroy(queue);
            Self(event)
        }
    }

    #[expect(unsafe_code, reason = "the binding has no safe call for a topic's id")]
    fn topic(&self) -> anyhow::Result<Topic> {
        // SAFETY: the event is not null and lives as long as `self`; so does all that is read out
        // of it here. The result's list has as many entries as it says.
        unsafe {
            failed(rd_kafka_event_error(self.0))?;
            let result = rd_kafka_event_DescribeTopics_result(self.0);
            ensure!(!result.is_null(), "an answer of another kind");
            let mut count = 0;
            let topics = rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            ensure!(count == 1 && !topics.is_null(), "{count} descriptions instead of one");
            let topic = *topics;
            let error = rd_kafka_TopicDescription_error(topic);
            if !error.is_null() {
                failed(rd_kafka_error_code(error))?;
            }
            let uuid = rd_kafka_TopicDescription_topic_id(topic);
            ensure!(!uuid.is_null(), "no id");
            let high = rd_kafka_Uuid_most_significant_bits(uuid).to_be_bytes();
            let low = rd_kafka_Uuid_least_significant_bits(uuid).to_be_bytes();
            let mut id = [0; 16];
            id.iter_mut().zip(high.into_iter().chain(low)).for_each(|(to, byte)| *to = byte);
            let mut partitions = 0;
            rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
            Ok(Topic { id, partitions })
        }
    }
}

fn failed(code: rd_kafka_resp_err_t) -> anyhow::Result<()> {
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => bail!("{code}"),
    }
}

impl Drop for Event {
    #[expect(unsafe_code, reason = "the binding has no safe call for a topic's id")]
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: ours, and given back once.
            unsafe { rd_kafka_event_destroy(self.0) }
        }
    }
}
