//! What leaves: the exported fields of each output, and how much of a body.
//!
//! A list includes fields, groups and parts of fields, and excludes them; exclusion beats
//! inclusion. It is worked out once for every field of the plan, so that trimming an event looks
//! nothing up by group.

use rustc_hash::FxHashMap;

use crate::config::pipeline::ExportList;
use crate::schema::Group;

/// What of one field goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pass {
    Drop,
    Whole,
    Parts(Box<Parts>),
}

/// What of an object goes out. The names of headers are lower case and may hold dots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parts {
    /// Whether a name goes out that is not among `names`.
    rest: bool,
    names: FxHashMap<Box<str>, Pass>,
}

impl Pass {
    /// What of a member goes out.
    #[inline]
    pub(crate) fn part(&self, name: &str) -> &Self {
        match self {
            Self::Drop => &Self::Drop,
            Self::Whole => &Self::Whole,
            Self::Parts(parts) => parts.part(name),
        }
    }

    /// What of the part under a dotted name goes out.
    pub(crate) fn below(&self, dotted: &str) -> &Self {
        dotted.split('.').fold(self, |pass, name| pass.part(name))
    }

    #[inline]
    pub(crate) fn is_drop(&self) -> bool {
        matches!(self, Self::Drop)
    }

    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole)
    }
}

impl Parts {
    fn part(&self, name: &str) -> &Pass {
        match self.names.get(name) {
            Some(pass) => pass,
            None if self.rest => &Pass::Whole,
            None => &Pass::Drop,
        }
    }
}

/// What is known of a field that decides whether a list exports it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// Dotted; for everything but promoted fields the name of a member of the event.
    pub(crate) name: &'a str,
    pub(crate) group: Group,
    /// What follows the field's name is one name, dots and all: that of a header.
    pub(crate) headers: bool,
}

/// What of the field the list exports.
pub(crate) fn pass(list: &ExportList, field: Candidate<'_>) -> Pass {
    if field.group == Group::Always {
        return Pass::Whole;
    }
    let names_group = |names: &[String]| {
        names.iter().any(|name| {
            name == "@all" && field.group != Group::Transport
                || Some(name.as_str()) == field.group.name()
        })
    };
    let excluded = below(&list.exclude, field.name);
    if names_group(&list.exclude) || excluded.contains(&"") {
        return Pass::Drop;
    }
    let included = below(&list.include, field.name);
    let whole = names_group(&list.include) || included.contains(&"");
    parts(whole, &included, &excluded, field.headers)
}

/// What the list says below a field: `""` for the field itself or for what holds it.
fn below<'a>(list: &'a [String], field: &str) -> Vec<&'a str> {
    let rest = |name: &'a String| {
        let dotted = |whole: &'a str, part: &str| {
            let rest = whole.strip_prefix(part)?;
            if rest.is_empty() { Some("") } else { rest.strip_prefix('.') }
        };
        dotted(name, field).or_else(|| {
            let above = field.strip_prefix(name.as_str())?;
            above.starts_with('.').then_some("")
        })
    };
    list.iter().filter_map(rest).collect()
}

fn parts(whole: bool, included: &[&str], excluded: &[&str], headers: bool) -> Pass {
    let included = if whole { &[] } else { included };
    if included.is_empty() && excluded.is_empty() {
        return if whole { Pass::Whole } else { Pass::Drop };
    }
    let mut parts = Parts { rest: whole, names: FxHashMap::default() };
    for name in included.iter().chain(excluded) {
        let (head, _) = split(name, headers);
        if parts.names.contains_key(head.as_str()) {
            continue;
        }
        let (wanted, unwanted) = (under(included, &head, headers), under(excluded, &head, headers));
        let pass = if unwanted.contains(&"") {
            Pass::Drop
        } else {
            self::parts(whole || wanted.contains(&""), &wanted, &unwanted, false)
        };
        parts.names.insert(head.into(), pass);
    }
    Pass::Parts(Box::new(parts))
}

/// The first segment of a name, and the rest; the name of a header has one segment only.
fn split(name: &str, headers: bool) -> (String, &str) {
    if headers {
        return (name.to_ascii_lowercase(), "");
    }
    let (head, rest) = name.split_once('.').unwrap_or((name, ""));
    (head.to_owned(), rest)
}

/// What the names say below `head`.
fn under<'a>(names: &[&'a str], head: &str, headers: bool) -> Vec<&'a str> {
    let rest = |name: &&'a str| {
        let (first, rest) = split(name, headers);
        (first == head).then_some(rest)
    };
    names.iter().filter_map(rest).collect()
}

/// The first `bytes_max` bytes of a text, or a little less: a character is never cut.
pub(crate) fn head(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> ExportList {
        let (exclude, include): (Vec<_>, Vec<_>) =
            names.iter().map(|&name| name.to_owned()).partition(|name| name.starts_with('-'));
        let exclude =
            exclude.iter().filter_map(|name| name.strip_prefix('-')).map(str::to_owned).collect();
        ExportList { include, exclude }
    }

    fn check(names: &[&str], (name, group): (&str, Group), part: &str, expected: bool) {
        let headers = group == Group::Headers;
        let mut pass = &pass(&list(names), Candidate { name, group, headers });
        let segments: Vec<_> = if headers {
            vec![part]
        } else {
            part.split('.').filter(|one| !one.is_empty()).collect()
        };
        for segment in segments {
            pass = pass.part(segment);
        }
        assert_eq!(!pass.is_drop(), expected, "{names:?} {name} {part}");
    }

    #[test]
    fn lists() {
        let billing = ("billing", Group::Billing);
        let headers = ("request_http_headers", Group::Headers);
        let transport = ("headers", Group::Transport);
        let foreign = ("backend", Group::Unknown);
        check(&["@all"], billing, "", true);
        check(&["@all"], foreign, "x", true);
        check(&["@all"], transport, "", false);
        check(&["headers"], transport, "", true);
        check(&[], billing, "", false);
        check(&[], ("org_id", Group::Always), "", true);
        check(&["@billing"], billing, "amount", true);
        check(&["@billing", "-billing.amount"], billing, "amount", false);
        check(&["@billing", "-billing.amount"], billing, "model", true);
        check(&["billing.amount"], billing, "amount", true);
        check(&["billing.amount"], billing, "model", false);
        check(&["billing.amount", "-@billing"], billing, "amount", false);
        check(&["billing", "-billing"], billing, "", false);
        check(&["@all", "-request_http_headers.X.Y"], headers, "x.y", false);
        check(&["@all", "-request_http_headers.X.Y"], headers, "x", true);
        check(&["request_http_headers.user-agent"], headers, "user-agent", true);
        check(&["request_http_headers.user-agent"], headers, "host", false);
        check(&["backend.a.b", "-backend.a.b.c"], foreign, "a.b.d", true);
        check(&["backend.a.b", "-backend.a.b.c"], foreign, "a.b.c", false);
        check(&["backend.a.b"], foreign, "a.c", false);
        check(&["h"], ("h.referer", Group::Headers), "", true);
        check(&["@all", "-h"], ("h.referer", Group::Headers), "", false);
    }

    #[test]
    fn no_character_is_cut() {
        for (bytes_max, expected) in [(0, ""), (1, "a"), (2, "a"), (3, "aä"), (9, "aäb")] {
            assert_eq!(head("aäb", bytes_max), expected);
        }
    }
}
