//! What the system says of another process.

use std::fs;

/// CPU time of all threads, user and system, in seconds (proc(5), `stat` fields 14 and 15).
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat[stat.rfind(')').unwrap()..].split_whitespace().collect();
    let ticks = |field: usize| fields[field - 2].parse::<f64>().unwrap();
    // `USER_HZ` is 100 on every architecture that we build for.
    (ticks(14) + ticks(15)) / 100.0
}

/// Anonymous resident memory in bytes (proc(5), `status`, `RssAnon`).
pub(crate) fn anonymous_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or("0");
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1_024
}

/// Asks a process to end.
pub(crate) fn terminate(pid: i32) {
    assert!(std::process::Command::new("kill").arg(pid.to_string()).status().unwrap().success());
}
