//! The rules, each as a script: at a time, a command, and what it comes to.

use proptest::prelude::*;

use super::*;
use crate::clock::Millis;
use crate::stream::ids::{Actor, ChannelId, CommandId, TokenId};

mod properties;
mod records;

/// `made` or the refusal's label.
type Step<'a> = (Millis, Command, &'a str);

fn actor(name: &str) -> Actor {
    Actor::try_from(name.to_owned()).unwrap()
}

fn channel_id(id: &str) -> ChannelId {
    ChannelId::try_from(id.to_owned()).unwrap()
}

fn token_id(id: &str) -> TokenId {
    TokenId::try_from(id.to_owned()).unwrap()
}

fn spec(secret: &str) -> TokenSpec {
    let last_four = "wxyz".to_owned();
    TokenSpec { digest: Digest::of(secret), last_four, options: TokenOptions::default() }
}

fn until(secret: &str, expires: Millis) -> TokenSpec {
    let options = TokenOptions { expires: Some(expires), ..TokenOptions::default() };
    TokenSpec { options, ..spec(secret) }
}

fn generate(area: &str, token: TokenSpec) -> Command {
    Command::Generate { area: area.to_owned(), token }
}

fn new_token(channel: &str, token: TokenSpec) -> Command {
    Command::NewToken { channel: channel_id(channel), token }
}

fn set_token(channel: &str, token: &str, enabled: bool) -> Command {
    Command::SetTokenEnabled { channel: channel_id(channel), token: token_id(token), enabled }
}

fn set_channel(channel: &str, enabled: bool) -> Command {
    Command::SetChannelEnabled { channel: channel_id(channel), enabled }
}

fn edit(channel: &str, name: Option<&str>, description: Option<&str>) -> Command {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let channel = channel_id(channel);
    Command::EditChannel { channel, name: text(name), description: text(description) }
}

fn record(id: &str, by: &str, limits: Limits, command: Command) -> Record {
    let id = CommandId::try_from(id.to_owned()).unwrap();
    Record { id, actor: actor(by), limits, command }
}

fn short(answer: &Answer) -> String {
    match &answer.result {
        Ok(Made { channel: Some(channel), token: Some(token) }) => format!("{channel} {token}"),
        Ok(Made { channel: Some(channel), token: None }) => channel.to_string(),
        Ok(Made { channel: None, .. }) => "done".to_owned(),
        Err(refusal) => refusal.label().to_owned(),
    }
}

/// Gives the commands, and answers what they came to. What is refused must change nothing.
fn check_with(limits: Limits, steps: &[Step<'_>]) -> State {
    let mut state = State::default();
    for (place, (at, command, expected)) in steps.iter().enumerate() {
        let before = shape(&state);
        let id = format!("command-{place}");
        let answer = state.apply(record(&id, "ada", limits, command.clone()), *at);
        assert_eq!(short(&answer), *expected, "step {place}: {command:?}");
        if answer.result.is_err() {
            assert_eq!(shape(&state), before, "step {place}: {command:?}");
        }
    }
    state
}

fn check(steps: &[Step<'_>]) -> State {
    check_with(Limits::default(), steps)
}

/// Everything but the audit trail.
fn shape(state: &State) -> String {
    let channels =
        state.channels().map(|channel| {
            let Channel {
                id,
                area,
                name,
                description,
                is_enabled,
                created,
                updated,
                tokens,
                audit: _,
            } = channel.as_ref();
            format!(
                "{id} {area} {name} {description} {is_enabled} {created} {updated} {:?}\n",
                tokens.iter().map(|token| (token, String::from(token.digest))).collect::<Vec<_>>()
            )
        });
    channels.collect()
}

fn opens(state: &State, secret: &str, now: Millis) -> Option<String> {
    let (channel, token) = state.admit(&Digest::of(secret), now)?;
    Some(format!("{} {}", channel.id, token.id))
}

#[test]
fn c1_an_area_has_at_most_one_channel() {
    check(&[
        (1, generate("a", spec("A")), "c1 t1"),
        (1, generate("a", spec("B")), "channel_exists"),
        (2, generate("b", spec("B")), "c2 t2"),
        (3, set_channel("c1", false), "c1"),
        (4, generate("a", spec("C")), "channel_exists"),
        (5, generate("", spec("C")), "malformed"),
        (5, generate("a\nb", spec("C")), "malformed"),
        // Areas are the same only when every byte is.
        (6, generate("A", spec("C")), "c3 t3"),
    ]);
    let limits = Limits { channels_max: 1, ..Limits::default() };
    check_with(
        limits,
        &[
            (1, generate("a", spec("A")), "c1 t1"),
            (2, generate("b", spec("B")), "channels_full"),
            (3, generate("a", spec("B")), "channel_exists"),
        ],
    );
}

#[test]
fn c2_and_t5_no_command_deletes_anything() {
    for name in ["delete_channel", "remove_channel", "delete_token", "delete"] {
        let json = format!(
            r#"{{"v":1,"record":{{"id":"i","actor":"a",
            "limits":{{"token_overlap_max":1,"channels_max":1,"tokens_max":1}},
            "command":{{"{name}":{{"channel":"c1","token":"t1"}}}}}}}}"#
        );
        assert!(
            matches!(Record::decode(json.as_bytes()), Err(record::NoRecord::Unreadable(_))),
            "{name}"
        );
    }
}

