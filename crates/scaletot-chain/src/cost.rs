//! What a search used, and what ended it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What ended the search about one user.
///
/// In files it is a text, the same that [`Display`](fmt::Display) gives: `settled`, `dead end`, `query failed: timed out`. A text that
/// this version does not know, of a later version or of another engine, is kept as [`Other`](Self::Other) and written as it was, so
/// that a corpus that is read and written again loses nothing.
///
/// ```
/// use scaletot_chain::SearchStop;
///
/// assert_eq!(SearchStop::from("settled"), SearchStop::Settled);
/// assert_eq!(SearchStop::from("query failed: timed out"), SearchStop::QueryFailed("timed out".to_owned()));
/// let later = SearchStop::from("memory");
/// assert_eq!(later, SearchStop::Other("memory".to_owned()));
/// assert_eq!(later.to_string(), "memory");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum SearchStop {
    /// It was not recorded: the empty text.
    #[default]
    Unrecorded,
    /// The strategy did all that it sets out to do.
    Complete,
    /// A complete chain was good enough to stop at.
    Accepted,
    /// No step was left that was uncertain enough to refine.
    Settled,
    /// The bound on rounds of refinement.
    Rounds,
    /// The bound on depth.
    Depth,
    /// The bound on nodes.
    Nodes,
    /// The bound on queries.
    Queries,
    /// The bound on tokens.
    Tokens,
    /// The bound on time.
    Time,
    /// No whole chain exists in what was searched, and no branch was left to try.
    DeadEnd,
    /// A query could not be answered, with the reason.
    QueryFailed(String),
    /// A text that this version does not know.
    Other(String),
}

/// What the text of a failed query begins with.
const QUERY_FAILED: &str = "query failed: ";

impl SearchStop {
    /// Those that are one text each.
    const NAMED: [(Self, &str); 11] = [
        (Self::Unrecorded, ""),
        (Self::Complete, "complete"),
        (Self::Accepted, "accepted"),
        (Self::Settled, "settled"),
        (Self::Rounds, "rounds"),
        (Self::Depth, "depth"),
        (Self::Nodes, "nodes"),
        (Self::Queries, "queries"),
        (Self::Tokens, "tokens"),
        (Self::Time, "time"),
        (Self::DeadEnd, "dead end"),
    ];
}

impl fmt::Display for SearchStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueryFailed(reason) => write!(f, "{QUERY_FAILED}{reason}"),
            Self::Other(text) => f.write_str(text),
            named => {
                let text = Self::NAMED.iter().find(|(stop, _)| stop == named).map_or("", |(_, text)| text);
                f.write_str(text)
            }
        }
    }
}

impl From<&str> for SearchStop {
    fn from(text: &str) -> Self {
        match Self::NAMED.iter().find(|(_, named)| *named == text) {
            Some((stop, _)) => stop.clone(),
            None => match text.strip_prefix(QUERY_FAILED) {
                Some(reason) => Self::QueryFailed(reason.to_owned()),
                None => Self::Other(text.to_owned()),
            },
        }
    }
}

impl From<String> for SearchStop {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<SearchStop> for String {
    fn from(stop: SearchStop) -> Self {
        stop.to_string()
    }
}

/// What one user's search used; set the fields of the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SearchCost {
    /// Queries answered by the teacher.
    pub queries: u64,
    /// Nodes of the search tree.
    pub nodes: u64,
    /// Rounds of refinement.
    pub rounds: u32,
    /// Tokens the teacher's answers took.
    pub tokens: u64,
    /// What ended the search.
    pub stop: SearchStop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back() {
        let mut texts: Vec<&str> = SearchStop::NAMED.iter().map(|(_, text)| *text).collect();
        texts.extend(["query failed: no route", "query failed: ", "memory", "Settled", " settled"]);
        for text in texts {
            let stop = SearchStop::from(text);
            assert_eq!(stop.to_string(), text);
            let json = serde_json::to_string(&stop).unwrap();
            assert_eq!(json, serde_json::to_string(text).unwrap());
            assert_eq!(serde_json::from_str::<SearchStop>(&json).unwrap(), stop);
        }
        assert!(matches!(SearchStop::from("memory"), SearchStop::Other(_)));
    }

    #[test]
    fn a_cost_without_a_stop_is_read_and_an_unknown_key_is_not() {
        let cost: SearchCost = serde_json::from_str(r#"{"queries": 3}"#).unwrap();
        assert_eq!((cost.queries, cost.stop), (3, SearchStop::Unrecorded));
        let error = serde_json::from_str::<SearchCost>(r#"{"query": 3}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `query`"), "{error}");
    }
}
