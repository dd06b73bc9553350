//! Small databases made from a CSV file, for the demo and the tests.
//!
//! `geoip/demo.csv` places cities of many countries in the ranges that are set aside for
//! documentation and benchmarks, which no real network owns, and the two addresses of the sample
//! records where those records place them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, bail};
use mmdb_writer::ipnet::IpNet;
use mmdb_writer::{IpVersion, Value, Writer};

/// The demo's networks and places.
pub const DEMO_CSV: &str = include_str!("../../geoip/demo.csv");

/// The build time that the databases state, in seconds since the Unix epoch: a fixed one, so that
/// the same CSV gives the same bytes.
const BUILT: u64 = 1_700_000_000;

const COLUMNS: [&str; 12] = [
    "network",
    "country_code",
    "country",
    "continent",
    "region_code",
    "region",
    "city",
    "postal_code",
    "latitude",
    "longitude",
    "metro_code",
    "timezone",
];

/// One row: a network and the place that it is at. An empty text is no value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    pub first: IpAddr,
    pub last: IpAddr,
    pub country_code: &'a str,
    pub country: &'a str,
    pub continent: &'a str,
    pub region_code: &'a str,
    pub region: &'a str,
    pub city: &'a str,
    pub postal_code: &'a str,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub metro_code: Option<u16>,
    pub timezone: &'a str,
}

/// The rows of a CSV file: a line of `COLUMNS`, then a line a network; no quotes.
pub fn rows(csv: &str) -> anyhow::Result<Vec<Row<'_>>> {
    let mut lines = csv.lines();
    if lines.next() != Some(COLUMNS.join(",").as_str()) {
        bail!("the first line must be: {}", COLUMNS.join(","));
    }
    let numbered = lines.zip(2..).filter(|(line, _)| !line.trim().is_empty());
    numbered.map(|(line, number)| row(line).with_context(|| format!("line {number}"))).collect()
}

/// Addresses of the demo's networks, a few of each, every network before the next round of them.
#[must_use]
pub fn addresses() -> Vec<String> {
    const OF_EACH: u8 = 8;
    let rows = rows(DEMO_CSV).unwrap_or_default();
    let round = |host: u8| rows.iter().filter_map(move |row| address(row, host));
    (1..=OF_EACH).flat_map(round).map(|address| address.to_string()).collect()
}

/// The address so many after a network's first; a single address stands for itself, once.
fn address(row: &Row<'_>, host: u8) -> Option<IpAddr> {
    let address = match row.first {
        IpAddr::V4(first) if row.first != row.last => {
            IpAddr::from((u32::from(first) + u32::from(host)).to_be_bytes())
        }
        IpAddr::V6(first) if row.first != row.last => {
            IpAddr::from((u128::from(first) + u128::from(host)).to_be_bytes())
        }
        single => (host == 1).then_some(single)?,
    };
    (address <= row.last).then_some(address)
}

fn row(line: &str) -> anyhow::Result<Row<'_>> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let Ok(
        [
            network,
            country_code,
            country,
            continent,
            region_code,
            region,
            city,
            postal_code,
            latitude,
            longitude,
            metro_code,
            timezone,
        ],
    ) = <[&str; COLUMNS.len()]>::try_from(fields.as_slice())
    else {
        bail!("{} fields instead of {}", fields.len(), COLUMNS.len());
    };
    let network: IpNet = network.parse().with_context(|| format!("network {network:?}"))?;
    Ok(Row {
        first: network.network(),
        last: network.broadcast(),
        country_code,
        country,
        continent,
        region_code,
        region,
        city,
        postal_code,
        latitude: number(latitude)?,
        longitude: number(longitude)?,
        metro_code: number(metro_code)?,
        timezone,
    })
}

fn number<T: FromStr>(text: &str) -> anyhow::Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).with_context(|| format!("number {text:?}"))
}

/// A database of MaxMind's City schema, for both kinds of addresses.
pub fn nested(csv: &str) -> anyhow::Result<Vec<u8>> {
    let writer = Writer::builder("Sluice-Demo-GeoLite2-City")
        .description(&[("en", "Invented places in networks for documentation")])
        .build_epoch(UNIX_EPOCH + Duration::from_secs(BUILT))
        .build();
    write(writer, &rows(csv)?, nested_record)
}

