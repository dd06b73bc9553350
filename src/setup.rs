//! `sluice setup`: the index template, the lifecycle policy, the topics. It can be repeated: what
//! is there and right is left alone.

use anyhow::bail;
use bytes::Bytes;
use elasticsearch::http::Method;
use prometheus::Registry;
use serde_json::Value;

use crate::clock::Clock;
use crate::config::pipeline::PipelineSpec;
use crate::config::settings::Settings;
use crate::deliver::index::Index;
use crate::deliver::index::check::Unfit;
use crate::deliver::index::client::{Answer, Call, Client};
use crate::deliver::index::template::{self, Family, Target, Template};
use crate::health::Health;
use crate::metrics::Metrics;

pub mod topics;

/// Sets everything up, or with `dry_run` says what would be done. Each line of progress goes to
/// `say`.
///
/// # Errors
/// Where Kafka or the index cannot be reached, or refuses.
pub async fn run(
    settings: &Settings,
    pipelines: &[PipelineSpec],
    dry_run: bool,
    say: &mut (dyn FnMut(String) + Send),
) -> anyhow::Result<()> {
    let index = index(settings)?;
    let client = index.client();
    let server = match index.server().await {
        Ok(server) => server,
        Err(Unfit::NotYet(why) | Unfit::Wrong(why)) => bail!("index: {why}"),
    };
    say(format!("index: {} {}", family_name(server.family), server.version));
    let target = Target {
        family: server.family,
        lifecycle: has_lifecycle(client, server.family).await?,
        settings: &settings.index,
        pipelines,
    };
    lifecycle(client, &target, dry_run, say).await?;
    for template in template::templates(&target) {
        put_template(client, &template, dry_run, say).await?;
    }
    let wanted = topics::wanted(settings, pipelines);
    if dry_run {
        for topic in wanted {
            say(format!("kafka: would create the topic {} if it is missing", topic.name));
            for (key, value) in topic.settings {
                say(format!("  {key} = {value}"));
            }
        }
        return Ok(());
    }
    for (name, made) in topics::make(settings, &wanted).await? {
        match made {
            topics::Made::Created => say(format!("kafka: topic {name} created")),
            topics::Made::There(differences) => {
                say(format!("kafka: topic {name} is there"));
                for difference in differences {
                    say(format!("  {difference}: left alone, change it with your Kafka tools"));
                }
            }
        }
    }
    Ok(())
}

/// A client of the index for one command: what it counts goes nowhere.
///
/// # Errors
/// Where the settings cannot be used.
pub fn index(settings: &Settings) -> anyhow::Result<Index> {
    let metrics = Metrics::new(Registry::new(), &[])?;
    Index::new(&settings.index, Clock::system(), metrics, Health::default())
}

async fn has_lifecycle(client: &Client, family: Family) -> anyhow::Result<bool> {
    let asks = family == Family::Elasticsearch;
    Ok(asks && ask(client, Call::get("/_ilm/status")).await?.status == 200)
}

async fn lifecycle(
    client: &Client,
    target: &Target<'_>,
    dry_run: bool,
    say: &mut (dyn FnMut(String) + Send),
) -> anyhow::Result<()> {
    let Some(policy) = template::lifecycle_policy(target.settings) else {
        say("index: no lifecycle policy, index.retention_days is 0".to_owned());
        return Ok(());
    };
    let name = &target.settings.template;
    if !target.lifecycle {
        say(format!(
            "index: this server offers no lifecycle policies; delete indices older than {} days \
             by your own means",
            target.settings.retention_days.unwrap_or_default()
        ));
        return Ok(());
    }
    let path = format!("/_ilm/policy/{name}");
    put(client, &path, &policy, dry_run, say).await
}

async fn put_template(
    client: &Client,
    template: &Template,
    dry_run: bool,
    say: &mut (dyn FnMut(String) + Send),
) -> anyhow::Result<()> {
    let path = format!("/_index_template/{}", template.name);
    put(client, &path, &template.body, dry_run, say).await
}

async fn put(
    client: &Client,
    path: &str,
    body: &Value,
    dry_run: bool,
    say: &mut (dyn FnMut(String) + Send),
) -> anyhow::Result<()> {
    if dry_run {
        say(format!("index: would PUT {path}\n{body:#}"));
        return Ok(());
    }
    let call = Call {
        method: Method::Put,
        path,
        content_type: "application/json",
        gzip: false,
        body: Some(Bytes::from(body.to_string())),
    };
    let answer = ask(client, call).await?;
    accepted(&answer, path)?;
    say(format!("index: {path} is in place"));
    Ok(())
}

async fn ask(client: &Client, call: Call<'_>) -> anyhow::Result<Answer> {
    match client.call(call).await {
        Ok(answer) => Ok(answer),
        Err(failure) => bail!("index: {}", failure.text()),
    }
}

/// The body of a good answer.
fn accepted(answer: &Answer, what: &str) -> anyhow::Result<Value> {
    let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or(Value::Null);
    if answer.status == 200 {
        return Ok(body);
    }
    let reason = body.pointer("/error/reason").and_then(Value::as_str).unwrap_or("no reason given");
    bail!("index: {what}: the server answers {}: {reason}", answer.status)
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::Elasticsearch => "Elasticsearch",
        Family::OpenSearch => "OpenSearch",
    }
}
