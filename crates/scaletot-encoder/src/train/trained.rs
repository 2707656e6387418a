//! A trained encoder: the network on its device and the same network frozen.

use std::path::Path;

use ndarray::Array2;

use super::network::{EncoderNetwork, host_array};
use crate::error::Result;
use crate::features::Features;
use crate::frozen::FrozenEncoder;
use crate::manifest::{ArtifactInfo, Description};
use crate::network::Outputs;

/// What [`Distiller::fit`](super::Distiller::fit) returns: best weights, ready to be saved or to score.
#[derive(Debug, Clone)]
pub struct TrainedEncoder {
    network: EncoderNetwork,
    frozen: FrozenEncoder,
}

impl TrainedEncoder {
    pub(super) fn new(network: EncoderNetwork, description: Description) -> Result<Self> {
        let frozen = FrozenEncoder::new(description, &network.weights()?)?;
        Ok(Self { network, frozen })
    }

    /// The encoder as it serves.
    #[must_use]
    pub fn frozen(&self) -> &FrozenEncoder {
        &self.frozen
    }

    /// The encoder as it serves, without the network on the training device.
    #[must_use]
    pub fn into_frozen(self) -> FrozenEncoder {
        self.frozen
    }

    /// Writes an artifact directory; see [`FrozenEncoder::save`].
    ///
    /// # Errors
    /// As [`FrozenEncoder::save`].
    pub fn save(&self, directory: impl AsRef<Path>, info: ArtifactInfo) -> Result<()> {
        self.frozen.save(directory, info)
    }

    /// The heads' outputs as the Burn network computes them on its device. The frozen network gives the same to 1e-5.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for features of another featuriser,
    /// [`Error::Device`](crate::Error::Device) when the device fails.
    pub fn forward(&self, features: &Features) -> Result<Outputs> {
        self.network.check(features)?;
        let heads = self.network.forward(features, &[]);
        let rows = features.len();
        Ok(Outputs {
            outcome: host_array(heads.outcome, rows)?,
            states: host_array(heads.states, rows)?,
            representation: host_array(heads.representation, rows)?,
            value: Array2::zeros((rows, 0)),
        })
    }
}
