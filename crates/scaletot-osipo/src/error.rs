//! The one error type of the crate.

use std::sync::Arc;

use scaletot_core::config::ConfigError;

/// Why a batch, a loss or a reward could not be built or computed.
///
/// Candidates, tokens, rows, segments and tiers are counted from 0.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two inputs that describe the same candidates, tokens, users or states differ in size.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// The input that does not fit.
        what: &'static str,
        /// The size that the other inputs ask for.
        expected: String,
        /// The size that came.
        found: String,
    },
    /// There is nothing to compute on.
    #[error("{what}: expected at least one, found none")]
    Empty {
        /// What is missing.
        what: &'static str,
    },
    /// An index points past its range.
    #[error("{what} of row {row}: expected an index below {bound}, found {index}")]
    OutOfRange {
        /// What the index counts.
        what: &'static str,
        /// Row (candidate or user) that holds the index.
        row: usize,
        /// The index.
        index: usize,
        /// One past the largest legal index.
        bound: usize,
    },
    /// A kept token belongs to no chain segment of the batch.
    #[error(
        "chain segment of candidate {candidate}, token {token}: expected below {segments}, found {segment}"
    )]
    SegmentOutOfRange {
        /// Candidate (row).
        candidate: usize,
        /// Token (column).
        token: usize,
        /// Segment that was named.
        segment: usize,
        /// Number of chain segments, K.
        segments: usize,
    },
    /// A candidate with an advantage has no kept token, so it has no implicit reward.
    #[error("candidate {candidate} has an advantage but no kept token; mask in its chain or drop it")]
    NoTokens {
        /// Candidate (row).
        candidate: usize,
    },
    /// No two chains of one user differ in advantage.
    #[error(
        "no preference pair among {candidates} candidates of {users} users ({labelled} candidates with an \
         advantage, {ties} pairs dropped as ties): a user needs two chains with different advantages"
    )]
    NoPairs {
        /// Candidates in the batch.
        candidates: usize,
        /// Users in the batch.
        users: usize,
        /// Candidates that have an advantage.
        labelled: usize,
        /// Pairs of the same user with equal advantages.
        ties: usize,
    },
    /// A chain is there twice, where each counts once.
    #[error("chain {chain} is there twice: expected each chain once")]
    RepeatedChain {
        /// Index of the chain that was there before.
        chain: usize,
    },
    /// All of a user's chains either cannot be or are ruled out, so that there is no posterior.
    #[error(
        "user {user}: expected a chain with a probability above 0 and a reward above −∞, found none; \
         leave the user out, or give it rewards"
    )]
    NoChain {
        /// The user.
        user: usize,
    },
    /// Nobody has an observed outcome.
    #[error("{what}: none of the {rows} rows has an observed outcome")]
    NoLabelled {
        /// What was asked for.
        what: &'static str,
        /// Rows that were looked at.
        rows: usize,
    },
    /// A kept log-probability is NaN or infinite; found on the host, so the place is known.
    #[error(
        "{which} log-probability of candidate {candidate}, token {token}: expected a finite number, found {value}"
    )]
    NonFiniteLogProb {
        /// `policy` or `reference`.
        which: &'static str,
        /// Candidate (row).
        candidate: usize,
        /// Token (column).
        token: usize,
        /// The value.
        value: f64,
    },
    /// Kept log-probabilities are NaN or infinite; counted on the device during the step.
    #[error(
        "{count} kept log-probabilities of the policy or the reference are NaN or infinite; \
         `CandidateBatch::check_finite` names the first"
    )]
    NonFiniteLogProbs {
        /// Number of kept positions at which either is not finite.
        count: u64,
    },
    /// A number on the host is NaN, infinite or outside its range.
    #[error("{what} of row {row}: expected {expected}, found {found}")]
    InvalidValue {
        /// What the number is.
        what: &'static str,
        /// Row (candidate, user or segment).
        row: usize,
        /// The legal range, in words.
        expected: &'static str,
        /// The number.
        found: f64,
    },
    /// A setting is outside its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Weights of the chain segments are learned, but the batch carries no logits.
    #[error(
        "learned chain-segment weights: expected {segments} logits in the batch, found none; add them with `with_weight_logits`"
    )]
    MissingWeightLogits {
        /// Number of chain segments, K.
        segments: usize,
    },
    /// Entropy weights were asked for, but the batch was built without entropies.
    #[error(
        "chain-segment weights by entropy: expected {candidates} rows of entropies, found none; \
         call `CandidateBatch::with_entropies`"
    )]
    MissingEntropies {
        /// Candidates in the batch.
        candidates: usize,
    },
    /// A tensor could not be read back from its device.
    #[error("cannot read {what} from the device")]
    Device {
        /// What was read.
        what: &'static str,
        /// Why it failed.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Most user segments that tables are kept for; what is above is an id that was taken for a segment.
pub(crate) const MAX_USER_SEGMENTS: usize = 1 << 20;

/// Refuses user segments that no table could be kept for.
pub(crate) fn check_segments(segments: impl IntoIterator<Item = usize>) -> Result<()> {
    match segments.into_iter().enumerate().find(|(_, segment)| *segment >= MAX_USER_SEGMENTS) {
        Some((row, index)) => {
            Err(Error::OutOfRange { what: "user segment", row, index, bound: MAX_USER_SEGMENTS })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_no_segment() {
        assert!(check_segments([0, 7]).is_ok());
        let message = check_segments([0, usize::MAX]).unwrap_err().to_string();
        assert!(message.contains("user segment"), "{message}");
    }
}
