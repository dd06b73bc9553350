//! What `pipelines/<name>/pipeline.toml` says, as plain values: what happens to the events.
//!
//! [`crate::prepare`] compiles these into its plan; nothing here knows how.

/// One pipeline, as configured. The defaults are those of the documentation.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSpec {
    /// The folder's name.
    pub name: String,
    /// A topic belongs to exactly one pipeline.
    pub topics: Vec<String>,
    /// The gateway's own unique field, dotted, for `_id`; `None` for Kafka's coordinates.
    pub id_from: Option<String>,
    pub index: IndexNaming,
    pub geo: Vec<GeoPair>,
    pub addresses: Addresses,
    pub redact: RedactSpec,
    pub payload_bytes_max: usize,
    /// Nothing above this is stored.
    pub log_policy_max: LogPolicy,
    pub promote: Vec<Promotion>,
    /// Foreign names that the export lists may use.
    pub extra: Vec<String>,
    pub export_index: ExportList,
    pub export_live: ExportList,
    /// What the area (tenant) of an event is: the first of these fields that has a value.
    pub area_from: Vec<AreaSource>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexNaming {
    /// The prefix of the index names: `<prefix>-YYYY.MM.DD`.
    pub prefix: String,
    pub period: Period,
    /// Events older than this many days are skipped as `expired`; `None`: never.
    pub expire_after_days: Option<u32>,
}

/// How much time one index spans; a longer period than a day names its first day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Day,
    /// From Monday on.
    Week,
    Month,
}

/// The address in `from` is looked up into the object `into`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeoPair {
    /// `client_ip`
    pub from: String,
    /// `client_geoip`
    pub into: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// How an `X-Forwarded-For` list is read: `None` takes the first public address from the left;
    /// `Some(n)` skips that many trusted proxies from the right.
    pub trusted_proxies: Option<usize>,
    pub privacy: AddressPrivacy,
}

/// What becomes of addresses after the geo look-up, at every place where one stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressPrivacy {
    Keep,
    /// To /24 for IPv4, /48 for IPv6.
    Truncate,
    /// HMAC-SHA-256 under the key of [`RedactSpec::hash_key`].
    Hash,
    Remove,
}

/// Ordered: what a policy includes, every higher one includes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogPolicy {
    None,
    Activity,
    Header,
    Payload,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RedactSpec {
    /// Header names, lower case.
    pub headers: Vec<String>,
    /// Query parameter names; compared without regard to letter case.
    pub query_parameters: Vec<String>,
    pub rules: Vec<RedactRule>,
    /// For the action `hash` and [`AddressPrivacy::Hash`].
    pub hash_key: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RedactRule {
    pub target: RedactTarget,
    pub action: RedactAction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RedactTarget {
    /// A dotted field: `client_id`, `billing.provider`.
    Field(String),
    /// A header's name, in requests and responses.
    Header(String),
    QueryParameter(String),
    /// A JSON path in a body: field `request_body`, path `$.card.number`.
    BodyPath {
        field: String,
        path: String,
    },
    /// A regular expression over the value of a field; every match is masked.
    Pattern {
        field: String,
        pattern: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedactAction {
    Mask,
    Remove,
    Hash,
}

/// Lifts a header, or a JSON path of a body, into a typed field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// `request_http_headers.x-tenant` or `request_body:$.amount`
    pub from: String,
    /// `h.x_tenant`, `p.amount`
    pub to: String,
    pub kind: PromotedKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromotedKind {
    Keyword,
    Long,
    Double,
    Boolean,
    Date,
    Ip,
}

/// Fields, groups (`@headers`) and, with a leading `-`, exclusions; exclusion beats inclusion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportList {
    pub include: Vec<String>,
    pub exclude: Vec<String>,
}

/// Where the area of an event comes from, and the prefix of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AreaSource {
    /// `org_id`
    pub field: String,
    /// `id`, so that one area's name can never be another's id
    pub prefix: String,
}

impl PipelineSpec {
    /// A pipeline that says nothing but its name: every default.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            topics: Vec::new(),
            id_from: None,
            index: IndexNaming {
                prefix: "api-events".to_owned(),
                period: Period::Day,
                expire_after_days: None,
            },
            geo: vec![
                GeoPair { from: "client_ip".to_owned(), into: "client_geoip".to_owned() },
                GeoPair { from: "gateway_ip".to_owned(), into: "gateway_geoip".to_owned() },
            ],
            addresses: Addresses { trusted_proxies: None, privacy: AddressPrivacy::Keep },
            redact: RedactSpec::default(),
            payload_bytes_max: 2 * 1024 * 1024,
            log_policy_max: LogPolicy::Payload,
            promote: default_promotions(),
            extra: Vec::new(),
            export_index: ExportList::all(),
            export_live: ExportList::all(),
            area_from: vec![
                AreaSource { field: "org_id".to_owned(), prefix: "id".to_owned() },
                AreaSource { field: "org_name".to_owned(), prefix: "name".to_owned() },
            ],
        }
    }
}

impl ExportList {
    /// Everything but the transport's `headers`.
    #[must_use]
    pub fn all() -> Self {
        Self { include: vec!["@all".to_owned()], exclude: Vec::new() }
    }
}

impl Default for RedactSpec {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            headers: owned(&[
                "authorization",
                "proxy-authorization",
                "cookie",
                "set-cookie",
                "x-api-key",
                "x-ibm-client-id",
                "x-ibm-client-secret",
                "x-amz-security-token",
                "x-access-token",
                "x-csrf-token",
            ]),
            query_parameters: owned(&[
                "api_key",
                "apikey",
                "access_token",
                "client_secret",
                "password",
                "token",
                "code",
                "signature",
                "sig",
                "X-Amz-Signature",
                "X-Amz-Credential",
                "X-Amz-Security-Token",
                "AWSAccessKeyId",
                "X-Goog-Signature",
            ]),
            rules: Vec::new(),
            hash_key: None,
        }
    }
}

fn default_promotions() -> Vec<Promotion> {
    [
        ("request_http_headers.user-agent", "h.user_agent"),
        ("request_http_headers.content-type", "h.content_type"),
        ("request_http_headers.host", "h.host"),
        ("request_http_headers.referer", "h.referer"),
        ("request_http_headers.accept-language", "h.accept_language"),
        ("response_http_headers.content-type", "h.response_content_type"),
    ]
    .into_iter()
    .map(|(from, to)| Promotion {
        from: from.to_owned(),
        to: to.to_owned(),
        kind: PromotedKind::Keyword,
    })
    .collect()
}
