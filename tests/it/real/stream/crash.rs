//! A stream server that is killed while administrators are at work: what was answered was done,
//! once, and whoever listened goes on elsewhere.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::listening::Listener;
use super::{AREAS, Channel, Replica, Site, TRANSPORTS, asked};

const ADMINISTRATORS: usize = 8;
/// So many changes are answered before the kill.
const CHANGES_MIN: usize = 100;
/// So many events everyone has heard by then.
const EVENTS_MIN: usize = 200;
const EVENTS_AT_A_TIME: u32 = 100;

/// What an administrator has asked for.
struct Change {
    /// Asked again under it, nothing is made twice.
    id: String,
    method: &'static str,
    path: String,
    body: Value,
    /// `None` where the server was killed before it had answered.
    answer: Option<Value>,
}

impl Change {
    async fn ask(&self, api: SocketAddr) -> Option<Value> {
        let header = format!("Idempotency-Key: {}\r\n", self.id);
        let (status, answer) = asked(api, &header, (self.method, &self.path), &self.body).await?;
        assert!(matches!(status, 200 | 201), "{} {}: {answer}", self.method, self.path);
        Some(answer)
    }
}

/// The changes of one channel, in order: it is made, its token is disabled, it gets another one
/// and a name.
struct Course(Vec<Change>);

impl Course {
    fn next(&self, name: &str) -> Option<Change> {
        let path = || format!("/channels/{}", self.channel());
        let (what, method, path, body) = match self.0.len() {
            0 => ("made", "POST", "/channels".to_owned(), json!({ "area": format!("id:{name}") })),
            1 => {
                let token = self.made(0, "token").unwrap();
                let path = format!("{}/tokens/{token}", path());
                ("off", "PATCH", path, json!({ "enabled": false }))
            }
            2 => ("again", "POST", format!("{}/tokens", path()), json!({})),
            3 => ("named", "PATCH", path(), json!({ "name": name })),
            _ => return None,
        };
        Some(Change { id: format!("{name}-{what}"), method, path, body, answer: None })
    }

    /// What the answer to a change says that it has made.
    fn made(&self, change: usize, what: &str) -> Option<&str> {
        self.0[change].answer.as_ref()?[what]["id"].as_str()
    }

    fn channel(&self) -> &str {
        self.made(0, "channel").unwrap()
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|change| change.id.as_str())
    }
}

