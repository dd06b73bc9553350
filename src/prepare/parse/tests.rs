use proptest::prelude::*;

use super::reader::{Fault, Reader};
use super::*;

/// A value as it is written.
#[derive(Debug, Clone)]
enum Written {
    /// `true`, `false`, `null`.
    Literal(&'static str),
    Number(String),
    String(Text),
    Array(Vec<Written>),
    Object(Vec<(Text, Written)>),
}

/// A string: its value, and how it is written between the quotes.
#[derive(Debug, Clone)]
struct Text {
    value: String,
    written: String,
}

fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?"
}

fn text() -> impl Strategy<Value = Text> {
    let character = prop_oneof![
        4 => proptest::char::range('a', 'z'),
        1 => any::<char>(),
        1 => proptest::sample::select(vec!['"', '\\', '/', '\n', '\0', '€', '😀']),
    ];
    proptest::collection::vec((character, any::<bool>()), 0..12).prop_map(|characters| {
        let mut text = Text { value: String::new(), written: String::new() };
        for (character, escape) in characters {
            text.value.push(character);
            let must = character < ' ' || matches!(character, '"' | '\\');
            if must || escape && !character.is_ascii_lowercase() {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    text.written.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                text.written.push(character);
            }
        }
        text
    })
}

fn value() -> impl Strategy<Value = Written> {
    let leaf = prop_oneof![
        proptest::sample::select(vec!["true", "false", "null"]).prop_map(Written::Literal),
        number().prop_map(Written::Number),
        text().prop_map(Written::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Written::Array),
            proptest::collection::vec((text(), inner), 0..6).prop_map(Written::Object),
        ]
    })
}

impl Written {
    fn write(&self, out: &mut String, blank: &str) {
        match self {
            Self::Literal(text) => out.push_str(text),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => out.push_str(&format!("\"{}\"", text.written)),
            Self::Array(elements) => {
                out.push('[');
                for (number, element) in elements.iter().enumerate() {
                    out.push_str(if number > 0 { "," } else { "" });
                    out.push_str(blank);
                    element.write(out, blank);
                }
                out.push_str(blank);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (number, (name, value)) in members.iter().enumerate() {
                    out.push_str(if number > 0 { "," } else { "" });
                    out.push_str(&format!("{blank}\"{}\"{blank}:{blank}", name.written));
                    value.write(out, blank);
                    out.push_str(blank);
                }
                out.push('}');
            }
        }
    }

    /// Compares everything that a view tells with what was written.
    fn compare(&self, parsed: &Parsed<'_>, at: usize) {
        assert!(at < parsed.next(at) && parsed.next(at) <= parsed.nodes.len());
        let tail = &parsed.text[parsed.start(at)..];
        match self {
            Self::Literal(text) => {
                assert!(tail.starts_with(text.as_bytes()));
                assert!(!parsed.is_number(at) && parsed.number(at).is_none());
            }
            Self::Number(text) => {
                assert_eq!(parsed.number(at), Some(text.as_bytes()));
                assert_eq!(parsed.view(at).number(0), Some(text.as_bytes()));
            }
            Self::String(text) => text.compare(parsed, at),
            Self::Array(elements) => {
                assert!(tail.starts_with(b"[") && parsed.is_array(at));
                let places: Vec<_> = parsed.elements(at).collect();
                assert_eq!((places.len(), parsed.len(at)), (elements.len(), elements.len()));
                assert_eq!(parsed.members(at).count(), 0);
                for (element, place) in elements.iter().zip(places) {
                    element.compare(parsed, place);
                }
            }
            Self::Object(members) => {
                assert!(tail.starts_with(b"{") && parsed.is_object(at));
                let view = parsed.view(at);
                assert_eq!(view.next(0), view.nodes.len());
                let places: Vec<_> = view.members(0).collect();
                assert_eq!((places.len(), view.len(0)), (members.len(), members.len()));
                assert_eq!(parsed.elements(at).count(), 0);
                for ((name, value), (name_at, value_at)) in members.iter().zip(places) {
                    name.compare(&view, name_at);
                    value.compare(&view, value_at);
                }
            }
        }
    }
}

