//! At the start: is the server one of ours, and does its template serve?
//!
//! A server that cannot be reached or lets us not in is waited for; one that is reached and wrong
//! stops the start, with the command that mends it. Nothing here depends on `GET /`, which not
//! every server answers.

use serde_json::Value;
use tokio::time::sleep;

use super::Index;
use super::client::{Answer, Call};
use super::limit::backoff;
use super::reply::request_error;
use super::template::{Family, Target, shortcomings, templates};
use super::trouble::Trouble;
use crate::config::pipeline::PipelineSpec;

/// The first major version that Sluice writes to.
const ELASTICSEARCH_MAJOR_MIN: u32 = 8;
const OPENSEARCH_MAJOR_MIN: u32 = 2;

/// What answers at the index's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub family: Family,
    /// As it says, empty where it does not say.
    pub version: String,
}

/// Why the index cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It may mend itself: nobody answers, or we are not let in.
    NotYet(String),
    /// Somebody must do something.
    Wrong(String),
}

impl Index {
    /// Waits until the index can be reached, then says what it is.
    ///
    /// # Errors
    /// Where the server is reached and wrong: too old, the template missing or older than ours.
    pub async fn check(&self, pipelines: &[PipelineSpec]) -> anyhow::Result<Server> {
        let place = self.inner.troubles.place();
        let settings = &self.inner.settings;
        let mut attempt = 0;
        loop {
            match Box::pin(self.check_once(pipelines)).await {
                Ok(server) => {
                    place.set(None);
                    tracing::info!(family = ?server.family, version = server.version, "index found");
                    return Ok(server);
                }
                Err(Unfit::Wrong(why)) => anyhow::bail!("the index cannot be used: {why}"),
                Err(Unfit::NotYet(why)) => place.set(Some(Trouble::Unreachable(why))),
            }
            sleep(backoff(settings.backoff_min, settings.backoff_max, attempt)).await;
            attempt += 1;
        }
    }

    /// One try.
    ///
    /// # Errors
    /// Where the index cannot be used as it is now.
    pub async fn check_once(&self, pipelines: &[PipelineSpec]) -> Result<Server, Unfit> {
        let server = self.server().await?;
        let target = Target {
            family: server.family,
            // Decides about a setting, never about a field.
            lifecycle: false,
            settings: &self.inner.settings,
            pipelines,
        };
        for ours in templates(&target) {
            let name = &ours.name;
            let answer = self.ask(&format!("_index_template/{name}")).await?;
            if answer.status == 404 {
                return Err(Unfit::Wrong(format!(
                    "its template {name} is missing; `sluice setup` writes it"
                )));
            }
            let found = parsed(&answer)?;
            let theirs = found.pointer("/index_templates/0/index_template");
            let wants = shortcomings(theirs.unwrap_or(&Value::Null), &ours.body);
            if !wants.is_empty() {
                return Err(Unfit::Wrong(format!(
                    "its template {name} does not serve: {}; `sluice setup` writes it anew",
                    wants.join(", ")
                )));
            }
        }
        Ok(server)
    }

    /// Which server it is.
    ///
    /// # Errors
    /// Where it does not answer, or is none that Sluice writes to.
    pub async fn server(&self) -> Result<Server, Unfit> {
        let answer = self.ask("_nodes/_local/http?filter_path=nodes.*.version").await?;
        let family = if answer.elasticsearch { Family::Elasticsearch } else { Family::OpenSearch };
        let version = match answer.status {
            // A managed service may hide its nodes.
            404 | 405 | 410 => String::new(),
            _ => {
                let nodes = parsed(&answer)?;
                let node = nodes.get("nodes").and_then(Value::as_object);
                let version =
                    node.and_then(|nodes| nodes.values().next()?.get("version")?.as_str());
                match version {
                    Some(version) => version.to_owned(),
                    None => {
                        let why = "what answers there is no Elasticsearch and no OpenSearch";
                        return Err(Unfit::Wrong(why.to_owned()));
                    }
                }
            }
        };
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        let major_min = match family {
            Family::Elasticsearch => ELASTICSEARCH_MAJOR_MIN,
            Family::OpenSearch => OPENSEARCH_MAJOR_MIN,
        };
        if major.is_some_and(|major| major < major_min) {
            let name = family.name();
            let why = format!("{name} {version} is too old, {major_min} is the first that serves");
            return Err(Unfit::Wrong(why));
        }
        Ok(Server { family, version })
    }

    async fn ask(&self, path: &str) -> Result<Answer, Unfit> {
        let client = &self.inner.client;
        let answer = client.call(Call::get(path)).await;
        let answer = answer.map_err(|failure| Unfit::NotYet(failure.text().to_owned()))?;
        match answer.status {
            401 | 403 => {
                client.refresh();
                let kind = request_error(&answer.body).kind;
                Err(Unfit::NotYet(format!("it answers {} ({kind})", answer.status)))
            }
            408 | 429 | 500..=599 => Err(Unfit::NotYet(format!("it answers {}", answer.status))),
            _ => Ok(answer),
        }
    }
}

fn parsed(answer: &Answer) -> Result<Value, Unfit> {
    if !(200..=299).contains(&answer.status) {
        return Err(Unfit::Wrong(format!("it answers {}", answer.status)));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| Unfit::Wrong(format!("its answer is no JSON ({error})")))
}
