//! From the catalogue and the settings to the fields of a plan.

use crate::config::pipeline::{ExportList, PipelineSpec};
use crate::prepare::json;
use crate::prepare::redact::Redactor;
use crate::prepare::trim::{Candidate, Pass, pass};
use crate::schema::{self, CATALOGUE, Definition, Field, GEO_KEYS, Group, Kind, Origin};

use super::{Act, FieldPlan, PartPlan};

/// The fields of the catalogue at the catalogue's places, then those that only the settings name.
pub(super) fn compile(spec: &PipelineSpec, redactor: &Redactor) -> Vec<FieldPlan> {
    let mut fields: Vec<_> =
        Field::all().map(|field| of_catalogue(field, spec, redactor)).collect();
    for name in others(spec) {
        if !fields.iter().any(|field| *field.name == *name) {
            fields.push(other(&name, spec, redactor));
        }
    }
    fields
}

/// Whether members go out that nothing names.
pub(super) fn exports_unknown(list: &ExportList) -> bool {
    !pass(list, Candidate { name: "", group: Group::Unknown, headers: false }).is_drop()
}

fn of_catalogue(field: Field, spec: &PipelineSpec, redactor: &Redactor) -> FieldPlan {
    let row = field.definition();
    FieldPlan {
        name: row.name.into(),
        key: key(row.name),
        act: act(field, row, spec),
        handling: redactor.handling(row.name),
        pass: passes(spec, row.name, row.group, row.kind == Kind::Flattened),
        parts: parts(row.name, row.kind, redactor),
    }
}

fn act(field: Field, row: &Definition, spec: &PipelineSpec) -> Act {
    // A dotted row is a part of another, no member.
    if row.name.contains('.') {
        return Act::Foreign;
    }
    if let Some(pair) = spec.geo.iter().position(|pair| pair.into == row.name) {
        return Act::Geo(pair);
    }
    if row.origin == Origin::Sluice {
        return Act::Reserved;
    }
    match field {
        schema::DATETIME => return Act::Datetime,
        schema::QUERY_STRING => return Act::QueryString,
        schema::RATE_LIMIT => return Act::RateLimit,
        schema::TAGS => return Act::Tags,
        _ => {}
    }
    match row.kind {
        Kind::Keyword | Kind::Identity => Act::Keyword,
        Kind::Long | Kind::Integer | Kind::Double | Kind::Date => Act::Number(row.kind),
        Kind::Ip => Act::Address,
        Kind::Body => Act::Body,
        Kind::Flattened => Act::Headers,
        Kind::Object | Kind::Nested | Kind::Geo => Act::Object,
        Kind::GeoPoint | Kind::Disabled => Act::Foreign,
    }
}

fn parts(name: &str, kind: Kind, redactor: &Redactor) -> Vec<PartPlan> {
    let part = |part: &'static str, kind: Kind| PartPlan {
        name: part,
        key: key(part),
        kind,
        handling: redactor.handling(&format!("{name}.{part}")),
    };
    match kind {
        Kind::Geo => GEO_KEYS.iter().map(|&(key, kind)| part(key, kind)).collect(),
        Kind::Object | Kind::Nested => CATALOGUE
            .iter()
            .filter_map(|row| Some(part(row.name.strip_prefix(name)?.strip_prefix('.')?, row.kind)))
            .collect(),
        _ => Vec::new(),
    }
}

/// The names of members that the catalogue does not know.
fn others(spec: &PipelineSpec) -> Vec<String> {
    let head = |dotted: &String| dotted.split('.').next().unwrap_or_default().to_owned();
    let lists = [&spec.export_index, &spec.export_live];
    let exported = lists.into_iter().flat_map(|list| list.include.iter().chain(&list.exclude));
    let mut names: Vec<_> = spec
        .promote
        .iter()
        .map(|promotion| head(&promotion.to))
        .chain(spec.geo.iter().map(|pair| pair.into.clone()))
        .chain(spec.geo.iter().map(|pair| head(&pair.from)))
        .chain(spec.id_from.iter().map(head))
        .chain(spec.area_from.iter().map(|area| head(&area.field)))
        .chain(spec.extra.iter().map(head))
        .chain(exported.filter(|name| !name.starts_with('@')).map(head))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn other(name: &str, spec: &PipelineSpec, redactor: &Redactor) -> FieldPlan {
    let is_promoted = spec
        .promote
        .iter()
        .any(|promotion| promotion.to.split('.').next().is_some_and(|head| head == name));
    let pair = spec.geo.iter().position(|pair| pair.into == name);
    let (act, group, kind) = match pair {
        Some(pair) => (Act::Geo(pair), Group::Geo, Kind::Geo),
        None if is_promoted => (Act::Reserved, Group::Unknown, Kind::Disabled),
        None => (Act::Foreign, Group::Unknown, Kind::Disabled),
    };
    FieldPlan {
        name: name.into(),
        key: key(name),
        act,
        handling: redactor.handling(name),
        pass: passes(spec, name, group, false),
        parts: parts(name, kind, redactor),
    }
}

fn key(name: &str) -> Box<[u8]> {
    let mut key = vec![b','];
    json::write_string(&mut key, name);
    key.push(b':');
    key.into()
}

fn passes(spec: &PipelineSpec, name: &str, group: Group, headers: bool) -> [Pass; 2] {
    [&spec.export_index, &spec.export_live]
        .map(|list| pass(list, Candidate { name, group, headers }))
}
