//! The configuration: every fault at once, each where it stands; every key documented and read.

use std::fs;
use std::path::Path;

use sluice::config::environment::Environment;
use sluice::config::fault::SpecFault;
use sluice::config::keys::{Key, Kind, PIPELINE, SETTINGS};
use sluice::config::settings::Settings;
use sluice::config::{self, Config, reference};
use tempfile::TempDir;

mod live;
mod pipelines;
mod streams;
mod syntax;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn load(folder: &Path, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let environment = Environment::new(pairs);
    let file = folder.join("sluice.toml");
    let none = |_: &_| Vec::<SpecFault>::new();
    config::load(Some(&file), &environment, &none).map_err(|faults| {
        let prefix = format!("{}/", folder.display());
        faults.iter().map(|fault| fault.to_string().replace(&prefix, "")).collect()
    })
}

const PIPELINE_FILE: (&str, &str) = ("pipelines/a/pipeline.toml", "topics = [\"t\"]\n");

/// `text` stands in sluice.toml; the faults come as they are shown, one a line.
fn check(text: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let folder = folder(&[("sluice.toml", text), PIPELINE_FILE]);
    let faults = load(folder.path(), variables).err().unwrap_or_default();
    assert_eq!(faults, expected, "{text}");
}

#[test]
fn an_empty_file_is_every_default() {
    let folder = folder(&[("sluice.toml", ""), PIPELINE_FILE]);
    let mut config = load(folder.path(), &[]).unwrap();
    config.settings.pipelines = "pipelines".into();
    assert_eq!(format!("{:#?}", config.settings), format!("{:#?}", Settings::default()));
}

#[test]
fn faults_name_the_place_the_key_and_what_was_meant() {
    check(
        "[kafka]\nbrokrs = [\"a:1\"]\n",
        &[],
        &["sluice.toml:2: kafka.brokrs: unknown key (did you mean `kafka.brokers`?)"],
    );
    check(
        "[kafak]\ngroup = \"x\"\n",
        &[],
        &["sluice.toml:1: kafak: unknown key (did you mean `kafka`?)"],
    );
    check(
        "[kafka]\nbrokers = [\"a:1\", \"b\"]\n",
        &[],
        &["sluice.toml:2: kafka.brokers[1]: `b` has no port (as in `host:9092`)"],
    );
    check(
        "[kafka]\nbrokers = [\"\", \"a:0\", \"b:99999\", \" :1\", 5]\n",
        &[],
        &[
            "sluice.toml:2: kafka.brokers[0]: is an empty string",
            "sluice.toml:2: kafka.brokers[4]: is an integer, not a string",
            "sluice.toml:2: kafka.brokers[1]: `a:0` has a port that is not within 1 and 65535 \
             (as in `host:9092`)",
            "sluice.toml:2: kafka.brokers[2]: `b:99999` has a port that is not within 1 and 65535 \
             (as in `host:9092`)",
            "sluice.toml:2: kafka.brokers[3]: ` :1` names no host (as in `host:9092`)",
        ],
    );
    check(
        "[live]\ntopic = \"a b\"\n[dead_letter]\ntopic = \"..\"\n",
        &[],
        &[
            "sluice.toml:2: live.topic: `a b` is no name for a topic: ' ' is none of the letters \
             a-z and A-Z, digits, `.`, `_` and `-`",
            "sluice.toml:4: dead_letter.topic: `..` is no name for a topic",
        ],
    );
    check(
        "[index]\nrequest_timeout = 5\ngzip = \"yes\"\nshards = 0\n",
        &[],
        &[
            "sluice.toml:2: index.request_timeout: is no duration as in `500ms`, `10s`, `5m`, \
             `24h`, `30d`",
            "sluice.toml:3: index.gzip: is a string, not `true` or `false`",
            "sluice.toml:4: index.shards: 0 is not within 1 and 1000000",
        ],
    );
    check("[live]\npartitions = 65536\n", &[], &[]);
    check(
        "[live]\npartitions = 65537\n",
        &[],
        &["sluice.toml:2: live.partitions: 65537 is not within 1 and 65536"],
    );
    check(
        "[log]\nformat = \"jsn\"\n",
        &[],
        &["sluice.toml:2: log.format: `jsn` is none of: text, json (did you mean `json`?)"],
    );
    check(
        "[kafka]\nbrokers = [\"http://h:1\"]\n[index]\nshards = 99999999999999999999\n\
         template = \"A B*\"\n[log]\nlevel = \"loud,sluice=debug\"\n",
        &[],
        &[
            "sluice.toml:2: kafka.brokers[0]: `http://h:1` names no protocol of Kafka's (as in \
             `host:9092`)",
            "sluice.toml:4: index.shards: is an integer of more than 64 bits, not an integer",
            "sluice.toml:5: index.template: `A B*` cannot name a template (lower case, without \
             spaces and `\\/*?\"<>|,#:`)",
            "sluice.toml:7: log.level: `loud` is no level (one of: off, error, warn, info, debug, \
             trace)",
        ],
    );
    check(
        "",
        &[("SLUICE_LOG_LEVEL", "inf"), ("SLUICE_INDEX_SHARDS", "99999999999999999999")],
        &[
            "SLUICE_INDEX_SHARDS: is an integer of more than 64 bits, not an integer",
            "SLUICE_LOG_LEVEL: `inf` is no level (did you mean `info`?)",
        ],
    );
    check("kafka = 3\n", &[], &["sluice.toml:1: kafka: is a table of keys, not an integer"]);
    check(
        "[kafka.properties]\nenable.auto.commit = true\n",
        &[],
        &["sluice.toml:1: kafka.properties: `enable.auto.commit` is Sluice's own: delivery rests \
           on it"],
    );
}

