//! The default of every setting. The tables of keys say the same, and a test holds them together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderName;

use super::{
    ApiSettings, BrakeSettings, ControlSettings, DeadLetterSettings, GeoSettings, GroupProtocol,
    HttpSettings, IndexAuth, IndexSettings, KafkaSecurity, KafkaSettings, Limits, LiveSettings,
    LogFormat, LogSettings, PresenceSettings, ProxySettings, Roles, Settings, Start,
    StreamSettings,
};

const MIB: usize = 1024 * 1024;

impl Default for Settings {
    fn default() -> Self {
        Self {
            kafka: KafkaSettings::default(),
            index: IndexSettings::default(),
            live: LiveSettings::default(),
            dead_letter: DeadLetterSettings::default(),
            control: ControlSettings { topic: "sluice-control".to_owned(), replication: 0 },
            presence: PresenceSettings {
                topic: "sluice-presence".to_owned(),
                partitions: 4,
                replication: 0,
            },
            stream: StreamSettings::default(),
            api: ApiSettings::default(),
            geo: GeoSettings {
                databases: Vec::new(),
                work_dir: None,
                check_every: Duration::from_secs(10),
            },
            http: HttpSettings { listen: SocketAddr::from(([127, 0, 0, 1], 9600)) },
            limits: Limits::default(),
            log: LogSettings {
                format: LogFormat::Text,
                level: "info".to_owned(),
                lines_per_minute_max: 60,
            },
            pipelines: PathBuf::from("pipelines"),
            roles: Roles { ingest: true, stream: true },
        }
    }
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: vec!["127.0.0.1:9092".to_owned()],
            group: "sluice".to_owned(),
            start: Start::Earliest,
            group_protocol: GroupProtocol::Classic,
            group_instance_id: None,
            session_timeout: Duration::from_secs(45),
            security: KafkaSecurity::default(),
            properties: Vec::new(),
            client_id: "sluice".to_owned(),
        }
    }
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            nodes: vec!["http://127.0.0.1:9200".to_owned()],
            cloud_id: None,
            auth: IndexAuth::None,
            ca_file: None,
            client_certificate_file: None,
            client_key_file: None,
            gzip: false,
            batch_bytes_max: 4 * MIB,
            batch_age_max: Duration::from_millis(500),
            requests_in_flight_max: 4,
            request_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            item_retry_max: Duration::from_secs(600),
            blocked_index_wait: Duration::from_secs(300),
            brake: BrakeSettings {
                on: true,
                refusals_min: 100,
                refused_percent: 50,
                retry_every: Duration::from_secs(30),
            },
            shards: 1,
            replicas: 1,
            retention_days: Some(30),
            template: "api-events".to_owned(),
        }
    }
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self {
            on: true,
            topic: "sluice-live".to_owned(),
            partitions: 16,
            replication: 0,
            retention: Duration::from_secs(24 * 3600),
            message_bytes_max: 8 * MIB,
            spread: BTreeMap::new(),
        }
    }
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9601)),
            public_url: None,
            ring_bytes_max: 32 * MIB,
            sockets_max: 10_000,
            replica: None,
            connections_per_channel_max: 5,
            token_overlap_max: 1,
            cursor_key: None,
            key_in_query: true,
            failures_per_minute_max: 60,
            proxies: Vec::new(),
            allowed_origins: vec!["*".to_owned()],
            drain: Duration::from_secs(5),
        }
    }
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9602)),
            token: None,
            public_url: None,
            session_max: Duration::from_secs(12 * 3600),
            proxy: ProxySettings {
                addresses: Vec::new(),
                user_header: HeaderName::from_static("x-forwarded-user"),
                groups_header: HeaderName::from_static("x-forwarded-groups"),
            },
            roles: Vec::new(),
        }
    }
}

impl Default for DeadLetterSettings {
    fn default() -> Self {
        Self {
            topic: "sluice-dead-letters".to_owned(),
            partitions: 3,
            replication: 0,
            retention: Duration::from_secs(14 * 24 * 3600),
            message_bytes_max: 8 * MIB,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_bytes_max: 32 * MIB,
            fetch_bytes_max: 16 * MIB,
            produce_bytes_max: 16 * MIB,
            chunk_messages_max: 256,
            chunk_bytes_max: 512 * 1024,
            chunk_age_max: Duration::from_millis(20),
            prepare_threads: 0,
            revoke_deadline: Duration::from_secs(10),
            shutdown_deadline: Duration::from_secs(25),
            commit_every: Duration::from_secs(1),
        }
    }
}
