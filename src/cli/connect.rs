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

/// What a finding is about, and what was found: a fault where it is an error.
type Finding = (String, Result<String, String>);

/// One line a finding goes to `say`; answers whether all is well.
///
/// # Errors
/// Where the settings allow no client at all.
pub async fn run(config: &Config, say: &mut (dyn FnMut(String) + Send)) -> anyhow::Result<bool> {
    let mut is_well = true;
    let mut tell = |findings: Vec<Finding>| {
        for (what, found) in findings {
            is_well &= found.is_ok();
            match found {
                Ok(text) => say(format!("ok      {what}: {text}")),
                Err(text) => say(format!("FAILED  {what}: {text}")),
            }
        }
    };
    tell(kafka_and_topics(config).await?);
    tell(vec![("index".to_owned(), index(config).await?)]);
    tell(geo(config).await?);
    Ok(is_well)
}

async fn kafka_and_topics(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let names: Vec<_> =
        topics::wanted(&config.settings, &config.pipelines).into_iter().map(|t| t.name).collect();
    let brokers = config.settings.kafka.brokers.join(", ");
    let (missing, id) = match kafka::look(config.settings.kafka.clone(), names.clone()).await? {
        Look::Unreachable(reason) => return Ok(vec![("kafka".to_owned(), Err(reason))]),
        Look::Missing(missing) => (missing, None),
        Look::Found(cluster) => (Vec::new(), Some(cluster.id)),
    };
    let cluster = id.map_or(brokers, |id| format!("cluster {id}"));
    let mut findings = vec![("kafka".to_owned(), Ok(cluster))];
    let there: Vec<_> = names.iter().filter(|name| !missing.contains(name)).cloned().collect();
    let limits = topics::message_limits(&config.settings.kafka, &there).await;
    for name in missing {
        let text = "is missing; `sluice setup` makes it".to_owned();
        findings.push((format!("topic {name}"), Err(text)));
    }
    match limits {
        Ok(limits) => findings.extend(there.iter().map(|name| topic(config, name, &limits))),
        Err(error) => findings.push(("topics".to_owned(), Err(format!("{error:#}")))),
    }
    Ok(findings)
}

/// Side topics must take what the sources take and more, or one large event would stop the path.
fn topic(config: &Config, name: &str, limits: &BTreeMap<String, u64>) -> Finding {
    let what = format!("topic {name}");
    let Some(&limit) = limits.get(name) else {
        return (what, Err("its message limit cannot be read".to_owned()));
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
        return (what, Ok(format!("messages of up to {limit} bytes")));
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
             raise {key} and the topic's setting"
        ))
    } else {
        Ok(format!("messages of up to {limit} bytes, the sources' of up to {largest}"))
    };
    (what, found)
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
        return Ok(vec![("geo".to_owned(), Ok(text))]);
    }
    let opened = spawn_blocking(move || Store::open(&geo.databases, &geo.work_dir())).await;
    let (_, changes) = opened.context("opening the geo databases has failed")?;
    let finding = |change: Change| match change {
        Change::Taken { path, kind, built } => {
            let seconds = i64::try_from(built).unwrap_or_default();
            let day = chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default();
            let text = format!("{kind}, built {}", day.format("%Y-%m-%d"));
            (format!("geo {}", path.display()), Ok(text))
        }
        Change::Refused { path, reason, .. } => (format!("geo {}", path.display()), Err(reason)),
        Change::Missing { path, .. } => {
            let text = "is missing: events would have no places (geoip/fetch gets one)".to_owned();
            (format!("geo {}", path.display()), Err(text))
        }
    };
    Ok(changes.into_iter().map(finding).collect())
}
