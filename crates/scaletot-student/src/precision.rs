//! What training computes in.

use burn::tensor::{DType, Device};
use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// What a trainer computes in. Weights, gradients, the optimiser, softmaxes, mean squares of norms and losses are 32-bit floats in any
/// case. OSIPO takes the reference's log-probabilities, and those of sampled chains, in 32 bits, so that with a reduced precision log-ratios
/// carry its rounding from the first step on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Full,
    /// 16-bit floats with the exponents of 32-bit ones, where the device has them.
    Bf16,
}

impl Precision {
    /// The type of the weights that are computed with, if it is not that of the weights that are kept.
    pub(crate) fn dtype(self) -> Option<DType> {
        match self {
            Self::Full => None,
            Self::Bf16 => Some(DType::BF16),
        }
    }

    /// An error if the device does not have it.
    pub(crate) fn check(self, device: &Device) -> Result<()> {
        let has = self.dtype().is_none_or(|dtype| device.supports_dtype(dtype));
        Ok(check(has, "precision", "one that the device computes in", format!("{self:?} on {device:?}"))?)
    }
}
