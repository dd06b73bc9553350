//! Pipelines and the brake, changed without a restart.
//!
//! The files are looked at for a change. A sound change is in force from the next chunk on; a
//! faulty one is refused, said, counted, and the running one stays.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::bail;
use arc_swap::ArcSwap;
use tracing::{info, warn};

use crate::config::Config;
use crate::config::fault::Fault;
use crate::config::pipeline::PipelineSpec;
use crate::deliver::index::Index;
use crate::metrics::{Metrics, ReloadEnd, Reloaded};
use crate::prepare::plan::Plan;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reads the whole configuration again.
pub type Load = Arc<dyn Fn() -> Result<Config, Vec<Fault>> + Send + Sync>;

/// The plans in force, one for each pipeline.
pub(super) struct Plans {
    plans: Vec<ArcSwap<Plan>>,
}

impl Plans {
    pub(super) fn compile(pipelines: &[PipelineSpec]) -> anyhow::Result<Arc<Self>> {
        let plans = compile(pipelines)?.into_iter().map(ArcSwap::new).collect();
        Ok(Arc::new(Self { plans }))
    }

    pub(super) fn of(&self, pipeline: usize) -> Option<Arc<Plan>> {
        self.plans.get(pipeline).map(ArcSwap::load_full)
    }

    /// The geo targets of all pipelines, each once.
    pub(super) fn geo_targets(&self) -> Vec<String> {
        let mut targets = Vec::new();
        for plan in &self.plans {
            for target in &plan.load().geo_targets {
                if !targets.iter().any(|known: &String| **known == **target) {
                    targets.push(target.to_string());
                }
            }
        }
        targets
    }
}

fn compile(pipelines: &[PipelineSpec]) -> anyhow::Result<Vec<Arc<Plan>>> {
    let mut plans = Vec::with_capacity(pipelines.len());
    for spec in pipelines {
        match Plan::compile(spec) {
            Ok(plan) => plans.push(Arc::new(plan)),
            Err(faults) => {
                let told: Vec<_> = faults
                    .iter()
                    .map(|fault| format!("{}: {}", fault.key, fault.message))
                    .collect();
                bail!("pipeline {}: {}", spec.name, told.join("; "));
            }
        }
    }
    Ok(plans)
}

/// Looks at the files for ever.
pub(super) async fn watch(
    config: Config,
    load: Load,
    plans: Arc<Plans>,
    index: Index,
    metrics: Metrics,
) -> anyhow::Result<()> {
    let mut running = config;
    let mut seen = state(running.files());
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = state(running.files());
        if now == seen {
            continue;
        }
        seen = now;
        let end = match load() {
            Ok(next) => take(&running, next, &plans, &index).map(|next| running = next),
            Err(faults) => {
                let told: Vec<_> = faults.iter().map(Fault::to_string).collect();
                Err(anyhow::anyhow!(told.join("; ")))
            }
        };
        let label = match end {
            Ok(()) => {
                info!("the changed configuration is in force");
                ReloadEnd::Taken
            }
            Err(error) => {
                warn!("the changed configuration is refused, the running one stays: {error:#}");
                ReloadEnd::Refused
            }
        };
        let counter = metrics.reloads.get(Reloaded::Pipelines.index());
        if let Some(counter) = counter.and_then(|ends| ends.get(label.index())) {
            counter.inc();
        }
    }
}

/// Puts what can change into force.
fn take(running: &Config, next: Config, plans: &Plans, index: &Index) -> anyhow::Result<Config> {
    let owned = |config: &Config| {
        let each = config.pipelines.iter();
        each.map(|spec| (spec.name.clone(), spec.topics.clone(), spec.geo.clone()))
            .collect::<Vec<_>>()
    };
    if owned(running) != owned(&next) {
        bail!("other pipelines, topics or geo pairs take a restart");
    }
    let compiled = compile(&next.pipelines)?;
    for (plan, compiled) in plans.plans.iter().zip(compiled) {
        plan.store(compiled);
    }
    index.switch_brake(next.settings.index.brake.on);
    Ok(next)
}

type Stamp = (PathBuf, Option<(SystemTime, u64)>);

/// What tells a changed file from an unchanged one.
fn state(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(|file| (file.clone(), stamp(file))).collect()
}