#[test]
fn faults_of_the_environment() {
    check(
        "",
        &[("SLUICE_KAFKA_BROKER", "a:1"), ("SLUICE_TEST_KAFKA", "x")],
        &["SLUICE_KAFKA_BROKER: unknown environment variable (did you mean \
           `SLUICE_KAFKA_BROKERS`?)"],
    );
    check(
        "",
        &[("SLUICE_INDEX_GZIP", "perhaps")],
        &["SLUICE_INDEX_GZIP: is a string, not `true` or `false`"],
    );
    check(
        "[kafka]\nbrokers = [\"a:1\"]\nca_file = \"here\"\n[live]\ntopic = \"x\"\n",
        &[
            ("SLUICE_KAFKA_BROKERS", "a:1,b"),
            ("SLUICE_KAFKA_CA_FILE", "/nowhere/ca.pem"),
            ("SLUICE_KAFKA_TLS", "true"),
            ("SLUICE_LIVE_TOPIC", "sluice-dead-letters"),
            ("SLUICE_INDEX_API_KEY_FILE", "/nowhere/key"),
            ("SLUICE_PIPELINE_A_TOPICS", "t,sluice-dead-letters"),
        ],
        &[
            "SLUICE_KAFKA_BROKERS[1]: `b` has no port (as in `host:9092`)",
            "SLUICE_KAFKA_CA_FILE: there is no file /nowhere/ca.pem",
            "SLUICE_INDEX_API_KEY_FILE: there is no readable file /nowhere/key",
            "SLUICE_LIVE_TOPIC: is the dead-letter topic as well",
            "SLUICE_PIPELINE_A_TOPICS[1]: `sluice-dead-letters` is a topic that Sluice itself \
             writes",
        ],
    );
}

