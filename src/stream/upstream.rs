//! Whether those who write the live topic deliver events at the moment, as their markers say
//! ([`crate::deliver::upstream`]).
//!
//! A marker counts from when it is read, by this replica's own clock, and for its own partition: there
//! it stands in order with the events, and a partition that is read late tells nobody else what is
//! over.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::time::Instant;

use crate::deliver::upstream::{HOLDS, Upstream};

use super::locked;

/// Writers of all partitions; more are not remembered.
const WRITERS_MAX: usize = 4_096;
const WRITER_BYTES_MAX: usize = 64;

/// The last markers of those who stand still.
#[derive(Debug, Default)]
pub struct Standstills {
    /// When the marker of a partition's writer was read.
    stalled: Mutex<HashMap<(i32, Box<str>), Instant>>,
}

impl Standstills {
    /// Takes a marker that was read from a partition.
    pub fn hear(&self, partition: i32, writer: &str, state: Upstream) {
        let mut stalled = locked(&self.stalled);
        stalled.retain(|_, heard| heard.elapsed() < HOLDS);
        let of = (partition, writer.into());
        if state == Upstream::Flowing {
            stalled.remove(&of);
            return;
        }
        let has_room = stalled.len() < WRITERS_MAX || stalled.contains_key(&of);
        if has_room && writer.len() <= WRITER_BYTES_MAX {
            stalled.insert(of, Instant::now());
        }
    }

    /// Whether somebody who writes to this partition delivers no events.
    #[must_use]
    pub fn is_stalled(&self, partition: i32) -> bool {
        let stalled = locked(&self.stalled);
        stalled.iter().any(|((of, _), heard)| *of == partition && heard.elapsed() < HOLDS)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_partition_is_stalled_while_one_of_its_writers_is() {
        use Upstream::{Flowing, Stalled};
        let all = Standstills::default();
        // After so many seconds a marker of a partition's writer is read; then these are stalled.
        let rows: &[(u64, i32, &str, Upstream, [bool; 2])] = &[
            (0, 0, "a", Flowing, [false, false]),
            (0, 0, "a", Stalled, [true, false]),
            (1, 0, "b", Stalled, [true, false]),
            (1, 1, "b", Stalled, [true, true]),
            (1, 0, "a", Flowing, [true, true]),
            (1, 0, "b", Flowing, [false, true]),
            // Said again it holds on; left alone it does not.
            (20, 1, "b", Stalled, [false, true]),
            (20, 0, "c", Stalled, [true, true]),
            (10, 0, "c", Stalled, [true, false]),
        ];
        for (at, &(after, partition, writer, state, expected)) in rows.iter().enumerate() {
            advance(Duration::from_secs(after)).await;
            all.hear(partition, writer, state);
            assert_eq!([0, 1].map(|partition| all.is_stalled(partition)), expected, "row {at}");
        }
        advance(HOLDS).await;
        assert!(!all.is_stalled(0));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_writers_are_remembered_than_there_may_be() {
        let all = Standstills::default();
        all.hear(0, &"w".repeat(WRITER_BYTES_MAX + 1), Upstream::Stalled);
        assert!(!all.is_stalled(0));
        for writer in 0..WRITERS_MAX {
            all.hear(1, &writer.to_string(), Upstream::Stalled);
        }
        all.hear(0, "late", Upstream::Stalled);
        assert_eq!([0, 1].map(|partition| all.is_stalled(partition)), [false, true]);
        // Those that are remembered may say so again.
        advance(HOLDS / 2).await;
        for writer in 0..WRITERS_MAX {
            all.hear(1, &writer.to_string(), Upstream::Stalled);
        }
        advance(HOLDS / 2).await;
        assert!(all.is_stalled(1));
        advance(HOLDS).await;
        all.hear(0, "late", Upstream::Stalled);
        assert_eq!([0, 1].map(|partition| all.is_stalled(partition)), [true, false]);
    }
}
