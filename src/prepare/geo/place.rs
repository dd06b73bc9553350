//! What a database's record says about a place, out of either schema.
//!
//! MaxMind's City schema nests (`country.iso_code`, `city.names.en`); DB-IP's and IPinfo's is flat
//! (`country_code`, `city`), and its names differ from one vendor to the next.

use std::fmt;

use maxminddb::{LookupResult, MaxMindDbError, Metadata};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::prepare::geo::countries::{self, Country};
use crate::schema::GEO_KEYS;

/// A longer text is no name or code of a place and is left out.
const TEXT_BYTES_MAX: usize = 512;

// Places in `GEO_KEYS`.
const COUNTRY_CODE2: usize = 1;
const COUNTRY_CODE3: usize = 2;
const COUNTRY_NAME: usize = 3;
const CONTINENT_CODE: usize = 4;
const REGION_NAME: usize = 5;
const CITY_NAME: usize = 6;
const POSTAL_CODE: usize = 7;
const LATITUDE: usize = 8;
const LONGITUDE: usize = 9;
const DMA_CODE: usize = 10;
const TIMEZONE: usize = 12;
const REAL_REGION_NAME: usize = 13;
const LOCATION: usize = 14;

/// One value of a geo object.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Value<'a> {
    #[default]
    None,
    Text(&'a str),
    /// A number that stands where a text belongs.
    Digits(u64),
    Integer(u64),
    Degrees(f64),
    Point {
        longitude: f64,
        latitude: f64,
    },
}

/// The values of a geo object, by the places of [`GEO_KEYS`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Place<'a> {
    pub(super) values: [Value<'a>; GEO_KEYS.len()],
}

impl<'a> Place<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().all(|value| matches!(value, Value::None))
    }

    fn set(&mut self, key: usize, value: Value<'a>) {
        if let Some(slot) = self.values.get_mut(key) {
            *slot = value;
        }
    }

    fn fill(&mut self, key: usize, value: Value<'a>) {
        if let Some(slot @ Value::None) = self.values.get_mut(key) {
            *slot = value;
        }
    }

    /// What follows from the country and the coordinates.
    fn complete(mut self, country: Option<&'static Country>) -> Self {
        if let Some(country) = country {
            self.set(COUNTRY_CODE3, Value::Text(country.code3));
            // A flat record has no more than the country's code: its name and its continent follow
            // from that, as the other code does.
            self.fill(COUNTRY_NAME, Value::Text(country.name));
            self.fill(CONTINENT_CODE, Value::Text(country.continent));
        }
        let at = |key: usize| self.values.get(key).copied().unwrap_or_default();
        if let (Value::Degrees(latitude), Value::Degrees(longitude)) = (at(LATITUDE), at(LONGITUDE))
        {
            self.set(LOCATION, Value::Point { longitude, latitude });
        }
        self
    }
}

/// How the records of a file are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schema {
    Nested,
    Flat,
}

impl Schema {
    /// What the metadata says. DB-IP's own files are nested (`DBIP-City-Lite`), those that others
    /// make of its data are flat (`city ipv4`).
    pub(super) fn stated(metadata: &Metadata) -> Self {
        let nested = ["geoip", "geolite", "dbip"];
        let kind = metadata.database_type.to_ascii_lowercase();
        if nested.iter().any(|maker| kind.contains(maker)) { Self::Nested } else { Self::Flat }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Nested => Self::Flat,
            Self::Flat => Self::Nested,
        }
    }
}

/// Reads the record that a look-up found; empty where it found none.
pub(super) fn decode<'a, S: AsRef<[u8]>>(
    schema: Schema,
    result: &LookupResult<'a, S>,
) -> Result<Place<'a>, MaxMindDbError> {
    Ok(match schema {
        Schema::Nested => result.decode::<Nested<'a>>()?.map(Nested::place),
        Schema::Flat => result.decode::<Flat<'a>>()?.map(|flat| flat.0),
    }
    .unwrap_or_default())
}

/// A leaf of a record, whatever its type.
#[derive(Debug, Clone, Copy, Default)]
enum Scalar<'a> {
    #[default]
    None,
    Text(&'a str),
    Integer(u64),
    Real(f64),
}

impl<'a> Scalar<'a> {
    fn text(self) -> Value<'a> {
        match self {
            Self::Text(text) if (1..=TEXT_BYTES_MAX).contains(&text.len()) => Value::Text(text),
            Self::Integer(number) => Value::Digits(number),
            _ => Value::None,
        }
    }

    fn integer(self) -> Value<'a> {
        let number = match self {
            Self::Integer(number) => Some(number),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        };
        // Zero is how some makers write that there is none.
        let in_range = |number: &u64| (1..=i32::MAX.unsigned_abs().into()).contains(number);
        number.filter(in_range).map_or(Value::None, Value::Integer)
    }

    /// A coordinate of at most `limit` degrees: the index refuses a document whose geo point lies
    /// beyond.
    fn degrees(self, limit: f64) -> Value<'a> {
        let degrees = match self {
            Self::Real(degrees) => Some(degrees),
            #[expect(clippy::cast_precision_loss, reason = "beyond 180 it is refused anyhow")]
            Self::Integer(degrees) => Some(degrees as f64),
            Self::Text(text) => text.parse().ok(),
            Self::None => None,
        };
        let in_range = |degrees: &f64| degrees.abs() <= limit;
        degrees.filter(in_range).map_or(Value::None, Value::Degrees)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(text))
    }

    fn visit_borrowed_bytes<E>(self, _: &'de [u8]) -> Result<Scalar<'de>, E> {
        Ok(Scalar::None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::None)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "the file's integers of a sign have 32 bits"
        )]
        Ok(u64::try_from(number).map_or(Scalar::Real(number as f64), Scalar::Integer))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Integer(number))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Scalar<'de>, E> {
        Ok(Scalar::None)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Real(number))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Scalar<'de>, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }
}