#[test]
fn c3_and_t1_generate_makes_a_channel_and_its_first_token_in_one_step() {
    let state = check(&[(7, generate("a", spec("A")), "c1 t1")]);
    let channel = state.channel_of("a").unwrap();
    assert_eq!((channel.created, channel.updated, channel.is_enabled), (7, 7, true));
    let [token] = &channel.tokens[..] else { panic!("{channel:?}") };
    assert_eq!((token.created, token.updated, token.is_enabled), (7, 7, true));
    assert_eq!(opens(&state, "A", 7).as_deref(), Some("c1 t1"));
}

#[test]
fn c4_a_channel_is_named_after_its_area() {
    let state = check(&[(1, generate("id:4711", spec("A")), "c1 t1")]);
    assert_eq!(state.channel("c1").unwrap().name, "Channel for id:4711");
}

#[test]
fn c5_name_and_description_can_be_changed() {
    let state = check(&[
        (1, generate("a", spec("A")), "c1 t1"),
        (2, edit("c1", Some("Über alles"), None), "c1"),
        (3, edit("c1", None, Some("line\nline")), "c1"),
        (4, edit("c1", None, None), "c1"),
        (4, edit("c1", Some("Über alles"), Some("line\nline")), "c1"),
        (5, edit("c1", Some(""), None), "malformed"),
        (5, edit("c1", Some("a\tb"), None), "malformed"),
        (5, edit("c1", Some(&"x".repeat(2049)), None), "malformed"),
        (5, edit("c1", None, Some(&"x".repeat(8193))), "malformed"),
        (5, edit("c2", Some("b"), None), "no_such_channel"),
    ]);
    let channel = state.channel("c1").unwrap();
    let found = (channel.name.as_str(), channel.description.as_str(), channel.updated);
    assert_eq!(found, ("Über alles", "line\nline", 3));
}

#[test]
fn c6_a_channel_can_be_disabled_and_enabled() {
    let mut state = check(&[
        (1, generate("a", spec("A")), "c1 t1"),
        (2, set_channel("c1", false), "c1"),
        (3, set_channel("c1", false), "c1"),
        (4, set_channel("c9", false), "no_such_channel"),
    ]);
    assert_eq!(state.channel("c1").unwrap().updated, 2);
    assert_eq!(opens(&state, "A", 5), None);
    assert_eq!(state.standing("c1", "t1", 5), Standing::ChannelDisabled);
    let answer = state.apply(record("on", "ada", Limits::default(), set_channel("c1", true)), 6);
    assert_eq!(short(&answer), "c1");
    assert_eq!(opens(&state, "A", 7).as_deref(), Some("c1 t1"));
    assert_eq!(state.standing("c1", "t1", 7), Standing::Good);
}

