//! What a server says: events in their envelope, and what it says of the stream itself.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One message. What a newer server may say beside it is passed over.
#[derive(Debug)]
pub enum Message<'a> {
    /// Some events as they came, byte for byte, and the cursor behind the last of them. Mashery's
    /// format has none.
    Events {
        cursor: Option<Cow<'a, str>>,
        events: Vec<&'a RawValue>,
    },
    Status(Status),
    Gap(Gap),
    /// The last message.
    Error(Farewell),
    Other,
}

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// Behind everything that was written.
    #[serde(default)]
    pub cursor: Option<String>,
    #[serde(default)]
    pub tip: Option<String>,
    /// `None` while the server has not looked.
    #[serde(default)]
    pub lag_events: Option<u64>,
}

impl Status {
    /// From where a client may go on that has heard everything before this message; `None` where a
    /// server does not say.
    #[must_use]
    pub fn place(self) -> Option<String> {
        self.cursor.or(self.tip.filter(|_| self.lag_events == Some(0)))
    }
}

/// What the client does not get.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Gap {
    pub cause: String,
    /// Events; `None` where nobody can know.
    #[serde(default)]
    pub count: Option<u64>,
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    pub to: Option<String>,
}

/// Why the stream ends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Farewell {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub detail: String,
    /// Whether to come back.
    #[serde(default)]
    pub retry: bool,
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    /// From where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
}

impl Farewell {
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }
}

#[derive(Debug, Deserialize)]
struct Envelope<'a> {
    #[serde(default, borrow)]
    cursor: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    data: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    gap: Option<Gap>,
    #[serde(default)]
    error: Option<Farewell>,
}

/// Reads a message.
///
/// # Errors
/// It is no JSON object, or one of its parts is not what it should be. The error quotes no event.
pub fn read(text: &[u8]) -> Result<Message<'_>, serde_json::Error> {
    let envelope: Envelope<'_> = serde_json::from_slice(text)?;
    Ok(match envelope {
        Envelope { data: Some(events), cursor, .. } => Message::Events { cursor, events },
        Envelope { gap: Some(gap), .. } => Message::Gap(gap),
        Envelope { error: Some(farewell), .. } => Message::Error(farewell),
        Envelope { status: Some(status), .. } => Message::Status(status),
        _ => Message::Other,
    })
}

/// The key to drop repeats by; `None` where the event was asked for without it.
#[must_use]
pub fn event_id(event: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Identified<'a> {
        #[serde(default, borrow)]
        event_id: Option<Cow<'a, str>>,
    }
    // An event that is no object, or whose id is no text, has none.
    serde_json::from_str::<Identified<'_>>(event).ok()?.event_id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let check = |text: &str, expected: &str| {
            let told = match read(text.as_bytes()) {
                Ok(Message::Events { cursor, events }) => {
                    let events: Vec<_> = events.iter().map(|event| event.get()).collect();
                    format!("{} {}", cursor.unwrap_or_default(), events.join(" "))
                }
                Ok(Message::Status(status)) => format!("status {:?}", status.place()),
                Ok(Message::Gap(gap)) => format!("gap {} {:?}", gap.cause, gap.count),
                Ok(Message::Error(end)) => {
                    format!("error {} {} {:?}", end.kind, end.retry, end.retry_after())
                }
                Ok(Message::Other) => "other".to_owned(),
                Err(_) => "fault".to_owned(),
            };
            assert_eq!(told, expected, "{text}");
        };
        check(
            r#"{"cursor":"c","data":[{"a":1.50,"b":"\u0041"},7]}"#,
            r#"c {"a":1.50,"b":"\u0041"} 7"#,
        );
        check(r#"{"data":[]}"#, " ");
        check(r#"{"status":{"tip":"t","lag_events":0,"new":1}}"#, r#"status Some("t")"#);
        check(r#"{"status":{"tip":"t","lag_events":3}}"#, "status None");
        check(r#"{"status":{"cursor":"c","tip":"t","lag_events":3}}"#, r#"status Some("c")"#);
        check(r#"{"status":{"tip":"t","lag_events":null}}"#, "status None");
        check(r#"{"gap":{"cause":"retention","count":null,"from":"a"}}"#, "gap retention None");
        check(r#"{"gap":{"cause":"sampled","count":7}}"#, "gap sampled Some(7)");
        check(
            r#"{"error":{"type":"restart","retry":true,"retry_after_ms":1000,"cursor":"c"}}"#,
            "error restart true Some(1s)",
        );
        check(r#"{"error":{"type":"revoked"}}"#, "error revoked false None");
        check(r#"{"news":1}"#, "other");
        check(r#"{"gap":7}"#, "fault");
        check("hello", "fault");
    }

    #[test]
    fn ids() {
        let check = |event: &str, expected: Option<&str>| {
            assert_eq!(event_id(event).as_deref(), expected, "{event}");
        };
        check(r#"{"a":[1],"event_id":"x"}"#, Some("x"));
        check(r#"{"event_id":"\u0041"}"#, Some("A"));
        check(r#"{"event_id":7}"#, None);
        check("{}", None);
        check("7", None);
    }
}
