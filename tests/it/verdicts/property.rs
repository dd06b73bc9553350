//! Whatever goes wrong: one verdict for each item, and what is said to be accepted has arrived.

use std::time::Duration;

use proptest::prelude::*;
use sluice::deliver::index::Verdict;

use super::{Bench, bulk, ids, of};
use crate::support::fake_index::{FakeIndex, Fault, When, item, reasoned, request};

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(item(429, "es_rejected_execution_exception")),
        Just(item(503, "unavailable_shards_exception")),
        Just(item(400, "document_parsing_exception")),
        Just(item(403, "cluster_block_exception")),
        Just(item(404, "index_not_found_exception")),
        Just(reasoned(400, "validation_exception", "this action would add [2] shards")),
        Just(Fault::FailureStore),
        Just(Fault::Cut),
        Just(Fault::CutReply),
        Just(Fault::WrongCount),
        Just(Fault::Garbage),
        Just(Fault::Html),
        prop::sample::select(vec![400, 401, 403, 404, 413, 429, 500, 503])
            .prop_map(|status| request(status, "planned")),
    ]
}

fn moments() -> impl Strategy<Value = When> {
    prop_oneof![
        (0_usize..8).prop_map(When::Request),
        (0_usize..40).prop_map(|number| When::Named(format!("d{number}"))),
        Just(When::Any),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn as_many_verdicts_as_items(
        count in 1_usize..40,
        gzip in any::<bool>(),
        plan in prop::collection::vec((moments(), faults(), 1_usize..4), 0..8),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fake = FakeIndex::start().await;
            fake.allow_unstruck();
            for (when, fault, times) in plan {
                fake.plan(when, fault, times);
            }
            let mut settings = of(&fake);
            settings.gzip = gzip;
            settings.backoff_max = Duration::from_millis(5);
            let ids = ids("d", count);
            let verdicts = Bench::new(&settings).index.deliver(bulk(&ids)).await;
            assert_eq!(verdicts.len(), count);
            let documents = fake.documents();
            for (id, verdict) in ids.iter().zip(&verdicts) {
                let source = documents.get(&("events".to_owned(), id.clone()));
                match verdict {
                    Verdict::Created | Verdict::Duplicate => {
                        assert_eq!(source, Some(&format!("{{\"name\":\"{id}\"}}")));
                    }
                    Verdict::Refused(refusal) => assert!(!refusal.error.is_empty()),
                    Verdict::Abandoned => panic!("nothing was lost"),
                }
            }
        });
    }
}
