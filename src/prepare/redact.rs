//! Taking secrets out of an event before any output sees it.

pub mod cover;
mod names;
mod header;
mod percent;
mod query;
mod plan;

use rustc_hash::FxHashMap;

use self::cover::Cover;
use self::header::Shape;
use self::names::Names;
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
pub struct Handling {
    content: Content,
    /// The place in [`Redactor::rules`].
    rules: Option<usize>,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Content {
    #[default]
    Plain,
    Query,
    Url,
    Address,
}

/// The rules of a pipeline for one field.
#[derive(Debug, Default)]
struct FieldRules {
    action: Option<RedactAction>,
}

/// What is done with the values of one header.
#[derive(Debug, Default)]
struct HeaderRules {
    content: Content,
    secret: Option<(Shape, RedactAction)>,
}

/// The redaction of one pipeline, ready to be used by many workers at a time.
///
/// Every method clears `out`, and leaves a value in it only with [`Redacted::Changed`].
#[derive(Debug)]
pub struct Redactor {
    headers: Names<HeaderRules>,
    parameters: Parameters,
    fields: FxHashMap<Box<str>, usize>,
    rules: Vec<FieldRules>,
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
        out.clear();
        let Some(rules) = self.headers.get(lower_name.as_bytes()) else { return Redacted::Same };
        match rules.secret {
            Some((shape, action)) => header::redact(shape, action, value, &self.cover, out),
            None => self.content(rules.content, value, out),
        }
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

    /// What there is to do for a field; `None`: nothing, whatever its value. Fields inside the
    /// headers are none of these.
    #[must_use]
    pub fn handling(&self, dotted_name: &str) -> Option<Handling> {
        let content = match dotted_name {
            "query_string" => Content::Query,
            "uri_path" | "endpoint_url" => Content::Url,
            _ => Content::Plain,
        };
        let rules = self.fields.get(dotted_name).copied();
        (content != Content::Plain || rules.is_some()).then_some(Handling { content, rules })
    }

    /// A field's value: everything that [`Self::handling`] found for it.
    pub fn handled(&self, handling: Handling, value: &str, out: &mut String) -> Redacted {
        out.clear();
        let rules = handling.rules.and_then(|at| self.rules.get(at));
        if let Some(action) = rules.and_then(|rules| rules.action) {
            return header::redact(Shape::Opaque, action, value, &self.cover, out);
        }
        self.content(handling.content, value, out)
    }

    /// A field's value, by the field's name.
    pub fn field(&self, dotted_name: &str, value: &str, out: &mut String) -> Redacted {
        match self.handling(dotted_name) {
            Some(handling) => self.handled(handling, value, out),
            None => {
                out.clear();
                Redacted::Same
            }
        }
    }

    /// Addresses, one or a list: `client_ip`, the `ip` of geo objects.
    pub fn address(&self, value: &str, out: &mut String) -> Redacted {
        out.clear();
        self.content(Content::Address, value, out)
    }

    /// Whether [`Self::address`] changes anything.
    #[must_use]
    pub fn has_address_privacy(&self) -> bool {
        self.privacy != AddressPrivacy::Keep
    }

    /// Whether any rule names a field; without one, fields that the catalogue does not know need
    /// not be asked for.
    #[must_use]
    pub fn has_field_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    fn content(&self, content: Content, value: &str, out: &mut String) -> Redacted {
        match content {
            Content::Plain | Content::Address => Redacted::Same,
            Content::Query => {
                query::redact(&self.parameters, Whole::Query, value, &self.cover, out)
            }
            Content::Url => query::redact(&self.parameters, Whole::Url, value, &self.cover, out),
        }
    }
}

#[cfg(test)]
mod tests;
