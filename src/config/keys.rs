//! Every key of the configuration: the only place that knows a key.
//!
//! From these tables come the parsing, the faults, the environment variables and the reference in
//! docs/configuration.md.

use crate::stream::cursor::PARTITION_MAX;

/// One key of a file.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted.
    pub path: &'static str,
    pub kind: Kind,
    /// As it would stand in the file; empty where there is none.
    pub default: &'static str,
    pub meaning: &'static str,
}

/// What may stand behind a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Text,
    Texts,
    Bool,
    Integer {
        min: i64,
        max: i64,
    },
    /// `8 MiB`, or a number of bytes.
    Bytes {
        min: u64,
    },
    /// `500ms`, `10s`, `5m`, `24h`, `30d`.
    Duration,
    Choice(&'static [&'static str]),
    /// Some of these, at least one.
    Choices(&'static [&'static str]),
    Path,
    Paths,
    /// The value itself; `<key>_file` names a file with it instead.
    Secret,
    /// A table of strings under free names.
    Map,
    /// A list of tables with these keys.
    Tables(&'static [Key]),
}

impl Kind {
    /// The kind in the reference and in faults.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Texts => "list of strings".to_owned(),
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Integer { min, max: i64::MAX } => format!("integer from {min}"),
            Self::Integer { min, max } => format!("integer from {min} to {max}"),
            Self::Bytes { .. } => "size as in `8 MiB`".to_owned(),
            Self::Duration => "duration as in `500ms`, `10s`, `5m`, `24h`, `30d`".to_owned(),
            Self::Choice(names) => names.join(" | "),
            Self::Choices(names) => format!("list of {}", names.join(" | ")),
            Self::Path => "path".to_owned(),
            Self::Paths => "list of paths".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Map => "table of strings".to_owned(),
            Self::Tables(_) => "list of tables".to_owned(),
        }
    }
}

const COUNT: Kind = Kind::Integer { min: 1, max: 1_000_000 };
const COUNT_OR_ZERO: Kind = Kind::Integer { min: 0, max: 1_000_000 };
/// As many as a cursor can name.
const LIVE_PARTITIONS: Kind = Kind::Integer { min: 1, max: PARTITION_MAX as i64 + 1 };
const MESSAGE_BYTES: Kind = Kind::Bytes { min: 64 * 1024 };

macro_rules! keys {
    ($($path:literal, $kind:expr, $default:literal, $meaning:literal;)+) => {
        &[$(Key { path: $path, kind: $kind, default: $default, meaning: $meaning },)+]
    };
}

