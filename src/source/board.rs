//! Settled positions on their way from the path back to the thread that commits them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::Hold;

/// For each hold in force the offset up to which everything is settled. The positions of a hold
/// that has ended are dropped: they are no longer ours to commit.
#[derive(Debug, Default)]
pub struct Board {
    positions: Mutex<HashMap<u64, i64>>,
}

impl Board {
    /// A hold begins; everything before `next` is settled.
    pub(super) fn open(&self, hold: &Hold, next: i64) {
        self.positions().insert(hold.id, next);
    }

    /// Everything before `next` is settled. Positions of one hold come in order.
    pub fn post(&self, hold: &Hold, next: i64) {
        if let Some(position) = self.positions().get_mut(&hold.id) {
            *position = next.max(*position);
        }
    }

    /// The position to commit.
    pub(super) fn position(&self, hold: &Hold) -> Option<i64> {
        self.positions().get(&hold.id).copied()
    }

    /// The hold ends; answers the last position.
    pub(super) fn close(&self, hold: &Hold) -> Option<i64> {
        self.positions().remove(&hold.id)
    }

    fn positions(&self) -> MutexGuard<'_, HashMap<u64, i64>> {
        // Each update is one number.
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn positions_never_go_back_and_end_with_their_hold() {
        let board = Board::default();
        let hold = Hold::new(1, 0, Arc::from("events"), 0);
        board.post(&hold, 5);
        assert_eq!(board.position(&hold), None);
        board.open(&hold, 7);
        board.post(&hold, 9);
        board.post(&hold, 8);
        assert_eq!(board.close(&hold), Some(9));
        board.post(&hold, 11);
        assert_eq!(board.position(&hold), None);
    }
}
