//! From prepared chunks to outcomes: batch, index, mirror, dead letter, settle.

pub mod batch;
pub mod index;
pub mod mirror;
pub mod upstream;
pub mod dead_letter;
pub mod producer;
pub mod settle;
