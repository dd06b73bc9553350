//! The open streams of this server: who listens where, and the way to end them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::end::End;
use super::frames::Transport;

/// Who listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub channel: Arc<str>,
    /// The id of the token, never the token.
    pub token: Arc<str>,
    pub address: SocketAddr,
    pub transport: Transport,
}

/// The open streams; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Entry>>,
}

#[derive(Debug)]
struct Entry {
    listener: Listener,
    ending: watch::Sender<Option<End>>,
}

/// An open stream; closed when this is dropped.
#[derive(Debug)]
pub struct Opened {
    inner: Arc<Inner>,
    id: u64,
    /// Set where it is to end.
    pub ending: watch::Receiver<Option<End>>,
}

impl Connections {
    /// Opens one more, unless its channel has `per_channel_max` already (N1).
    #[must_use]
    pub fn open(&self, listener: Listener, per_channel_max: usize) -> Option<Opened> {
        let mut open = self.inner.open();
        let same = |entry: &&Entry| entry.listener.channel == listener.channel;
        if open.values().filter(same).count() >= per_channel_max {
            return None;
        }
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let (ending, ended) = watch::channel(None);
        open.insert(id, Entry { listener, ending });
        Some(Opened { inner: Arc::clone(&self.inner), id, ending: ended })
    }

    /// Everyone who listens, with the id under which the stream can be ended.
    #[must_use]
    pub fn list(&self) -> Vec<(u64, Listener)> {
        let open = self.inner.open();
        let mut all: Vec<_> =
            open.iter().map(|(id, entry)| (*id, entry.listener.clone())).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.inner.open().len()
    }

    /// Ends those for which `why` has a reason; answers how many.
    pub fn end(&self, why: impl Fn(u64, &Listener) -> Option<End>) -> usize {
        let open = self.inner.open();
        let mut ended = 0;
        for (id, entry) in open.iter() {
            if let Some(end) = why(*id, &entry.listener) {
                entry.ending.send_replace(Some(end));
                ended += 1;
            }
        }
        ended
    }

    /// Ends all of them because the server stops, spread over a time, so that they do not all come
    /// back at once.
    pub async fn drain(&self, over: Duration) {
        const STEPS: u32 = 20;
        for step in (0..STEPS).rev() {
            // Ids are even numbers in no order that clients could share.
            let of_step = |id: u64| u32::try_from(id % u64::from(STEPS)).is_ok_and(|at| at >= step);
            self.end(|id, _| of_step(id).then_some(End::Restart));
            if self.count() == 0 {
                return;
            }
            tokio::time::sleep(over / STEPS).await;
        }
    }
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        // Each change is one insertion or removal.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn listener(channel: &str) -> Listener {
        let address = "127.0.0.1:1".parse().unwrap();
        let transport = Transport::Sse;
        Listener { channel: channel.into(), token: "t".into(), address, transport }
    }

    #[test]
    fn n1_a_channel_has_so_many_listeners_at_most() {
        let connections = Connections::default();
        let first = connections.open(listener("a"), 2);
        let second = connections.open(listener("a"), 2);
        assert!(first.is_some() && second.is_some());
        assert!(connections.open(listener("a"), 2).is_none());
        let other = connections.open(listener("b"), 2);
        assert!(other.is_some());
        drop(first);
        assert!(connections.open(listener("a"), 2).is_some());
        assert_eq!(connections.count(), 2);
    }

    #[test]
    fn those_that_are_meant_end() {
        let connections = Connections::default();
        let (a, b) = (connections.open(listener("a"), 9), connections.open(listener("b"), 9));
        let ended = connections.end(|_, one| (&*one.channel == "a").then_some(End::Revoked));
        assert_eq!(ended, 1);
        assert_eq!(*a.unwrap().ending.borrow(), Some(End::Revoked));
        assert_eq!(*b.unwrap().ending.borrow(), None);
    }

    #[tokio::test]
    async fn all_end_at_a_drain() {
        let connections = Connections::default();
        let open: Vec<_> = (0..50).filter_map(|_| connections.open(listener("a"), 99)).collect();
        let draining = connections.clone();
        let ended = async {
            for mut one in open {
                one.ending.wait_for(Option::is_some).await.unwrap();
            }
        };
        tokio::join!(draining.drain(Duration::from_millis(20)), ended);
        assert_eq!(connections.count(), 0);
    }
}
