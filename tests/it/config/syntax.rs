//! Files that are no TOML: what is wrong is said once, and nothing that only follows from it.

use super::check;

#[test]
fn a_syntax_error_is_one_fault_and_hides_no_other() {
    let unquoted = "sluice.toml:2: syntax: string values must be quoted, expected literal string";
    let level = "sluice.toml:4: log.level: `loud` is no level (one of: off, error, warn, info, \
                 debug, trace)";
    check("[kafka]\ngroup = x\n[log]\nlevel = \"loud\"\n", &[], &[unquoted, level]);
    check(
        "[kafka]\ngroup = \"x\n[log]\nlevel = \"loud\"\n",
        &[],
        &["sluice.toml:2: syntax: invalid basic string, expected `\"`", level],
    );
    check("[kafka]\ngroup =\n", &[], &[unquoted]);
    check("[index]\nshards = 1 2\n", &[], &[unquoted]);
    check("[index]\nshards == 1\n", &[], &["sluice.toml:2: syntax: extra `=`, expected nothing"]);
    check(
        "[kafka]\nbrokers = [\"a:1\" \"b\"]\n",
        &[],
        &["sluice.toml:2: syntax: missing comma between array elements, expected `,`"],
    );
    check(
        "[[api.roles]]\ngroup = a\nrole = \"area-reader\"\nareas = [\"id:a\"]\n",
        &[],
        &[unquoted],
    );
}

#[test]
fn a_list_that_is_not_closed_takes_the_rest_of_the_file() {
    check(
        "[kafka]\nbrokers = [\"a:1\"\n[log]\nlevel = \"loud\"\n",
        &[],
        &["sluice.toml:3: syntax: missing comma between array elements, expected `,`"],
    );
    check(
        "[kafka]\nbrokers = [\"a:1\",\ngroup = \"g\"\n[live]\ntopic = \"t\"\n",
        &[],
        &["sluice.toml:3: syntax: unexpected `=` in array, expected value, `]`"],
    );
}

#[test]
fn faults_come_in_the_order_of_the_lines() {
    check(
        "[log]\nlevel = 5\n[kafka]\nbrokers = [\"a:1\"\n[index]\n",
        &[("SLUICE_LOG_FORMAT", "x")],
        &[
            "sluice.toml:2: log.level: is an integer, not a string",
            "sluice.toml:5: syntax: missing comma between array elements, expected `,`",
            "SLUICE_LOG_FORMAT: `x` is none of: text, json",
        ],
    );
}
