#![expect(clippy::needless_pass_by_value, reason = "the tables read better without references")]

use std::collections::BTreeMap;

use mmdb_writer::{IpVersion, Value, Writer};
use proptest::prelude::*;

use super::*;
use crate::geo::demo;
use crate::prepare::enrich::write_geo;
use crate::schema::GEO_KEYS;

/// One in which nearly every look-up drives another out.
fn small_cache() -> Cache {
    Cache::sized(8, 4, 4)
}

fn databases(generation: u64, files: Vec<Vec<u8>>) -> Databases {
    let open = |bytes| Arc::new(Database::verified(Bytes::Owned(bytes)).unwrap());
    Databases::new(generation, files.into_iter().map(open).collect())
}

fn nested() -> Databases {
    databases(1, vec![demo::nested(demo::DEMO_CSV).unwrap()])
}

fn flat() -> Databases {
    let file = |ipv6| demo::flat(demo::DEMO_CSV, ipv6).unwrap();
    databases(1, vec![file(false), file(true)])
}

/// A database of one record for 192.0.2.0/24.
fn one_record(kind: &str, record: Value) -> Vec<u8> {
    let mut writer =
        Writer::builder(kind).ip_version(IpVersion::V4).description(&[("en", "test")]).build();
    let (first, last) = ("192.0.2.0".parse().unwrap(), "192.0.2.255".parse().unwrap());
    writer.insert_range(first, last, &record).unwrap();
    writer.to_bytes().unwrap()
}

fn map(entries: Vec<(&str, Value)>) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn object(databases: &Databases, address: &str, keys: Keys) -> String {
    let mut cache = small_cache();
    let ip = address.parse().unwrap();
    match databases.locate(ip, &mut cache) {
        (GeoOutcome::Hit, Some(fragment)) => {
            let mut out = Vec::new();
            write_geo(&mut out, ip, fragment, keys);
            String::from_utf8(out).unwrap()
        }
        (outcome, fragment) => {
            assert_eq!(fragment, None, "{address}");
            outcome.label().to_owned()
        }
    }
}

fn check(databases: &Databases, address: &str, expected: &str) {
    assert_eq!(object(databases, address, Keys::all()), expected, "{address}");
}

fn check_record(kind: &str, record: Value, expected: &str) {
    check(&databases(1, vec![one_record(kind, record)]), "192.0.2.1", expected);
}

const DURHAM: &str = r#""country_code2":"US","country_code3":"USA","country_name":"United States","continent_code":"NA","region_name":"NC","city_name":"Durham","postal_code":"27709","latitude":35.994,"longitude":-78.8986,"dma_code":560,"timezone":"America/New_York","real_region_name":"North Carolina","location":[-78.8986,35.994]}"#;

