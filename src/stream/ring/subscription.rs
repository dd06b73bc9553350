//! One listener's part in an area of the ring.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Feed, Ring, Wanted};
use crate::stream::place::{Place, Places};

/// One listener's part in an area; given up when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    ring: Arc<Ring>,
    area: Arc<str>,
    lanes: Arc<[i32]>,
    /// Told when there is more of the area.
    pub news: watch::Receiver<i64>,
    /// Told when a partition is opened.
    pub opened: watch::Receiver<()>,
    /// Of each partition, by lane.
    lives: Box<[u64]>,
}

impl Ring {
    /// Begins to listen to an area: its partitions are wanted.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, area: &Arc<str>, lanes: &Arc<[i32]>) -> Subscription {
        let opened = self.opened.subscribe();
        let mut state = self.state();
        for partition in lanes.iter() {
            let wanted = state.wanted.entry(*partition).or_default();
            *wanted = Wanted { listeners: wanted.listeners + 1, left: None };
        }
        let feed = state.areas.entry(Arc::clone(area)).or_insert_with(Feed::new);
        if lanes.len() > 1 {
            feed.lanes.get_or_insert_with(|| Arc::clone(lanes));
        }
        let news = feed.news.subscribe();
        drop(state);
        let (ring, area, lanes) = (Arc::clone(self), Arc::clone(area), Arc::clone(lanes));
        let lives = lanes.iter().map(|_| 0).collect();
        Subscription { ring, area, lanes, news, opened, lives }
    }
}

impl Subscription {
    /// Waits until all partitions are read; answers the places behind the last records read.
    pub async fn ends(&mut self) -> Places {
        loop {
            self.opened.borrow_and_update();
            if let Some(ends) = self.look() {
                return ends;
            }
            // The ring is never dropped while somebody listens.
            self.opened.changed().await.unwrap_or_default();
        }
    }

    /// Whether a partition that was opened again, since this was asked last, ended before a place in
    /// it: there were other records before, however many have come since.
    pub fn has_lost(&mut self, places: &Places) -> bool {
        if !self.opened.has_changed().is_ok_and(|has_changed| has_changed) {
            return false;
        }
        self.opened.borrow_and_update();
        let state = self.ring.state();
        let mut has_lost = false;
        for (lane, (partition, life)) in self.lanes.iter().zip(&mut self.lives).enumerate() {
            let held = state.partitions.get(partition).filter(|held| held.life != *life);
            let Some(held) = held else { continue };
            *life = held.life;
            has_lost |= held.from < places.get(lane).offset;
        }
        has_lost
    }

    /// Where the partitions end; `None` while one of them is not read.
    fn look(&mut self) -> Option<Places> {
        let state = self.ring.state();
        let mut ends = Places::all(self.lanes.len(), Place::of(0));
        for (lane, (partition, life)) in self.lanes.iter().zip(&mut self.lives).enumerate() {
            let held = state.partitions.get(partition)?;
            *life = held.life;
            ends.set(lane, Place::of(held.end));
        }
        Some(ends)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.ring.state();
        for partition in self.lanes.iter() {
            let Some(wanted) = state.wanted.get_mut(partition) else { continue };
            wanted.listeners = wanted.listeners.saturating_sub(1);
            if wanted.listeners == 0 {
                wanted.left = Some(Instant::now());
            }
        }
        // This one still counts.
        let is_last = |feed: &Feed| feed.is_empty() && feed.news.receiver_count() <= 1;
        if state.areas.get(&self.area).is_some_and(is_last) {
            state.areas.remove(&self.area);
        }
    }
}
