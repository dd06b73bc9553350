//! What listeners ask for, so that an event is made ready once for all who ask for the same.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};

use crate::outcome::labels;

use super::dictionary::Dictionary;
use super::ecls;
use super::frames::{CursorText, Frames, Framing, Message, Opcode, Transport};
use super::lines::Lines;
use super::locked;
use super::place::Place;
use super::project::Projection;
use super::ring::Block;
use super::select::{Passes, Selection, is_sampled};

/// What stands around an event, about: header, cursor, envelope.
const ENVELOPE_BYTES: usize = 96;
/// Buffers that have held more are not kept.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

labels! {
    /// What an event looks like.
    Format {
        /// As it was prepared, with a cursor.
        Native => "native",
        /// Mashery's 41 fields.
        Ecls => "ecls",
    }
}

/// What a message looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub transport: Transport,
    pub format: Format,
    /// As many events a message as a record holds.
    pub batch: bool,
    /// With the shared dictionary.
    pub zstd: bool,
    pub fields: Option<Projection>,
}

/// Everything that is needed to make it; shared by all who ask for the same.
#[derive(Debug)]
pub struct Shape {
    id: u64,
    pub asked: Asked,
    dictionary: Arc<Dictionary>,
    idle: Mutex<Vec<Scratch>>,
}

/// Which events go out.
#[derive(Debug)]
pub struct Choice {
    pub filter: Option<Selection>,
    /// About one of so many that pass.
    pub one_in: u32,
}

/// What becomes of the events of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    pub filtered: u64,
    pub sampled_out: u64,
}

/// The shapes in use; clones share them.
#[derive(Debug, Clone)]
pub struct Shapes {
    dictionary: Arc<Dictionary>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    used: HashMap<Key, Weak<Shape>>,
}

/// What tells a request from another.
type Key = (Transport, Format, bool, bool, Option<Vec<Box<str>>>);

/// What frames of a record are kept under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramesKey {
    shape: u64,
    /// Where a message holds several events, which ones depends on the choice.
    choice: Option<(u64, u32)>,
}

/// Buffers that are used again.
#[derive(Debug, Default)]
struct Scratch {
    editor: Editor,
    together: Vec<u8>,
    packer: Packer,
}

/// Makes of an event what was asked for.
#[derive(Debug, Default)]
struct Editor {
    lines: Lines,
    /// Of what a field list has left.
    left: Lines,
    projected: Vec<u8>,
    event: Vec<u8>,
}

/// Makes of a message what goes over the wire.
#[derive(Debug, Default)]
struct Packer {
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl Shapes {
    #[must_use]
    pub fn new(dictionary: Arc<Dictionary>) -> Self {
        Self { dictionary, state: Arc::default() }
    }

    #[must_use]
    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// The shape that all who ask for the same share.
    #[must_use]
    pub fn of(&self, asked: Asked) -> Arc<Shape> {
        let mut state = locked(&self.state);
        let names = asked.fields.as_ref().map(|fields| fields.names().map(Box::from).collect());
        let key = (asked.transport, asked.format, asked.batch, asked.zstd, names);
        if let Some(known) = state.used.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        state.used.retain(|_, shape| shape.strong_count() > 0);
        let id = state.next;
        state.next += 1;
        let dictionary = Arc::clone(&self.dictionary);
        let shape = Arc::new(Shape { id, asked, dictionary, idle: Mutex::default() });
        state.used.insert(key, Arc::downgrade(&shape));
        shape
    }
}

impl Choice {
    /// All of it.
    #[must_use]
    pub const fn all() -> Self {
        Self { filter: None, one_in: 1 }
    }

    fn is_all(&self) -> bool {
        self.filter.is_none() && self.one_in <= 1
    }

    fn passes(&self, block: &Block, is_shared: bool) -> Option<Arc<Passes>> {
        self.filter.as_ref().map(|filter| filter.passes(block, is_shared))
    }

    fn takes(&self, block: &Block, passes: Option<&Passes>, index: u32) -> bool {
        passes.is_none_or(|passes| passes.get(index))
            && is_sampled(block.offset, index, self.one_in)
    }

    /// Counts what becomes of the events from a place on.
    fn share(&self, block: &Block, passes: Option<&Passes>, from: u32) -> Share {
        let mut share = Share::default();
        if self.is_all() {
            return share;
        }
        let len = u32::try_from(block.len()).unwrap_or(u32::MAX);
        for index in from..len {
            if !passes.is_none_or(|passes| passes.get(index)) {
                share.filtered += 1;
            } else if !is_sampled(block.offset, index, self.one_in) {
                share.sampled_out += 1;
            }
        }
        share
    }
}

/// The messages of a record for one listener.
#[derive(Debug)]
pub struct Ready {
    pub frames: Arc<Frames>,
    /// Runs of messages in it that go out.
    pub runs: Vec<Range<usize>>,
    pub share: Share,
}

impl Shape {
    /// Makes the events of a record ready from a place on, or takes what was made for others; of
    /// those from `uncounted` on it is counted what becomes of them. `seal` makes the cursor of the
    /// event that follows a place; the same for all who look at a record that `is_shared`.
    pub fn ready(
        &self,
        (block, from, uncounted): (&Block, u32, u32),
        choice: &Choice,
        is_shared: bool,
        seal: impl Fn(Place) -> CursorText,
    ) -> Ready {
        let passes = choice.passes(block, is_shared);
        let passes = passes.as_deref();
        let share = choice.share(block, passes, uncounted);
        if !is_shared || (self.asked.batch && from > 0) {
            // Few resume in the middle of a record.
            let frames =
                Arc::new(self.make(block, from, &seal, |index| choice.takes(block, passes, index)));
            let runs = whole(0..frames.len());
            return Ready { frames, runs, share };
        }
        let of_choice = (self.asked.batch && !choice.is_all())
            .then(|| (choice.filter.as_ref().map_or(u64::MAX, Selection::id), choice.one_in));
        let key = FramesKey { shape: self.id, choice: of_choice };
        let frames = block.frames(key, || {
            self.make(block, 0, &seal, |index| {
                of_choice.is_none() || choice.takes(block, passes, index)
            })
        });
        let first = frames.first_from(from);
        let runs = if self.asked.batch || choice.is_all() {
            whole(first..frames.len())
        } else {
            runs(first..frames.len(), |frame| {
                choice.takes(block, passes, frames.next(frame).saturating_sub(1))
            })
        };
        Ready { frames, runs, share }
    }

