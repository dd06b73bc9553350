//! What the live topic is set to.

use std::collections::BTreeMap;

use super::{PIPELINE_FILE, check, folder, load};

#[test]
fn areas_that_are_spread() {
    let check_spread = |text: &str, variables: &[(&str, &str)], expected: &[(&str, u32)]| {
        let folder = folder(&[("sluice.toml", text), PIPELINE_FILE]);
        let spread = load(folder.path(), variables).unwrap().settings.live.spread;
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(area, lanes)| ((*area).to_owned(), *lanes)).collect();
        assert_eq!(spread, expected, "{text}");
    };
    check_spread("", &[], &[]);
    let two = "[live]\nspread = { \"id:a.b\" = 4, unassigned = \"16\" }\n";
    check_spread(two, &[], &[("id:a.b", 4), ("unassigned", 16)]);
    let table = "[live.spread]\n\"name:Acme Ltd\" = 2\n";
    check_spread(table, &[], &[("name:Acme Ltd", 2)]);
    check_spread(two, &[("SLUICE_LIVE_SPREAD", "id:c=3")], &[("id:c", 3)]);
    check(
        "[live]\nspread = { \"id:a\" = 0, \"id:b\" = 17, \"id:c\" = \"two\" }\n",
        &[],
        &[
            "sluice.toml:2: live.spread: `id:a` has `0`, no number of partitions from 1 to 16",
            "sluice.toml:2: live.spread: `id:b` has `17`, no number of partitions from 1 to 16",
            "sluice.toml:2: live.spread: `id:c` has `two`, no number of partitions from 1 to 16",
        ],
    );
    check(
        "[live]\npartitions = 3\nspread = { \"id:a\" = 4 }\n",
        &[],
        &["sluice.toml:3: live.spread: `id:a` is in more partitions than `live.partitions`"],
    );
}
