//! The command line: with which exit code a command ends, and what it says of wrong arguments.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A sound configuration of servers that are not there.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("sluice.toml", "kafka.brokers = [\"127.0.0.1:1\"]\napi.listen = \"127.0.0.1:2\"\n");
    write("pipelines/a/pipeline.toml", "topics = [\"t\"]\n");
    write(
        "off/sluice.toml",
        "roles = [\"ingest\"]\nlive.on = false\npipelines = \"../pipelines\"\n",
    );
    write("two/sluice.toml", "");
    write("two/pipelines/a/pipeline.toml", "topics = [\"t\"]\n");
    write("two/pipelines/b/pipeline.toml", "topics = [\"u\"]\n");
    write("ca/sluice.toml", "pipelines = \"../pipelines\"\nindex.ca_file = \"../token\"\n");
    write("token", "slc_x\n");
    write("empty", "");
    write("words", "two words\n");
    write("control", "a\u{1}b\n");
    write("bad.json", "{\n");
    write("good.json", "{\"status_code\":\"200\"}\n");
    folder
}

/// Checks the exit code and what standard error holds.
fn check(folder: &Path, arguments: &[&str], code: i32, says: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .env_clear()
        .env("SLUICE_API_TOKEN", "t")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    // Words stand in lines of their own where there are many.
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(says), "{arguments:?}: {told}");
    for library in ["premature end", "invalid characters", "relative URL", "invalid digit"] {
        assert!(!told.contains(library), "{arguments:?}: {told}");
    }
}

#[test]
fn wrong_arguments_end_with_2() {
    let folder = folder();
    let check = |line: &str, says: &str| {
        check(folder.path(), &line.split(' ').collect::<Vec<_>>(), 2, says);
    };
    check("tail c1 --token-file nowhere", "--token-file nowhere: No such file");
    check("tail c1 --token-file empty", "the access token is empty");
    check("tail c1", "no access token");
    check("tail c/1 --token-file token", "a channel's name has only letters");
    check("tail ftp://x --token-file token", "a stream's URL begins with");
    check("tail c1 --token-file token --ca-file nowhere", "nowhere");
    check("tail c1 --token-file token --ca-file empty", "empty holds no certificate");
    check("tail c1 --token-file control", "characters that no token has");
    check("tail c1 --token-file token --state words", "--state words holds no cursor");
    check("tail c1 --token-file token --state pipelines", "--state pipelines: ");
    let since = "a time is as in `2026-01-15T10:00:00Z`";
    check("tail c1 --token-file token --since soon", "'soon' for '--since");
    check("tail c1 --token-file token --since 2026-01-15", since);
    check("tail c1 --token-file token --since 15", since);
    check("tail c1 --token-file token --since 99999d", "--since is before 1970");
    check("tail c1 --token-file token --sample 0", "'0' for '--sample");
    check("try --timestamp yesterday", "a time is as in 2016-09-29T22:17:43Z, or milliseconds");
    check("try --pipeline b", "no pipeline `b`; there are: a");
    check("try nowhere.json", "nowhere.json: No such file");
    check("--config two/sluice.toml try good.json", "--pipeline takes one of a, b");
    check("--config off/sluice.toml try --output live", "the live topic is off: live.on");
    check("traffic nowhere.json", "nowhere.json: No such file");
    check("geo-demo out --csv nowhere", "--csv nowhere: No such file");
    check("geo-demo out --csv token", "--csv token: the first line must be");
    check("channels create id:a --expires soon", "a time is as in 2027-01-31T00:00:00Z");
    check("channels create id:a --connections 0", "'0' for '--connections");
    check("channels create id:a --id a/b", "an id is 1 to 60 letters, digits, `-` or `_`");
    check("channels edit c1", "nothing to change");
    check("channels list --api sluice.example", "is no URL as in `https://sluice.example.com`");
    check("channels list --api mailto:a@b", "is no URL");
    // What has no change has no id of one.
    check("channels list --id x", "unexpected argument '--id'");
    check("channels show c1 --id x", "unexpected argument '--id'");
    check("tokens list c1 --id x", "unexpected argument '--id'");
    check("--config nowhere.toml check", "nowhere.toml: configuration: cannot be read");
    check("--config ca/sluice.toml setup", "index.ca_file: ");
    check("nonsense", "unrecognized subcommand");
}

#[test]
fn what_fails_ends_with_1() {
    let folder = folder();
    let check = |line: &str, code: i32, says: &str| {
        check(folder.path(), &line.split(' ').collect::<Vec<_>>(), code, says);
    };
    check("channels list", 1, "refused");
    check("channels create id:a --id mine", 1, "--id mine");
    check("try bad.json", 1, "");
    check("geo-demo nowhere/out", 1, "nowhere/out");
    check("try good.json", 0, "");
    check("geo-demo out", 0, "");
}

#[test]
fn outside_of_its_folder_the_option_is_named() {
    let folder = TempDir::new().unwrap();
    let says = "there is no sluice.toml here either: name one with --config or SLUICE_CONFIG";
    for line in [&["check"][..], &["try"], &["tail", "c1"]] {
        check(folder.path(), line, 2, says);
    }
}
