//! What `sluice.toml` says, as plain values with every default: where Sluice runs and its bounds.
//!
//! Each part of the program is handed its own struct of these and nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderName;
use ipnet::IpNet;

mod defaults;

/// The whole of `sluice.toml`.
#[derive(Debug, Clone)]
pub struct Settings {
    pub kafka: KafkaSettings,
    pub index: IndexSettings,
    pub live: LiveSettings,
    pub dead_letter: DeadLetterSettings,
    pub control: ControlSettings,
    pub presence: PresenceSettings,
    pub stream: StreamSettings,
    pub api: ApiSettings,
    pub geo: GeoSettings,
    pub http: HttpSettings,
    pub limits: Limits,
    pub log: LogSettings,
    /// The folder of the pipelines, one folder each.
    pub pipelines: PathBuf,
    pub roles: Roles,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Takes events from Kafka to the index.
    pub ingest: bool,
    /// Serves Call Log Streams and their administration.
    pub stream: bool,
}

/// Kafka: the brokers, and how we read.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// `host:port`, several.
    pub brokers: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// Where a partition without a committed position begins.
    pub start: Start,
    /// The consumer group protocol.
    pub group_protocol: GroupProtocol,
    /// A fixed name of this member, so that a restart within the session timeout does not
    /// rebalance.
    pub group_instance_id: Option<String>,
    pub session_timeout: Duration,
    pub security: KafkaSecurity,
    /// More librdkafka properties, as they are; those that Sluice depends on are refused.
    pub properties: Vec<(String, String)>,
    pub client_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Cooperative-sticky assignment by the group's leader.
    Classic,
    /// KIP-848: assignment by the broker.
    Consumer,
}

/// SASL and TLS towards Kafka.
#[derive(Debug, Clone, Default)]
pub struct KafkaSecurity {
    pub tls: bool,
    pub sasl: Option<Sasl>,
    /// PEM; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM, for mutual TLS.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub key_password: Option<Secret>,
    /// Whether the broker's certificate must name its host.
    pub skip_hostname_check: bool,
}

#[derive(Debug, Clone)]
pub struct Sasl {
    pub mechanism: SaslMechanism,
    pub username: String,
    pub password: Secret,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl SaslMechanism {
    /// The name in librdkafka's `sasl.mechanism`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A value that never shows in a log: given directly, or read from a file each time it is needed,
/// so that a rotated secret is taken without a restart.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Value(String),
    File(PathBuf),
}

impl Secret {
    /// The secret itself; a file's trailing line end is not part of it.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(&self) -> std::io::Result<String> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::File(path) => {
                Ok(std::fs::read_to_string(path)?.trim_end_matches(['\r', '\n']).to_owned())
            }
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Secret([redacted])"),
            Self::File(path) => write!(f, "Secret(file {})", path.display()),
        }
    }
}

/// The index: Elasticsearch 8 or 9, or OpenSearch.
#[derive(Debug, Clone)]
pub struct IndexSettings {
    /// `http://host:9200`, several; requests go round the healthy ones.
    pub nodes: Vec<String>,
    /// Elastic Cloud's id, instead of `nodes`.
    pub cloud_id: Option<String>,
    pub auth: IndexAuth,
    /// PEM; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM, certificate and key, for mutual TLS.
    pub client_certificate_file: Option<PathBuf>,
    pub client_key_file: Option<PathBuf>,
    /// Body compression towards the index.
    pub gzip: bool,
    /// A batch is cut at this size.
    pub batch_bytes_max: usize,
    /// A batch is cut at this age of its first event.
    pub batch_age_max: Duration,
    /// `_bulk` requests at a time; what is in force moves between 1 and this.
    pub requests_in_flight_max: usize,
    /// One request, from the first byte sent to the last byte read.
    pub request_timeout: Duration,
    pub connect_timeout: Duration,
    /// First pause before an item is sent again; doubles, with jitter, up to `backoff_max`.
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    /// An item still refused this long after its first try is dead-lettered, if another item was
    /// accepted since.
    pub item_retry_max: Duration,
    /// How long a blocked or closed index is waited for before the item is dead-lettered.
    pub blocked_index_wait: Duration,
    pub brake: BrakeSettings,
    /// Replicas and shards of the template that `setup` writes.
    pub shards: u32,
    pub replicas: u32,
    /// Days until the lifecycle policy deletes an index; `None`: never.
    pub retention_days: Option<u32>,
    /// The name of the template and lifecycle policy that `setup` writes.
    pub template: String,
}

/// Stops dead-lettering when the index refuses most of what it is given.
#[derive(Debug, Clone)]
pub struct BrakeSettings {
    /// `false` lets refused items through to the dead letters; read without a restart.
    pub on: bool,
    /// At least this many refusals of one reason within a minute...
    pub refusals_min: u32,
    /// ...and more than this percentage of that minute's items.
    pub refused_percent: u32,
    /// While the brake holds, the refused are sent again this often.
    pub retry_every: Duration,
}

