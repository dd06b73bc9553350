//! Sluice turns the traffic of an API gateway into analytics.
//!
//! The modules stand in the order in which an event meets them; ARCHITECTURE.md draws the path.

// The words everyone shares.
pub mod clock;
pub mod event;
pub mod outcome;
pub mod ledger;
pub mod schema;
pub mod config;
pub mod health;
pub mod metrics;
pub mod telemetry;
pub mod kafka;
pub mod http;

// The path: bytes from Kafka, pure preparation, delivery.
pub mod source;
pub mod geo;
pub mod prepare;
pub mod deliver;
pub mod stream;
pub mod pipeline;
pub mod app;

// Beside the path.
pub mod setup;
pub mod traffic;
pub mod client;

// The command line.
pub mod cli;
