use bytes::Bytes;

use super::*;
use crate::stream::block::OVERHEAD_BYTES;

fn block(area: &str, offset: i64, lines: &str) -> Block {
    Block::new((area.into(), 0, offset), 0, Bytes::copy_from_slice(lines.as_bytes()))
}

fn offsets(taken: &Taken) -> (Vec<i64>, Option<i64>) {
    match taken {
        Taken::Blocks { blocks, next, .. } => {
            (blocks.iter().map(|block| block.offset).collect(), Some(next.offset))
        }
        Taken::Behind(floor) => (vec![*floor], None),
        Taken::Closed => (vec![], None),
    }
}

#[test]
fn a_listener_gets_the_records_of_its_area_in_order() {
    let ring = Ring::new(1 << 20);
    let take =
        |from: i64, bytes_max: usize| offsets(&ring.take("a", 0, Place::of(from), bytes_max));
    assert!(matches!(ring.take("a", 0, Place::of(0), 9), Taken::Closed));
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
    assert_eq!(offsets(&ring.take("a", 0, Place::of(0), 99)), (vec![90], None));
    let all = offsets(&ring.take("a", 0, Place::of(90), usize::MAX));
    assert_eq!(all, (vec![90, 92, 94, 96, 98], Some(100)));
    // A partition that is read anew forgets what it held.
    ring.open(0, 7);
    assert_eq!((ring.used(), ring.end(0)), (0, Some(7)));
    assert_eq!(offsets(&ring.take("a", 0, Place::of(7), 99)), (vec![], Some(7)));
}

#[tokio::test]
async fn news_come_once_for_many_records() {
    let ring = Arc::new(Ring::new(1 << 20));
    ring.open(0, 0);
    let mut news = ring.subscribe(&"a".into(), 0).news.clone();
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
    let (first, second) = (ring.subscribe(&"a".into(), 3), ring.subscribe(&"b".into(), 3));
    let third = ring.subscribe(&"c".into(), 1);
    assert_eq!(ring.wanted(LINGER), [1, 3]);
    drop((first, third));
    tokio::time::advance(LINGER).await;
    assert_eq!(ring.wanted(LINGER), [3]);
    drop(second);
    assert_eq!(ring.wanted(LINGER), [3]);
    let again = ring.subscribe(&"b".into(), 3);
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
    let ahead = |offset, index| ring.ahead("a", 0, Place { offset, index });
    let some = |events| Some(Ahead { events, since: (events > 0).then_some(0) });
    assert_eq!(ahead(9, 0), None);
    assert_eq!(ahead(10, 0), some(4));
    assert_eq!(ahead(10, 2), some(2));
    assert_eq!(ahead(13, 0), some(0));
}
