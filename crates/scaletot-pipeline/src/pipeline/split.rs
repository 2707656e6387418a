//! Who is served, who is trained on and who is held out.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use scaletot_profile::Dataset;

use super::config::PipelineConfig;
use crate::error::{Result, ensure};

/// Fewer labelled users than this on either side of the split tell nothing.
const MIN_USERS: usize = 20;

/// Rows of a run's users, each list ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Split {
    /// Users with enough populated fields to be served.
    pub eligible: Vec<usize>,
    /// Eligible users who may be trained on: all but the held-out. Some may have no known outcome.
    pub train: Vec<usize>,
    /// Eligible users with a known outcome, which nothing but the evaluation sees.
    pub held_out: Vec<usize>,
}

impl Split {
    /// Draws the held-out users by the seed.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there are too few users with a profile and a known outcome to train on, or to hold out.
    pub fn new(dataset: &Dataset, config: &PipelineConfig, seed: u64) -> Result<Self> {
        let least = config.min_populated;
        let eligible: Vec<usize> =
            (0..dataset.len()).filter(|&row| dataset.table().populated(row) >= least).collect();
        let mut labelled: Vec<usize> =
            eligible.iter().copied().filter(|&row| dataset.outcome(row).is_some()).collect();
        labelled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let held = (labelled.len() as f64 * config.held_out).round() as usize;
        let held_out: BTreeSet<usize> = labelled.into_iter().take(held).collect();
        let train: Vec<usize> = eligible.iter().copied().filter(|row| !held_out.contains(row)).collect();
        let labelled_train = train.iter().filter(|&&row| dataset.outcome(row).is_some()).count();
        ensure!(
            labelled_train >= MIN_USERS && held >= MIN_USERS,
            "at least {MIN_USERS} users with {least} populated fields and a known outcome are needed on both sides of the split; \
             there are {labelled_train} to train on and {held} held out"
        );
        Ok(Self { eligible, train, held_out: held_out.into_iter().collect() })
    }
}

/// The known outcomes of a dataset, in the order of its rows.
pub(super) fn known_outcomes(dataset: &Dataset) -> Vec<f64> {
    dataset.outcomes().iter().copied().flatten().collect()
}
