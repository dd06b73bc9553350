//! JSON paths: the part of RFC 9535 that names places, without filters and slices.

use std::iter::Peekable;
use std::str::Chars;

use crate::config::pipeline::RedactAction;

/// How many steps a path may have: a state of the search is one bit of a 64-bit word.
const STEPS_MAX: usize = 63;

/// The hint of every fault of a path.
pub(crate) const SUPPORTED: &str =
    "supported are `$.name`, `$['any name']`, `$[0]`, `$[*]`, `$.*`, `$..name` and what they make";

/// A compiled path, and what becomes of what it finds.
#[derive(Debug)]
pub(crate) struct Path {
    steps: Vec<Step>,
    pub(crate) action: RedactAction,
}

#[derive(Debug, PartialEq, Eq)]
struct Step {
    /// `..`: at any depth from here on.
    descend: bool,
    select: Select,
}

#[derive(Debug, PartialEq, Eq)]
enum Select {
    Name(String),
    Index(usize),
    Any,
}

/// The place of a value in its object or array.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Child<'a> {
    Name(&'a str),
    Index(usize),
}

/// The steps that a value may be the next of, one bit each.
pub(crate) type States = u64;

impl Path {
    /// # Errors
    /// What is wrong with the path.
    pub(crate) fn compile(path: &str, action: RedactAction) -> Result<Self, String> {
        let mut chars = path.chars().peekable();
        if chars.next() != Some('$') {
            return Err("a path begins with `$`".to_owned());
        }
        let mut steps = Vec::new();
        while let Some(first) = chars.next() {
            steps.push(step(first, &mut chars)?);
        }
        match steps.len() {
            0 => Err("`$` is the whole body: use a rule with `field`".to_owned()),
            1..=STEPS_MAX => Ok(Self { steps, action }),
            _ => Err(format!("has more than {STEPS_MAX} steps")),
        }
    }

    /// The states of the root.
    pub(crate) const ROOT: States = 1;

    /// The states of a child of a value with `states`, and whether the path leads to that child.
    pub(crate) fn enter(&self, states: States, child: Child<'_>) -> (States, bool) {
        let mut next = 0;
        if states == 0 {
            return (0, false);
        }
        for (at, step) in self.steps.iter().enumerate().filter(|(at, _)| states >> at & 1 == 1) {
            if step.descend {
                next |= 1 << at;
            }
            let selected = match (&step.select, child) {
                (Select::Any, _) => true,
                (Select::Name(name), Child::Name(child)) => name == child,
                (Select::Index(index), Child::Index(child)) => *index == child,
                _ => false,
            };
            if selected {
                next |= 1 << (at + 1);
            }
        }
        (next, next >> self.steps.len() & 1 == 1)
    }
}

fn step(first: char, chars: &mut Peekable<Chars<'_>>) -> Result<Step, String> {
    match first {
        '[' => Ok(Step { descend: false, select: bracket(chars)? }),
        '.' => {
            let descend = chars.next_if_eq(&'.').is_some();
            let select = match chars.next_if_eq(&'[') {
                Some(_) if descend => bracket(chars)?,
                Some(_) => return Err("`.[` is no step".to_owned()),
                None => dotted(chars)?,
            };
            Ok(Step { descend, select })
        }
        other => Err(format!("`{other}` where a step should begin")),
    }
}

fn dotted(chars: &mut Peekable<Chars<'_>>) -> Result<Select, String> {
    let mut name = String::new();
    while let Some(letter) = chars.next_if(|letter| !matches!(letter, '.' | '[')) {
        name.push(letter);
    }
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '$' | '@');
    match name.as_str() {
        "" => Err("a step without a name".to_owned()),
        "*" => Ok(Select::Any),
        _ if name.chars().all(plain) => Ok(Select::Name(name)),
        _ => Err(format!("`{name}` is no plain name: write `['{name}']` if it is one")),
    }
}

fn bracket(chars: &mut Peekable<Chars<'_>>) -> Result<Select, String> {
    let select = match chars.next() {
        Some('*') => Select::Any,
        Some(quote @ ('\'' | '"')) => Select::Name(quoted(quote, chars)?),
        Some(digit @ '0'..='9') => {
            let mut digits = String::from(digit);
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            let index = digits.parse();
            Select::Index(index.map_err(|_too_large| format!("`{digits}` is too large"))?)
        }
        _ => return Err("`[` needs a quoted name, a place counted from 0, or `*`".to_owned()),
    };
    if chars.next() != Some(']') {
        return Err("`[` is not closed by `]` behind its one name, place or `*`".to_owned());
    }
    Ok(select)
}

fn quoted(quote: char, chars: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut name = String::new();
    loop {
        match chars.next() {
            Some('\\') => match chars.next() {
                Some(letter @ ('\\' | '\'' | '"')) => name.push(letter),
                _ => return Err("`\\` may stand before a quote or `\\` only".to_owned()),
            },
            Some(letter) if letter == quote => return Ok(name),
            Some(letter) => name.push(letter),
            None => return Err("a quoted name is not closed".to_owned()),
        }
    }
}
