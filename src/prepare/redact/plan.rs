//! From the rules of a pipeline to its [`Redactor`].

use super::cover::Cover;
use super::header::Shape;
use super::names::{self, Names};
use super::path::{self, Path};
use super::pattern::Pattern;
use super::{Content, Redactor, Rules};
use crate::config::fault::{SpecFault, nearest};
use crate::config::pipeline::{
    AddressPrivacy, PipelineSpec, RedactAction, RedactRule, RedactTarget,
};
use crate::schema::{Field, Group, Kind, Origin};

/// A shorter key is guessed: the hashed values are few.
const HASH_KEY_BYTES_MIN: usize = 16;

/// Headers, and foreign fields, whose values are URLs, whole or in part.
const URL_HEADERS: [&str; 16] = [
    ":path",
    "backend-url",
    "content-location",
    "destination",
    "link",
    "location",
    "origin",
    "referer",
    "referrer",
    "refresh",
    "x-envoy-original-path",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// Headers whose values are the addresses of clients.
const ADDRESS_HEADERS: [&str; 15] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "fastly-client-ip",
    "remote-addr",
    "true-client-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded-for",
    "x-original-forwarded-for",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
];

/// Fields whose values are the addresses of clients and gateways, beside those of the geo pairs.
const ADDRESS_FIELDS: [&str; 3] = ["client_ip", "immediate_client_ip", "gateway_ip"];

const HEADERS_FIELDS: [&str; 2] = ["request_http_headers", "response_http_headers"];
const QUERY_FIELDS: [&str; 1] = ["query_string"];
const URL_FIELDS: [&str; 2] = ["uri_path", "endpoint_url"];

/// A redactor in the making.
struct Plan<'a> {
    spec: &'a PipelineSpec,
    redactor: Redactor,
    faults: Vec<SpecFault>,
}

pub(super) fn compile(spec: &PipelineSpec) -> Result<Redactor, Vec<SpecFault>> {
    let redactor = Redactor {
        headers: Names::new(),
        parameters: Names::new(),
        header_patterns: Vec::new(),
        fields: rustc_hash::FxHashMap::default(),
        spelt_fields: Names::new(),
        rules: Vec::new(),
        foreign: false,
        geo_ip: None,
        geo_objects: Vec::new(),
        cover: Cover::new(spec.redact.hash_key.as_deref()),
        privacy: spec.addresses.privacy.clone(),
    };
    let mut plan = Plan { spec, redactor, faults: Vec::new() };
    plan.contents();
    for name in &spec.redact.headers {
        plan.secret_header(name, RedactAction::Mask);
    }
    for name in &spec.redact.query_parameters {
        plan.secret_parameter(name, RedactAction::Mask);
    }
    plan.key();
    for (at, rule) in spec.redact.rules.iter().enumerate() {
        plan.rule(at, rule);
    }
    plan.looked_up();
    if plan.faults.is_empty() { Ok(plan.redactor) } else { Err(plan.faults) }
}

