//! `sluice try`: sample events through a pipeline, by the very code that `sluice run` uses, without
//! a server.
//!
//! Each event gets one answer on standard output, as JSON: the document, or why there is none. The
//! coordinates are those of the first messages of partition 0 of the pipeline's first topic, so the
//! same input at the same `--timestamp` gives the same ids.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use chrono::DateTime;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::output;
use crate::clock::{Clock, Millis};
use crate::config::Config;
use crate::config::fault::{Misuse, OrMisuse as _};
use crate::config::pipeline::PipelineSpec;
use crate::event::{Chunk, Hold, Message};
use crate::geo::{Change, Store};
use crate::outcome::Skip;
use crate::prepare::geo::Databases;
use crate::prepare::plan::Plan;
use crate::prepare::{self, Prepared, Scratch};

pub mod pretty;

#[derive(Debug, Args)]
pub struct Options {
    /// Files that each hold one Kafka message, in any framing; `-` or none: standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The pipeline, where there are several
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// Each line is a message of its own, as `kcat -C` prints them
    #[arg(long)]
    pub lines: bool,
    /// The time of the records and of the pipeline's clock: RFC 3339, or milliseconds; `none` for
    /// records without a time [default: now]
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    pub timestamp: Option<Timestamp>,
    /// Print this output alone [default: both, as one document where they are the same]
    #[arg(long, value_enum)]
    pub output: Option<Output>,
    /// Print each document as it stands in a bulk request, behind the line that names index and id
    #[arg(long)]
    pub bulk: bool,
    /// Indent [default: on a terminal]
    #[arg(long)]
    pub pretty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Index,
    Live,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamp {
    At(Millis),
    None,
}

/// Kafka knows no time before 1970, and four digits of a year no later one.
const RECORD_TIMES: RangeInclusive<Millis> = 0..=253_402_300_799_999;

fn timestamp(text: &str) -> Result<Timestamp, String> {
    if text == "none" {
        return Ok(Timestamp::None);
    }
    let millis = match text.parse::<i128>() {
        Ok(millis) => millis,
        Err(_) => {
            let time = DateTime::parse_from_rfc3339(text).map_err(|_says_little| {
                "a time is as in 2016-09-29T22:17:43Z, or milliseconds since 1970, or none"
                    .to_owned()
            });
            time?.timestamp_millis().into()
        }
    };
    let in_range = Millis::try_from(millis).ok().filter(|millis| RECORD_TIMES.contains(millis));
    in_range
        .map(Timestamp::At)
        .ok_or_else(|| "no time of a record: from 1970-01-01T00:00:00Z to the year 9999".to_owned())
}

/// Answers whether no event would be dead-lettered.
///
/// # Errors
/// Where there is no such pipeline, or a file cannot be read.
pub fn run(config: &Config, options: &Options) -> anyhow::Result<bool> {
    if options.output == Some(Output::Live) && !config.settings.live.on {
        return Err(Misuse::told("--output live: the live topic is off: live.on"));
    }
    let spec = pick(config, options.pipeline.as_deref()).map_err(Misuse::told)?;
    let mut trial = Trial::new(config, spec, options)?;
    if options.files.is_empty() {
        trial.input(io::stdin().lock())?;
    }
    for file in &options.files {
        let named = || file.display().to_string();
        if file == Path::new("-") {
            trial.input(io::stdin().lock())?;
        } else {
            let opened = File::open(file).with_context(named).or_misuse()?;
            trial.input(BufReader::new(opened)).with_context(named)?;
        }
    }
    Ok(trial.is_well)
}

fn pick<'a>(config: &'a Config, named: Option<&str>) -> Result<&'a PipelineSpec, String> {
    let names = || {
        let names: Vec<_> = config.pipelines.iter().map(|spec| spec.name.as_str()).collect();
        names.join(", ")
    };
    match (named, config.pipelines.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => {
            Err(format!("there are several pipelines: --pipeline takes one of {}", names()))
        }
        (Some(name), all) => all
            .iter()
            .find(|spec| spec.name == name)
            .ok_or_else(|| format!("--pipeline: no pipeline `{name}`; there are: {}", names())),
    }
}

struct Trial<'a> {
    options: &'a Options,
    is_pretty: bool,
    has_live: bool,
    context: prepare::Context,
    hold: Arc<Hold>,
    record_time: Option<Millis>,
    scratch: Scratch,
    messages: i64,
    is_well: bool,
}

impl<'a> Trial<'a> {
    fn new(config: &Config, spec: &PipelineSpec, options: &'a Options) -> anyhow::Result<Self> {
        // Its faults are the configuration's, and were told when that was read.
        let plan = Plan::compile(spec).ok().context("the pipeline has faults")?;
        let clock = Clock::system().now();
        let (now, record_time) = match options.timestamp {
            Some(Timestamp::At(time)) => (time, Some(time)),
            Some(Timestamp::None) => (clock, None),
            None => (clock, Some(clock)),
        };
        let topic = spec.topics.first().map_or("topic", String::as_str);
        Ok(Self {
            options,
            is_pretty: options.pretty || io::stdout().is_terminal(),
            has_live: config.settings.live.on,
            context: prepare::Context {
                plan: Arc::new(plan),
                databases: databases(config),
                now,
                cluster_id: "try".into(),
            },
            hold: Arc::new(Hold::new(1, 0, topic.into(), 0)),
            record_time,
            scratch: Scratch::default(),
            messages: 0,
            is_well: true,
        })
    }

