//! `sluice.toml` and the environment to [`Settings`].

use std::collections::BTreeMap;
use std::net::SocketAddr;

use url::Url;

use super::api_toml;
use super::fault::nearest;
use super::names;
use super::reader::Reader;
use super::settings::{
    BrakeSettings, ControlSettings, DeadLetterSettings, GeoSettings, GroupProtocol, HttpSettings,
    IndexAuth, IndexSettings, KafkaSecurity, KafkaSettings, Limits, LiveSettings, LogFormat,
    LogSettings, PresenceSettings, Roles, Sasl, SaslMechanism, Settings, Start,
};
use super::stream_toml;
use super::without_user;
use crate::deliver::mirror::spread::LANES_MAX;

/// librdkafka properties that delivery rests on, or that have a key of their own.
const OWNED_PROPERTIES: [&str; 16] = [
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "request.required.acks",
    "acks",
    "security.protocol",
    "session.timeout.ms",
];

/// Reads every key; what is wrong is kept in the reader.
pub fn read(from: &mut Reader<'_>) -> Settings {
    let settings = Settings {
        kafka: kafka(from),
        index: index(from),
        live: LiveSettings {
            on: from.bool("live.on"),
            topic: topic(from, "live.topic"),
            partitions: from.integer("live.partitions"),
            replication: from.integer("live.replication"),
            retention: from.duration("live.retention"),
            message_bytes_max: from.bytes("live.message_bytes_max"),
            spread: spread(from),
        },
        dead_letter: DeadLetterSettings {
            topic: topic(from, "dead_letter.topic"),
            partitions: from.integer("dead_letter.partitions"),
            replication: from.integer("dead_letter.replication"),
            retention: from.duration("dead_letter.retention"),
            message_bytes_max: from.bytes("dead_letter.message_bytes_max"),
        },
        control: ControlSettings {
            topic: topic(from, "control.topic"),
            replication: from.integer("control.replication"),
        },
        presence: PresenceSettings {
            topic: topic(from, "presence.topic"),
            partitions: from.integer("presence.partitions"),
            replication: from.integer("presence.replication"),
        },
        stream: stream_toml::read(from),
        api: api_toml::read(from),
        geo: GeoSettings {
            databases: from.paths("geo.databases"),
            work_dir: from.path("geo.work_dir"),
            check_every: from.duration("geo.check_every"),
        },
        http: HttpSettings { listen: listen(from, "http.listen") },
        limits: limits(from),
        log: log(from),
        pipelines: from.path("pipelines").unwrap_or_default(),
        roles: roles(from),
    };
    cross_check(from, &settings);
    settings
}

/// Areas that are in more than one partition.
fn spread(from: &mut Reader<'_>) -> BTreeMap<String, u32> {
    let mut spread = BTreeMap::new();
    for (area, count) in from.map("live.spread") {
        match count.parse() {
            Ok(lanes @ 1..=LANES_MAX) => {
                spread.insert(area, lanes);
            }
            _ => {
                let message = format!(
                    "`{area}` has `{count}`, no number of partitions from 1 to {LANES_MAX}"
                );
                from.fault("live.spread", message, None);
            }
        }
    }
    spread
}

fn roles(from: &mut Reader<'_>) -> Roles {
    let [ingest, stream] = from.choices("roles");
    Roles { ingest, stream }
}

fn kafka(from: &mut Reader<'_>) -> KafkaSettings {
    let brokers = from.texts("kafka.brokers");
    if brokers.is_empty() {
        from.cross_fault(&["kafka.brokers"], "names no broker", None);
    }
    for (place, broker) in brokers.iter().enumerate() {
        if let Some(why) = names::broker_fault(broker) {
            let hint = Some("as in `host:9092`".to_owned());
            from.fault(&format!("kafka.brokers[{place}]"), format!("`{broker}` {why}"), hint);
        }
    }
    let properties = from.map("kafka.properties");
    for (name, _) in &properties {
        if OWNED_PROPERTIES.contains(&name.as_str()) {
            let message = format!("`{name}` is Sluice's own: delivery rests on it");
            from.fault("kafka.properties", message, None);
        }
    }
    KafkaSettings {
        brokers,
        group: from.text("kafka.group"),
        start: if from.choice("kafka.start") == 0 { Start::Earliest } else { Start::Latest },
        group_protocol: match from.choice("kafka.group_protocol") {
            0 => GroupProtocol::Classic,
            _ => GroupProtocol::Consumer,
        },
        group_instance_id: from.optional_text("kafka.group_instance_id"),
        session_timeout: from.duration("kafka.session_timeout"),
        security: kafka_security(from),
        properties,
        client_id: from.text("kafka.client_id"),
    }
}

fn topic(from: &mut Reader<'_>, key: &str) -> String {
    let topic = from.text(key);
    if let Some(why) = names::topic_fault(&topic) {
        from.cross_fault(&[key], format!("`{topic}` {why}"), None);
    }
    topic
}

