//! `sluice check --connect`: asks every server that `sluice run` will need, and says of each what
//! is wrong and how to mend it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use crate::config::Config;
use crate::deliver::index::check::Unfit;
use crate::geo::{Change, Store};
use crate::kafka::{self, Look};
use crate::setup::{self, topics};

/// What a finding is about, and what was found.
type Finding = (String, Found);

/// What was found.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Well(String),
    /// `sluice run` does without it.
    Note(String),
    Fault(String),
}

impl From<Result<String, String>> for Found {
    fn from(found: Result<String, String>) -> Self {
        found.map_or_else(Self::Fault, Self::Well)
    }
}

/// One line a finding goes to `say`; answers whether all is well.
///
/// # Errors
/// Where the settings allow no client at all.
pub async fn run(config: &Config, say: &mut (dyn FnMut(String) + Send)) -> anyhow::Result<bool> {
    let mut is_well = true;
    let mut tell = |findings: Vec<Finding>| {
        for (what, found) in findings {
            is_well &= !matches!(found, Found::Fault(_));
            match found {
                Found::Well(text) => say(format!("ok      {what}: {text}")),
                Found::Note(text) => say(format!("note    {what}: {text}")),
                Found::Fault(text) => say(format!("FAILED  {what}: {text}")),
            }
        }
    };
    tell(kafka_and_topics(config).await?);
    tell(vec![("index".to_owned(), index(config).await?.into())]);
    tell(geo(config).await?);
    Ok(is_well)
}

async fn kafka_and_topics(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let names: Vec<_> =
        topics::wanted(&config.settings, &config.pipelines).into_iter().map(|t| t.name).collect();
    let brokers = config.settings.kafka.brokers.join(", ");
    let (missing, id) = match kafka::look(config.settings.kafka.clone(), names.clone()).await? {
        Look::Unreachable(reason) => {
            return Ok(vec![("kafka".to_owned(), Found::Fault(reason))]);
        }
        Look::Missing(missing) => (missing, None),
        Look::Found(cluster) => (Vec::new(), Some(cluster.id)),
    };
    let cluster = id.map_or(brokers, |id| format!("cluster {id}"));
    let mut findings = vec![("kafka".to_owned(), Found::Well(cluster))];
    let there: Vec<_> = names.iter().filter(|name| !missing.contains(name)).cloned().collect();
    let limits = topics::message_limits(&config.settings.kafka, &there).await;
    for name in missing {
        let text = "is missing; `sluice setup` makes it".to_owned();
        findings.push((format!("topic {name}"), Found::Fault(text)));
    }
    match limits {
        Ok(limits) => findings.extend(there.iter().map(|name| topic(config, name, &limits))),
        Err(error) => findings.push(("topics".to_owned(), Found::Fault(format!("{error:#}")))),
    }
    Ok(findings)
}

/// Side topics must take what the sources take and more, or one large event would stop the path.
fn topic(config: &Config, name: &str, limits: &BTreeMap<String, u64>) -> Finding {
    let what = format!("topic {name}");
    let Some(&limit) = limits.get(name) else {
        return (what, Found::Fault("its message limit cannot be read".to_owned()));
    };
    let settings = &config.settings;
    let side = [
        ("live.message_bytes_max", &settings.live.topic, settings.live.message_bytes_max),
        (
            "dead_letter.message_bytes_max",
            &settings.dead_letter.topic,
            settings.dead_letter.message_bytes_max,
        ),
    ];
    let Some((key, _, wanted)) = side.into_iter().find(|(_, topic, _)| *topic == name) else {
        return (what, Found::Well(format!("messages of up to {limit} bytes")));
    };
    let sources = config.pipelines.iter().flat_map(|spec| &spec.topics);
    let largest = sources.filter_map(|source| limits.get(source)).max().copied().unwrap_or(0);
    let found = if limit < wanted as u64 {
        Err(format!(
            "max.message.bytes is {limit}, {key} is {wanted}: change one of them, the topic with \
             your Kafka tools"
        ))
    } else if limit <= largest {
        Err(format!(
            "max.message.bytes is {limit}, a source topic's is {largest}: this one must be larger; \
             raise {key} and the topic's setting, or lower the source topic's"
        ))
    } else {
        Ok(format!("messages of up to {limit} bytes, the sources' of up to {largest}"))
    };
    (what, found.into())
}

