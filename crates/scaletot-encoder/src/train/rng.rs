//! Independent streams of one seed.
//!
//! Each use draws from its own stream, so that a change in one (say more dropout) leaves the others (say the split) as
//! they were: runs that are compared differ in what was meant to differ.

use rand_chacha::ChaCha8Rng;
use scaletot_core::seed::numbered;

/// What a stream is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Split = 1,
    Order = 2,
    Fields = 3,
    Units = 4,
    Hard = 5,
}

pub(super) fn stream(seed: u64, stream: Stream) -> ChaCha8Rng {
    numbered(seed, stream as u64)
}