#[test]
fn t2_and_t3_as_many_tokens_are_enabled_as_are_allowed() {
    check(&[
        (1, generate("a", spec("A")), "c1 t1"),
        (2, generate("b", spec("Z")), "c2 t2"),
        (3, new_token("c1", spec("B")), "token_enabled"),
        (4, set_token("c1", "t1", false), "c1 t1"),
        (5, new_token("c1", spec("B")), "c1 t3"),
        (5, new_token("c1", spec("C")), "token_enabled"),
        (6, set_token("c1", "t1", true), "token_enabled"),
        (7, set_token("c1", "t3", true), "c1 t3"),
        (8, set_token("c1", "t3", false), "c1 t3"),
        (9, set_token("c1", "t1", true), "c1 t1"),
        (10, new_token("c3", spec("C")), "no_such_channel"),
        // Whatever is known is known for ever, on every channel.
        (11, set_token("c2", "t2", false), "c2 t2"),
        (12, new_token("c2", spec("A")), "token_known"),
        (13, new_token("c2", spec("Z")), "token_known"),
        (14, generate("c", spec("B")), "token_known"),
    ]);
    let two = Limits { token_overlap_max: 2, tokens_max: 3, ..Limits::default() };
    check_with(
        two,
        &[
            (1, generate("a", spec("A")), "c1 t1"),
            (2, new_token("c1", spec("B")), "c1 t2"),
            (3, new_token("c1", spec("C")), "token_enabled"),
            (4, set_token("c1", "t1", false), "c1 t1"),
            (5, new_token("c1", spec("C")), "c1 t3"),
            (6, set_token("c1", "t2", false), "c1 t2"),
            (7, new_token("c1", spec("D")), "tokens_full"),
        ],
    );
    // A limit of none would leave no way on at all.
    let none = Limits { token_overlap_max: 0, ..Limits::default() };
    check_with(
        none,
        &[
            (1, generate("a", spec("A")), "c1 t1"),
            (2, set_token("c1", "t1", false), "c1 t1"),
            (3, set_token("c1", "t1", true), "c1 t1"),
        ],
    );
}

#[test]
fn t2_a_lowered_limit_disables_nothing_and_lets_nothing_more_in() {
    let mut state = State::default();
    let of = |max: u32| Limits { token_overlap_max: max, ..Limits::default() };
    let steps = [
        (2, generate("a", spec("A")), "c1 t1"),
        (2, new_token("c1", spec("B")), "c1 t2"),
        (1, set_token("c1", "t2", true), "c1 t2"),
        (1, new_token("c1", spec("C")), "token_enabled"),
        (1, set_token("c1", "t2", false), "c1 t2"),
        (1, set_token("c1", "t2", true), "token_enabled"),
    ];
    for (place, (max, command, expected)) in steps.into_iter().enumerate() {
        let answer = state.apply(record(&format!("i{place}"), "ada", of(max), command), 1);
        assert_eq!(short(&answer), expected, "step {place}");
    }
}

#[test]
fn t4_tokens_are_enabled_and_disabled() {
    let state = check(&[
        (1, generate("a", spec("A")), "c1 t1"),
        (2, generate("b", spec("B")), "c2 t2"),
        (3, set_token("c1", "t1", false), "c1 t1"),
        (4, set_token("c1", "t1", false), "c1 t1"),
        (5, set_token("c1", "t2", false), "no_such_token"),
        (5, set_token("c1", "t3", true), "no_such_token"),
        (5, set_token("c3", "t1", true), "no_such_channel"),
    ]);
    assert_eq!(state.channel("c1").unwrap().token("t1").unwrap().updated, 3);
    assert_eq!(state.standing("c1", "t1", 5), Standing::TokenDisabled);
    assert_eq!(state.standing("c2", "t2", 5), Standing::Good);
    for (channel, token) in [("c1", "t2"), ("c3", "t1"), ("c1", "t9")] {
        assert_eq!(state.standing(channel, token, 5), Standing::Unknown);
    }
}

