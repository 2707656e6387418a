//! Independent random streams of one seed.

use rand_chacha::ChaCha8Rng;
pub(crate) use scaletot_core::seed::numbered;

/// What a stream of random numbers is used for. Streams do not overlap, so drawing more for one purpose does
/// not shift another.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// Which users are held out.
    Split = 1,
    /// Order of users in an epoch.
    Shuffle = 2,
    /// Seeds of the steps of an epoch: which fields and elements are dropped, which chains are sampled.
    Steps = 3,
    /// Seed of chains that are sampled as candidates.
    Candidates = 5,
    /// Seed of the chains that are sampled for held-out users.
    HeldOutSamples = 7,
}

/// The stream of `seed` for `purpose`.
pub(crate) fn stream(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    numbered(seed, purpose as u64)
}

/// The stream of `seed` for `purpose` in one epoch, from 1: what an epoch draws does not depend on what was drawn before, so that a run
/// can be resumed in it.
pub(crate) fn of_epoch(seed: u64, purpose: Purpose, epoch: usize) -> ChaCha8Rng {
    numbered(seed, (epoch as u64) << 8 | purpose as u64)
}
