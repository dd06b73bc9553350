//! The words of a filter. Which bytes end a word depends on whether it is a field or a value, so the
//! parser asks for what it expects.

use super::Fault;

/// These words are never fields or values unless quoted.
const KEYWORDS: [&str; 4] = ["and", "or", "not", "in"];

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// A field or value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Its first byte in the filter's text.
    pub(super) at: usize,
    pub(super) text: String,
    pub(super) is_quoted: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the next word or symbol begins.
    pub(super) fn place(&mut self) -> usize {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.at
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.place() == self.text.len()
    }

    /// Takes a symbol where it is next.
    pub(super) fn symbol(&mut self, symbol: &str) -> bool {
        self.place();
        let is_next = self.rest().starts_with(symbol);
        if is_next {
            self.at += symbol.len();
        }
        is_next
    }

    /// Takes a keyword, in either case, where it is the next whole word.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        self.place();
        let is_next = self.bare(ends_field).eq_ignore_ascii_case(keyword);
        if is_next {
            self.at += keyword.len();
        }
        is_next
    }

    /// The next field, or `None` where something else stands there.
    pub(super) fn field(&mut self) -> Result<Option<Word>, Fault> {
        self.word(ends_field)
    }

    /// The next value, or `None` where something else stands there.
    pub(super) fn value(&mut self) -> Result<Option<Word>, Fault> {
        self.place();
        if self.rest().starts_with(['=', '!', '<', '>']) {
            return Ok(None);
        }
        self.word(ends_value)
    }

    /// What stands at the next place, for a message.
    pub(super) fn shown(&mut self) -> String {
        self.place();
        let word = self.bare(ends_value);
        match self.rest().chars().next() {
            None => "the end".to_owned(),
            Some(symbol) if word.is_empty() => format!("`{symbol}`"),
            Some(_) => format!("`{}`", cut(word)),
        }
    }

    fn word(&mut self, ends: fn(char) -> bool) -> Result<Option<Word>, Fault> {
        let at = self.place();
        if self.rest().starts_with('"') {
            return self.quoted().map(Some);
        }
        if self.rest().starts_with('\'') {
            return Err(Fault::new(at, "quotes are double quotes"));
        }
        let word = self.bare(ends);
        if word.is_empty() || KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) {
            return Ok(None);
        }
        self.at += word.len();
        Ok(Some(Word { at, text: word.to_owned(), is_quoted: false }))
    }

    fn quoted(&mut self) -> Result<Word, Fault> {
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at = start + at + 1;
                    return Ok(Word { at: start, text, is_quoted: true });
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => {
                        let fault = Fault::new(start + at, "`\\` stands only before `\"` or `\\`");
                        return Err(fault.hint("write `\\\\` for one backslash"));
                    }
                },
                _ => text.push(character),
            }
        }
        Err(Fault::new(start, "the quote is not closed"))
    }

    fn bare(&self, ends: fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        rest.find(ends).and_then(|end| rest.get(..end)).unwrap_or(rest)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

/// The beginning of what a client wrote, for a message.
pub(super) fn cut(text: &str) -> &str {
    const SHOWN_CHARACTERS_MAX: usize = 40;
    let end = text.char_indices().nth(SHOWN_CHARACTERS_MAX).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

fn ends_value(character: char) -> bool {
    character.is_whitespace() || matches!(character, '(' | ')' | ',' | '"')
}

fn ends_field(character: char) -> bool {
    ends_value(character) || matches!(character, '=' | '!' | '<' | '>' | ':')
}
