//! The files of the shipped tasks, compiled in, so that a program that was installed needs no checkout.
//!
//! Of a task whose table is not ours to hand on, everything but the table is here; its publisher's files are passed by the user.

/// Pairs of a path below this crate and the file's bytes.
macro_rules! embed {
    ($($path:literal),+ $(,)?) => {
        [$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)).as_slice())),+]
    };
}

/// Every file of the shipped tasks, by its path below this crate.
pub(super) const FILES: [(&str, &[u8]); 21] = embed![
    "data/complete_journey.chain.toml",
    "data/complete_journey.parquet",
    "data/complete_journey.profile.toml",
    "data/complete_journey.rules.toml",
    "data/complete_journey.smollm2.jsonl.gz",
    "tasks/bank-deposit.toml",
    "tasks/bank/chain.toml",
    "tasks/bank/profile.toml",
    "tasks/bank/rules.toml",
    "tasks/complete-journey.toml",
    "tasks/hillstrom-spend.toml",
    "tasks/hillstrom-visit.toml",
    "tasks/hillstrom/chain.toml",
    "tasks/hillstrom/profile.toml",
    "tasks/hillstrom/rules.toml",
    "tasks/hillstrom/smollm2.jsonl.gz",
    "tasks/kuairand-days.toml",
    "tasks/kuairand-play.toml",
    "tasks/kuairand/chain.toml",
    "tasks/kuairand/profile.toml",
    "tasks/kuairand/rules.toml",
];
