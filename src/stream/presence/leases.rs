//! What the records come to: who has a connection, and who may have one more.

use std::collections::BTreeMap;

use crate::clock::Millis;
use crate::stream::connections::Figures;
use crate::stream::ids::{ChannelId, LeaseId, TokenId};

use super::LEASE_MS;
use super::record::{Claim, Limits, Record};

/// What a record came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The lease is held until [`LEASE_MS`] after this record.
    Admitted,
    /// As many connections of the channel are open as are allowed. The lease is to be released.
    ChannelFull,
    /// As many connections of the token are open as are allowed. The lease is to be released.
    TokenFull,
    /// Nothing had to be decided.
    Noted,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub claim: Claim,
    /// When it was admitted, or first seen by a reader that began later.
    pub since: Millis,
    pub renewed: Millis,
    /// As of its last renewal.
    pub figures: Figures,
    /// When it was renewed before that, and how many events had gone out then.
    before: Option<(Millis, u64)>,
    /// One that was released is remembered for as long as it could be renewed in time.
    is_released: bool,
}

/// Every lease, and when each token was used last.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// Also leases that are over: they are removed when somebody asks for room that they take.
    channels: BTreeMap<ChannelId, BTreeMap<LeaseId, Lease>>,
    used: BTreeMap<TokenId, Millis>,
    now: Millis,
}

impl Leases {
    /// Decides one record. `at` is its broker time; records of a channel come in their order.
    pub fn apply(&mut self, record: Record, at: Millis) -> Verdict {
        self.now = self.now.max(at);
        match record {
            Record::Request { channel, lease, claim, limits } => {
                let leases = self.channels.entry(channel).or_default();
                admit(leases, lease, Lease::new(claim, at), &limits)
            }
            Record::Renewal { channel, lease, claim, limits, last, figures } => {
                let leases = self.channels.entry(channel).or_default();
                let known = leases.get_mut(&lease).filter(|known| known.is_current(at));
                let is_held = match &known {
                    Some(known) => !known.is_released,
                    // Admitted before this reader began.
                    None => at.saturating_sub(last) <= LEASE_MS,
                };
                match known {
                    Some(known) if is_held => {
                        // It may have come after the request.
                        known.claim.filter = claim.filter;
                        known.renew(at, figures);
                    }
                    _ if is_held => {
                        let mut new = Lease::new(claim, last);
                        new.renew(at, figures);
                        new.before = None;
                        leases.insert(lease, new);
                    }
                    // Late, or released by somebody else: its place may be another's by now.
                    _ => {
                        let mut new = Lease::new(claim, at);
                        new.figures = figures;
                        return admit(leases, lease, new, &limits);
                    }
                }
                Verdict::Admitted
            }
            Record::Release { channel, lease } => {
                let leases = self.channels.get_mut(&channel);
                if let Some(known) = leases.and_then(|leases| leases.get_mut(&lease)) {
                    known.is_released = true;
                    known.renewed = at;
                }
                Verdict::Noted
            }
            // Whoever has the connection releases it.
            Record::Disconnect { .. } => Verdict::Noted,
            Record::Used { channel: _, token } => {
                self.used.insert(token, at);
                Verdict::Noted
            }
        }
    }

    /// The connections of a channel at a broker time.
    pub fn of(&self, channel: &str, at: Millis) -> impl Iterator<Item = (&LeaseId, &Lease)> {
        let leases = self.channels.get(channel).into_iter().flatten();
        leases.filter(move |(_, lease)| lease.is_held(at))
    }

    /// Every connection at a broker time.
    pub fn all(&self, at: Millis) -> impl Iterator<Item = (&ChannelId, &LeaseId, &Lease)> {
        self.channels.iter().flat_map(move |(channel, leases)| {
            let held = leases.iter().filter(move |(_, lease)| lease.is_held(at));
            held.map(move |(id, lease)| (channel, id, lease))
        })
    }

    /// When a token was used last, by broker time; `None`: never.
    #[must_use]
    pub fn last_used(&self, token: &str) -> Option<Millis> {
        self.used.get(token).copied()
    }

    /// The latest time of any record.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now
    }
}

/// Admits a lease where there is room for it (N1, T7). One that is held already has its place.
fn admit(
    leases: &mut BTreeMap<LeaseId, Lease>,
    lease: LeaseId,
    new: Lease,
    limits: &Limits,
) -> Verdict {
    let channel_max = limits.channel_max as usize;
    // While there is room even with those that are over, nobody need be counted.
    if leases.len() >= channel_max || limits.token_max.is_some() {
        leases.retain(|_, other| other.is_current(new.since));
        let others = || leases.iter().filter(|(id, other)| **id != lease && !other.is_released);
        if others().count() >= channel_max {
            return Verdict::ChannelFull;
        }
        let of_token = || others().filter(|(_, other)| other.claim.token == new.claim.token);
        if limits.token_max.is_some_and(|max| of_token().count() >= max as usize) {
            return Verdict::TokenFull;
        }
    }
    leases.insert(lease, new);
    Verdict::Admitted
}

impl Lease {
    fn new(claim: Claim, at: Millis) -> Self {
        Self {
            claim,
            since: at,
            renewed: at,
            figures: Figures::default(),
            before: None,
            is_released: false,
        }
    }

    fn renew(&mut self, at: Millis, figures: Figures) {
        self.before = Some((self.renewed, self.figures.events));
        self.renewed = at;
        self.figures = figures;
    }

    /// Events that went out in a second, between its last two renewals; `None` before there were
    /// two.
    #[must_use]
    pub fn events_per_s(&self) -> Option<f64> {
        let (renewed, events) = self.before?;
        let ms = u32::try_from(self.renewed.saturating_sub(renewed)).ok().filter(|ms| *ms > 0)?;
        let events = u32::try_from(self.figures.events.saturating_sub(events)).ok()?;
        Some(f64::from(events) * 1000.0 / f64::from(ms))
    }

    fn is_held(&self, at: Millis) -> bool {
        self.is_current(at) && !self.is_released
    }

    fn is_current(&self, at: Millis) -> bool {
        at.saturating_sub(self.renewed) <= LEASE_MS
    }
}
