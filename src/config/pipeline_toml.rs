//! `pipelines/<name>/pipeline.toml` and the environment to a [`PipelineSpec`].

use super::names;
use super::pipeline::{
    AddressPrivacy, Addresses, AreaSource, ExportList, GeoPair, IndexNaming, LogPolicy, Period,
    PipelineSpec, PromotedKind, Promotion, RedactAction, RedactRule, RedactSpec, RedactTarget,
};
use super::reader::Reader;

/// Reads every key; what is wrong is kept in the reader.
pub fn read(from: &mut Reader<'_>, name: &str) -> PipelineSpec {
    let defaults = PipelineSpec::new(name);
    let topics = from.texts("topics");
    if topics.is_empty() {
        let hint = Some("as in `topics = [\"api-events\"]`".to_owned());
        from.cross_fault(&["topics"], "names no topic", hint);
    }
    for (place, topic) in topics.iter().enumerate() {
        if let Some(why) = names::topic_fault(topic) {
            from.fault(&format!("topics[{place}]"), format!("`{topic}` {why}"), None);
        }
    }
    let expire_after_days: u32 = from.integer("index.expire_after_days");
    PipelineSpec {
        name: name.to_owned(),
        topics,
        id_from: from.optional_text("id.from"),
        index: IndexNaming {
            prefix: prefix(from),
            period: match from.choice("index.period") {
                0 => Period::Day,
                1 => Period::Week,
                _ => Period::Month,
            },
            expire_after_days: (expire_after_days > 0).then_some(expire_after_days),
        },
        geo: from.tables("geo", geo_pair),
        addresses: Addresses {
            trusted_proxies: from.optional_integer("addresses.trusted_proxies"),
            privacy: match from.choice("addresses.privacy") {
                0 => AddressPrivacy::Keep,
                1 => AddressPrivacy::Truncate,
                2 => AddressPrivacy::Hash,
                _ => AddressPrivacy::Remove,
            },
        },
        redact: redact(from, defaults.redact),
        payload_bytes_max: from.bytes("payload.bytes_max"),
        log_policy_max: match from.choice("log_policy.max") {
            0 => LogPolicy::None,
            1 => LogPolicy::Activity,
            2 => LogPolicy::Header,
            _ => LogPolicy::Payload,
        },
        promote: promotions(from, defaults.promote),
        extra: from.texts("extra"),
        export_index: export(from, "export.index"),
        export_live: export(from, "export.live"),
        area_from: from.tables("area", area),
    }
}

fn prefix(from: &mut Reader<'_>) -> String {
    let prefix = from.text("index.prefix");
    if !names::is_index_name(&prefix) {
        let hint = Some("lower case, without spaces and `\\/*?\"<>|,#:`".to_owned());
        let message = format!("`{prefix}` cannot begin an index's name");
        from.cross_fault(&["index.prefix"], message, hint);
    }
    prefix
}

fn redact(from: &mut Reader<'_>, defaults: RedactSpec) -> RedactSpec {
    let mut headers = defaults.headers;
    if from.says("redact.headers") {
        headers = secret_names(from, "redact.headers");
    }
    headers.extend(secret_names(from, "redact.extra_headers"));
    for header in &mut headers {
        header.make_ascii_lowercase();
    }
    let mut query_parameters = defaults.query_parameters;
    if from.says("redact.query_parameters") {
        query_parameters = secret_names(from, "redact.query_parameters");
    }
    query_parameters.extend(secret_names(from, "redact.extra_query_parameters"));
    let hash_key = match from.secret("redact.hash_key").map(|secret| secret.read()) {
        Some(Ok(key)) => Some(key.into_bytes()),
        // An unreadable file is a fault already.
        Some(Err(_)) | None => None,
    };
    RedactSpec { headers, query_parameters, rules: from.tables("redact.rules", rule), hash_key }
}

/// Names are compared by their letters and digits; one without any would never be found.
fn secret_names(from: &mut Reader<'_>, key: &str) -> Vec<String> {
    let names = from.texts(key);
    for (place, name) in names.iter().enumerate() {
        if !name.contains(char::is_alphanumeric) {
            let message = format!("`{name}` has neither letter nor digit");
            from.fault(&format!("{key}[{place}]"), message, None);
        }
    }
    names
}

fn rule(from: &mut Reader<'_>) -> Option<RedactRule> {
    let field = from.optional_text("field");
    let header = from.optional_text("header");
    let query_parameter = from.optional_text("query_parameter");
    let path = from.optional_text("path");
    let pattern = from.optional_text("pattern");
    let action = match from.choice("action") {
        0 => RedactAction::Mask,
        1 => RedactAction::Remove,
        _ => RedactAction::Hash,
    };
    let target = match (field, header, query_parameter, path, pattern) {
        (Some(field), None, None, Some(path), None) => RedactTarget::BodyPath { field, path },
        (Some(field), None, None, None, Some(pattern)) => RedactTarget::Pattern { field, pattern },
        (Some(field), None, None, None, None) => RedactTarget::Field(field),
        (None, Some(header), None, None, None) => RedactTarget::Header(header.to_lowercase()),
        (None, None, Some(name), None, None) => RedactTarget::QueryParameter(name),
        _ => {
            let message = "names no single target";
            let hint = "one of `field`, `field` with `path`, `field` with `pattern`, `header`, \
                        `query_parameter`";
            let keys = ["field", "header", "query_parameter", "path", "pattern"];
            from.cross_fault(&keys, message, Some(hint.to_owned()));
            return None;
        }
    };
    Some(RedactRule { target, action })
}

fn geo_pair(from: &mut Reader<'_>) -> Option<GeoPair> {
    Some(GeoPair { from: needed(from, "from")?, into: needed(from, "into")? })
}

fn area(from: &mut Reader<'_>) -> Option<AreaSource> {
    Some(AreaSource { field: needed(from, "field")?, prefix: needed(from, "prefix")? })
}

/// Those of the file first, so that their places are those of the file; one of them replaces the
/// default of the same name.
fn promotions(from: &mut Reader<'_>, defaults: Vec<Promotion>) -> Vec<Promotion> {
    let mut all = from.tables("promote", promotion);
    if from.bool("promote_defaults") {
        let named: Vec<_> = all.iter().map(|promotion| promotion.to.clone()).collect();
        all.extend(defaults.into_iter().filter(|default| !named.contains(&default.to)));
    }
    all
}

fn promotion(from: &mut Reader<'_>) -> Option<Promotion> {
    let kind = match from.choice("type") {
        0 => PromotedKind::Keyword,
        1 => PromotedKind::Long,
        2 => PromotedKind::Double,
        3 => PromotedKind::Boolean,
        4 => PromotedKind::Date,
        _ => PromotedKind::Ip,
    };
    Some(Promotion { from: needed(from, "from")?, to: needed(from, "as")?, kind })
}

fn needed(from: &mut Reader<'_>, key: &str) -> Option<String> {
    let text = from.optional_text(key);
    if text.is_none() {
        from.cross_fault(&[key], "is missing", None);
    }
    text
}

fn export(from: &mut Reader<'_>, key: &str) -> ExportList {
    let (exclude, include): (Vec<_>, Vec<_>) =
        from.texts(key).into_iter().partition(|name| name.starts_with('-'));
    let exclude = exclude.iter().filter_map(|name| name.strip_prefix('-'));
    let exclude = exclude.map(str::to_owned).collect();
    ExportList { include, exclude }
}
