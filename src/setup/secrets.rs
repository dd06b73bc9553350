//! The secrets of Call Log Streams that nobody configured: the key of the cursors, and the
//! administrators' token, of which the control topic gets a digest only.

use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::config::settings::Settings;
use crate::health::Health;
use crate::stream::control::log::{self, LogSettings};
use crate::stream::control::{
    AdminToken, Command, Control, ControlError, CursorKey, Limits, Refusal, State, Token,
};
use crate::stream::ids::Actor;

use super::Task;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Makes what is neither configured nor there; answers whether anything was, or with a dry run
/// would be. `is_topic_there` is whether the control topic can be asked at all.
///
/// # Errors
/// The control topic cannot be read or written.
pub async fn make(
    settings: &Settings,
    task: Task,
    is_topic_there: bool,
    say: &mut (dyn FnMut(String) + Send),
) -> anyhow::Result<bool> {
    // The reading thread ends with this.
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let log = LogSettings {
        answer_timeout: TIMEOUT,
        ..LogSettings::new(settings.kafka.clone(), settings.control.topic.clone())
    };
    let (control, state) = if is_topic_there {
        let (control, _) = log::start(log, Health::default(), stop)?;
        let state = control.fresh(TIMEOUT).await?;
        (Some(control), state)
    } else {
        (None, std::sync::Arc::default())
    };
    let control = control.filter(|_| !task.dry_run);
    let key = cursor_key(settings, control.as_ref(), &state, say).await?;
    let token = admin_token(settings, control.as_ref(), (&state, task), say).await?;
    Ok(key || token)
}

/// Without `control` it is only said what would be done.
async fn cursor_key(
    settings: &Settings,
    control: Option<&Control>,
    state: &State,
    say: &mut (dyn FnMut(String) + Send),
) -> anyhow::Result<bool> {
    if settings.stream.cursor_key.is_some() {
        say("control: the key for cursors is `stream.cursor_key`".to_owned());
        return Ok(false);
    }
    let is_there = "control: the key for cursors is there";
    if state.cursor_key().is_some() {
        say(is_there.to_owned());
        return Ok(false);
    }
    let Some(control) = control else {
        say("control: a key for cursors would be made".to_owned());
        return Ok(true);
    };
    let key = CursorKey::generate().context("the system gives no random bits")?;
    let is_new = give(control, Command::SetCursorKey { key }, &Refusal::CursorKeyThere).await?;
    say(if is_new { "control: a key for cursors is made" } else { is_there }.to_owned());
    Ok(is_new)
}

async fn admin_token(
    settings: &Settings,
    control: Option<&Control>,
    (state, task): (&State, Task),
    say: &mut (dyn FnMut(String) + Send),
) -> anyhow::Result<bool> {
    if settings.api.token.is_some() {
        anyhow::ensure!(
            !task.new_admin_token,
            "`api.token` is set and wins: change it there, or remove it first"
        );
        say("control: the administrators' token is `api.token`".to_owned());
        return Ok(false);
    }
    let is_there = "control: the administrators' token is there; `--new-admin-token` replaces it";
    if state.admin_token().is_some() && !task.new_admin_token {
        say(is_there.to_owned());
        return Ok(false);
    }
    let Some(control) = control else {
        say("control: an administrators' token would be made".to_owned());
        return Ok(true);
    };
    let token = Token::generate().context("the system gives no random bits")?;
    let command = Command::SetAdminToken {
        token: AdminToken::of(token.reveal()),
        replace: task.new_admin_token,
    };
    if !give(control, command, &Refusal::AdminTokenThere).await? {
        say(is_there.to_owned());
        return Ok(false);
    }
    say(format!("control: the administrators' token, shown this once: {}", token.reveal()));
    Ok(true)
}

/// Whether a command was applied; not, where another `setup` was first.
async fn give(control: &Control, command: Command, there: &Refusal) -> anyhow::Result<bool> {
    let actor = Actor::try_from(Actor::SETUP.to_owned())?;
    match control.apply(actor, command, Limits::default()).await {
        Ok(_) => Ok(true),
        Err(ControlError::Refused(refusal)) if refusal == *there => Ok(false),
        Err(error) => Err(error).context("the control topic"),
    }
}
