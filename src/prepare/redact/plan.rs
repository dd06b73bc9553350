//! From the rules of a pipeline to its [`Redactor`].

use super::cover::Cover;
use super::header::Shape;
use super::names::Names;
use super::{Content, FieldRules, HeaderRules, Redactor};
use crate::config::fault::SpecFault;
use crate::config::pipeline::{
    AddressPrivacy, PipelineSpec, RedactAction, RedactRule, RedactTarget,
};

/// A shorter key is guessed: the hashed values are few.
const HASH_KEY_BYTES_MIN: usize = 16;

/// Headers whose values are URLs, whole or in part.
const URL_HEADERS: [&str; 14] = [
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
        fields: rustc_hash::FxHashMap::default(),
        rules: Vec::new(),
        cover: Cover::new(spec.redact.hash_key.as_deref()),
        privacy: spec.addresses.privacy.clone(),
    };
    let mut plan = Plan { spec, redactor, faults: Vec::new() };
    plan.key();
    if spec.addresses.privacy != AddressPrivacy::Keep {
        plan.fault("addresses.privacy".to_owned(), "not supported", None);
    }
    for name in URL_HEADERS {
        plan.header(name, |rules| rules.content = Content::Url);
    }
    for name in &spec.redact.headers {
        plan.secret_header(name, RedactAction::Mask);
    }
    for name in &spec.redact.query_parameters {
        plan.secret_parameter(name, RedactAction::Mask);
    }
    for (at, rule) in spec.redact.rules.iter().enumerate() {
        plan.rule(at, rule);
    }
    if plan.faults.is_empty() { Ok(plan.redactor) } else { Err(plan.faults) }
}

impl Plan<'_> {
    fn fault(&mut self, key: String, message: impl Into<String>, hint: Option<String>) {
        self.faults.push(SpecFault { key, message: message.into(), hint });
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

    fn header(&mut self, name: &str, change: impl FnOnce(&mut HeaderRules)) {
        self.redactor.headers.change(name, change);
    }

    fn secret_header(&mut self, name: &str, action: RedactAction) {
        let shape = Shape::of(&name.trim().to_ascii_lowercase());
        self.header(name, |rules| rules.secret = Some((shape, action)));
    }

    fn secret_parameter(&mut self, name: &str, action: RedactAction) {
        self.redactor.parameters.change(name, |secret| *secret = Some(action));
    }

    fn field(&mut self, name: &str, change: impl FnOnce(&mut FieldRules)) {
        let next = self.redactor.rules.len();
        let at = *self.redactor.fields.entry(name.into()).or_insert(next);
        if at == next {
            self.redactor.rules.push(FieldRules::default());
        }
        if let Some(rules) = self.redactor.rules.get_mut(at) {
            change(rules);
        }
    }

    fn rule(&mut self, at: usize, rule: &RedactRule) {
        let action = rule.action;
        match &rule.target {
            RedactTarget::Header(name) => self.secret_header(name, action),
            RedactTarget::QueryParameter(name) => self.secret_parameter(name, action),
            RedactTarget::Field(name) => self.field(name, |rules| rules.action = Some(action)),
            RedactTarget::BodyPath { .. } | RedactTarget::Pattern { .. } => {
                self.fault(format!("redact.rules[{at}]"), "not supported", None);
            }
        }
    }
}
