//! The stages put together: a chunk in, its documents, rejects and skips out.

use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::event::{Chunk, Message};
use crate::outcome::{Reason, Skip};

use super::encode::{self, Marks, Work};
use super::enrich::look_up::{Enriched, Places};
use super::frame::{self, Framed, Parser};
use super::geo::Cache;
use super::parse::Event;
use super::plan::{Output, Plan};
use super::stamp::{Coordinates, Datetime, Stamp, Stamped, Surveyed};
use super::survey::Survey;
use super::{Context, Document, Facts, GeoOutcome, LAG_BOUNDS_MS, Prepared, Rejected};

/// What a document with its action is longer than its event, until the first chunk has told.
const ADDED_BYTES: usize = 640;

/// The memory of one worker, used again for every chunk.
#[derive(Default)]
pub struct Scratch {
    /// Whose names the rest knows.
    plan: Option<Arc<Plan>>,
    parser: Parser,
    rest: Rest,
    /// What the last chunk's body was longer than its events, a message.
    added_bytes: Option<usize>,
}

/// What a worker needs once a message is framed.
#[derive(Default)]
struct Rest {
    survey: Survey,
    cache: Cache,
    places: Places,
    work: Work,
    area: String,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl Scratch {
    /// What was learnt under another plan is worth nothing.
    fn follow(&mut self, plan: &Arc<Plan>) {
        if !self.plan.as_ref().is_some_and(|known| Arc::ptr_eq(known, plan)) {
            self.plan = Some(Arc::clone(plan));
            self.rest.survey.forget();
            self.rest.work.forget();
        }
    }
}

/// Prepares every event of a chunk.
pub fn chunk(chunk: Chunk, context: &Context, scratch: &mut Scratch) -> Prepared {
    scratch.follow(&context.plan);
    let added = scratch.added_bytes.unwrap_or(ADDED_BYTES);
    // A little more, for a buffer that has to grow is copied whole.
    let bytes = chunk.bytes.len() + chunk.messages.len() * (added + added / 8);
    let mut assembly = Assembly::new(&chunk, context, bytes);
    for (place, message) in chunk.messages.iter().enumerate() {
        assembly.message(&chunk, (place, message), scratch);
    }
    let added = assembly.body.len().saturating_sub(chunk.bytes.len());
    scratch.added_bytes = added.checked_div(chunk.messages.len());
    let Assembly { body, live, documents, rejects, skipped, areas, facts, .. } = assembly;
    Prepared { body, live, documents, rejects, skipped, areas, facts, chunk }
}

/// A chunk in the making.
struct Assembly<'c> {
    context: &'c Context,
    stamp: Stamp<'c>,
    body: Vec<u8>,
    live: Option<Vec<u8>>,
    documents: Vec<Document>,
    rejects: Vec<Rejected>,
    skipped: [u64; Skip::COUNT],
    areas: Vec<Box<str>>,
    area_places: HashMap<Box<str>, usize>,
    facts: Facts,
}

/// Where an event comes from.
struct From<'c> {
    message: &'c Message,
    place: usize,
    /// Where its message begins in the chunk's bytes.
    start: usize,
    index: u32,
}

impl<'c> Assembly<'c> {
    fn new(chunk: &Chunk, context: &'c Context, bytes: usize) -> Self {
        let plan = &context.plan;
        Self {
            stamp: Stamp::new(context, chunk),
            context,
            body: Vec::with_capacity(bytes),
            live: (!plan.same_exports).then(Vec::new),
            documents: Vec::with_capacity(chunk.messages.len()),
            rejects: Vec::new(),
            skipped: [0; Skip::COUNT],
            areas: Vec::new(),
            area_places: HashMap::new(),
            facts: Facts { geo: vec![[0; GeoOutcome::COUNT]; plan.geo.len()], ..Facts::default() },
        }
    }

