//! What the administrators' API is made of, and the secrets that are configured or else `setup`'s.

use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::clock::Clock;
use crate::config::fault::OrMisuse as _;
use crate::config::settings::Settings;
use crate::stream::api::Api;
use crate::stream::api::access::Access;
use crate::stream::api::areas::Areas;
use crate::stream::api::session::Sessions;
use crate::stream::control::{Control, Limits};
use crate::stream::filter::Known;
use crate::stream::gate::{Failures, Gate};
use crate::stream::presence::Presence;

use crate::app::LOOK_AGAIN;
use crate::kafka::ASK_TIMEOUT;

/// The key of the cursors, waited for while the control topic cannot be read.
///
/// # Errors
/// It cannot be read, or nobody has made one.
pub(super) async fn cursor_key(settings: &Settings, control: &Control) -> anyhow::Result<Vec<u8>> {
    if let Some(key) = &settings.stream.cursor_key {
        return Ok(key.read().context("stream.cursor_key").or_misuse()?.into_bytes());
    }
    loop {
        // Of what keeps it from being read the control topic's reader tells.
        let Ok(state) = control.fresh(ASK_TIMEOUT).await else {
            tokio::time::sleep(LOOK_AGAIN).await;
            continue;
        };
        let Some(key) = state.cursor_key() else {
            let topic = &settings.control.topic;
            bail!("`stream.cursor_key` is not set and topic {topic} has no key: run `sluice setup`")
        };
        return Ok(key.reveal().to_vec());
    }
}

/// Reads the control topic up to its end once, as soon as that can be done: from then on what was
/// read is told while Kafka is away as well, whether or not anybody has asked before.
pub(super) async fn read_once(control: Control) {
    while control.known(ASK_TIMEOUT).await.is_err() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What the API shares with the streams.
pub(super) struct Parts {
    pub(super) control: Control,
    pub(super) presence: Presence,
    pub(super) clock: Clock,
    pub(super) failures: Failures,
    pub(super) fields: Arc<Known>,
    pub(super) areas: Areas,
}

/// # Errors
/// The configured token cannot be read.
pub(super) fn api(settings: &Settings, parts: Parts, cursor_key: &[u8]) -> anyhow::Result<Api> {
    let Parts { control, presence, clock, failures, fields, areas } = parts;
    let api = &settings.api;
    let token = api.token.as_ref().map(|token| token.read().context("api.token")).transpose();
    let token = token.or_misuse()?;
    let access = Access::new(
        token.as_deref(),
        Sessions::new(cursor_key, api.session_max),
        api.public_url.clone(),
        (&api.proxy, &api.roles),
    );
    let public_url = settings.stream.base_url();
    Ok(Api {
        control,
        presence,
        clock,
        limits: Limits {
            token_overlap_max: settings.stream.token_overlap_max,
            ..Limits::default()
        },
        access: Arc::new(access),
        gate: Gate::new(failures, &api.proxy.addresses, settings.stream.key_in_query),
        fields,
        areas,
        public_url: public_url.into(),
    })
}
