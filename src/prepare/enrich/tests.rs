use proptest::prelude::*;

use super::*;

fn read(text: &str, trusted_proxies: Option<usize>) -> Option<String> {
    address(text, trusted_proxies).ok().map(|address| address.to_string())
}

fn check(text: &str, expected: &str) {
    assert_eq!(read(text, None).as_deref(), Some(expected), "{text:?}");
    assert_eq!(read(text, Some(0)).as_deref(), Some(expected), "{text:?}");
}

#[test]
fn single_addresses() {
    check("1.2.3.4", "1.2.3.4");
    check("0.0.0.0", "0.0.0.0");
    check("255.255.255.255", "255.255.255.255");
    check("1.2.3.4:5678", "1.2.3.4");
    check("1.2.3.4:0", "1.2.3.4");
    check("1.2.3.4:65535", "1.2.3.4");
    check("::1", "::1");
    check("[::1]", "::1");
    check("[::1]:80", "::1");
    check("2001:DB8:0:0:0:0:0:1", "2001:db8::1");
    check("[2001:db8::1]:65535", "2001:db8::1");
    check("fe80::1%eth0", "fe80::1");
    check("fe80::1%25en-0.7", "fe80::1");
    check("[fe80::1%1]:443", "fe80::1");
    check("::ffff:9.20.152.215", "9.20.152.215");
    check("::FFFF:914:98d7", "9.20.152.215");
    check("[::ffff:9.20.152.215]:80", "9.20.152.215");
    // White space around an address is that of a list of one.
    check(" 1.2.3.4", "1.2.3.4");
    check("1.2.3.4:80\t", "1.2.3.4");
}

#[test]
fn what_is_no_address() {
    let long_zone = format!("fe80::1%{}", "x y");
    for text in [
        "",
        " ",
        "   \t",
        "1",
        "1.2.3",
        "1.2.3.",
        "1.2.3.4.",
        "1.2.3.4.5",
        ".1.2.3.4",
        "1..2.3",
        "01.2.3.4",
        "1.2.3.04",
        "1.2.3.00",
        "1.2.3.256",
        "1.2.3.1000",
        "1.2.3.-4",
        "1.2.3.+4",
        "0x1.2.3.4",
        "1.2.3.4a",
        "1.2.3.4:",
        "1.2.3.4:99999",
        "1.2.3.4:65536",
        "1.2.3.4:+80",
        "1.2.3.4:80:80",
        "1.2.3.4 5",
        "1. 2.3.4",
        "1.2.3.4/24",
        "1.2.3.4%eth0",
        "16909060",
        "localhost",
        "gateway.example.com",
        "example.com:80",
        "unknown",
        "-",
        "N/A",
        "null",
        ":",
        "::",
        "[",
        "[]",
        "[]:80",
        "[::1",
        "::1]",
        "[::1]80",
        "[::1]:",
        "[::1]:99999",
        "[1.2.3.4]",
        "[1.2.3.4]:80",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "12345::",
        "g::1",
        "::1.2.3",
        "::ffff:01.2.3.4",
        "fe80::1%",
        "fe80::1%eth 0",
        "fe80::1%a%b",
        "::1:80:",
        "http://1.2.3.4",
        "1.2.3.4\0",
        "\u{661}.2.3.4",
        &long_zone,
    ] {
        // The unspecified address is one, though it names nobody.
        let expected = (text == "::").then(|| "::".to_owned());
        assert_eq!(read(text, None), expected, "{text:?}");
        assert_eq!(read(text, Some(0)), expected, "{text:?}");
    }
}

#[test]
fn forwarded_lists() {
    let public_first = [
        ("203.0.113.7, 10.0.0.1", Some("203.0.113.7")),
        ("10.0.0.1, 203.0.113.7, 198.51.100.9", Some("203.0.113.7")),
        ("192.168.1.1,fc00::1,[2001:db8::9]:443,8.8.8.8", Some("2001:db8::9")),
        ("unknown, 203.0.113.7:4711", Some("203.0.113.7")),
        ("_hidden,-,\"x\", 10.0.0.1", Some("10.0.0.1")),
        // No public address: the first, which counts as private.
        ("10.0.0.1, 10.0.0.2", Some("10.0.0.1")),
        ("::ffff:10.0.0.1,::ffff:8.8.8.8", Some("8.8.8.8")),
        ("1.2.3.4,", Some("1.2.3.4")),
        (",,1.2.3.4", Some("1.2.3.4")),
        (",", None),
        (" , ,", None),
        ("unknown, example.com", None),
        ("1.2.3,01.2.3.4", None),
    ];
    for (list, expected) in public_first {
        assert_eq!(read(list, None).as_deref(), expected, "{list:?}");
    }
    let behind_proxies = [
        ("6.6.6.6, 203.0.113.7, 10.0.0.1", 0, Some("10.0.0.1")),
        ("6.6.6.6, 203.0.113.7, 10.0.0.1", 1, Some("203.0.113.7")),
        ("6.6.6.6, 203.0.113.7, 10.0.0.1", 2, Some("6.6.6.6")),
        ("6.6.6.6, 203.0.113.7, 10.0.0.1", 3, Some("6.6.6.6")),
        ("6.6.6.6, 203.0.113.7, 10.0.0.1", usize::MAX, Some("6.6.6.6")),
        ("6.6.6.6,, 203.0.113.7,,10.0.0.1,", 1, Some("203.0.113.7")),
        // Never further left than the proxies vouch for.
        ("6.6.6.6, unknown, 10.0.0.1", 1, None),
        (",", 0, None),
    ];
    for (list, skip, expected) in behind_proxies {
        assert_eq!(read(list, Some(skip)).as_deref(), expected, "{list:?} {skip}");
    }
}