    fn make(
        &self,
        block: &Block,
        from: u32,
        seal: impl Fn(Place) -> CursorText,
        takes: impl Fn(u32) -> bool,
    ) -> Frames {
        let mut scratch = locked(&self.idle).pop().unwrap_or_default();
        let Scratch { editor, together, packer } = &mut scratch;
        together.clear();
        let mut events = 0;
        let messages = if self.asked.batch { 1 } else { block.len() };
        let mut framing =
            Framing::with_capacity(block.len_bytes() + messages * ENVELOPE_BYTES, messages);
        let skipped = usize::try_from(from).unwrap_or(usize::MAX);
        for (index, line) in (from..).zip(block.lines().skip(skipped)) {
            if !takes(index) {
                continue;
            }
            let Some(event) = editor.edit(&self.asked, line) else { continue };
            if self.asked.batch {
                if !together.is_empty() {
                    together.push(b',');
                }
                together.extend_from_slice(event);
                events += 1;
            } else {
                let cursor = seal(Place { offset: block.offset, index: index + 1 });
                self.put(&mut framing, (event, &cursor), (index + 1, 1), packer);
            }
        }
        if !together.is_empty() {
            let len = u32::try_from(block.len()).unwrap_or(u32::MAX);
            let cursor = seal(Place { offset: block.offset, index: len });
            self.put(&mut framing, (together, &cursor), (len, events), packer);
        }
        let frames = framing.done();
        // Large buffers are given back.
        if frames.len_bytes() <= KEPT_BYTES_MAX {
            locked(&self.idle).push(scratch);
        }
        frames
    }

    fn put(
        &self,
        framing: &mut Framing,
        (data, cursor): (&[u8], &CursorText),
        (next, events): (u32, u64),
        packer: &mut Packer,
    ) {
        let Asked { transport, format, zstd, .. } = self.asked;
        let native: [&[u8]; 5] =
            [br#"{"cursor":""#, cursor.as_bytes(), br#"","data":["#, data, b"]}"];
        let ecls: [&[u8]; 3] = [ecls::ENVELOPE_OPEN, data, ecls::ENVELOPE_CLOSE];
        let parts: &[&[u8]] = match format {
            Format::Native => &native,
            Format::Ecls => &ecls,
        };
        let id = Some(cursor);
        // Mashery's are binary.
        let opcode = match format {
            Format::Native => Opcode::Text,
            Format::Ecls => Opcode::Binary,
        };
        match zstd.then(|| packer.pack(&self.dictionary, parts)).flatten() {
            Some(packed) => {
                let opcode = Opcode::Binary;
                framing.put(&Message { transport, opcode, parts: &[packed], id }, next, events);
            }
            None => framing.put(&Message { transport, opcode, parts, id }, next, events),
        }
    }
}

impl Editor {
    /// `None` where the line is no event: it was not written by a pipeline.
    fn edit<'a>(&'a mut self, asked: &Asked, line: &'a [u8]) -> Option<&'a [u8]> {
        let Self { lines, left, projected, event } = self;
        let line = match &asked.fields {
            Some(fields) => {
                projected.clear();
                lines.read(line, |event| fields.write(event, projected)).ok()?;
                &*projected
            }
            None => line,
        };
        match asked.format {
            Format::Native => Some(line),
            Format::Ecls => {
                event.clear();
                left.read(line, |parsed| ecls::write(parsed, event)).ok()?;
                Some(event)
            }
        }
    }
}

impl Packer {
    fn pack(&mut self, dictionary: &Dictionary, parts: &[&[u8]]) -> Option<&[u8]> {
        self.plain.clear();
        parts.iter().for_each(|part| self.plain.extend_from_slice(part));
        dictionary.pack(&self.plain, &mut self.packed).then_some(&self.packed)
    }
}

/// All of these messages as one run.
fn whole(frames: Range<usize>) -> Vec<Range<usize>> {
    Some(frames).filter(|run| !run.is_empty()).into_iter().collect()
}

/// The runs of messages that are taken.
fn runs(frames: Range<usize>, takes: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for frame in frames.filter(|frame| takes(*frame)) {
        match runs.last_mut() {
            Some(run) if run.end == frame => run.end = frame + 1,
            _ => runs.push(frame..frame + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests;
