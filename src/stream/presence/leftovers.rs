//! What a reader finds of leases that nobody releases any more.

use std::collections::BTreeMap;

use crate::clock::Millis;
use crate::stream::ids::{ChannelId, LeaseId, LifeId};

use super::COMPACTION_LAG_MS;
use super::record::Record;

/// The last record of each lease, while a replica that starts reads the topic to its end. Without
/// releases a lease of a replica that was killed would stay in the compacted topic for ever.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    last: BTreeMap<(ChannelId, LeaseId), Last>,
}

#[derive(Debug)]
struct Last {
    at: Millis,
    /// `None` where the record does not say it.
    of: Option<(String, LifeId)>,
}

impl Leftovers {
    pub(super) fn note(&mut self, record: &Record, at: Millis) {
        let Some(lease) = record.lease() else { return };
        let key = (record.channel().clone(), lease.clone());
        match record {
            Record::Request { claim, .. } | Record::Renewal { claim, .. } => {
                let of = Some((claim.replica.clone(), claim.life.clone()));
                self.last.insert(key, Last { at, of });
            }
            Record::Release { .. } => drop(self.last.remove(&key)),
            Record::Disconnect { .. } => {
                self.last.entry(key).or_insert(Last { at, of: None }).at = at;
            }
            Record::Used { .. } => {}
        }
    }

    /// What this replica is to write: releases of the leases under its name of another life, and
    /// of those that are over for so long that whoever had them is gone. A lease that somebody
    /// holds all the same has to find room again, as any late one.
    pub(super) fn releases(
        self,
        replica: &str,
        life: &LifeId,
        now: Millis,
    ) -> impl Iterator<Item = Record> {
        let is_ours = move |last: &Last| {
            let is_former =
                last.of.as_ref().is_some_and(|(name, of)| name == replica && of != life);
            is_former || now.saturating_sub(last.at) > COMPACTION_LAG_MS
        };
        let leases = self.last.into_iter().filter(move |(_, last)| is_ours(last));
        leases.map(|((channel, lease), _)| Record::Release { channel, lease })
    }
}
