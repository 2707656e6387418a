//! The score `J` of a path.

use scaletot_core::config::{check, unit_interval};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::config::setters;

/// Probabilities below this count as this in a score, so that `ln q` stays finite.
pub const MIN_PROBABILITY: f64 = 1e-12;

/// Evaluations are clamped to `[MIN_EVALUATION, 1 − MIN_EVALUATION]` before the logit, which so lies within ±6.91: one
/// overconfident evaluation cannot outweigh every probability of a chain.
pub const MIN_EVALUATION: f64 = 1e-3;

/// The score of a complete chain and its parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// How paths are scored and the best of them listed; a part of the config of every strategy that scores by more than
/// probability. The formulation is this project's own:
///
/// `J(c) = α · (1/K) Σ_k ln q_k(v_k) + (1 − α) · logit e(c) − λ · (1/K) Σ_k h_k`
///
/// ```
/// use scaletot_search::ScoreConfig;
///
/// assert!(ScoreConfig::default().with_alpha(0.2).validate().is_ok());
/// assert!(ScoreConfig::default().with_temperature(0.0).validate().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ScoreConfig {
    /// `α` in `[0, 1]`: weight of the mean log-probability against the logit of the self-evaluation. Counts as 1 where
    /// nothing is evaluated; at 1 no evaluation is asked for.
    pub alpha: f64,
    /// `λ`, at least 0: how much the mean entropy of a path counts against it.
    pub lambda: f64,
    /// `T`, above 0: temperature of the posterior over scored paths. With `α = 1`, `λ = 0` and `T = 1/K` the posterior of
    /// a path of `K` steps is proportional to its probability.
    pub temperature: f64,
    /// `W`, at least 1: how many paths the outcome lists, the best among them.
    pub keep: usize,
}

impl Default for ScoreConfig {
    /// `α` 0.7, `λ` 0.1, `T` 0.2, `W` 4.
    fn default() -> Self {
        ScoreConfig { alpha: 0.7, lambda: 0.1, temperature: 0.2, keep: 4 }
    }
}

impl ScoreConfig {
    setters! {
        with_alpha alpha: f64;
        with_lambda lambda: f64;
        with_temperature temperature: f64;
        with_keep keep: usize;
    }

    /// Probability alone, at temperature 1, and one path listed: the score of `Greedy`.
    pub(crate) const PROBABILITY: ScoreConfig =
        ScoreConfig { alpha: 1.0, lambda: 0.0, temperature: 1.0, keep: 1 };

    /// Checks the ranges given at the fields. All numbers must be finite; `λ` is at most 1e6 and the temperature from
    /// 1e-6 to 1e6, so that no score or posterior overflows.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        let temperature = (1e-6..=1e6).contains(&self.temperature);
        unit_interval("alpha", self.alpha)?;
        check((0.0..=1e6).contains(&self.lambda), "lambda", "a number in [0, 1e6]", self.lambda)?;
        check(temperature, "temperature", "a number in [1e-6, 1e6]", self.temperature)?;
        Ok(check(self.keep >= 1, "keep", "at least 1", self.keep)?)
    }
}

/// The weights of a score, with `α` as it counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scoring {
    alpha: f64,
    lambda: f64,
    evaluates: bool,
}

impl Scoring {
    /// `α` counts as 1 where nothing is evaluated. Where `α` is 1 an evaluation would not change the score, so none is
    /// asked for.
    pub(crate) fn new(config: &ScoreConfig, evaluates: bool) -> Self {
        let evaluates = evaluates && config.alpha < 1.0;
        Scoring { alpha: if evaluates { config.alpha } else { 1.0 }, lambda: config.lambda, evaluates }
    }

    pub(crate) fn evaluates(&self) -> bool {
        self.evaluates
    }

    /// Scores a path from `(q_k(v_k), h_k)` of its steps. A missing evaluation counts as ½, whose logit is 0.
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

    fn scoring(alpha: f64, lambda: f64, evaluates: bool) -> Scoring {
        Scoring::new(&ScoreConfig::default().with_alpha(alpha).with_lambda(lambda), evaluates)
    }

    #[test]
    fn follows_the_formula() {
        let steps = [(0.5, 0.9), (0.25, 0.3)];
        let s = scoring(0.75, 0.2, true).score(steps.into_iter(), Some(0.8));
        let expected = 0.75 * (0.5f64.ln() + 0.25f64.ln()) / 2.0 + 0.25 * (0.8f64 / 0.2).ln() - 0.2 * 0.6;
        assert!((s.total - expected).abs() < 1e-12);
        assert!((s.mean_entropy - 0.6).abs() < 1e-12);
    }

    #[test]
    fn alpha_is_one_without_evaluation() {
        let scoring = scoring(0.3, 0.0, false);
        assert!(!scoring.evaluates());
        let s = scoring.score([(0.5, 0.0)].into_iter(), None);
        assert!((s.total - 0.5f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn extremes_are_finite() {
        let scoring = scoring(0.5, 1.0, true);
        for e in [0.0, 1.0] {
            let s = scoring.score([(0.0, 1.0), (f64::MIN_POSITIVE, 1.0)].into_iter(), Some(e));
            assert!(s.total.is_finite());
        }
        assert_eq!(scoring.score(std::iter::empty(), None).total, 0.0);
    }
}
