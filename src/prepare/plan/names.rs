//! Whether the names in a pipeline's settings mean anything. A list that misses its field by a
//! letter would lose it in silence, so an unknown name is a fault.

use crate::config::fault::{SpecFault, nearest};
use crate::config::pipeline::{ExportList, PipelineSpec};
use crate::prepare::encode::is_refused;
use crate::prepare::redact::Redactor;
use crate::schema::{Field, GEO_KEYS, Group, Kind, Origin};

const GROUPS: [&str; 7] =
    ["@invocation", "@headers", "@payload", "@geo", "@billing", "@unknown", "@all"];

/// Every fault of names.
pub(super) fn faults(spec: &PipelineSpec) -> Vec<SpecFault> {
    let mut found = Vec::new();
    for (key, list) in [("export.index", &spec.export_index), ("export.live", &spec.export_live)] {
        export(key, list, spec, &mut found);
    }
    geo(spec, &mut found);
    if let Some(name) = &spec.id_from {
        source("id.from".to_owned(), name, spec, &mut found);
    }
    for (at, area) in spec.area_from.iter().enumerate() {
        source(format!("area[{at}].field"), &area.field, spec, &mut found);
        if area.prefix.is_empty() || area.prefix.contains(':') {
            let message = format!("`{}` cannot tell areas apart", area.prefix);
            let hint = Some("a short word without a colon, as in `id`".to_owned());
            found.push(SpecFault { key: format!("area[{at}].prefix"), message, hint });
        }
    }
    for (at, name) in spec.extra.iter().enumerate() {
        if let Some(why) = extra_fault(name, spec) {
            let hint = Some("only foreign fields are declared here".to_owned());
            let message = format!("`{name}` {why}");
            found.push(SpecFault { key: format!("extra[{at}]"), message, hint });
        }
    }
    found
}

fn extra_fault(name: &str, spec: &PipelineSpec) -> Option<&'static str> {
    let head = name.split('.').next().unwrap_or_default();
    let is_written = || {
        promoted(spec).any(|object| object == head) || spec.geo.iter().any(|geo| geo.into == head)
    };
    if Field::named(head).is_some() {
        Some("is a field of Sluice's own catalogue, or within one")
    } else if name.starts_with('@') {
        Some("names a group")
    } else if is_refused(name) {
        Some("is no name that the index takes")
    } else if is_written() {
        Some("is written by Sluice, or within what is")
    } else {
        None
    }
}

/// The objects that hold promoted fields.
fn promoted(spec: &PipelineSpec) -> impl Iterator<Item = &str> {
    spec.promote.iter().filter_map(|promotion| promotion.to.split('.').next())
}

/// The fields whose values are shown as they came, in ids and in the names of areas, although
/// redaction or address privacy hides them.
pub(super) fn shown(spec: &PipelineSpec, redactor: &Redactor) -> Vec<SpecFault> {
    let id = spec.id_from.iter().map(|name| ("id.from".to_owned(), name));
    let areas = spec.area_from.iter().enumerate();
    let areas = areas.map(|(at, area)| (format!("area[{at}].field"), &area.field));
    let hidden = id.chain(areas).filter_map(|(key, name)| {
        let message = format!("`{name}` {}", redactor.why_hidden(name)?);
        let hint = Some("ids and the names of areas are shown as they came".to_owned());
        Some(SpecFault { key, message, hint })
    });
    hidden.collect()
}

fn export(key: &str, list: &ExportList, spec: &PipelineSpec, found: &mut Vec<SpecFault>) {
    let mut fault = |message: String, hint: Option<String>| {
        found.push(SpecFault { key: key.to_owned(), message, hint });
    };
    for name in list.include.iter().chain(&list.exclude) {
        if !is_known(name, spec) {
            fault(format!("no field `{name}`"), Some(hint(name, spec)));
        }
    }
    for name in &list.exclude {
        let field = Field::named(name);
        if field.is_some_and(|field| field.definition().group == Group::Always) {
            let message = format!("`{name}` cannot be left out");
            fault(message, Some("time, tenancy and identity rest on it".to_owned()));
        }
    }
}

fn geo(spec: &PipelineSpec, found: &mut Vec<SpecFault>) {
    for (at, pair) in spec.geo.iter().enumerate() {
        source(format!("geo[{at}].from"), &pair.from, spec, found);
        let mut fault = |message: String, hint: &str| {
            let hint = Some(hint.to_owned());
            found.push(SpecFault { key: format!("geo[{at}].into"), message, hint });
        };
        let into = &pair.into;
        let field = Field::named(into);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if into.is_empty() || into.starts_with('_') || !into.chars().all(plain) {
            fault(format!("`{into}` is no name for an object"), "as in `client_geoip`");
        } else if field.is_some_and(|field| field.definition().kind != Kind::Geo) {
            fault(format!("`{into}` is a field of another kind"), "as in `client_geoip`");
        } else if promoted(spec).any(|object| object == into) {
            fault(format!("`{into}` holds promoted fields"), "as in `client_geoip`");
        } else if spec.geo.iter().take(at).any(|other| other.into == *into) {
            fault(format!("`{into}` is written by another pair already"), "one pair for each");
        }
    }
}

/// A field that a value is read from: one of the gateway's, or a declared foreign one.
fn source(key: String, name: &str, spec: &PipelineSpec, found: &mut Vec<SpecFault>) {
    let of_gateway = |field: &Field| field.definition().origin == Origin::Gateway;
    let field = Field::named(name);
    if field.as_ref().is_some_and(of_gateway) || is_extra(name, spec) {
        return;
    }
    let message = match field {
        Some(_) => format!("`{name}` is written by Sluice"),
        None => format!("no field `{name}`"),
    };
    let known = Field::all().filter(of_gateway).map(|field| -> &str { field.name() });
    let known = known.chain(spec.extra.iter().map(String::as_str));
    let hint = match field {
        Some(_) => "a field that the gateway writes".to_owned(),
        None => meant(name, known),
    };
    found.push(SpecFault { key, message, hint: Some(hint) });
}

fn is_known(name: &str, spec: &PipelineSpec) -> bool {
    if GROUPS.contains(&name) || Field::named(name).is_some() || is_extra(name, spec) {
        return true;
    }
    let (head, rest) = name.split_once('.').unwrap_or((name, ""));
    let kind = Field::named(head).map(|field| field.definition().kind);
    if matches!(kind, Some(Kind::Flattened | Kind::Disabled)) {
        return !rest.is_empty();
    }
    let is_promoted = |to: &str| to == name || to.split('.').next() == Some(name);
    let of_pair =
        |into: &str| into == name || into == head && GEO_KEYS.iter().any(|(key, _)| *key == rest);
    spec.promote.iter().any(|promotion| is_promoted(&promotion.to))
        || spec.geo.iter().any(|pair| of_pair(&pair.into))
}

/// Declared itself, or within one that is.
fn is_extra(name: &str, spec: &PipelineSpec) -> bool {
    spec.extra.iter().any(|known| {
        name.strip_prefix(known.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn hint(name: &str, spec: &PipelineSpec) -> String {
    let known = GROUPS
        .into_iter()
        .chain(Field::all().map(|field| -> &str { field.name() }))
        .chain(spec.extra.iter().map(String::as_str))
        .chain(spec.promote.iter().map(|promotion| promotion.to.as_str()));
    meant(name, known)
}

fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "foreign fields are declared in `extra`".to_owned(),
    }
}
