//! JSON paths in bodies. One pass over the text finds the values; what is around them stays byte
//! for byte. A text that is not well-formed to its end is no JSON, and so removed.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

use super::Redacted;
use super::cover::{Cover, Cutter, MASK};
use super::path::{Child, Path, States};
use crate::config::pipeline::RedactAction;
use crate::prepare::parse::numbers;

/// Objects and arrays within each other; a body that is deeper is removed.
const BODY_DEPTH_MAX: usize = 128;

/// How deep JSON may stand in strings of JSON; what is deeper is covered.
const STRINGS_MAX: usize = 4;

/// The text is no JSON, or too deep.
struct NotJson;

/// Covers what the paths find. A removed member goes with its comma; a removed element of an array
/// becomes `null`, so that the others keep their places.
pub(super) fn redact(paths: &[Path], value: &str, cover: &Cover, out: &mut String) -> Redacted {
    if value.bytes().all(|byte| byte.is_ascii_whitespace()) {
        return Redacted::Same;
    }
    let mut search = Search::new((paths, cover), value, out);
    search.states = vec![Path::ROOT; paths.len()];
    match search.document() {
        Ok(()) => search.cutter.finish(),
        Err(NotJson) => {
            out.clear();
            Redacted::Removed
        }
    }
}

/// An open object or array.
struct Frame {
    object: bool,
    /// The element that is read.
    index: usize,
    /// The member that is read begins here.
    member: usize,
    /// The member before it ended here.
    before: usize,
    /// Whether one of the members before it stays.
    kept: bool,
}

/// A value that is to be covered, while it is read.
struct Found {
    action: RedactAction,
    start: usize,
    /// How many frames are open around it.
    depth: usize,
}

/// What must come next.
enum Expect {
    Value,
    Key,
    AfterValue,
}

struct Search<'a> {
    paths: &'a [Path],
    cover: &'a Cover,
    text: &'a [u8],
    value: &'a str,
    at: usize,
    frames: Vec<Frame>,
    /// One for each path, for each open frame, and at the end those of the value that is read.
    states: Vec<States>,
    found: Option<Found>,
    cutter: Cutter<'a>,
    /// How many strings there are around this text.
    strings: usize,
}

