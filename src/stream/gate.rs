//! What stands before everything that costs: who sends wrong tokens too often waits, and who stands
//! behind a proxy is told from the proxy.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use ipnet::IpNet;

use crate::clock::{Clock, Millis};

use super::query::Query;
use super::request::Problem;

/// How long failures count, at least; at most twice as long.
const MINUTE: Millis = 60_000;
/// Addresses of one minute that are held. When more come the minute is over early, so that memory
/// has a bound; a token has too many bits for what is forgotten then to be of use.
const ADDRESSES_MAX: usize = 16 * 1024;

/// Wrong tokens of each address. Clones count together.
#[derive(Debug, Clone)]
pub struct Failures {
    per_minute_max: u32,
    clock: Clock,
    counts: Arc<Mutex<Counts>>,
}

/// The minute that runs, and the one before.
#[derive(Debug, Default)]
struct Counts {
    since: Millis,
    now: HashMap<IpAddr, u32>,
    before: HashMap<IpAddr, u32>,
}

impl Failures {
    #[must_use]
    pub fn new(per_minute_max: u32, clock: Clock) -> Self {
        Self { per_minute_max, clock, counts: Arc::default() }
    }

    /// To be asked before a token is looked at.
    ///
    /// # Errors
    /// The address has failed too often: 429, and when to come back.
    pub fn check(&self, address: IpAddr) -> Result<(), Problem> {
        let (counts, now) = self.counts();
        let address = block(address);
        let count = |of: &HashMap<IpAddr, u32>| of.get(&address).copied().unwrap_or_default();
        let (current, before) = (count(&counts.now), count(&counts.before));
        if current.saturating_add(before) < self.per_minute_max {
            return Ok(());
        }
        // What was counted in this minute also counts in the next.
        let minutes = if current < self.per_minute_max { 1 } else { 2 };
        let wait = counts.since + minutes * MINUTE - now;
        let detail = "too many wrong tokens came from this address";
        Err(Problem {
            retry_after: Some(u64::try_from(wait / 1000 + 1).unwrap_or(1)),
            ..Problem::new(429, "too-many-failures", detail)
        })
    }

    /// A wrong token came from the address.
    pub fn note(&self, address: IpAddr) {
        let (mut counts, now) = self.counts();
        if counts.now.len() >= ADDRESSES_MAX {
            counts.turn(now);
        }
        let count = counts.now.entry(block(address)).or_default();
        *count = count.saturating_add(1);
    }

    fn counts(&self) -> (MutexGuard<'_, Counts>, Millis) {
        // Each change is one insertion or one exchange.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if !(counts.since..counts.since + 2 * MINUTE).contains(&now) {
            *counts = Counts { since: now, ..Counts::default() };
        } else if now >= counts.since + MINUTE {
            counts.turn(now);
        }
        (counts, now)
    }
}

impl Counts {
    fn turn(&mut self, now: Millis) {
        self.before = std::mem::take(&mut self.now);
        self.since = now;
    }
}

/// What one client is taken to have: an address, or of IPv6 a /64.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

/// Clones share the failures.
#[derive(Debug, Clone)]
pub struct Gate {
    failures: Failures,
    proxies: Arc<[IpNet]>,
    key_in_query: bool,
}

impl Gate {
    /// `proxies` are believed when they say for whom they ask. Without `key_in_query` no token may
    /// stand in a URL.
    #[must_use]
    pub fn new(failures: Failures, proxies: &[IpNet], key_in_query: bool) -> Self {
        Self { failures, proxies: proxies.into(), key_in_query }
    }

    /// Lets a request of a listener on to the door; answers whose it is.
    ///
    /// # Errors
    /// A token stands in its query and must not, or its address has failed too often.
    pub fn enter(
        &self,
        peer: SocketAddr,
        headers: &HeaderMap,
        query: &Query,
    ) -> Result<SocketAddr, Problem> {
        if query.key.is_some() && !self.key_in_query {
            let detail = "a token in the URL is not taken here: send `Authorization: Bearer`";
            return Err(Problem::new(400, "key-in-query", detail));
        }
        let client = self.client(peer, headers);
        self.failures.check(client.ip())?;
        Ok(client)
    }

    /// What became of a request that was let on.
    pub fn note(&self, client: SocketAddr, problem: &Problem) {
        if problem.status == 401 {
            self.failures.note(client.ip());
        }
    }

