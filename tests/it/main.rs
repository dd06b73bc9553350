//! The one integration binary.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod cli;
mod config;
mod real;
mod delivery;
mod control;
mod presence;
mod dictionary;
mod geo;
mod golden;
mod properties;
mod stream;

mod support;
mod verdicts;
