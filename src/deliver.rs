//! From prepared chunks to outcomes: batch, index, mirror, dead letter, settle.

pub mod index;
