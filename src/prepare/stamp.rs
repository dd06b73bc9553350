//! What Sluice itself says of an event: when, under which id, into which index, of which area.
//!
//! Id and index name are functions of Kafka's coordinates and record time, never of the clock: so
//! doing an event twice makes one document. Only whether a time is sane is asked of the clock.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::clock::Millis;
use crate::config::pipeline::{LogPolicy, Period};
use crate::event::{Chunk, Message};
use crate::outcome::Skip;
use crate::schema;

use super::Context;
use super::parse::Parsed;
use super::plan::{Place, Plan};
use super::survey::Survey;
use super::time::{self, Moment};

/// 24 bytes as base64url.
const ID_CHARS: usize = 32;
/// A gateway's own id may be so long; the index takes 512 bytes.
const OWN_ID_BYTES_MAX: usize = 128;

/// An event whose members are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surveyed<'a> {
    pub(crate) object: Parsed<'a>,
    pub(crate) survey: &'a Survey,
    pub(crate) repaired: bool,
}

/// An event with everything that Sluice says of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamped<'a> {
    pub(crate) event: Surveyed<'a>,
    pub(crate) id: Id<'a>,
    pub(crate) datetime: Datetime,
    /// The day that names the index; `None`: undated.
    pub(crate) day: Option<i64>,
    /// What may be stored of it.
    pub(crate) policy: LogPolicy,
    /// Its own policy is none that we know.
    pub(crate) policy_unknown: bool,
}

/// The document's `_id`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Id<'a> {
    Coordinates([u8; ID_CHARS]),
    Own(&'a [u8]),
}

/// What an event says of its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Datetime {
    Read(Moment),
    Unreadable,
    Missing,
}

/// What all events of a chunk have in common.
#[derive(Debug)]
pub(crate) struct Stamp<'c> {
    plan: &'c Plan,
    pub(crate) now: Millis,
    /// `@timestamp`, as it is written.
    pub(crate) timestamp: Vec<u8>,
    topic_hash: [u8; 5],
    partition: u32,
}

/// Where an event stands in its chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coordinates<'c> {
    pub(crate) message: &'c Message,
    pub(crate) index_in_message: u32,
}

impl<'c> Stamp<'c> {
    pub(crate) fn new(context: &'c Context, chunk: &Chunk) -> Self {
        let mut timestamp = Vec::new();
        time::write_millis(&mut timestamp, context.now);
        let mut hash = Sha256::new();
        hash.update(context.cluster_id.as_bytes());
        // Neither a cluster id nor a topic's name holds a zero byte.
        hash.update([0]);
        hash.update(chunk.hold.topic.as_bytes());
        let hash = hash.finalize();
        let mut topic_hash = [0; 5];
        topic_hash.iter_mut().zip(hash).for_each(|(to, byte)| *to = byte);
        let partition = u32::try_from(chunk.hold.partition).unwrap_or(u32::MAX);
        Self { plan: &context.plan, now: context.now, timestamp, topic_hash, partition }
    }

