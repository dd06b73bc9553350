//! What a pipeline's settings mean, worked out once: preparation looks nothing up by name but the
//! names of an event's own members.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use crate::config::fault::SpecFault;
use crate::config::pipeline::{IndexNaming, LogPolicy, PipelineSpec};
use crate::schema::{CATALOGUE, Group, Kind};

use super::redact::names::Names;
use super::redact::{Handling, Redactor};
use super::survey::Slot;
use super::trim::Pass;

mod fields;
mod names;
mod lift;

pub(crate) use self::lift::{Lift, Lifts, Source};

/// One pipeline, ready to prepare its events.
#[derive(Debug)]
pub struct Plan {
    /// How many geo pairs there are: the length of `Facts::geo`.
    pub geo_targets: Vec<Box<str>>,
    pub(crate) fields: Vec<FieldPlan>,
    slots: FxHashMap<Box<str>, Slot>,
    /// Whether members go out that no field stands for.
    pub(crate) unknown: [bool; 2],
    /// Both outputs export the same.
    pub(crate) same_exports: bool,
    pub(crate) redactor: Redactor,
    pub(crate) geo: Vec<GeoPlan>,
    pub(crate) lifts: Lifts,
    /// What of an event may be stored only from a policy on, by names in any spelling.
    pub(crate) policies: Names<LogPolicy>,
    /// The gateway's own unique field.
    pub(crate) id_from: Option<Place>,
    pub(crate) areas: Vec<(Place, Box<str>)>,
    pub(crate) naming: IndexNaming,
    pub(crate) policy_max: LogPolicy,
    pub(crate) payload_bytes_max: usize,
    pub(crate) trusted_proxies: Option<usize>,
}

/// Which list of exported fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Index,
    Live,
}

/// Where in an event a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) slot: Slot,
    /// Names below the member.
    pub(crate) below: Vec<Box<str>>,
}

/// One member that an event may have.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) name: Box<str>,
    /// How its member begins: `,"name":`, ready to be written.
    pub(crate) key: Box<[u8]>,
    pub(crate) act: Act,
    pub(crate) handling: Option<Handling>,
    /// By [`Output`].
    pub(crate) pass: [Pass; 2],
    /// The fields of an object that have a type of their own.
    pub(crate) parts: Vec<PartPlan>,
}

/// A typed field within an object.
#[derive(Debug)]
pub(crate) struct PartPlan {
    pub(crate) name: &'static str,
    /// `,"name":`
    pub(crate) key: Box<[u8]>,
    pub(crate) kind: Kind,
    pub(crate) handling: Option<Handling>,
}

/// What becomes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Keyword,
    Number(Kind),
    Address,
    /// Written by the stamp, whatever came.
    Datetime,
    QueryString,
    Headers,
    Body,
    /// An object, or an array of objects, with typed parts.
    Object,
    /// Also keyed by the limit's name.
    RateLimit,
    /// Kept where a look-up has none of its own.
    Geo(usize),
    /// Ours are added.
    Tags,
    /// The name is ours: theirs moves to `source`.
    Reserved,
    /// None of the catalogue's, named by the configuration.
    Foreign,
}

/// One look-up.
#[derive(Debug)]
pub(crate) struct GeoPlan {
    pub(crate) from: Place,
    pub(crate) into: Slot,
    /// What becomes of the address in the geo object.
    pub(crate) ip: Option<Handling>,
    /// `_client_geoip_lookup_failure`
    pub(crate) tag: Box<str>,
}

impl Plan {
    /// # Errors
    /// Every fault of the settings, each with its key.
    pub fn compile(spec: &PipelineSpec) -> Result<Self, Vec<SpecFault>> {
        let mut faults = names::faults(spec);
        let redactor = match Redactor::compile(spec) {
            Ok(redactor) => Some(redactor),
            Err(found) => {
                faults.extend(found);
                None
            }
        };
        let lifts = match Lifts::compile(spec) {
            Ok(lifts) => Some(lifts),
            Err(found) => {
                faults.extend(found);
                None
            }
        };
        if let Some(redactor) = &redactor {
            faults.extend(names::shown(spec, redactor));
        }
        match (redactor, lifts) {
            (Some(redactor), Some(lifts)) if faults.is_empty() => {
                Ok(Self::of(spec, redactor, lifts))
            }
            _ => Err(faults),
        }
    }

