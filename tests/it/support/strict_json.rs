//! JSON read strictly and kept as text: the digits of numbers stay, and a key may stand only once.

use std::collections::HashSet;

/// A value whose scalars and names are as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number, a string with its quotes, `true`, `false` or `null`.
    Scalar(String),
    Array(Vec<Value>),
    /// Names with their quotes.
    Object(Vec<(String, Value)>),
}

/// Reads one value that is the whole text.
pub(crate) fn parse(text: &[u8]) -> Result<Value, String> {
    read(text, false)
}

/// As [`parse`], but of members of one name the last wins.
pub(crate) fn parse_last_wins(text: &[u8]) -> Result<Value, String> {
    read(text, true)
}

fn read(text: &[u8], last_wins: bool) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8: {error}"))?;
    let mut reader = Reader { text, at: 0, last_wins };
    let value = reader.value()?;
    reader.blank();
    if reader.at == text.len() { Ok(value) } else { Err(reader.fault("more than one value")) }
}

/// A string's text without quotes and escapes.
pub(crate) fn unquoted(scalar: &str) -> Option<String> {
    serde_json::from_str(scalar).ok()
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    last_wins: bool,
}

impl Reader<'_> {
    fn fault(&self, what: &str) -> String {
        format!("{what} at byte {}", self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Takes the byte where it comes next.
    fn takes(&mut self, byte: u8) -> bool {
        self.blank();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn demand(&mut self, byte: u8) -> Result<(), String> {
        if self.takes(byte) { Ok(()) } else { Err(self.fault(&format!("no `{}`", byte as char))) }
    }

    fn value(&mut self) -> Result<Value, String> {
        self.blank();
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string().map(Value::Scalar),
            _ => self.bare().map(Value::Scalar),
        }
    }

    fn object(&mut self) -> Result<Value, String> {
        self.demand(b'{')?;
        let (mut members, mut names): (Vec<(String, Value)>, _) = (Vec::new(), HashSet::new());
        if self.takes(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.blank();
            let name = self.string()?;
            if !names.insert(unquoted(&name)) {
                if !self.last_wins {
                    return Err(self.fault(&format!("{name} stands twice")));
                }
                members.retain(|(earlier, _)| unquoted(earlier) != unquoted(&name));
            }
            self.demand(b':')?;
            members.push((name, self.value()?));
            if !self.takes(b',') {
                break;
            }
        }
        self.demand(b'}')?;
        Ok(Value::Object(members))
    }

    fn array(&mut self) -> Result<Value, String> {
        self.demand(b'[')?;
        let mut elements = Vec::new();
        if self.takes(b']') {
            return Ok(Value::Array(elements));
        }
        loop {
            elements.push(self.value()?);
            if !self.takes(b',') {
                break;
            }
        }
        self.demand(b']')?;
        Ok(Value::Array(elements))
    }

    fn string(&mut self) -> Result<String, String> {
        let tail = &self.text[self.at..];
        let mut escaped = false;
        let end = tail.bytes().enumerate().skip(1).find(|&(_, byte)| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let Some((end, _)) = end else { return Err(self.fault("an open string")) };
        let scalar = &tail[..=end];
        if unquoted(scalar).is_none() {
            return Err(self.fault("a malformed string"));
        }
        self.at += scalar.len();
        Ok(scalar.to_owned())
    }

    fn bare(&mut self) -> Result<String, String> {
        let tail = &self.text[self.at..];
        let end = tail.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
        let scalar = &tail[..end.unwrap_or(tail.len())];
        if !matches!(scalar, "true" | "false" | "null") && !is_number(scalar) {
            return Err(self.fault("no value"));
        }
        self.at += scalar.len();
        Ok(scalar.to_owned())
    }
}

/// Whether a text is a number by the grammar of RFC 8259.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = |text: &mut &str| {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let count = text.len() - rest.len();
        *text = rest;
        count
    };
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    let leads_with_zero = rest.starts_with('0');
    let whole = digits(&mut rest);
    if whole == 0 || leads_with_zero && whole > 1 {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction;
        if digits(&mut rest) == 0 {
            return false;
        }
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        rest = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits(&mut rest) == 0 {
            return false;
        }
    }
    rest.is_empty()
}

