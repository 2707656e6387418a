//! Trees of letters that are written out, to be followed by hand.

use scaletot_search::{Answer, Problem, Proposals, Query};

/// Two or three steps over letters, with the distributions and evaluations written out.
pub(crate) struct Table {
    pub(crate) depth: usize,
    pub(crate) propose: &'static [(&'static str, &'static [(char, f64)])],
    pub(crate) evaluate: &'static [(&'static str, f64)],
    pub(crate) forbid: &'static [&'static str],
    /// Paths that are complete before `depth`.
    pub(crate) short: &'static [&'static str],
}

impl Table {
    pub(crate) fn answer(&self, query: &Query<char>) -> Answer<char> {
        let path: String = query.path().iter().collect();
        match query {
            Query::Propose { .. } => {
                let row = self.propose.iter().find(|(p, _)| *p == path);
                row.map_or(Answer::failed(format!("no row for {path:?}")), |(_, items)| {
                    Proposals::new(items.to_vec()).with_covered(0.9).with_tokens(10).into()
                })
            }
            Query::Evaluate { .. } => {
                let row = self.evaluate.iter().find(|(p, _)| *p == path);
                row.map_or(Answer::failed(format!("no evaluation of {path:?}")), |(_, value)| {
                    Answer::value(*value).with_tokens(1)
                })
            }
            Query::Vote { paths, .. } => {
                let share = |path: &Vec<char>| {
                    let path: String = path.iter().collect();
                    self.evaluate.iter().find(|(p, _)| *p == path).map_or(0.0, |(_, value)| *value)
                };
                Answer::votes(paths.iter().map(share).collect()).with_tokens(1)
            }
            other => Answer::failed(format!("an unknown query: {other:?}")),
        }
    }
}

impl Problem for Table {
    type Thought = char;

    fn depth(&self) -> usize {
        self.depth
    }

    fn is_complete(&self, path: &[char]) -> bool {
        let path: String = path.iter().collect();
        path.len() == self.depth || self.short.contains(&path.as_str())
    }

    fn admissible(&self, path: &[char], thought: &char) -> bool {
        let child: String = path.iter().chain([thought]).collect();
        !self.forbid.contains(&child.as_str())
    }

    fn evaluates(&self) -> bool {
        !self.evaluate.is_empty()
    }
}
