//! Addresses, wherever they stand.

use super::*;

fn private(privacy: AddressPrivacy) -> Redactor {
    let mut spec = with(Vec::new());
    spec.addresses.privacy = privacy;
    Redactor::compile(&spec).unwrap()
}

#[test]
fn addresses_are_truncated() {
    let redactor = private(AddressPrivacy::Truncate);
    for (value, expected) in [
        ("192.0.2.77", "192.0.2.0"),
        ("192.0.2.0", "192.0.2.0"),
        (" 192.0.2.77:8080 ", "192.0.2.0"),
        ("2001:db8:1:2::3", "2001:db8:1::"),
        ("[2001:db8:1:2::3]:443", "2001:db8:1::"),
        ("[2001:DB8:1::]", "2001:db8:1::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.0.2.77", "192.0.2.0"),
        ("::192.0.2.77", "::"),
        ("64:ff9b::192.0.2.77", "64:ff9b::"),
        ("2002:c000:24d::1", "2002:c000:200::"),
        ("192.0.2.77, 198.51.100.9,2001:db8::1", "192.0.2.0, 198.51.100.0, 2001:db8::"),
        ("192.0.2.77, unknown, 1.2.3", "192.0.2.0"),
        ("\"[2001:db8::1]:80\"", "2001:db8::"),
        ("unknown", GONE),
        ("host.example.org", GONE),
        ("01.2.3.4", GONE),
        ("0x7f000001", GONE),
        ("1.2.3.4:port", GONE),
        ("[2001:db8::1", GONE),
        ("[2001:db8::1]x", GONE),
        ("1.2.3.4/24", GONE),
        (",", GONE),
        (" ", GONE),
        ("", ""),
    ] {
        check(|value, out| redactor.address(value, out), value, expected);
        for name in ["client_ip", "immediate_client_ip", "gateway_ip", "client_geoip.ip"] {
            check(|value, out| redactor.field(name, value, out), value, expected);
        }
        for name in ["x-forwarded-for", "x-real-ip", "x-client-ip", "true-client-ip"] {
            check(|value, out| redactor.header(name, value, out), value, expected);
        }
    }
}

#[test]
fn forwarded_is_truncated() {
    let redactor = private(AddressPrivacy::Truncate);
    for (value, expected) in [
        ("for=192.0.2.77;proto=https;by=198.51.100.9", "for=192.0.2.0;proto=https;by=198.51.100.0"),
        ("For=\"[2001:db8:1::2]:80\", for=192.0.2.7", "For=\"[2001:db8:1::]\", for=192.0.2.0"),
        ("for=192.0.2.0;host=x.org:80", "for=192.0.2.0;host=x.org:80"),
        ("host=192.0.2.77;secret=1.2.3.4x", "host=192.0.2.0"),
        ("for=unknown;proto=http, for=_hidden", "proto=http"),
        ("for=\"192.0.2.7, 1.1.1.1\";proto=http", "proto=http"),
        ("for=\"a\\\",for=192.0.2.7;x=\"", GONE),
        ("192.0.2.7", GONE),
        ("for=", GONE),
        ("", ""),
    ] {
        check(|value, out| redactor.header("forwarded", value, out), value, expected);
    }
}

#[test]
fn addresses_are_hashed_and_removed() {
    let redactor = private(AddressPrivacy::Hash);
    let (mut one, mut other) = (String::new(), String::new());
    assert_eq!(redactor.address("192.0.2.77", &mut one), Redacted::Changed);
    assert!(one.starts_with("100::") && one.parse::<std::net::Ipv6Addr>().is_ok(), "{one}");
    redactor.header("x-forwarded-for", "::ffff:192.0.2.77, nonsense", &mut other);
    assert_eq!(one, other);
    redactor.header("forwarded", "for=192.0.2.77:80;by=x", &mut other);
    assert_eq!(other, format!("for=\"[{one}]\""));
    assert_eq!(redactor.address("nonsense", &mut other), Redacted::Removed);

    let redactor = private(AddressPrivacy::Remove);
    assert_eq!(redactor.address("192.0.2.77", &mut one), Redacted::Removed);
    assert_eq!(redactor.header("x-real-ip", "any", &mut one), Redacted::Removed);
    assert_eq!(redactor.header("forwarded", "for=1.2.3.4;proto=http", &mut one), Redacted::Changed);
    assert_eq!(one, "proto=http");

    let redactor = private(AddressPrivacy::Keep);
    assert_eq!(redactor.address("nonsense", &mut one), Redacted::Same);
    assert_eq!(redactor.field("client_ip", "nonsense", &mut one), Redacted::Same);
}