impl Text {
    fn compare(&self, parsed: &Parsed<'_>, at: usize) {
        assert_eq!(parsed.string(at), Some(&*self.value));
        let written = format!("\"{}\"", self.written);
        assert!(parsed.text[parsed.start(at)..].starts_with(written.as_bytes()));
        let quoted = (!self.written.contains('\\')).then_some(written.as_bytes());
        assert_eq!(parsed.quoted(at), quoted);
    }
}

proptest! {
    #[test]
    fn a_view_tells_what_was_written(
        values in proptest::collection::vec(value(), 1..3),
        blank in "[ \t\r\n]{0,3}",
    ) {
        let mut reader = Reader::new(DEPTH_MAX);
        // One reader for all, so that nothing of one text is left for the next.
        for value in values {
            let mut text = blank.clone();
            value.write(&mut text, &blank);
            text.push_str(&blank);
            let before = text.clone();
            reader.read(text.as_bytes(), |parsed| value.compare(&parsed, 0)).unwrap();
            prop_assert_eq!(text, before);
        }
    }

    /// serde_json judges well-formedness: of structure, of numbers, of strings.
    #[test]
    fn the_reader_takes_what_is_json(tokens in proptest::collection::vec(
        proptest::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"\\u12\"", "\"\\ud800\"", "\"\x01\"", "\"",
            "\\", "1", "0", "-", "+5", "007", "1.", ".5", "1e5", "-0", "1E-400", "NaN", "true",
            "nul", "null", " ", "\0", "\u{feff}", "é",
        ]), 0..8))
    {
        let text = tokens.concat();
        let read = Reader::new(DEPTH_MAX).read(text.as_bytes(), |_| ()).is_ok();
        let judged = serde_json::from_str::<serde_json::Value>(&text);
        // serde_json knows no large numbers, and says nothing about the rest then.
        let large = |error: &serde_json::Error| error.to_string().contains("out of range");
        prop_assume!(!judged.as_ref().is_err_and(large));
        prop_assert_eq!(read, judged.is_ok(), "{}", text);
    }
}

fn check_number(written: &str) {
    let text = format!("{{\"a\":{written},\"b\":[{written} ,{written}]}}");
    Reader::new(DEPTH_MAX)
        .read(text.as_bytes(), |parsed| {
            for at in [2, 5, 6] {
                assert!(parsed.is_number(at), "{written}");
                assert_eq!(parsed.number(at), Some(written.as_bytes()));
            }
        })
        .unwrap();
}

#[test]
fn numbers_keep_their_digits() {
    for written in [
        "0",
        "-0",
        "0.1000",
        "1E5",
        "1e+05",
        "1e-400",
        "-1e-99999999999",
        "0e99999999999",
        "1e999",
        "-1e999",
        "1e99999999999",
        "18446744073709551616",
        "-9223372036854775809",
        "1234567890123456789012345678901234567890",
        "0.1234567890123456789012345678901234567890",
    ] {
        check_number(written);
    }
    check_number(&"9".repeat(1_500));
    check_number(&format!("-{}.{}e-7", "1".repeat(400), "2".repeat(2_000)));
}

#[test]
fn what_stands_for_a_masked_number_is_large() {
    let read = |text: &str| {
        Reader::new(DEPTH_MAX).read(text.as_bytes(), |parsed| {
            parsed.node(1).map(|node| {
                node == Node::Static(StaticNode::F64(if text.contains('-') {
                    -1e308
                } else {
                    1e308
                }))
            })
        })
    };
    assert_eq!(read("[1e999]"), Ok(Some(true)));
    assert_eq!(read("[-1e999]"), Ok(Some(true)));
    assert!(read("[1e999,01]").is_err());
}

#[test]
fn depth_has_a_limit() {
    let read = |open: &str, close: &str, levels: usize| {
        let text = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        Reader::new(DEPTH_MAX).read(text.as_bytes(), |_| ())
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        assert_eq!(read(open, close, DEPTH_MAX), Ok(()));
        assert_eq!(read(open, close, DEPTH_MAX + 1), Err(Fault::TooDeep));
        assert_eq!(read(open, close, 100_000), Err(Fault::TooDeep));
    }
}
