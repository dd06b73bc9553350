//! Whatever the filter and the event: the answer is that of an evaluator without slots, tables and
//! prepared needles, over another parser's values.

use std::net::{IpAddr, Ipv6Addr};

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A filter as it is meant.
#[derive(Debug, Clone)]
enum Meant {
    All(Vec<Meant>),
    Any(Vec<Meant>),
    Not(Box<Meant>),
    Compare { field: usize, operator: &'static str, values: Vec<&'static str> },
}

struct Field {
    name: &'static str,
    path: &'static [&'static str],
    sort: Sort,
}

#[derive(Clone, Copy, PartialEq)]
enum Sort {
    Text,
    Number,
    Time,
    Address,
}

const FIELDS: [Field; 11] = [
    Field { name: "api_name", path: &["api_name"], sort: Sort::Text },
    Field { name: "tags", path: &["tags"], sort: Sort::Text },
    Field { name: "latency_info.task", path: &["latency_info", "task"], sort: Sort::Text },
    Field {
        name: "request_http_headers.X-A",
        path: &["request_http_headers", "x-a"],
        sort: Sort::Text,
    },
    Field { name: "h.user_agent", path: &["h", "user_agent"], sort: Sort::Text },
    Field { name: "bytes_sent", path: &["bytes_sent"], sort: Sort::Number },
    Field { name: "billing.amount", path: &["billing", "amount"], sort: Sort::Number },
    Field { name: "latency_info.started", path: &["latency_info", "started"], sort: Sort::Number },
    Field { name: "h.retries", path: &["h", "retries"], sort: Sort::Number },
    Field { name: "datetime", path: &["datetime"], sort: Sort::Time },
    Field { name: "client_ip", path: &["client_ip"], sort: Sort::Address },
];

const TEXTS: [&str; 10] = ["", "a", "ab", "AB", "abc", "b c", "ä", "7", "true", "\"\\*"];
const NUMBERS: [&str; 9] =
    ["0", "1", "-1", "1.5", "2", "2.0", "9007199254740993", "9007199254740992", "1e3"];
const TIMES: [&str; 4] = [
    "2026-01-15T10:00:00Z",
    "2026-01-15T10:00:00.001Z",
    "2026-01-15T10:00:00.0015Z",
    "2026-01-15T11:00:00+01:00",
];
const ADDRESSES: [&str; 8] = [
    "10.0.0.1",
    "10.0.0.0/8",
    "10.0.0.2/31",
    "0.0.0.0/0",
    "::/0",
    "::ffff:10.0.0.1",
    "2001:db8::1",
    "2001:db8::/33",
];

impl Sort {
    fn values(self) -> &'static [&'static str] {
        match self {
            Self::Text => &TEXTS,
            Self::Number => &NUMBERS,
            Self::Time => &TIMES,
            Self::Address => &ADDRESSES,
        }
    }

    fn operators(self) -> &'static [&'static str] {
        match self {
            Self::Text => {
                &["=", "!=", "in", "exists", "prefix", "prefix~", "contains", "contains~"]
            }
            Self::Number | Self::Time => &["=", "!=", "in", "exists", "<", "<=", ">", ">="],
            Self::Address => &["=", "!=", "in", "exists"],
        }
    }
}

impl Meant {
    fn text(&self) -> String {
        let join = |parts: &[Self], word: &str| {
            let parts: Vec<_> = parts.iter().map(Self::text).collect();
            format!("({})", parts.join(word))
        };
        match self {
            Self::All(parts) => join(parts, " and "),
            Self::Any(parts) => join(parts, " or "),
            Self::Not(part) => format!("not {}", part.text()),
            Self::Compare { field, operator, values } => {
                let values: Vec<_> = values
                    .iter()
                    .map(|value| {
                        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
                    })
                    .collect();
                let operand = match *operator {
                    "exists" => String::new(),
                    "in" => format!("({})", values.join(",")),
                    _ => values[0].clone(),
                };
                format!("{} {operator} {operand}", FIELDS[*field].name)
            }
        }
    }

    fn holds(&self, event: &Value) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(event)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(event)),
            Self::Not(part) => !part.holds(event),
            Self::Compare { field, operator, values } => {
                let field = &FIELDS[*field];
                let mut found = Vec::new();
                collect(event, field.path, *operator == "exists", &mut found);
                let any = |operator: &str, wanted: &str| {
                    found.iter().any(|value| compare(field.sort, value, operator, wanted))
                };
                match *operator {
                    "exists" => !found.is_empty(),
                    "!=" => !any("=", values[0]),
                    "in" => values.iter().any(|wanted| any("=", wanted)),
                    operator => any(operator, values[0]),
                }
            }
        }
    }
}

/// The texts of all scalars at a path but `null`, whatever lists are on the way; of objects, too,
/// where they count. (None of the objects here is empty.)
fn collect(value: &Value, path: &[&str], objects: bool, found: &mut Vec<String>) {
    match (value, path) {
        (Value::Array(elements), _) => {
            elements.iter().for_each(|element| collect(element, path, objects, found));
        }
        (Value::Object(members), [name, rest @ ..]) => {
            members.get(*name).into_iter().for_each(|member| collect(member, rest, objects, found));
        }
        (Value::Object(_), []) if objects => found.push(value.to_string()),
        (Value::Null, _) | (_, [_, ..]) | (Value::Object(_), []) => {}
        (Value::String(text), []) => found.push(text.clone()),
        (scalar, []) => found.push(scalar.to_string()),
    }
}

