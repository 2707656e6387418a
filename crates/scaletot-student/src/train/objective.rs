//! What a trainer minimises.

use std::fmt::Display;

use burn::module::Module;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::step::Optimiser;
use crate::error::Result;

/// What a trainer adds to the loop.
pub(super) trait Objective {
    /// What is trained.
    type Model: Module;
    /// Sums over the steps of an epoch.
    type Means: Default + Serialize + DeserializeOwned;
    /// What is reported of an epoch.
    type Epoch: Display + Serialize + DeserializeOwned;

    /// The steps on one batch, given as indices among the users to train on. All that is drawn by chance comes from `rng`.
    fn batch(
        &self,
        model: Self::Model,
        optimiser: &mut Optimiser,
        users: &[usize],
        rng: &mut ChaCha8Rng,
        means: &mut Self::Means,
    ) -> Result<Self::Model>;

    /// The report of an epoch, and the held-out value that early stopping looks at, lower being better. `model` is out of any graph.
    fn report(
        &self,
        model: &Self::Model,
        epoch: usize,
        means: &Self::Means,
    ) -> Result<(Self::Epoch, Option<f64>)>;
}
