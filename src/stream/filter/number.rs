//! Ranges of numbers. An integer of 64 bits is compared as one, since a double would round it; all
//! else is compared as a double.

use crate::prepare::parse::numbers;

/// From here on a double is beyond every 64-bit integer.
const INTEGERS_END: f64 = 9_223_372_036_854_775_808.0;

/// Which numbers a field can hold: those that the index takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limits {
    Integer,
    Long,
    Double,
    /// The three digits that `status_code` begins with.
    Status,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    /// Whatever is no 64-bit integer by its text.
    Double(f64),
}

/// Numbers from one bound to the other, for integers and for doubles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    /// Both inclusive; empty where the first is the larger.
    integers: (i64, i64),
    from: f64,
    to: f64,
    /// Whether `from` and `to` themselves are within.
    includes: (bool, bool),
}

/// How a field is compared with one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Number {
    /// Reads what is a JSON number from end to end.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        if numbers::length(text.as_bytes()) != Some(text.len()) {
            return None;
        }
        match text.parse() {
            Ok(integer) => Some(Self::Integer(integer)),
            Err(_) => text.parse().ok().map(Self::Double),
        }
    }
}

impl Range {
    const ALL: Self = Self {
        integers: (i64::MIN, i64::MAX),
        from: f64::NEG_INFINITY,
        to: f64::INFINITY,
        includes: (true, true),
    };

    /// The integers from one to another, both included.
    pub(super) const fn integers(from: i64, to: i64) -> Self {
        Self { integers: (from, to), from: from as f64, to: to as f64, includes: (true, true) }
    }

    /// `4xx`
    pub(super) fn of_class(digit: u8) -> Self {
        let first = i64::from(digit) * 100;
        Self::integers(first, first + 99)
    }

    pub(super) fn of_limits(limits: Limits) -> Self {
        match limits {
            Limits::Integer => Self {
                to: f64::from(i32::MAX) + 1.0,
                includes: (true, false),
                ..Self::integers(i32::MIN.into(), i32::MAX.into())
            },
            Limits::Long => {
                Self { from: -INTEGERS_END, to: INTEGERS_END, includes: (true, false), ..Self::ALL }
            }
            Limits::Double => Self { includes: (false, false), ..Self::ALL },
            Limits::Status => Self::integers(100, 999),
        }
    }

    /// The numbers that stand in this order to another.
    pub(super) fn new(order: Order, number: Number) -> Self {
        let (double, first, last) = match number {
            Number::Integer(integer) => (integer as f64, Some(integer), Some(integer)),
            Number::Double(double) => (double, at_or_above(double), at_or_below(double)),
        };
        let (below, above) = if first == last {
            let integer = first;
            (integer.and_then(|i| i.checked_sub(1)), integer.and_then(|i| i.checked_add(1)))
        } else {
            (last, first)
        };
        let up_to = |last: Option<i64>| last.map_or((1, 0), |last| (i64::MIN, last));
        let down_to = |first: Option<i64>| first.map_or((1, 0), |first| (first, i64::MAX));
        match order {
            Order::Equal => Self {
                integers: first.zip(last).unwrap_or((1, 0)),
                from: double,
                to: double,
                includes: (true, true),
            },
            Order::Less => {
                Self { integers: up_to(below), to: double, includes: (true, false), ..Self::ALL }
            }
            Order::LessEqual => Self { integers: up_to(last), to: double, ..Self::ALL },
            Order::Greater => Self {
                integers: down_to(above),
                from: double,
                includes: (false, true),
                ..Self::ALL
            },
            Order::GreaterEqual => Self { integers: down_to(first), from: double, ..Self::ALL },
        }
    }

    #[inline]
    pub(super) fn holds_integer(&self, integer: i64) -> bool {
        self.integers.0 <= integer && integer <= self.integers.1
    }

    #[inline]
    pub(super) fn holds_double(&self, double: f64) -> bool {
        let is_from = if self.includes.0 { double >= self.from } else { double > self.from };
        let is_to = if self.includes.1 { double <= self.to } else { double < self.to };
        is_from && is_to
    }

    /// The numbers that are in both.
    pub(super) fn and(&self, other: &Self) -> Self {
        let starts_later = self.from > other.from || self.from == other.from && !self.includes.0;
        let ends_earlier = self.to < other.to || self.to == other.to && !self.includes.1;
        let from = if starts_later { self } else { other };
        let to = if ends_earlier { self } else { other };
        Self {
            integers: (
                self.integers.0.max(other.integers.0),
                self.integers.1.min(other.integers.1),
            ),
            from: from.from,
            to: to.to,
            includes: (from.includes.0, to.includes.1),
        }
    }

    /// The smallest range that holds both.
    pub(super) fn hull(&self, other: &Self) -> Self {
        let start = if self.from <= other.from { self } else { other };
        let end = if self.to >= other.to { self } else { other };
        let integers = match (self.integers, other.integers) {
            (integers, (from, to)) | ((from, to), integers) if from > to => integers,
            (one, two) => (one.0.min(two.0), one.1.max(two.1)),
        };
        // Included where in doubt: a hull that is too large only overlooks a contradiction.
        Self { integers, from: start.from, to: end.to, includes: (true, true) }
    }