fn kafka_security(from: &mut Reader<'_>) -> KafkaSecurity {
    let mechanism = match from.choice("kafka.sasl.mechanism") {
        1 => Some(SaslMechanism::Plain),
        2 => Some(SaslMechanism::ScramSha256),
        3 => Some(SaslMechanism::ScramSha512),
        _ => None,
    };
    let username = from.optional_text("kafka.sasl.username");
    let password = from.secret("kafka.sasl.password");
    let sasl = match (mechanism, username, password) {
        (Some(mechanism), Some(username), Some(password)) => {
            Some(Sasl { mechanism, username, password })
        }
        (Some(_), None, _) => {
            let keys = ["kafka.sasl.username", "kafka.sasl.mechanism"];
            from.cross_fault(&keys, "is needed by `kafka.sasl.mechanism`", None);
            None
        }
        (Some(_), _, None) => {
            let keys = ["kafka.sasl.password", "kafka.sasl.mechanism"];
            from.cross_fault(&keys, "is needed by `kafka.sasl.mechanism`", None);
            None
        }
        (None, None, None) => None,
        (None, ..) => {
            let hint = Some("set it to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512".to_owned());
            let message = "is `none`, but a user or password is given";
            from.cross_fault(&["kafka.sasl.mechanism"], message, hint);
            None
        }
    };
    let security = KafkaSecurity {
        tls: from.bool("kafka.tls"),
        sasl,
        ca_file: from.existing_file("kafka.ca_file"),
        certificate_file: from.existing_file("kafka.certificate_file"),
        key_file: from.existing_file("kafka.key_file"),
        key_password: from.secret("kafka.key_password"),
        skip_hostname_check: from.bool("kafka.skip_hostname_check"),
    };
    if security.certificate_file.is_some() != security.key_file.is_some() {
        let message = "certificate and key belong together: only one is given";
        from.cross_fault(&["kafka.certificate_file", "kafka.key_file"], message, None);
    }
    for key in ["kafka.ca_file", "kafka.certificate_file"] {
        if !security.tls && from.says(key) {
            let hint = Some("set `kafka.tls = true`".to_owned());
            from.cross_fault(&[key, "kafka.tls"], "has no effect without TLS", hint);
        }
    }
    security
}

fn index(from: &mut Reader<'_>) -> IndexSettings {
    let cloud_id = from.optional_text("index.cloud_id");
    let nodes = from.texts("index.nodes");
    if cloud_id.is_some() && from.says("index.nodes") {
        from.fault("index.cloud_id", "`index.nodes` is given as well: only one of the two", None);
    }
    if cloud_id.is_none() && nodes.is_empty() {
        from.cross_fault(&["index.nodes", "index.cloud_id"], "names no node", None);
    }
    for (place, node) in nodes.iter().enumerate() {
        let is_http = Url::parse(node)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_http {
            let hint = Some("as in `http://host:9200`".to_owned());
            from.fault(
                &format!("index.nodes[{place}]"),
                format!("`{}` is no URL", without_user(node)),
                hint,
            );
        }
    }
    let (certificate, key) = (
        from.existing_file("index.client_certificate_file"),
        from.existing_file("index.client_key_file"),
    );
    if certificate.is_some() != key.is_some() {
        let message = "certificate and key belong together: only one is given";
        let keys = ["index.client_certificate_file", "index.client_key_file"];
        from.cross_fault(&keys, message, None);
    }
    let retention_days: u32 = from.integer("index.retention_days");
    IndexSettings {
        nodes,
        cloud_id,
        auth: index_auth(from),
        ca_file: from.existing_file("index.ca_file"),
        client_certificate_file: certificate,
        client_key_file: key,
        gzip: from.bool("index.gzip"),
        batch_bytes_max: from.bytes("index.batch_bytes_max"),
        batch_age_max: from.duration("index.batch_age_max"),
        requests_in_flight_max: from.integer("index.requests_in_flight_max"),
        request_timeout: from.duration("index.request_timeout"),
        connect_timeout: from.duration("index.connect_timeout"),
        backoff_min: from.duration("index.backoff_min"),
        backoff_max: from.duration("index.backoff_max"),
        item_retry_max: from.duration("index.item_retry_max"),
        blocked_index_wait: from.duration("index.blocked_index_wait"),
        brake: BrakeSettings {
            on: from.bool("index.brake.on"),
            refusals_min: from.integer("index.brake.refusals_min"),
            refused_percent: from.integer("index.brake.refused_percent"),
            retry_every: from.duration("index.brake.retry_every"),
        },
        shards: from.integer("index.shards"),
        replicas: from.integer("index.replicas"),
        retention_days: (retention_days > 0).then_some(retention_days),
        template: template(from),
    }
}

fn template(from: &mut Reader<'_>) -> String {
    let template = from.text("index.template");
    if !names::is_index_name(&template) {
        let hint = Some("lower case, without spaces and `\\/*?\"<>|,#:`".to_owned());
        from.cross_fault(&["index.template"], format!("`{template}` cannot name a template"), hint);
    }
    template
}

