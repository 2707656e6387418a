//! What a figure was made with and where.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

/// Processor and threads.
#[must_use]
pub(crate) fn machine(workers: usize) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, name)| name);
    let cores = available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    format!("{model}, {cores} cores, {workers} threads used")
}

/// Commit of the checkout that the program is run in, with `-dirty` if files differ from it; outside a checkout `None`.
#[must_use]
pub(crate) fn commit() -> Option<String> {
    let output =
        Command::new("git").args(["describe", "--always", "--dirty", "--exclude", "*"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
