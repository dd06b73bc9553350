//! Faults of a pipeline's file, those that only preparation finds among them.

use sluice::config;
use sluice::config::environment::Environment;
use sluice::config::fault::Fault;
use sluice::prepare::plan::Plan;

use super::folder;

const FILE: &str = "pipelines/a/pipeline.toml";

/// `text` stands in the pipeline's file; checked as `sluice check` does.
fn check_pipeline(text: &str, expected: &[&str]) {
    let folder = folder(&[("sluice.toml", ""), ("pipelines/a/pipeline.toml", text)]);
    let of_plan = |spec: &_| Plan::compile(spec).err().unwrap_or_default();
    let file = folder.path().join("sluice.toml");
    let faults = config::load(Some(&file), &Environment::default(), &of_plan).err();
    let prefix = format!("{}/", folder.path().display());
    let shown = |fault: &Fault| fault.to_string().replace(&prefix, "");
    let faults: Vec<_> = faults.unwrap_or_default().iter().map(shown).collect();
    assert_eq!(faults, expected, "{text}");
}

#[test]
fn faults_of_a_pipeline() {
    let file = |rest: &str| format!("{FILE}:{rest}");
    check_pipeline(
        "topics = [\"\", \"a/b\"]\n",
        &[
            &file("1: topics[0]: is an empty string"),
            &file(
                "1: topics[1]: `a/b` is no name for a topic: '/' is none of the letters a-z and \
                 A-Z, digits, `.`, `_` and `-`",
            ),
        ],
    );
    check_pipeline(
        "topics = [\"t\"]\n[redact]\nhash_key_file = \"nowhere\"\nrules = [\n\
         {},\n{ field = \"client_idd\" },\n{ field = \"app_id\", action = \"hash\" }]\n",
        &[
            &file("3: redact.hash_key_file: there is no readable file pipelines/a/nowhere"),
            &file(
                "5: redact.rules[0].field: names no single target (one of `field`, `field` with \
                   `path`, `field` with `pattern`, `header`, `query_parameter`)",
            ),
            &file("6: redact.rules[1].field: no field `client_idd` (did you mean `client_id`?)"),
        ],
    );
    check_pipeline(
        "topics = [\"t\"]\nextra = [\"h\", \"_x\", \"a..b\", \"@all\"]\n[id]\nfrom = \"event_id\"\n\
         [redact]\nextra_headers = [\"x-pin\", \"-\", \" \"]\n[export]\nindex = [\"--billing\"]\n\
         [[geo]]\nfrom = \"client_ip\"\ninto = \"h\"\n",
        &[
            &file(
                "2: extra[0]: `h` is written by Sluice, or within what is (only foreign fields are \
                 declared here)",
            ),
            &file(
                "2: extra[1]: `_x` is no name that the index takes (only foreign fields are \
                 declared here)",
            ),
            &file(
                "2: extra[2]: `a..b` is no name that the index takes (only foreign fields are \
                 declared here)",
            ),
            &file("2: extra[3]: `@all` names a group (only foreign fields are declared here)"),
            &file("4: id.from: `event_id` is written by Sluice (a field that the gateway writes)"),
            &file("6: redact.extra_headers[1]: `-` has neither letter nor digit"),
            &file("6: redact.extra_headers[2]: ` ` has neither letter nor digit"),
            &file("8: export.index: no field `-billing` (did you mean `@billing`?)"),
            &file("11: geo[0].into: `h` holds promoted fields (as in `client_geoip`)"),
        ],
    );
}

#[test]
fn faults_that_rest_on_others_of_the_file() {
    let file = |rest: &str| format!("{FILE}:{rest}");
    const SHOWN: &str = "(ids and the names of areas are shown as they came)";
    check_pipeline(
        "topics = [\"t\"]\nid = { from = \"client_ip\" }\narea = [\n\
         { field = \"app_id\", prefix = \"a\" },\n{ field = \"backend.authorization\", prefix = \"b\" }]\n\
         extra = [\"backend\"]\naddresses = { privacy = \"truncate\" }\n\
         redact = { rules = [{ field = \"app_id\" }] }\n",
        &[
            &file(&format!(
                "2: id.from: `client_ip` is an address, which `addresses.privacy` hides {SHOWN}"
            )),
            &file(&format!("4: area[0].field: `app_id` is redacted {SHOWN}")),
            &file(&format!("5: area[1].field: `backend.authorization` is redacted {SHOWN}")),
        ],
    );
    check_pipeline(
        "topics = [\"t\"]\n[redact]\nrules = [\n\
         {},\n{ header = \"x-a\" },\n{ header = \"X_A\", action = \"hash\" }]\n",
        &[
            &file(
                "4: redact.rules[0].field: names no single target (one of `field`, `field` with \
                   `path`, `field` with `pattern`, `header`, `query_parameter`)",
            ),
            &file("6: redact.rules[2]: the same place as `redact.rules[1]`"),
            &file(
                " redact.hash_key: missing, but `redact.rules[2].action` is `hash` (set it to \
                   a random secret, and keep it: another key, other hashes)",
            ),
        ],
    );
    // What a torn file does not say, it may have meant to.
    check_pipeline("[export\n", &[&file("1: syntax: unclosed table, expected `]`")]);
}
