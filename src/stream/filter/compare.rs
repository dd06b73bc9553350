//! From a field, an operator and the words behind it to a test; refuses what can never pass.

use crate::prepare::time::Moment;

use super::known::{Field, Sort};
use super::lex::{Word, cut};
use super::number::{Limits, Number, Order, Range};
use super::test::{Needle, Network, Test};
use super::{Fault, Reads, never};

/// What each field is asked for, and the test of its values.
pub(super) type Asked = (Reads, Test);

/// How a text may stand to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Prefix { in_either_case: bool },
    Contains { in_either_case: bool },
}

/// `field = word`
pub(super) fn equal(field: &Field, word: &Word) -> Result<Asked, Fault> {
    if word.text == "*" && !word.is_quoted {
        return Ok((Reads::Presence, Test::Exists));
    }
    match field.sort {
        Sort::Number(limits) => {
            if let Some(class) = class(word).filter(|_| limits == Limits::Status) {
                return Ok((Reads::Number, Test::Ranges(vec![Range::of_class(class)])));
            }
            ordered(field, Order::Equal, word)
        }
        Sort::Time => ordered(field, Order::Equal, word),
        Sort::Address => match Network::of_text(&word.text) {
            Some(network) => Ok((Reads::Address, Test::Networks(vec![network]))),
            None => Err(wrong(field, word, "an address or a network")
                .hint("as in `10.1.2.3`, `10.0.0.0/8` or `2001:db8::/32`")),
        },
        Sort::Boolean if !matches!(&*word.text, "true" | "false") => {
            Err(wrong(field, word, "`true` or `false`"))
        }
        Sort::Class => match class(word) {
            Some(class) => Ok((Reads::Text, Test::Is(format!("{class}xx").into()))),
            None if is_pattern(word) => possible(field, word, text_pattern(word)?),
            None => Err(wrong(field, word, "a class of status").hint("as in `4xx`")),
        },
        Sort::Any if !word.is_quoted && Number::of_text(&word.text).is_some() => {
            ordered(field, Order::Equal, word)
        }
        Sort::Object => Err(no_value(field, word.at)),
        _ if is_pattern(word) => text_pattern(word),
        Sort::Text | Sort::Boolean | Sort::Any => {
            Ok((Reads::Text, Test::Is(word.text.as_str().into())))
        }
    }
}

/// `field < word` and the like
pub(super) fn ordered(field: &Field, order: Order, word: &Word) -> Result<Asked, Fault> {
    let (limits, reads) = match field.sort {
        Sort::Number(limits) => (limits, Reads::Number),
        Sort::Any => (Limits::Double, Reads::Number),
        Sort::Time => (Limits::Long, Reads::Time),
        Sort::Object => return Err(no_value(field, word.at)),
        Sort::Text | Sort::Boolean | Sort::Class | Sort::Address => {
            return Err(no_order(field, word.at));
        }
    };
    let number = match reads {
        Reads::Time => Number::Integer(time(field, order, word)?),
        _ => Number::of_text(&word.text).ok_or_else(|| {
            let fault = wrong(field, word, "a number");
            match limits {
                Limits::Status if class(word).is_some() => {
                    fault.hint("a class of status goes with `=`")
                }
                _ => fault,
            }
        })?,
    };
    let range = Range::new(order, number).and(&Range::of_limits(limits));
    if range.is_empty() || limits == Limits::Status && !range.has_integers() {
        let hint = match limits {
            Limits::Integer => "it has 32 bits",
            Limits::Long => "it has 64 bits",
            Limits::Double => "no number is so large",
            Limits::Status => "it is a whole number within 100 and 999",
        };
        return Err(never_so(field, word).hint(hint));
    }
    Ok((reads, Test::Ranges(vec![range])))
}

/// `field prefix word` and the like
pub(super) fn part(field: &Field, part: Part, word: &Word) -> Result<Asked, Fault> {
    let hint = match field.sort {
        Sort::Text | Sort::Class | Sort::Any => {
            let text = || word.text.as_str().into();
            let test = match part {
                Part::Prefix { in_either_case: false } => Test::Prefix(text()),
                Part::Prefix { in_either_case: true } => Test::PrefixInEitherCase(text()),
                Part::Contains { in_either_case: false } => Test::Contains(Needle::new(&word.text)),
                Part::Contains { in_either_case: true } => Test::ContainsInEitherCase(text()),
            };
            return possible(field, word, (Reads::Text, test));
        }
        Sort::Object => return Err(no_value(field, word.at)),
        Sort::Address => "a network goes with `=`, as in `10.0.0.0/8`",
        Sort::Number(_) | Sort::Time => "compare it with `<` or `>`",
        Sort::Boolean => "compare it with `true` or `false`",
    };
    Err(Fault::new(word.at, format!("`{}` is no text", field.name)).hint(hint))
}

