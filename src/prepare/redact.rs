//! Taking secrets out of an event before any output sees it.

pub mod cover;
pub(crate) mod names;
mod header;
mod percent;
mod words;
mod query;
mod members;
mod address;
pub(crate) mod path;
mod body;
mod pattern;
mod foreign;
mod plan;

use rustc_hash::FxHashMap;

use self::cover::Cover;
use self::header::Shape;
use self::names::Names;
use self::path::Path;
use self::pattern::Pattern;
use self::query::{Parameters, Whole};
use crate::config::fault::SpecFault;
use crate::config::pipeline::{AddressPrivacy, PipelineSpec, RedactAction};

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redacted {
    /// It holds no secret; nothing was written.
    Same,
    /// The new value was written: plain text, not yet escaped for JSON.
    Changed,
    /// The field, header or array element is to be left out.
    Removed,
}

/// How the value of a field is searched, found once for a field that the catalogue knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handling(usize);

/// What a value is, whatever the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Content {
    #[default]
    Plain,
    Query,
    Url,
    /// One address, or a list.
    Address,
    /// The header `Forwarded`.
    Forwarded,
    /// Headers, of which a text is not taken apart.
    Headers,
}

/// What is done with the values of one field or header, in the order of doing. A value that is
/// secret as a whole is searched no further.
#[derive(Debug, Default)]
struct Rules {
    secret: Option<(Shape, RedactAction)>,
    content: Content,
    paths: Vec<Path>,
    patterns: Vec<Pattern>,
}

/// The redaction of one pipeline, ready to be used by many workers at a time.
///
/// Every method clears `out`, and leaves a value in it only with [`Redacted::Changed`].
#[derive(Debug)]
pub struct Redactor {
    /// The places of headers in `rules`.
    headers: Names<usize>,
    parameters: Parameters,
    /// Patterns for the values of all headers.
    header_patterns: Vec<Pattern>,
    /// The places of fields in `rules`.
    fields: FxHashMap<Box<str>, usize>,
    /// The same, however the name is spelt.
    spelt_fields: Names<usize>,
    rules: Vec<Rules>,
    /// Some of the fields are none of the catalogue's, or parts that may stand elsewhere too.
    foreign: bool,
    /// The rules for addresses in geo objects that no look-up writes, where addresses are private.
    geo_ip: Option<usize>,
    /// The letters of the names of our geo objects.
    geo_objects: Vec<Box<[u8]>>,
    cover: Cover,
    privacy: AddressPrivacy,
}

impl Redactor {
    /// # Errors
    /// Every fault of the rules, each with its key.
    pub fn compile(spec: &PipelineSpec) -> Result<Self, Vec<SpecFault>> {
        plan::compile(spec)
    }

    /// One value of a request's or a response's header.
    pub fn header(&self, lower_name: &str, value: &str, out: &mut String) -> Redacted {
        self.header_value(self.header_rules(lower_name), value, out)
    }

    /// What there is to do for a header beside the patterns for all of them.
    pub(crate) fn header_rules(&self, lower_name: &str) -> Option<Handling> {
        self.headers.get(lower_name.as_bytes()).copied().map(Handling)
    }

    /// Whether there is nothing to do for a header, whatever its value.
    pub(crate) fn passes_header(&self, rules: Option<Handling>) -> bool {
        rules.is_none() && self.header_patterns.is_empty()
    }

    /// One value of the header that the rules are for.
    pub(crate) fn header_value(
        &self,
        rules: Option<Handling>,
        value: &str,
        out: &mut String,
    ) -> Redacted {
        out.clear();
        let redacted = match rules.and_then(|rules| self.rules.get(rules.0)) {
            Some(rules) => self.apply(rules, value, out),
            None => Redacted::Same,
        };
        self.patterns(&self.header_patterns, redacted, value, out)
    }

    /// A query string, with or without its `?`.
    pub fn query(&self, value: &str, out: &mut String) -> Redacted {
        out.clear();
        self.content(Content::Query, value, out)
    }

    /// A URL, or a part of one: the parameters of its query and its fragment, and its user.
    pub fn url(&self, value: &str, out: &mut String) -> Redacted {
        out.clear();
        self.content(Content::Url, value, out)
    }

    /// What there is to do for a field; `None`: nothing, whatever its value. A rule for an object
    /// holds for everything inside it. Headers are asked for with [`Self::header`] instead.
    #[must_use]
    pub fn handling(&self, dotted_name: &str) -> Option<Handling> {
        let mut name = dotted_name;
        loop {
            if let Some(&at) = self.fields.get(name) {
                return Some(Handling(at));
            }
            name = name.rsplit_once('.')?.0;
        }
    }

