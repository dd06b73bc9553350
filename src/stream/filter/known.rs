//! The fields that a filter may ask for, and what their values are.

use crate::config::fault::nearest;
use crate::config::pipeline::{PipelineSpec, PromotedKind};
use crate::schema::{self, Field as Catalogued, GEO_KEYS, Kind};

use super::lex::{Word, cut};
use super::number::Limits;
use super::{Fault, FilterError, Use};

/// A name above this length is not looked for among those that were meant.
const GUESS_BYTES_MAX: usize = 64;

/// What the values of a field beside the catalogue are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Text,
    /// 32 bits.
    Integer,
    /// 64 bits.
    Long,
    Double,
    Boolean,
    Date,
    Ip,
    /// Nobody said: compared as a number where the filter has one, else as text. Its parts are known
    /// too.
    Any,
    /// Has parts, and no value of its own.
    Object,
}

/// The fields of the catalogue, and those of the pipelines.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Dotted names.
    others: Vec<(Box<str>, Type)>,
}

/// A field as a comparison takes it.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) sort: Sort,
    path: Box<[Box<str>]>,
    is_single: bool,
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Text,
    Boolean,
    /// `status_class`
    Class,
    Number(Limits),
    Time,
    Address,
    Any,
    Object,
}

impl Known {
    /// The catalogue and these fields, by their dotted names.
    pub fn new<'a>(others: impl IntoIterator<Item = (&'a str, Type)>) -> Self {
        Self { others: others.into_iter().map(|(name, kind)| (name.into(), kind)).collect() }
    }

    /// The catalogue and what these pipelines promote, declare and look up. A field that two of
    /// them make of different types is of either.
    pub fn of_pipelines<'a>(specs: impl IntoIterator<Item = &'a PipelineSpec>) -> Self {
        let mut known = Self::default();
        for spec in specs {
            for promotion in &spec.promote {
                known.add(&promotion.to, promotion.kind.into());
            }
            for name in &spec.extra {
                known.add(name, Type::Any);
            }
            for pair in &spec.geo {
                known.add(&pair.into, Type::Object);
                for (key, kind) in GEO_KEYS {
                    known.add(&format!("{}.{key}", pair.into), of_kind(kind));
                }
            }
        }
        known
    }

    fn add(&mut self, name: &str, kind: Type) {
        match self.others.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, known)) if *known != kind => *known = Type::Any,
            Some(_) => {}
            None => self.others.push((name.into(), kind)),
        }
    }

    /// The path of a field in an event, by its dotted name.
    ///
    /// # Errors
    /// No such field is known.
    pub fn path(&self, name: &str) -> Result<Box<[Box<str>]>, FilterError> {
        let word = Word { at: 0, text: name.to_owned(), is_quoted: false };
        self.field(&word).map(|field| field.path).map_err(|fault| fault.told(name))
    }

    /// The field that a word names.
    pub(super) fn field(&self, word: &Word) -> Result<Field, Fault> {
        let name = word.text.as_str();
        self.catalogued(name).or_else(|| self.other(name)).ok_or_else(|| {
            let fault = Fault::new(word.at, format!("no field `{}`", cut(name)));
            match self.meant(name) {
                Some(meant) => fault.hint(format!("did you mean `{meant}`?")),
                None => fault,
            }
        })
    }

    fn catalogued(&self, name: &str) -> Option<Field> {
        if let Some(field) = Catalogued::named(name) {
            let sort = match field {
                schema::STATUS => Sort::Number(Limits::Status),
                schema::STATUS_CLASS => Sort::Class,
                _ => of_kind(field.definition().kind).into(),
            };
            // What has a parent may be in a list of such.
            let is_single = !name.contains('.');
            return Some(Field { name: name.to_owned(), sort, path: split(name), is_single });
        }
        let (head, rest) = name.split_once('.').filter(|(_, rest)| !rest.is_empty())?;
        let (key, sort) = match Catalogued::named(head)?.definition().kind {
            Kind::Flattened => (rest.to_ascii_lowercase(), Sort::Text),
            Kind::Disabled => (rest.to_owned(), Sort::Any),
            _ => return None,
        };
        // The rest is one name, dots and all.
        let path = [head.into(), key.into()].into();
        Some(Field { name: name.to_owned(), sort, path, is_single: false })
    }

    fn other(&self, name: &str) -> Option<Field> {
        let find = |fits: &dyn Fn(&str, Type) -> bool| {
            self.others.iter().find(|(known, kind)| fits(known, *kind)).map(|(_, kind)| *kind)
        };
        let kind = find(&|known, _| known == name)
            // The object that promoted fields stand in.
            .or_else(|| find(&|known, _| is_within(known, name)).map(|_| Type::Object))
            .or_else(|| find(&|known, kind| kind == Type::Any && is_within(name, known)))?;
        let sort = kind.into();
        Some(Field { name: name.to_owned(), sort, path: split(name), is_single: false })
    }

    fn meant(&self, name: &str) -> Option<&str> {
        if name.len() > GUESS_BYTES_MAX {
            return None;
        }
        let catalogued = Catalogued::all().map(|field| -> &str { field.name() });
        nearest(name, catalogued.chain(self.others.iter().map(|(known, _)| &**known)))
    }
}

impl Field {
    pub(super) fn used(&self, reads: super::Reads) -> Use {
        Use { path: self.path.clone(), reads, is_single: self.is_single }
    }
}

impl From<PromotedKind> for Type {
    fn from(kind: PromotedKind) -> Self {
        match kind {
            PromotedKind::Keyword => Self::Text,
            PromotedKind::Long => Self::Long,
            PromotedKind::Double => Self::Double,
            PromotedKind::Boolean => Self::Boolean,
            PromotedKind::Date => Self::Date,
            PromotedKind::Ip => Self::Ip,
        }
    }
}

impl From<Type> for Sort {
    fn from(kind: Type) -> Self {
        match kind {
            Type::Text => Self::Text,
            Type::Integer => Self::Number(Limits::Integer),
            Type::Long => Self::Number(Limits::Long),
            Type::Double => Self::Number(Limits::Double),
            Type::Boolean => Self::Boolean,
            Type::Date => Self::Time,
            Type::Ip => Self::Address,
            Type::Any => Self::Any,
            Type::Object => Self::Object,
        }
    }
}

fn of_kind(kind: Kind) -> Type {
    match kind {
        Kind::Keyword | Kind::Identity | Kind::Body => Type::Text,
        Kind::Long => Type::Long,
        Kind::Integer => Type::Integer,
        Kind::Double => Type::Double,
        Kind::Date => Type::Date,
        Kind::Ip => Type::Ip,
        Kind::GeoPoint
        | Kind::Flattened
        | Kind::Object
        | Kind::Geo
        | Kind::Nested
        | Kind::Disabled => Type::Object,
    }
}

/// Whether a field is the status, which is a whole number always.
pub(super) fn is_status(name: &str) -> bool {
    name == schema::STATUS.name()
}

fn is_within(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.starts_with('.'))
}

fn split(name: &str) -> Box<[Box<str>]> {
    name.split('.').map(Box::from).collect()
}