#[test]
fn the_objects_of_the_sample_records() {
    let nested = nested();
    check(&nested, "9.20.152.215", &format!(r#"{{"ip":"9.20.152.215",{DURHAM}"#));
    check(&nested, "9.79.12.126", &format!(r#"{{"ip":"9.79.12.126",{DURHAM}"#));
    check(&nested, "::ffff:9.20.152.215", &format!(r#"{{"ip":"9.20.152.215",{DURHAM}"#));
    check(&nested, "2001:db8:1::7", &format!(r#"{{"ip":"2001:db8:1::7",{DURHAM}"#));
}

/// A geo object as the gateway's documentation prints it. No database has an area code any more.
#[test]
fn byte_for_byte_as_documented() {
    let documented = r#"{
    "ip": "9.20.152.215",
    "country_code2": "US",
    "country_code3": "USA",
    "country_name": "United States",
    "continent_code": "NA",
    "region_name": "NC",
    "city_name": "Durham",
    "postal_code": "27709",
    "latitude": 35.994,
    "longitude": -78.8986,
    "dma_code": 560,
    "area_code": 919,
    "timezone": "America/New_York",
    "real_region_name": "North Carolina",
    "location": [
      -78.8986,
      35.994
    ]
  }"#;
    let compact: String = documented.lines().map(str::trim).collect();
    let expected = compact.replace("\": ", "\":").replace("\"area_code\":919,", "");
    check(&nested(), "9.20.152.215", &expected);
}

#[test]
fn the_flat_schema_in_two_files() {
    let flat = flat();
    let durham = r#""country_code2":"US","country_code3":"USA","country_name":"United States","continent_code":"NA","city_name":"Durham","postal_code":"27709","latitude":35.994,"longitude":-78.8986,"timezone":"America/New_York","real_region_name":"North Carolina","location":[-78.8986,35.994]}"#;
    check(&flat, "9.20.152.215", &format!(r#"{{"ip":"9.20.152.215",{durham}"#));
    check(&flat, "2001:db8:1::1", &format!(r#"{{"ip":"2001:db8:1::1",{durham}"#));
    check(&flat, "8.8.8.8", "not_found");
    check(&flat, "2001:4860::1", "not_found");
}

#[test]
fn what_has_no_value_is_left_out() {
    let country_only = r#"{"ip":"198.18.24.1","country_code2":"US","country_code3":"USA","country_name":"United States","continent_code":"NA","latitude":37.751,"longitude":-97.822,"timezone":"America/Chicago","location":[-97.822,37.751]}"#;
    check(&nested(), "198.18.24.1", country_only);
    check(&flat(), "198.18.24.1", country_only);
    let names = || map(vec![("en", "".into()), ("de", "Ort".into())]);
    check_record(
        "GeoIP2-City",
        map(vec![
            ("city", map(vec![("names", names())])),
            ("country", map(vec![("iso_code", "ZZ".into())])),
            ("location", map(vec![("latitude", 10.5.into()), ("metro_code", 0_u16.into())])),
        ]),
        r#"{"ip":"192.0.2.1","country_code2":"ZZ","latitude":10.5}"#,
    );
}

#[test]
fn the_most_specific_subdivision() {
    let named = |code: &str, name: &str| {
        map(vec![("iso_code", code.into()), ("names", map(vec![("en", name.into())]))])
    };
    check_record(
        "GeoIP2-Enterprise",
        map(vec![(
            "subdivisions",
            Value::Array(vec![named("ENG", "England"), named("BNE", "Barnet")]),
        )]),
        r#"{"ip":"192.0.2.1","region_name":"BNE","real_region_name":"Barnet"}"#,
    );
}

#[test]
fn flat_records_of_other_makers() {
    let ipinfo = |country: &str| {
        map(vec![
            ("city", "Mountain \"View\"".into()),
            ("country", country.into()),
            ("lat", "37.4056".into()),
            ("lng", "-122.0775".into()),
            ("postal_code", "94043".into()),
            ("region", "California".into()),
            ("region_code", "CA".into()),
            ("timezone", "America/Los_Angeles".into()),
        ])
    };
    let rest = r#""region_name":"CA","city_name":"Mountain \"View\"","postal_code":"94043","latitude":37.4056,"longitude":-122.0775,"timezone":"America/Los_Angeles","real_region_name":"California","location":[-122.0775,37.4056]}"#;
    check_record(
        "ipinfo standard_location.mmdb",
        ipinfo("US"),
        &format!(
            r#"{{"ip":"192.0.2.1","country_code2":"US","country_code3":"USA","country_name":"United States","continent_code":"NA",{rest}"#
        ),
    );
    check_record(
        "ipinfo standard_location.mmdb",
        ipinfo("Freedonia"),
        &format!(r#"{{"ip":"192.0.2.1","country_name":"Freedonia",{rest}"#),
    );
}

/// The records decide where the metadata misleads.
#[test]
fn a_flat_file_that_calls_itself_geoip() {
    let record = || map(vec![("country_code", "DE".into()), ("city", "Bonn".into())]);
    let expected = r#"{"ip":"192.0.2.1","country_code2":"DE","country_code3":"DEU","country_name":"Germany","continent_code":"EU","city_name":"Bonn"}"#;
    check_record("My-GeoIP-City", record(), expected);
    check_record("places", record(), expected);
    let nested = map(vec![("city", map(vec![("names", map(vec![("en", "Bonn".into())]))]))]);
    check_record("places", nested, r#"{"ip":"192.0.2.1","city_name":"Bonn"}"#);
}

#[test]
fn odd_values() {
    let check_flat = |key: &str, value: Value, expected: &str| {
        let record = map(vec![("city", "X".into()), (key, value)]);
        check_record(
            "city ipv4",
            record,
            &format!(r#"{{"ip":"192.0.2.1","city_name":"X"{expected}}}"#),
        );
    };
    check_flat("postcode", 27709_u32.into(), r#","postal_code":"27709""#);
    check_flat("postcode", Value::Array(vec!["1".into()]), "");
    check_flat("country_code", true.into(), "");
    check_flat("state1", "x".repeat(513).into(), "");
    check_flat("state1", "a\u{1}\"ä".into(), r#","real_region_name":"a\u0001\"ä""#);
    // Numbers as short as they can be; those that the index would refuse are left out.
    check_flat("latitude", 35.994_f32.into(), r#","latitude":35.994"#);
    check_flat("latitude", 35.994_f64.into(), r#","latitude":35.994"#);
    check_flat("latitude", f64::from(35.994_f32).into(), r#","latitude":35.994"#);
    check_flat("latitude", 37.422_000_885_009.into(), r#","latitude":37.422000885009"#);
    check_flat("latitude", 52_u16.into(), r#","latitude":52.0"#);
    check_flat("latitude", (-52_i32).into(), r#","latitude":-52.0"#);
    check_flat("latitude", "-0.5".into(), r#","latitude":-0.5"#);
    for none in ["", "north", "NaN", "inf", "90.1", "1e3"] {
        check_flat("latitude", none.into(), "");
    }
    check_flat("latitude", f64::NAN.into(), "");
    check_flat("latitude", 90.5.into(), "");
    check_flat("longitude", 180.5.into(), "");
    check_flat("longitude", 180.0.into(), r#","longitude":180.0"#);
    check_flat("metro_code", "501".into(), r#","dma_code":501"#);
    check_flat("metro_code", u64::MAX.into(), "");
}

#[test]
fn outcomes() {
    let none = Databases::none();
    let ipv4_only = databases(1, vec![demo::flat(demo::DEMO_CSV, false).unwrap()]);
    let registrant_only = databases(
        1,
        vec![
            demo::nested(demo::DEMO_CSV).unwrap(),
            one_record(
                "GeoLite2-City",
                map(vec![("city", map(vec![("names", map(vec![("en", "X".into())]))]))]),
            ),
        ],
    );
    for (databases, address, expected) in [
        (&none, "9.20.152.215", "no_database"),
        (&none, "10.0.0.1", "no_database"),
        (&nested(), "10.0.0.1", "private"),
        (&nested(), "::1", "private"),
        (&nested(), "::ffff:192.168.0.1", "private"),
        (&nested(), "8.8.8.8", "not_found"),
        (&nested(), "2a00::1", "not_found"),
        (&ipv4_only, "2001:db8:1::1", "no_database"),
        (&ipv4_only, "8.8.8.8", "not_found"),
        (&registrant_only, "8.8.8.8", "not_found"),
    ] {
        check(databases, address, expected);
    }
}

/// A record that says nothing about the place itself, as GeoLite2's of 1.1.1.1.
#[test]
fn a_record_without_a_place_is_not_found() {
    let mut writer = Writer::builder("GeoLite2-City").ip_version(IpVersion::V4).build();
    let mut insert = |address: &str, record: Value| {
        let address = address.parse().unwrap();
        writer.insert_range(address, address, &record).unwrap();
    };
    insert("1.1.1.1", map(vec![("registered_country", map(vec![("iso_code", "AU".into())]))]));
    insert("1.1.1.2", map(vec![("country", map(vec![("iso_code", "AU".into())]))]));
    let databases = databases(1, vec![writer.to_bytes().unwrap()]);
    check(&databases, "1.1.1.1", "not_found");
    check(&databases, "1.1.1.3", "not_found");
    assert!(object(&databases, "1.1.1.2", Keys::all()).contains("Australia"));
}

#[test]
fn the_first_file_that_knows_the_address_answers() {
    let files = |first: &str, second: &str| {
        let file = |city: &str| one_record("city", map(vec![("city", city.into())]));
        databases(1, vec![file(first), file(second), demo::nested(demo::DEMO_CSV).unwrap()])
    };
    check(&files("A", "B"), "192.0.2.1", r#"{"ip":"192.0.2.1","city_name":"A"}"#);
    check(&files("B", "A"), "192.0.2.1", r#"{"ip":"192.0.2.1","city_name":"B"}"#);
    check(&files("A", "B"), "9.20.152.215", &format!(r#"{{"ip":"9.20.152.215",{DURHAM}"#));
}

#[test]
fn files_that_are_no_use() {
    let fault = |bytes: Vec<u8>| Database::verified(Bytes::Owned(bytes)).unwrap_err();
    assert!(matches!(fault(Vec::new()), Unusable::Unreadable(_)));
    assert!(matches!(fault(b"# just a text\n".to_vec()), Unusable::Unreadable(_)));
    let networks =
        one_record("GeoLite2-ASN", map(vec![("autonomous_system_number", 64_512_u32.into())]));
    assert!(matches!(fault(networks), Unusable::NoPlaces(kind) if kind == "GeoLite2-ASN"));
    let whole = demo::nested(demo::DEMO_CSV).unwrap();
    for part in [1, whole.len() / 4, whole.len() / 2, whole.len() - 200] {
        fault(whole[..part].to_vec());
    }
}

/// A damaged file is refused, or answers, but never panics. A changed digit or letter cannot be
/// found; of longer runs, next to nothing goes unnoticed.
#[test]
fn damage_is_found() {
    for whole in [demo::nested(demo::DEMO_CSV).unwrap(), demo::flat(demo::DEMO_CSV, false).unwrap()]
    {
        for (run, percent) in [(1, 75), (64, 98)] {
            let tried = whole.len() / 16;
            let refused = (0..tried).filter(|place| is_refused(&whole, place * 16, run)).count();
            assert!(refused * 100 > tried * percent, "{refused} of {tried} runs of {run}");
        }
    }
}

fn is_refused(whole: &[u8], at: usize, run: usize) -> bool {
    let mut damaged = whole.to_vec();
    damaged[at..].iter_mut().take(run).for_each(|byte| *byte ^= 0xff);
    let Ok(database) = Database::verified(Bytes::Owned(damaged)) else { return true };
    let databases = Databases::new(1, vec![Arc::new(database)]);
    let mut cache = small_cache();
    for row in demo::rows(demo::DEMO_CSV).unwrap() {
        databases.locate(row.first, &mut cache);
    }
    false
}

#[test]
fn a_new_generation_flushes_the_cache() {
    let file = |city: &str| one_record("city", map(vec![("city", city.into())]));
    let mut cache = small_cache();
    let ip: IpAddr = "192.0.2.1".parse().unwrap();
    for (generation, city) in [(1, "A"), (2, "B"), (3, "A")] {
        let databases = databases(generation, vec![file(city)]);
        for _ in 0..3 {
            let (outcome, fragment) = databases.locate(ip, &mut cache);
            assert_eq!(outcome, GeoOutcome::Hit);
            let expected = format!(",\"city_name\":\"{city}\"");
            assert_eq!(fragment.map(Fragment::members), Some(expected.as_bytes()));
        }
    }
    assert_eq!(
        databases(4, vec![file("A")]).locate("9.9.9.9".parse().unwrap(), &mut cache).0,
        GeoOutcome::NotFound
    );
    assert_eq!(Databases::none().locate(ip, &mut cache), (GeoOutcome::NoDatabase, None));
}

#[test]
fn a_part_of_the_members() {
    let place = |name: &str| GEO_KEYS.iter().position(|(key, _)| *key == name).unwrap();
    let keys =
        |names: &[&str]| names.iter().fold(Keys::none(), |keys, name| keys.with(place(name)));
    let nested = nested();
    for (names, expected) in [
        (&["ip"][..], r#"{"ip":"9.20.152.215"}"#),
        (&["country_code2"], r#"{"country_code2":"US"}"#),
        (&["area_code"], "{}"),
        (&[], "{}"),
        (
            &["location", "ip", "area_code", "dma_code"],
            r#"{"ip":"9.20.152.215","dma_code":560,"location":[-78.8986,35.994]}"#,
        ),
        (
            &["country_name", "city_name"],
            r#"{"country_name":"United States","city_name":"Durham"}"#,
        ),
    ] {
        assert_eq!(object(&nested, "9.20.152.215", keys(names)), expected);
    }
    let every: Vec<&str> = GEO_KEYS.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys(&every), Keys::all());
}

/// Addresses that often lie in the demo's networks, and often come again.
fn addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    let v4 = prop_oneof![
        (0_u8..=255, 0_u8..4).prop_map(|(c, d)| IpAddr::from([198, 18, c, d])),
        Just(IpAddr::from([9, 20, 152, 215])),
        any::<[u8; 4]>().prop_map(IpAddr::from),
    ];
    let v6 =
        (0_u16..12, 0_u16..3).prop_map(|(c, h)| IpAddr::from([0x2001, 0xdb8, c, 0, 0, 0, 0, h]));
    proptest::collection::vec(prop_oneof![v4, v6], 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_remembered_answer_is_the_answer(addresses in addresses(), switch in 0_usize..200) {
        let sets = [nested(), databases(2, vec![demo::flat(demo::DEMO_CSV, false).unwrap()])];
        let mut cache = small_cache();
        let mut answers: BTreeMap<(usize, IpAddr), GeoOutcome> = BTreeMap::new();
        for (at, &ip) in addresses.iter().enumerate() {
            let set = usize::from(at >= switch);
            let (outcome, fragment) = sets[set].locate(ip, &mut cache);
            let mut fresh = small_cache();
            prop_assert_eq!((outcome, fragment), sets[set].locate(ip, &mut fresh));
            prop_assert_eq!(*answers.entry((set, ip)).or_insert(outcome), outcome);
        }
    }
}
