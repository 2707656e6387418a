//! Implicit rewards: what a policy prefers, read from its log-probabilities.

use burn::tensor::Tensor;

/// Implicit rewards of a batch, on the device and in the policy's graph.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImplicitRewards {
    /// `r_k = β Σ_{t ∈ k} (ln π_θ − ln π_ref)`, unweighted, `[n, K]`; 0 for a segment without kept tokens.
    pub per_segment: Tensor<2>,
    /// `r = Σ_k w_k r_k`, `[n]`.
    pub total: Tensor<1>,
}
