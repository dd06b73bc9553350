//! Addresses: reading them from an event's text, telling public from private, and writing the geo
//! object.
//!
//! Text is read strictly and nothing is ever resolved. `::ffff:a.b.c.d` is the IPv4 address
//! `a.b.c.d` everywhere, so that one client has one address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::prepare::geo::{Fragment, Keys};

pub(crate) mod look_up;

/// The longest text of an IPv6 address: eight groups, the last two as IPv4.
const IPV6_TEXT_BYTES_MAX: usize = 45;

/// The text names no IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an IP address")]
pub struct InvalidAddress;

/// Reads `1.2.3.4`, `1.2.3.4:5678`, `2001:db8::1`, `fe80::1%eth0`, `[2001:db8::1]:80`, or a list of
/// these as in `X-Forwarded-For`.
///
/// Of a list, `None` takes the first public address from the left, or else the first address that
/// can be read: what is not an address (`unknown`) is passed over. `Some(n)` skips the `n` trusted
/// proxies at the right; what stands there must be an address, since anything further left is the
/// client's own claim. A list that is too short was written by the proxies alone: its first element
/// counts.
pub fn address(text: &str, trusted_proxies: Option<usize>) -> Result<IpAddr, InvalidAddress> {
    let text = text.as_bytes();
    if let Some((v4, [])) = v4_prefix(text) {
        return Ok(IpAddr::V4(v4));
    }
    if !text.contains(&b',') {
        return single(text.trim_ascii());
    }
    match trusted_proxies {
        None => first_public(text),
        Some(skip) => from_the_right(text, skip),
    }
}

fn first_public(list: &[u8]) -> Result<IpAddr, InvalidAddress> {
    let mut first = None;
    for element in elements(list) {
        let Ok(address) = single(element) else { continue };
        if !is_private(address) {
            return Ok(address);
        }
        first = first.or(Some(address));
    }
    first.ok_or(InvalidAddress)
}

fn from_the_right(list: &[u8], skip: usize) -> Result<IpAddr, InvalidAddress> {
    let mut chosen = None;
    for (place, element) in elements(list).rev().enumerate() {
        chosen = Some(element);
        if place == skip {
            break;
        }
    }
    single(chosen.ok_or(InvalidAddress)?)
}

fn elements(list: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

fn single(text: &[u8]) -> Result<IpAddr, InvalidAddress> {
    if let Some(bracketed) = text.strip_prefix(b"[") {
        let close = bracketed.iter().position(|&byte| byte == b']').ok_or(InvalidAddress)?;
        let (inner, after) = bracketed.split_at(close);
        let port_is_right = after == b"]" || after.strip_prefix(b"]:").is_some_and(is_port);
        return if port_is_right { v6(inner) } else { Err(InvalidAddress) };
    }
    match v4_prefix(text) {
        Some((v4, [])) => Ok(IpAddr::V4(v4)),
        Some((v4, [b':', port @ ..])) if is_port(port) => Ok(IpAddr::V4(v4)),
        Some(_) => Err(InvalidAddress),
        None => v6(text),
    }
}

fn is_port(text: &[u8]) -> bool {
    let number =
        |text: &[u8]| text.iter().fold(0_u32, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    matches!(text.len(), 1..=5) && text.iter().all(u8::is_ascii_digit) && number(text) <= 65_535
}

/// An IPv4 address and what follows it. No octet has a leading zero, which some readers would take
/// for octal.
fn v4_prefix(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (a, rest) = octet(text)?;
    let (b, rest) = octet(rest.strip_prefix(b".")?)?;
    let (c, rest) = octet(rest.strip_prefix(b".")?)?;
    let (d, rest) = octet(rest.strip_prefix(b".")?)?;
    Some((Ipv4Addr::new(a, b, c, d), rest))
}

fn octet(text: &[u8]) -> Option<(u8, &[u8])> {
    const DIGITS_MAX: usize = 3;
    let mut number = 0_u32;
    let mut rest = text;
    for place in 0..DIGITS_MAX {
        let Some((&byte, tail)) = rest.split_first() else { break };
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || (place > 0 && number == 0) {
            break;
        }
        number = number * 10 + u32::from(digit);
        rest = tail;
    }
    if rest.len() == text.len() {
        return None;
    }
    Some((u8::try_from(number).ok()?, rest))
}

fn v6(text: &[u8]) -> Result<IpAddr, InvalidAddress> {
    let (address, zone) = match text.iter().position(|&byte| byte == b'%') {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    };
    if address.len() > IPV6_TEXT_BYTES_MAX || zone.is_some_and(|zone| !is_zone(zone)) {
        return Err(InvalidAddress);
    }
    let parsed = str::from_utf8(address).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
    parsed.map(|v6| IpAddr::V6(v6).to_canonical()).ok_or(InvalidAddress)
}

/// The name or number of an interface, as RFC 6874 allows it.
fn is_zone(text: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    !text.is_empty() && text.iter().all(allowed)
}

/// Whether no geo database can know the address: it is of use inside a network only, or names no
/// host. The ranges for documentation and benchmarks are not among these: they stand for public
/// addresses, in examples as in the demo's traffic.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

fn is_private_v4(v4: Ipv4Addr) -> bool {
    match v4.octets() {
        // "this network", private, loopback
        [0 | 10 | 127, ..] => true,
        // carrier-grade NAT
        [100, second, ..] => second & 0b1100_0000 == 64,
        // link-local
        [169, 254, ..] => true,
        [172, second, ..] => second & 0b1111_0000 == 16,
        // protocol assignments, private
        [192, 0, 0, _] | [192, 168, ..] => true,
        // multicast, reserved, broadcast
        [first, ..] => first >= 224,
    }
}

fn is_private_v6(v6: Ipv6Addr) -> bool {
    match v6.segments() {
        // unspecified, loopback
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => true,
        // local use of NAT64, discard
        [0x64, 0xff9b, 1, ..] | [0x100, 0, 0, 0, ..] => true,
        // unique local, link-local and the older site-local, multicast
        [first, ..] => first & 0xfe00 == 0xfc00 || first & 0xff80 == 0xfe80 || first >= 0xff00,
    }
}

/// Writes the canonical text of an address.
pub fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(v4) => write_v4(out, v4),
        IpAddr::V6(v6) => write_v6(out, v6),
    }
}

