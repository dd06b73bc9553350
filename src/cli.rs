//! The command line: what can be asked for, and with which exit code it ends.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

pub mod output;
pub mod check;
pub mod connect;
pub mod trial;
pub mod administration;
pub mod tail;

use crate::app;
use crate::clock::Clock;
use crate::config::environment::Environment;
use crate::config::fault::{Fault, Misuse, OrMisuse as _, SpecFault};
use crate::config::pipeline::PipelineSpec;
use crate::config::{self, Config, reference};
use crate::geo::demo;
use crate::prepare::plan::Plan;
use crate::stream::api;
use crate::{setup, traffic};

/// The configuration, or the command line itself, is at fault.
const EXIT_MISUSE: u8 = 2;

#[derive(Debug, Parser)]
#[command(
    name = "sluice",
    version,
    about = "Kafka to Elasticsearch for API gateways: every event counted, nothing lost, nothing doubled",
    after_help = "Exit codes: 0 done, 1 failed or refused by a server, 2 the configuration or the command line is at fault."
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
    /// Take events from Kafka, index them, mirror them, until asked to end
    Run,
    /// Send sample events through a pipeline and print what becomes of each; needs no server
    Try(trial::Options),
    /// Check the configuration and name every fault at once
    Check {
        /// Also try the brokers, the topics, the index and the geo databases
        #[arg(long)]
        connect: bool,
    },
    /// Create or update the index template, the lifecycle policy, the topics and the secrets of
    /// the streams; can be repeated
    Setup {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Make and print an administrators' token; the one before it and all sessions end
        #[arg(long)]
        new_admin_token: bool,
    },
    /// Channels of the streams: list, make, edit, enable, disable
    Channels(administration::Channels),
    /// Access tokens of a channel: list, make, enable, disable
    Tokens(administration::Tokens),
    /// Write believable gateway events to a source topic, for a first look or for load
    Traffic(TrafficOptions),
    /// Listen to a stream and print one line a call; comes back by itself when it is cut off
    Tail(Box<tail::Options>),
    /// Write a small geo database of invented places, free of any licence
    GeoDemo {
        /// The database file to write
        file: PathBuf,
        /// Networks and places of your own, in the form of geoip/demo.csv
        #[arg(long, value_name = "FILE")]
        csv: Option<PathBuf>,
    },
    /// Print the configuration reference as Markdown
    Reference {
        /// Print the OpenAPI document of the administrators' API instead
        #[arg(long)]
        openapi: bool,
    },
}

#[derive(Debug, Args)]
struct TrafficOptions {
    /// Messages to write first, each file one
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Events each second; 0: as fast as Kafka takes them
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// End after so many events [default: go on]
    #[arg(long, value_name = "EVENTS")]
    count: Option<u64>,
    /// End after so many seconds [default: go on]
    #[arg(long)]
    seconds: Option<u64>,
    /// The same seed makes the same calls
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The topic [default: the first topic of the first pipeline]
    #[arg(long)]
    topic: Option<String>,
}

/// Parses the process's arguments and does what they ask for.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) if is_reader_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("error: {error:#}"));
            if error.is::<Misuse>() { EXIT_MISUSE.into() } else { ExitCode::FAILURE }
        }
    }
}