/// The keys of `sluice.toml`.
pub static SETTINGS: &[Key] = keys! {
    "pipelines", Kind::Path, "\"pipelines\"", "The folder of the pipelines, one folder each; relative to the configuration file.";

    "roles", Kind::Choices(&["ingest", "stream"]), "[\"ingest\", \"stream\"]", "What this process does: `ingest` takes events from Kafka to the index, `stream` serves Call Log Streams and their administration.";

    "kafka.brokers", Kind::Texts, "[\"127.0.0.1:9092\"]", "Brokers to begin with, `host:port`.";
    "kafka.group", Kind::Text, "\"sluice\"", "The consumer group.";
    "kafka.client_id", Kind::Text, "\"sluice\"", "How this process names itself to the brokers.";
    "kafka.start", Kind::Choice(&["earliest", "latest"]), "\"earliest\"", "Where a partition without a committed position begins.";
    "kafka.group_protocol", Kind::Choice(&["classic", "consumer"]), "\"classic\"", "`classic`: cooperative-sticky assignment by the group's leader; `consumer`: assignment by the broker (KIP-848, Kafka 4).";
    "kafka.group_instance_id", Kind::Text, "", "A fixed name of this member, so that a restart within the session timeout does not rebalance.";
    "kafka.session_timeout", Kind::Duration, "\"45s\"", "After this silence the group gives a member's partitions away.";
    "kafka.tls", Kind::Bool, "false", "Speak TLS to the brokers.";
    "kafka.ca_file", Kind::Path, "", "PEM of the authorities that may sign the brokers' certificates; without it the system's.";
    "kafka.certificate_file", Kind::Path, "", "PEM of our certificate, for mutual TLS.";
    "kafka.key_file", Kind::Path, "", "PEM of our key, for mutual TLS.";
    "kafka.key_password", Kind::Secret, "", "Password of `kafka.key_file`.";
    "kafka.skip_hostname_check", Kind::Bool, "false", "Accept a certificate that names another host.";
    "kafka.sasl.mechanism", Kind::Choice(&["none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]), "\"none\"", "How to authenticate.";
    "kafka.sasl.username", Kind::Text, "", "SASL user.";
    "kafka.sasl.password", Kind::Secret, "", "SASL password.";
    "kafka.properties", Kind::Map, "{}", "More librdkafka properties; those that Sluice depends on are refused.";

    "index.nodes", Kind::Texts, "[\"http://127.0.0.1:9200\"]", "Nodes of Elasticsearch or OpenSearch; requests go round the healthy ones.";
    "index.cloud_id", Kind::Text, "", "Elastic Cloud's id, instead of `index.nodes`.";
    "index.username", Kind::Text, "", "User for Basic authentication.";
    "index.password", Kind::Secret, "", "Password for Basic authentication.";
    "index.api_key", Kind::Secret, "", "API key in its encoded form (base64 of `id:key`).";
    "index.bearer", Kind::Secret, "", "Bearer token.";
    "index.ca_file", Kind::Path, "", "PEM of the authority that signs the nodes' certificates; without it the system's.";
    "index.client_certificate_file", Kind::Path, "", "PEM of our certificate, for mutual TLS.";
    "index.client_key_file", Kind::Path, "", "PEM of our key, for mutual TLS.";
    "index.gzip", Kind::Bool, "false", "Compress bodies: pays where the network is slow, costs several times the CPU of everything else.";
    "index.batch_bytes_max", Kind::Bytes { min: 16 * 1024 }, "\"4 MiB\"", "A batch is cut at this size.";
    "index.batch_age_max", Kind::Duration, "\"500ms\"", "A batch is cut at this age of its first event.";
    "index.requests_in_flight_max", Kind::Integer { min: 1, max: 256 }, "4", "Bulk requests at a time; the number in force moves between 1 and this.";
    "index.request_timeout", Kind::Duration, "\"60s\"", "One request, from the first byte sent to the last byte read.";
    "index.connect_timeout", Kind::Duration, "\"5s\"", "Opening a connection.";
    "index.backoff_min", Kind::Duration, "\"100ms\"", "First pause before an event is sent again; doubles, with jitter.";
    "index.backoff_max", Kind::Duration, "\"10s\"", "Longest pause before an event is sent again.";
    "index.item_retry_max", Kind::Duration, "\"10m\"", "An event still refused this long after its first try is dead-lettered, if another was accepted since.";
    "index.blocked_index_wait", Kind::Duration, "\"5m\"", "How long a blocked or closed index is waited for before the event is dead-lettered.";
    "index.brake.on", Kind::Bool, "true", "Hold events back rather than dead-letter them while the index refuses most of what it gets; taken without a restart.";
    "index.brake.refusals_min", COUNT, "100", "The brake needs at least this many refusals of one reason within a minute...";
    "index.brake.refused_percent", Kind::Integer { min: 1, max: 99 }, "50", "...and more than this share of that minute's events.";
    "index.brake.retry_every", Kind::Duration, "\"30s\"", "While the brake holds, the refused events are sent again this often.";
    "index.shards", COUNT, "1", "Primary shards of one index, in the template that `sluice setup` writes.";
    "index.replicas", COUNT_OR_ZERO, "1", "Replicas of one index, in the template.";
    "index.retention_days", COUNT_OR_ZERO, "30", "Days until the lifecycle policy deletes an index; 0: never.";
    "index.template", Kind::Text, "\"api-events\"", "Name of the template and the lifecycle policy.";

    "live.on", Kind::Bool, "true", "Mirror each event to the live topic, which Call Log Streams read.";
    "live.topic", Kind::Text, "\"sluice-live\"", "The live topic.";
    "live.partitions", LIVE_PARTITIONS, "16", "Partitions that `sluice setup` creates it with.";
    "live.replication", Kind::Integer { min: 0, max: 99 }, "0", "Replication that `sluice setup` creates it with; 0: the broker's default.";
    "live.retention", Kind::Duration, "\"1d\"", "How long it keeps events.";
    "live.message_bytes_max", MESSAGE_BYTES, "\"8 MiB\"", "Largest record; must be above the source topics' own limit.";
    "live.spread", Kind::Map, "{}", "Large areas and the number of partitions, 1 to 16, that each is spread over, as in `{ \"id:5a1f00\" = 4 }`; any other area is in one. Its order is then that of each partition of the source, and it fills as many as it has of these. The same for all processes of one live topic; after a change the cursors of the area are refused.";

    "dead_letter.topic", Kind::Text, "\"sluice-dead-letters\"", "The topic for events that cannot be indexed; as secret as the source.";
    "dead_letter.partitions", COUNT, "3", "Partitions that `sluice setup` creates it with.";
    "dead_letter.replication", Kind::Integer { min: 0, max: 99 }, "0", "Replication that `sluice setup` creates it with; 0: the broker's default.";
    "dead_letter.retention", Kind::Duration, "\"14d\"", "How long it keeps events.";
    "dead_letter.message_bytes_max", MESSAGE_BYTES, "\"8 MiB\"", "Largest record; must be above the source topics' own limit.";

    "control.topic", Kind::Text, "\"sluice-control\"", "The topic of Call Log Streams' channels and access tokens, with every change to them: kept for ever, and digests of tokens only.";
    "control.replication", Kind::Integer { min: 0, max: 99 }, "0", "Replication that `sluice setup` creates it with; 0: the broker's default. It has one partition.";

    "presence.topic", Kind::Text, "\"sluice-presence\"", "The topic of Call Log Streams' open connections over all replicas; compacted.";
    "presence.partitions", COUNT, "4", "Partitions that `sluice setup` creates it with; a channel is always in one.";
    "presence.replication", Kind::Integer { min: 0, max: 99 }, "0", "Replication that `sluice setup` creates it with; 0: the broker's default.";

    "stream.listen", Kind::Text, "\"127.0.0.1:9601\"", "Where `/v1/streams/<channel>` is served.";
    "stream.public_url", Kind::Text, "", "What clients reach that address by, as in `wss://streams.example.com`; shown with new tokens.";
    "stream.ring_bytes_max", Kind::Bytes { min: 1024 * 1024 }, "\"32 MiB\"", "The last moments of the live topic that are held in memory for all listeners.";
    "stream.sockets_max", COUNT, "10000", "Connections at a time; who comes beyond that waits.";
    "stream.replica", Kind::Text, "", "The name of this process among those that serve streams, a different one for each and the same after a restart, so that a replica that was killed frees its connections when it starts again; without it the host's name.";
    "stream.connections_per_channel_max", COUNT, "5", "Listeners of a channel at a time, over all replicas; the same on each.";
    "stream.token_overlap_max", COUNT, "1", "Tokens of a channel that may be enabled at a time.";
    "stream.cursor_key", Kind::Secret, "", "Signs cursors, at least 16 bytes, the same on every replica; without it the key that `sluice setup` makes in the control topic.";
    "stream.key_in_query", Kind::Bool, "true", "Take access tokens from `?key=` as well: Mashery's clients and browsers need it.";
    "stream.failures_per_minute_max", COUNT, "60", "Wrong tokens within a minute, of streams and the API together, after which an address (of IPv6 a /64) is told to wait.";
    "stream.proxies", Kind::Texts, "[]", "Proxies before `stream.listen`, as addresses or networks (`10.0.0.0/8`): of them `X-Forwarded-For` is believed.";
    "stream.allowed_origins", Kind::Texts, "[\"*\"]", "Origins of web pages that may listen, as in `https://console.example.com`; `*` is every page that has a token.";
    "stream.drain", Kind::Duration, "\"5s\"", "Over how long listeners are sent away when the process ends.";

    "api.listen", Kind::Text, "\"127.0.0.1:9602\"", "Where administrators find `/api/v1/`.";
    "api.token", Kind::Secret, "", "The administrators' token; without it the one that `sluice setup` makes and prints once.";
    "api.public_url", Kind::Text, "", "What browsers reach that address by, as in `https://sluice.example.com`; with `https` session cookies are for TLS only.";
    "api.session_max", Kind::Duration, "\"12h\"", "How long a browser's session lasts.";
    "api.proxy.addresses", Kind::Texts, "[]", "Proxies before `api.listen` that name the user, as addresses or networks; none: no header names anybody.";
    "api.proxy.user_header", Kind::Text, "\"X-Forwarded-User\"", "The header with the user's name.";
    "api.proxy.groups_header", Kind::Text, "\"X-Forwarded-Groups\"", "The header with the user's groups, separated by commas.";
    "api.roles", Kind::Tables(ROLE), "[]", "What the groups of a proxy's users may do; who is in none of them may do nothing.";

    "geo.databases", Kind::Paths, "[]", "MaxMind DB files: one, or one for IPv4 and one for IPv6; none: no look-ups.";
    "geo.work_dir", Kind::Path, "", "Where the private copies of the files are kept while they are in use, twice the size of each; without it the system's temporary folder.";
    "geo.check_every", Kind::Duration, "\"10s\"", "How often the files are looked at for a change.";

    "http.listen", Kind::Text, "\"127.0.0.1:9600\"", "Where `/metrics`, `/livez` and `/readyz` are served.";

    "limits.in_flight_bytes_max", Kind::Bytes { min: 1024 * 1024 }, "\"32 MiB\"", "Bytes held for events without an outcome: payloads, bodies, live lines.";
    "limits.fetch_bytes_max", Kind::Bytes { min: 1024 * 1024 }, "\"16 MiB\"", "What the Kafka client may fetch ahead, over all partitions.";
    "limits.produce_bytes_max", Kind::Bytes { min: 1024 * 1024 }, "\"16 MiB\"", "What the Kafka client may hold of records for the live and dead-letter topics.";
    "limits.chunk_messages_max", COUNT, "256", "Messages of one partition that are prepared at a time.";
    "limits.chunk_bytes_max", Kind::Bytes { min: 1024 }, "\"512 KiB\"", "Bytes of one partition that are prepared at a time.";
    "limits.chunk_age_max", Kind::Duration, "\"20ms\"", "How long a message may wait for others of its partition.";
    "limits.prepare_threads", Kind::Integer { min: 0, max: 1024 }, "0", "Threads that prepare; 0: one for each core.";
    "limits.revoke_deadline", Kind::Duration, "\"10s\"", "How long the events of a revoked partition are waited for.";
    "limits.shutdown_deadline", Kind::Duration, "\"25s\"", "How long a stop waits for what is in flight.";
    "limits.commit_every", Kind::Duration, "\"1s\"", "How often positions are committed.";

    "log.format", Kind::Choice(&["text", "json"]), "\"text\"", "Lines for people or for machines, on standard error.";
    "log.level", Kind::Text, "\"info\"", "A filter as in `info,sluice=debug`.";
    "log.lines_per_minute_max", COUNT, "60", "Lines of one kind within a minute; the rest is counted and said once.";
};

const ROLE: &[Key] = keys! {
    "group", Kind::Text, "", "The group.";
    "role", Kind::Choice(&["administrator", "area-administrator", "area-reader"]), "\"area-reader\"", "An administrator of everything, or one or a reader of `areas`.";
    "areas", Kind::Texts, "[]", "The areas, as in `id:5a1f00`; an administrator of everything has none.";
};

const GEO_PAIR: &[Key] = keys! {
    "from", Kind::Text, "", "The field with the address.";
    "into", Kind::Text, "", "The object that the look-up writes.";
};

const REDACT_RULE: &[Key] = keys! {
    "field", Kind::Text, "", "A dotted field; with `path` or `pattern` only a part of its value.";
    "header", Kind::Text, "", "A header of requests and responses.";
    "query_parameter", Kind::Text, "", "A query parameter.";
    "path", Kind::Text, "", "A JSON path in the body that `field` names, as in `$.card.number`.";
    "pattern", Kind::Text, "", "A regular expression over the value of `field`; every match is masked.";
    "action", Kind::Choice(&["mask", "remove", "hash"]), "\"mask\"", "What becomes of the value.";
};

const PROMOTION: &[Key] = keys! {
    "from", Kind::Text, "", "`request_http_headers.x-tenant`, or a JSON path of a body: `request_body:$.amount`.";
    "as", Kind::Text, "", "The field, below `h.` or `p.`.";
    "type", Kind::Choice(&["keyword", "long", "double", "boolean", "date", "ip"]), "\"keyword\"", "Its type in the index.";
};

const AREA: &[Key] = keys! {
    "field", Kind::Text, "", "The field that names the area.";
    "prefix", Kind::Text, "", "Put before the value, so that one area's name can never be another's id.";
};

/// The keys of `pipelines/<name>/pipeline.toml`.
pub static PIPELINE: &[Key] = keys! {
    "topics", Kind::Texts, "[]", "Source topics; a topic belongs to exactly one pipeline.";
    "id.from", Kind::Text, "", "The gateway's own unique field, for `_id`; without it Kafka's coordinates.";
    "index.prefix", Kind::Text, "\"api-events\"", "Indices are named `<prefix>-YYYY.MM.DD`.";
    "index.period", Kind::Choice(&["day", "week", "month"]), "\"day\"", "How much time one index spans; a longer one names its first day.";
    "index.expire_after_days", Kind::Integer { min: 0, max: 36_500 }, "0", "Older events are skipped as `expired`; 0: never.";
    "geo", Kind::Tables(GEO_PAIR), "[{ from = \"client_ip\", into = \"client_geoip\" }, { from = \"gateway_ip\", into = \"gateway_geoip\" }]", "Which addresses are looked up, and where to.";
    "addresses.trusted_proxies", Kind::Integer { min: 0, max: 100 }, "", "How many proxies to skip from the right of an address list; without it the first public address from the left is taken.";
    "addresses.privacy", Kind::Choice(&["keep", "truncate", "hash", "remove"]), "\"keep\"", "What becomes of addresses after the look-up, at every place where one stands.";
    "redact.headers", Kind::Texts, "", "Headers whose values are masked; replaces the default list.";
    "redact.extra_headers", Kind::Texts, "[]", "Headers beside those of the list.";
    "redact.query_parameters", Kind::Texts, "", "Query parameters whose values are masked; replaces the default list.";
    "redact.extra_query_parameters", Kind::Texts, "[]", "Query parameters beside those of the list.";
    "redact.hash_key", Kind::Secret, "", "The key for the action `hash`.";
    "redact.rules", Kind::Tables(REDACT_RULE), "[]", "More rules.";
    "payload.bytes_max", Kind::Bytes { min: 0 }, "\"2 MiB\"", "Longer bodies are cut and marked.";
    "log_policy.max", Kind::Choice(&["none", "activity", "header", "payload"]), "\"payload\"", "Nothing above this is stored.";
    "promote", Kind::Tables(PROMOTION), "[]", "Headers and parts of bodies that become typed fields.";
    "promote_defaults", Kind::Bool, "true", "Promote `h.user_agent`, `h.content_type`, `h.host`, `h.referer`, `h.accept_language`, `h.response_content_type`.";
    "extra", Kind::Texts, "[]", "Foreign field names that the export lists may use.";
    "export.index", Kind::Texts, "[\"@all\"]", "Fields of the index: dotted names, groups (`@invocation`, `@headers`, `@payload`, `@geo`, `@billing`, `@unknown`, `@all`), and exclusions (`-name`), which win.";
    "export.live", Kind::Texts, "[\"@all\"]", "Fields of the live stream.";
    "area", Kind::Tables(AREA), "[{ field = \"org_id\", prefix = \"id\" }, { field = \"org_name\", prefix = \"name\" }]", "What the area (tenant) of an event is: the first of these that has a value.";
};
