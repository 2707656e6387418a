//! The one error type of the crate.

use scaletot_core::config::ConfigError;

/// Why a metric or an interval could not be computed. Rows count from 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Outcomes and scores are not about the same users.
    #[error("{what}: expected {expected} values (one per outcome), found {found}")]
    LengthMismatch {
        /// The input that does not fit.
        what: &'static str,
        /// Number of outcomes.
        expected: usize,
        /// Number of values that came.
        found: usize,
    },
    /// There is no user to evaluate on.
    #[error("{what}: expected at least one user, found none")]
    Empty {
        /// What was asked for.
        what: &'static str,
    },
    /// A value is NaN or infinite.
    #[error("{what} of row {row}: expected a finite number, found {value}")]
    NotFinite {
        /// `outcome`, `score`, …
        what: &'static str,
        /// Row.
        row: usize,
        /// The value.
        value: f64,
    },
    /// The numbers are finite, and what is computed from them is not: they are too large, too far apart or too much alike.
    #[error(
        "{what}: expected a finite result, found {value}: outcomes or scores are too large, too far apart or too much alike for \
         floating-point numbers; state them in a larger unit"
    )]
    NotRepresentable {
        /// What was computed.
        what: &'static str,
        /// What came out.
        value: f64,
    },
    /// An outcome is below 0, so shares of the total value mean nothing.
    #[error("outcome of row {row}: expected at least 0, found {value}")]
    NegativeOutcome {
        /// Row.
        row: usize,
        /// The value.
        value: f64,
    },
    /// Nobody has a positive outcome, so there is no value to share.
    #[error("{what} is undefined: all {rows} outcomes are 0")]
    AllZeroOutcomes {
        /// The metric.
        what: &'static str,
        /// Number of users.
        rows: usize,
    },
    /// All outcomes are equal, so there is no order to find.
    #[error("{what} is undefined: all {rows} outcomes are {value}")]
    ConstantOutcomes {
        /// The metric.
        what: &'static str,
        /// Number of users.
        rows: usize,
        /// The outcome that all have.
        value: f64,
    },
    /// Only positives or only negatives, so there is nothing to tell apart.
    #[error(
        "AUC is undefined: {positives} of {rows} users are positive, expected at least one of each class"
    )]
    OneClass {
        /// Users in the positive class.
        positives: usize,
        /// Number of users.
        rows: usize,
    },
    /// A field of a config, or an argument with a range, is outside it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An arm or a metric was asked for that the bootstrap did not measure.
    #[error("arm {arm}, {metric}: expected one of {arms} arms and a metric that was measured")]
    NotMeasured {
        /// The arm, from 0.
        arm: usize,
        /// Number of arms.
        arms: usize,
        /// Name of the metric.
        metric: &'static str,
    },
    /// The metric could not be computed on the whole sample.
    #[error(
        "bootstrap: the metric is not a finite number on the whole sample of {users} users (found {value})"
    )]
    UndefinedEstimate {
        /// Number of users.
        users: usize,
        /// What the metric gave.
        value: f64,
    },
    /// The metric was undefined on too many resamples for an interval to mean anything.
    #[error(
        "bootstrap: the metric is undefined on {undefined} of {replicates} resamples (expected at most half); \
         there are too few users, or too few with a positive outcome"
    )]
    UndefinedReplicates {
        /// Resamples on which the metric was not a finite number.
        undefined: usize,
        /// Resamples drawn.
        replicates: usize,
    },
    /// Only treated or only untreated users, so there is nothing to compare.
    #[error("uplift is undefined: {treated} of {rows} users are treated, expected at least one in each arm")]
    OneArm {
        /// Treated users.
        treated: usize,
        /// Number of users.
        rows: usize,
    },
    /// The users that a policy would treat are all from one arm of the experiment.
    #[error("policy value is undefined: none of the top {share} of the users by score is {arm}")]
    NoneInTop {
        /// `treated` or `untreated`.
        arm: &'static str,
        /// Share of the users that the policy treats.
        share: f64,
    },
    /// A planted world has no user of this number.
    #[error("user {user}: expected a number below {users}")]
    NoSuchUser {
        /// The number.
        user: usize,
        /// Number of users.
        users: usize,
    },
    /// A path leaves no state to ask about.
    #[error("path: expected fewer than {states} values (the number of states), found {found}")]
    PathTooLong {
        /// Number of states.
        states: usize,
        /// Length of the path.
        found: usize,
    },
    /// A value on a path is not one of the state's.
    #[error("path at state {state}: expected a value below {values}, found {found}")]
    NoSuchValue {
        /// The state, from 0.
        state: usize,
        /// Number of values of every state.
        values: usize,
        /// The value.
        found: usize,
    },
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