fn write_v4(out: &mut Vec<u8>, v4: Ipv4Addr) {
    let [a, b, c, d] = v4.octets();
    write_octet(out, a);
    for octet in [b, c, d] {
        out.push(b'.');
        write_octet(out, octet);
    }
}

fn write_octet(out: &mut Vec<u8>, octet: u8) {
    let (hundreds, tens, ones) = (octet / 100, octet / 10 % 10, octet % 10);
    if hundreds > 0 {
        out.push(b'0' + hundreds);
    }
    if octet >= 10 {
        out.push(b'0' + tens);
    }
    out.push(b'0' + ones);
}

/// As RFC 5952 has it: the first of the longest runs of at least two zero groups becomes `::`.
fn write_v6(out: &mut Vec<u8>, v6: Ipv6Addr) {
    let groups = v6.segments();
    let (zeros_at, zeros) = longest_zeros(&groups);
    for (at, &group) in groups.iter().enumerate() {
        if (zeros_at..zeros_at + zeros).contains(&at) {
            if at == zeros_at {
                out.extend_from_slice(b"::");
            }
            continue;
        }
        if at > 0 && at != zeros_at + zeros {
            out.push(b':');
        }
        write_group(out, group);
    }
}

fn longest_zeros(groups: &[u16; 8]) -> (usize, usize) {
    let (mut best_at, mut best) = (groups.len(), 0);
    let mut run = 0;
    for (at, &group) in groups.iter().enumerate() {
        run = if group == 0 { run + 1 } else { 0 };
        if run > best && run > 1 {
            (best_at, best) = (at + 1 - run, run);
        }
    }
    (best_at, best)
}

fn write_group(out: &mut Vec<u8>, group: u16) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for shift in [12_u32, 8, 4, 0] {
        if shift == 0 || group >> shift != 0 {
            let nibble = usize::from(group >> shift & 15);
            out.push(HEX.get(nibble).copied().unwrap_or(b'0'));
        }
    }
}

/// Writes the geo object of a look-up that hit: `keys` says which of its members are exported.
pub fn write_geo(out: &mut Vec<u8>, address: IpAddr, fragment: &Fragment, keys: Keys) {
    let open = out.len();
    out.push(b'{');
    if keys.has(Keys::IP) {
        out.extend_from_slice(b"\"ip\":\"");
        write_address(out, address);
        out.push(b'"');
    }
    let members = out.len();
    fragment.write(out, keys);
    // Each member of a fragment brings the comma in front of it.
    if members == open + 1 && out.len() > members {
        out.remove(members);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests;