#[test]
fn what_excludes_or_needs_something_else() {
    check(
        "[kafka.sasl]\nmechanism = \"PLAIN\"\nusername = \"u\"\n",
        &[],
        &["kafka.sasl.password: is needed by `kafka.sasl.mechanism`"]
            .map(|text| Box::leak(format!("sluice.toml: {text}").into_boxed_str()) as &str),
    );
    check(
        "[index]\npassword = \"secret-value\"\npassword_file = \"nowhere\"\n",
        &[],
        &["sluice.toml:3: index.password_file: `index.password` is given as well: only one of \
             the two"],
    );
    check(
        "[live]\ntopic = \"x\"\n[dead_letter]\ntopic = \"x\"\n",
        &[],
        &["sluice.toml:2: live.topic: is the dead-letter topic as well"],
    );
    check(
        "[live]\ntopic = \"x\"\n[control]\ntopic = \"x\"\n",
        &[],
        &["sluice.toml:4: control.topic: is the live topic as well"],
    );
    check(
        "[presence]\ntopic = \"sluice-control\"\n",
        &[],
        &["sluice.toml:2: presence.topic: is the control topic as well"],
    );
    check(
        "[stream]\nreplica = \"a\\nb\"\n",
        &[],
        &["sluice.toml:2: stream.replica: is not 1 to 256 bytes without control characters"],
    );
    check(
        "roles = [\"ingest\", \"streams\"]\n",
        &[],
        &["sluice.toml:1: roles[1]: `streams` is none of: ingest, stream (did you mean \
         `stream`?)"],
    );
    check("roles = []\n", &[], &["sluice.toml:1: roles: names none of: ingest, stream"]);
    check(
        "roles = [\"stream\"]\n[live]\non = false\n",
        &[],
        &["sluice.toml:1: roles: has `stream`, and there is no live topic (a process without \
         streams has `roles = [\"ingest\"]`)"],
    );
    check(
        "[control]\ntopic = \"sluice-dead-letters\"\n",
        &[],
        &["sluice.toml:2: control.topic: is the dead-letter topic as well"],
    );
}

#[test]
fn what_only_follows_from_another_fault_is_not_told() {
    check(
        "[kafka]\nbrokers = 3\n",
        &[],
        &["sluice.toml:2: kafka.brokers: is an integer, not a list of strings"],
    );
    check(
        "[http]\nlisten = 3\n",
        &[],
        &["sluice.toml:2: http.listen: is an integer, not a string"],
    );
    check(
        "[kafka.sasl]\nmechanism = \"plain\"\nusername = \"u\"\npassword = \"p\"\n",
        &[],
        &["sluice.toml:2: kafka.sasl.mechanism: `plain` is none of: none, PLAIN, SCRAM-SHA-256, \
         SCRAM-SHA-512"],
    );
    check(
        "[limits]\nin_flight_bytes_max = \"1\"\n",
        &[],
        &["sluice.toml:2: limits.in_flight_bytes_max: 1 bytes is below the least of 1048576"],
    );
    check(
        "[live]\ntopic = \"\"\n[dead_letter]\ntopic = \"\"\n",
        &[],
        &["sluice.toml:2: live.topic: is empty", "sluice.toml:4: dead_letter.topic: is empty"],
    );
    check("pipelines = 3\n", &[], &["sluice.toml:1: pipelines: is an integer, not a string"]);
}

#[test]
fn what_stands_beside_a_missing_file_is_meant() {
    let folder = folder(&[
        ("sluice.toml", "\npipelines = \"pipeline\"\n[geo]\ndatabases = [\"city.mdb\"]\n"),
        PIPELINE_FILE,
        ("city.mmdb", ""),
    ]);
    assert_eq!(
        load(folder.path(), &[]).unwrap_err(),
        [
            "sluice.toml:2: pipelines: the folder pipeline cannot be read: No such file or directory \
          (os error 2) (did you mean `pipelines`?)"
        ]
    );
    let found = load(folder.path(), &[("SLUICE_PIPELINES", "/nowhere")]).unwrap_err();
    assert!(
        found[0].starts_with("SLUICE_PIPELINES: the folder /nowhere cannot be read"),
        "{found:?}"
    );
    let pipelines = folder.path().join("pipelines");
    let config = load(folder.path(), &[("SLUICE_PIPELINES", pipelines.to_str().unwrap())]).unwrap();
    let notes: Vec<_> = config.notes().iter().map(ToString::to_string).collect();
    let root = folder.path().display();
    assert_eq!(
        notes,
        [format!(
            "{root}/sluice.toml:4: geo.databases[0]: there is no file {root}/city.mdb: no \
                  look-ups in it until it comes (did you mean `{root}/city.mmdb`?)"
        )]
    );
}

#[test]
fn a_file_that_is_no_text() {
    let folder = folder(&[("sluice.toml", ""), PIPELINE_FILE]);
    fs::write(folder.path().join("sluice.toml"), b"# a\n[kafka]\ngroup = \"\xff\"\n").unwrap();
    assert_eq!(
        load(folder.path(), &[]).unwrap_err(),
        ["sluice.toml:3: configuration: holds bytes that are no UTF-8"]
    );
}