/// Puts the tests of a list together where they ask the same field in the same way.
pub(super) fn join(tests: Vec<Asked>) -> Vec<Asked> {
    let mut joined: Vec<Asked> = Vec::new();
    let mut texts = Vec::new();
    for (reads, test) in tests {
        match (test, joined.iter_mut().find(|(other, test)| *other == reads && is_list(test))) {
            (Test::Is(text), _) => texts.push(text),
            (Test::Ranges(more), Some((_, Test::Ranges(ranges)))) => ranges.extend(more),
            (Test::Networks(more), Some((_, Test::Networks(networks)))) => networks.extend(more),
            (test, _) => joined.push((reads, test)),
        }
    }
    texts.sort_unstable();
    texts.dedup();
    match texts.len() {
        0 => {}
        1 => joined.extend(texts.pop().map(|text| (Reads::Text, Test::Is(text)))),
        _ => joined.push((Reads::Text, Test::OneOf(texts.into()))),
    }
    joined
}

fn is_list(test: &Test) -> bool {
    matches!(test, Test::Ranges(_) | Test::Networks(_))
}

/// The digit of `4xx`.
fn class(word: &Word) -> Option<u8> {
    match word.text.as_bytes() {
        [digit @ b'1'..=b'9', b'x' | b'X', b'x' | b'X'] => Some(digit - b'0'),
        _ => None,
    }
}

fn is_pattern(word: &Word) -> bool {
    !word.is_quoted && word.text.contains('*')
}

/// `x*` and `*x*`
fn text_pattern(word: &Word) -> Result<Asked, Fault> {
    let start = word.text.strip_suffix('*');
    let test = match start.map(|start| (start, start.strip_prefix('*'))) {
        Some((_, Some(middle))) if !middle.contains('*') => Test::Contains(Needle::new(middle)),
        Some((start, None)) if !start.contains('*') => Test::Prefix(start.into()),
        _ => {
            let message = "`*` stands only at the end, or at both ends";
            return Err(Fault::new(word.at, message).hint("in quotes it means itself"));
        }
    };
    Ok((Reads::Text, test))
}

/// Refuses a test that no class of status passes.
fn possible(field: &Field, word: &Word, (reads, test): Asked) -> Result<Asked, Fault> {
    if field.sort == Sort::Class && never::statuses(&test).is_none() {
        return Err(never_so(field, word).hint("it is one of `1xx` to `9xx`"));
    }
    Ok((reads, test))
}

/// Milliseconds since 1970.
fn time(field: &Field, order: Order, word: &Word) -> Result<i64, Fault> {
    const DAY_BYTES: usize = "2026-01-15".len();
    let text = &word.text;
    if text.len() == DAY_BYTES
        && let Some(start) = Moment::of_text(&format!("{text}T00:00:00Z"))
    {
        return match order {
            Order::GreaterEqual | Order::Less => Ok(start.millis),
            _ => Err(Fault::new(word.at, "a day alone goes only with `>=` and `<`")
                .hint(format!("as in `{text}T00:00:00Z`"))),
        };
    }
    Moment::of_text(text)
        .map(|moment| moment.millis)
        .ok_or_else(|| wrong(field, word, "a time").hint("as in `2026-01-15T10:00:00Z`"))
}

fn wrong(field: &Field, word: &Word, expected: &str) -> Fault {
    let message = format!("expected {expected} for `{}`, found `{}`", field.name, cut(&word.text));
    Fault::new(word.at, message)
}

fn never_so(field: &Field, word: &Word) -> Fault {
    Fault::new(word.at, format!("`{}` is never so", field.name))
}

fn no_order(field: &Field, at: usize) -> Fault {
    let fault = Fault::new(at, format!("`{}` has no order that `<` could ask for", field.name));
    match field.sort {
        Sort::Class => fault.hint("`status` is the number"),
        Sort::Address => fault.hint("a network goes with `=`, as in `10.0.0.0/8`"),
        _ if field.name == "status_code" => fault.hint("`status` is the number"),
        _ => fault,
    }
}

fn no_value(field: &Field, at: usize) -> Fault {
    Fault::new(at, format!("`{}` is an object: it has no value of its own", field.name))
        .hint("name one of its parts, or ask whether it `exists`")
}
