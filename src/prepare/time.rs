//! Points in time as gateways write them, and as we do.

use std::ops::RangeInclusive;

use crate::clock::Millis;

/// 2000-01-01: no gateway of ours is older.
pub(crate) const SANE_FROM: Millis = 946_684_800_000;
/// A record may be so far ahead of our clock.
pub(crate) const AHEAD_MAX: Millis = 24 * 3_600_000;

const DAY: Millis = 86_400_000;
/// From the year 0000 to the end of 9999: what four digits can say.
const WRITABLE: RangeInclusive<Millis> = -62_167_219_200_000..=253_402_300_799_999;
const FRACTION_DIGITS_MAX: usize = 9;

/// A point in time read from an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Rounded down.
    pub(crate) millis: Millis,
    /// What the milliseconds leave out, and how many fraction digits the text had.
    nanos: u32,
    digits: usize,
    /// The text is UTC in our own form and can be copied.
    pub(crate) canonical: bool,
}

impl Moment {
    /// Reads `2016-09-29T22:17:43.404Z`: 0 to 9 fraction digits, `Z`, an offset, or neither, which
    /// is UTC. (RFC 3339, and the offsets of ISO 8601 without a colon.)
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() < 19 {
            return Self::of_epoch(text);
        }
        let number = |at: usize, length: usize| digits(bytes.get(at..at + length)?);
        let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
        if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
            return Self::of_epoch(text);
        }
        let days = days_of(number(0, 4)?, number(5, 2)?, number(8, 2)?)?;
        let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (fraction, zone) = fraction(bytes.get(19..)?)?;
        let nanos = fraction.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
            * 10_u32.pow(u32::try_from(FRACTION_DIGITS_MAX - fraction.len()).ok()?);
        let millis = days * DAY
            + ((hour * 60 + minute) * 60 + second) * 1_000
            + i64::from(nanos / 1_000_000)
            - offset_minutes(zone)? * 60_000;
        let canonical = zone == b"Z" && is(10, b"T");
        WRITABLE.contains(&millis).then_some(Self {
            millis,
            nanos: nanos % 1_000_000,
            digits: fraction.len(),
            canonical,
        })
    }

    /// Reads milliseconds since the Unix epoch.
    pub(crate) fn of_epoch(text: &str) -> Option<Self> {
        let positive = text.strip_prefix('-').unwrap_or(text);
        if positive.is_empty() || !positive.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let millis = text.parse().ok().filter(|millis| WRITABLE.contains(millis))?;
        Some(Self { millis, nanos: 0, digits: 3, canonical: false })
    }

    /// Writes it in UTC with as many fraction digits as it came with.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_seconds(out, self.millis);
        if self.digits > 0 {
            let nanos = self.millis.rem_euclid(1_000) * 1_000_000 + i64::from(self.nanos);
            let drop = u32::try_from(FRACTION_DIGITS_MAX - self.digits).unwrap_or(0);
            out.push(b'.');
            write_padded(out, nanos / 10_i64.pow(drop), self.digits);
        }
        out.push(b'Z');
    }
}

/// Writes `2016-09-29T22:17:43.404Z`.
pub(crate) fn write_millis(out: &mut Vec<u8>, time: Millis) {
    Moment { millis: time, nanos: 0, digits: 3, canonical: true }.write(out);
}

/// Writes `2016.09.29`.
pub(crate) fn write_day(out: &mut Vec<u8>, days: i64) {
    write_date(out, days, b'.');
}

/// The day of a point in time, counted from 1970-01-01.
pub(crate) fn day_of(time: Millis) -> i64 {
    time.div_euclid(DAY)
}

/// The Monday of a day's week, as a day.
pub(crate) fn monday_of(days: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    days - (days + 3).rem_euclid(7)
}

/// The first day of a day's month, as a day.
pub(crate) fn first_of_month(days: i64) -> i64 {
    let (_, _, day) = date_of(days);
    days - (day - 1)
}

/// Whether a record of that time may be believed.
pub(crate) fn is_sane(time: Millis, now: Millis) -> bool {
    (SANE_FROM..=now.saturating_add(AHEAD_MAX)).contains(&time)
}

