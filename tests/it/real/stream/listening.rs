//! Listeners that take everything as it comes and remember it.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use super::{Channel, Replica, Site, number};

/// Who listens beside the test, so that a stream is taken while something else is waited for.
pub(super) struct Listener {
    heard: Arc<Mutex<Heard>>,
    hearing: AbortOnDropHandle<()>,
}

/// What a listener was told.
#[derive(Default)]
pub(super) struct Heard {
    /// Each with its cursor.
    pub(super) events: Vec<(Value, String)>,
    /// Messages that are neither events nor a status.
    pub(super) others: Vec<Value>,
    pub(super) has_ended: bool,
}

impl Heard {
    fn take(&mut self, message: Value) {
        if let Some(data) = message["data"].as_array() {
            assert_eq!(data.len(), 1, "one event a message: {message}");
            let cursor = message["cursor"].as_str().unwrap().to_owned();
            self.events.push((data[0].clone(), cursor));
        } else if message.get("status").is_none() {
            self.others.push(message);
        }
    }

    pub(super) fn numbers(&self) -> Vec<u32> {
        self.events.iter().map(|(event, _)| number(event)).collect()
    }
}

impl Listener {
    /// Returns when the stream has its place: what comes from now on is heard.
    pub(super) fn begin(
        site: &Site,
        replica: &Replica,
        transport: &str,
        channel: &Channel,
        query: &str,
    ) -> Self {
        let mut client = site.open(replica, transport, channel, query);
        let first = site.runtime.block_on(client.any_message());
        assert!(first.get("status").is_some(), "{first}");
        let heard = Arc::new(Mutex::new(Heard::default()));
        let hearing = site.runtime.spawn({
            let heard = Arc::clone(&heard);
            async move {
                while let Some(message) = client.try_message().await {
                    heard.lock().unwrap().take(message);
                }
                heard.lock().unwrap().has_ended = true;
            }
        });
        Self { heard, hearing: AbortOnDropHandle::new(hearing) }
    }

    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        let has_stopped = self.hearing.is_finished();
        let heard = self.heard.lock().unwrap();
        assert!(heard.has_ended || !has_stopped, "hearing has failed: see above");
        heard
    }

    /// Whether it has heard so many events, and nothing went wrong.
    pub(super) fn has(&self, events: usize) -> bool {
        let heard = self.heard();
        assert_eq!(heard.others, [] as [Value; 0]);
        heard.events.len() >= events
    }
}