    fn of(spec: &PipelineSpec, redactor: Redactor, mut lifts: Lifts) -> Self {
        let fields = fields::compile(spec, &redactor);
        // A dotted row of the catalogue is a part of another, no member.
        let members = fields.iter().enumerate().filter(|(_, field)| !field.name.contains('.'));
        let slots: FxHashMap<Box<str>, Slot> =
            members.map(|(slot, field)| (field.name.clone(), slot)).collect();
        let slot = |name: &str| slots.get(name).copied().unwrap_or(usize::MAX);
        let place = |dotted: &str| {
            let mut segments = dotted.split('.');
            let head = segments.next().unwrap_or_default();
            Place { slot: slot(head), below: segments.map(Into::into).collect() }
        };
        lifts.find_sources(&slot);
        let geo = spec.geo.iter().map(|pair| GeoPlan {
            from: place(&pair.from),
            into: slot(&pair.into),
            ip: redactor.handling(&format!("{}.ip", pair.into)),
            tag: format!("_{}_lookup_failure", pair.into).into(),
        });
        let areas = spec.area_from.iter();
        let lists = [&spec.export_index, &spec.export_live];
        Self {
            geo_targets: spec.geo.iter().map(|pair| pair.into.as_str().into()).collect(),
            unknown: lists.map(fields::exports_unknown),
            same_exports: spec.export_index == spec.export_live,
            geo: geo.collect(),
            id_from: spec.id_from.as_deref().map(place),
            areas: areas.map(|area| (place(&area.field), area.prefix.as_str().into())).collect(),
            policies: policies(),
            naming: spec.index.clone(),
            policy_max: spec.log_policy_max,
            payload_bytes_max: spec.payload_bytes_max,
            trusted_proxies: spec.addresses.trusted_proxies,
            redactor,
            lifts,
            fields,
            slots,
        }
    }

    #[inline]
    pub(crate) fn slot(&self, name: &str) -> Option<Slot> {
        self.slots.get(name).copied()
    }

    #[inline]
    pub(crate) fn field(&self, slot: Slot) -> Option<&FieldPlan> {
        self.fields.get(slot)
    }

    /// What of a field goes to an output.
    #[inline]
    pub(crate) fn pass(&self, slot: Slot, output: Output) -> &Pass {
        match self.fields.get(slot) {
            Some(field) => field.pass(output),
            None => &Pass::Drop,
        }
    }
}

impl FieldPlan {
    /// What of it goes to an output.
    #[inline]
    pub(crate) fn pass(&self, output: Output) -> &Pass {
        let [index, live] = &self.pass;
        match output {
            Output::Index => index,
            Output::Live => live,
        }
    }
}

impl Output {
    #[inline]
    pub(crate) fn of<T: Copy>(self, [index, live]: [T; 2]) -> T {
        match self {
            Self::Index => index,
            Self::Live => live,
        }
    }
}

fn policies() -> Names<LogPolicy> {
    let mut policies = Names::new();
    for row in CATALOGUE {
        let policy = match row.kind {
            Kind::Flattened => LogPolicy::Header,
            Kind::Body => LogPolicy::Payload,
            _ => continue,
        };
        if row.group != Group::Transport {
            policies.entry(row.name, policy);
        }
    }
    policies
}

/// Groups what an event has several of, in the order of first sight.
pub(crate) fn grouped<K: std::hash::Hash + Eq + Clone, V>(
    all: impl IntoIterator<Item = (K, V)>,
) -> Vec<(K, Vec<V>)> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut groups: Vec<(K, Vec<V>)> = Vec::new();
    for (key, value) in all {
        let place = *places.entry(key.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => groups.push((key, vec![value])),
        }
    }
    groups
}
