//! What a search ends with.

use std::collections::HashMap;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::{Score, StopReason, Usage};

/// One step of a scored path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PathStep<T> {
    /// The thought taken.
    pub thought: T,
    /// Its probability `q_k(v_k)` after constraints.
    pub probability: f64,
    /// The whole distribution `q_k` at this step after constraints, most probable first; sums to 1. Thoughts that a
    /// constraint removed, or that had no mass, are not in it.
    pub distribution: Vec<(T, f64)>,
    /// Normalised entropy `h_k` of that distribution, in `[0, 1]`.
    pub entropy: f64,
    /// Where the answer left thoughts out, the interval that the entropy is known to lie in; `entropy` is its upper end.
    pub interval: Option<(f64, f64)>,
    /// The covered mass that the answer reported, in `[0, 1]`.
    pub covered: f64,
}

/// A complete path with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ScoredPath<T> {
    /// The thoughts, in order.
    pub path: Vec<T>,
    /// The score and its parts.
    pub score: Score,
    /// The steps, one per thought.
    pub steps: Vec<PathStep<T>>,
    /// How many samples ended here; 1 in strategies that do not sample.
    pub samples: u64,
}

/// What `Marginal` knows of the distribution of one step over all complete paths.
///
/// An interval holds what asking everything would give. It never widens with further answers and is a point when nothing is left to ask.
/// If the problem denies [dead ends](crate::Problem::may_dead_end) and there are some, intervals hold from the last dead end on.
/// Thoughts that an answer leaves out have no part in any of this, as in every strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StepMarginal<T> {
    /// The thoughts of [`Outcome::posterior`], in its order, each with the least and the greatest probability that it can have.
    pub intervals: Vec<(T, f64, f64)>,
    /// The greatest probability that a thought can have which is not listed; 0 when everything that leads to this step was asked.
    pub unlisted: f64,
}

impl<T> StepMarginal<T> {
    /// The largest width of an interval, that of unlisted thoughts included; from 0 (exact) to 1.
    #[must_use]
    pub fn width(&self) -> f64 {
        self.intervals.iter().map(|(_, low, high)| high - low).fold(self.unlisted, f64::max)
    }
}

/// The result of a search: what it found, why it stopped, and what it used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Outcome<T> {
    /// The best-scoring complete path; `None` when none was completed. Of equal scores the one found first.
    /// `SelfConsistency` puts the answer with the most samples first, and of its paths the one with the best score; `Marginal` the most
    /// probable path first, whatever its length.
    pub best: Option<ScoredPath<T>>,
    /// The next best paths, best first, as many as the strategy keeps.
    pub runners_up: Vec<ScoredPath<T>>,
    /// Per step, the probability of each thought over all scored distinct paths: softmax of `J / T`, or the share of samples
    /// in `SelfConsistency`; of `Marginal` see [`marginals`](Self::marginals). Each step sums to
    /// 1 over the paths that are long enough to have it. Thoughts stand in the order in which they were found. Empty
    /// when no path was scored.
    pub posterior: Vec<Vec<(T, f64)>>,
    /// What is known of the distribution of each step over all complete paths: the intervals around the
    /// [`posterior`](Self::posterior). Of `Marginal` alone; empty for the others.
    pub marginals: Vec<StepMarginal<T>>,
    /// Number of distinct complete paths that were scored; of `Marginal`, those listed and the draft.
    pub scored: usize,
    /// Whether the whole tree was searched: every thought that was proposed and is admissible leads to a scored path, a
    /// dead end or a state that another path had reached. Without a [`best`](Self::best) it is then proved that no
    /// complete path exists, as far as the answers are right.
    pub exhaustive: bool,
    /// Why the search stopped.
    pub stop: StopReason,
    /// What it used.
    pub usage: Usage,
    /// Normalised entropy per step of the first complete path, the draft. When no path was completed: of the steps of
    /// the draft that were answered.
    pub draft_entropy: Vec<f64>,
    /// Normalised entropy per step of the best path; empty without one.
    pub final_entropy: Vec<f64>,
    /// Score of the first complete path, the draft.
    pub draft_score: Option<Score>,
}

/// Posterior per step over scored paths: softmax of `score / temperature`, accumulated by thought.
///
/// Weights are accumulated first and divided then: sums of shares that were divided before exceed 1 by rounding.
pub(crate) fn posterior<T: Clone + Eq + Hash>(
    paths: &[(Vec<T>, f64)],
    temperature: f64,
) -> Vec<Vec<(T, f64)>> {
    let top = paths.iter().map(|(_, s)| *s).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = paths.iter().map(|(_, s)| ((s - top) / temperature).exp()).collect();
    let steps = paths.iter().map(|(p, _)| p.len()).max().unwrap_or(0);
    (0..steps)
        .map(|k| {
            let mut found: Vec<(T, f64)> = Vec::new();
            let mut slot: HashMap<&T, usize> = HashMap::new();
            // Scaled by the best path that has this step: far shorter paths may all but underflow.
            let here = || paths.iter().zip(&weights).filter_map(|((p, s), w)| p.get(k).map(|t| (t, *s, *w)));
            let top_here = here().map(|(_, s, _)| s).fold(f64::NEG_INFINITY, f64::max);
            let rescale = top_here < top;
            let mut total = 0.0;
            for (thought, score, weight) in here() {
                let weight = if rescale { ((score - top_here) / temperature).exp() } else { weight };
                total += weight;
                let at = *slot.entry(thought).or_insert_with(|| {
                    found.push((thought.clone(), 0.0));
                    found.len() - 1
                });
                found[at].1 += weight;
            }
            for (_, p) in &mut found {
                *p /= total;
            }
            found
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_log_probability_at_one_over_k_is_the_product() {
        // Two steps: with T = 1/K the posterior is proportional to the product of the probabilities.
        let joint = [("a", "x", 0.6 * 0.5), ("a", "y", 0.6 * 0.5), ("b", "x", 0.4)];
        let paths: Vec<_> = joint.iter().map(|(u, v, p)| (vec![*u, *v], f64::ln(*p) / 2.0)).collect();
        let post = posterior(&paths, 0.5);
        assert!((post[0][0].1 - 0.6).abs() < 1e-12);
        assert!((post[1][0].1 - 0.7).abs() < 1e-12);
    }

    #[test]
    fn no_probability_exceeds_one() {
        // All paths have one thought: the sum of their shares is 1 whatever their scores.
        for count in 1..200_u32 {
            let paths: Vec<_> = (0..count).map(|i| (vec![7], f64::from(i).sin())).collect();
            assert_eq!(posterior(&paths, 0.3), [vec![(7, 1.0)]]);
        }
    }

    #[test]
    fn far_scores_and_short_paths_do_not_underflow_to_nan() {
        let paths = vec![(vec![1], 0.0), (vec![1, 2], -1e6), (vec![2, 3], -2e6)];
        let post = posterior(&paths, 0.01);
        assert_eq!(post.len(), 2);
        for step in post {
            assert!((step.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}