impl<'a> Search<'a> {
    fn new((paths, cover): (&'a [Path], &'a Cover), value: &'a str, out: &'a mut String) -> Self {
        Self {
            paths,
            cover,
            text: value.as_bytes(),
            value,
            at: if value.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 },
            frames: Vec::new(),
            states: Vec::new(),
            found: None,
            cutter: Cutter::new(value, out),
            strings: 0,
        }
    }

    fn document(&mut self) -> Result<(), NotJson> {
        self.skip_white();
        let mut expect = Expect::Value;
        loop {
            expect = match expect {
                Expect::Value => self.read_value()?,
                Expect::Key => self.read_key()?,
                Expect::AfterValue => {
                    self.close_value()?;
                    self.skip_white();
                    let Some(next) = self.after_value()? else { break };
                    next
                }
            };
        }
        if self.at == self.text.len() { Ok(()) } else { Err(NotJson) }
    }

    fn read_value(&mut self) -> Result<Expect, NotJson> {
        match self.peek() {
            Some(b'{') => self.open(true),
            Some(b'[') => self.open(false),
            Some(b'"') => {
                let quoted = self.string()?;
                self.within(quoted)?;
                Ok(Expect::AfterValue)
            }
            _ => {
                let tail = self.text.get(self.at..).unwrap_or_default();
                let ends = |byte: &u8| b" \t\r\n,]}:".contains(byte);
                let length = tail.iter().position(ends).unwrap_or(tail.len());
                let literal = tail.get(..length).unwrap_or_default();
                if !matches!(literal, b"true" | b"false" | b"null") && !numbers::is_number(literal)
                {
                    return Err(NotJson);
                }
                self.at += length;
                Ok(Expect::AfterValue)
            }
        }
    }

    /// JSON that is the text of a string is searched in the place of the string: a path leads into
    /// it as into any other value. What looks like JSON and is none is covered. A body that is as a
    /// whole such a string is nobody's form.
    fn within(&mut self, quoted: Range<usize>) -> Result<(), NotJson> {
        let raw = self.value.get(quoted.clone()).unwrap_or_default();
        let from = self.states.len().saturating_sub(self.paths.len());
        let states = self.states.get(from..).unwrap_or_default();
        let leads_on = self.found.is_none() && states.iter().any(|states| *states != 0);
        if !leads_on || is_mask(raw) || !begins_json(raw, |c| c == '\\') {
            return Ok(());
        }
        let inner = unescape(raw);
        if inner.as_deref().is_some_and(|inner| !begins_json(inner, |_| false)) {
            return Ok(());
        }
        if self.frames.is_empty() && self.strings == 0 {
            return Err(NotJson);
        }
        let inner = inner.unwrap_or_default();
        let mut out = String::new();
        let mut search = Search::new((self.paths, self.cover), &inner, &mut out);
        search.states = states.to_vec();
        search.strings = self.strings + 1;
        let redacted = match search.strings {
            ..=STRINGS_MAX => search.document().map(|()| search.cutter.finish()),
            _ => Err(NotJson),
        };
        let covered = match redacted {
            Ok(Redacted::Same) => return Ok(()),
            // A text in brackets: no name stands in it.
            Err(NotJson) if !inner.is_empty() && !inner.contains('"') => return Ok(()),
            Ok(Redacted::Changed) => out,
            Ok(Redacted::Removed) | Err(NotJson) => MASK.to_owned(),
        };
        let covered = serde_json::to_string(&covered).unwrap_or_default();
        self.cutter.replace(quoted, |_, out| out.push_str(&covered));
        Ok(())
    }

    fn open(&mut self, object: bool) -> Result<Expect, NotJson> {
        if self.frames.len() == BODY_DEPTH_MAX {
            return Err(NotJson);
        }
        self.at += 1;
        self.skip_white();
        if self.peek() == Some(if object { b'}' } else { b']' }) {
            self.at += 1;
            return Ok(Expect::AfterValue);
        }
        let (member, before) = (self.at, self.at);
        self.frames.push(Frame { object, index: 0, member, before, kept: false });
        if object {
            // The states of a child follow with its key.
            return Ok(Expect::Key);
        }
        self.enter(Child::Index(0));
        Ok(Expect::Value)
    }

    fn read_key(&mut self) -> Result<Expect, NotJson> {
        self.skip_white();
        let member = self.at;
        if let Some(frame) = self.frames.last_mut() {
            frame.member = member;
        }
        if self.peek() != Some(b'"') {
            return Err(NotJson);
        }
        let key = self.string()?;
        let raw = self.value.get(key).unwrap_or_default();
        let name = unescape(raw).ok_or(NotJson)?;
        self.skip_white();
        if self.peek() != Some(b':') {
            return Err(NotJson);
        }
        self.at += 1;
        self.skip_white();
        self.enter(Child::Name(&name));
        Ok(Expect::Value)
    }

    /// Adds the states of a child of the innermost frame, and begins to cover it if a path leads
    /// to it.
    fn enter(&mut self, child: Child<'_>) {
        let parents = self.states.len().saturating_sub(self.paths.len());
        let mut action = None;
        for (at, path) in self.paths.iter().enumerate() {
            let states = self.states.get(parents + at).copied().unwrap_or_default();
            let (next, found) = path.enter(states, child);
            self.states.push(next);
            if found {
                action = Some(stricter(action, path.action));
            }
        }
        if self.found.is_none()
            && let Some(action) = action
        {
            self.found = Some(Found { action, start: self.at, depth: self.frames.len() });
        }
    }

    /// A value has ended: covers it if it is the one that was found, and drops its states.
    fn close_value(&mut self) -> Result<(), NotJson> {
        self.states.truncate(self.states.len().saturating_sub(self.paths.len()));
        let end = self.at;
        let depth = self.frames.len();
        let Some(found) = self.found.take_if(|found| found.depth == depth) else {
            if let Some(frame) = self.frames.last_mut() {
                frame.before = end;
                frame.kept = true;
            }
            return Ok(());
        };
        let raw = self.value.get(found.start..end).unwrap_or_default();
        let range = found.start..end;
        match found.action {
            RedactAction::Remove => self.remove(range),
            _ if raw == "\"\"" => {}
            RedactAction::Mask if is_mask(raw) => {}
            action => {
                let secret =
                    if raw.starts_with('"') { unescape(raw).ok_or(NotJson)? } else { raw.into() };
                let cover = self.cover;
                self.cutter.replace(range, |_, out| {
                    out.push('"');
                    cover.write(action, secret.as_bytes(), out);
                    out.push('"');
                });
            }
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.before = end;
            frame.kept |= found.action != RedactAction::Remove;
        }
        Ok(())
    }

    fn remove(&mut self, value: Range<usize>) {
        let Some(frame) = self.frames.last().filter(|frame| frame.object) else {
            if self.value.get(value.clone()) != Some("null") {
                self.cutter.replace(value, |_, out| out.push_str("null"));
            }
            return;
        };
        // With the comma before it where a member before it stays, else with the comma behind it.
        let range = if frame.kept {
            frame.before..value.end
        } else {
            let tail = self.text.get(value.end..).unwrap_or_default();
            let white = tail.iter().take_while(|byte| is_white(**byte)).count();
            let comma = tail.get(white) == Some(&b',');
            frame.member..value.end + if comma { white + 1 } else { 0 }
        };
        self.cutter.replace(range, |_, _| {});
    }

    /// `None` at the end of the document.
    fn after_value(&mut self) -> Result<Option<Expect>, NotJson> {
        let next = self.peek();
        let Some(frame) = self.frames.last_mut() else { return Ok(None) };
        match (next, frame.object) {
            (Some(b'}'), true) | (Some(b']'), false) => {
                self.frames.pop();
                self.at += 1;
                Ok(Some(Expect::AfterValue))
            }
            (Some(b','), true) => {
                self.at += 1;
                Ok(Some(Expect::Key))
            }
            (Some(b','), false) => {
                frame.index += 1;
                let index = frame.index;
                self.at += 1;
                self.skip_white();
                self.enter(Child::Index(index));
                Ok(Some(Expect::Value))
            }
            _ => Err(NotJson),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_white(&mut self) {
        while self.peek().is_some_and(is_white) {
            self.at += 1;
        }
    }

    /// The string that begins here, with its quotes. Raw control characters are let pass: they
    /// change nothing about where it ends.
    fn string(&mut self) -> Result<Range<usize>, NotJson> {
        let start = self.at;
        let mut at = start + 1;
        loop {
            let tail = self.text.get(at..).unwrap_or_default();
            at += memchr2(b'"', b'\\', tail).ok_or(NotJson)?;
            if self.text.get(at) == Some(&b'"') {
                break;
            }
            at += match self.text.get(at + 1) {
                Some(b'u') => {
                    let digits = self.text.get(at + 2..at + 6).unwrap_or_default();
                    if digits.len() != 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                        return Err(NotJson);
                    }
                    6
                }
                Some(byte) if b"\"\\/bfnrt".contains(byte) => 2,
                _ => return Err(NotJson),
            };
        }
        self.at = at + 1;
        Ok(start..self.at)
    }
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether a text, perhaps within quotes, begins as an object or array does, or with something that
/// may stand for that.
fn begins_json(text: &str, stands_for: impl Fn(char) -> bool) -> bool {
    let before = |c: char| c.is_whitespace() || matches!(c, '"' | '\u{feff}');
    let text = text.trim_start_matches(before);
    text.starts_with(|c| matches!(c, '{' | '[') || stands_for(c))
}

fn is_mask(raw: &str) -> bool {
    raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) == Some(MASK)
}

/// Of two rules for one value: what is removed tells least, a hash tells most.
pub(super) fn stricter(first: Option<RedactAction>, second: RedactAction) -> RedactAction {
    match (first, second) {
        (None, action) => action,
        (Some(RedactAction::Remove), _) | (_, RedactAction::Remove) => RedactAction::Remove,
        (Some(RedactAction::Mask), _) | (_, RedactAction::Mask) => RedactAction::Mask,
        _ => RedactAction::Hash,
    }
}

/// The text of a string, given with its quotes. `None` where half a surrogate pair makes that no
/// text.
fn unescape(quoted: &str) -> Option<Cow<'_, str>> {
    if quoted.contains('\\') {
        return serde_json::from_str(quoted).ok().map(Cow::Owned);
    }
    quoted.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}
