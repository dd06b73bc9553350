//! Promotions: headers and parts of bodies that become typed fields.

use rustc_hash::FxHashMap;

use crate::config::fault::SpecFault;
use crate::config::pipeline::{ExportList, PipelineSpec, PromotedKind, Promotion};
use crate::prepare::redact::path::{self, Path};
use crate::prepare::survey::Slot;
use crate::prepare::trim::{Candidate, pass};
use crate::schema::{Field, Group, Kind};

/// More would not fit the index's limit of fields together with the catalogue.
const LIFTS_MAX: usize = 500;

/// Every promotion of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct Lifts {
    /// Those of one object stand together, in the order in which they are written.
    pub(crate) all: Vec<Lift>,
    headers: FxHashMap<Box<str>, Vec<(Slot, usize)>>,
    bodies: Vec<(Slot, usize)>,
}

/// One promotion.
#[derive(Debug)]
pub(crate) struct Lift {
    /// `h`
    pub(crate) object: Box<str>,
    /// `user_agent`
    pub(crate) name: Box<str>,
    /// `h.user_agent`
    pub(crate) to: Box<str>,
    pub(crate) kind: PromotedKind,
    /// By [`super::Output`].
    pub(crate) exported: [bool; 2],
    pub(crate) source: Source,
}

/// Where the value of a promotion comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Header { field: Box<str>, name: Box<str> },
    Body { field: Box<str>, path: Path },
}

impl Lifts {
    /// # Errors
    /// Every fault of the promotions.
    pub(super) fn compile(spec: &PipelineSpec) -> Result<Self, Vec<SpecFault>> {
        let mut faults = Vec::new();
        let mut all = Vec::new();
        if spec.promote.len() > LIFTS_MAX {
            let message =
                format!("{} fields are promoted, at most {LIFTS_MAX}", spec.promote.len());
            faults.push(SpecFault { key: "promote".to_owned(), message, hint: None });
        }
        for (at, promotion) in spec.promote.iter().enumerate() {
            let earlier = spec.promote.iter().take(at);
            if earlier.clone().any(|other| other.to == promotion.to) {
                let message = format!("`{}` is promoted twice", promotion.to);
                faults.push(SpecFault { key: format!("promote[{at}].as"), message, hint: None });
                continue;
            }
            match lift(spec, promotion) {
                Ok(lift) => all.push(lift),
                Err((member, message, hint)) => {
                    let key = format!("promote[{at}].{member}");
                    faults.push(SpecFault { key, message, hint: Some(hint) });
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        all.sort_by(|one, other| one.object.cmp(&other.object));
        Ok(Self { all, ..Self::default() })
    }

    /// Finds the slots of the fields that values are lifted from.
    pub(super) fn find_sources(&mut self, slot: &impl Fn(&str) -> Slot) {
        for (at, lift) in self.all.iter().enumerate() {
            match &lift.source {
                Source::Header { field, name } => {
                    self.headers.entry(name.clone()).or_default().push((slot(field), at));
                }
                Source::Body { field, .. } => self.bodies.push((slot(field), at)),
            }
        }
    }

    /// The promotions that a header of this lower-case name may feed, with the headers field each
    /// is of.
    #[inline]
    pub(crate) fn of_header(&self, lower_name: &str) -> &[(Slot, usize)] {
        self.headers.get(lower_name).map_or(&[], Vec::as_slice)
    }

    /// The promotions from bodies, with the body field each is of.
    pub(crate) fn of_bodies(&self) -> &[(Slot, usize)] {
        &self.bodies
    }

    /// Whether any promotion of these sources goes out.
    pub(crate) fn any_exported(&self, output: super::Output) -> bool {
        self.all.iter().any(|lift| output.of(lift.exported))
    }
}

type LiftFault = (&'static str, String, String);

fn lift(spec: &PipelineSpec, promotion: &Promotion) -> Result<Lift, LiftFault> {
    let (object, name) = target(&promotion.to)?;
    let source = source(&promotion.from)?;
    let group = match source {
        Source::Header { .. } => Group::Headers,
        Source::Body { .. } => Group::Payload,
    };
    let exports = |list: &ExportList| {
        !pass(list, Candidate { name: &promotion.to, group, headers: false }).is_drop()
    };
    Ok(Lift {
        object: object.into(),
        name: name.into(),
        to: promotion.to.as_str().into(),
        kind: promotion.kind,
        exported: [exports(&spec.export_index), exports(&spec.export_live)],
        source,
    })
}

fn target(to: &str) -> Result<(&str, &str), LiftFault> {
    let is_name = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        !name.is_empty() && !name.starts_with('_') && name.chars().all(plain)
    };
    let hint = "an object and a name, as in `h.x_tenant`".to_owned();
    let parts = to.split_once('.').filter(|(object, name)| is_name(object) && is_name(name));
    let Some((object, name)) = parts else {
        return Err(("as", format!("`{to}` is no place for a promoted field"), hint));
    };
    if Field::named(object).is_some() {
        return Err(("as", format!("`{object}` is a field of its own"), hint));
    }
    Ok((object, name))
}

fn source(from: &str) -> Result<Source, LiftFault> {
    let kind = |field: &str| Field::named(field).map(|field| field.definition().kind);
    if let Some((field, path)) = from.split_once(':') {
        if kind(field) != Some(Kind::Body) {
            let hint = "a path is looked for in `request_body` or `response_body`".to_owned();
            return Err(("from", format!("`{field}` is no body"), hint));
        }
        let path = Path::compile(path, crate::config::pipeline::RedactAction::Mask);
        let path = path.map_err(|why| ("from", why, path::SUPPORTED.to_owned()))?;
        return Ok(Source::Body { field: field.into(), path });
    }
    if let Some((field, name)) = from.split_once('.')
        && kind(field) == Some(Kind::Flattened)
        && !name.is_empty()
    {
        return Ok(Source::Header { field: field.into(), name: name.to_ascii_lowercase().into() });
    }
    let hint = "a header, as in `request_http_headers.x-tenant`, or a path in a body, as in \
                `request_body:$.amount`";
    Err(("from", format!("`{from}` is neither header nor body"), hint.to_owned()))
}
