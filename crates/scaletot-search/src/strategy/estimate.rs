//! What a search can cost at most, known before it runs.

use serde::{Deserialize, Serialize};

use super::{Evaluation, Strategy};
use crate::{Budget, Problem, Result};

/// An upper bound on what a search can use, known before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Estimate {
    /// Most rounds.
    pub rounds: u32,
    /// Most queries.
    pub queries: u64,
    /// Most nodes.
    pub nodes: u64,
    /// Most tokens, where the budget bounds the tokens of a query.
    pub tokens: Option<u64>,
}

impl Strategy {
    /// The most that a search of `problem` can use, before it is run. It never uses more, and often far less.
    ///
    /// With `D` the depth, and `E` = 1 where complete paths are evaluated and 0 elsewhere:
    ///
    /// | Strategy | Queries | Nodes |
    /// | --- | --- | --- |
    /// | `Greedy` | `D` | `D` |
    /// | `SelfConsistency`, `n` samples | `n·D` | `n·D` |
    /// | `BestOfN`, `n` samples | `n·(D + E)` | `n·D` |
    /// | `Beam` of width `b` | `1 + b·(D − 1)` | `b + b²·(D − 1)` |
    /// | `Bfs` of breadth `b`, `k` thoughts a path | proposals, and one value per node or one vote per level | `Σ_l min(b, k^(l−1))·k` |
    /// | `Dfs`, `k` thoughts a path | as `Bfs` of any breadth; one vote per path | `Σ_l k^l` |
    /// | `Refine`, `R` rounds of `B` branches | `D + E + R·B·(D − 1 + E)` | `D + R·B·D` |
    /// | `Marginal` | contexts of the problem's [size](Problem::size) | its states |
    ///
    /// All capped by the budget. A `k`, or a size, without a number is `u64::MAX`, so that only the budget bounds such a search.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the strategy or the budget is not valid.
    ///
    /// ```
    /// use scaletot_search::{Budget, Problem, RefineConfig, Strategy};
    ///
    /// struct FiveStates;
    /// impl Problem for FiveStates {
    ///     type Thought = u16;
    ///     fn depth(&self) -> usize { 5 }
    ///     fn is_complete(&self, path: &[u16]) -> bool { path.len() == 5 }
    /// }
    ///
    /// let refine = Strategy::Refine(RefineConfig::default().with_rounds(4).with_branches(3));
    /// let most = refine.estimate(&FiveStates, &Budget::default())?;
    /// assert_eq!(most.queries, 5 + 4 * 3 * 4);
    /// let capped = refine.estimate(&FiveStates, &Budget::default().with_queries(20))?;
    /// assert_eq!(capped.queries, 20);
    /// # Ok::<(), scaletot_search::Error>(())
    /// ```
    pub fn estimate<P: Problem>(&self, problem: &P, budget: &Budget) -> Result<Estimate> {
        self.validate()?;
        budget.validate()?;
        let depth = budget.depth.map_or(problem.depth(), |d| d.min(problem.depth())) as u64;
        let evaluates = self.scoring(problem).evaluates();
        let extra = u64::from(evaluates);
        let mut rounds = 0;
        let (queries, nodes) = match self {
            Strategy::Greedy => (depth, depth),
            Strategy::SelfConsistency(config) => {
                let all = config.samples.saturating_mul(depth);
                (all, all)
            }
            Strategy::BestOfN(config) => {
                let each = depth.saturating_add(extra);
                (config.samples.saturating_mul(each), config.samples.saturating_mul(depth))
            }
            Strategy::Bfs(config) => {
                let (paths, nodes) = levels(depth, config.breadth as u64, config.generation.max());
                let weighing = match config.evaluation {
                    Evaluation::Value => nodes,
                    Evaluation::Vote => depth,
                };
                (paths.saturating_add(extra.saturating_mul(weighing)), nodes)
            }
            Strategy::Beam(config) => levels(depth, config.width as u64, config.width as u64),
            Strategy::Dfs(config) => {
                let (paths, nodes) = levels(depth, u64::MAX, config.generation.max());
                let weighing = match config.evaluation {
                    Evaluation::Value => nodes,
                    Evaluation::Vote => paths,
                };
                (paths.saturating_add(extra.saturating_mul(weighing)), nodes)
            }
            Strategy::Refine(config) => {
                rounds = budget.rounds.map_or(config.rounds, |r| r.min(config.rounds));
                let branches = u64::from(rounds).saturating_mul(config.branches as u64);
                let each = depth.saturating_sub(1).saturating_add(extra);
                let queries = depth.saturating_add(extra).saturating_add(branches.saturating_mul(each));
                (queries, depth.saturating_add(branches.saturating_mul(depth)))
            }
            Strategy::Marginal(_) => {
                let size = problem.size();
                // The empty path is no node.
                let nodes = size.map_or(u64::MAX, |size| size.states.saturating_sub(1));
                (size.map_or(u64::MAX, |size| size.contexts), nodes)
            }
        };
        let queries = budget.queries.map_or(queries, |b| b.min(queries));
        let tokens = budget.max_tokens_per_query.map(|each| queries.saturating_mul(each));
        Ok(Estimate {
            rounds,
            queries,
            nodes: budget.nodes.map_or(nodes, |b| b.min(nodes)),
            tokens: match (tokens, budget.tokens) {
                (Some(most), Some(bound)) => Some(most.min(bound)),
                (most, bound) => most.or(bound),
            },
        })
    }
}

/// Paths that are expanded, and nodes, of a tree of `depth` levels in which `k` thoughts follow each path and the best `breadth`
/// of a level are followed.
fn levels(depth: u64, breadth: u64, k: u64) -> (u64, u64) {
    let (mut width, mut paths, mut nodes) = (1_u64, 0_u64, 0_u64);
    for level in 0..depth {
        let found = width.saturating_mul(k);
        paths = paths.saturating_add(width);
        nodes = nodes.saturating_add(found);
        let next = found.min(breadth);
        if next == width {
            // All further levels are alike.
            let left = depth - level - 1;
            return (
                paths.saturating_add(left.saturating_mul(width)),
                nodes.saturating_add(left.saturating_mul(found)),
            );
        }
        width = next;
    }
    (paths, nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted() {
        // 1 + 2 + 4 paths expanded, 2 + 4 + 8 nodes.
        assert_eq!(levels(3, u64::MAX, 2), (7, 14));
        // 1 + 2 + 3 + 3 paths, 2·(1 + 2 + 3 + 3) nodes.
        assert_eq!(levels(4, 3, 2), (9, 18));
        assert_eq!(levels(0, 3, 2), (0, 0));
        assert_eq!(levels(u64::MAX, 1, 1), (u64::MAX, u64::MAX));
        assert_eq!(levels(2, 5, u64::MAX).1, u64::MAX);
    }
}
