//! Address privacy: every address of a value is truncated, hashed or removed, and what is no
//! address goes, since nobody can say what it tells.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Redacted;
use super::cover::Cover;
use crate::config::pipeline::AddressPrivacy;

/// One address or a list: `192.0.2.1, [2001:db8::1]:443`.
pub(super) fn list(
    privacy: &AddressPrivacy,
    value: &str,
    cover: &Cover,
    out: &mut String,
) -> Redacted {
    if *privacy == AddressPrivacy::Keep || value.is_empty() {
        return Redacted::Same;
    }
    let private = |text| parse(text).and_then(|address| hide(privacy, address, cover));
    for address in value.split(',').filter_map(private) {
        separate(out, ", ");
        write(address, out);
    }
    verdict(value, out)
}

/// The header `Forwarded` (RFC 7239). Of the parameters whose meaning is not known none stays.
pub(super) fn forwarded(
    privacy: &AddressPrivacy,
    value: &str,
    cover: &Cover,
    out: &mut String,
) -> Redacted {
    if *privacy == AddressPrivacy::Keep || value.is_empty() {
        return Redacted::Same;
    }
    for element in Unquoted::new(value, b',') {
        let mut first = true;
        for pair in Unquoted::new(element, b';') {
            let Some((name, text)) = pair.split_once('=') else { continue };
            let (name, text) = (name.trim(), text.trim());
            let node = match parse(text) {
                Some(address) => match hide(privacy, address, cover) {
                    Some(address) => Some(address),
                    None => continue,
                },
                None if is_harmless(name, text) => None,
                None => continue,
            };
            separate(out, if first { ", " } else { ";" });
            first = false;
            out.push_str(name);
            out.push('=');
            match node {
                None => out.push_str(text),
                Some(IpAddr::V4(address)) => write(address, out),
                Some(IpAddr::V6(address)) => write(format_args!("\"[{address}]\""), out),
            }
        }
    }
    verdict(value, out)
}

fn verdict(value: &str, out: &mut String) -> Redacted {
    if out.is_empty() {
        Redacted::Removed
    } else if out == value {
        out.clear();
        Redacted::Same
    } else {
        Redacted::Changed
    }
}

fn separate(out: &mut String, separator: &str) {
    if !out.is_empty() {
        out.push_str(separator);
    }
}

fn write(what: impl std::fmt::Display, out: &mut String) {
    #[expect(clippy::let_underscore_must_use, reason = "writing to a string cannot fail")]
    let _ = write!(out, "{what}");
}

/// A protocol, or a host's name.
fn is_harmless(name: &str, text: &str) -> bool {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    (name.eq_ignore_ascii_case("proto") || name.eq_ignore_ascii_case("host"))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
}

/// What stands for an address; `None` where nothing does.
fn hide(privacy: &AddressPrivacy, address: IpAddr, cover: &Cover) -> Option<IpAddr> {
    match privacy {
        AddressPrivacy::Keep => Some(address),
        AddressPrivacy::Truncate => Some(truncate(address)),
        AddressPrivacy::Hash => pseudonym(address, cover),
        AddressPrivacy::Remove => None,
    }
}

fn truncate(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            // 6to4 holds a whole IPv4 address within the first 48 bits.
            let c = if a == 0x2002 { c & 0xff00 } else { c };
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}

/// The keyed hash as an address of the discard prefix `100::/64` (RFC 6666): it stays joinable in
/// fields that only take addresses, and no host ever has it.
fn pseudonym(address: IpAddr, cover: &Cover) -> Option<IpAddr> {
    let [a, b, c, d, e, f, g, h, ..] = match address {
        IpAddr::V4(address) => cover.hash(&address.octets()),
        IpAddr::V6(address) => cover.hash(&address.octets()),
    }?;
    let pair = |high, low| u16::from_be_bytes([high, low]);
    Some(Ipv6Addr::new(0x100, 0, 0, 0, pair(a, b), pair(c, d), pair(e, f), pair(g, h)).into())
}

/// An address, strictly: with a port, brackets, a zone, quotes, or without. IPv4 within IPv6 is
/// IPv4.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let known = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return known.then(|| parse_v6(address)).flatten();
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(address.into());
    }
    match text.split_once(':') {
        Some((address, port)) if is_port(port) && !address.is_empty() => {
            address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
        }
        Some(_) => parse_v6(text),
        None => None,
    }
}

fn parse_v6(text: &str) -> Option<IpAddr> {
    let address = text.split_once('%').map_or(text, |(address, _zone)| address);
    let address: Ipv6Addr = address.parse().ok()?;
    Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The parts of a text between separators that stand outside quotes.
struct Unquoted<'a> {
    rest: Option<&'a str>,
    separator: u8,
}

impl<'a> Unquoted<'a> {
    fn new(text: &'a str, separator: u8) -> Self {
        Self { rest: Some(text), separator }
    }
}

impl<'a> Iterator for Unquoted<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        let (mut quoted, mut escaped) = (false, false);
        let at = text.bytes().position(|byte| {
            let ends = !quoted && byte == self.separator;
            quoted ^= byte == b'"' && !escaped;
            escaped = quoted && byte == b'\\' && !escaped;
            ends
        });
        let (part, rest) = match at.and_then(|at| text.split_at_checked(at)) {
            Some((part, rest)) => (part, rest.get(1..)),
            None => (text, None),
        };
        self.rest = rest;
        Some(part)
    }
}
