//! `sluice check`: what the configuration says, and with `--connect` whether the servers answer.

use std::fmt::Write as _;

use crate::config::{Config, without_user};

/// A sound configuration in a few lines.
#[must_use]
pub fn summary(config: &Config) -> String {
    let settings = &config.settings;
    let mut text = String::from("the configuration is sound\n");
    let mut line = |name: &str, value: String| {
        writeln!(text, "  {name:<10} {value}").unwrap_or_default();
    };
    for file in config.files() {
        line("file", file.display().to_string());
    }
    let roles = [("ingest", settings.roles.ingest), ("stream", settings.roles.stream)];
    let roles: Vec<_> = roles.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
    line("roles", roles.join(", "));
    line("kafka", settings.kafka.brokers.join(", "));
    line(
        "index",
        settings.index.cloud_id.clone().unwrap_or_else(|| {
            let nodes: Vec<_> =
                settings.index.nodes.iter().map(|node| without_user(node)).collect();
            nodes.join(", ")
        }),
    );
    line("live", if settings.live.on { settings.live.topic.clone() } else { "off".to_owned() });
    line("dead", settings.dead_letter.topic.clone());
    for spec in &config.pipelines {
        line("pipeline", format!("{}: {}", spec.name, spec.topics.join(", ")));
    }
    for note in config.notes() {
        line("note", note.to_string());
    }
    text
}
