//! What Kafka takes as the name of a topic, and as the address of a broker.

/// Kafka's own limit (`org.apache.kafka.common.internals.Topic`).
const TOPIC_CHARS_MAX: usize = 249;

/// The levels of a log filter.
pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What may stand before a broker's host; librdkafka takes no other.
const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// What is wrong with a topic's name.
#[must_use]
pub fn topic_fault(name: &str) -> Option<String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name == "." || name == ".." {
        return Some("is no name for a topic".to_owned());
    }
    if let Some(wrong) = name.chars().find(|c| !is_allowed(*c)) {
        return Some(format!(
            "is no name for a topic: {wrong:?} is none of the letters a-z and A-Z, digits, `.`, \
             `_` and `-`"
        ));
    }
    (name.len() > TOPIC_CHARS_MAX)
        .then(|| format!("is no name for a topic: longer than {TOPIC_CHARS_MAX} characters"))
}

/// Whether a text can be, or begin, the name of an index or a template: lower case and without a
/// few characters (Elasticsearch, "Create index API", path parameters). OpenSearch holds to the same.
#[must_use]
pub fn is_index_name(name: &str) -> bool {
    let clean = |c: char| {
        !c.is_uppercase() && !c.is_whitespace() && !c.is_control() && !r#"\/*?"<>|,#:"#.contains(c)
    };
    // 255 bytes for the whole name, of which `-YYYY.MM.DD` takes 11.
    name.chars().all(clean)
        && !name.starts_with(['-', '_', '+', '.'])
        && (1..=244).contains(&name.len())
}

/// The part of a log filter that is a level's name misspelt: `loud`. Alone it would be a target.
#[must_use]
pub fn unknown_level(filter: &str) -> Option<&str> {
    let is_level = |word: &str| {
        LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)) || word.parse::<u8>().is_ok()
    };
    let words = filter.split(',').map(str::trim);
    words.filter(|word| !word.is_empty() && !word.contains(['=', '[', ':'])).find(|w| !is_level(w))
}

/// What is wrong with a broker's address.
#[must_use]
pub fn broker_fault(address: &str) -> Option<&'static str> {
    let Some((host, port)) = address.rsplit_once(':') else { return Some("has no port") };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    if let Some((protocol, _)) = host.split_once("://")
        && !PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol))
    {
        return Some("names no protocol of Kafka's");
    }
    if host.is_empty()
        || host.ends_with("://")
        || host.contains(|c: char| c.is_whitespace() || c == ',')
    {
        return Some("names no host");
    }
    if host.contains(':') && !is_bracketed && !host.contains("://") {
        return Some("is an address that needs brackets, as in `[::1]:9092`");
    }
    match port.parse::<u16>() {
        Ok(1..) => None,
        _ if port.is_empty() => Some("has no port"),
        _ => Some("has a port that is not within 1 and 65535"),
    }
}

/// Whether a text can name a replica.
pub(super) fn is_replica_name(name: &str) -> bool {
    (1..=256).contains(&name.len()) && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers() {
        let check = |address: &str, expected: Option<&str>| {
            assert_eq!(broker_fault(address), expected, "{address}");
        };
        check("host:9092", None);
        check("127.0.0.1:1", None);
        check("[::1]:65535", None);
        check("SASL_SSL://host:9092", None);
        check("plaintext://host:9092", None);
        check("http://host:1", Some("names no protocol of Kafka's"));
        check("ssl://:1", Some("names no host"));
        check("host", Some("has no port"));
        check("host:", Some("has no port"));
        check("host:0", Some("has a port that is not within 1 and 65535"));
        check("host:99999", Some("has a port that is not within 1 and 65535"));
        check("host:http", Some("has a port that is not within 1 and 65535"));
        check(":9092", Some("names no host"));
        check(" :9092", Some("names no host"));
        check("a:1,b:2", Some("names no host"));
        check("::1:9092", Some("is an address that needs brackets, as in `[::1]:9092`"));
    }

    #[test]
    fn topics() {
        for name in ["a", "api-events", "A.b_C-1", &"x".repeat(249)] {
            assert_eq!(topic_fault(name), None);
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert!(topic_fault(name).is_some(), "{name}");
        }
        assert_eq!(
            topic_fault("a b").as_deref(),
            Some(
                "is no name for a topic: ' ' is none of the letters a-z and A-Z, digits, `.`, `_` and `-`"
            )
        );
    }
}
