//! Geo databases as files: taken, refused and replaced while look-ups go on.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sluice::geo::{Change, Current, Store, demo};
use sluice::prepare::GeoOutcome;
use sluice::prepare::geo::Cache;

/// One city for the whole of 192.0.2.0/24, and 500 rows beside it so that damage has room.
fn city(name: &str) -> Vec<u8> {
    let mut csv = demo::DEMO_CSV.lines().next().unwrap().to_owned();
    csv.push_str(&format!("\n192.0.2.0/24,DE,Germany,EU,,,{name},,,,,\n"));
    for row in 0..250 {
        csv.push_str(&format!("198.18.{row}.0/24,FR,France,EU,,,{name} {row},,1.5,2.5,,\n"));
    }
    demo::nested(&csv).unwrap()
}

struct Folder {
    files: tempfile::TempDir,
    work: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { files: tempfile::tempdir().unwrap(), work: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// As a careful updater does it: written beside, then renamed.
    fn replace(&self, name: &str, bytes: &[u8]) {
        let new = self.write("new", bytes);
        fs::rename(new, self.path(name)).unwrap();
    }

    fn open(&self, names: &[&str]) -> (Store, Vec<Change>) {
        let paths: Vec<PathBuf> = names.iter().map(|name| self.path(name)).collect();
        Store::open(&paths, self.work.path())
    }

    /// A copy that has no name leaves nothing behind, whatever becomes of the process.
    fn left_behind(&self) -> usize {
        fs::read_dir(self.work.path()).unwrap().count()
    }
}

/// The city of an address, or the outcome.
fn ask(current: &Current, cache: &mut Cache, address: &str) -> String {
    let ip: IpAddr = address.parse().unwrap();
    let databases = current.load();
    let (outcome, fragment) = databases.locate(ip, cache);
    let Some(fragment) = fragment else { return outcome.label().to_owned() };
    assert_eq!(outcome, GeoOutcome::Hit);
    let object = format!("{{{}}}", std::str::from_utf8(&fragment.members()[1..]).unwrap());
    let object: serde_json::Value = serde_json::from_str(&object).unwrap();
    object["city_name"].as_str().unwrap().to_owned()
}

fn is_taken(changes: &[Change]) -> bool {
    matches!(changes, [Change::Taken { .. }])
}

fn refusal(changes: &[Change], is_kept: bool) -> String {
    let [Change::Refused { reason, kept, .. }] = changes else { panic!("{changes:?}") };
    assert_eq!(*kept, is_kept);
    assert!(!reason.is_empty() && !reason.contains('\n'), "{reason:?}");
    reason.clone()
}

#[test]
fn a_new_file_is_taken_however_it_is_put_there() {
    let folder = Folder::new();
    folder.write("city", &city("A"));
    let (mut store, changes) = folder.open(&["city"]);
    assert!(is_taken(&changes));
    let (current, mut cache) = (store.current(), Cache::new());
    let mut expect = |store: &mut Store, city: &str| {
        assert!(is_taken(&store.reload()), "{city}");
        assert_eq!(ask(&current, &mut cache, "192.0.2.1"), city);
        assert_eq!(store.reload(), []);
    };
    folder.replace("city", &city("B"));
    expect(&mut store, "B");
    folder.write("city", &city("Another"));
    expect(&mut store, "Another");
    // A link that is switched, as Kubernetes does it with mounted files.
    folder.write("one", &city("One"));
    folder.write("two", &city("Two"));
    fs::remove_file(folder.path("city")).unwrap();
    std::os::unix::fs::symlink("one", folder.path("city")).unwrap();
    expect(&mut store, "One");
    std::os::unix::fs::symlink("two", folder.path("link")).unwrap();
    fs::rename(folder.path("link"), folder.path("city")).unwrap();
    expect(&mut store, "Two");
    assert_eq!(folder.left_behind(), 0);
}

#[test]
fn a_damaged_file_is_refused_and_the_old_one_stays() {
    let good = city("New");
    let mut flipped = good.clone();
    let data = good.len() / 2;
    flipped[data..data + 64].iter_mut().for_each(|byte| *byte ^= 0xff);
    for (what, bytes) in [
        ("flipped", flipped),
        ("half written", good[..good.len() / 2].to_vec()),
        ("without its end", good[..good.len() - 1].to_vec()),
        ("empty", Vec::new()),
        ("text", b"404 not found\n".to_vec()),
    ] {
        let folder = Folder::new();
        folder.write("city", &city("Old"));
        let (mut store, _) = folder.open(&["city"]);
        let (current, mut cache) = (store.current(), Cache::new());
        assert_eq!(ask(&current, &mut cache, "192.0.2.1"), "Old");
        let before = current.load_full();

        folder.replace("city", &bytes);
        refusal(&store.reload(), true);
        assert_eq!(store.reload(), [], "{what}: said once");
        assert_eq!(ask(&current, &mut cache, "192.0.2.1"), "Old", "{what}");
        assert_eq!(current.load().generation(), before.generation(), "{what}");

        folder.write("city", &good);
        assert!(is_taken(&store.reload()), "{what}");
        assert_eq!(ask(&current, &mut cache, "192.0.2.1"), "New", "{what}");
    }
}

/// A writer that is still at work: every state of the file is refused until the last byte is there.
#[test]
fn a_file_that_grows_is_taken_when_it_is_whole() {
    let folder = Folder::new();
    folder.write("city", &city("Old"));
    let (mut store, _) = folder.open(&["city"]);
    let new = city("New");
    let mut file = fs::File::create(folder.path("city")).unwrap();
    for part in new[..new.len() - 1].chunks(new.len() / 3) {
        file.write_all(part).unwrap();
        refusal(&store.reload(), true);
    }
    file.write_all(&new[new.len() - 1..]).unwrap();
    assert!(is_taken(&store.reload()));
    assert_eq!(ask(&store.current(), &mut Cache::new(), "192.0.2.1"), "New");
}

/// What is mapped is not the file: to overwrite or cut it does not reach the map.
#[test]
fn the_map_outlives_the_file() {
    let folder = Folder::new();
    let path = folder.write("city", &city("Old"));
    let (mut store, _) = folder.open(&["city"]);
    let (current, mut cache) = (store.current(), Cache::new());
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(ask(&current, &mut cache, "192.0.2.1"), "Old");
    refusal(&store.reload(), true);
    fs::remove_file(&path).unwrap();
    assert_eq!(store.reload(), [Change::Missing { path, kept: true }]);
    assert_eq!(store.reload(), []);
    assert_eq!(ask(&current, &mut cache, "198.18.7.1"), "Old 7");
}

#[test]
fn without_a_database_it_runs_and_says_so_once() {
    let folder = Folder::new();
    let (mut store, changes) = folder.open(&[]);
    assert_eq!(changes, []);
    assert_eq!(store.reload(), []);
    assert_eq!(ask(&store.current(), &mut Cache::new(), "192.0.2.1"), "no_database");

    let (mut store, changes) = folder.open(&["city"]);
    assert_eq!(changes, [Change::Missing { path: folder.path("city"), kept: false }]);
    assert_eq!(store.reload(), []);
    let (current, mut cache) = (store.current(), Cache::new());
    assert_eq!(ask(&current, &mut cache, "192.0.2.1"), "no_database");
    folder.write("city", &city("Late"));
    assert!(is_taken(&store.reload()));
    assert_eq!(ask(&current, &mut cache, "192.0.2.1"), "Late");
}

#[test]
fn several_files_change_each_for_itself() {
    let folder = Folder::new();
    folder.write("v4", &demo::flat(demo::DEMO_CSV, false).unwrap());
    folder.write("v6", &demo::flat(demo::DEMO_CSV, true).unwrap());
    let (mut store, changes) = folder.open(&["v4", "v6"]);
    assert_eq!(changes.len(), 2);
    let (current, mut cache) = (store.current(), Cache::new());
    assert_eq!(ask(&current, &mut cache, "9.20.152.215"), "Durham");
    assert_eq!(ask(&current, &mut cache, "2001:db8:3::1"), "London");
    folder.replace("v4", &city("B"));
    folder.replace("v6", b"damaged");
    let changes = store.reload();
    assert!(is_taken(&changes[..1]));
    refusal(&changes[1..], true);
    assert_eq!(ask(&current, &mut cache, "192.0.2.1"), "B");
    assert_eq!(ask(&current, &mut cache, "2001:db8:3::1"), "London");
}

#[test]
fn what_is_no_file_or_cannot_be_copied() {
    let folder = Folder::new();
    fs::create_dir(folder.path("folder")).unwrap();
    assert_eq!(refusal(&folder.open(&["folder"]).1, false), "not a file");
    let city = folder.write("city", &city("A"));
    let (mut store, changes) = Store::open(&[city], Path::new("/nowhere/at/all"));
    assert!(refusal(&changes, false).starts_with("cannot be copied to /nowhere/at/all: "));
    assert_eq!(store.reload(), [], "said once, though it is tried again");
}
