//! The command line: what can be asked for, and with which exit code it ends.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod output;
pub mod check;

use crate::config::environment::Environment;
use crate::config::fault::Fault;
use crate::config::{self, Config, reference};

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
        Command::Reference => {}
    }
    Ok(ExitCode::SUCCESS)
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
