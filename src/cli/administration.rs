//! `sluice channels` and `sluice tokens`: the administrators' API from the command line.

use anyhow::Context as _;
use chrono::DateTime;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::config::settings::Settings;
use crate::stream::ids::CommandId;

mod client;
mod show;

use client::Client;

#[derive(Debug, Args)]
pub struct Channels {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    what: OfChannels,
}

#[derive(Debug, Args)]
pub struct Tokens {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    what: OfTokens,
}

#[derive(Debug, Args)]
struct Common {
    /// Where the API is [default: http:// and `api.listen`]
    #[arg(long, global = true, value_name = "URL")]
    api: Option<String>,
    /// Print the API's answers as they are, one a line
    #[arg(long, global = true)]
    json: bool,
    /// The id of a change that had no answer, to ask for it again without making it twice
    #[arg(long, global = true)]
    id: Option<String>,
}

#[derive(Debug, Subcommand)]
enum OfChannels {
    /// List the channels
    List {
        /// Only the channel of this area
        #[arg(long)]
        area: Option<String>,
    },
    /// Show a channel with its tokens
    Show { channel: String },
    /// Make the channel of an area and its first token, which is printed this once
    Create {
        /// As in id:5a1f00
        area: String,
        #[command(flatten)]
        token: Options,
    },
    /// Change name and description
    Edit {
        channel: String,
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        description: Option<String>,
    },
    /// Let whoever holds its token listen again
    Enable { channel: String },
    /// Close its connections and let nobody listen
    Disable { channel: String },
}

#[derive(Debug, Subcommand)]
enum OfTokens {
    /// List the tokens of a channel
    List { channel: String },
    /// Make a token, which is printed this once
    Create {
        channel: String,
        #[command(flatten)]
        token: Options,
    },
    /// Let whoever holds the token listen again
    Enable { channel: String, token: String },
    /// Close the connections of the token and let nobody listen with it
    Disable { channel: String, token: String },
}

#[derive(Debug, Args)]
struct Options {
    /// When the token expires, as in 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Connections at a time, within those of the channel
    #[arg(long, value_name = "COUNT")]
    connections: Option<u32>,
    /// Deliver only events that match
    #[arg(long)]
    filter: Option<String>,
    /// Deliver only this field; can be repeated
    #[arg(long = "field", value_name = "FIELD")]
    fields: Vec<String>,
}

impl Options {
    fn body(&self) -> anyhow::Result<Value> {
        let mut body = Map::new();
        if let Some(text) = &self.expires {
            let time = DateTime::parse_from_rfc3339(text);
            let time = time.with_context(|| format!("--expires {text}"))?;
            body.insert("expires".to_owned(), time.timestamp_millis().into());
        }
        if let Some(most) = self.connections {
            body.insert("connections_max".to_owned(), most.into());
        }
        if let Some(filter) = &self.filter {
            body.insert("filter".to_owned(), filter.as_str().into());
        }
        if !self.fields.is_empty() {
            body.insert("fields".to_owned(), json!(self.fields));
        }
        Ok(Value::Object(body))
    }
}

/// `sluice channels`; answers what is to be printed.
///
/// # Errors
/// There is no answer, or the API refuses: with its reason.
pub async fn channels(settings: &Settings, asked: &Channels) -> anyhow::Result<String> {
    let Channels { common, what } = asked;
    let session = Session::new(settings, common)?;
    let patch = async |channel: &str, body: Value| {
        let answer = session.change(Method::PATCH, &["channels", channel], body).await?;
        session.shown(&answer, show::channel)
    };
    match what {
        OfChannels::List { area } => session.list(area.as_deref()).await,
        OfChannels::Show { channel } => {
            session.shown(&session.client.get(&["channels", channel], &[]).await?, show::channel)
        }
        OfChannels::Create { area, token } => {
            let body = json!({ "area": area, "token": token.body()? });
            let made = session.change(Method::POST, &["channels"], body).await?;
            session.shown(&made, show::made)
        }
        OfChannels::Edit { channel, name, description } => {
            let mut body = Map::new();
            for (key, text) in [("name", name), ("description", description)] {
                body.extend(text.as_deref().map(|text| (key.to_owned(), text.into())));
            }
            anyhow::ensure!(!body.is_empty(), "nothing to change: --name, --description");
            patch(channel, Value::Object(body)).await
        }
        OfChannels::Enable { channel } => patch(channel, json!({ "enabled": true })).await,
        OfChannels::Disable { channel } => patch(channel, json!({ "enabled": false })).await,
    }
}

/// `sluice tokens`; answers what is to be printed.
///
/// # Errors
/// As [`channels`].
pub async fn tokens(settings: &Settings, asked: &Tokens) -> anyhow::Result<String> {
    let Tokens { common, what } = asked;
    let session = Session::new(settings, common)?;
    let patch = async |channel: &str, token: &str, enabled: bool| {
        let path = ["channels", channel, "tokens", token];
        let body = json!({ "enabled": enabled });
        let answer = session.change(Method::PATCH, &path, body).await?;
        session.shown(&answer, |token| show::tokens(std::slice::from_ref(token)))
    };
    match what {
        OfTokens::List { channel } => {
            let answer = session.client.get(&["channels", channel, "tokens"], &[]).await?;
            session.shown(&answer, |answer| show::tokens(show::list(answer, "tokens")))
        }
        OfTokens::Create { channel, token } => {
            let path = ["channels", channel, "tokens"];
            let made = session.change(Method::POST, &path, token.body()?).await?;
            session.shown(&made, show::made)
        }
        OfTokens::Enable { channel, token } => patch(channel, token, true).await,
        OfTokens::Disable { channel, token } => patch(channel, token, false).await,
    }
}

/// One command's way to the API.
struct Session {
    client: Client,
    json: bool,
    id: String,
}

impl Session {
    fn new(settings: &Settings, common: &Common) -> anyhow::Result<Self> {
        let id = match &common.id {
            Some(id) => id.clone(),
            None => CommandId::random().context("the system gives no random bits")?.into(),
        };
        let client = Client::new(&settings.api, common.api.as_deref())?;
        Ok(Self { client, json: common.json, id })
    }

    async fn change(&self, method: Method, path: &[&str], body: Value) -> anyhow::Result<Value> {
        self.client.change(method, path, &body, &self.id).await
    }

    /// Every page of the channels.
    async fn list(&self, area: Option<&str>) -> anyhow::Result<String> {
        let mut channels = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = vec![("limit", "1000")];
            query.extend(area.map(|area| ("area", area)));
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page = self.client.get(&["channels"], &query).await?;
            channels.extend_from_slice(show::list(&page, "channels"));
            match page.get("next").and_then(Value::as_str) {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        if self.json {
            return Ok(channels.iter().map(|channel| format!("{channel}\n")).collect());
        }
        Ok(show::channels(&channels))
    }

    fn shown(&self, answer: &Value, show: impl FnOnce(&Value) -> String) -> anyhow::Result<String> {
        Ok(if self.json { format!("{answer}\n") } else { show(answer) })
    }
}
