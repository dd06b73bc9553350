//! The live stream: what its server does with events and clients, as plain functions.
//!
//! [`cursor`] names an event's place in the live topic, so that a client can go on from there.
//! Nothing here awaits, reads a clock or knows Kafka.

pub mod cursor;