    pub(super) fn is_empty(&self) -> bool {
        let has_doubles =
            self.from < self.to || self.from == self.to && self.includes.0 && self.includes.1;
        !self.has_integers() && !has_doubles
    }

    pub(super) fn has_integers(&self) -> bool {
        self.integers.0 <= self.integers.1
    }
}

/// The least 64-bit integer that is not below a double.
fn at_or_above(double: f64) -> Option<i64> {
    if double < -INTEGERS_END { Some(i64::MIN) } else { exact(double.ceil()) }
}

/// The greatest 64-bit integer that is not above a double.
fn at_or_below(double: f64) -> Option<i64> {
    if double >= INTEGERS_END { Some(i64::MAX) } else { exact(double.floor()) }
}

fn exact(whole: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and within the range")]
    (-INTEGERS_END..INTEGERS_END).contains(&whole).then_some(whole as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: [Order; 5] =
        [Order::Equal, Order::Less, Order::LessEqual, Order::Greater, Order::GreaterEqual];

    fn holds(range: &Range, number: Number) -> bool {
        match number {
            Number::Integer(integer) => range.holds_integer(integer),
            Number::Double(double) => range.holds_double(double),
        }
    }

    /// `texts` in ascending order, none equal to another.
    #[test]
    fn ranges_order_all_numbers() {
        let texts = [
            "-1e300",
            "-9223372036854775808",
            "-9223372036854775807",
            "-1.5",
            "-1",
            "0",
            "0.5",
            "1",
            "1.5",
            "2",
            "9007199254740992",
            "9007199254740993",
            "9223372036854775806",
            "9223372036854775807",
            "1e19",
            "1e300",
        ];
        for (here, text) in texts.iter().enumerate() {
            for (there, other) in texts.iter().enumerate() {
                let (text, other) =
                    (Number::of_text(text).unwrap(), Number::of_text(other).unwrap());
                let expected =
                    [here == there, here < there, here <= there, here > there, here >= there];
                for (order, expected) in ORDERS.into_iter().zip(expected) {
                    let found = holds(&Range::new(order, other), text);
                    assert_eq!(found, expected, "{text:?} {order:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn spellings_of_one_number_are_equal() {
        for (one, other) in
            [("2", "2.0"), ("2.0", "2"), ("2e0", "2.00"), ("-0", "0.0"), ("1e3", "1000")]
        {
            let (one, other) = (Number::of_text(one).unwrap(), Number::of_text(other).unwrap());
            for (order, expected) in ORDERS.into_iter().zip([true, false, true, false, true]) {
                assert_eq!(holds(&Range::new(order, other), one), expected, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn only_numbers_of_json() {
        for bad in ["", "+5", "5 ", ".5", "0x10", "NaN", "inf", "1_000", "5m"] {
            assert_eq!(Number::of_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn emptiness() {
        let check = |parts: &[(Order, &str)], limits: Limits, expected: bool| {
            let range = parts.iter().fold(Range::of_limits(limits), |range, (order, text)| {
                range.and(&Range::new(*order, Number::of_text(text).unwrap()))
            });
            assert_eq!(range.is_empty(), expected, "{parts:?}");
        };
        use Order::{Equal, Greater, GreaterEqual, Less, LessEqual};
        check(&[(Greater, "5"), (Less, "3")], Limits::Long, true);
        check(&[(Greater, "5"), (Less, "5")], Limits::Long, true);
        check(&[(GreaterEqual, "5"), (Less, "5")], Limits::Long, true);
        check(&[(GreaterEqual, "5"), (LessEqual, "5")], Limits::Long, false);
        // The index takes 5.5 for a `long`.
        check(&[(Greater, "5"), (Less, "6")], Limits::Long, false);
        check(&[(Equal, "5"), (Equal, "6")], Limits::Double, true);
        check(&[(Equal, "5"), (Equal, "5.0")], Limits::Double, false);
        check(&[(Greater, "2147483647")], Limits::Integer, false);
        check(&[(Greater, "2147483648")], Limits::Integer, true);
        check(&[(Greater, "9223372036854775808")], Limits::Long, true);
        check(&[(Less, "-9223372036854775808")], Limits::Long, true);
        check(&[(Greater, "1e308")], Limits::Double, false);
        check(&[(Equal, "1e999")], Limits::Double, true);
        check(&[(Less, "100")], Limits::Status, true);
        check(&[(Greater, "998")], Limits::Status, false);
    }

    #[test]
    fn hulls() {
        let of = |order, text| Range::new(order, Number::of_text(text).unwrap());
        let hull = of(Order::Equal, "5").hull(&of(Order::Equal, "7.5"));
        assert!(holds(&hull, Number::Integer(5)) && holds(&hull, Number::Double(7.5)));
        assert!(!holds(&hull, Number::Integer(4)) && !holds(&hull, Number::Double(7.6)));
    }
}
