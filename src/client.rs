//! A client of a stream: it listens, and when it is cut off it comes back and goes on where it was.
//!
//! In reading order: where the stream is ([`address`]), the way there ([`socket`]), what comes
//! ([`message`]), what came before ([`repeats`]), when to try again ([`backoff`]), and all of it
//! together ([`follow`]).

pub mod address;
pub mod socket;
pub mod message;
pub mod repeats;
pub mod backoff;
pub mod follow;
