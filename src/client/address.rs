//! Where a stream is, and from where in it to listen. The token is taken out of the address, so
//! that whoever shows the address does not show the token.

use std::fmt;

use url::Url;

/// Parameters of a request that say where to begin: a client that comes back has its cursor.
const STARTS: [&str; 3] = ["cursor", "since", "earliest"];
const KEY: &str = "key";

/// Why a text is no address. It quotes nothing: the text may hold a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    #[error("this is no URL")]
    NoUrl,
    #[error("a stream's URL begins with `wss://`, `ws://`, `https://` or `http://`")]
    Scheme,
    #[error("a URL holds no user and no password here; the token has its own places")]
    User,
    #[error("a channel's name has only letters, digits, `-` and `_`")]
    Channel,
    #[error("the URL has more than one of `cursor`, `since` and `earliest`")]
    Starts,
}

/// From where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// With what comes next.
    #[default]
    Tip,
    /// With the oldest event held.
    Earliest,
    /// A time, as the server reads it.
    Since(String),
    Cursor(String),
}

/// A stream's address without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
}

/// What an address said beside where the stream is.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Taken {
    pub token: Option<String>,
    pub start: Start,
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Address {
    /// Whether a text is meant as a URL, and not as the name of a channel.
    #[must_use]
    pub fn is_url(text: &str) -> bool {
        text.contains("://")
    }

    /// Reads a URL; the token and the start are taken out of it.
    ///
    /// # Errors
    /// The text is no URL of a stream.
    pub fn read(text: &str) -> Result<(Self, Taken), AddressFault> {
        let mut url = Url::parse(text.trim()).map_err(|_quotes_it| AddressFault::NoUrl)?;
        let scheme = match url.scheme() {
            "ws" | "http" => "ws",
            "wss" | "https" => "wss",
            _ => return Err(AddressFault::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressFault::User);
        }
        url.set_scheme(scheme).map_err(|()| AddressFault::Scheme)?;
        url.set_fragment(None);
        let mut taken = Taken::default();
        let mut rest = Vec::new();
        for (name, value) in url.query_pairs() {
            let start = match &*name {
                KEY => {
                    taken.token = Some(value.into_owned());
                    continue;
                }
                "cursor" => Start::Cursor(value.into_owned()),
                "since" => Start::Since(value.into_owned()),
                "earliest" => Start::Earliest,
                _ => {
                    rest.push((name.into_owned(), value.into_owned()));
                    continue;
                }
            };
            if std::mem::replace(&mut taken.start, start) != Start::Tip {
                return Err(AddressFault::Starts);
            }
        }
        url.set_query(None);
        if !rest.is_empty() {
            url.query_pairs_mut().extend_pairs(rest);
        }
        Ok((Self { url }, taken))
    }

    /// The address of a channel on a server that is reached by `base`.
    ///
    /// # Errors
    /// `base` is no URL, or there can be no such channel.
    pub fn of_channel(base: &str, channel: &str) -> Result<Self, AddressFault> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if channel.is_empty() || !channel.chars().all(is_plain) {
            return Err(AddressFault::Channel);
        }
        let text = format!("{}/v1/streams/{channel}", base.trim_end_matches('/'));
        Self::read(&text).map(|(address, _)| address)
    }

    /// The URL to ask for, with these parameters in place of what the address itself says of them.
    #[must_use]
    pub fn request(&self, parameters: &[(&'static str, String)], start: &Start) -> Url {
        let is_ours =
            |name: &str| STARTS.contains(&name) || parameters.iter().any(|(ours, _)| *ours == name);
        let mut pairs: Vec<(String, String)> = self
            .url
            .query_pairs()
            .filter(|(name, _)| !is_ours(name))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        pairs.extend(parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        match start {
            Start::Tip => {}
            Start::Earliest => pairs.push(("earliest".to_owned(), "1".to_owned())),
            Start::Since(time) => pairs.push(("since".to_owned(), time.clone())),
            Start::Cursor(cursor) => pairs.push(("cursor".to_owned(), cursor.clone())),
        }
        let mut url = self.url.clone();
        url.set_query(None);
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        url
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.url.clone();
        shown.set_query(None);
        f.write_str(shown.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, expected: Result<(&str, Option<&str>, Start), AddressFault>| {
            let read = Address::read(text).map(|(address, taken)| {
                (address.url.as_str().to_owned(), taken.token, taken.start)
            });
            let expected = expected
                .map(|(url, token, start)| (url.to_owned(), token.map(str::to_owned), start));
            assert_eq!(read, expected, "{text}");
        };
        check("ws://h:1/v1/streams/a", Ok(("ws://h:1/v1/streams/a", None, Start::Tip)));
        check(
            "https://h/v1/streams/a?key=s%2B1&batch=1#x",
            Ok(("wss://h/v1/streams/a?batch=1", Some("s+1"), Start::Tip)),
        );
        check(
            "ws://h/ecls/subscribe/a/c?key=k&cursor=x",
            Ok(("ws://h/ecls/subscribe/a/c", Some("k"), Start::Cursor("x".to_owned()))),
        );
        check("ws://h/?earliest", Ok(("ws://h/", None, Start::Earliest)));
        check("ws://h/?earliest&since=1", Err(AddressFault::Starts));
        check("ws://user:pass@h/", Err(AddressFault::User));
        check("ftp://h/", Err(AddressFault::Scheme));
        check("://", Err(AddressFault::NoUrl));
    }

    #[test]
    fn channels() {
        let check = |base: &str, channel: &str, expected: Result<&str, AddressFault>| {
            let address = Address::of_channel(base, channel).map(|address| address.to_string());
            assert_eq!(address, expected.map(str::to_owned), "{base} {channel}");
        };
        check("wss://h/", "c_1", Ok("wss://h/v1/streams/c_1"));
        check("ws://h:9601", "c", Ok("ws://h:9601/v1/streams/c"));
        check("ws://h", "../x", Err(AddressFault::Channel));
        check("ws://h", "", Err(AddressFault::Channel));
        check("nowhere", "c", Err(AddressFault::NoUrl));
    }

    #[test]
    fn requests() {
        let (address, _) = Address::read("ws://h/s?batch=0&key=secret&other=1&since=5").unwrap();
        let check = |parameters: &[(&'static str, String)], start: Start, expected: &str| {
            assert_eq!(address.request(parameters, &start).as_str(), expected);
        };
        check(&[], Start::Tip, "ws://h/s?batch=0&other=1");
        check(&[], Start::Cursor("a b".to_owned()), "ws://h/s?batch=0&other=1&cursor=a+b");
        let batch = ("batch", "1".to_owned());
        let filter = ("filter", "status = 4xx".to_owned());
        check(
            &[batch, filter],
            Start::Earliest,
            "ws://h/s?other=1&batch=1&filter=status+%3D+4xx&earliest=1",
        );
        assert_eq!(address.to_string(), "ws://h/s");
    }
}