    /// # Errors
    /// The event is to be skipped.
    pub(crate) fn event<'a>(
        &self,
        event: Surveyed<'a>,
        at: Coordinates<'_>,
    ) -> Result<Stamped<'a>, Skip> {
        let own = own_policy(&event);
        let policy_unknown = own == OwnPolicy::Unknown;
        let policy = match own {
            OwnPolicy::Missing => self.plan.policy_max,
            OwnPolicy::Known(own) => own.min(self.plan.policy_max),
            // It may have meant less than it carries; without any policy the event would be lost.
            OwnPolicy::Unknown => LogPolicy::Activity.min(self.plan.policy_max),
        };
        if policy == LogPolicy::None {
            return Err(Skip::PolicyNone);
        }
        let datetime = datetime(&event);
        let day = self.day(at.message.timestamp, datetime);
        if let (Some(day), Some(days)) = (day, self.plan.naming.expire_after_days)
            && day < time::day_of(self.now) - i64::from(days)
        {
            return Err(Skip::Expired);
        }
        Ok(Stamped { event, id: self.id(event, at), datetime, day, policy, policy_unknown })
    }

    fn day(&self, recorded: Option<Millis>, datetime: Datetime) -> Option<i64> {
        let own = match datetime {
            Datetime::Read(moment) => Some(moment.millis),
            Datetime::Unreadable | Datetime::Missing => None,
        };
        let sane = |time: &Millis| time::is_sane(*time, self.now);
        recorded.filter(sane).or(own.filter(sane)).map(time::day_of)
    }

    fn id<'a>(&self, event: Surveyed<'a>, at: Coordinates<'_>) -> Id<'a> {
        let own = self.plan.id_from.as_ref().and_then(|place| event.text(place));
        if let Some(own) = own
            && (1..=OWN_ID_BYTES_MAX).contains(&own.len())
        {
            return Id::Own(own);
        }
        let timestamp = u64::try_from(at.message.timestamp.unwrap_or(0)).unwrap_or(0);
        let offset = u64::try_from(at.message.offset).unwrap_or(0);
        let mut bytes = [0; ID_CHARS / 4 * 3];
        let parts = low_bytes::<6>(timestamp)
            .into_iter()
            .chain(self.topic_hash)
            .chain(low_bytes::<3>(self.partition.into()))
            .chain(low_bytes::<6>(offset))
            .chain(at.index_in_message.to_be_bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, byte)| *to = byte);
        let mut id = [b'-'; ID_CHARS];
        URL_SAFE_NO_PAD.encode_slice(bytes, &mut id).unwrap_or_default();
        Id::Coordinates(id)
    }

    /// The name of the index of a day, or of no day.
    pub(crate) fn write_index(&self, out: &mut Vec<u8>, day: Option<i64>) {
        let naming = &self.plan.naming;
        out.extend_from_slice(naming.prefix.as_bytes());
        out.push(b'-');
        match (day, naming.period) {
            (None, _) => out.extend_from_slice(b"undated"),
            (Some(day), Period::Day) => time::write_day(out, day),
            (Some(day), Period::Week) => time::write_day(out, time::monday_of(day)),
            (Some(day), Period::Month) => time::write_day(out, time::first_of_month(day)),
        }
    }

    /// The area of an event: the first of the pipeline's fields that has a value, under its
    /// prefix, or `unassigned`.
    pub(crate) fn write_area(&self, out: &mut String, event: Surveyed<'_>) {
        out.clear();
        for (place, prefix) in &self.plan.areas {
            let value = event.text(place).and_then(|text| str::from_utf8(text).ok());
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                out.push_str(prefix);
                out.push(':');
                out.push_str(value);
                return;
            }
        }
        out.push_str("unassigned");
    }
}

impl<'a> Surveyed<'a> {
    /// The node at a place.
    pub(crate) fn find(&self, place: &Place) -> Option<usize> {
        let mut at = self.survey.value(place.slot)?;
        for name in &place.below {
            let named = |(key, _): &(usize, usize)| self.object.string(*key) == Some(name);
            at = self.object.members(at).filter(named).last()?.1;
        }
        Some(at)
    }

    /// The text of a string or a number.
    pub(crate) fn text(&self, place: &Place) -> Option<&'a [u8]> {
        let at = self.find(place)?;
        self.object.string(at).map(str::as_bytes).or_else(|| self.object.number(at))
    }
}

/// What an event says of its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnPolicy {
    Known(LogPolicy),
    Unknown,
    Missing,
}

fn own_policy(event: &Surveyed<'_>) -> OwnPolicy {
    let Some(at) = event.survey.value(schema::LOG_POLICY.index()) else {
        return OwnPolicy::Missing;
    };
    let text = event.object.string(at);
    if event.object.is_null(at) || text.is_some_and(|text| text.trim().is_empty()) {
        return OwnPolicy::Missing;
    }
    text.and_then(policy_of).map_or(OwnPolicy::Unknown, OwnPolicy::Known)
}

fn policy_of(text: &str) -> Option<LogPolicy> {
    let text = text.trim();
    let named = |names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    match () {
        () if named(&["none"]) => Some(LogPolicy::None),
        () if named(&["activity", "event"]) => Some(LogPolicy::Activity),
        () if named(&["header", "headers"]) => Some(LogPolicy::Header),
        () if named(&["payload"]) => Some(LogPolicy::Payload),
        () => None,
    }
}

fn datetime(event: &Surveyed<'_>) -> Datetime {
    let Some(at) = event.survey.value(schema::DATETIME.index()) else {
        return Datetime::Missing;
    };
    let moment = match event.object.string(at) {
        Some("") => return Datetime::Missing,
        Some(text) => Moment::of_text(text),
        None if event.object.is_null(at) => return Datetime::Missing,
        None => event
            .object
            .number(at)
            .and_then(|digits| str::from_utf8(digits).ok())
            .and_then(Moment::of_epoch),
    };
    moment.map_or(Datetime::Unreadable, Datetime::Read)
}

/// The last `N` bytes of a number, the highest first.
fn low_bytes<const N: usize>(number: u64) -> [u8; N] {
    let mut low = [0; N];
    let bytes = number.to_be_bytes();
    low.iter_mut().rev().zip(bytes.into_iter().rev()).for_each(|(to, byte)| *to = byte);
    low
}
