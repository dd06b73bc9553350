//! Tests against real servers: those that `./dev env` names. Without them each says loudly that it
//! did not run; where `SLUICE_REQUIRE_SERVERS` is set, a missing server is a failure.

mod analytics;
mod conflict;
mod crash;
mod drain;
mod faults;
mod geo;
mod index;
mod mixed;
mod presence;
mod prometheus;
mod setup;
mod stream;
pub(crate) mod world;