impl Value {
    /// The member of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        let found = members.iter().find(|(key, _)| unquoted(key).as_deref() == Some(name));
        found.map(|(_, value)| value)
    }

    /// What a JSON pointer (RFC 6901) names.
    pub(crate) fn pointer(&self, pointer: &str) -> Option<&Self> {
        pointer.split('/').skip(1).try_fold(self, |value, step| {
            let step = step.replace("~1", "/").replace("~0", "~");
            match value {
                Self::Array(elements) => elements.get(step.parse::<usize>().ok()?),
                _ => value.get(&step),
            }
        })
    }

    /// A string's text.
    pub(crate) fn text(&self) -> Option<String> {
        let Self::Scalar(scalar) = self else { return None };
        unquoted(scalar)
    }

    /// Whether two values are the same, in whatever order their members stand, digit for digit.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(one), Self::Scalar(other)) => match (unquoted(one), unquoted(other)) {
                (None, None) => one == other,
                (one, other) => one == other,
            },
            (Self::Array(one), Self::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.same(b))
            }
            (Self::Object(one), Self::Object(other_members)) => {
                let found = |name: &str| other.get(&unquoted(name)?);
                one.len() == other_members.len()
                    && one.iter().all(|(name, a)| found(name).is_some_and(|b| a.same(b)))
            }
            _ => false,
        }
    }

    /// Without white space.
    pub(crate) fn compact(&self) -> String {
        let joined = |parts: Vec<String>| parts.join(",");
        match self {
            Self::Scalar(text) => text.clone(),
            Self::Array(elements) => {
                format!("[{}]", joined(elements.iter().map(Self::compact).collect()))
            }
            Self::Object(members) => {
                let member = |(name, value): &(String, Self)| format!("{name}:{}", value.compact());
                format!("{{{}}}", joined(members.iter().map(member).collect()))
            }
        }
    }

    /// To be read and compared line by line; arrays of scalars stand on one line.
    pub(crate) fn pretty(&self) -> String {
        let mut out = String::new();
        self.print(0, &mut out);
        out
    }

    fn print(&self, level: usize, out: &mut String) {
        let is_scalar = |value: &Self| matches!(value, Self::Scalar(_));
        let indent = |level: usize| format!("\n{}", "  ".repeat(level));
        match self {
            Self::Scalar(text) => out.push_str(text),
            Self::Array(elements) if elements.iter().all(is_scalar) => {
                let texts: Vec<_> = elements.iter().map(Self::compact).collect();
                out.push_str(&format!("[{}]", texts.join(", ")));
            }
            Self::Object(members) if members.is_empty() => out.push_str("{}"),
            Self::Array(elements) => {
                out.push('[');
                for (place, element) in elements.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    out.push_str(&indent(level + 1));
                    element.print(level + 1, out);
                }
                out.push_str(&indent(level));
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (place, (name, value)) in members.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    out.push_str(&indent(level + 1));
                    out.push_str(name);
                    out.push_str(": ");
                    value.print(level + 1, out);
                }
                out.push_str(&indent(level));
                out.push('}');
            }
        }
    }
}

#[test]
fn numbers() {
    for text in ["0", "-0", "10", "0.1000", "1e999", "-1.5E+07", "123456789012345678901234567890"] {
        assert!(is_number(text), "{text}");
    }
    for text in ["", "-", "+1", "007", "1.", ".5", "1e", "0x1", "1e+", "--1", "1 "] {
        assert!(!is_number(text), "{text}");
    }
}

#[test]
fn strictness() {
    for text in ["{}", "[1, {\"a\": [ ] }]", "\"\\u00e4\"", " null\n", "{\"a\":{\"a\":0.10}}"] {
        let value = parse(text.as_bytes()).unwrap();
        assert_eq!(parse(value.pretty().as_bytes()).unwrap(), value);
        assert_eq!(parse(value.compact().as_bytes()).unwrap(), value);
    }
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"x\":[{\"a\":1,\"a\":1}]}",
        "\"\\ud800\"",
        "\"\n\"",
        "{} {}",
        "nul",
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(parse(b"\"\xff\"").is_err());
}