    fn plan(&self) -> &'c Plan {
        &self.context.plan
    }

    fn message(
        &mut self,
        chunk: &Chunk,
        (place, message): (usize, &Message),
        scratch: &mut Scratch,
    ) {
        let Some(range) = &message.payload else { return self.skip(Skip::Tombstone) };
        let Scratch { parser, rest, .. } = scratch;
        let mut done = 0;
        let framing = AssertUnwindSafe(|| {
            frame::frame(chunk.slice(range), parser, &mut |index, framed| {
                let from = From { message, place, start: range.start, index };
                self.framed(&from, framed, rest);
                done = index + 1;
            });
        });
        if catch_unwind(framing).is_err() {
            // The framing itself failed: what it had not handed out yet is one dead letter.
            *scratch = Scratch::default();
            let from = From { message, place, start: range.start, index: done };
            self.reject(&from, Reason::Internal, "framing failed", &(0..range.len()));
        }
    }

    fn framed(&mut self, from: &From<'_>, framed: Framed<'_>, rest: &mut Rest) {
        match framed {
            Framed::Empty => self.skip(Skip::Empty),
            Framed::Reject { reason, detail, origin } => {
                self.reject(from, reason, detail, &origin);
            }
            Framed::Event(event) => {
                let lengths = (self.body.len(), self.live.as_ref().map_or(0, Vec::len));
                let one = AssertUnwindSafe(|| self.event(from, &event, rest));
                if catch_unwind(one).is_err() {
                    // Our own fault costs this event alone.
                    *rest = Rest::default();
                    self.body.truncate(lengths.0);
                    if let Some(live) = &mut self.live {
                        live.truncate(lengths.1);
                    }
                    self.reject(from, Reason::Internal, "preparation failed", &event.origin);
                }
            }
        }
    }

    fn skip(&mut self, skip: Skip) {
        if let Some(count) = self.skipped.get_mut(skip.index()) {
            *count += 1;
        }
    }

    fn reject(
        &mut self,
        from: &From<'_>,
        reason: Reason,
        detail: &'static str,
        origin: &Range<usize>,
    ) {
        self.rejects.push(Rejected {
            reason,
            detail,
            origin: from.start + origin.start..from.start + origin.end,
            message: from.place,
            index_in_message: from.index,
        });
    }

    /// One event through all stages.
    fn event(&mut self, from: &From<'_>, event: &Event<'_>, rest: &mut Rest) {
        let plan = self.plan();
        let Rest { survey, cache, places, work, area } = rest;
        #[cfg(test)]
        tests::fail_where_asked(event);
        survey.take(&event.object, plan);
        let surveyed = Surveyed { object: event.object, survey, repaired: event.repaired };
        let at = Coordinates { message: from.message, index_in_message: from.index };
        let stamped = match self.stamp.event(surveyed, at) {
            Ok(stamped) => stamped,
            Err(skip) => return self.skip(skip),
        };
        places.take(&surveyed, plan, &self.context.databases, cache);
        let enriched = Enriched { stamped, places };

        let action = self.body.len();
        encode::action(&mut self.body, &self.stamp, &enriched);
        let start = self.body.len();
        let out = (enriched, Output::Index);
        let marks = encode::document(&mut self.body, out, plan, &self.stamp, work);
        let source = start..self.body.len();
        self.body.push(b'\n');
        let live = match &mut self.live {
            None => source.clone(),
            Some(live) => {
                let start = live.len();
                encode::document(live, (enriched, Output::Live), plan, &self.stamp, work);
                live.push(b'\n');
                start..live.len() - 1
            }
        };
        self.stamp.write_area(area, surveyed);
        let area = self.area(area);
        let facts = (&stamped, &enriched, &marks);
        self.count(facts);
        self.documents.push(Document {
            action,
            source,
            live,
            origin: from.start + event.origin.start..from.start + event.origin.end,
            message: from.place,
            index_in_message: from.index,
            area,
        });
    }

    /// The place of an area among the chunk's.
    fn area(&mut self, name: &str) -> usize {
        if let Some(&place) = self.area_places.get(name) {
            return place;
        }
        let place = self.areas.len();
        self.areas.push(name.into());
        self.area_places.insert(name.into(), place);
        place
    }

    fn count(&mut self, (stamped, enriched, marks): (&Stamped<'_>, &Enriched<'_>, &Marks)) {
        for (counts, found) in self.facts.geo.iter_mut().zip(&enriched.places.found) {
            if let Some(count) = counts.get_mut(found.outcome.index()) {
                *count += 1;
            }
        }
        for (sum, mark) in self.facts.mended.iter_mut().zip(marks) {
            *sum += mark;
        }
        if let Datetime::Read(moment) = stamped.datetime {
            let lag = self.stamp.now - moment.millis;
            let bucket = LAG_BOUNDS_MS.partition_point(|bound| *bound < lag);
            if let Some(count) = self.facts.lag.get_mut(bucket) {
                *count += 1;
            }
            self.facts.lag_sum_ms = self.facts.lag_sum_ms.saturating_add(lag);
        }
    }
}

#[cfg(test)]
mod tests;