/// Makes channels, one after the other, until there is no answer.
async fn administrate(api: SocketAddr, who: usize, answered: Arc<AtomicUsize>) -> Vec<Course> {
    let mut courses = Vec::new();
    loop {
        let name = format!("{who}-{}", courses.len());
        courses.push(Course(Vec::new()));
        let course = courses.last_mut().unwrap();
        while let Some(mut change) = course.next(&name) {
            change.answer = change.ask(api).await;
            let is_over = change.answer.is_none();
            course.0.push(change);
            if is_over {
                return courses;
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The commands of a channel that were applied, as a replica tells them; each had its effect once.
fn applied(site: &Site, replica: &Replica, channel: &str) -> Vec<String> {
    let path = format!("/channels/{channel}/audit");
    let (status, trail) = site.ask(replica, ("GET", &path), &json!({}));
    assert_eq!(status, 200, "{trail}");
    let entries = trail["audit"].as_array().unwrap().iter().rev();
    let id = |entry: &Value| {
        assert_eq!(entry["refused"], Value::Null, "{entry}");
        entry["id"].as_str().unwrap().to_owned()
    };
    entries.map(id).collect()
}

/// The channels that a replica knows, without what is of the moment.
fn channels(site: &Site, replica: &Replica) -> Vec<Value> {
    let (status, mut listed) = site.ask(replica, ("GET", "/channels?limit=1000"), &json!({}));
    assert_eq!((status, &listed["next"]), (200, &Value::Null));
    let channels = listed["channels"].as_array_mut().unwrap();
    for channel in channels.iter_mut() {
        channel["connections"].take();
        channel["tokens"][0]["last_used"].take();
    }
    std::mem::take(channels)
}

/// After the new start: every change that was answered is there, and none is made twice when it
/// is asked for again.
fn check(site: &Site, replica: &Replica, courses: &mut [Course]) {
    let answered = |change: &&Change| change.answer.is_some();
    for course in courses.iter().filter(|course| course.0[0].answer.is_some()) {
        let found = applied(site, replica, course.channel());
        let wanted: Vec<_> = course.0.iter().filter(answered).map(|change| &change.id).collect();
        assert!(found.iter().take(wanted.len()).eq(wanted.iter().copied()), "{found:?} {wanted:?}");
        assert!(found.len() <= course.0.len(), "{found:?}");
    }
    for course in courses.iter_mut() {
        for change in &mut course.0 {
            let again = site.runtime.block_on(change.ask(replica.api)).expect("a whole answer");
            let Some(before) = change.answer.replace(again) else { continue };
            let after = change.answer.as_ref().unwrap();
            let ids = |answer: &Value| [&answer["id"], &answer["channel"]["id"]].map(Value::clone);
            assert_eq!(ids(&before), ids(after));
            assert_eq!(before["token"]["id"], after["token"]["id"]);
            // It was told once.
            assert_eq!(after["token"]["secret"], Value::Null, "{}", change.id);
        }
    }
    let listed = channels(site, replica);
    // Beside the one that is listened to.
    assert_eq!(listed.len(), courses.len() + 1);
    for course in courses.iter() {
        let found = applied(site, replica, course.channel());
        assert!(found.iter().map(String::as_str).eq(course.ids()), "{found:?}");
        let mut of = listed.iter().filter(|channel| channel["id"] == course.channel());
        let (channel, twice) = (of.next().unwrap(), of.next());
        assert_eq!(twice, None);
        let tokens = channel["tokens"].as_array().unwrap().iter();
        let tokens: Vec<_> = tokens.map(|token| token["enabled"].as_bool().unwrap()).collect();
        let name = course.0[0].id.trim_end_matches("-made");
        let (expected, name): (&[bool], _) = match course.0.len() {
            1 => (&[true], format!("Channel for id:{name}")),
            2 => (&[false], format!("Channel for id:{name}")),
            3 => (&[false, true], format!("Channel for id:{name}")),
            _ => (&[false, true], name.to_owned()),
        };
        assert_eq!((tokens.as_slice(), &channel["name"]), (expected, &json!(name)));
    }
}

/// Someone who listens at a replica over each transport, from a place of their own.
fn listeners(
    site: &Site,
    replica: &Replica,
    channel: &Channel,
    queries: [String; 3],
) -> Vec<Listener> {
    let each = TRANSPORTS.iter().zip(queries);
    each.map(|(transport, query)| Listener::begin(site, replica, transport, channel, &query))
        .collect()
}

/// Produces events behind the first ones until something holds; answers how many there are.
fn produce_until(site: &Site, first: u32, what: &str, holds: impl Fn() -> bool) -> u32 {
    let produced = Cell::new(first);
    site.world.until(what, |_| {
        let next = produced.get() + EVENTS_AT_A_TIME;
        site.produce(produced.replace(next)..next);
        holds().then_some(())
    });
    produced.get()
}

#[test]
fn a_kill_among_changes_loses_and_doubles_none_and_listeners_go_on_elsewhere() {
    let Some(mut site) = Site::new("stream-crash", 1, "") else { return };
    let steady = site.start("steady");
    site.holds(&steady, 1);
    // The other one does not ingest: no event comes twice for that.
    site.world.set("SLUICE_ROLES", "stream");
    let victim = site.start("victim");
    let channel = site.channel(&steady, AREAS[0]);
    let before = listeners(&site, &victim, &channel, <[String; 3]>::default());
    let produced = produce_until(&site, 0, "everyone has heard some events", || {
        before.iter().all(|listener| listener.has(EVENTS_MIN))
    });
    // Not before, so that they do not ask for more than is remembered.
    let answered = Arc::new(AtomicUsize::new(0));
    let at_work = (0..ADMINISTRATORS)
        .map(|who| site.runtime.spawn(administrate(victim.api, who, Arc::clone(&answered))));
    let at_work: Vec<_> = at_work.collect();
    let produced = produce_until(&site, produced, "administrators are at work", || {
        answered.load(Ordering::Relaxed) >= CHANGES_MIN
    });
    victim.running.kill();

    let mut courses = Vec::new();
    for one in at_work {
        courses.extend(site.runtime.block_on(one).unwrap());
    }
    site.world.until("everyone is cut off", |_| {
        before.iter().all(|listener| listener.heard().has_ended).then_some(())
    });
    site.produce(produced..produced + EVENTS_AT_A_TIME);
    let all = site.of_area(0, 0..produced + EVENTS_AT_A_TIME);
    let last = |listener: &Listener| listener.heard().events.last().unwrap().1.clone();
    let queries = [&before[0], &before[1], &before[2]].map(|one| format!("cursor={}", last(one)));
    let after = listeners(&site, &steady, &channel, queries);
    for (before, after) in before.iter().zip(&after) {
        let heard = before.heard().numbers();
        site.world
            .until("everything is heard", |_| after.has(all.len() - heard.len()).then_some(()));
        assert_eq!([heard, after.heard().numbers()].concat(), all);
    }

    let again = site.start("victim");
    check(&site, &again, &mut courses);
    let known = channels(&site, &again);
    site.world.until("the other replica knows the same", |_| {
        (channels(&site, &steady) == known).then_some(())
    });
    for replica in [steady, again] {
        site.world.ended(replica.running);
    }
}
