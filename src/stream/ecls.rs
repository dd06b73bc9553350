//! The format of Mashery's Enriched Call Log Streams, so that its clients work unchanged.
//!
//! An event of ours becomes an object of the 41 [`fields`], always all of them and in that order,
//! whose values are strings: `-` where we have no such value. What was redacted stays redacted. The
//! names are those that Mashery's documentation gives the fields of its stream.

use crate::prepare::parse::Parsed;

mod write;

use write::Writer;

/// What stands for a value that is not there.
pub const ABSENT: &str = "-";
/// The value of `log_type`: the calls come from gateways that the reader runs, not from Mashery's
/// cloud.
pub const LOG_TYPE: &str = "ML";
/// Before the first event of a message, see [`envelope`].
pub const ENVELOPE_OPEN: &[u8] = b"{\"data\":[";
/// Behind the last event of a message, see [`envelope`].
pub const ENVELOPE_CLOSE: &[u8] = b"]}";

/// What a value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// We have nothing of the kind, or keep it to ourselves.
    Nothing,
    Constant(&'static str),
    /// The first of these that is there.
    First(&'static [Part]),
    /// `status_code` up to its first byte that is no digit.
    StatusDigits,
    /// `status_code` with `_` for each blank, and `_API`: `200_OK_API`.
    StatusText,
    /// Whether `request_protocol` is https, as `1` or `0`.
    IsHttps,
    /// Whole milliseconds as seconds with three decimals.
    Seconds(Part),
    /// A time as milliseconds since 1970.
    EpochMillis(Part),
    /// The path, and the query behind a `?`.
    Uri,
}

macro_rules! parts {
    ($($part:ident: $name:literal,)+) => {
        /// The fields of an event that anything here is made of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Part { $($part,)+ }

        impl Part {
            const COUNT: usize = [$(Self::$part),+].len();

            #[inline]
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$part),)+
                    _ => None,
                }
            }
        }
    };
}

parts! {
    Timestamp: "@timestamp",
    ApiId: "api_id",
    ApiName: "api_name",
    BytesSent: "bytes_sent",
    ClientId: "client_id",
    ClientIp: "client_ip",
    Datetime: "datetime",
    DeveloperOrgId: "developer_org_id",
    DeveloperOrgName: "developer_org_name",
    EndpointUrl: "endpoint_url",
    GatewayIp: "gateway_ip",
    Host: "host",
    HttpUserAgent: "http_user_agent",
    OrgId: "org_id",
    OrgName: "org_name",
    PlanId: "plan_id",
    PlanName: "plan_name",
    ProductId: "product_id",
    ProductName: "product_name",
    QueryString: "query_string",
    RateLimit: "rateLimit",
    RequestHeaders: "request_http_headers",
    RequestMethod: "request_method",
    RequestProtocol: "request_protocol",
    ResourceId: "resource_id",
    ResourcePath: "resource_path",
    StatusCode: "status_code",
    TimeToServe: "time_to_serve_request",
    TransactionId: "transaction_id",
    UriPath: "uri_path",
    // Never names of members of the event: what was found within one.
    RateLimitCount: "rateLimit.count",
    Referer: "request_http_headers.referer",
    UserAgent: "request_http_headers.user-agent",
}

use Source::{
    Constant, EpochMillis, First, IsHttps, Nothing, Seconds, StatusDigits, StatusText, Uri,
};