fn index_auth(from: &mut Reader<'_>) -> IndexAuth {
    let username = from.optional_text("index.username");
    let password = from.secret("index.password");
    let api_key = from.secret("index.api_key");
    let bearer = from.secret("index.bearer");
    let given = usize::from(username.is_some() || password.is_some())
        + usize::from(api_key.is_some())
        + usize::from(bearer.is_some());
    if given > 1 {
        let message = "user with password, `index.api_key` and `index.bearer` exclude each other";
        from.fault("index.username", message, None);
    }
    match (username, password, api_key, bearer) {
        (_, _, Some(api_key), _) => IndexAuth::ApiKey(api_key),
        (_, _, _, Some(bearer)) => IndexAuth::Bearer(bearer),
        (Some(username), Some(password), ..) => IndexAuth::Basic { username, password },
        (Some(_), None, ..) => {
            let keys = ["index.password", "index.username"];
            from.cross_fault(&keys, "is needed by `index.username`", None);
            IndexAuth::None
        }
        (None, Some(_), ..) => {
            let keys = ["index.username", "index.password"];
            from.cross_fault(&keys, "is needed by `index.password`", None);
            IndexAuth::None
        }
        (None, None, None, None) => IndexAuth::None,
    }
}

fn limits(from: &mut Reader<'_>) -> Limits {
    Limits {
        in_flight_bytes_max: from.bytes("limits.in_flight_bytes_max"),
        fetch_bytes_max: from.bytes("limits.fetch_bytes_max"),
        produce_bytes_max: from.bytes("limits.produce_bytes_max"),
        chunk_messages_max: from.integer("limits.chunk_messages_max"),
        chunk_bytes_max: from.bytes("limits.chunk_bytes_max"),
        chunk_age_max: from.duration("limits.chunk_age_max"),
        prepare_threads: from.integer("limits.prepare_threads"),
        revoke_deadline: from.duration("limits.revoke_deadline"),
        shutdown_deadline: from.duration("limits.shutdown_deadline"),
        commit_every: from.duration("limits.commit_every"),
    }
}

fn log(from: &mut Reader<'_>) -> LogSettings {
    let level = from.text("log.level");
    if let Some(word) = names::unknown_level(&level) {
        let hint = nearest(&word.to_lowercase(), names::LEVELS);
        let hint = hint.map(|level| format!("did you mean `{level}`?"));
        let hint = hint.or_else(|| Some(format!("one of: {}", names::LEVELS.join(", "))));
        from.fault("log.level", format!("`{word}` is no level"), hint);
    } else if tracing_subscriber::EnvFilter::try_new(&level).is_err() {
        from.fault("log.level", format!("`{level}` is no filter as in `info,sluice=debug`"), None);
    }
    LogSettings {
        format: if from.choice("log.format") == 0 { LogFormat::Text } else { LogFormat::Json },
        level,
        lines_per_minute_max: from.integer("log.lines_per_minute_max"),
    }
}

pub(super) fn listen(from: &mut Reader<'_>, key: &str) -> SocketAddr {
    let text = from.text(key);
    text.parse().unwrap_or_else(|_| {
        let hint = Some("as in `127.0.0.1:9600`".to_owned());
        from.cross_fault(&[key], format!("`{text}` is no address with a port"), hint);
        SocketAddr::from(([127, 0, 0, 1], 0))
    })
}

fn cross_check(from: &mut Reader<'_>, settings: &Settings) {
    let sides = [
        ("dead_letter.topic", &settings.dead_letter.topic, "dead-letter"),
        ("live.topic", &settings.live.topic, "live"),
        ("control.topic", &settings.control.topic, "control"),
        ("presence.topic", &settings.presence.topic, "presence"),
    ];
    for (place, (key, topic, _)) in sides.iter().enumerate() {
        // A fault is the later one's, and named once.
        let same = sides.iter().take(place).find(|(_, other, _)| other == topic);
        if let Some((other, _, what)) = same {
            from.cross_fault(&[key, other], format!("is the {what} topic as well"), None);
        }
    }
    if settings.index.batch_bytes_max > settings.limits.in_flight_bytes_max {
        let message = "is above `limits.in_flight_bytes_max`: no batch could ever fill";
        from.cross_fault(&["index.batch_bytes_max", "limits.in_flight_bytes_max"], message, None);
    }
    let too_wide = |(_, lanes): &(_, &u32)| **lanes > settings.live.partitions;
    if let Some((area, _)) = settings.live.spread.iter().find(too_wide) {
        let message = format!("`{area}` is in more partitions than `live.partitions`");
        from.cross_fault(&["live.spread", "live.partitions"], message, None);
    }
    if settings.roles.stream && !settings.live.on {
        let hint = Some("a process without streams has `roles = [\"ingest\"]`".to_owned());
        from.cross_fault(&["roles", "live.on"], "has `stream`, and there is no live topic", hint);
    }
    if settings.index.backoff_min > settings.index.backoff_max {
        let keys = ["index.backoff_min", "index.backoff_max"];
        from.cross_fault(&keys, "is above `index.backoff_max`", None);
    }
}