    /// Whether something inside this field is handled: a value in its place that is no object may
    /// hold it too.
    #[must_use]
    pub fn handles_part_of(&self, dotted_name: &str) -> bool {
        let mut below = self.fields.keys().filter_map(|name| name.strip_prefix(dotted_name));
        below.any(|rest| rest.starts_with('.'))
    }

    /// What there is to do for a member that is none of the catalogue's, or in none of its places:
    /// it goes by its name, which may be that of a header or of a field, in any spelling.
    #[must_use]
    #[inline]
    pub fn member(&self, name: &str) -> Option<Handling> {
        let mut name = name;
        loop {
            let known = |names: &Names<usize>| names.get(name.as_bytes()).copied();
            if let Some(at) = known(&self.headers).or_else(|| known(&self.spelt_fields)) {
                return Some(Handling(at));
            }
            name = name.split_once('.')?.1;
        }
    }

    /// Whether the values are secret as a whole.
    #[must_use]
    pub fn is_secret(&self, handling: Handling) -> bool {
        self.rules.get(handling.0).is_some_and(|rules| rules.secret.is_some())
    }

    /// What becomes of a value that is no text, so that nothing can be found in it.
    #[must_use]
    pub fn whole(&self, handling: Handling) -> Redacted {
        let Some(rules) = self.rules.get(handling.0) else { return Redacted::Same };
        match rules.secret {
            Some((_, RedactAction::Remove)) => Redacted::Removed,
            Some(_) => Redacted::Changed,
            None if !rules.paths.is_empty() => Redacted::Changed,
            None if matches!(rules.content, Content::Query | Content::Address) => Redacted::Changed,
            None => Redacted::Same,
        }
    }

    /// A field's value: everything that [`Self::handling`] found for it.
    pub fn handled(&self, handling: Handling, value: &str, out: &mut String) -> Redacted {
        out.clear();
        match self.rules.get(handling.0) {
            Some(rules) => self.apply(rules, value, out),
            None => Redacted::Same,
        }
    }

    /// A field's value, by the field's name; for bodies too.
    pub fn field(&self, dotted_name: &str, value: &str, out: &mut String) -> Redacted {
        out.clear();
        match self.handling(dotted_name) {
            Some(handling) => self.handled(handling, value, out),
            None => Redacted::Same,
        }
    }

    /// Addresses, one or a list: `client_ip`, the `ip` of geo objects.
    pub fn address(&self, value: &str, out: &mut String) -> Redacted {
        out.clear();
        self.content(Content::Address, value, out)
    }

    /// Whether any rule names a field that the catalogue does not know, or a part of one; without
    /// one, the places of foreign members need not be asked for.
    #[must_use]
    pub fn has_foreign_rules(&self) -> bool {
        self.foreign
    }

    fn apply(&self, rules: &Rules, value: &str, out: &mut String) -> Redacted {
        if let Some((shape, action)) = rules.secret {
            return header::redact(shape, action, value, &self.cover, out);
        }
        let redacted = if rules.paths.is_empty() {
            self.content(rules.content, value, out)
        } else {
            body::redact(&rules.paths, value, &self.cover, out)
        };
        self.patterns(&rules.patterns, redacted, value, out)
    }

    fn content(&self, content: Content, value: &str, out: &mut String) -> Redacted {
        let (privacy, cover) = (&self.privacy, &self.cover);
        match content {
            Content::Plain => Redacted::Same,
            Content::Query => query::redact(&self.parameters, Whole::Query, value, cover, out),
            Content::Url => query::redact(&self.parameters, Whole::Url, value, cover, out),
            Content::Address => address::list(privacy, value, cover, out),
            Content::Forwarded => address::forwarded(privacy, value, cover, out),
            Content::Headers => {
                let shape = Shape::Opaque;
                header::redact(shape, RedactAction::Mask, value, cover, out)
            }
        }
    }

    /// The patterns come last: names, paths and addresses are found by the form of a value, which
    /// a pattern may destroy.
    fn patterns(
        &self,
        patterns: &[Pattern],
        mut redacted: Redacted,
        value: &str,
        out: &mut String,
    ) -> Redacted {
        for pattern in patterns {
            let mut next = String::new();
            let value = match redacted {
                Redacted::Same => value,
                Redacted::Changed => out.as_str(),
                Redacted::Removed => return redacted,
            };
            match pattern.redact(value, &self.cover, &mut next) {
                Redacted::Same => {}
                changed => {
                    *out = next;
                    redacted = changed;
                }
            }
        }
        redacted
    }
}

#[cfg(test)]
mod tests;
