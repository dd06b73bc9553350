//! Asking again, the audit trail, and the records themselves.

use super::*;

#[test]
fn asking_again_applies_nothing_twice_and_gets_the_same_answer() {
    let mut state = State::default();
    let mut give = |id: &str, by: &str, command: Command, at: Millis| {
        let answer = state.apply(record(id, by, Limits::default(), command), at);
        (short(&answer), answer.at)
    };
    let made = ("c1 t1".to_owned(), 1);
    assert_eq!(give("one", "ada", generate("a", spec("A")), 1), made);
    assert_eq!(give("one", "ada", generate("a", spec("A")), 2), made);
    // Who asks again may have lost the secret; it is not made a second time.
    assert_eq!(give("one", "ada", generate("a", spec("another")), 3), made);
    // A refusal stays one, also where the command could be applied by now.
    let refused = ("token_enabled".to_owned(), 4);
    assert_eq!(give("two", "ada", new_token("c1", spec("B")), 4), refused);
    assert_eq!(give("off", "ada", set_token("c1", "t1", false), 5).0, "c1 t1");
    assert_eq!(give("two", "ada", new_token("c1", spec("B")), 6), refused);
    assert_eq!(give("three", "ada", new_token("c1", spec("B")), 7).0, "c1 t2");
    // Nobody gets another's answer, nor that of another command.
    assert_eq!(give("one", "bob", generate("a", spec("A")), 8).0, "id_in_use");
    assert_eq!(give("one", "ada", generate("b", spec("A")), 9).0, "id_in_use");
    assert_eq!(give("off", "ada", set_token("c1", "t1", true), 10).0, "id_in_use");
    assert_eq!(state.channel("c1").unwrap().tokens.len(), 2);
    assert_eq!(state.channels().count(), 1);
}

#[test]
fn an_id_is_remembered_for_as_many_commands_as_are_said() {
    let mut state = State::default();
    let limits = Limits::default();
    let first = record("first", "ada", limits, generate("a", spec("A")));
    state.apply(first.clone(), 1);
    for place in 1..COMMANDS_REMEMBERED_MAX {
        state.apply(record(&format!("i{place}"), "ada", limits, edit("c1", None, None)), 1);
    }
    assert_eq!(short(&state.recall(&first).unwrap()), "c1 t1");
    state.apply(record("last", "ada", limits, edit("c1", None, None)), 1);
    assert_eq!(state.recall(&first), None);
    assert_eq!(short(&state.apply(first, 2)), "channel_exists");
}

#[test]
fn the_audit_trail_has_who_when_what_and_what_came_of_it() {
    let mut state = State::default();
    let limits = Limits::default();
    for (at, by, command) in [
        (1, "ada", generate("a", spec("A"))),
        (2, "bob", generate("a", spec("B"))),
        (3, "bob", new_token("c1", spec("B"))),
        (4, "eve", new_token("c2", spec("B"))),
        (5, "eve", generate("", spec("B"))),
    ] {
        let record = record(&format!("i{at}"), by, limits, command);
        state.apply(record.clone(), at);
        // Asked again: that is no event of its own.
        state.apply(record, at + 10);
    }
    let lines = |entries: Vec<&std::sync::Arc<Entry>>| {
        let line = |entry: &std::sync::Arc<Entry>| {
            let result = entry.result.clone();
            let came = short(&Answer { at: entry.at, result });
            format!("{} {} {} {came}", entry.at, entry.id, entry.actor)
        };
        entries.into_iter().map(line).collect::<Vec<_>>()
    };
    let channel = lines(state.channel("c1").unwrap().audit().collect());
    // The time never goes back, whatever the broker's clock says.
    let expected = ["1 i1 ada c1 t1", "11 i2 bob channel_exists", "12 i3 bob token_enabled"];
    assert_eq!(channel, expected);
    let others = lines(state.audit().collect());
    assert_eq!(others, ["13 i4 eve no_such_channel", "14 i5 eve malformed"]);
    for place in 0..AUDIT_ENTRIES_MAX {
        state.apply(record(&format!("j{place}"), "ada", limits, edit("c1", None, None)), 20);
    }
    let mut kept = state.channel("c1").unwrap().audit();
    assert_eq!(kept.next().unwrap().id.as_str(), "j0");
    assert_eq!(kept.count(), AUDIT_ENTRIES_MAX - 1);
}

