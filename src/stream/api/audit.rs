//! The audit trail: who asked for what, and what became of it, the latest first.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Millis;
use crate::stream::control::{Command, Entry, Refusal};
use crate::stream::request::Problem;

use super::Api;
use super::access::User;
use super::problem::{Ids, Parameters, not_found};
use super::shapes::Json;

/// Entries of one page.
const PAGE: usize = 50;
const PAGE_MAX: usize = 200;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those before the entry of this number.
    before: Option<u64>,
    /// So many at most: 1 to 200, by default 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// A page of the trail.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Audit {
    audit: Vec<EntryShape>,
    /// `before` of the next page, where there may be one.
    next: Option<u64>,
}

/// One command that was decided.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct EntryShape {
    /// Its place among all commands of all channels.
    number: u64,
    /// Milliseconds since the Unix epoch.
    at: Millis,
    /// The command's id: `Idempotency-Key`, where the request had one.
    id: String,
    /// The user's name, `administrator` for whoever held the administrators' token, or `setup`.
    actor: String,
    action: &'static str,
    area: Option<String>,
    channel: Option<String>,
    token: Option<String>,
    /// What the channel was to be named.
    name: Option<String>,
    description: Option<String>,
    /// Why it was refused and has changed nothing: a name for programs.
    refused: Option<&'static str>,
    /// The same in words.
    reason: Option<String>,
}

/// What was asked of one channel. The latest 200 commands of a channel are held; the control topic
/// has them all.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/audit", tag = "audit",
    params(("channel" = String, Path), Which), responses((status = 200, body = Audit)))]
pub(super) async fn of_channel(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Ids(id): Ids<String>,
    Parameters(which): Parameters<Which>,
) -> Result<Json<Audit>, Problem> {
    let mut page = Page::new(&which)?;
    let state = api.control.state();
    let channel = state.channel(&id).filter(|channel| user.may_read(&channel.area));
    page.take(channel.ok_or_else(not_found)?.audit().rev());
    Ok(Json(page.shape()))
}

/// What was asked of every channel that the user may see; for administrators of everything also
/// what was about no channel. As far back as what is held of each.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(Which),
    responses((status = 200, body = Audit)))]
pub(super) async fn of_all(
    State(api): State<Api>,
    Extension(user): Extension<User>,
    Parameters(which): Parameters<Which>,
) -> Result<Json<Audit>, Problem> {
    let mut page = Page::new(&which)?;
    let state = api.control.state();
    for channel in state.channels().filter(|channel| user.may_read(&channel.area)) {
        page.take(channel.audit().rev());
    }
    if user.is_administrator_of_everything() {
        page.take(state.audit().rev());
    }
    Ok(Json(page.shape()))
}

/// The latest entries before a number, by their numbers.
struct Page {
    before: u64,
    limit: usize,
    entries: BTreeMap<u64, Arc<Entry>>,
}

impl Page {
    fn new(which: &Which) -> Result<Self, Problem> {
        let limit = which.limit.unwrap_or(PAGE);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(Problem::new(400, "bad-parameter", "`limit` is 1 to 200"));
        }
        let before = which.before.unwrap_or(u64::MAX);
        Ok(Self { before, limit, entries: BTreeMap::new() })
    }

    /// Takes what belongs here of a trail, the latest first.
    fn take<'a>(&mut self, trail: impl Iterator<Item = &'a Arc<Entry>>) {
        for entry in trail.skip_while(|entry| entry.number >= self.before) {
            let oldest = self.entries.first_key_value().map(|(number, _)| *number);
            if self.entries.len() >= self.limit && oldest.is_some_and(|of| of > entry.number) {
                return;
            }
            self.entries.insert(entry.number, Arc::clone(entry));
            if self.entries.len() > self.limit {
                self.entries.pop_first();
            }
        }
    }

    fn shape(self) -> Audit {
        let is_full = self.entries.len() >= self.limit;
        let next = self.entries.first_key_value().map(|(number, _)| *number);
        Audit {
            audit: self.entries.values().rev().map(|entry| shape(entry)).collect(),
            next: next.filter(|_| is_full),
        }
    }
}

fn shape(entry: &Entry) -> EntryShape {
    let made = entry.result.as_ref().ok();
    let channel = match &entry.result {
        Ok(made) => made.channel.as_ref(),
        Err(Refusal::ChannelExists(channel)) => Some(channel),
        Err(_) => entry.command.channel(),
    };
    let mut shape = EntryShape {
        number: entry.number,
        at: entry.at,
        id: entry.id.to_string(),
        actor: entry.actor.to_string(),
        action: entry.command.label(),
        area: None,
        channel: channel.map(ToString::to_string),
        token: made.and_then(|made| made.token.as_ref()).map(ToString::to_string),
        name: None,
        description: None,
        refused: entry.result.as_ref().err().map(Refusal::label),
        reason: entry.result.as_ref().err().map(ToString::to_string),
    };
    match &entry.command {
        Command::Generate { area, .. } => shape.area = Some(area.clone()),
        Command::EditChannel { name, description, .. } => {
            shape.name.clone_from(name);
            shape.description.clone_from(description);
        }
        Command::SetTokenEnabled { token, .. } => shape.token = Some(token.to_string()),
        Command::SetChannelEnabled { .. }
        | Command::NewToken { .. }
        | Command::SetCursorKey { .. }
        | Command::SetAdminToken { .. } => {}
    }
    shape
}
