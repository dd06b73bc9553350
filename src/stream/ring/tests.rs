use bytes::Bytes;

use super::*;
use crate::stream::block::OVERHEAD_BYTES;

fn block(area: &str, offset: i64, lines: &str) -> Block {
    Block::new((area.into(), 0, offset), 0, Bytes::copy_from_slice(lines.as_bytes()))
}

fn offsets(taken: &Taken) -> (Vec<i64>, Option<i64>) {
    match taken {
        Taken::Blocks { blocks, next, .. } => {
            let offsets = blocks.iter().map(|given| given.block.offset);
            (offsets.collect(), Some(next.get(0).offset))
        }
        Taken::Behind(floors) => (floors.iter().map(|(_, floor)| *floor).collect(), None),
        Taken::Closed => (vec![], None),
    }
}

fn take(ring: &Ring, area: &str, from: i64, bytes_max: usize) -> Taken {
    ring.take(area, &[0], &Places::all(1, Place::of(from)), bytes_max)
}

#[test]
fn a_listener_gets_the_records_of_its_area_in_order() {
    let ring = Ring::new(1 << 20);
    let take = |from: i64, bytes_max: usize| offsets(&take(&ring, "a", from, bytes_max));
    assert_eq!(take(0, 9), (vec![], None));
    ring.open(0, 10);
    assert_eq!(take(10, 99), (vec![], Some(10)));
    ring.push([block("a", 10, "{}\n"), block("b", 11, "{}\n"), block("a", 12, "{}\n")]);
    assert_eq!(take(10, 99), (vec![10, 12], Some(13)));
    assert_eq!(take(10, 4), (vec![10], Some(12)));
    assert_eq!(take(11, 99), (vec![12], Some(13)));
    assert_eq!(take(13, 99), (vec![], Some(13)));
    // A place beyond what was read is waited for.
    assert_eq!(take(20, 99), (vec![], Some(20)));
    assert_eq!(take(9, 99), (vec![10], None));
    // Behind what has no events a listener is at the end, and nobody goes back.
    ring.pass_over([(0, 15), (0, 14), (7, 3)]);
    assert_eq!((ring.end(0), ring.end(7)), (Some(15), None));
    assert_eq!(take(13, 99), (vec![], Some(15)));
    ring.push([block("a", 15, "{}\n")]);
    assert_eq!(take(13, 99), (vec![15], Some(16)));
}

#[test]
fn it_stays_within_its_bytes_and_says_from_where_it_holds_everything() {
    let ring = Ring::new(10 * (OVERHEAD_BYTES + 100));
    ring.open(0, 0);
    let line = "x".repeat(100);
    for offset in 0..100 {
        ring.push([block(if offset % 2 == 0 { "a" } else { "b" }, offset, &line)]);
        assert!(ring.used() <= ring.bytes_max);
    }
    assert_eq!(offsets(&take(&ring, "a", 0, 99)), (vec![90], None));
    let all = offsets(&take(&ring, "a", 90, usize::MAX));
    assert_eq!(all, (vec![90, 92, 94, 96, 98], Some(100)));
    // A partition that is read anew forgets what it held.
    ring.open(0, 7);
    assert_eq!((ring.used(), ring.end(0)), (0, Some(7)));
    assert_eq!(offsets(&take(&ring, "a", 7, 99)), (vec![], Some(7)));
}

