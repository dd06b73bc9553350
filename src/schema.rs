//! The catalogue of fields: the only place that knows a field.
//!
//! From it come the index template, the check of exported names, the reference in the
//! documentation, and what preparation does with a value. Its rows are Table 1 of the API Connect
//! documentation ("API event record fields"), the geo objects, and what Sluice adds.

use std::fmt;

/// Raised with every change that an older index template does not serve.
pub const SCHEMA_VERSION: u32 = 1;

/// How the index takes a field, and so which JSON values may stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An exact string; numbers, booleans and arrays of these are taken too.
    Keyword,
    /// The document's own id: stored, neither indexed nor with doc values, since `_id` has it.
    Identity,
    /// 64 bits.
    Long,
    /// 32 bits.
    Integer,
    Double,
    Date,
    /// An IPv4 or IPv6 address.
    Ip,
    GeoPoint,
    /// A string that is stored and not indexed.
    Body,
    /// An object whose leaves are all keywords: headers.
    Flattened,
    /// An object, or an array of objects.
    Object,
    /// A geo object: what a look-up writes.
    Geo,
    /// An array of objects that are queried each by itself.
    Nested,
    /// Kept in the source, never looked into.
    Disabled,
}

/// The groups of the export lists: `@invocation`, `@headers` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Never removable: time, tenancy and identity rest on these.
    Always,
    Invocation,
    Billing,
    Headers,
    Payload,
    Geo,
    /// Foreign fields, and what is kept of odd values.
    Unknown,
    /// Not part of `@all`.
    Transport,
}

impl Group {
    /// The name in an export list; `None` for fields that no list can touch or that no group
    /// holds.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Always | Self::Transport => None,
            Self::Invocation => Some("@invocation"),
            Self::Billing => Some("@billing"),
            Self::Headers => Some("@headers"),
            Self::Payload => Some("@payload"),
            Self::Geo => Some("@geo"),
            Self::Unknown => Some("@unknown"),
        }
    }
}

/// Who writes a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    Gateway,
    /// Reserved: an incoming field of this name moves to `source.<name>`.
    Sluice,
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Dotted.
    pub name: &'static str,
    pub kind: Kind,
    pub group: Group,
    /// The gateway's version for a gateway's field, ours for one of ours.
    pub since: &'static str,
    pub origin: Origin,
    pub meaning: &'static str,
}

/// A field of the catalogue, by its place in [`CATALOGUE`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Field(u8);

impl Field {
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The field at a place of [`CATALOGUE`].
    #[must_use]
    pub fn at(index: usize) -> Option<Self> {
        (index < CATALOGUE.len()).then_some(()).and(u8::try_from(index).ok()).map(Self)
    }

    #[must_use]
    pub fn definition(self) -> &'static Definition {
        #[expect(clippy::indexing_slicing, reason = "a `Field` is only made from a valid place")]
        &CATALOGUE[self.index()]
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// The field of this dotted name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        CATALOGUE.iter().position(|row| row.name == name).and_then(Self::at)
    }

    /// Every field, in the order of the catalogue.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CATALOGUE.len()).filter_map(Self::at)
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The fields of a geo object, in the order in which they are written.
pub const GEO_KEYS: [(&str, Kind); 15] = [
    ("ip", Kind::Ip),
    ("country_code2", Kind::Keyword),
    ("country_code3", Kind::Keyword),
    ("country_name", Kind::Keyword),
    ("continent_code", Kind::Keyword),
    ("region_name", Kind::Keyword),
    ("city_name", Kind::Keyword),
    ("postal_code", Kind::Keyword),
    ("latitude", Kind::Double),
    ("longitude", Kind::Double),
    ("dma_code", Kind::Integer),
    ("area_code", Kind::Integer),
    ("timezone", Kind::Keyword),
    ("real_region_name", Kind::Keyword),
    ("location", Kind::GeoPoint),
];

