//! `sluice setup`: the index template, the lifecycle policy, the topics, the secrets of Call Log
//! Streams. It can be repeated: what
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
pub mod secrets;

/// How it is to be done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Task {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Make an administrators' token, whether or not there is one.
    pub new_admin_token: bool,
}

/// Sets everything up, or says what would be done. Each line of progress goes to `say`; one of them
/// may be a new administrators' token.
///
/// # Errors
/// Where Kafka or the index cannot be reached, or refuses.
pub async fn run(
    settings: &Settings,
    pipelines: &[PipelineSpec],
    task: Task,
    say: &mut (dyn FnMut(String) + Send),
) -> anyhow::Result<()> {
    let index = index(settings)?;
    let client = index.client();
    let server = match index.server().await {
        Ok(server) => server,
        Err(Unfit::NotYet(why) | Unfit::Wrong(why)) => bail!("index: {why}"),
    };
    say(format!("index: {} {}", server.family.name(), server.version));
    let target = Target {
        family: server.family,
        lifecycle: has_lifecycle(client, server.family).await?,
        settings: &settings.index,
        pipelines,
    };
    let mut work = Work { client, dry_run: task.dry_run, say, is_done: true };
    work.lifecycle(&target).await?;
    for template in template::templates(&target) {
        work.template(&template).await?;
    }
    let is_control_there = work.topics(settings, pipelines).await?;
    if settings.live.on && secrets::make(settings, task, is_control_there, &mut *work.say).await? {
        work.is_done = false;
    }
    if work.is_done {
        (work.say)("nothing to do".to_owned());
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

/// One run through everything that has to be there.
struct Work<'a> {
    client: &'a Client,
    dry_run: bool,
    say: &'a mut (dyn FnMut(String) + Send),
    /// Nothing was missing or not as it should be.
    is_done: bool,
}

impl Work<'_> {
    async fn lifecycle(&mut self, target: &Target<'_>) -> anyhow::Result<()> {
        let Some(policy) = template::lifecycle_policy(target.settings) else {
            (self.say)("index: no lifecycle policy, index.retention_days is 0".to_owned());
            return Ok(());
        };
        let name = &target.settings.template;
        if !target.lifecycle {
            (self.say)(format!(
                "index: this server offers no lifecycle policies; delete indices older than {} \
                 days by your own means",
                target.settings.retention_days.unwrap_or_default()
            ));
            return Ok(());
        }
        let path = format!("/_ilm/policy/{name}");
        let there = self.there(&path).await?;
        let theirs = there.as_ref().and_then(|there| there.get(name));
        let is_same = theirs.is_some_and(|theirs| covers(theirs, &policy));
        self.put(&path, &policy, is_same).await
    }

    async fn template(&mut self, template: &Template) -> anyhow::Result<()> {
        let path = format!("/_index_template/{}", template.name);
        let there = self.there(&path).await?;
        let place = "/index_templates/0/index_template";
        let theirs = there.as_ref().and_then(|there| there.pointer(place));
        let is_same = theirs.is_some_and(|theirs| is_same_template(theirs, &template.body));
        self.put(&path, &template.body, is_same).await
    }

    /// What the server has at a path.
    async fn there(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let answer = ask(self.client, Call::get(path)).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        accepted(&answer, path).map(Some)
    }

    async fn put(&mut self, path: &str, body: &Value, is_there: bool) -> anyhow::Result<()> {
        if is_there {
            (self.say)(format!("index: {path} is in place"));
            return Ok(());
        }
        self.is_done = false;
        if self.dry_run {
            (self.say)(format!("index: would PUT {path}\n{body:#}"));
            return Ok(());
        }
        let call = Call {
            method: Method::Put,
            path,
            content_type: "application/json",
            gzip: false,
            body: Some(Bytes::from(body.to_string())),
        };
        let answer = ask(self.client, call).await?;
        accepted(&answer, path)?;
        (self.say)(format!("index: {path} is written"));
        Ok(())
    }

    /// Answers whether the control topic is there now.
    async fn topics(
        &mut self,
        settings: &Settings,
        pipelines: &[PipelineSpec],
    ) -> anyhow::Result<bool> {
        let wanted = topics::wanted(settings, pipelines);
        let made = topics::make(settings, &wanted, self.dry_run).await?;
        let mut is_control_there = true;
        for (topic, made) in wanted.iter().zip(made) {
            let name = &topic.name;
            match made {
                topics::Made::Created => {
                    self.is_done = false;
                    is_control_there &= !(self.dry_run && *name == settings.control.topic);
                    let done = if self.dry_run { "would be created" } else { "created" };
                    (self.say)(format!("kafka: topic {name} {done}"));
                    let all = topic.settings.iter().chain(&topic.first_settings);
                    for (key, value) in all.filter(|_| self.dry_run) {
                        (self.say)(format!("  {key} = {value}"));
                    }
                }
                topics::Made::There(differences) => {
                    (self.say)(format!("kafka: topic {name} is there"));
                    for difference in differences {
                        (self.say)(format!(
                            "  {difference}: left alone, change it with your Kafka tools"
                        ));
                    }
                }
            }
        }
        Ok(is_control_there)
    }
}

/// Whether the server's template is ours. It adds members of its own beside those that it was
/// given, but none within them.
fn is_same_template(theirs: &Value, ours: &Value) -> bool {
    let part = |template: &Value| template.get("template").cloned().unwrap_or_default();
    covers(theirs, ours) && covers(&part(ours), &part(theirs))
}

/// Whether everything of `ours` is in `theirs`. The servers give settings back as strings.
fn covers(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => ours
            .iter()
            .all(|(name, value)| theirs.get(name).is_some_and(|theirs| covers(theirs, value))),
        (Value::Array(theirs), Value::Array(ours)) => {
            theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(a, b)| covers(a, b))
        }
        (theirs, ours) => scalar(theirs) == scalar(ours),
    }
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_servers_give_back_is_what_they_were_given() {
        let ours = json!({
            "priority": 200,
            "template": { "settings": { "index": { "number_of_shards": 1 } },
                          "mappings": { "dynamic": false } },
        });
        let check = |pointer: &str, value: Value, expected: bool| {
            let mut theirs = ours.clone();
            theirs["composed_of"] = json!([]);
            if let Some(place) = theirs.pointer_mut(pointer) {
                *place = value;
            }
            assert_eq!(is_same_template(&theirs, &ours), expected, "{pointer}: {theirs}");
        };
        check("", json!({}), false);
        check("/priority", json!(200), true);
        check("/priority", json!(201), false);
        check("/template/settings/index", json!({ "number_of_shards": "1" }), true);
        check("/template/settings/index", json!({ "number_of_shards": "2" }), false);
        check("/template/settings/index", json!({ "number_of_shards": "1", "x": "1" }), false);
        check("/template/mappings", json!({ "dynamic": "false" }), true);
        check("/template/mappings", json!({}), false);
    }
}