#[tokio::test]
async fn news_come_once_for_many_records() {
    let ring = Arc::new(Ring::new(1 << 20));
    ring.open(0, 0);
    let mut news = ring.subscribe(&"a".into(), &[0].into()).news.clone();
    ring.push((0..50).map(|offset| block("a", offset, "{}")));
    news.changed().await.unwrap();
    assert_eq!(*news.borrow_and_update(), 49);
    ring.push([block("b", 50, "{}")]);
    assert!(!news.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn only_partitions_with_listeners_are_wanted_and_for_a_while_after() {
    const LINGER: Duration = Duration::from_secs(60);
    let ring = Arc::new(Ring::new(1 << 20));
    let (first, second) =
        (ring.subscribe(&"a".into(), &[3].into()), ring.subscribe(&"b".into(), &[3].into()));
    let third = ring.subscribe(&"c".into(), &[1].into());
    assert_eq!(ring.wanted(LINGER), [1, 3]);
    drop((first, third));
    tokio::time::advance(LINGER).await;
    assert_eq!(ring.wanted(LINGER), [3]);
    drop(second);
    assert_eq!(ring.wanted(LINGER), [3]);
    let again = ring.subscribe(&"b".into(), &[3].into());
    tokio::time::advance(LINGER).await;
    assert_eq!(ring.wanted(LINGER), [3]);
    drop(again);
    assert!(ring.state().areas.is_empty());
}

#[test]
fn what_is_ahead_is_counted() {
    let ring = Ring::new(1 << 20);
    ring.open(0, 10);
    ring.push([block("a", 10, "1\n2\n3\n"), block("b", 11, "4\n"), block("a", 12, "5\n")]);
    let ahead = |offset, index| ring.ahead("a", &[0], &Places::all(1, Place { offset, index }));
    let some = |events| Some(Ahead { events, since: (events > 0).then_some(0) });
    assert_eq!(ahead(9, 0), None);
    assert_eq!(ahead(10, 0), some(4));
    assert_eq!(ahead(10, 2), some(2));
    assert_eq!(ahead(13, 0), some(0));
}

/// An area in two partitions.
struct Spread {
    ring: Arc<Ring>,
    lanes: Arc<[i32]>,
    _listener: Subscription,
}

impl Spread {
    fn new() -> Self {
        let (ring, lanes) = (Arc::new(Ring::new(1 << 20)), Arc::from([4, 9]));
        let listener = ring.subscribe(&"a".into(), &lanes);
        Self { ring, lanes, _listener: listener }
    }

    fn push(&self, area: &str, partition: i32, offset: i64) {
        let bytes = Bytes::from_static(b"{}\n");
        self.ring.push([Block::new((area.into(), partition, offset), 0, bytes)]);
    }

    /// What a listener at these places takes: partitions and offsets, whether the cursor of each is
    /// that of all, and where it goes on.
    fn check(
        &self,
        from: [i64; 2],
        bytes_max: usize,
        expected: &[(i32, i64, bool)],
        next: [i64; 2],
    ) {
        let from = Places::new(&from.map(Place::of)).unwrap();
        let Taken::Blocks { blocks, next: found, .. } =
            self.ring.take("a", &self.lanes, &from, bytes_max)
        else {
            panic!("{from:?}: nothing is taken");
        };
        let blocks: Vec<_> = blocks
            .iter()
            .map(|given| (given.block.partition, given.block.offset, given.is_shared))
            .collect();
        assert_eq!((blocks.as_slice(), found.as_slice()), (expected, &next.map(Place::of)[..]));
    }
}

#[test]
fn an_area_in_several_partitions_is_taken_in_the_order_in_which_it_came() {
    let spread = Spread::new();
    let from = Places::new(&[Place::of(10), Place::of(50)]).unwrap();
    let take = || spread.ring.take("a", &spread.lanes, &from, 99);
    spread.ring.open(4, 10);
    assert!(matches!(take(), Taken::Closed));
    spread.ring.open(9, 51);
    assert!(matches!(take(), Taken::Behind(floors) if floors == [(1, 51)]));
    for (area, partition, offset) in
        [("a", 9, 51), ("b", 4, 10), ("a", 4, 11), ("b", 9, 52), ("a", 9, 53), ("a", 4, 12)]
    {
        spread.push(area, partition, offset);
    }
    let all = [(9, 51, true), (4, 11, true), (9, 53, true), (4, 12, true)];
    spread.check([10, 51], 99, &all, [13, 54]);
    spread.check([11, 51], 99, &[(9, 51, false), all[1], all[2], all[3]], [13, 54]);
    // Ahead of the others in one of them.
    spread.check([13, 51], 99, &[(9, 51, false), (9, 53, false)], [13, 54]);
    spread.check([12, 51], 99, &[(9, 51, false), (9, 53, true), all[3]], [13, 54]);
    // As many as fit.
    spread.check([10, 51], 6, &all[..2], [12, 53]);
    // Who stands within a record stays there while what came before it is taken.
    let within = Places::new(&[Place::of(11), Place { offset: 53, index: 2 }]).unwrap();
    let Taken::Blocks { next, .. } = spread.ring.take("a", &spread.lanes, &within, 3) else {
        panic!("nothing is taken");
    };
    assert_eq!(next, within.with(0, Place::of(12)));
    let ahead = spread.ring.ahead("a", &spread.lanes, &from.with(1, Place::of(53)));
    assert_eq!(ahead.map(|ahead| ahead.events), Some(3));
    assert_eq!(spread.ring.ends(&spread.lanes, &from).as_slice(), [13, 54].map(Place::of));
    // What was true of a partition before it was read anew is not any more.
    spread.ring.open(4, 12);
    spread.push("a", 4, 12);
    spread.check([12, 51], 99, &[(9, 51, false), (9, 53, false), (4, 12, true)], [13, 54]);
}

#[tokio::test]
async fn whoever_listens_to_several_partitions_waits_for_all_of_them() {
    let ring = Arc::new(Ring::new(1 << 20));
    let mut listener = ring.subscribe(&"a".into(), &[4, 9].into());
    ring.open(4, 10);
    assert!(tokio::time::timeout(Duration::ZERO, listener.ends()).await.is_err());
    ring.open(9, 51);
    let ends = listener.ends().await;
    assert_eq!(ends.as_slice(), [10, 51].map(Place::of));
    assert!(!listener.has_lost(&ends));
    ring.open(9, 50);
    assert!(listener.has_lost(&ends));
    assert!(!listener.has_lost(&ends));
    // Whoever asks late, when there is as much again as there was.
    ring.open(9, 50);
    ring.push((50..60).map(|offset| Block::new(("a".into(), 9, offset), 0, Bytes::new())));
    assert!(listener.has_lost(&ends));
}
