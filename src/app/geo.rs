//! The geo databases of the process: opened at the start, looked at again for ever.
//!
//! A new file is taken between two chunks, without a restart; a damaged one is refused and the one
//! in use stays. Both are said and counted.

use std::time::Duration;

use anyhow::Context as _;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::config::settings::GeoSettings;
use crate::geo::{Change, Store};
use crate::metrics::{Metrics, ReloadEnd, Reloaded};

/// Opens what the settings name. What cannot be used is said, and waited for.
///
/// # Errors
/// Where a thread of ours failed.
pub(super) async fn open(settings: &GeoSettings, metrics: &Metrics) -> anyhow::Result<Store> {
    let (paths, work_dir) = (settings.databases.clone(), settings.work_dir());
    let opened = spawn_blocking(move || Store::open(&paths, &work_dir)).await;
    let (store, changes) = opened.context("opening the geo databases has failed")?;
    changes.iter().for_each(say);
    if changes.is_empty() {
        warn!("geo.databases names no file: events are indexed without places");
    }
    tell_age(&store, metrics);
    Ok(store)
}

/// Looks at the files for ever.
///
/// # Errors
/// Where a thread of ours failed.
pub(super) async fn watch(
    mut store: Store,
    every: Duration,
    metrics: Metrics,
) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(every).await;
        // A file takes as long as it takes to read.
        let reloaded = spawn_blocking(move || {
            let changes = store.reload();
            (store, changes)
        });
        let changes;
        (store, changes) = reloaded.await.context("reloading the geo databases has failed")?;
        for change in &changes {
            say(change);
            count(change, &metrics);
        }
        tell_age(&store, &metrics);
    }
}

fn say(change: &Change) {
    match change {
        Change::Taken { .. } => info!("{change}"),
        Change::Refused { .. } | Change::Missing { .. } => warn!("{change}"),
    }
}

fn count(change: &Change, metrics: &Metrics) {
    let end = match change {
        Change::Taken { .. } => ReloadEnd::Taken,
        Change::Refused { .. } | Change::Missing { .. } => ReloadEnd::Refused,
    };
    let counter = metrics.reloads.get(Reloaded::Geo.index());
    if let Some(counter) = counter.and_then(|ends| ends.get(end.index())) {
        counter.inc();
    }
}

/// Of several files the oldest, since that is the one to renew.
fn tell_age(store: &Store, metrics: &Metrics) {
    let current = store.current().load_full();
    let oldest = current.files().iter().map(|file| file.built()).min();
    metrics.geo_build_time.set(oldest.map_or(0.0, |built| built as f64));
}
