//! The keys of `stream` to [`StreamSettings`].

use url::Url;

use super::api_toml::networks;
use super::names;
use super::reader::Reader;
use super::settings::StreamSettings;
use super::sluice_toml::listen;

pub(super) fn read(from: &mut Reader<'_>) -> StreamSettings {
    let replica = from.optional_text("stream.replica");
    if let Some(name) = &replica
        && !names::is_replica_name(name)
    {
        let message = "is not 1 to 256 bytes without control characters";
        from.cross_fault(&["stream.replica"], message, None);
    }
    StreamSettings {
        listen: listen(from, "stream.listen"),
        public_url: from.optional_text("stream.public_url"),
        ring_bytes_max: from.bytes("stream.ring_bytes_max"),
        sockets_max: from.integer("stream.sockets_max"),
        replica,
        connections_per_channel_max: from.integer("stream.connections_per_channel_max"),
        token_overlap_max: from.integer("stream.token_overlap_max"),
        cursor_key: from.secret("stream.cursor_key"),
        key_in_query: from.bool("stream.key_in_query"),
        failures_per_minute_max: from.integer("stream.failures_per_minute_max"),
        proxies: networks(from, "stream.proxies"),
        allowed_origins: allowed_origins(from),
        drain: from.duration("stream.drain"),
    }
}

fn allowed_origins(from: &mut Reader<'_>) -> Vec<String> {
    let origins = from.texts("stream.allowed_origins");
    for (at, text) in origins.iter().enumerate() {
        // As a browser writes it: in small letters, without the scheme's own port, without a path.
        let origin = Url::parse(text).map(|url| url.origin().ascii_serialization());
        if text != "*" && origin.as_ref() != Ok(text) {
            let hint = match origin.ok().filter(|origin| origin != "null") {
                Some(origin) => format!("did you mean `{origin}`?"),
                None => "as in `https://console.example.com`".to_owned(),
            };
            let message = format!("`{text}` is no origin of web pages");
            from.fault(&format!("stream.allowed_origins[{at}]"), message, Some(hint));
        }
    }
    origins
}
