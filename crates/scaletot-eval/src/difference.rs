//! Two models compared by one metric.

use serde::{Deserialize, Serialize};

use crate::interval::Interval;
use crate::metric::Metric;
use crate::verdict::{Direction, Verdict};

/// Two models' scores compared by one metric on the same users; made by [`Metric::compare`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// The metric.
    pub metric: Metric,
    /// Number of users.
    pub users: usize,
    /// Metric of the first model.
    pub first: f64,
    /// Metric of the second model.
    pub second: f64,
    /// Interval of first − second.
    pub interval: Interval,
}

impl Difference {
    /// What is shown about the first model against the second, in the metric's own sense of better.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.interval.verdict(self.metric.higher_is_better())
    }

    /// The comparison as a sentence, with what it rests on.
    #[must_use]
    pub fn in_words(&self, first: &str, second: &str) -> String {
        let Self { metric, users, interval, .. } = self;
        let Interval { estimate, low, high, level, replicates, .. } = interval;
        let basis = format!(
            "{:.3} against {:.3}, difference {estimate:+.3}, {:.0} % interval {low:+.3} to {high:+.3} (paired bootstrap \
             of {users} users, {replicates} replicates)",
            self.first,
            self.second,
            level * 100.0,
        );
        match self.verdict() {
            Verdict::Shown(Direction::Better) => {
                format!("{metric}: {first} is better than {second}: {basis}.")
            }
            Verdict::Shown(Direction::Worse) => format!("{metric}: {first} is worse than {second}: {basis}."),
            Verdict::NoDifferenceShown => {
                format!(
                    "{metric}: no difference shown between {first} and {second}, it is within noise: {basis}."
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(metric: Metric, low: f64, high: f64) -> Difference {
        let estimate = (low + high) / 2.0;
        let interval = Interval { estimate, low, high, level: 0.95, replicates: 2_000, undefined: 0 };
        Difference { metric, users: 400, first: 0.5 + estimate, second: 0.5, interval }
    }

    #[test]
    fn an_interval_around_zero_shows_nothing() {
        for (low, high) in [(-0.01, 0.03), (0.0, 0.2), (-0.2, 0.0)] {
            let verdict = difference(Metric::NormalisedGini, low, high).verdict();
            assert_eq!(verdict, Verdict::NoDifferenceShown);
            assert!(!verdict.is_shown());
        }
    }

    #[test]
    fn better_follows_the_metric() {
        let better = Verdict::Shown(Direction::Better);
        let worse = Verdict::Shown(Direction::Worse);
        assert_eq!(difference(Metric::Spearman, 0.01, 0.03).verdict(), better);
        assert_eq!(difference(Metric::Spearman, -0.03, -0.01).verdict(), worse);
        assert_eq!(difference(Metric::CalibrationError, 0.01, 0.03).verdict(), worse);
        assert_eq!(difference(Metric::CalibrationError, -0.03, -0.01).verdict(), better);
    }

    #[test]
    fn words_say_what_they_rest_on() {
        let words = difference(Metric::Spearman, 0.01, 0.03).in_words("signals", "profile only");
        assert_eq!(
            words,
            "Spearman: signals is better than profile only: 0.520 against 0.500, difference +0.020, 95 % interval \
             +0.010 to +0.030 (paired bootstrap of 400 users, 2000 replicates)."
        );
        let words = difference(Metric::Spearman, -0.01, 0.03).in_words("signals", "profile only");
        assert!(words.contains("no difference shown") && words.contains("within noise"), "{words}");
        assert_eq!(Verdict::NoDifferenceShown.to_string(), "no difference shown (within noise)");
    }
}
