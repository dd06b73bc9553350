//! The binary: parses the command line, runs it, says how it ended.

fn main() {}
