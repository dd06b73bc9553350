//! The command line: what can be asked for, and with which exit code it ends.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod output;
pub mod check;

use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::{self, Config, reference};
use crate::setup;

/// The configuration, or the command line itself, is at fault.
const EXIT_CONFIGURATION: u8 = 2;

#[derive(Debug, Parser)]
#[command(
    name = "sluice",
    version,
    about = "Kafka to Elasticsearch for API gateways: every event counted, nothing lost, nothing doubled"
)]
struct Arguments {
    /// The configuration file [default: $SLUICE_CONFIG, then ./sluice.toml, then every default]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the configuration and name every fault at once
    Check,
    /// Create or update the index template, the lifecycle policy and the topics; can be repeated
    Setup {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the configuration reference as Markdown
    Reference,
}

/// Parses the process's arguments and does what they ask for.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Command::Reference = arguments.command {
        output::print(&reference::page())?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = match load(arguments) {
        Ok(config) => config,
        Err(faults) => {
            complain_of(&faults);
            return Ok(ExitCode::from(EXIT_CONFIGURATION));
        }
    };
    match &arguments.command {
        Command::Check => output::print(&check::summary(&config))?,
        Command::Setup { dry_run } => set_up(&config, *dry_run)?,
        Command::Reference => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn set_up(config: &Config, dry_run: bool) -> anyhow::Result<()> {
    let mut say = |line: String| output::print(&format!("{line}\n")).unwrap_or_default();
    runtime()?.block_on(setup::run(&config.settings, &config.pipelines, dry_run, &mut say))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn load(arguments: &Arguments) -> Result<Config, Vec<Fault>> {
    let environment = Environment::of_process();
    config::load(arguments.config.as_deref(), &environment, &|_| Vec::new())
}

fn complain_of(faults: &[Fault]) {
    for fault in faults {
        output::complain(&fault.to_string());
    }
    let noun = if faults.len() == 1 { "fault" } else { "faults" };
    output::complain(&format!("the configuration has {} {noun}", faults.len()));
}
