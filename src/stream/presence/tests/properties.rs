//! Whatever holders do and however time passes: the limits hold, a plain count of all records comes
//! to the same, and so does a reader that begins late with what compaction has left.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What somebody with a connection, or without one, does next.
#[derive(Debug, Clone, Copy)]
enum Move {
    Ask,
    Renew,
    Close,
    /// Killed: nothing is released.
    Vanish,
}

/// Seconds since the move before, who moves, and what they do.
type Step = (Millis, usize, Move);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![8 => 0_i64..12, 2 => 12_i64..40, 1 => 100_i64..400];
    let what = prop_oneof![
        4 => Just(Move::Ask),
        6 => Just(Move::Renew),
        2 => Just(Move::Close),
        1 => Just(Move::Vanish),
    ];
    proptest::collection::vec((pause, 0_usize..6, what), 1..120)
}

fn limits() -> impl Strategy<Value = Limits> {
    let token_max = proptest::option::of(1_u32..3);
    (1_u32..4, token_max).prop_map(|(channel_max, token_max)| Limits { channel_max, token_max })
}

/// The rule of N1 and T7, counted over all records so far.
#[derive(Default)]
struct Count {
    renewed: BTreeMap<LeaseId, (TokenId, Millis)>,
}

impl Count {
    fn decide(&mut self, record: &Record, at: Millis) -> Verdict {
        let (Record::Request { lease, claim, limits, .. }
        | Record::Renewal { lease, claim, limits, .. }) = record
        else {
            record.lease().map(|lease| self.renewed.remove(lease));
            return Noted;
        };
        self.renewed.retain(|_, (_, renewed)| at - *renewed <= LEASE_MS);
        let is_new = matches!(record, Record::Request { .. }) || !self.renewed.contains_key(lease);
        if is_new {
            let of = |token: Option<&TokenId>| {
                let all = self.renewed.values();
                let same = all.filter(|(of, _)| token.is_none_or(|token| of == token));
                u32::try_from(same.count()).unwrap()
            };
            if of(None) >= limits.channel_max {
                return ChannelFull;
            }
            if limits.token_max.is_some_and(|max| of(Some(&claim.token)) >= max) {
                return TokenFull;
            }
        }
        self.renewed.insert(lease.clone(), (claim.token.clone(), at));
        Admitted
    }
}

/// What the holders write, with the verdicts that they are told by the fold.
fn history(steps: &[Step], limits: Limits) -> Vec<(Record, Millis, Verdict)> {
    let (mut fold, mut told) = (Leases::default(), Vec::new());
    let mut holders: [Option<(LeaseId, Millis)>; 6] = Default::default();
    let mut at = 0;
    for (number, (pause, who, what)) in steps.iter().enumerate() {
        at += pause * 1000;
        let claim = claim(&format!("t{}", who % 2), "l1");
        let record = match (what, &holders[*who]) {
            (Move::Ask, None) => {
                let lease = lease(&format!("{number}"));
                Record::Request { channel: channel(), lease, claim, limits }
            }
            (Move::Renew, Some((lease, last))) => Record::Renewal {
                channel: channel(),
                lease: lease.clone(),
                claim,
                limits,
                last: *last,
                figures: Figures::default(),
            },
            (Move::Close, Some((lease, _))) => release(lease.as_str()),
            (Move::Vanish, Some(_)) => {
                holders[*who] = None;
                continue;
            }
            _ => continue,
        };
        let verdict = fold.apply(record.clone(), at);
        let lease = record.lease().unwrap().clone();
        told.push((record, at, verdict));
        holders[*who] = (verdict == Admitted).then(|| (lease.clone(), at));
        if matches!(verdict, ChannelFull | TokenFull) {
            fold.apply(release(lease.as_str()), at);
            told.push((release(lease.as_str()), at, Noted));
        }
    }
    told
}

/// What is left of the topic at a time: of old records only the last of each key, and no old
/// tombstones.
fn compacted(read: &[(Record, Millis, Verdict)], now: Millis) -> Vec<(Record, Millis)> {
    let mut seen = BTreeSet::new();
    let mut left = Vec::new();
    for (record, at, _) in read.iter().rev() {
        let is_last = seen.insert(record.lease().cloned());
        let is_kept = is_last && !matches!(record, Record::Release { .. });
        if now - at < COMPACTION_LAG_MS || is_kept {
            left.push((record.clone(), *at));
        }
    }
    left.reverse();
    left
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn n1_limits_hold_and_every_reader_comes_to_the_same(
        steps in steps(),
        limits in limits(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let told = history(&steps, limits);
        let (mut fold, mut count) = (Leases::default(), Count::default());
        for (record, at, verdict) in &told {
            prop_assert_eq!(count.decide(record, *at), *verdict, "{:?} at {}", record, at);
            fold.apply(record.clone(), *at);
            let open: Vec<_> = fold.of("c1", *at).collect();
            prop_assert!(open.len() <= limits.channel_max as usize);
            for token in ["t0", "t1"] {
                let of = open.iter().filter(|(_, lease)| lease.claim.token.as_str() == token);
                prop_assert!(of.count() <= limits.token_max.unwrap_or(u32::MAX) as usize);
            }
            // A replica that was killed keeps nobody out for longer than this.
            prop_assert_eq!(fold.of("c1", at + LEASE_MS + 1).count(), 0);
        }
        if told.is_empty() {
            return Ok(());
        }
        let (before, after) = told.split_at(cut.index(told.len()));
        let now = after.first().map_or(0, |(_, at, _)| *at);
        let mut late = Leases::default();
        for (record, at) in compacted(before, now) {
            late.apply(record, at);
        }
        for (record, at, verdict) in after {
            prop_assert_eq!(late.apply(record.clone(), *at), *verdict, "{:?} at {}", record, at);
        }
        let end = told.last().map_or(0, |(_, at, _)| *at);
        prop_assert_eq!(open(&late, end), open(&fold, end));
    }
}
