//! Taking secrets out of an event before any output sees it.
