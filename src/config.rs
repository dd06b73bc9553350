//! Configuration: what the files and the environment say, checked whole before anything starts.

pub mod fault;
pub mod pipeline;
pub mod settings;
