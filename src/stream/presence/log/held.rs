//! The leases of this replica's own connections.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::clock::Millis;
use crate::stream::connections::Flow;
use crate::stream::ids::{ChannelId, LeaseId, TokenId};
use crate::stream::presence::leases::Verdict;
use crate::stream::presence::record::{Claim, Limits, Record};

use super::{Shared, cut};

/// Renewals are spread over so many moments of their period.
pub(super) const SLOTS: u32 = 20;

/// Every lease of this replica, from its request on.
#[derive(Debug, Default)]
pub(super) struct Held {
    leases: HashMap<LeaseId, One>,
    /// Which of them are renewed together.
    slots: HashMap<u32, HashSet<LeaseId>>,
    begun: u32,
}

#[derive(Debug)]
struct One {
    channel: ChannelId,
    claim: Claim,
    limits: Limits,
    flow: Arc<Flow>,
    slot: u32,
    /// Who waits for the verdict of the request.
    verdict: Option<oneshot::Sender<Verdict>>,
    /// The broker time of its last record that was read back and admitted.
    last: Option<Millis>,
}

/// What reading back one of this replica's records leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    Held(ChannelId, TokenId),
    /// It was renewed too late and found no room.
    Lost,
}

impl Held {
    /// A lease that is asked for now; `tell` is told the verdict.
    pub(super) fn begin(
        &mut self,
        lease: LeaseId,
        (channel, claim, limits): (ChannelId, Claim, Limits),
        flow: Arc<Flow>,
        tell: oneshot::Sender<Verdict>,
    ) {
        self.begun = self.begun.wrapping_add(1);
        let slot = self.begun % SLOTS;
        self.slots.entry(slot).or_default().insert(lease.clone());
        let verdict = Some(tell);
        let one = One { channel, claim, limits, flow, slot, verdict, last: None };
        self.leases.insert(lease, one);
    }

    pub(super) fn forget(&mut self, lease: &LeaseId) {
        let slot = self.leases.remove(lease).and_then(|one| self.slots.get_mut(&one.slot));
        slot.map(|slot| slot.remove(lease));
    }

    /// Takes the verdict of a request or renewal that was read back.
    pub(super) fn hear(&mut self, lease: &LeaseId, verdict: Verdict, at: Millis) -> Heard {
        let Some(one) = self.leases.get_mut(lease) else { return Heard::Nothing };
        let asker = one.verdict.take();
        let is_admitted = verdict == Verdict::Admitted;
        let heard = match (is_admitted, &asker) {
            (true, _) => {
                one.last = Some(at);
                Heard::Held(one.channel.clone(), one.claim.token.clone())
            }
            (false, Some(_)) => Heard::Nothing,
            (false, None) => Heard::Lost,
        };
        if !is_admitted {
            self.forget(lease);
        }
        // Who has given up waiting has let go of the lease as well.
        asker.map(|asker| asker.send(verdict));
        heard
    }

    /// What is to be renewed together.
    pub(super) fn due(&self, slot: u32) -> Vec<LeaseId> {
        self.slots.get(&slot).into_iter().flatten().cloned().collect()
    }

    /// The renewal of a lease, where it is still held.
    pub(super) fn renewal(&self, lease: &LeaseId) -> Option<Record> {
        let one = self.leases.get(lease)?;
        let mut claim = one.claim.clone();
        claim.filter = claim.filter.or_else(|| one.flow.filter.get().map(|text| cut(text)));
        Some(Record::Renewal {
            channel: one.channel.clone(),
            lease: lease.clone(),
            claim,
            limits: one.limits,
            last: one.last?,
            figures: one.flow.figures(),
        })
    }
}

/// A lease, or the request for one; released when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    pub(super) channel: ChannelId,
    pub(super) lease: LeaseId,
}

