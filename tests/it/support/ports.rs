//! Ports for servers that are told theirs.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those of `./dev`'s servers, and far below those that the system gives to clients (from
/// 32768 on): of these a port that is free now may be somebody's a moment later.
const FIRST: u32 = 10_000;
const COUNT: u32 = 10_000;

/// A port of 127.0.0.1 that nobody listens on, and that no other call of this process answers soon.
pub(crate) fn free_port() -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    loop {
        // Processes that run at the same time begin at places that are far from each other.
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let place = std::process::id().wrapping_mul(397).wrapping_add(call) % COUNT;
        let port = u16::try_from(FIRST + place).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
