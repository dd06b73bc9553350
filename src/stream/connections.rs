//! The open streams of this server: who listens where, what has gone out, and the way to end them.

use std::any::Any;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::end::End;
use super::frames::Transport;
use super::ids::{ChannelId, LeaseId, TokenId};

/// Who listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub channel: ChannelId,
    pub token: TokenId,
    pub address: SocketAddr,
    pub transport: Transport,
    /// The text of its filter, where it is known by now.
    pub filter: Option<Arc<str>>,
}

/// What became of a listener's events so far: counted by its session, told with its lease.
#[derive(Debug, Default)]
pub struct Flow {
    /// Events written.
    pub events: AtomicU64,
    /// Bytes written, framing and all.
    pub bytes: AtomicU64,
    /// Events that gaps have told of.
    pub dropped: AtomicU64,
    /// Events that did not pass the filter.
    pub filtered: AtomicU64,
    /// As of the last status, in ms; [`LAG_UNKNOWN`] where nobody can know it.
    pub lag_ms: AtomicU64,
    /// The text of its filter, where that came in its first message only.
    pub filter: OnceLock<Arc<str>>,
}

/// In a [`Flow`]: how far behind the listener is cannot be known at the moment.
pub const LAG_UNKNOWN: u64 = u64::MAX;

impl Flow {
    #[must_use]
    pub fn figures(&self) -> Figures {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            events: of(&self.events),
            bytes: of(&self.bytes),
            dropped: of(&self.dropped),
            filtered: of(&self.filtered),
            lag_ms: Some(of(&self.lag_ms)).filter(|lag| *lag != LAG_UNKNOWN),
        }
    }
}

/// A [`Flow`] at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    pub events: u64,
    pub bytes: u64,
    pub dropped: u64,
    pub filtered: u64,
    /// `None` where nobody can know it.
    pub lag_ms: Option<u64>,
}

/// The open streams; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    turns: AtomicU64,
    is_draining: AtomicBool,
    open: Mutex<HashMap<LeaseId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    listener: Listener,
    ending: watch::Sender<Option<End>>,
    /// Its turn at a drain.
    turn: u64,
}

/// An open stream; closed when this is dropped.
#[derive(Debug)]
pub struct Opened {
    inner: Arc<Inner>,
    id: LeaseId,
    /// Set where it is to end.
    pub ending: watch::Receiver<Option<End>>,
    pub flow: Arc<Flow>,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Connections {
    /// Opens one more; `id` is nobody else's.
    #[must_use]
    pub fn open(&self, id: LeaseId, listener: Listener) -> Opened {
        let turn = self.inner.turns.fetch_add(1, Ordering::Relaxed);
        let mut open = self.inner.open();
        // Who was on the way in when the server began to stop is sent away like all others.
        let is_draining = self.inner.is_draining.load(Ordering::Relaxed);
        let (ending, ended) = watch::channel(is_draining.then_some(End::Restart));
        open.insert(id.clone(), Entry { listener, ending, turn });
        drop(open);
        let inner = Arc::clone(&self.inner);
        Opened { inner, id, ending: ended, flow: Arc::default(), kept: Vec::new() }
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.inner.open().len()
    }

    /// Ends those for which `why` has a reason; answers how many.
    pub fn end(&self, why: impl Fn(&LeaseId, &Listener) -> Option<End>) -> usize {
        let open = self.inner.open();
        let mut ended = 0;
        for (id, entry) in open.iter() {
            if let Some(end) = why(id, &entry.listener) {
                entry.ending.send_replace(Some(end));
                ended += 1;
            }
        }
        ended
    }

    /// Ends one; answers whether it was open.
    pub fn end_one(&self, id: &LeaseId, end: End) -> bool {
        let open = self.inner.open();
        open.get(id).map(|entry| entry.ending.send_replace(Some(end))).is_some()
    }

    /// Ends all of them because the server stops, spread over a time, so that they do not all come
    /// back at once.
    pub async fn drain(&self, over: Duration) {
        const STEPS: u32 = 20;
        {
            let _open = self.inner.open();
            self.inner.is_draining.store(true, Ordering::Relaxed);
        }
        for step in (0..STEPS).rev() {
            for entry in self.inner.open().values() {
                if entry.turn % u64::from(STEPS) >= u64::from(step) {
                    entry.ending.send_replace(Some(End::Restart));
                }
            }
            if self.count() == 0 {
                return;
            }
            tokio::time::sleep(over / STEPS).await;
        }
    }
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, HashMap<LeaseId, Entry>> {
        // Each change is one insertion or removal.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    #[must_use]
    pub fn id(&self) -> &LeaseId {
        &self.id
    }

    /// Keeps something until the stream is closed.
    pub fn keep(&mut self, what: impl Any + Send + Sync) {
        self.kept.push(Box::new(what));
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.inner.open().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(connections: &Connections, channel: &str) -> Opened {
        let listener = Listener {
            channel: ChannelId::try_from(channel.to_owned()).unwrap(),
            token: TokenId::try_from("t1".to_owned()).unwrap(),
            address: "127.0.0.1:1".parse().unwrap(),
            transport: Transport::Sse,
            filter: None,
        };
        connections.open(LeaseId::random().unwrap(), listener)
    }

    #[test]
    fn those_that_are_meant_end() {
        let connections = Connections::default();
        let (a, b) = (open(&connections, "a"), open(&connections, "b"));
        let ended = connections.end(|_, one| (one.channel.as_str() == "a").then_some(End::Revoked));
        assert_eq!(ended, 1);
        assert_eq!(*a.ending.borrow(), Some(End::Revoked));
        assert_eq!(*b.ending.borrow(), None);
        assert!(connections.end_one(b.id(), End::Disconnected));
        assert_eq!(*b.ending.borrow(), Some(End::Disconnected));
        let gone = b.id().clone();
        drop(b);
        assert!(!connections.end_one(&gone, End::Disconnected));
        assert_eq!(connections.count(), 1);
    }

    #[test]
    fn what_is_kept_goes_with_the_stream() {
        let (connections, kept) = (Connections::default(), Arc::new(()));
        let mut a = open(&connections, "a");
        a.keep(Arc::clone(&kept));
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(a);
        assert_eq!(Arc::strong_count(&kept), 1);
    }

    #[test]
    fn figures_are_those_of_the_flow() {
        let flow = Flow::default();
        assert_eq!(flow.figures(), Figures { lag_ms: Some(0), ..Figures::default() });
        flow.events.fetch_add(3, Ordering::Relaxed);
        flow.lag_ms.store(7, Ordering::Relaxed);
        assert_eq!(flow.figures(), Figures { events: 3, lag_ms: Some(7), ..Figures::default() });
        flow.lag_ms.store(LAG_UNKNOWN, Ordering::Relaxed);
        assert_eq!(flow.figures(), Figures { events: 3, ..Figures::default() });
    }

    #[tokio::test]
    async fn all_end_at_a_drain() {
        let connections = Connections::default();
        let all: Vec<_> = (0..50).map(|_| open(&connections, "a")).collect();
        let draining = connections.clone();
        let ended = async {
            for mut one in all {
                one.ending.wait_for(Option::is_some).await.unwrap();
            }
        };
        tokio::join!(draining.drain(Duration::from_millis(20)), ended);
        assert_eq!(connections.count(), 0);
        let late = open(&connections, "a");
        assert_eq!(*late.ending.borrow(), Some(End::Restart));
    }
}
