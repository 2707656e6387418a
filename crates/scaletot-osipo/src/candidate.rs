//! One chain of a batch.

/// Whose chain a candidate is, and how good it is. Closed on purpose: callers build one per chain, and what else a batch may know goes in by
/// [`CandidateBatch`](crate::CandidateBatch)'s setters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The user: any number, equal for the same user.
    pub user: usize,
    /// The advantage, finite, larger is better; `None` if the user's outcome is not observed. Of the `Evidence` objective the reward `R`, where
    /// −∞ rules the chain out.
    pub advantage: Option<f64>,
}