impl Drop for Place {
    fn drop(&mut self) {
        // Before the release is written: no renewal may come behind it.
        self.shared.held().forget(&self.lease);
        let (channel, lease) = (self.channel.clone(), self.lease.clone());
        // Where it cannot be written, the lease ends by itself.
        drop(self.shared.send(&Record::Release { channel, lease }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::ids::LifeId;

    fn lease(number: usize) -> LeaseId {
        LeaseId::try_from(format!("l{number}")).unwrap()
    }

    fn begin(held: &mut Held, number: usize) -> oneshot::Receiver<Verdict> {
        begin_with(held, number, Arc::default())
    }

    fn begin_with(held: &mut Held, number: usize, flow: Arc<Flow>) -> oneshot::Receiver<Verdict> {
        let claim = Claim {
            token: TokenId::try_from("t1".to_owned()).unwrap(),
            replica: "r1".to_owned(),
            life: LifeId::try_from("life".to_owned()).unwrap(),
            address: String::new(),
            transport: String::new(),
            filter: None,
        };
        let channel = ChannelId::try_from("c1".to_owned()).unwrap();
        let limits = Limits { channel_max: 5, token_max: None };
        let (tell, told) = oneshot::channel();
        held.begin(lease(number), (channel, claim, limits), flow, tell);
        told
    }

    #[test]
    fn renewals_are_spread_evenly_and_each_is_due_once_a_round() {
        let mut held = Held::default();
        let mut told: Vec<_> = (0..10_000).map(|number| begin(&mut held, number)).collect();
        for number in 0..10_000 {
            held.hear(&lease(number), Verdict::Admitted, 1);
        }
        assert!(told.iter_mut().all(|told| told.try_recv() == Ok(Verdict::Admitted)));
        let mut seen = HashSet::new();
        for slot in 0..SLOTS {
            let due = held.due(slot);
            assert_eq!(due.len(), 10_000 / SLOTS as usize, "slot {slot}");
            seen.extend(due);
        }
        assert_eq!(seen.len(), 10_000);
        seen.iter().for_each(|lease| held.forget(lease));
        assert_eq!((0..SLOTS).map(|slot| held.due(slot).len()).sum::<usize>(), 0);
    }

    #[test]
    fn what_a_verdict_leads_to() {
        let mut held = Held::default();
        // Refused: told, and forgotten.
        let mut told = begin(&mut held, 1);
        assert_eq!(held.hear(&lease(1), Verdict::ChannelFull, 5), Heard::Nothing);
        assert_eq!(told.try_recv(), Ok(Verdict::ChannelFull));
        assert_eq!(held.hear(&lease(1), Verdict::Admitted, 6), Heard::Nothing);
        // Asked for, admitted, renewed, lost.
        let mut told = begin(&mut held, 2);
        assert_eq!(held.renewal(&lease(2)), None);
        assert!(matches!(held.hear(&lease(2), Verdict::Admitted, 7), Heard::Held(..)));
        assert_eq!(told.try_recv(), Ok(Verdict::Admitted));
        let Some(Record::Renewal { last: 7, .. }) = held.renewal(&lease(2)) else { panic!() };
        assert!(matches!(held.hear(&lease(2), Verdict::Admitted, 9), Heard::Held(..)));
        let Some(Record::Renewal { last: 9, .. }) = held.renewal(&lease(2)) else { panic!() };
        assert_eq!(held.hear(&lease(2), Verdict::TokenFull, 50), Heard::Lost);
        assert_eq!(held.renewal(&lease(2)), None);
        // A filter that came in the first message is told with the next renewal, cut.
        let flow = Arc::new(Flow::default());
        let mut told = begin_with(&mut held, 4, Arc::clone(&flow));
        held.hear(&lease(4), Verdict::Admitted, 60);
        assert_eq!(told.try_recv(), Ok(Verdict::Admitted));
        let filter = |held: &Held| match held.renewal(&lease(4)) {
            Some(Record::Renewal { claim, .. }) => claim.filter,
            other => panic!("{other:?}"),
        };
        assert_eq!(filter(&held), None);
        flow.filter.set(format!("host = {}", "a".repeat(1_000)).into()).unwrap();
        assert_eq!(filter(&held), Some(format!("host = {}", "a".repeat(249))));
        // Nobody waits any more.
        drop(begin(&mut held, 3));
        assert!(matches!(held.hear(&lease(3), Verdict::Admitted, 60), Heard::Held(..)));
    }
}