macro_rules! catalogue {
    ($($constant:ident: $name:literal, $kind:ident, $group:ident, $since:literal, $origin:ident,
       $meaning:literal;)+) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "only counts the rows")]
        #[repr(u8)]
        enum Row { $($constant,)+ }

        $(pub const $constant: Field = Field(Row::$constant as u8);)+

        /// Every field that Sluice knows.
        pub static CATALOGUE: &[Definition] = &[$(Definition {
            name: $name,
            kind: Kind::$kind,
            group: Group::$group,
            since: $since,
            origin: Origin::$origin,
            meaning: $meaning,
        },)+];
    };
}

catalogue! {
    TIMESTAMP: "@timestamp", Date, Always, "0.1", Sluice, "When Sluice wrote the record, UTC. Time axes use `datetime`.";
    VERSION: "@version", Keyword, Always, "0.1", Sluice, "The version of the record: the string `1`.";
    EVENT_ID: "event_id", Identity, Always, "0.1", Sluice, "The document's `_id` and the live stream's id; the same event replayed gets the same.";
    DATETIME: "datetime", Date, Always, "5.0.0", Gateway, "When the API was executed, UTC.";
    ORG_ID: "org_id", Keyword, Always, "5.0.0", Gateway, "The provider organization that owns the API and its Products.";
    CATALOG_ID: "catalog_id", Keyword, Always, "5.0.0", Gateway, "The Catalog identifier.";
    SPACE_ID: "space_id", Keyword, Always, "5.0.0", Gateway, "The Space identifier.";
    DEVELOPER_ORG_ID: "developer_org_id", Keyword, Always, "5.0.0", Gateway, "The developer organization that owns the application.";
    API_ID: "api_id", Keyword, Invocation, "5.0.0", Gateway, "The API identifier.";
    API_NAME: "api_name", Keyword, Invocation, "5.0.0", Gateway, "The name of the API.";
    API_VERSION: "api_version", Keyword, Invocation, "5.0.0", Gateway, "The version of the API.";
    APP_ID: "app_id", Keyword, Invocation, "5.0.0", Gateway, "The registered application.";
    APP_NAME: "app_name", Keyword, Invocation, "5.0.0", Gateway, "The name of the registered application.";
    APP_TYPE: "app_type", Keyword, Invocation, "5.0.7", Gateway, "The application type: Production or Development.";
    BYTES_RECEIVED: "bytes_received", Long, Invocation, "5.0.0", Gateway, "Bytes of the inbound request.";
    BYTES_SENT: "bytes_sent", Long, Invocation, "5.0.0", Gateway, "Bytes of the outbound response.";
    CATALOG_NAME: "catalog_name", Keyword, Invocation, "5.0.0", Gateway, "The Catalog name.";
    CLIENT_ID: "client_id", Keyword, Invocation, "5.0.8", Gateway, "The client id attached to the request.";
    CLIENT_IP: "client_ip", Ip, Invocation, "5.0.0", Gateway, "The original client's address, as the gateway took it from X-Forwarded-For.";
    DEBUG: "debug", Keyword, Invocation, "5.0.0", Gateway, "Debug information, where APIm-Debug is true.";
    DEVELOPER_ORG_NAME: "developer_org_name", Keyword, Invocation, "5.0.0", Gateway, "The name of the developer organization.";
    DEVELOPER_ORG_TITLE: "developer_org_title", Keyword, Invocation, "5.0.0", Gateway, "The display title of the developer organization.";
    ENDPOINT_URL: "endpoint_url", Keyword, Invocation, "5.0.8", Gateway, "The target URL on which a failed request failed.";
    GATEWAY_IP: "gateway_ip", Ip, Invocation, "5.0.0", Gateway, "The address of the gateway.";
    HOST: "host", Keyword, Invocation, "5.0.0", Gateway, "The host name or address.";
    HTTP_USER_AGENT: "http_user_agent", Keyword, Invocation, "5.0.0", Gateway, "The User-Agent header of the request.";
    IMMEDIATE_CLIENT_IP: "immediate_client_ip", Ip, Invocation, "5.0.0", Gateway, "The address directly in front of the gateway, usually a load balancer.";
    LATENCY_INFO: "latency_info", Nested, Invocation, "5.0.0", Gateway, "The steps of the call, in order.";
    LATENCY_INFO_TASK: "latency_info.task", Keyword, Invocation, "5.0.0", Gateway, "The step.";
    LATENCY_INFO_STARTED: "latency_info.started", Long, Invocation, "5.0.0", Gateway, "Milliseconds from the request's arrival to the start of the step: cumulative, not a duration.";
    LOG_POLICY: "log_policy", Keyword, Invocation, "5.0.0", Gateway, "The logging policy, as it came.";
    ORG_NAME: "org_name", Keyword, Invocation, "5.0.0", Gateway, "The name of the provider organization.";
    PLAN_ID: "plan_id", Keyword, Invocation, "5.0.0", Gateway, "The Plan identifier.";
    PLAN_NAME: "plan_name", Keyword, Invocation, "5.0.0", Gateway, "The name of the Plan.";
    PLAN_VERSION: "plan_version", Keyword, Invocation, "5.0.0", Gateway, "The version of the Plan.";
    PRODUCT_ID: "product_id", Keyword, Invocation, "5.0.0", Gateway, "The Product identifier.";
    PRODUCT_NAME: "product_name", Keyword, Invocation, "5.0.0", Gateway, "The name of the Product.";
    PRODUCT_TITLE: "product_title", Keyword, Invocation, "5.0.0", Gateway, "The title of the Product.";
    PRODUCT_VERSION: "product_version", Keyword, Invocation, "5.0.0", Gateway, "The version of the Product.";
    QUERY_STRING: "query_string", Keyword, Invocation, "5.0.0", Gateway, "The query string of the request.";
    RATE_LIMIT: "rateLimit", Object, Invocation, "5.0.0", Gateway, "The rate limits that applied.";
    RATE_LIMIT_COUNT: "rateLimit.count", Long, Invocation, "5.0.0", Gateway, "Calls made in the time window of the limit.";
    RATE_LIMIT_LIMIT: "rateLimit.limit", Long, Invocation, "5.0.0", Gateway, "Calls allowed in the time window of the limit.";
    REQUEST_METHOD: "request_method", Keyword, Invocation, "5.0.0", Gateway, "The method of the request.";
    REQUEST_PROTOCOL: "request_protocol", Keyword, Invocation, "5.0.0", Gateway, "The protocol of the request.";
    RESOURCE_ID: "resource_id", Keyword, Invocation, "5.0.0", Gateway, "The operation identifier.";
    RESOURCE_PATH: "resource_path", Keyword, Invocation, "5.0.0", Gateway, "The operation's path.";
    SPACE_NAME: "space_name", Keyword, Invocation, "5.0.0", Gateway, "The Space name.";
    STATUS_CODE: "status_code", Keyword, Invocation, "5.0.0", Gateway, "The status of the response, as it came.";
    TAGS: "tags", Keyword, Invocation, "5.0.0", Gateway, "Tags of the gateway, and those of Sluice.";
    TIME_TO_SERVE_REQUEST: "time_to_serve_request", Long, Invocation, "5.0.0", Gateway, "Milliseconds from the receipt of the request to the end of the response.";
    TRANSACTION_ID: "transaction_id", Keyword, Invocation, "5.0.0", Gateway, "The API transaction.";
    URI_PATH: "uri_path", Keyword, Invocation, "5.0.0", Gateway, "The path of the request.";
    RATE_LIMIT_NAME: "rateLimit.name", Keyword, Invocation, "0.1", Sluice, "The name of the limit, where the gateway keys limits by name.";
    STATUS: "status", Integer, Invocation, "0.1", Sluice, "The number in `status_code`.";
    STATUS_CLASS: "status_class", Keyword, Invocation, "0.1", Sluice, "The class of `status`: `2xx`.";
    INGEST_LAG_MS: "ingest_lag_ms", Long, Invocation, "0.1", Sluice, "`@timestamp` minus `datetime`, in milliseconds.";
    LATENCY: "latency", Object, Invocation, "0.1", Sluice, "Durations taken from `latency_info`.";
    LATENCY_GATEWAY_MS: "latency.gateway_ms", Long, Invocation, "0.1", Sluice, "Milliseconds spent in the gateway itself.";
    LATENCY_BACKEND_MS: "latency.backend_ms", Long, Invocation, "0.1", Sluice, "Milliseconds of the proxy or invoke step.";
    BILLING: "billing", Object, Billing, "5.0.7", Gateway, "The billing of the subscription.";
    BILLING_AMOUNT: "billing.amount", Double, Billing, "5.0.7", Gateway, "The amount that a customer is billed for a subscription to the Product.";
    BILLING_CURRENCY: "billing.currency", Keyword, Billing, "5.0.7", Gateway, "The currency of the subscription fee.";
    BILLING_MODEL: "billing.model", Keyword, Billing, "5.0.7", Gateway, "The billing plan.";
    BILLING_PROVIDER: "billing.provider", Keyword, Billing, "5.0.7", Gateway, "The credit card processing partner.";
    BILLING_TRIAL_PERIOD_DAYS: "billing.trial_period_days", Integer, Billing, "5.0.7", Gateway, "Days without charge.";
    REQUEST_HTTP_HEADERS: "request_http_headers", Flattened, Headers, "5.0.0", Gateway, "The headers of the request, under lower-case names.";
    RESPONSE_HTTP_HEADERS: "response_http_headers", Flattened, Headers, "5.0.0", Gateway, "The headers of the response, under lower-case names.";
    REQUEST_BODY: "request_body", Body, Payload, "5.0.0", Gateway, "The body of the request; stored, not indexed.";
    RESPONSE_BODY: "response_body", Body, Payload, "5.0.0", Gateway, "The body of the response; stored, not indexed.";
    REQUEST_BODY_BYTES: "request_body_bytes", Long, Payload, "0.1", Sluice, "The length of the request's body before it was cut, in bytes.";
    RESPONSE_BODY_BYTES: "response_body_bytes", Long, Payload, "0.1", Sluice, "The length of the response's body before it was cut, in bytes.";
    CLIENT_GEOIP: "client_geoip", Geo, Geo, "5.0.0", Gateway, "Where the client is.";
    CLIENT_GEOIP_IP: "client_geoip.ip", Ip, Geo, "5.0.0", Gateway, "The address that was looked up.";
    CLIENT_GEOIP_COUNTRY_CODE2: "client_geoip.country_code2", Keyword, Geo, "5.0.0", Gateway, "ISO 3166-1 alpha-2.";
    CLIENT_GEOIP_COUNTRY_CODE3: "client_geoip.country_code3", Keyword, Geo, "5.0.0", Gateway, "ISO 3166-1 alpha-3.";
    CLIENT_GEOIP_COUNTRY_NAME: "client_geoip.country_name", Keyword, Geo, "5.0.0", Gateway, "The country, in English.";
    CLIENT_GEOIP_CONTINENT_CODE: "client_geoip.continent_code", Keyword, Geo, "5.0.0", Gateway, "The continent's code.";
    CLIENT_GEOIP_REGION_NAME: "client_geoip.region_name", Keyword, Geo, "5.0.0", Gateway, "The code of the most specific subdivision.";
    CLIENT_GEOIP_CITY_NAME: "client_geoip.city_name", Keyword, Geo, "5.0.0", Gateway, "The city, in English.";
    CLIENT_GEOIP_POSTAL_CODE: "client_geoip.postal_code", Keyword, Geo, "5.0.0", Gateway, "The postal code.";
    CLIENT_GEOIP_LATITUDE: "client_geoip.latitude", Double, Geo, "5.0.0", Gateway, "Degrees north.";
    CLIENT_GEOIP_LONGITUDE: "client_geoip.longitude", Double, Geo, "5.0.0", Gateway, "Degrees east.";
    CLIENT_GEOIP_DMA_CODE: "client_geoip.dma_code", Integer, Geo, "5.0.0", Gateway, "The metro code (United States).";
    CLIENT_GEOIP_AREA_CODE: "client_geoip.area_code", Integer, Geo, "5.0.0", Gateway, "The telephone area code; no modern database has one.";
    CLIENT_GEOIP_TIMEZONE: "client_geoip.timezone", Keyword, Geo, "5.0.0", Gateway, "The IANA time zone.";
    CLIENT_GEOIP_REAL_REGION_NAME: "client_geoip.real_region_name", Keyword, Geo, "5.0.0", Gateway, "The name of the most specific subdivision, in English.";
    CLIENT_GEOIP_LOCATION: "client_geoip.location", GeoPoint, Geo, "5.0.0", Gateway, "Longitude, latitude.";
    GATEWAY_GEOIP: "gateway_geoip", Geo, Geo, "5.0.0", Gateway, "Where the gateway is.";
    GATEWAY_GEOIP_IP: "gateway_geoip.ip", Ip, Geo, "5.0.0", Gateway, "The address that was looked up.";
    GATEWAY_GEOIP_COUNTRY_CODE2: "gateway_geoip.country_code2", Keyword, Geo, "5.0.0", Gateway, "ISO 3166-1 alpha-2.";
    GATEWAY_GEOIP_COUNTRY_CODE3: "gateway_geoip.country_code3", Keyword, Geo, "5.0.0", Gateway, "ISO 3166-1 alpha-3.";
    GATEWAY_GEOIP_COUNTRY_NAME: "gateway_geoip.country_name", Keyword, Geo, "5.0.0", Gateway, "The country, in English.";
    GATEWAY_GEOIP_CONTINENT_CODE: "gateway_geoip.continent_code", Keyword, Geo, "5.0.0", Gateway, "The continent's code.";
    GATEWAY_GEOIP_REGION_NAME: "gateway_geoip.region_name", Keyword, Geo, "5.0.0", Gateway, "The code of the most specific subdivision.";
    GATEWAY_GEOIP_CITY_NAME: "gateway_geoip.city_name", Keyword, Geo, "5.0.0", Gateway, "The city, in English.";
    GATEWAY_GEOIP_POSTAL_CODE: "gateway_geoip.postal_code", Keyword, Geo, "5.0.0", Gateway, "The postal code.";
    GATEWAY_GEOIP_LATITUDE: "gateway_geoip.latitude", Double, Geo, "5.0.0", Gateway, "Degrees north.";
    GATEWAY_GEOIP_LONGITUDE: "gateway_geoip.longitude", Double, Geo, "5.0.0", Gateway, "Degrees east.";
    GATEWAY_GEOIP_DMA_CODE: "gateway_geoip.dma_code", Integer, Geo, "5.0.0", Gateway, "The metro code (United States).";
    GATEWAY_GEOIP_AREA_CODE: "gateway_geoip.area_code", Integer, Geo, "5.0.0", Gateway, "The telephone area code; no modern database has one.";
    GATEWAY_GEOIP_TIMEZONE: "gateway_geoip.timezone", Keyword, Geo, "5.0.0", Gateway, "The IANA time zone.";
    GATEWAY_GEOIP_REAL_REGION_NAME: "gateway_geoip.real_region_name", Keyword, Geo, "5.0.0", Gateway, "The name of the most specific subdivision, in English.";
    GATEWAY_GEOIP_LOCATION: "gateway_geoip.location", GeoPoint, Geo, "5.0.0", Gateway, "Longitude, latitude.";
    HEADERS: "headers", Flattened, Transport, "5.0.0", Gateway, "Headers of the transport; exported only where asked for.";
    UNPARSED: "unparsed", Disabled, Unknown, "0.1", Sluice, "Values that the index would refuse, under the name of their field.";
    SOURCE: "source", Disabled, Unknown, "0.1", Sluice, "What came under a name that Sluice writes itself.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for field in Field::all() {
            assert_eq!(Field::named(field.name()), Some(field));
        }
        assert_eq!(Field::named("nothing"), None);
        assert_eq!(BILLING_AMOUNT.name(), "billing.amount");
    }

    #[test]
    fn parents_stand_in_the_catalogue() {
        for row in CATALOGUE {
            if let Some((parent, _)) = row.name.rsplit_once('.') {
                assert!(Field::named(parent).is_some(), "{parent}");
            }
        }
    }
}