async fn index(config: &Config) -> anyhow::Result<Result<String, String>> {
    let index = setup::index(&config.settings)?;
    Ok(match Box::pin(index.check_once(&config.pipelines)).await {
        Ok(server) => {
            let (name, template) = (server.family.name(), &config.settings.index.template);
            Ok(format!("{name} {}, its template {template} serves", server.version))
        }
        Err(Unfit::NotYet(why) | Unfit::Wrong(why)) => Err(why),
    })
}

async fn geo(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let geo = config.settings.geo.clone();
    if geo.databases.is_empty() {
        let text = "no database is configured: no look-ups (geoip/fetch gets one)".to_owned();
        return Ok(vec![("geo".to_owned(), Found::Note(text))]);
    }
    let opened = spawn_blocking(move || Store::open(&geo.databases, &geo.work_dir())).await;
    let (_, changes) = opened.context("opening the geo databases has failed")?;
    let finding = |change: Change| match change {
        Change::Taken { path, kind, built } => {
            let seconds = i64::try_from(built).unwrap_or_default();
            let day = chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default();
            let text = format!("{kind}, built {}", day.format("%Y-%m-%d"));
            (format!("geo {}", path.display()), Found::Well(text))
        }
        Change::Refused { path, reason, .. } => {
            (format!("geo {}", path.display()), Found::Fault(reason))
        }
        // As without `--connect`: it is taken when it comes.
        Change::Missing { path, .. } => {
            let text = "is missing: no look-ups in it until it comes (geoip/fetch gets one)";
            (format!("geo {}", path.display()), Found::Note(text.to_owned()))
        }
    };
    Ok(changes.into_iter().map(finding).collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::pipeline::PipelineSpec;
    use crate::config::settings::Settings;

    fn config(settings: Settings) -> Config {
        let mut spec = PipelineSpec::new("a");
        spec.topics = vec!["events".to_owned()];
        Config::of(settings, vec![spec])
    }

    #[test]
    fn a_side_topic_takes_more_than_the_sources() {
        let config = config(Settings::default());
        let live = config.settings.live.topic.clone();
        let check = |source: u64, limit: u64, expected: &str| {
            let limits = [("events".to_owned(), source), (live.clone(), limit)].into();
            let text = match topic(&config, &live, &limits).1 {
                Found::Well(text) => format!("ok {text}"),
                Found::Note(text) | Found::Fault(text) => text,
            };
            assert!(text.starts_with(expected), "{source} {limit}: {text}");
        };
        const MIB: u64 = 1024 * 1024;
        check(MIB, 8 * MIB, "ok messages of up to 8388608 bytes, the sources'");
        check(8 * MIB, 8 * MIB, "max.message.bytes is 8388608, a source topic's is 8388608");
        check(12 * MIB, 8 * MIB, "max.message.bytes is 8388608, a source topic's is 12582912");
        check(MIB, 4 * MIB, "max.message.bytes is 4194304, live.message_bytes_max is 8388608");
    }

    #[test]
    fn what_setup_makes_is_what_check_wants() {
        let config = config(Settings::default());
        let wanted = topics::wanted(&config.settings, &config.pipelines);
        let made = |topic: &topics::Topic| {
            let all = topic.settings.iter().chain(&topic.first_settings);
            let (_, limit) = all.into_iter().find(|(key, _)| *key == "max.message.bytes")?;
            Some((topic.name.clone(), limit.parse().unwrap()))
        };
        let limits: BTreeMap<_, _> = wanted.iter().filter_map(made).collect();
        let names = ["events", &config.settings.live.topic, &config.settings.dead_letter.topic];
        for name in names {
            let (_, found) = topic(&config, name, &limits);
            assert!(matches!(found, Found::Well(_)), "{name}: {found:?}");
        }
    }

    #[tokio::test]
    async fn a_geo_database_that_is_missing_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let check = async |files: Vec<PathBuf>, expected: &str| {
            let mut settings = Settings::default();
            settings.geo.databases = files;
            let found = geo(&config(settings)).await.unwrap();
            assert!(format!("{:?}", found[0].1).starts_with(expected), "{found:?}");
        };
        check(vec![folder.path().join("none.mmdb")], "Note(\"is missing").await;
        check(vec![], "Note(\"no database is configured").await;
        let damaged = folder.path().join("damaged.mmdb");
        std::fs::write(&damaged, "no database").unwrap();
        check(vec![damaged], "Fault(").await;
    }
}
