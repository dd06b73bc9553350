//! What Kafka takes as the name of a topic, and as the address of a broker.

/// Kafka's own limit (`org.apache.kafka.common.internals.Topic`).
const TOPIC_CHARS_MAX: usize = 249;

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

/// What is wrong with a broker's address.
#[must_use]
pub fn broker_fault(address: &str) -> Option<&'static str> {
    let Some((host, port)) = address.rsplit_once(':') else { return Some("has no port") };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == ',') {
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