    fn input(&mut self, mut input: impl BufRead) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        if !self.options.lines {
            input.read_to_end(&mut bytes)?;
            return self.message(bytes);
        }
        while input.read_until(b'\n', &mut bytes)? > 0 {
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
            self.message(std::mem::take(&mut bytes))?;
        }
        Ok(())
    }

    /// A chunk of one message, so that each one's answers are printed before the next is read.
    fn message(&mut self, bytes: Vec<u8>) -> anyhow::Result<()> {
        let offset = self.messages;
        self.messages += 1;
        let message =
            Message { offset, timestamp: self.record_time, payload: Some(0..bytes.len()) };
        let (hold, received) = (Arc::clone(&self.hold), self.context.now);
        let chunk = Chunk { hold, bytes, messages: vec![message], received };
        let prepared = prepare::chunk(chunk, &self.context, &mut self.scratch);
        self.is_well &= prepared.rejects.is_empty();
        for answer in self.answers(&prepared, offset) {
            output::print(&self.text(&answer))?;
        }
        Ok(())
    }

    /// One answer for each event, in the order of the events; what was skipped has no place and
    /// comes last.
    fn answers(&self, prepared: &Prepared, offset: i64) -> Vec<Vec<u8>> {
        let topic = &*self.hold.topic;
        let mut answers: Vec<(u32, Vec<Vec<u8>>)> = Vec::new();
        for document in &prepared.documents {
            let mut lines = Vec::new();
            if self.options.bulk {
                let action = prepared.body.get(document.action..document.source.start);
                lines.push(action.unwrap_or_default().trim_ascii_end().to_vec());
            }
            lines.push(self.document(prepared, document));
            answers.push((document.index_in_message, lines));
        }
        for reject in &prepared.rejects {
            let index = reject.index_in_message;
            let told = json!({ "dead_letter": {
                "topic": topic, "partition": 0, "offset": offset, "index_in_message": index,
                "reason": reject.reason.label(), "detail": reject.detail,
            } });
            answers.push((index, vec![told.to_string().into_bytes()]));
        }
        answers.sort_by_key(|(index, _)| *index);
        let mut lines: Vec<_> = answers.into_iter().flat_map(|(_, lines)| lines).collect();
        for (skip, &events) in Skip::ALL.iter().zip(&prepared.skipped) {
            if events > 0 {
                let told = json!({ "skipped": {
                    "topic": topic, "partition": 0, "offset": offset,
                    "reason": skip.label(), "events": events,
                } });
                lines.push(told.to_string().into_bytes());
            }
        }
        lines
    }

    /// The document once where both outputs are the same, else each behind its name.
    fn document(&self, prepared: &Prepared, document: &prepare::Document) -> Vec<u8> {
        let index = prepared.body.get(document.source.clone()).unwrap_or_default();
        let live = prepared.live.as_ref().unwrap_or(&prepared.body);
        let live = live.get(document.live.clone()).unwrap_or_default();
        match self.options.output {
            Some(Output::Index) => index.to_vec(),
            Some(Output::Live) => live.to_vec(),
            None if !self.has_live || index == live => index.to_vec(),
            None => [b"{\"index\":", index, b",\"live\":", live, b"}"].concat(),
        }
    }

    fn text(&self, answer: &[u8]) -> String {
        let mut text = if self.is_pretty {
            pretty::indented(answer)
        } else {
            String::from_utf8_lossy(answer).into_owned()
        };
        text.push('\n');
        text
    }
}

/// Those of the configuration; what is missing is said and does not matter otherwise.
fn databases(config: &Config) -> Arc<Databases> {
    let geo = &config.settings.geo;
    let (store, changes) = Store::open(&geo.databases, &geo.work_dir());
    for change in &changes {
        if !matches!(change, Change::Taken { .. }) {
            output::complain(&change.to_string());
        }
    }
    store.current().load_full()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let check = |text: &str, expected| assert_eq!(timestamp(text).ok(), expected, "{text}");
        check("2016-09-29T22:17:43.404Z", Some(Timestamp::At(1_475_187_463_404)));
        check("2016-09-30T00:17:43.404+02:00", Some(Timestamp::At(1_475_187_463_404)));
        check("1475187463404", Some(Timestamp::At(1_475_187_463_404)));
        check("none", Some(Timestamp::None));
        check("yesterday", None);
        check("0", Some(Timestamp::At(0)));
        check("9999-12-31T23:59:59.999Z", Some(Timestamp::At(253_402_300_799_999)));
        for out_of_range in
            ["-1", "253402300800000", "99999999999999999999", "1969-12-31T23:59:59Z"]
        {
            let told = timestamp(out_of_range).unwrap_err();
            assert!(told.starts_with("no time of a record"), "{out_of_range}: {told}");
        }
    }
}
