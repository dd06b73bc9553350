//! Commits whose answers come to `commit_callback`. One of the two modules that may use `unsafe`:
//! rdkafka asks librdkafka for no answer to an asynchronous commit (rust-rdkafka, issue 856), so
//! that one that fails would be neither counted nor sent again.

use rdkafka::TopicPartitionList;
use rdkafka::bindings::{
    rd_kafka_commit_queue, rd_kafka_queue_destroy, rd_kafka_queue_get_consumer,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{IsError as _, KafkaError, KafkaResult};

/// Commits positions without waiting; the answer comes as an event of the consumer's queue.
///
/// # Errors
/// Where librdkafka does not take the request: then no answer follows.
#[expect(unsafe_code, reason = "the binding has no safe call that names a queue")]
pub(super) fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    positions: &TopicPartitionList,
) -> KafkaResult<()> {
    let client = consumer.client().native_ptr();
    // SAFETY: client and list live as long as the calls, which copy the list; the queue is counted,
    // and this count is given back once; without a callback the opaque pointer is never read.
    let answer = unsafe {
        let queue = rd_kafka_queue_get_consumer(client);
        let answer =
            rd_kafka_commit_queue(client, positions.ptr(), queue, None, std::ptr::null_mut());
        rd_kafka_queue_destroy(queue);
        answer
    };
    if answer.is_error() { Err(KafkaError::ConsumerCommit(answer.into())) } else { Ok(()) }
}
