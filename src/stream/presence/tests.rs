//! Leases, as scripts: at a second, a record, and what it comes to.

use crate::clock::Millis;
use crate::stream::connections::Figures;
use crate::stream::ids::{Actor, ChannelId, LeaseId, LifeId, TokenId};

use super::leftovers::Leftovers;
use super::*;

mod properties;

const LIMITS: Limits = Limits { channel_max: 2, token_max: None };

fn lease(id: &str) -> LeaseId {
    LeaseId::try_from(id.to_owned()).unwrap()
}

fn channel() -> ChannelId {
    ChannelId::try_from("c1".to_owned()).unwrap()
}

fn claim(token: &str, life: &str) -> Claim {
    Claim {
        token: TokenId::try_from(token.to_owned()).unwrap(),
        replica: "r1".to_owned(),
        life: LifeId::try_from(life.to_owned()).unwrap(),
        address: "192.0.2.1".to_owned(),
        transport: "sse".to_owned(),
        filter: None,
    }
}

fn request(id: &str) -> Record {
    let claim = claim("t1", "l1");
    Record::Request { channel: channel(), lease: lease(id), claim, limits: LIMITS }
}

fn request_of(id: &str, token: &str, token_max: u32) -> Record {
    let limits = Limits { channel_max: 5, token_max: Some(token_max) };
    let claim = claim(token, "l1");
    Record::Request { channel: channel(), lease: lease(id), claim, limits }
}

fn renewal(id: &str, last: Millis) -> Record {
    let (claim, last) = (claim("t1", "l1"), last * 1000);
    Record::Renewal {
        channel: channel(),
        lease: lease(id),
        claim,
        limits: LIMITS,
        last,
        figures: Figures::default(),
    }
}

fn release(id: &str) -> Record {
    Record::Release { channel: channel(), lease: lease(id) }
}

fn check(steps: &[(Millis, Record, Verdict)]) -> Leases {
    let mut presence = Leases::default();
    for (place, (second, record, expected)) in steps.iter().enumerate() {
        let (key, value) = record.encode().unwrap();
        let read = Record::decode(key.as_bytes(), value.as_deref()).unwrap();
        assert_eq!(read, *record);
        assert_eq!(presence.apply(read, second * 1000), *expected, "step {place}: {record:?}");
    }
    presence
}

fn open(presence: &Leases, second: Millis) -> Vec<&str> {
    presence.of("c1", second * 1000).map(|(id, _)| id.as_str()).collect()
}

use Verdict::{Admitted, ChannelFull, Noted, TokenFull};

#[test]
fn n1_a_channel_has_as_many_connections_as_are_allowed() {
    let presence = check(&[
        (1, request("a"), Admitted),
        (1, request("b"), Admitted),
        (1, request("c"), ChannelFull),
        (2, release("a"), Noted),
        (2, request("d"), Admitted),
        (3, request("e"), ChannelFull),
        // Read again by a writer that had to send it twice.
        (3, request("d"), Admitted),
    ]);
    assert_eq!(open(&presence, 3), ["b", "d"]);
    assert_eq!(open(&presence, 33), ["d"]);
    assert_eq!(open(&presence, 34), Vec::<&str>::new());
}

#[test]
fn n1_a_lease_that_is_not_renewed_for_30_s_is_free() {
    check(&[
        (0, request("a"), Admitted),
        (0, request("b"), Admitted),
        (10, renewal("a", 0), Admitted),
        (30, request("c"), ChannelFull),
        (31, request("c"), Admitted),
        // Late, and its place is taken.
        (32, renewal("b", 0), ChannelFull),
        (33, renewal("a", 10), Admitted),
        (34, release("c"), Noted),
        // Late, and there is room again.
        (35, renewal("b", 0), Admitted),
        (35, request("d"), ChannelFull),
    ]);
}

#[test]
fn n1_a_released_lease_is_not_renewed_into_a_full_channel() {
    check(&[
        (0, request("a"), Admitted),
        (1, release("a"), Noted),
        (2, request("b"), Admitted),
        (2, request("c"), Admitted),
        (3, renewal("a", 0), ChannelFull),
        (4, release("b"), Noted),
        (5, renewal("a", 3), Admitted),
    ]);
}

#[test]
fn a_reader_that_begins_late_counts_who_says_admitted() {
    let presence = check(&[
        (100, renewal("a", 90), Admitted),
        (101, renewal("b", 91), Admitted),
        (102, request("c"), ChannelFull),
        (103, renewal("d", 72), ChannelFull),
        (104, release("x"), Noted),
    ]);
    assert_eq!(open(&presence, 104), ["a", "b"]);
}

#[test]
fn t7_a_token_has_its_own_limit_within_its_channels() {
    check(&[
        (0, request_of("a", "t1", 1), Admitted),
        (0, request_of("b", "t1", 1), TokenFull),
        (0, request_of("c", "t2", 1), Admitted),
        (0, request_of("d", "t2", 2), Admitted),
        (1, release("a"), Noted),
        (1, request_of("b", "t1", 1), Admitted),
    ]);
}

