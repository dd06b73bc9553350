//! Which partitions of the live topic an area's events are in.
//!
//! Mostly it is one, which gives the area one order. A large area may be spread over several, its
//! lanes: then one lane has what came from the same partition of the source, in its order.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::message::Headers;

/// Lanes of one area at most: a cursor names a place in each.
pub const LANES_MAX: u32 = 16;

/// The header of a record that says over how many partitions its area is spread, where it is: whoever
/// reads fewer learns of it.
pub const LANES: &str = "sluice.lanes";

/// Over how many partitions the area of a record is spread, as its writer says.
#[must_use]
pub fn lanes_of<H: Headers>(headers: &H) -> usize {
    let told = headers.iter().find(|header| header.key == LANES).and_then(|header| header.value);
    told.and_then(|told| str::from_utf8(told).ok()?.parse().ok()).unwrap_or(1)
}

/// Writers and readers of the live topic need the same.
#[derive(Debug, Clone)]
pub struct Spread {
    partitions: u32,
    /// The lanes of areas that have more than one.
    areas: Arc<BTreeMap<String, u32>>,
}

impl Spread {
    /// `partitions` is what the live topic has, `areas` the number of lanes of each area that has
    /// not just one: as many of them as there are partitions, and at most [`LANES_MAX`].
    #[must_use]
    pub fn new(partitions: u32, areas: &BTreeMap<String, u32>) -> Self {
        Self { partitions: partitions.max(1), areas: Arc::new(areas.clone()) }
    }

    /// The partitions of an area, by lane: they follow each other, behind the last comes the first.
    #[must_use]
    pub fn lanes(&self, area: &str) -> Arc<[i32]> {
        (0..self.count(area)).map(|lane| self.partition(area, lane)).collect()
    }

    /// The partition for an area's events that came from this partition of the source.
    #[must_use]
    pub fn partition_for(&self, area: &str, source_partition: i32) -> i32 {
        let count = self.count(area);
        self.partition(area, if count > 1 { source_partition.unsigned_abs() % count } else { 0 })
    }

    /// How many partitions an area is in.
    #[must_use]
    pub fn count(&self, area: &str) -> u32 {
        let lanes = self.areas.get(area).copied().unwrap_or(1);
        lanes.clamp(1, LANES_MAX.min(self.partitions))
    }

    fn partition(&self, area: &str, lane: u32) -> i32 {
        let first = super::partition_of(area, self.partitions);
        let partition = (u64::from(first) + u64::from(lane)) % u64::from(self.partitions);
        // Kafka counts partitions with an `i32`.
        i32::try_from(partition).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes() {
        let areas =
            BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 99), ("c".to_owned(), 0)]);
        let check = |area: &str, partitions: u32, expected: &[i32]| {
            assert_eq!(&*Spread::new(partitions, &areas).lanes(area), expected, "{area}");
        };
        check("a", 16, &[12, 13, 14]);
        check("a", 13, &[11, 12, 0]);
        check("a", 2, &[0, 1]);
        check("a", 1, &[0]);
        check("a", 0, &[0]);
        check("b", 4, &[1, 2, 3, 0]);
        check("c", 4, &[2]);
        check("d", 4, &[3]);
        assert_eq!(Spread::new(64, &areas).lanes("b").len(), 16);
    }

    #[test]
    fn what_comes_from_one_partition_goes_to_one() {
        let spread = Spread::new(16, &BTreeMap::from([("a".to_owned(), 3)]));
        let partitions: Vec<_> = (0..7).map(|source| spread.partition_for("a", source)).collect();
        assert_eq!(partitions, [12, 13, 14, 12, 13, 14, 12]);
        assert_eq!(spread.partition_for("b", 5), spread.lanes("b")[0]);
    }
}