#[test]
fn all_files_are_read_in_spite_of_faults() {
    let folder = folder(&[
        ("sluice.toml", "[kafka\nbrokers = 3\n"),
        ("pipelines/a/pipeline.toml", "topics = [\n  \"t\",\n]\n[exprt]\nindex = []\n"),
        ("pipelines/b/pipeline.toml", "topics = [\"t\", \"sluice-live\"]\n"),
        ("pipelines/c/readme.md", "no pipeline here"),
    ]);
    let faults = load(folder.path(), &[]).unwrap_err();
    let all = faults.join("\n");
    for part in [
        "sluice.toml:1: syntax:",
        "pipelines/a/pipeline.toml:4: exprt: unknown key (did you mean `export`?)",
        "pipelines/b/pipeline.toml:1: topics[0]: `t` belongs to the pipeline `a` already",
        "pipelines/b/pipeline.toml:1: topics[1]: `sluice-live` is a topic that Sluice itself writes",
        "pipelines/c/pipeline.toml: pipeline: cannot be read:",
    ] {
        assert!(all.contains(part), "{part} is missing in\n{all}");
    }
}

/// A text that a variable may hold for a key of this kind, other than its default.
fn another(key: &Key) -> Option<String> {
    let text = match key.kind {
        Kind::Text if key.path.ends_with(".listen") => "127.0.0.1:1",
        Kind::Text if key.path == "log.level" => "warn",
        Kind::Text if key.path == "api.public_url" => "https://other.example",
        Kind::Text => "other",
        Kind::Texts if matches!(key.path, "stream.proxies" | "api.proxy.addresses") => "10.0.0.0/8",
        Kind::Texts if matches!(key.path, "index.nodes" | "stream.allowed_origins") => {
            "http://other:1"
        }
        Kind::Texts => "other:1",
        Kind::Bool => return Some((key.default != "true").to_string()),
        Kind::Integer { .. } => "7",
        Kind::Bytes { .. } => "5 MiB",
        Kind::Duration => "7s",
        Kind::Choice(names) | Kind::Choices(names) => names.last()?,
        Kind::Paths => "other.mmdb",
        Kind::Map if key.path == "live.spread" => "id:a=2",
        Kind::Map => "a.b=c",
        // These need a file that exists, or are no scalar.
        Kind::Path | Kind::Secret | Kind::Tables(_) => return None,
    };
    Some(text.to_owned())
}

#[test]
fn the_environment_sets_every_key() {
    // These are told apart by what they need, and have tests of their own.
    let apart = [
        "live.on",
        "kafka.sasl.mechanism",
        "kafka.sasl.username",
        "index.cloud_id",
        "index.username",
    ];
    for key in SETTINGS.iter().filter(|key| !apart.contains(&key.path)) {
        let Some(value) = another(key) else { continue };
        let name = environment_name(key);
        let folder = folder(&[("sluice.toml", ""), PIPELINE_FILE]);
        let config = load(folder.path(), &[(&name, &value)]).unwrap_or_else(|faults| {
            panic!("{name}={value}: {faults:?}");
        });
        let mut settings = config.settings;
        settings.pipelines = "pipelines".into();
        assert_ne!(
            format!("{settings:?}"),
            format!("{:?}", Settings::default()),
            "{name} changes nothing"
        );
    }
}

fn environment_name(key: &Key) -> String {
    format!("SLUICE_{}", key.path.replace('.', "_").to_uppercase())
}

#[test]
fn a_secret_is_never_shown() {
    let folder = folder(&[
        ("sluice.toml", "[index]\nusername = \"u\"\npassword = \"secret-value\"\n"),
        PIPELINE_FILE,
    ]);
    let config = load(folder.path(), &[]).unwrap();
    assert!(!format!("{config:?}").contains("secret-value"));
}

#[test]
fn the_reference_is_current_and_has_every_key() {
    let page = reference::page();
    for key in SETTINGS.iter().chain(PIPELINE) {
        assert!(page.contains(&format!("**`{}`**", key.path)), "{}", key.path);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let written = fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == page,
        "docs/configuration.md is stale: sluice reference > docs/configuration.md"
    );
}