#[test]
fn t6_a_token_is_256_bits_that_nothing_shows_but_reveal() {
    let (token, other) = (Token::generate().unwrap(), Token::generate().unwrap());
    let secret = token.reveal().to_owned();
    assert_eq!((secret.len(), secret.starts_with("slc_")), (47, true));
    assert_ne!(secret, other.reveal());
    assert!(secret.ends_with(&token.last_four()));
    let spec = TokenSpec::of(&token, TokenOptions::default());
    let record = record("i", "ada", Limits::default(), generate("a", spec));
    let mut state = State::default();
    state.apply(record.clone(), 1);
    let shown = [
        format!("{token} {token:?} {:?}", token.digest()),
        format!("{record:?}"),
        String::from_utf8(record.encode().unwrap()).unwrap(),
        format!("{state:?}"),
    ];
    // Not even as much as half of it, from either end.
    let (front, back) = (secret.get(4..14).unwrap(), secret.get(37..).unwrap());
    for text in shown {
        assert!(!text.contains(front) && !text.contains(back), "{text}");
    }
    assert_eq!(opens(&state, &secret, 1).as_deref(), Some("c1 t1"));
}

#[test]
fn t6_unknown_wrong_disabled_and_expired_tokens_get_one_answer() {
    let state = check(&[
        (1, generate("a", until("expires", 100)), "c1 t1"),
        (2, generate("b", spec("disabled")), "c2 t2"),
        (3, set_token("c2", "t2", false), "c2 t2"),
        (4, generate("c", spec("good")), "c3 t3"),
        (5, generate("d", spec("of a disabled channel")), "c4 t4"),
        (6, set_channel("c4", false), "c4"),
    ]);
    for secret in ["", "unknown", "disabled", "goo", "good ", "of a disabled channel"] {
        assert_eq!(opens(&state, secret, 50), None, "{secret}");
    }
    assert_eq!(opens(&state, "good", 50).as_deref(), Some("c3 t3"));
    assert_eq!(opens(&state, "expires", 99).as_deref(), Some("c1 t1"));
    assert_eq!(opens(&state, "expires", 100), None);
}

#[test]
fn t7_an_expired_token_counts_as_disabled() {
    let state = check(&[
        (10, generate("a", until("A", 10)), "expiry_past"),
        (10, generate("a", until("A", 20)), "c1 t1"),
        (19, new_token("c1", spec("B")), "token_enabled"),
        (20, new_token("c1", until("B", 20)), "expiry_past"),
        (20, new_token("c1", spec("B")), "c1 t2"),
        (21, set_token("c1", "t1", true), "expired"),
        (22, set_token("c1", "t1", false), "c1 t1"),
        (23, set_token("c1", "t1", true), "expired"),
    ]);
    assert_eq!(state.standing("c1", "t2", 30), Standing::Good);
    // A broker whose clock is behind, or our own, brings nothing back.
    let steps = [(10, generate("a", until("A", 20)), "c1 t1"), (25, edit("c1", None, None), "c1")];
    let state = check(&steps);
    assert_eq!(state.standing("c1", "t1", 15), Standing::TokenExpired);
    assert_eq!(opens(&state, "A", 15), None);
    let late = [&steps[..], &[(15, new_token("c1", spec("B")), "c1 t2")]].concat();
    assert_eq!(check(&late).channel("c1").unwrap().token("t2").unwrap().created, 25);
}

#[test]
fn t7_filter_fields_and_connections_stay_with_the_token() {
    let options = TokenOptions {
        expires: None,
        filter: Some("status >= 500".to_owned()),
        fields: Some(vec!["status".to_owned()]),
        connections_max: Some(2),
    };
    let with = |options: TokenOptions| generate("a", TokenSpec { options, ..spec("A") });
    let bad = [
        TokenOptions { filter: Some(String::new()), ..options.clone() },
        TokenOptions { filter: Some("x".repeat(8193)), ..options.clone() },
        TokenOptions { fields: Some(Vec::new()), ..options.clone() },
        TokenOptions { fields: Some(vec![String::new()]), ..options.clone() },
        TokenOptions { fields: Some(vec!["x".to_owned(); 201]), ..options.clone() },
        TokenOptions { connections_max: Some(0), ..options.clone() },
    ];
    for options in bad {
        check(&[(1, with(options), "malformed")]);
    }
    let last_four = "abc".to_owned();
    check(&[(1, generate("a", TokenSpec { last_four, ..spec("A") }), "malformed")]);
    let state = check(&[(1, with(options.clone()), "c1 t1")]);
    let (_, token) = state.admit(&Digest::of("A"), 1).unwrap();
    assert_eq!(token.options, options);
}
