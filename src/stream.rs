//! Call Log Streams: whoever holds an access token hears the calls of their area as they happen.
//!
//! In reading order: the live topic is read ([`live`]) into one ring ([`ring`]); a listener comes
//! ([`server`], `listen`, [`request`], [`query`]) and listens ([`session`]) from its place on, out of the ring or, where
//! that has moved on, out of Kafka again ([`catch_up`]). What it asks for ([`wish`]) decides which
//! events go out ([`select`], [`filter`]) and what they look like ([`shape`], [`project`], [`ecls`]);
//! that is made once for all who ask for the same and kept beside the record ([`block`],
//! [`frames`]), until the stream ends ([`end`]).

use std::sync::{Mutex, MutexGuard, PoisonError};

pub mod topic_id;
pub mod live;
pub mod block;
pub mod place;
pub mod upstream;
pub mod ring;
pub mod frames;
pub mod shape;
pub mod select;
pub mod project;
pub mod dictionary;
pub mod catch_up;
pub mod origins;
pub mod request;
pub mod query;
pub mod wish;
pub mod ws;
pub mod connections;
pub mod session;
pub mod end;
pub mod io;
pub mod server;
pub mod turn_away;
mod listen;
pub mod ids;
mod versioned;
mod writer;
pub mod control;
pub mod presence;
pub mod door;
pub mod gate;
pub mod lines;
pub mod cursor;
pub mod seal;
pub mod filter;
pub mod ecls;
pub mod api;

/// Locks what stays right whatever a panic left undone, since each change is whole or made again.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
