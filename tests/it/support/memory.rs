//! An index in memory, which a test can make wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sluice::deliver::index::{Bulk, Refusal, Verdict};
use sluice::deliver::settle::Sink;
use sluice::outcome::Reason;
use tokio::sync::Semaphore;

/// An index in memory. Ids are `partition/offset`; a source that holds `refuse` is refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
    /// The batch that waits until the test lets it go.
    gate: Option<Arc<Gate>>,
}

#[derive(Debug)]
struct Gate {
    batch: Held,
    open: Semaphore,
}

/// Which batch waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Whichever comes first.
    First,
    /// The one with this document.
    With(&'static str),
}

#[derive(Debug, Default)]
struct State {
    documents: HashMap<String, usize>,
    begun: usize,
    /// The ids of the batch that waits.
    waiting: Option<Vec<String>>,
}

impl Memory {
    /// An index that keeps one batch waiting.
    pub(crate) fn holding(batch: Held) -> Self {
        let gate = Gate { batch, open: Semaphore::new(0) };
        Self { gate: Some(Arc::new(gate)), ..Self::default() }
    }

    pub(crate) fn let_go(&self) {
        self.gate.as_ref().unwrap().open.add_permits(1);
    }

    /// How many documents there are, and how often the most frequent one was sent.
    pub(crate) fn documents(&self) -> usize {
        self.state().documents.len()
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.state().documents.contains_key(id)
    }

    /// The ids of the batch that waits.
    pub(crate) fn waiting(&self) -> Option<Vec<String>> {
        self.state().waiting.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The gate before this batch, if there is one.
    fn gate(&self, ids: &[String]) -> Option<&Gate> {
        let mut state = self.state();
        state.begun += 1;
        let is_first = state.begun == 1;
        self.gate.as_deref().filter(|gate| match gate.batch {
            Held::First => is_first,
            Held::With(id) => ids.iter().any(|one| one == id),
        })
    }
}

fn id_of(lines: &[u8]) -> String {
    let lines = std::str::from_utf8(lines).unwrap();
    let (_, rest) = lines.split_once(r#""_id":""#).unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

impl Sink for Memory {
    async fn deliver(&self, bulk: Bulk) -> Vec<Verdict> {
        let ids: Vec<_> =
            bulk.items.iter().map(|item| id_of(&bulk.bytes[item.start..item.end])).collect();
        if let Some(gate) = self.gate(&ids) {
            self.state().waiting = Some(ids);
            // As the index does: a lost hold is not waited for.
            while !bulk.items.iter().all(|item| item.hold.is_lost()) {
                if tokio::time::timeout(Duration::from_millis(20), gate.open.acquire())
                    .await
                    .is_ok()
                {
                    break;
                }
            }
            self.state().waiting = None;
        }
        let mut state = self.state();
        let each = bulk.items.iter().map(|item| {
            if item.hold.is_lost() {
                return Verdict::Abandoned;
            }
            let lines = &bulk.bytes[item.start..item.end];
            if memchr::memmem::find(lines, b"refuse").is_some() {
                return Verdict::Refused(Refusal {
                    reason: Reason::IndexRefused,
                    error_type: "document_parsing_exception".to_owned(),
                    error: "a value of the wrong kind".to_owned(),
                });
            }
            let times = state.documents.entry(id_of(lines)).or_default();
            *times += 1;
            if *times == 1 { Verdict::Created } else { Verdict::Duplicate }
        });
        each.collect()
    }
}
