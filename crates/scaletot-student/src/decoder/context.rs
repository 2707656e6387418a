//! What the layers of one forward pass share.

use burn::tensor::Tensor;

use super::rotary::Rotations;

/// What all layers of a forward pass share.
pub(super) struct Context {
    /// Of the positions, for queries and keys.
    pub(super) rotary: Rotations,
    /// Added to the scores: what a query may not see is hidden.
    pub(super) bias: Tensor<4>,
}