/// Every field in the order in which it is written, with what it is made of.
const ROWS: [(&str, Source); 41] = [
    ("api_key", First(&[Part::ClientId])),
    ("api_method_name", First(&[Part::ResourcePath, Part::ResourceId])),
    ("bytes", First(&[Part::BytesSent])),
    ("cache_hit", Nothing),
    ("client_transfer_time", Nothing),
    ("connect_time", Nothing),
    ("endpoint_name", First(&[Part::EndpointUrl, Part::ResourcePath])),
    ("http_method", First(&[Part::RequestMethod])),
    ("http_status_code", StatusDigits),
    ("http_version", Nothing),
    ("ingestion_time", EpochMillis(Part::Timestamp)),
    ("log_type", Constant(LOG_TYPE)),
    ("oauth_access_token", Nothing),
    ("org_name", First(&[Part::OrgName])),
    ("org_uuid", First(&[Part::OrgId])),
    ("package_name", First(&[Part::ProductName])),
    ("package_uuid", First(&[Part::ProductId])),
    ("plan_name", First(&[Part::PlanName])),
    ("plan_uuid", First(&[Part::PlanId])),
    ("pre_transfer_time", Nothing),
    ("qps_throttle_value", Nothing),
    ("quota_value", First(&[Part::RateLimitCount])),
    ("referrer", First(&[Part::Referer])),
    ("remote_total_time", Nothing),
    ("request_host_name", First(&[Part::Host])),
    ("request_id", Nothing),
    ("request_time", First(&[Part::Datetime])),
    ("request_uuid", First(&[Part::TransactionId])),
    ("response_string", StatusText),
    ("service_definition_endpoint_uuid", Nothing),
    ("service_id", First(&[Part::ApiId])),
    ("service_name", First(&[Part::ApiName])),
    ("src_ip", First(&[Part::ClientIp])),
    ("ssl_enabled", IsHttps),
    ("sub_org_name", First(&[Part::DeveloperOrgName])),
    ("sub_org_uuid", First(&[Part::DeveloperOrgId])),
    ("total_request_exec_time", Seconds(Part::TimeToServe)),
    ("traffic_manager", First(&[Part::GatewayIp])),
    ("traffic_manager_error_code", Nothing),
    ("uri", Uri),
    ("user_agent", First(&[Part::HttpUserAgent, Part::UserAgent])),
];

/// The names of the 41 fields, in the order in which they are written.
pub fn fields() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|(name, _)| *name)
}

/// Where in an event each part stands.
#[derive(Debug, Clone, Copy)]
struct Found([Option<usize>; Part::COUNT]);

impl Found {
    fn of(event: &Parsed<'_>) -> Self {
        let mut found = Self([None; Part::COUNT]);
        for (key, value) in event.members(0) {
            let Some(part) = event.string(key).and_then(Part::named) else { continue };
            match part {
                Part::RateLimit => found.within(event, value, |name| match name {
                    "count" => Some(Part::RateLimitCount),
                    _ => None,
                }),
                Part::RequestHeaders => found.within(event, value, |name| match name {
                    "referer" => Some(Part::Referer),
                    "user-agent" => Some(Part::UserAgent),
                    _ => None,
                }),
                Part::RateLimitCount | Part::Referer | Part::UserAgent => {}
                _ => found.set(part, value),
            }
        }
        found
    }

    /// Looks into an object; of an array of objects, as keyed rate limits are, into the first.
    fn within(&mut self, event: &Parsed<'_>, at: usize, part: impl Fn(&str) -> Option<Part>) {
        let object = if event.is_array(at) { event.elements(at).next() } else { Some(at) };
        for (key, value) in object.into_iter().flat_map(|object| event.members(object)) {
            if let Some(part) = event.string(key).and_then(&part) {
                self.set(part, value);
            }
        }
    }

    fn set(&mut self, part: Part, at: usize) {
        if let Some(place) = self.0.get_mut(part as usize) {
            *place = Some(at);
        }
    }

    fn get(&self, part: Part) -> Option<usize> {
        self.0.get(part as usize).copied().flatten()
    }
}

/// Writes an event as one ECLS object, without envelope or newline, behind what `out` holds.
/// Allocates only to make `out` larger.
pub fn write(event: &Parsed<'_>, out: &mut Vec<u8>) {
    let mut writer = Writer { event: *event, found: Found::of(event), out };
    for (at, (name, source)) in ROWS.iter().enumerate() {
        writer.out.push(if at == 0 { b'{' } else { b',' });
        writer.out.push(b'"');
        writer.out.extend_from_slice(name.as_bytes());
        writer.out.extend_from_slice(b"\":\"");
        let start = writer.out.len();
        writer.value(*source);
        if writer.out.len() == start {
            writer.out.extend_from_slice(ABSENT.as_bytes());
        }
        writer.out.push(b'"');
    }
    writer.out.push(b'}');
}

/// Writes a message of events that are JSON already, in either format: `{"data":[{…},{…}]}`.
pub fn envelope<'a>(events: impl IntoIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(ENVELOPE_OPEN);
    for (at, event) in events.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(event);
    }
    out.extend_from_slice(ENVELOPE_CLOSE);
}

/// Writes an event as a whole ECLS message: [`write`](fn@write) in an [`envelope`] of one.
pub fn message(event: &Parsed<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(ENVELOPE_OPEN);
    write(event, out);
    out.extend_from_slice(ENVELOPE_CLOSE);
}

#[cfg(test)]
mod tests;
