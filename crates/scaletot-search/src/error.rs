//! The crate's one error type.

use scaletot_core::config::ConfigError;
use scaletot_core::text::printable;

use crate::QueryId;

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a message shows of what came: a thought may be a long text of a model, and a trace anybody's file.
pub(crate) fn shown(found: &(impl std::fmt::Debug + ?Sized)) -> String {
    const MOST: usize = 300;
    printable(&format!("{found:?}"), MOST)
}

/// What can go wrong when a search is set up, answered or replayed.
///
/// A rejected answer changes nothing: its query stays open, and the driver may answer it again, or answer it with
/// [`Answer::failed`](crate::Answer::failed), which ends the search with the best chain so far.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of a strategy or of a budget is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The answered query was never opened by this search.
    #[error("query {id}: expected an open query, but this search never opened it")]
    UnknownQuery {
        /// The id that was answered.
        id: QueryId,
    },
    /// The query has an answer already.
    #[error("query {id}: expected an open query, but it was answered before")]
    AlreadyAnswered {
        /// The id that was answered again.
        id: QueryId,
    },
    /// The search is over; late answers are not taken.
    #[error("query {id}: expected a running search, but it has stopped")]
    Finished {
        /// The id that was answered too late.
        id: QueryId,
    },
    /// A value came for a propose query, or proposals for an evaluate query.
    #[error("query {id}: expected {expected}, found {found}")]
    WrongKind {
        /// The query.
        id: QueryId,
        /// The kind of answer that fits the query.
        expected: &'static str,
        /// The kind of answer that came.
        found: &'static str,
    },
    /// A proposal's mass is negative, infinite or not a number.
    #[error("query {id}, proposal {index} ({thought}): expected a finite mass of at least 0, found {mass}")]
    BadMass {
        /// The query.
        id: QueryId,
        /// Position of the proposal in the answer, from 0.
        index: usize,
        /// The proposed thought, as its `Debug` prints it.
        thought: String,
        /// The mass that came.
        mass: f64,
    },
    /// Proposals came whose masses sum to 0 or overflow.
    #[error("query {id}: expected {items} proposals with a positive, finite total mass, found {total}")]
    BadTotal {
        /// The query.
        id: QueryId,
        /// Number of proposals in the answer.
        items: usize,
        /// The sum of their masses.
        total: f64,
    },
    /// A thought is proposed twice in one answer.
    #[error("query {id}, proposal {index}: expected distinct thoughts, found {thought} again")]
    RepeatedThought {
        /// The query.
        id: QueryId,
        /// Position of the second occurrence, from 0.
        index: usize,
        /// The thought, as its `Debug` prints it.
        thought: String,
    },
    /// The covered mass of an answer lies outside `[0, 1]`.
    #[error("query {id}: expected a covered mass in [0, 1], found {covered}")]
    BadCovered {
        /// The query.
        id: QueryId,
        /// The covered mass that came.
        covered: f64,
    },
    /// The entropy that an answer gives is not possible.
    #[error("query {id}: expected {expected}, found {found}")]
    BadEntropy {
        /// The query.
        id: QueryId,
        /// What was expected.
        expected: &'static str,
        /// The number that came.
        found: f64,
    },
    /// Votes came that are not one finite number of at least 0 per path, with a positive sum.
    #[error(
        "query {id}: expected {paths} finite votes of at least 0 with a positive sum, found {}",
        shown(shares)
    )]
    BadVotes {
        /// The query.
        id: QueryId,
        /// Number of paths that were to be voted on.
        paths: usize,
        /// The votes that came.
        shares: Vec<f64>,
    },
    /// A self-evaluation lies outside `[0, 1]`.
    #[error("query {id}: expected an evaluation in [0, 1], found {value}")]
    BadValue {
        /// The query.
        id: QueryId,
        /// The evaluation that came.
        value: f64,
    },
    /// An answer cost more tokens than [`Budget::max_tokens_per_query`](crate::Budget::max_tokens_per_query) allows.
    #[error("query {id}: expected an answer of at most {bound} tokens, found {tokens}")]
    TooManyTokens {
        /// The query.
        id: QueryId,
        /// The tokens that the answer cost.
        tokens: u64,
        /// The bound on one query.
        bound: u64,
    },
    /// A trace does not follow from the problem and the config it is replayed with.
    #[error("trace event {at}: expected {expected} from this problem and config, found {found} in the trace")]
    TraceMismatch {
        /// Position of the event in the trace, from 0.
        at: usize,
        /// What the replayed search did at that position.
        expected: String,
        /// What the trace holds.
        found: String,
    },
    /// An answer in a trace was refused.
    #[error("trace event {at}: expected an answer that the search takes, found one that it refuses")]
    Replay {
        /// Position of the event in the trace, from 0.
        at: usize,
        /// Why the answer was refused.
        source: Box<Error>,
    },
    /// A batch was not answered query by query.
    #[error("expected {expected} answers, one per query of the batch, found {found}")]
    BatchLength {
        /// Number of queries.
        expected: usize,
        /// Number of answers.
        found: usize,
    },
    /// A search is neither done nor has open queries, which is a defect of its strategy.
    #[error("expected the search to be done or to have open queries, found neither")]
    Stalled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_the_beginning_of_long_and_hostile_texts() {
        let thought = shown(&format!("\u{1b}[31m{}", "x".repeat(1_000_000)));
        assert!(thought.chars().count() <= 300 && !thought.chars().any(char::is_control), "{thought}");
        let votes = Error::BadVotes { id: QueryId(1), paths: 2, shares: vec![0.5; 1_000_000] };
        assert!(votes.to_string().chars().count() < 400);
    }
}
