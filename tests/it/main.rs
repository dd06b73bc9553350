//! The one integration binary.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod config;
mod real;

mod support;
mod verdicts;