#[test]
fn private_ranges() {
    for (text, expected) in [
        ("0.0.0.0", true),
        ("0.255.255.255", true),
        ("1.0.0.0", false),
        ("9.255.255.255", false),
        ("10.0.0.0", true),
        ("10.255.255.255", true),
        ("11.0.0.0", false),
        ("100.63.255.255", false),
        ("100.64.0.0", true),
        ("100.127.255.255", true),
        ("100.128.0.0", false),
        ("126.255.255.255", false),
        ("127.0.0.1", true),
        ("127.255.255.255", true),
        ("128.0.0.0", false),
        ("169.253.255.255", false),
        ("169.254.0.0", true),
        ("169.254.255.255", true),
        ("169.255.0.0", false),
        ("172.15.255.255", false),
        ("172.16.0.0", true),
        ("172.31.255.255", true),
        ("172.32.0.0", false),
        ("191.255.255.255", false),
        ("192.0.0.0", true),
        ("192.0.1.0", false),
        ("192.167.255.255", false),
        ("192.168.0.0", true),
        ("192.168.255.255", true),
        ("192.169.0.0", false),
        ("223.255.255.255", false),
        ("224.0.0.0", true),
        ("240.0.0.0", true),
        ("255.255.255.255", true),
        // Documentation and benchmarks stand for public addresses.
        ("192.0.2.1", false),
        ("198.18.0.1", false),
        ("198.51.100.1", false),
        ("203.0.113.1", false),
        ("2001:db8::1", false),
        ("::", true),
        ("::1", true),
        ("::2", false),
        ("64:ff9b::808:808", false),
        ("64:ff9b:1::1", true),
        ("100::1", true),
        ("100:0:0:1::1", false),
        ("2001:4860:4860::8888", false),
        ("fbff::1", false),
        ("fc00::", true),
        ("fdff::1", true),
        ("fe00::", false),
        ("fe7f::", false),
        ("fe80::1", true),
        ("febf::1", true),
        ("fec0::1", true),
        ("feff::1", true),
        ("ff02::1", true),
        ("::ffff:10.0.0.1", true),
        ("::ffff:8.8.8.8", false),
    ] {
        assert_eq!(is_private(text.parse().unwrap()), expected, "{text}");
    }
}

fn written(address: IpAddr) -> String {
    let mut out = Vec::new();
    write_address(&mut out, address);
    String::from_utf8(out).unwrap()
}

/// Groups that are often zero, since that is where the text is intricate.
fn v6_addresses() -> impl Strategy<Value = Ipv6Addr> {
    proptest::array::uniform8(prop_oneof![Just(0_u16), Just(0), 0_u16..20, any::<u16>()])
        .prop_map(Ipv6Addr::from)
}

proptest! {
    #[test]
    fn text_is_canonical_and_reads_back(v4: Ipv4Addr, v6 in v6_addresses()) {
        for ip in [IpAddr::V4(v4), IpAddr::V6(v6)] {
            let canonical = ip.to_canonical();
            prop_assert_eq!(written(ip), canonical.to_string());
            prop_assert_eq!(address(&written(ip), None), Ok(canonical));
        }
    }

    /// The reader takes what the standard library takes, and of the rest only what it says.
    #[test]
    fn agrees_with_the_standard_library(text in "[0-9a-f.:]{0,20}") {
        if let Ok(expected) = text.parse::<IpAddr>() {
            prop_assert_eq!(address(&text, None), Ok(expected.to_canonical()));
        } else if let Ok(expected) = text.parse::<std::net::SocketAddrV4>() {
            prop_assert_eq!(address(&text, None), Ok(IpAddr::V4(*expected.ip())));
        } else {
            prop_assert_eq!(address(&text, None), Err(InvalidAddress));
        }
    }

    /// Whatever is read is an address that the text holds.
    #[test]
    fn invents_nothing(text in "[0-9., :x\\[\\]]{0,40}|\\PC{0,40}", skip in proptest::option::of(0_usize..4)) {
        if let Ok(IpAddr::V4(v4)) = address(&text, skip) {
            prop_assert!(text.contains(&v4.to_string()) || text.contains("::"));
        }
    }
}
