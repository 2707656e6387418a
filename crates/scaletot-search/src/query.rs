//! The queries that a search raises.
//!
//! The engine never calls anyone. It hands out [`Query`] values and takes [`Answer`](crate::Answer) values, so that a language
//! model, a rule table, a file of recorded answers or a test can stand behind it, one at a time or in batches.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

/// Names one query of one search. Ids count up from 0 in the order in which queries are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueryId(pub(crate) u64);

impl QueryId {
    /// The id as a number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

/// A question that the search needs answered to go on.
///
/// There may be further kinds one day: answer what is not known with [`Answer::failed`](crate::Answer::failed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Query<T> {
    /// Which thoughts may follow `path`, and how probable is each? Answered by [`Proposals`](crate::Proposals).
    #[non_exhaustive]
    Propose {
        /// The thoughts so far.
        path: Vec<T>,
    },
    /// How good is `path`, from 0 to 1, or, if it is not complete, how promising? Answered by [`Answer::value`](crate::Answer::value).
    #[non_exhaustive]
    Evaluate {
        /// A path; complete in all strategies but `Bfs` and `Dfs`.
        path: Vec<T>,
    },
    /// Which of these paths is the most promising, and how much more so than the others? Answered by
    /// [`Answer::votes`](crate::Answer::votes).
    #[non_exhaustive]
    Vote {
        /// Distinct paths, at least two.
        paths: Vec<Vec<T>>,
    },
}

impl<T> Query<T> {
    /// Asks what may follow a path.
    #[must_use]
    pub fn propose(path: Vec<T>) -> Self {
        Query::Propose { path }
    }

    /// Asks how good a path is.
    #[must_use]
    pub fn evaluate(path: Vec<T>) -> Self {
        Query::Evaluate { path }
    }

    /// Asks which of some paths is the most promising.
    #[must_use]
    pub fn vote(paths: Vec<Vec<T>>) -> Self {
        Query::Vote { paths }
    }

    /// The path that the query is about; of a vote, the first of its paths.
    #[must_use]
    pub fn path(&self) -> &[T] {
        match self {
            Query::Propose { path } | Query::Evaluate { path } => path,
            Query::Vote { paths } => paths.first().map_or(&[], Vec::as_slice),
        }
    }

    pub(crate) fn expects(&self) -> &'static str {
        match self {
            Query::Propose { .. } => "proposals",
            Query::Evaluate { .. } => "a value",
            Query::Vote { .. } => "votes",
        }
    }
}
