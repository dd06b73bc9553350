//! One comparison: what it is, and whether a value passes it.

use std::net::{IpAddr, Ipv6Addr};

use memchr::memmem::Finder;

use super::number::Range;

/// The values of `status_class`. Gateways answer with statuses of their own beyond 599 (999 is a
/// known one), so each first digit of a status is a class.
pub(super) const CLASSES: [&str; 9] =
    ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx"];

/// A value in its slot. Texts are ranges of [`super::Slots`]' own bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Text {
        start: usize,
        end: usize,
    },
    /// Milliseconds since 1970, too.
    Integer(i64),
    Double(f64),
    Address(Address),
    Present,
}

/// An IPv6 address, or an IPv4 one mapped into `::ffff:0:0/96`; in two halves, so that a [`Value`]
/// needs no alignment to 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address(u64, u64);

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    first: Address,
    mask: Address,
}

/// What the value of a field must be.
#[derive(Debug, PartialEq)]
pub(super) enum Test {
    Exists,
    Is(Box<str>),
    /// In ascending order.
    OneOf(Box<[Box<str>]>),
    Prefix(Box<str>),
    PrefixInEitherCase(Box<str>),
    Contains(Needle),
    ContainsInEitherCase(Box<str>),
    Ranges(Vec<Range>),
    Networks(Vec<Network>),
}

/// A text to be found, prepared.
#[derive(Debug)]
pub(super) struct Needle(Box<Finder<'static>>);

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        Self(Box::new(Finder::new(text).into_owned()))
    }
}

impl PartialEq for Needle {
    fn eq(&self, other: &Self) -> bool {
        self.0.needle() == other.0.needle()
    }
}

impl Test {
    /// Whether one of a field's values passes. `text` holds the bytes of texts.
    #[inline]
    pub(super) fn passes(&self, values: &[Value], text: &[u8]) -> bool {
        match self {
            Self::Exists => !values.is_empty(),
            Self::Is(wanted) => any_text(values, text, |text| text == wanted.as_bytes()),
            Self::OneOf(wanted) => any_text(values, text, |text| {
                wanted.binary_search_by(|wanted| wanted.as_bytes().cmp(text)).is_ok()
            }),
            Self::Prefix(wanted) => {
                any_text(values, text, |text| text.starts_with(wanted.as_bytes()))
            }
            Self::PrefixInEitherCase(wanted) => any_text(values, text, |text| {
                text.get(..wanted.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(wanted.as_bytes()))
            }),
            Self::Contains(needle) => any_text(values, text, |text| needle.0.find(text).is_some()),
            Self::ContainsInEitherCase(wanted) => {
                any_text(values, text, |text| contains_in_either_case(text, wanted.as_bytes()))
            }
            Self::Ranges(ranges) => values.iter().any(|value| match *value {
                Value::Integer(integer) => ranges.iter().any(|range| range.holds_integer(integer)),
                Value::Double(double) => ranges.iter().any(|range| range.holds_double(double)),
                _ => false,
            }),
            Self::Networks(networks) => values.iter().any(|value| match *value {
                Value::Address(address) => networks.iter().any(|network| network.holds(address)),
                _ => false,
            }),
        }
    }
}

#[inline]
fn any_text(values: &[Value], text: &[u8], fits: impl Fn(&[u8]) -> bool) -> bool {
    values.iter().any(|value| match *value {
        Value::Text { start, end } => fits(text.get(start..end).unwrap_or_default()),
        _ => false,
    })
}

/// Goes from one place to the next where the first byte fits, in either case.
fn contains_in_either_case(text: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else { return true };
    let Some(last_start) = text.len().checked_sub(wanted.len()) else { return false };
    let starts = text.get(..=last_start).unwrap_or_default();
    memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), starts).any(|at| {
        text.get(at..at + wanted.len()).is_some_and(|part| part.eq_ignore_ascii_case(wanted))
    })
}

impl Address {
    pub(super) fn of_text(text: &str) -> Option<Self> {
        Some(Self::of_bits(match text.parse().ok()? {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        }))
    }

    fn of_bits(address: Ipv6Addr) -> Self {
        let [a, b, c, d, e, f, g, h] = address.segments().map(u64::from);
        Self(a << 48 | b << 32 | c << 16 | d, e << 48 | f << 32 | g << 16 | h)
    }
}

impl Network {
    /// Reads an address, which is a network of one, or `address/bits`.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let is_v4 = address.parse::<IpAddr>().ok()?.is_ipv4();
        let (bits_max, mapped_bits) = if is_v4 { (32, 96) } else { (128, 0) };
        let bits = match bits {
            None => bits_max,
            // `+8` and `008` are none.
            Some(text) if text.len() > 3 || !text.bytes().all(|byte| byte.is_ascii_digit()) => {
                return None;
            }
            Some(text) => text.parse().ok().filter(|bits| *bits <= bits_max)?,
        };
        let bits = mapped_bits + bits;
        let ones = |bits: u32| u64::MAX.checked_shl(64 - bits.min(64)).unwrap_or(0);
        let mask = Address(ones(bits), ones(bits.saturating_sub(64)));
        let Address(high, low) = Address::of_text(address)?;
        Some(Self { first: Address(high & mask.0, low & mask.1), mask })
    }

    #[inline]
    fn holds(&self, address: Address) -> bool {
        address.0 & self.mask.0 == self.first.0 && address.1 & self.mask.1 == self.first.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let check = |network: &str, address: &str, expected: bool| {
            let network = Network::of_text(network).unwrap();
            assert_eq!(network.holds(Address::of_text(address).unwrap()), expected, "{address}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.1.2.3/8", "10.0.0.1", true);
        check("0.0.0.0/0", "255.255.255.255", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("::/0", "1.2.3.4", true);
        check("::ffff:10.0.0.0/104", "10.2.3.4", true);
        check("10.0.0.1", "::ffff:10.0.0.1", true);
        check("10.0.0.1", "10.0.0.2", false);
        check("2001:db8::/32", "2001:db8:1::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("2001:db8::/64", "2001:db8::ffff:0:0:1", true);
        check("2001:db8::/65", "2001:db8::8000:0:0:1", false);
        check("2001:db8::1/128", "2001:db8::1", true);
        for bad in ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "a/8", "/8"]
        {
            assert_eq!(Network::of_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn in_either_case() {
        let check = |text: &str, wanted: &str, expected: bool| {
            let found = contains_in_either_case(text.as_bytes(), wanted.as_bytes());
            assert_eq!(found, expected, "{text} {wanted}");
        };
        check("GoogleBot/2", "bot", true);
        check("bbot", "BOT", true);
        check("bo", "bot", false);
        check("", "", true);
        check("", "a", false);
        check("xbo", "bot", false);
        check("ÄX", "äx", false);
        check("Äx", "ÄX", true);
    }
}
