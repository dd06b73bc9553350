//! The live stream: what its server does with events and clients, as plain functions.
//!
//! An event's line comes from the live topic as the pipeline wrote it. [`lines`] parses it once;
//! [`filter`] says which clients want it, [`ecls`] writes it in the format of Mashery's clients,
//! and [`cursor`] names its place, so that a client can go on from there. Nothing here awaits, reads
//! a clock or knows Kafka.

pub mod lines;
pub mod cursor;
pub mod ecls;
pub mod filter;