/// MaxMind's City schema, as far as a geo object needs it.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Nested<'a> {
    #[serde(borrow)]
    city: Named<'a>,
    #[serde(borrow)]
    continent: Named<'a>,
    #[serde(borrow)]
    country: Named<'a>,
    #[serde(borrow)]
    location: Location<'a>,
    #[serde(borrow)]
    postal: Named<'a>,
    #[serde(borrow)]
    subdivisions: Last<'a>,
}

/// A city, country, continent, subdivision or postal code.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    code: Scalar<'a>,
    #[serde(borrow)]
    iso_code: Scalar<'a>,
    #[serde(borrow)]
    names: Names<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Names<'a> {
    #[serde(borrow)]
    en: Scalar<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Location<'a> {
    #[serde(borrow)]
    latitude: Scalar<'a>,
    #[serde(borrow)]
    longitude: Scalar<'a>,
    #[serde(borrow)]
    metro_code: Scalar<'a>,
    #[serde(borrow)]
    time_zone: Scalar<'a>,
}

/// The last element of an array: subdivisions go from the largest to the most specific.
#[derive(Default)]
struct Last<'a>(Named<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Last<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LastVisitor;

        impl<'de> Visitor<'de> for LastVisitor {
            type Value = Last<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of subdivisions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Last<'de>, A::Error> {
                let mut last = Last::default();
                while let Some(element) = sequence.next_element()? {
                    last = Last(element);
                }
                Ok(last)
            }
        }

        deserializer.deserialize_seq(LastVisitor)
    }
}

impl<'a> Nested<'a> {
    fn place(self) -> Place<'a> {
        let mut place = Place::default();
        place.set(COUNTRY_CODE2, self.country.iso_code.text());
        place.set(COUNTRY_NAME, self.country.names.en.text());
        place.set(CONTINENT_CODE, self.continent.code.text());
        place.set(REGION_NAME, self.subdivisions.0.iso_code.text());
        place.set(CITY_NAME, self.city.names.en.text());
        place.set(POSTAL_CODE, self.postal.code.text());
        place.set(LATITUDE, self.location.latitude.degrees(90.0));
        place.set(LONGITUDE, self.location.longitude.degrees(180.0));
        place.set(DMA_CODE, self.location.metro_code.integer());
        place.set(TIMEZONE, self.location.time_zone.text());
        place.set(REAL_REGION_NAME, self.subdivisions.0.names.en.text());
        let country = match self.country.iso_code {
            Scalar::Text(code) => countries::by_code2(code),
            _ => None,
        };
        place.complete(country)
    }
}

/// A flat record. Of two names for one thing the first that has a value wins.
struct Flat<'a>(Place<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Flat<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FlatVisitor)
    }
}

struct FlatVisitor;

impl<'de> Visitor<'de> for FlatVisitor {
    type Value = Flat<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flat record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flat<'de>, A::Error> {
        let mut place = Place::default();
        while let Some((name, value)) = map.next_entry::<&'de str, Scalar<'de>>()? {
            match name {
                "country_code" | "country_iso_code" => place.fill(COUNTRY_CODE2, value.text()),
                "country_name" => place.fill(COUNTRY_NAME, value.text()),
                // IPinfo: the code in one product, the name in another.
                "country" if is_code(value) => place.fill(COUNTRY_CODE2, value.text()),
                "country" => place.fill(COUNTRY_NAME, value.text()),
                "continent_code" => place.fill(CONTINENT_CODE, value.text()),
                "continent" if is_code(value) => place.fill(CONTINENT_CODE, value.text()),
                "region_code" | "state_code" => place.fill(REGION_NAME, value.text()),
                "state1" | "region" | "region_name" | "state" => {
                    place.fill(REAL_REGION_NAME, value.text());
                }
                "city" | "city_name" => place.fill(CITY_NAME, value.text()),
                "postcode" | "postal_code" | "postal" | "zip_code" | "zip" => {
                    place.fill(POSTAL_CODE, value.text());
                }
                "latitude" | "lat" => place.fill(LATITUDE, value.degrees(90.0)),
                "longitude" | "lng" | "lon" => place.fill(LONGITUDE, value.degrees(180.0)),
                "metro_code" | "dma_code" => place.fill(DMA_CODE, value.integer()),
                "timezone" | "time_zone" => place.fill(TIMEZONE, value.text()),
                _ => {}
            }
        }
        let country = match place.values.get(COUNTRY_CODE2) {
            Some(Value::Text(code)) => countries::by_code2(code),
            _ => None,
        };
        Ok(Flat(place.complete(country)))
    }
}

fn is_code(value: Scalar<'_>) -> bool {
    matches!(value, Scalar::Text(text) if text.len() == 2)
}
