//! The keys of the administrators' API, and the networks that some keys name.

use std::net::IpAddr;

use axum::http::HeaderName;
use ipnet::IpNet;
use url::Url;

use super::reader::Reader;
use super::settings::{ApiSettings, ProxySettings, Role, RoleSettings};
use super::sluice_toml::listen;

/// The area of events that have none: for administrators of everything only.
pub const UNASSIGNED: &str = "unassigned";

/// Reads every key of `[api]`; what is wrong is kept in the reader.
pub(super) fn read(from: &mut Reader<'_>) -> ApiSettings {
    let settings = ApiSettings {
        listen: listen(from, "api.listen"),
        token: from.secret("api.token"),
        public_url: public_url(from),
        session_max: from.duration("api.session_max"),
        proxy: ProxySettings {
            addresses: networks(from, "api.proxy.addresses"),
            user_header: header(from, "api.proxy.user_header"),
            groups_header: header(from, "api.proxy.groups_header"),
        },
        roles: from.tables("api.roles", role),
    };
    if settings.proxy.addresses.is_empty() && !settings.roles.is_empty() {
        let message = "have no effect: `api.proxy.addresses` names no proxy";
        from.cross_fault(&["api.roles", "api.proxy.addresses"], message, None);
    }
    settings
}

fn public_url(from: &mut Reader<'_>) -> Option<String> {
    let text = from.optional_text("api.public_url")?;
    let is_origin = Url::parse(&text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.origin().ascii_serialization() == text.trim_end_matches('/')
    });
    if !is_origin {
        let hint = Some("as in `https://sluice.example.com`, without a path".to_owned());
        from.fault("api.public_url", "is not scheme, host and port", hint);
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// Addresses and networks; an address is a network of one.
pub(super) fn networks(from: &mut Reader<'_>, key: &str) -> Vec<IpNet> {
    let texts = from.texts(key);
    let mut networks = Vec::with_capacity(texts.len());
    for (place, text) in texts.iter().enumerate() {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) => networks.push(network),
            Err(_) => {
                let hint = Some("as in `10.0.0.7` or `10.0.0.0/8`".to_owned());
                let message = format!("`{text}` is neither an address nor a network");
                from.fault(&format!("{key}[{place}]"), message, hint);
            }
        }
    }
    networks
}

fn header(from: &mut Reader<'_>, key: &str) -> HeaderName {
    let text = from.text(key);
    HeaderName::from_bytes(text.as_bytes()).unwrap_or_else(|_| {
        from.cross_fault(&[key], format!("`{text}` is no name of a header"), None);
        HeaderName::from_static("x-none")
    })
}

fn role(from: &mut Reader<'_>) -> Option<RoleSettings> {
    let group = from.optional_text("group");
    let areas = from.texts("areas");
    if group.is_none() {
        from.cross_fault(&["group"], "is missing", None);
    }
    if areas.iter().any(|area| area == UNASSIGNED) {
        let message = format!("`{UNASSIGNED}` is for administrators of everything only");
        from.fault("areas", message, None);
    }
    let role = match from.choice("role") {
        0 => Role::Administrator,
        1 => Role::AreaAdministrator(areas.clone()),
        _ => Role::AreaReader(areas.clone()),
    };
    match (role == Role::Administrator, areas.is_empty()) {
        (true, false) => {
            from.cross_fault(&["areas", "role"], "an `administrator` is one of everything", None);
        }
        (false, true) => {
            from.cross_fault(&["areas", "role"], "names no area", None);
        }
        (true, true) | (false, false) => {}
    }
    Some(RoleSettings { group: group?, role })
}
