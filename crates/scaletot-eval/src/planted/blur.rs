//! A teacher that knows the truth's distribution, but not quite.

use scaletot_core::config::check;
use scaletot_core::numeric::softmax;
use serde::{Deserialize, Serialize};

use super::draw::{Draws, Stream};
use super::fields::FieldErrors;
use crate::Result;

/// What keeps a blurred probability away from 0, so that noise can move it.
const FLOOR: f64 = 1e-4;
/// Deviation of the bias that all users share, as a part of the noise.
const BIAS: f64 = 0.5;

/// What is wrong with a teacher's answers; see [`PlantedWorld::blurred`](super::PlantedWorld::blurred).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Blur {
    /// Standard deviation of a logit's noise, in [0, 1000]; half of it is the deviation of the bias. 0 gives the exact
    /// conditional up to the floor of 10⁻⁴.
    pub noise: f64,
    /// What the teacher gets wrong about fields, alike for all users; nothing by default.
    #[serde(default)]
    pub fields: FieldErrors,
}

impl Blur {
    /// A blur of this noise, by which no field is misjudged.
    #[must_use]
    pub fn new(noise: f64) -> Self {
        Self { noise, fields: FieldErrors::None }
    }

    /// Sets what the teacher gets wrong about fields.
    #[must_use]
    pub fn with_fields(mut self, fields: FieldErrors) -> Self {
        self.fields = fields;
        self
    }

    /// Checks the noise.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a noise outside [0, 1000].
    pub fn validate(&self) -> Result<()> {
        let holds = (0.0..=1_000.0).contains(&self.noise);
        Ok(check(holds, "noise", "a number from 0 to 1000", self.noise)?)
    }

    /// Blurs the conditional of `state` at a node, whose number is unique over users and paths.
    pub(crate) fn apply(&self, conditional: &[f64], node: u64, state: usize, seed: u64) -> Vec<f64> {
        let mut noise = Draws::new(seed, Stream::Noise(node));
        let mut bias = Draws::new(seed, Stream::Bias(state));
        let logit = |p: &f64| (p + FLOOR).ln() + self.noise * (noise.normal() + BIAS * bias.normal());
        softmax(&conditional.iter().map(logit).collect::<Vec<f64>>())
    }
}
