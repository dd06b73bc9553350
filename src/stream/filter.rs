//! Filters: which events a listener wants, as a line of text.
//!
//! The language is close to Kibana's KQL, with the operators of Elasticsearch's EQL beside it:
//!
//! ```text
//! status_class = 5xx and not api_name:"health check"
//! client_ip in (10.0.0.0/8, 2001:db8::/32) or request_http_headers.user-agent contains~ bot
//! time_to_serve_request > 1000 and (uri_path:/v1/* or tags:(slow or _unparsed))
//! ```
//!
//! ```text
//! filter     = all { "or" all } ;
//! all        = one { "and" one } ;
//! one        = "not" one | "(" filter ")" | comparison ;
//! comparison = field ( equals operand
//!                    | ( "<" | "<=" | ">" | ">=" ) value
//!                    | [ "not" ] "in" operand
//!                    | [ "not" ] ( "prefix" | "prefix~" | "contains" | "contains~" ) value
//!                    | [ "not" ] "exists" ) ;
//! equals     = "=" | "==" | ":" | "!=" ;
//! operand    = value | "(" value { ( "," | "or" ) value } ")" ;
//! field      = word | quoted ;
//! value      = word | quoted ;
//! quoted     = '"' { character | "\" ( "\" | '"' ) } '"' ;
//! ```
//!
//! - A word ends at white space, a parenthesis, a comma or a quote; a field also at one of
//!   `= ! < > :`. Keywords are written in either case, and quoted where they are meant as values.
//! - **Fields** are those of [`crate::schema`] with their parts (`billing.amount`), one header
//!   (`request_http_headers.user-agent`, in either case), and those that the pipelines declare or
//!   promote ([`Known`]).
//! - **A field of several values**, as `tags` or `latency_info.task`, fits where one of them does.
//!   `a != b` is `not a = b`, so it holds where `a` is absent, as in KQL. `null` is absent.
//! - **Text** is compared exactly; `prefix~` and `contains~` take ASCII letters in either case, as
//!   EQL's `~` does. Unquoted behind an equals, `x*` is a prefix, `*x*` is contained, and `*` is any
//!   value at all.
//! - **Numbers** are compared as numbers, whether the event has them as such or as text: integers of
//!   64 bits exactly, all else as doubles.
//! - **Times** (`datetime >= 2026-01-15T10:00:00Z`) are compared in milliseconds, as in the index. A
//!   day alone is its first moment, and only good for `>=` and `<`.
//! - **Addresses** are compared with an address or a network (CIDR; what is set behind the length of
//!   its prefix does not count). IPv4 is the network `::ffff:0:0/96` of IPv6, as in the index.
//! - **Classes of status**: `status = 4xx` and `status_class = 4xx` are the same. A status is any
//!   three digits from 100 to 999, since gateways have some of their own, so there is a class `9xx`.
//!
//! What can never match is a mistake and refused with the reason: an unknown field, a text for a
//! number, a range with nothing in it. Contradictions are looked for where they are cheap to find
//! (the bounds of one field, a comparison beside its own negation); a filter that passes may still
//! match nothing.
//!
//! [`Filter::parse`] checks a text. [`Table::compile`] gives the fields of a filter their slots; one
//! [`Slots`] is filled once for each event, for all filters of a table; [`Matcher::matches`] then
//! answers without an allocation.

use std::fmt;
use std::sync::Arc;

mod lex;
mod known;
mod number;
mod test;
mod compare;
mod parse;
mod never;
mod slots;
mod table;

pub use known::{Known, Type};
pub use slots::Slots;
pub use table::{Matcher, SLOTS_MAX, Table, TableFull};

use test::Test;

/// The longest text of a filter, in bytes: it fits a URL and a control message.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// How deep `not` and parentheses may be nested, in levels.
pub const DEPTH_LEVELS_MAX: usize = 32;
/// Comparisons in one filter.
pub const COMPARISONS_MAX: usize = 64;
/// Values in one filter, those of all its lists together.
pub const VALUES_MAX: usize = 256;

/// A checked filter; cheap to clone.
#[derive(Debug, Clone)]
pub struct Filter {
    text: Arc<str>,
    fields: Arc<[Use]>,
    root: Arc<Node>,
}

impl Filter {
    /// Checks the text of a filter.
    ///
    /// # Errors
    ///
    /// The text is no filter, is above one of the bounds of this module, names a field that is not
    /// known, or has a part that can never match.
    pub fn parse(text: &str, known: &Known) -> Result<Self, FilterError> {
        let (root, fields) = parse::filter(text, known).map_err(|fault| fault.told(text))?;
        Ok(Self { text: text.into(), fields: fields.into(), root: Arc::new(root) })
    }

    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The paths of the fields that it asks for.
    pub fn paths(&self) -> impl Iterator<Item = &[Box<str>]> {
        self.fields.iter().map(|used| &*used.path)
    }
}

/// Why a text is no filter, told so that it can be mended without a search.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    /// The character of the text that it is about, counted from 1; one more than there are for the
    /// end.
    pub character: usize,
    /// What is wrong, or what was expected.
    pub message: String,
    /// "did you mean", or how to mend it.
    pub hint: Option<String>,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: {}", self.character, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// A [`FilterError`] whose place is still a byte of the text.
#[derive(Debug)]
struct Fault {
    at: usize,
    message: String,
    hint: Option<String>,
}

impl Fault {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn told(self, text: &str) -> FilterError {
        let character = 1 + text.char_indices().take_while(|(at, _)| *at < self.at).count();
        FilterError { character, message: self.message, hint: self.hint }
    }
}

/// The tree of a filter.
#[derive(Debug, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// The field by its place in [`Filter::fields`].
    Test(usize, Test),
}

/// A field that a filter asks for, and how it is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    path: Box<[Box<str>]>,
    reads: Reads,
    /// An event has at most one value of it.
    is_single: bool,
}

/// What becomes of a field's values in their slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// The text of a scalar: of a number its digits as they came, of a boolean its name.
    Text,
    /// A number, or a text that is one.
    Number,
    /// Milliseconds since 1970.
    Time,
    Address,
    /// Only whether there is anything but `null`.
    Presence,
}

#[cfg(test)]
mod tests;
