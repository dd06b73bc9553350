//! Reading a database whole before it serves.

use std::fmt;

use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::prepare::geo::place::{self, Schema};
use crate::prepare::geo::{Bytes, Unusable};

/// How many records are looked at to learn whether a file names places.
const SAMPLE_RECORDS_MAX: usize = 10_000;

/// Finds damage in the tree or in any record.
///
/// `Reader::verify` refuses a database that does not describe itself, as the flat ones of DB-IP do
/// not. Those are sound none the less, and are read here record by record.
pub(super) fn every_record(reader: &Reader<Bytes>) -> Result<(), MaxMindDbError> {
    let metadata = reader.metadata();
    if !metadata.description.is_empty() && !metadata.database_type.is_empty() {
        return reader.verify();
    }
    // A valid tree of n nodes has at most n + 1 leaves; aliases and gaps add to that.
    let networks_max = (metadata.node_count as usize).saturating_mul(3);
    let mut seen = Seen(Vec::new());
    let every = WithinOptions::default().include_networks_without_data();
    for (count, result) in reader.networks(every)?.enumerate() {
        let result = result?;
        if count > networks_max {
            return Err(MaxMindDbError::InvalidDatabase {
                message: "its search tree goes in circles".to_owned(),
                offset: None,
            });
        }
        if result.offset().is_some_and(|offset| seen.is_new(offset)) {
            result.decode::<Sound>()?;
        }
    }
    Ok(())
}

/// How its records are laid out: as the metadata says, unless the records say otherwise.
pub(super) fn schema(reader: &Reader<Bytes>) -> Result<Schema, Unusable> {
    let stated = Schema::stated(reader.metadata());
    for schema in [stated, stated.other()] {
        if names_places(reader, schema)? {
            return Ok(schema);
        }
    }
    Err(Unusable::NoPlaces(reader.metadata().database_type.clone()))
}

fn names_places(reader: &Reader<Bytes>, schema: Schema) -> Result<bool, Unusable> {
    let networks = reader.networks(WithinOptions::default()).map_err(Unusable::Damaged)?;
    for result in networks.take(SAMPLE_RECORDS_MAX) {
        let result: LookupResult<'_, Bytes> = result.map_err(Unusable::Damaged)?;
        if place::decode(schema, &result).is_ok_and(|place| !place.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which records were read: one bit for each byte of the file, since a city database has a million
/// records and their offsets are dense.
struct Seen(Vec<u64>);

impl Seen {
    fn is_new(&mut self, offset: usize) -> bool {
        let (word, bit) = (offset / 64, 1_u64 << (offset % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let Some(word) = self.0.get_mut(word) else { return true };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// Any value that decodes to its last leaf.
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SoundVisitor)
    }
}

struct SoundVisitor;

impl<'de> Visitor<'de> for SoundVisitor {
    type Value = Sound;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_str<E>(self, _: &str) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sound, A::Error> {
        while map.next_entry::<Sound, Sound>()?.is_some() {}
        Ok(Sound)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Sound, A::Error> {
        while sequence.next_element::<Sound>()?.is_some() {}
        Ok(Sound)
    }
}