impl Plan<'_> {
    fn fault(&mut self, key: String, message: impl Into<String>, hint: Option<String>) {
        self.faults.push(SpecFault { key, message: message.into(), hint });
    }

    /// What stands where, whatever the rules.
    fn contents(&mut self) {
        for name in URL_HEADERS {
            self.header(name, |rules| rules.content = Content::Url);
        }
        for name in QUERY_FIELDS {
            self.field(name, |rules| rules.content = Content::Query);
        }
        for name in URL_FIELDS {
            self.field(name, |rules| rules.content = Content::Url);
        }
        // Elsewhere the encoder takes headers apart.
        for name in HEADERS_FIELDS {
            let next = self.redactor.rules.len();
            if let Some(&mut at) = self.redactor.spelt_fields.entry(name, next) {
                self.change(at, |rules| rules.content = Content::Headers);
            }
        }
        if self.spec.addresses.privacy == AddressPrivacy::Keep {
            return;
        }
        for name in ADDRESS_HEADERS {
            self.header(name, |rules| rules.content = Content::Address);
        }
        self.header("forwarded", |rules| rules.content = Content::Forwarded);
        for name in ADDRESS_FIELDS {
            self.field(name, |rules| rules.content = Content::Address);
        }
        for pair in &self.spec.geo {
            self.field(&pair.from, |rules| rules.content = Content::Address);
            self.field(&format!("{}.ip", pair.into), |rules| rules.content = Content::Address);
            self.redactor.geo_objects.push(names::letters(&pair.into));
        }
        let at = self.redactor.rules.len();
        self.change(at, |rules| rules.content = Content::Address);
        self.redactor.geo_ip = Some(at);
    }

    /// A geo object shows the address that it was looked up by: it must not, where a rule hides
    /// that one. No cover is an address, so that it is left out.
    fn looked_up(&mut self) {
        for pair in &self.spec.geo {
            let is_hidden = |handling| self.redactor.is_secret(handling);
            if self.redactor.handling(&pair.from).is_some_and(is_hidden) {
                let removed = Some((Shape::Opaque, RedactAction::Remove));
                self.field(&format!("{}.ip", pair.into), |rules| rules.secret = removed);
            }
        }
    }

    /// Hashes need a key, and a key worth the name.
    fn key(&mut self) {
        let redact = &self.spec.redact;
        let wanted = if self.spec.addresses.privacy == AddressPrivacy::Hash {
            Some("addresses.privacy".to_owned())
        } else {
            redact
                .rules
                .iter()
                .position(|rule| rule.action == RedactAction::Hash)
                .map(|at| format!("redact.rules[{at}].action"))
        };
        match (&redact.hash_key, wanted) {
            (None, Some(user)) => self.fault(
                "redact.hash_key".to_owned(),
                format!("missing, but `{user}` is `hash`"),
                Some(
                    "set it to a random secret, and keep it: another key, other hashes".to_owned(),
                ),
            ),
            (Some(key), _) if key.len() < HASH_KEY_BYTES_MIN => self.fault(
                "redact.hash_key".to_owned(),
                format!("has {} bytes, needs {HASH_KEY_BYTES_MIN}", key.len()),
                Some("for example what `openssl rand -hex 32` prints".to_owned()),
            ),
            _ => {}
        }
    }

    fn secret_header(&mut self, name: &str, action: RedactAction) {
        let shape = Shape::of(&names::letters(name));
        self.header(name, |rules| rules.secret = Some((shape, action)));
    }

    fn secret_parameter(&mut self, name: &str, action: RedactAction) {
        if let Some(secret) = self.redactor.parameters.entry(name, action) {
            *secret = action;
        }
    }

    fn field(&mut self, name: &str, change: impl FnOnce(&mut Rules)) {
        let next = self.redactor.rules.len();
        let at = *self.redactor.fields.entry(name.into()).or_insert(next);
        if at == next {
            self.redactor.foreign |= Field::named(name).is_none() || name.contains('.');
            self.redactor.spelt_fields.entry(name, at);
        }
        self.change(at, change);
    }

    fn header(&mut self, name: &str, change: impl FnOnce(&mut Rules)) {
        let next = self.redactor.rules.len();
        if let Some(&mut at) = self.redactor.headers.entry(name, next) {
            self.change(at, change);
        }
    }

    /// Changes the rules at a place, which may be the next free one.
    fn change(&mut self, at: usize, change: impl FnOnce(&mut Rules)) {
        if at == self.redactor.rules.len() {
            self.redactor.rules.push(Rules::default());
        }
        if let Some(rules) = self.redactor.rules.get_mut(at) {
            change(rules);
        }
    }

    fn rule(&mut self, at: usize, rule: &RedactRule) {
        let key = |name: &str| format!("redact.rules[{at}].{name}");
        let action = rule.action;
        if let Some(first) = self.first_like(at, &rule.target) {
            self.fault(
                format!("redact.rules[{at}]"),
                format!("the same place as `redact.rules[{first}]`"),
                None,
            );
            return;
        }
        match &rule.target {
            RedactTarget::Header(name) if names::letters(name).is_empty() => {
                self.fault(key("header"), "empty", None);
            }
            RedactTarget::QueryParameter(name) if names::letters(name).is_empty() => {
                self.fault(key("query_parameter"), "empty", None);
            }
            RedactTarget::Header(name) => self.secret_header(name, action),
            RedactTarget::QueryParameter(name) => self.secret_parameter(name, action),
            RedactTarget::Field(name) => {
                if self.may_change(&key("field"), name, Some(action)) {
                    self.field(name, |rules| rules.secret = Some((Shape::Opaque, action)));
                }
            }
            RedactTarget::BodyPath { field, path } => self.path(&key, field, path, action),
            RedactTarget::Pattern { field, pattern } => self.pattern(&key, field, pattern, action),
        }
    }

    /// The rule before the one at `at` that has the same target.
    fn first_like(&self, at: usize, target: &RedactTarget) -> Option<usize> {
        let before = self.spec.redact.rules.iter().take(at);
        before.enumerate().find_map(|(first, rule)| {
            let same = match (&rule.target, target) {
                (RedactTarget::Header(one), RedactTarget::Header(other))
                | (RedactTarget::QueryParameter(one), RedactTarget::QueryParameter(other)) => {
                    names::letters(one) == names::letters(other)
                }
                (one, other) => one == other,
            };
            same.then_some(first)
        })
    }

    fn path(
        &mut self,
        key: &impl Fn(&str) -> String,
        field: &str,
        text: &str,
        action: RedactAction,
    ) {
        let is_body = match Field::named(field) {
            Some(known) => known.definition().kind == Kind::Body,
            None => self.spec.extra.iter().any(|name| name == field),
        };
        if !is_body {
            let hint = "a path is looked for in `request_body` or `response_body`".to_owned();
            self.fault(key("field"), format!("`{field}` is no body"), Some(hint));
        }
        match Path::compile(text, action) {
            Ok(path) => self.field(field, |rules| rules.paths.push(path)),
            Err(why) => self.fault(key("path"), why, Some(path::SUPPORTED.to_owned())),
        }
    }

    fn pattern(
        &mut self,
        key: &impl Fn(&str) -> String,
        field: &str,
        text: &str,
        action: RedactAction,
    ) {
        let pattern = match Pattern::compile(text, action) {
            Ok(pattern) => pattern,
            Err(why) => return self.fault(key("pattern"), why, None),
        };
        let one_header = |all: &&str| field.strip_prefix(*all)?.strip_prefix('.');
        if HEADERS_FIELDS.contains(&field) {
            self.redactor.header_patterns.push(pattern);
        } else if let Some(name) = HEADERS_FIELDS.iter().find_map(one_header) {
            self.header(name, |rules| rules.patterns.push(pattern));
        } else if self.may_change(&key("field"), field, None) {
            self.field(field, |rules| rules.patterns.push(pattern));
        }
    }

    /// Whether a rule may touch a field; else adds the fault. A rule that misses its field by a
    /// letter lets a secret through, so unknown names are faults. Patterns have no `action`: they
    /// leave text, so they need text.
    fn may_change(&mut self, key: &str, name: &str, action: Option<RedactAction>) -> bool {
        let Some(field) = Field::named(name) else {
            let within = |known: &String| {
                name.strip_prefix(known.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            if self.spec.extra.iter().any(within) {
                return true;
            }
            let foreign = self.spec.extra.iter().map(String::as_str);
            let known = foreign.chain(Field::all().map(|field| field.name()));
            let hint = match nearest(name, known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "foreign fields are declared in `extra`".to_owned(),
            };
            self.fault(key.to_owned(), format!("no field `{name}`"), Some(hint));
            return false;
        };
        let row = field.definition();
        let is_text = matches!(row.kind, Kind::Keyword | Kind::Body);
        let (why, hint) = match row.group {
            Group::Always => ("time, tenancy and identity rest on it", None),
            _ if row.origin == Origin::Sluice => {
                ("is written by Sluice", Some("leave it out by the export lists"))
            }
            Group::Geo => ("is written by the look-up", Some("leave it out by the export lists")),
            _ if row.kind == Kind::Flattened => {
                ("holds many headers", Some("use a rule with `header`"))
            }
            _ if is_text || action == Some(RedactAction::Remove) => return true,
            _ if row.kind == Kind::Ip => ("is an address", Some("use `addresses.privacy`")),
            _ => ("is no text", Some("the action can only be `remove`")),
        };
        self.fault(key.to_owned(), format!("`{name}` {why}"), hint.map(str::to_owned));
        false
    }
}
