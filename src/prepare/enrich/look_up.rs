//! The stage: the look-ups of one event, their outcomes and the geo objects that come of them.

use std::net::IpAddr;
use std::ops::Range;

use crate::prepare::GeoOutcome;
use crate::prepare::geo::{Cache, Databases, Keys};
use crate::prepare::plan::{GeoPlan, Output, Plan};
use crate::prepare::redact::Redacted;
use crate::prepare::stamp::{Stamped, Surveyed};
use crate::prepare::trim::Pass;
use crate::schema::GEO_KEYS;

use super::{address, write_address, write_geo};

/// An event after its look-ups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Enriched<'a> {
    pub(crate) stamped: Stamped<'a>,
    pub(crate) places: &'a Places,
}

/// What the look-ups of one event found; used again for every event.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) found: Vec<Found>,
    text: Vec<u8>,
}

/// One look-up.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) outcome: GeoOutcome,
    /// The geo object for each output; empty where nothing of it goes out.
    objects: [Range<usize>; 2],
}

impl Places {
    /// Looks up every pair of the plan.
    pub(crate) fn take(
        &mut self,
        event: &Surveyed<'_>,
        plan: &Plan,
        databases: &Databases,
        cache: &mut Cache,
    ) {
        self.found.clear();
        self.text.clear();
        for pair in &plan.geo {
            let found = self.look_up(event, (plan, pair), databases, cache);
            self.found.push(found);
        }
    }

    /// The geo object of a pair that hit.
    pub(crate) fn object(&self, pair: usize, output: Output) -> &[u8] {
        let [index, live] = match self.found.get(pair) {
            Some(found) => &found.objects,
            None => return &[],
        };
        let range = match output {
            Output::Index => index,
            Output::Live => live,
        };
        self.text.get(range.clone()).unwrap_or_default()
    }

    pub(crate) fn hit(&self, pair: usize) -> bool {
        self.found.get(pair).is_some_and(|found| found.outcome == GeoOutcome::Hit)
    }

    fn look_up(
        &mut self,
        event: &Surveyed<'_>,
        (plan, pair): (&Plan, &GeoPlan),
        databases: &Databases,
        cache: &mut Cache,
    ) -> Found {
        let nothing = |outcome| Found { outcome, objects: [0..0, 0..0] };
        let address = match read(event, plan, pair) {
            Ok(address) => address,
            Err(outcome) => return nothing(outcome),
        };
        let (outcome, fragment) = databases.locate(address, cache);
        let Some(fragment) = fragment else { return nothing(outcome) };
        let mut write = |output| {
            let keys = keys(plan.pass(pair.into, output));
            let start = self.text.len();
            if !keys.is_empty() {
                let ip = private_ip(plan, pair, address);
                let shown = if ip.is_some() { keys.without(Keys::IP) } else { keys };
                write_geo(&mut self.text, address, fragment, shown);
                if let (Some(ip), true) = (ip, keys.has(Keys::IP)) {
                    insert_ip(&mut self.text, start, &ip);
                }
            }
            start..self.text.len()
        };
        let index = write(Output::Index);
        let live = if plan.same_exports { index.clone() } else { write(Output::Live) };
        Found { outcome, objects: [index, live] }
    }
}

fn read(event: &Surveyed<'_>, plan: &Plan, pair: &GeoPlan) -> Result<IpAddr, GeoOutcome> {
    let Some(at) = event.find(&pair.from) else { return Err(GeoOutcome::Absent) };
    match event.object.string(at) {
        Some("") => Err(GeoOutcome::Absent),
        Some(text) => {
            address(text, plan.trusted_proxies).map_err(|_not_an_address| GeoOutcome::Invalid)
        }
        None if event.object.is_null(at) => Err(GeoOutcome::Absent),
        None => Err(GeoOutcome::Invalid),
    }
}

fn keys(pass: &Pass) -> Keys {
    if pass.is_whole() {
        return Keys::all();
    }
    let each = GEO_KEYS.iter().enumerate();
    let passing = each.filter(|(_, (name, _))| !pass.part(name).is_drop());
    passing.fold(Keys::none(), |keys, (place, _)| keys.with(place))
}

/// What stands for the address where addresses are private or a rule is for this one: `None` as it is, else the text, empty
/// where there shall be none.
fn private_ip(plan: &Plan, pair: &GeoPlan, address: IpAddr) -> Option<String> {
    let handling = pair.ip?;
    let mut text = Vec::new();
    write_address(&mut text, address);
    let text = String::from_utf8(text).unwrap_or_default();
    let mut covered = String::new();
    match plan.redactor.handled(handling, &text, &mut covered) {
        Redacted::Same => Some(text),
        Redacted::Changed => Some(covered),
        Redacted::Removed => Some(String::new()),
    }
}

/// Puts `"ip"` in front of the members of the object that begins at `start`. Covered addresses
/// hold nothing that JSON escapes.
fn insert_ip(out: &mut Vec<u8>, start: usize, ip: &str) {
    if ip.is_empty() {
        return;
    }
    let is_empty = out.get(start + 1) == Some(&b'}');
    let member = format!("\"ip\":\"{ip}\"{}", if is_empty { "" } else { "," });
    out.splice(start + 1..start + 1, member.bytes());
}
