//! How large the numbers of a pass can become, whatever the profile is.
//!
//! A sum is at most the sum of its terms' sizes, so a layer's outputs are bounded by its weights' sizes times the bounds of its inputs, from
//! the tables, of which a profile takes one row per field, to the heads. A network whose bounds stay far below the largest number of 32
//! bits cannot give an infinity or NaN for any profile, in any precision: the scores need not be looked through, and what scores
//! them has no branch for it. One whose bounds do not is refused when it is compiled.

use ndarray::Array1;

use crate::error::{Error, Result};
use crate::network::Layer;

/// The largest bound: a thirtieth of the largest number of 32 bits, which leaves room for rounding to 16 and 8 bits, for the difference of
/// two logits and for the order in which numbers are added.
pub(crate) const MAX_REACH: f64 = 1e37;

/// Bounds of the sizes of a block's columns.
pub(super) struct Reach(pub(super) Vec<f64>);

impl Reach {
    /// The bounds behind a layer.
    pub(super) fn through(&self, layer: &Layer) -> Self {
        let mut reach: Array1<f64> = layer.bias.mapv(|bias| f64::from(bias).abs());
        for (row, own) in layer.weight.outer_iter().zip(&self.0) {
            reach.iter_mut().zip(row).for_each(|(to, weight)| *to += f64::from(*weight).abs() * own);
        }
        Self(reach.to_vec())
    }

    /// The bounds behind a cross layer `x ⊙ y + x`, of which these are `y`'s.
    pub(super) fn crossed(&self, x0: &Self, x: &Self) -> Self {
        let all = self.0.iter().zip(&x0.0).zip(&x.0);
        Self(all.map(|((y, x0), x)| y * x0 + x).collect())
    }

    /// # Errors
    /// [`Error::Overflow`] for a bound above [`MAX_REACH`].
    pub(super) fn check(&self, layer: impl Fn() -> String) -> Result<()> {
        match self.0.iter().copied().find(|reach| !(0.0..=MAX_REACH).contains(reach)) {
            None => Ok(()),
            Some(reach) => Err(Error::Overflow { layer: layer(), limit: MAX_REACH, reach }),
        }
    }
}
