//! What holds after any commands in any order.

use super::*;

fn commands() -> impl Strategy<Value = (Millis, u8, bool, Command)> {
    let spec = (0..12_u8, proptest::option::of(0..60_i64)).prop_map(|(secret, expires)| {
        let options = TokenOptions { expires, ..TokenOptions::default() };
        TokenSpec { options, ..spec(&secret.to_string()) }
    });
    let channel = (1..4_u8).prop_map(|number| format!("c{number}"));
    let token = (1..9_u8).prop_map(|number| format!("t{number}"));
    let command = prop_oneof![
        (0..3_u8, spec.clone()).prop_map(|(area, spec)| generate(&area.to_string(), spec)),
        (channel.clone(), spec).prop_map(|(channel, spec)| new_token(&channel, spec)),
        (channel.clone(), token, any::<bool>())
            .prop_map(|(channel, token, enabled)| set_token(&channel, &token, enabled)),
        (channel.clone(), any::<bool>())
            .prop_map(|(channel, enabled)| set_channel(&channel, enabled)),
        channel.prop_map(|channel| edit(&channel, Some("name"), None)),
        (0..3_u8, any::<bool>()).prop_map(|(token, replace)| Command::SetAdminToken {
            token: AdminToken::of(&token.to_string()),
            replace,
        }),
    ];
    (0..60_i64, 0..40_u8, any::<bool>(), command)
}

proptest! {
    #[test]
    fn the_rules_hold_after_any_commands(
        steps in proptest::collection::vec(commands(), 0..60),
        overlap in 1..3_u32,
    ) {
        let limits = Limits { token_overlap_max: overlap, ..Limits::default() };
        let (mut state, mut latest) = (State::default(), 0);
        let mut again = State::default();
        for (at, id, by_ada, command) in steps {
            let by = if by_ada { "ada" } else { "bob" };
            let record = record(&format!("i{id}"), by, limits, command);
            let before: Vec<_> = state.channels().cloned().collect();
            let answer = state.apply(record.clone(), at);
            latest = latest.max(at);
            // What is written and read is what was given, and comes to the same.
            let read = Record::decode(&record.encode().unwrap()).unwrap();
            prop_assert_eq!(&read, &record);
            prop_assert_eq!(&again.apply(read, at), &answer);
            prop_assert_eq!(shape(&again), shape(&state));
            // C2, T5: whatever was there is there.
            for old in before {
                let new = state.channel(old.id.as_str()).unwrap();
                prop_assert_eq!(&new.area, &old.area);
                prop_assert!(new.tokens.len() >= old.tokens.len());
                for (old, new) in old.tokens.iter().zip(&new.tokens) {
                    prop_assert_eq!(&old.id, &new.id);
                    prop_assert_eq!(old.digest, new.digest);
                }
            }
            // C1, T2.
            let mut areas: Vec<_> = state.channels().map(|channel| &channel.area).collect();
            areas.sort();
            areas.dedup();
            prop_assert_eq!(areas.len(), state.channels().count());
            for channel in state.channels() {
                prop_assert!(channel.enabled_at(latest) <= overlap as usize);
                for token in &channel.tokens {
                    let is_good = state.standing(channel.id.as_str(), token.id.as_str(), latest)
                        == Standing::Good;
                    let (admitted, _) = state.admit(&token.digest, latest).unzip();
                    prop_assert_eq!(admitted.is_some(), is_good);
                    prop_assert!(admitted.is_none_or(|found| found.id == channel.id));
                }
            }
        }
    }
}