#[derive(Debug, Clone)]
pub enum IndexAuth {
    None,
    Basic {
        username: String,
        password: Secret,
    },
    /// The encoded form: base64 of `id:key`.
    ApiKey(Secret),
    Bearer(Secret),
}

/// The live topic, which Call Log Streams read.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// `false`: no mirror.
    pub on: bool,
    pub topic: String,
    /// What `setup` creates.
    pub partitions: u32,
    /// 0: the broker's default.
    pub replication: u32,
    pub retention: Duration,
    /// One record's limit; `setup` creates the topic with it.
    pub message_bytes_max: usize,
    /// Over how many partitions an area is spread, where it is not just one.
    pub spread: BTreeMap<String, u32>,
}

/// The dead-letter topic.
#[derive(Debug, Clone)]
pub struct DeadLetterSettings {
    pub topic: String,
    pub partitions: u32,
    /// 0: the broker's default.
    pub replication: u32,
    pub retention: Duration,
    pub message_bytes_max: usize,
}

/// The control topic: channels and tokens of Call Log Streams, and every change to them.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    pub topic: String,
    /// 0: the broker's default.
    pub replication: u32,
}

/// The presence topic: open connections of Call Log Streams.
#[derive(Debug, Clone)]
pub struct PresenceSettings {
    pub topic: String,
    /// What `setup` creates.
    pub partitions: u32,
    /// 0: the broker's default.
    pub replication: u32,
}

/// Call Log Streams.
#[derive(Debug, Clone)]
pub struct StreamSettings {
    pub listen: SocketAddr,
    /// What clients reach it by.
    pub public_url: Option<String>,
    pub ring_bytes_max: usize,
    pub sockets_max: usize,
    /// The name of this process among its like; `None`: the host's.
    pub replica: Option<String>,
    pub connections_per_channel_max: u32,
    pub token_overlap_max: u32,
    /// `None`: the one in the control topic.
    pub cursor_key: Option<Secret>,
    /// Whether an access token may come as `?key=`.
    pub key_in_query: bool,
    /// Of one address.
    pub failures_per_minute_max: u32,
    /// Those whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpNet>,
    /// Origins of the pages that may listen; `*` is any.
    pub allowed_origins: Vec<String>,
    /// Over how long listeners are sent away at the end.
    pub drain: Duration,
}

impl StreamSettings {
    /// What clients reach the streams by, without a `/` at its end.
    #[must_use]
    pub fn base_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("ws://{}", self.listen),
        }
    }
}

/// The administrators' API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    pub listen: SocketAddr,
    /// `None`: the one whose digest is in the control topic.
    pub token: Option<Secret>,
    /// What browsers reach it by, without a slash at its end.
    pub public_url: Option<String>,
    pub session_max: Duration,
    pub proxy: ProxySettings,
    pub roles: Vec<RoleSettings>,
}

/// Who may name users to the API, and how.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// None: nobody may.
    pub addresses: Vec<IpNet>,
    pub user_header: HeaderName,
    pub groups_header: HeaderName,
}

/// What the users of a group may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSettings {
    pub group: String,
    pub role: Role,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Of everything.
    Administrator,
    AreaAdministrator(Vec<String>),
    AreaReader(Vec<String>),
}

#[derive(Debug, Clone)]
pub struct GeoSettings {
    /// One file, or one for IPv4 and one for IPv6; none: no look-ups.
    pub databases: Vec<PathBuf>,
    /// Where the private copies of the files are kept; `None`: the system's temporary folder.
    pub work_dir: Option<PathBuf>,
    /// How often the files are looked at for a change.
    pub check_every: Duration,
}

impl GeoSettings {
    /// The folder of the private copies.
    #[must_use]
    pub fn work_dir(&self) -> PathBuf {
        self.work_dir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// Metrics and health.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub listen: SocketAddr,
}

/// What bounds the whole process.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Events between Kafka and their outcome: payload, body and live bytes.
    pub in_flight_bytes_max: usize,
    /// What librdkafka may fetch ahead of us, over all partitions.
    pub fetch_bytes_max: usize,
    /// What librdkafka may hold of records that we produce.
    pub produce_bytes_max: usize,
    /// A chunk is cut at this many events or bytes of one partition.
    pub chunk_messages_max: usize,
    pub chunk_bytes_max: usize,
    /// How long a message may wait for its chunk to fill.
    pub chunk_age_max: Duration,
    /// Threads that prepare; 0: one for each core.
    pub prepare_threads: usize,
    /// How long a revoked partition's events are waited for.
    pub revoke_deadline: Duration,
    /// How long a stop waits for what is in flight.
    pub shutdown_deadline: Duration,
    pub commit_every: Duration,
}

#[derive(Debug, Clone)]
pub struct LogSettings {
    pub format: LogFormat,
    /// A filter as in `info,sluice=debug`.
    pub level: String,
    /// Lines of one kind within a minute; the rest is counted and said once.
    pub lines_per_minute_max: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}
