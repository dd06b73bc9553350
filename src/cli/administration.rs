//! `sluice channels` and `sluice tokens`: the administrators' API from the command line.

use anyhow::Context as _;
use chrono::DateTime;
use clap::{Args, Subcommand};
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use crate::clock::Millis;
use crate::config::fault::{Misuse, OrMisuse as _};
use crate::config::settings::Settings;
use crate::stream::api::ID_LENGTH_MAX;
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
    #[arg(long, global = true, value_name = "URL", value_parser = client::base)]
    api: Option<Url>,
    /// Print the API's answers as they are, one a line
    #[arg(long, global = true)]
    json: bool,
}

/// Of what changes something.
#[derive(Debug, Args)]
struct Change {
    /// The id of a change that had no answer, to ask for it again without making it twice
    #[arg(long, value_parser = change_id)]
    id: Option<CommandId>,
}

fn change_id(text: &str) -> Result<CommandId, String> {
    let id = CommandId::try_from(text.to_owned()).ok().filter(|_| text.len() <= ID_LENGTH_MAX);
    id.ok_or_else(|| format!("an id is 1 to {ID_LENGTH_MAX} letters, digits, `-` or `_`"))
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
        /// As in id:5a1f00 or name:acme, as the pipelines make areas, or `unassigned`
        area: String,
        #[command(flatten)]
        token: Options,
        #[command(flatten)]
        change: Change,
    },
    /// Change name and description
    Edit {
        channel: String,
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Let whoever holds its token listen again
    Enable {
        channel: String,
        #[command(flatten)]
        change: Change,
    },
    /// Close its connections and let nobody listen
    Disable {
        channel: String,
        #[command(flatten)]
        change: Change,
    },
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
        #[command(flatten)]
        change: Change,
    },
    /// Let whoever holds the token listen again
    Enable {
        channel: String,
        token: String,
        #[command(flatten)]
        change: Change,
    },
    /// Close the connections of the token and let nobody listen with it
    Disable {
        channel: String,
        token: String,
        #[command(flatten)]
        change: Change,
    },
}

#[derive(Debug, Args)]
struct Options {
    /// When the token expires, as in 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Millis>,
    /// Connections at a time, within those of the channel
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
    /// Deliver only events that match
    #[arg(long)]
    filter: Option<String>,
    /// Deliver only this field; can be repeated
    #[arg(long = "field", value_name = "FIELD")]
    fields: Vec<String>,
}

fn expiry(text: &str) -> Result<Millis, &'static str> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.timestamp_millis())
        .map_err(|_says_little| "a time is as in 2027-01-31T00:00:00Z or 2027-01-31T00:00:00+01:00")
}

impl Options {
    fn body(&self) -> Value {
        let mut body = Map::new();
        if let Some(time) = self.expires {
            body.insert("expires".to_owned(), time.into());
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
        Value::Object(body)
    }
}

/// `sluice channels`; answers what is to be printed.
///
/// # Errors
/// There is no answer, or the API refuses: with its reason.
pub async fn channels(settings: &Settings, asked: &Channels) -> anyhow::Result<String> {
    let Channels { common, what } = asked;
    let session = Session::new(settings, common)?;
    let patch = async |channel: &str, body: Value, change: &Change| {
        let path = ["channels", channel];
        let answer = session.change(Method::PATCH, &path, body, change).await?;
        session.shown(&answer, show::channel)
    };
    match what {
        OfChannels::List { area } => session.list(area.as_deref()).await,
        OfChannels::Show { channel } => {
            session.shown(&session.client.get(&["channels", channel], &[]).await?, show::channel)
        }
        OfChannels::Create { area, token, change } => {
            let body = json!({ "area": area, "token": token.body() });
            let made = session.change(Method::POST, &["channels"], body, change).await?;
            session.shown(&made, show::made)
        }
        OfChannels::Edit { channel, name, description, change } => {
            let mut body = Map::new();
            for (key, text) in [("name", name), ("description", description)] {
                body.extend(text.as_deref().map(|text| (key.to_owned(), text.into())));
            }
            if body.is_empty() {
                return Err(Misuse::told("nothing to change: --name, --description"));
            }
            patch(channel, Value::Object(body), change).await
        }
        OfChannels::Enable { channel, change } => {
            patch(channel, json!({ "enabled": true }), change).await
        }
        OfChannels::Disable { channel, change } => {
            patch(channel, json!({ "enabled": false }), change).await
        }
    }
}

/// `sluice tokens`; answers what is to be printed.
///
/// # Errors
/// As [`channels`].
pub async fn tokens(settings: &Settings, asked: &Tokens) -> anyhow::Result<String> {
    let Tokens { common, what } = asked;
    let session = Session::new(settings, common)?;
    let patch = async |channel: &str, token: &str, enabled: bool, change: &Change| {
        let path = ["channels", channel, "tokens", token];
        let body = json!({ "enabled": enabled });
        let answer = session.change(Method::PATCH, &path, body, change).await?;
        session.shown(&answer, |token| show::tokens(std::slice::from_ref(token)))
    };
    match what {
        OfTokens::List { channel } => {
            let answer = session.client.get(&["channels", channel, "tokens"], &[]).await?;
            session.shown(&answer, |answer| show::tokens(show::list(answer, "tokens")))
        }
        OfTokens::Create { channel, token, change } => {
            let path = ["channels", channel, "tokens"];
            let made = session.change(Method::POST, &path, token.body(), change).await?;
            session.shown(&made, show::made)
        }
        OfTokens::Enable { channel, token, change } => patch(channel, token, true, change).await,
        OfTokens::Disable { channel, token, change } => patch(channel, token, false, change).await,
    }
}

/// One command's way to the API.
struct Session {
    client: Client,
    json: bool,
}

impl Session {
    fn new(settings: &Settings, common: &Common) -> anyhow::Result<Self> {
        let client = Client::new(&settings.api, common.api.as_ref()).or_misuse()?;
        Ok(Self { client, json: common.json })
    }

    async fn change(
        &self,
        method: Method,
        path: &[&str],
        body: Value,
        change: &Change,
    ) -> anyhow::Result<Value> {
        let id = match &change.id {
            Some(id) => id.clone(),
            None => CommandId::random().context("the system gives no random bits")?,
        };
        self.client.change(method, path, &body, id.as_str()).await
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