/// Whoever read our output has seen enough, as `head` does.
fn is_reader_gone(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Reference { openapi: false } => output::print(&reference::page())?,
        Command::Reference { openapi: true } => output::print(&api::document::text())?,
        Command::GeoDemo { file, csv } => geo_demo(file, csv.as_deref())?,
        Command::Channels(_) | Command::Tokens(_) => return administer(arguments),
        Command::Tail(options) if !options.needs_configuration() => {
            tail::run(options, None, &Environment::of_process())?;
        }
        command => match load(arguments.config.as_deref()) {
            Ok(config) => return with(config, command, arguments.config.clone()),
            Err(faults) => {
                complain_of(&faults);
                return Ok(EXIT_MISUSE.into());
            }
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// The commands that ask the administrators' API: they need no pipeline.
fn administer(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let environment = Environment::of_process();
    let settings = match config::load_settings(arguments.config.as_deref(), &environment) {
        Ok(settings) => settings,
        Err(faults) => {
            complain_of(&faults);
            return Ok(EXIT_MISUSE.into());
        }
    };
    let answer = match &arguments.command {
        Command::Channels(asked) => runtime()?.block_on(administration::channels(&settings, asked)),
        Command::Tokens(asked) => runtime()?.block_on(administration::tokens(&settings, asked)),
        _ => return Ok(ExitCode::SUCCESS),
    };
    output::print(&answer?)?;
    Ok(ExitCode::SUCCESS)
}

/// The commands that need a sound configuration.
fn with(config: Config, command: &Command, named: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut is_well = true;
    match command {
        Command::Run => app::main(config, Arc::new(move || load(named.as_deref())))?,
        Command::Try(options) => is_well = trial::run(&config, options)?,
        Command::Check { connect } => {
            output::print(&check::summary(&config))?;
            if *connect {
                is_well = runtime()?.block_on(connect::run(&config, &mut say))?;
            }
        }
        Command::Setup { dry_run, new_admin_token } => {
            let (settings, pipelines) = (&config.settings, &config.pipelines);
            let task = setup::Task { dry_run: *dry_run, new_admin_token: *new_admin_token };
            runtime()?.block_on(setup::run(settings, pipelines, task, &mut say))?;
        }
        Command::Traffic(options) => write_traffic(&config, options)?,
        Command::Tail(options) => {
            let base = config.settings.stream.base_url();
            tail::run(options, Some(&base), &Environment::of_process())?;
        }
        Command::GeoDemo { .. }
        | Command::Reference { .. }
        | Command::Channels(_)
        | Command::Tokens(_) => {}
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line of progress. Where standard output is gone the work is finished all the same.
fn say(line: String) {
    output::print(&(line + "\n")).unwrap_or_default();
}

fn write_traffic(config: &Config, options: &TrafficOptions) -> anyhow::Result<()> {
    let first = || config.pipelines.iter().find_map(|spec| spec.topics.first()).cloned();
    let topic = options.topic.clone().or_else(first);
    let topic = topic.context("no pipeline has a topic").or_misuse()?;
    let load = traffic::Load {
        rate: options.rate,
        count: options.count,
        time: options.seconds.map(Duration::from_secs),
        seed: options.seed,
    };
    let read = |file: &PathBuf| std::fs::read(file).with_context(|| file.display().to_string());
    let first = options.files.iter().map(read).collect::<anyhow::Result<Vec<_>>>().or_misuse()?;
    let kafka = &config.settings.kafka;
    let written = traffic::write(kafka, &topic, &first, load, &Clock::system())?;
    say(format!("{written} events written to {topic}"));
    Ok(())
}

fn geo_demo(file: &Path, csv: Option<&Path>) -> anyhow::Result<()> {
    let bytes = match csv {
        Some(path) => {
            let read = std::fs::read_to_string(path).map_err(anyhow::Error::from);
            let made = read.and_then(|text| demo::nested(&text));
            made.with_context(|| format!("--csv {}", path.display())).or_misuse()?
        }
        None => demo::nested(demo::DEMO_CSV)?,
    };
    std::fs::write(file, bytes).with_context(|| file.display().to_string())?;
    say(format!("{} written: use it as geo.databases", file.display()));
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn load(named: Option<&Path>) -> Result<Config, Vec<Fault>> {
    config::load(named, &Environment::of_process(), &faults_of_plan)
}

/// What only preparation can find wrong with a pipeline.
fn faults_of_plan(spec: &PipelineSpec) -> Vec<SpecFault> {
    Plan::compile(spec).err().unwrap_or_default()
}

fn complain_of(faults: &[Fault]) {
    for fault in faults {
        output::complain(&fault.to_string());
    }
    let noun = if faults.len() == 1 { "fault" } else { "faults" };
    output::complain(&format!("the configuration has {} {noun}", faults.len()));
}