    /// See [`Failures::check`].
    ///
    /// # Errors
    /// As there.
    pub fn check(&self, client: SocketAddr) -> Result<(), Problem> {
        self.failures.check(client.ip())
    }

    /// Whether a token may stand in a URL.
    #[must_use]
    pub fn takes_key_in_query(&self) -> bool {
        self.key_in_query
    }

    /// Whether what comes from there is believed.
    #[must_use]
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.proxies.iter().any(|network| network.contains(&address))
    }

    /// Who asks: the peer, or where that is a proxy of ours the last address of `X-Forwarded-For`
    /// that is none. Its port is not told then.
    #[must_use]
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if !self.is_proxy(peer.ip()) {
            return peer;
        }
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        let named = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
        for name in named {
            // What is no address was not said by a proxy of ours.
            let Ok(address) = name.trim().parse::<IpAddr>() else { break };
            if !self.is_proxy(address) {
                return SocketAddr::new(address, 0);
            }
        }
        peer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn failures_of_an_address_make_it_wait_and_no_other() {
        let clock = Clock::fixed(1_000_000);
        let failures = Failures::new(3, clock.clone());
        let check = |after: Millis, from: &str, expected: Option<u64>| {
            clock.set(1_000_000 + after);
            let waits = failures.check(address(from)).err().and_then(|problem| problem.retry_after);
            assert_eq!(waits, expected, "{from} after {after} ms");
        };
        for from in ["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"] {
            check(0, from, None);
            failures.note(address(from));
        }
        check(10_000, "192.0.2.1", Some(111));
        check(10_000, "192.0.2.2", None);
        // Of IPv6 a /64 is one client.
        failures.note(address("2001:db8::2"));
        failures.note(address("2001:db8::ffff:0:0:3"));
        check(10_000, "2001:db8::4", Some(111));
        check(10_000, "2001:db8:0:1::4", None);
        check(60_000, "192.0.2.1", Some(61));
        check(119_999, "192.0.2.1", Some(1));
        check(120_000, "192.0.2.1", None);
        // Two before the turn and one behind it.
        for after in [120_000, 179_000, 181_000] {
            check(after, "192.0.2.9", None);
            failures.note(address("192.0.2.9"));
        }
        check(181_000, "192.0.2.9", Some(61));
        // A clock that goes back forgets, and blocks nobody for long.
        check(-500_000, "192.0.2.9", None);
    }

    #[test]
    fn memory_has_a_bound_however_many_addresses_fail() {
        let failures = Failures::new(3, Clock::fixed(0));
        for number in 0..100_000_u32 {
            failures.note(IpAddr::from(number.to_be_bytes()));
        }
        let (counts, _) = failures.counts();
        assert!(counts.now.len() <= ADDRESSES_MAX && counts.before.len() <= ADDRESSES_MAX);
    }

    #[test]
    fn who_asks() {
        let failures = Failures::new(3, Clock::fixed(0));
        let proxies = ["10.0.0.0/8".parse().unwrap(), "fd00::1/128".parse().unwrap()];
        let gate = Gate::new(failures, &proxies, true);
        let check = |peer: &str, lines: &[&str], expected: &str| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let client = gate.client(SocketAddr::new(address(peer), 7), &headers);
            assert_eq!(client.ip(), address(expected), "{peer} {lines:?}");
        };
        check("192.0.2.1", &["198.51.100.1"], "192.0.2.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        // What the client itself claims stands before what the proxies say.
        check("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"], "198.51.100.1");
        check("fd00::1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["198.51.100.1, nonsense"], "10.0.0.1");
        check("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.1");
    }

    #[test]
    fn a_key_in_the_query_may_be_refused_unseen() {
        let headers = HeaderMap::new();
        let peer = SocketAddr::new(address("192.0.2.1"), 7);
        let check = |key_in_query: bool, query: &str, expected: Option<&str>| {
            let gate = Gate::new(Failures::new(3, Clock::fixed(0)), &[], key_in_query);
            let query = Query::read(query).unwrap();
            let kind = gate.enter(peer, &headers, &query).err().map(|problem| problem.kind);
            assert_eq!(kind, expected);
        };
        check(true, "key=k", None);
        check(false, "", None);
        check(false, "key=k", Some("key-in-query"));
        check(false, "key=", Some("key-in-query"));
    }
}