fn compare(sort: Sort, value: &str, operator: &str, wanted: &str) -> bool {
    let order = match sort {
        Sort::Text => {
            let lower = |text: &str| text.to_ascii_lowercase();
            return match operator {
                "prefix" => value.starts_with(wanted),
                "prefix~" => lower(value).starts_with(&lower(wanted)),
                "contains" => value.contains(wanted),
                "contains~" => lower(value).contains(&lower(wanted)),
                _ => value == wanted,
            };
        }
        Sort::Address => return value.parse().is_ok_and(|address| is_in(address, wanted)),
        Sort::Number => {
            if serde_json::from_str::<serde_json::Number>(value).is_err() {
                return false;
            }
            match (value.parse::<i64>(), wanted.parse::<i64>()) {
                (Ok(value), Ok(wanted)) => Some(value.cmp(&wanted)),
                _ => value.parse::<f64>().unwrap().partial_cmp(&wanted.parse().unwrap()),
            }
        }
        Sort::Time => {
            let millis = |text: &str| {
                let time = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis());
                time.ok().or_else(|| text.parse().ok())
            };
            millis(value).map(|millis_of| millis_of.cmp(&millis(wanted).unwrap()))
        }
    };
    order.is_some_and(|order| match operator {
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        _ => order.is_eq(),
    })
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    }
}

fn is_in(address: IpAddr, network: &str) -> bool {
    let (first, length) = network.split_once('/').unwrap_or((network, ""));
    let first: IpAddr = first.parse().unwrap();
    let width = if first.is_ipv4() { 32 } else { 128 };
    let host_bits = width - length.parse().unwrap_or(width);
    let shifted = |bits: u128| bits.checked_shr(host_bits).unwrap_or(0);
    shifted(bits(address)) == shifted(bits(first))
}

fn meant() -> impl Strategy<Value = Meant> {
    let comparison = (0..FIELDS.len()).prop_flat_map(|field| {
        let sort = FIELDS[field].sort;
        (
            proptest::sample::select(sort.operators()),
            proptest::collection::vec(proptest::sample::select(sort.values()), 1..4),
        )
            .prop_map(move |(operator, values)| Meant::Compare { field, operator, values })
    });
    comparison.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Meant::All),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Meant::Any),
            inner.prop_map(|part| Meant::Not(Box::new(part))),
        ]
    })
}

/// A value that a field of this sort may hold, or by mistake does.
fn value(sort: Sort) -> BoxedStrategy<Value> {
    let texts: Vec<&str> = sort.values().iter().copied().chain(["", "a", "7"]).collect();
    let text = proptest::sample::select(texts);
    let as_number =
        |text: &str| text.parse::<serde_json::Number>().map_or(Value::Null, Value::Number);
    let scalar = prop_oneof![
        6 => text.clone().prop_map(Value::from),
        4 => text.prop_map(as_number),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!({"a": 1})),
    ];
    prop_oneof![
        3 => scalar.clone(),
        1 => proptest::collection::vec(scalar, 0..3).prop_map(Value::from),
    ]
    .boxed()
}

fn event() -> impl Strategy<Value = Value> {
    let values = |sort| proptest::collection::vec(proptest::option::of(value(sort)), 5);
    (
        values(Sort::Text),
        values(Sort::Number),
        proptest::option::of(value(Sort::Time)),
        proptest::option::of(value(Sort::Address)),
    )
        .prop_map(|(texts, numbers, time, address)| {
            let object = |members: Vec<(&str, Option<Value>)>| {
                let members = members.into_iter();
                members
                    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            };
            let mut texts = texts.into_iter();
            let mut numbers = numbers.into_iter();
            let mut text = || texts.next().flatten();
            let mut number = || numbers.next().flatten();
            let step = object(vec![("task", text()), ("started", number())]);
            object(vec![
                ("api_name", text()),
                ("tags", text()),
                ("latency_info", Some(json!([step, {"task": "ab", "started": 1}, 7]))),
                ("request_http_headers", Some(object(vec![("x-a", text())]))),
                ("h", Some(object(vec![("user_agent", text()), ("retries", number())]))),
                ("bytes_sent", number()),
                ("billing", Some(object(vec![("amount", number())]))),
                ("datetime", time),
                ("client_ip", address),
            ])
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn answers_are_those_of_a_naive_evaluator(meant in meant(), event in event()) {
        let text = meant.text();
        match Filter::parse(&text, &known()) {
            Ok(_) => {
                let event_text = event.to_string();
                prop_assert_eq!(matches(&text, &event_text), meant.holds(&event), "{}", text);
            }
            // Random conditions contradict each other now and then.
            Err(error) => {
                let known = ["in all its ranges", "the opposite", "more than 64 comparisons"];
                let is_known = known.iter().any(|known| error.message.contains(known));
                prop_assert!(is_known, "{}: {}", text, error);
            }
        }
    }

    #[test]
    fn any_text_is_a_filter_or_an_error(
        parts in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(vec![
                    "status", "api_name", "client_ip", "h", "x", " ", "=", "!=", "<", ":", "(", ")",
                    "and", "or", "not", "in", "prefix~", "exists", "\"", "\\", "*", "4xx", ",",
                ]).prop_map(str::to_owned),
                ".{0,3}",
            ],
            0..12,
        ),
    ) {
        let text = parts.concat();
        if let Err(error) = Filter::parse(&text, &known()) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.character), "{}", text);
        }
        let spaced = parts.join(" ");
        if let Err(error) = Filter::parse(&spaced, &known()) {
            prop_assert!((1..=spaced.chars().count() + 1).contains(&error.character), "{}", spaced);
        }
    }
}