#[test]
fn a_record_is_json_with_a_version_and_no_other_is_read() {
    let command = set_token("c1", "t1", false);
    let written = record("i", "ada", Limits::default(), command).encode().unwrap();
    let text = String::from_utf8(written).unwrap();
    assert_eq!(
        text,
        "{\"v\":1,\"record\":{\"id\":\"i\",\"actor\":\"ada\",\"limits\":{\"token_overlap_max\":1,\
         \"channels_max\":10000,\"tokens_max\":10000},\"command\":{\"set_token_enabled\":\
         {\"channel\":\"c1\",\"token\":\"t1\",\"enabled\":false}}}}"
    );
    use record::NoRecord::{Foreign, Unreadable, Version};
    let with = |from: &str, to: &str| Record::decode(text.replacen(from, to, 1).as_bytes());
    assert_eq!(with("\"v\":1", "\"v\":3"), Err(Version { found: 3, known: 2 }));
    assert_eq!(with("\"v\":1", "\"v\":3,\"later\":{}"), Err(Version { found: 3, known: 2 }));
    assert_eq!(with("\"v\":1", "\"v\":0"), Err(Version { found: 0, known: 2 }));
    assert_eq!(with("\"v\":1", "\"w\":1"), Err(Foreign));
    assert_eq!(with("{", "["), Err(Foreign));
    for (from, to) in [
        ("\"id\":\"i\"", "\"id\":\"a b\""),
        ("\"id\":\"i\"", "\"id\":\"\""),
        ("\"id\":\"i\",", ""),
        ("\"actor\":\"ada\"", "\"actor\":\"a\\u0000\""),
        ("\"actor\":\"ada\"", "\"actor\":\"ada\",\"more\":1"),
        ("\"enabled\"", "\"more\":1,\"enabled\""),
        ("set_token_enabled", "set_token"),
        ("\"channels_max\":10000", "\"channels_max\":-1"),
    ] {
        assert!(matches!(with(from, to), Err(Unreadable(_))), "{from} -> {to}");
    }
    for bytes in ["", "null", "1", "\"\"", "{}", "{\"v\":null}", "{\"v\":\"1\"}", "\u{0}"] {
        assert_eq!(Record::decode(bytes.as_bytes()), Err(Foreign), "{bytes}");
    }
}

#[test]
fn the_key_and_the_administrators_token_are_made_once() {
    let key = |first: char| {
        let text = format!("{first}{}", "A".repeat(42));
        Command::SetCursorKey { key: CursorKey::try_from(text).unwrap() }
    };
    let admin = |token: &str, replace: bool| Command::SetAdminToken {
        token: AdminToken::of(token),
        replace,
    };
    let state = check(&[
        (1, key('A'), "done"),
        (2, key('B'), "cursor_key_there"),
        (3, key('A'), "cursor_key_there"),
        (4, admin("one", false), "done"),
        (5, admin("two", false), "admin_token_there"),
    ]);
    assert_eq!(state.cursor_key().unwrap().reveal(), [0; 32]);
    assert_eq!(state.admin_token(), Some(&AdminToken::of("one")));
    let state = check(&[(1, admin("one", true), "done"), (2, admin("two", true), "done")]);
    assert_eq!(state.admin_token(), Some(&AdminToken::of("two")));
    // They are about no channel, and who set them is known.
    assert_eq!(
        state.audit().map(|entry| entry.command.label()).collect::<Vec<_>>(),
        ["set_admin_token"; 2]
    );
    // Asked again by whoever has lost what was made.
    let mut state = State::default();
    let limits = Limits::default();
    for token in ["one", "two"] {
        let answer = state.apply(record("same", "ada", limits, admin(token, true)), 1);
        assert_eq!(short(&answer), "done");
    }
    assert_eq!(state.admin_token(), Some(&AdminToken::of("one")));
}

#[test]
fn a_record_has_the_version_that_its_command_came_with() {
    let written = |command: Command| {
        let bytes = record("i", "ada", Limits::default(), command).encode().unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let of_one = written(set_channel("c1", true));
    let of_two = written(Command::SetAdminToken { token: AdminToken::of("one"), replace: false });
    assert!(of_one.starts_with("{\"v\":1,"), "{of_one}");
    assert!(of_two.starts_with("{\"v\":2,"), "{of_two}");
    // What is newer than its version is read by no build: an older one could not have read it.
    let early = Record::decode(of_two.replacen("\"v\":2", "\"v\":1", 1).as_bytes());
    assert!(matches!(early, Err(record::NoRecord::Unreadable(_))), "{early:?}");
    let late = Record::decode(of_one.replacen("\"v\":1", "\"v\":2", 1).as_bytes());
    assert!(late.is_ok(), "{late:?}");
}

#[test]
fn no_secret_of_the_administrators_is_shown_by_debug_nor_stands_in_the_topic() {
    let token = Token::generate().unwrap();
    let (secret, session) = (token.reveal(), session_secret(token.reveal()));
    let key = CursorKey::generate().unwrap();
    let written_key = String::from(key.clone());
    let admin = Command::SetAdminToken { token: AdminToken::of(secret), replace: false };
    let record = record("i", "ada", Limits::default(), admin);
    let mut state = State::default();
    state.apply(record.clone(), 1);
    let set = Command::SetCursorKey { key: key.clone() };
    state.apply(super::record("j", "ada", Limits::default(), set), 2);
    let topic = String::from_utf8(record.encode().unwrap()).unwrap();
    for shown in [topic, format!("{record:?}"), format!("{state:?} {key:?}")] {
        for hidden in [secret, &session, &written_key] {
            assert!(!shown.contains(hidden.get(5..20).unwrap()), "{shown}");
        }
    }
    assert_ne!(session, secret);
}
