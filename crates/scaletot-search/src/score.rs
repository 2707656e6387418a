//! The score `J` of a complete chain.

use serde::{Deserialize, Serialize};

/// Probabilities below this count as this in a score, so that `ln q` stays finite.
pub const MIN_PROBABILITY: f64 = 1e-12;

/// Evaluations are clamped to `[MIN_EVALUATION, 1 − MIN_EVALUATION]` before the logit, which so lies within ±6.91: one
/// overconfident evaluation cannot outweigh every probability of a chain.
pub const MIN_EVALUATION: f64 = 1e-3;

/// The score of a complete chain and its parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Score {
    /// `J`; always finite. The larger, the better.
    pub total: f64,
    /// `(1/K) Σ_k ln q_k(v_k)`, at most 0.
    pub mean_log_probability: f64,
    /// `(1/K) Σ_k h_k`, in `[0, 1]`.
    pub mean_entropy: f64,
    /// Self-evaluation in `[0, 1]`, where there was one.
    pub evaluation: Option<f64>,
}

/// The weights of a score:
/// `J(c) = α · (1/K) Σ_k ln q_k(v_k) + (1 − α) · logit e(c) − λ · (1/K) Σ_k h_k` (this project's own formulation).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scoring {
    alpha: f64,
    lambda: f64,
    evaluates: bool,
}

impl Scoring {
    /// `α` counts as 1 where the problem has no self-evaluation. Where `α` is 1 an evaluation would not change the
    /// score, so none is asked for.
    pub(crate) fn new(alpha: f64, lambda: f64, problem_evaluates: bool) -> Self {
        let evaluates = problem_evaluates && alpha < 1.0;
        Scoring { alpha: if evaluates { alpha } else { 1.0 }, lambda, evaluates }
    }

    pub(crate) fn evaluates(&self) -> bool {
        self.evaluates
    }

    /// Scores a chain from `(q_k(v_k), h_k)` of its steps. A missing evaluation counts as ½, whose logit is 0.
    pub(crate) fn score(&self, steps: impl Iterator<Item = (f64, f64)>, evaluation: Option<f64>) -> Score {
        let (mut count, mut log, mut entropy) = (0.0, 0.0, 0.0);
        for (q, h) in steps {
            count += 1.0;
            log += q.max(MIN_PROBABILITY).ln();
            entropy += h;
        }
        let mean = |sum: f64| if count > 0.0 { sum / count } else { 0.0 };
        let (log, entropy) = (mean(log), mean(entropy));
        let opinion = evaluation.map_or(0.0, logit);
        Score {
            total: self.alpha * log + (1.0 - self.alpha) * opinion - self.lambda * entropy,
            mean_log_probability: log,
            mean_entropy: entropy,
            evaluation,
        }
    }
}

fn logit(e: f64) -> f64 {
    let e = e.clamp(MIN_EVALUATION, 1.0 - MIN_EVALUATION);
    (e / (1.0 - e)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_formula() {
        let steps = [(0.5, 0.9), (0.25, 0.3)];
        let s = Scoring::new(0.75, 0.2, true).score(steps.into_iter(), Some(0.8));
        let expected = 0.75 * (0.5f64.ln() + 0.25f64.ln()) / 2.0 + 0.25 * (0.8f64 / 0.2).ln() - 0.2 * 0.6;
        assert!((s.total - expected).abs() < 1e-12);
        assert!((s.mean_entropy - 0.6).abs() < 1e-12);
    }

    #[test]
    fn alpha_is_one_without_evaluation() {
        let scoring = Scoring::new(0.3, 0.0, false);
        assert!(!scoring.evaluates());
        let s = scoring.score([(0.5, 0.0)].into_iter(), None);
        assert!((s.total - 0.5f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn extremes_are_finite() {
        let scoring = Scoring::new(0.5, 1.0, true);
        for e in [0.0, 1.0] {
            let s = scoring.score([(0.0, 1.0), (f64::MIN_POSITIVE, 1.0)].into_iter(), Some(e));
            assert!(s.total.is_finite());
        }
        assert_eq!(scoring.score(std::iter::empty(), None).total, 0.0);
    }
}