#[test]
fn what_is_left_over_is_released_once_the_topic_was_read() {
    let of = |id: &str, replica: &str, life: &str| {
        let claim = Claim { replica: replica.to_owned(), ..claim("t1", life) };
        Record::Request { channel: channel(), lease: lease(id), claim, limits: LIMITS }
    };
    let disconnect = |id: &str| {
        let actor = Actor::try_from("ada".to_owned()).unwrap();
        Record::Disconnect { channel: channel(), lease: lease(id), actor }
    };
    let check = |steps: &[(Millis, Record)], now: Millis, expected: &[&str]| {
        let mut leftovers = Leftovers::default();
        steps.iter().for_each(|(second, record)| leftovers.note(record, second * 1000));
        let life = LifeId::try_from("l2".to_owned()).unwrap();
        let releases: Vec<_> = leftovers.releases("r1", &life, now * 1000).collect();
        assert_eq!(releases, expected.iter().map(|id| release(id)).collect::<Vec<_>>());
    };
    let former = [(0, of("a", "r1", "l1")), (0, of("b", "r1", "l1")), (1, release("a"))];
    check(&former, 2, &["b"]);
    check(&[(0, of("a", "r1", "l2")), (0, of("b", "r2", "l1"))], 600, &[]);
    // Over for long, whoever's they were.
    check(&[(0, of("a", "r1", "l2")), (0, of("b", "r2", "l1"))], 601, &["a", "b"]);
    check(&[(0, of("a", "r2", "l1")), (9, renewal("a", 0))], 601, &["a"]);
    // Told to close after it was released: nobody is there to release it again.
    check(&[(0, of("a", "r2", "l1")), (1, release("a")), (2, disconnect("a"))], 602, &[]);
    check(&[(0, of("a", "r2", "l1")), (1, release("a")), (2, disconnect("a"))], 603, &["a"]);
    check(&[(0, of("a", "r1", "l1")), (2, disconnect("a"))], 3, &["a"]);
}

#[test]
fn figures_are_those_of_the_last_renewal_and_the_rate_is_between_two() {
    let with = |last: Millis, events: u64| match renewal("a", last) {
        Record::Renewal { channel, lease, mut claim, limits, last, .. } => {
            let figures = Figures { events, ..Figures::default() };
            claim.filter = Some(format!("since {last}"));
            Record::Renewal { channel, lease, claim, limits, last, figures }
        }
        other => other,
    };
    let rate = |presence: &Leases| presence.of("c1", 0).next().unwrap().1.events_per_s();
    let mut presence = check(&[(100, request("a"), Admitted)]);
    assert_eq!(rate(&presence), None);
    for (second, last, events, expected) in
        [(110, 100, 50, Some(5.0)), (120, 110, 50, Some(0.0)), (140, 120, 150, Some(5.0))]
    {
        assert_eq!(presence.apply(with(last, events), second * 1000), Admitted);
        assert_eq!(rate(&presence), expected, "at {second}");
        let (_, lease) = presence.of("c1", second * 1000).next().unwrap();
        assert_eq!((lease.figures.events, lease.since), (events, 100_000));
        assert_eq!(lease.claim.filter, Some(format!("since {}", last * 1000)));
    }
    // A reader that begins late cannot tell before it has seen two.
    let mut late = Leases::default();
    late.apply(with(120, 150), 130_000);
    assert_eq!(rate(&late), None);
}

#[test]
fn when_a_token_was_used_last_is_kept() {
    let used = |id: &str| Record::Used {
        channel: channel(),
        token: TokenId::try_from(id.to_owned()).unwrap(),
    };
    let presence = check(&[(1, used("t1"), Noted), (9, used("t1"), Noted), (3, used("t2"), Noted)]);
    assert_eq!(presence.last_used("t1"), Some(9000));
    assert_eq!(presence.last_used("t2"), Some(3000));
    assert_eq!(presence.last_used("t3"), None);
}

#[test]
fn a_disconnect_is_for_whoever_has_the_connection() {
    let actor = Actor::try_from("ada".to_owned()).unwrap();
    let disconnect = Record::Disconnect { channel: channel(), lease: lease("a"), actor };
    let presence = check(&[
        (0, request("a"), Admitted),
        (1, disconnect, Noted),
        (2, renewal("a", 0), Admitted),
        (3, release("a"), Noted),
    ]);
    assert_eq!(open(&presence, 3), Vec::<&str>::new());
}

#[test]
fn what_is_no_record_is_refused() {
    let foreign = [
        ("", None),
        ("lease/c1", None),
        ("lease/c1/a/b", None),
        ("lease/c 1/a", None),
        ("lease/c1/", None),
        ("used/c1/t1", None),
        ("other/c1/t1", None),
        ("lease/c1/a", Some("x")),
        ("lease/c1/a", Some("{\"v\":1,\"record\":{\"used\":{}}}")),
        ("used/c1/t1", Some("{\"v\":1,\"record\":{\"disconnect\":{\"actor\":\"ada\"}}}")),
    ];
    for (key, value) in foreign {
        let found = Record::decode(key.as_bytes(), value.map(str::as_bytes));
        assert_eq!(found, Err(NoRecord::Foreign), "{key}");
    }
    let later = Record::decode(b"lease/c1/a", Some(b"{\"v\":2}"));
    assert_eq!(later, Err(NoRecord::Version { found: 2, known: 1 }));
    let unreadable = Record::decode(b"lease/c1/a", Some(b"{\"v\":1,\"record\":{\"wish\":{}}}"));
    assert!(matches!(unreadable, Err(NoRecord::Unreadable(_))), "{unreadable:?}");
}