fn write_seconds(out: &mut Vec<u8>, time: Millis) {
    write_date(out, day_of(time), b'-');
    let seconds = time.rem_euclid(DAY) / 1_000;
    for (before, value) in
        [(b'T', seconds / 3_600), (b':', seconds / 60 % 60), (b':', seconds % 60)]
    {
        out.push(before);
        write_padded(out, value, 2);
    }
}

fn write_date(out: &mut Vec<u8>, days: i64, between: u8) {
    let (year, month, day) = date_of(days);
    write_padded(out, year, 4);
    out.push(between);
    write_padded(out, month, 2);
    out.push(between);
    write_padded(out, day, 2);
}

fn write_padded(out: &mut Vec<u8>, value: i64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = value;
    for digit in out.iter_mut().skip(start).rev() {
        *digit = b'0' + u8::try_from(rest.rem_euclid(10)).unwrap_or_default();
        rest /= 10;
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Splits `.404Z` into digits and zone.
fn fraction(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else { return Some((&[], text)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 || count > FRACTION_DIGITS_MAX {
        return None;
    }
    rest.split_at_checked(count)
}

fn offset_minutes(zone: &[u8]) -> Option<i64> {
    let (sign, rest) = match zone {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match *rest {
        [h, i] => ([h, i], [b'0', b'0']),
        [h, i, m, n] | [h, i, b':', m, n] => ([h, i], [m, n]),
        _ => return None,
    };
    let (hours, minutes) = (digits(&hours)?, digits(&minutes)?);
    (hours <= 18 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day; the inverse of [`days_of`].
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike, NaiveDate};

    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let written = Moment::of_text(text).map(|moment| {
            let mut out = Vec::new();
            moment.write(&mut out);
            assert!(!moment.canonical || out == text.as_bytes(), "{text}");
            String::from_utf8(out).unwrap()
        });
        assert_eq!(written.as_deref(), expected, "{text}");
    }

    #[test]
    fn texts() {
        for same in [
            "2016-09-29T22:17:43.404Z",
            "2016-09-29T22:17:43Z",
            "2016-02-29T00:00:00.000000001Z",
            "1969-12-31T23:59:59.9Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
        ] {
            check(same, Some(same));
            assert!(Moment::of_text(same).unwrap().canonical);
        }
        check("2016-09-29T22:17:43.404+02:00", Some("2016-09-29T20:17:43.404Z"));
        check("2016-09-29T22:17:43.12-0930", Some("2016-09-30T07:47:43.12Z"));
        check("2016-09-29T22:17:43+01", Some("2016-09-29T21:17:43Z"));
        check("2016-09-29 22:17:43", Some("2016-09-29T22:17:43Z"));
        check("2016-09-29t22:17:43z", Some("2016-09-29T22:17:43Z"));
        check("1475187463404", Some("2016-09-29T22:17:43.404Z"));
        check("-1", Some("1969-12-31T23:59:59.999Z"));
        for bad in [
            "",
            "now",
            "2016-09-29",
            "2015-02-29T00:00:00Z",
            "2016-13-01T00:00:00Z",
            "2016-09-29T24:00:00Z",
            "2016-09-29T22:17:60Z",
            "2016-09-29T22:17:43.Z",
            "2016-09-29T22:17:43.0123456789Z",
            "2016-09-29T22:17:43 Z",
            "2016-09-29T22:17:43+1:00",
            "0000-01-01T00:00:00+01:00",
            "99999999999999999999",
            "１475187463404",
            "+1475187463404",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn days_are_those_of_chrono() {
        for days in (-719_528..2_932_896).step_by(97) {
            let (year, month, day) = date_of(days);
            let date = NaiveDate::from_num_days_from_ce_opt(i32::try_from(days + 719_163).unwrap());
            let date = date.unwrap();
            assert_eq!(
                (year, month, day),
                (date.year().into(), date.month().into(), date.day().into())
            );
            assert_eq!(days_of(year, month, day), Some(days));
            assert_eq!(monday_of(days), days - i64::from(date.weekday().num_days_from_monday()));
            assert_eq!(first_of_month(days), days - i64::from(date.day0()));
        }
        let mut out = Vec::new();
        write_millis(&mut out, 1_475_187_463_404);
        let text = DateTime::from_timestamp_millis(1_475_187_463_404).unwrap();
        assert_eq!(out, text.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string().as_bytes());
    }
}
