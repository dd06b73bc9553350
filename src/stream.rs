//! Call Log Streams: the live events of an area for whoever holds its channel's token.

pub mod ids;
mod versioned;
pub mod control;
pub mod presence;