/// A database of the flat schema of DB-IP, for one kind of addresses. As the real ones do, it
/// leaves out to describe itself.
pub fn flat(csv: &str, ipv6: bool) -> anyhow::Result<Vec<u8>> {
    let (kind, version) =
        if ipv6 { ("city ipv6", IpVersion::V6) } else { ("city ipv4", IpVersion::V4) };
    let mut rows = rows(csv)?;
    rows.retain(|row| row.first.is_ipv6() == ipv6);
    let writer = Writer::builder(kind)
        .languages(Vec::<String>::new())
        .ip_version(version)
        .build_epoch(UNIX_EPOCH + Duration::from_secs(BUILT))
        .build();
    write(writer, &rows, flat_record)
}

fn write(
    mut writer: Writer,
    rows: &[Row<'_>],
    record: fn(&Row<'_>) -> Value,
) -> anyhow::Result<Vec<u8>> {
    for row in rows {
        writer
            .insert_range(row.first, row.last, &record(row))
            .with_context(|| format!("{} to {}", row.first, row.last))?;
    }
    Ok(writer.to_bytes()?)
}

fn nested_record(row: &Row<'_>) -> Value {
    let named = |code: &'static str, value: &str, name: &str| {
        let names = map([("en", text(name))]);
        map([(code, text(value)), ("names", names)])
    };
    let subdivision = named("iso_code", row.region_code, row.region);
    map([
        ("city", named("iso_code", "", row.city)),
        ("continent", named("code", row.continent, "")),
        ("country", named("iso_code", row.country_code, row.country)),
        (
            "location",
            map([
                ("latitude", row.latitude.map(Value::from)),
                ("longitude", row.longitude.map(Value::from)),
                ("metro_code", row.metro_code.map(Value::from)),
                ("time_zone", text(row.timezone)),
            ]),
        ),
        ("postal", map([("code", text(row.postal_code))])),
        ("subdivisions", subdivision.map(|only| Value::Array(vec![only]))),
    ])
    .unwrap_or_else(|| Value::Map(BTreeMap::new()))
}

fn flat_record(row: &Row<'_>) -> Value {
    // The flat databases write an empty text where they have no value, and coordinates of 32 bits
    // widened to 64.
    let always = |text: &str| Some(Value::from(text));
    #[expect(clippy::cast_possible_truncation, reason = "the loss is that of the real databases")]
    let widened = |degrees: f64| Value::from(f64::from(degrees as f32));
    map([
        ("country_code", always(row.country_code)),
        ("state1", always(row.region)),
        ("state2", always("")),
        ("city", always(row.city)),
        ("postcode", always(row.postal_code)),
        ("latitude", row.latitude.map(widened)),
        ("longitude", row.longitude.map(widened)),
        ("timezone", always(row.timezone)),
    ])
    .unwrap_or_else(|| Value::Map(BTreeMap::new()))
}

fn text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| Value::from(text))
}

/// A map of what has a value; none where nothing has.
fn map<const N: usize>(entries: [(&str, Option<Value>); N]) -> Option<Value> {
    let entries: BTreeMap<String, Value> =
        entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    (!entries.is_empty()).then_some(Value::Map(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_spans_the_world() {
        let rows = rows(DEMO_CSV).unwrap();
        let countries: std::collections::HashSet<_> =
            rows.iter().map(|row| row.country_code).collect();
        assert!(rows.len() > 80 && countries.len() > 45, "{} {}", rows.len(), countries.len());
        assert!(rows.iter().any(|row| row.first.is_ipv6()));
    }

    #[test]
    fn every_network_of_the_demo_has_addresses() {
        let addresses = addresses();
        for row in rows(DEMO_CSV).unwrap() {
            let within = |address: &&String| {
                let address: IpAddr = address.parse().unwrap();
                row.first <= address && address <= row.last
            };
            assert!(addresses.iter().any(|address| within(&address)), "{}", row.first);
        }
        let once: std::collections::HashSet<_> = addresses.iter().collect();
        assert_eq!(once.len(), addresses.len());
    }

    #[test]
    fn the_same_csv_gives_the_same_bytes() {
        assert_eq!(nested(DEMO_CSV).unwrap(), nested(DEMO_CSV).unwrap());
        assert_eq!(flat(DEMO_CSV, true).unwrap(), flat(DEMO_CSV, true).unwrap());
    }

    #[test]
    fn faults_name_their_line() {
        let header = COLUMNS.join(",");
        for (line, fault) in [
            ("1.2.3.0/24,US", "line 2: 2 fields instead of 12"),
            ("1.2.3/24,,,,,,,,,,,", "line 2: network"),
            ("1.2.3.0/24,,,,,,,,north,,,", "line 2: number \"north\""),
        ] {
            let error = rows(&format!("{header}\n{line}\n")).unwrap_err();
            assert!(format!("{error:#}").starts_with(fault), "{error:#}");
        }
        assert!(rows("").is_err());
    }
}
