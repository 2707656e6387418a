//! Two models compared by one metric.

use serde::{Deserialize, Serialize};

use crate::interval::{Interval, Shortage};
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
    /// How many of them have an outcome above 0.
    pub positives: usize,
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
        let Interval { estimate, low, high, level, .. } = interval;
        let basis = format!(
            "{:.3} against {:.3}, difference {estimate:+.3}, {:.0} % interval {low:+.3} to {high:+.3} (paired bootstrap \
             of {users} users, {})",
            self.first,
            self.second,
            level * 100.0,
            interval.replicates_in_words(),
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
            Verdict::TooLittleData => {
                let why = match interval.shortage() {
                    Some(Shortage::Informative { found }) if found == self.positives => {
                        let outcomes = if found == 1 { "outcome" } else { "outcomes" };
                        let least = Interval::MIN_INFORMATIVE;
                        format!("with {found} positive {outcomes} (at least {least} are needed)")
                    }
                    Some(shortage) => shortage.to_string(),
                    None => "with so little data".to_owned(),
                };
                format!("{metric}: no difference can be shown between {first} and {second} {why}: {basis}.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(metric: Metric, low: f64, high: f64) -> Difference {
        let estimate = (low + high) / 2.0;
        let interval = Interval {
            estimate,
            low,
            high,
            level: 0.95,
            replicates: 2_000,
            undefined: 0,
            informative: Some(90),
        };
        Difference { metric, users: 400, positives: 90, first: 0.5 + estimate, second: 0.5, interval }
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
        let mut few = difference(Metric::Spearman, 0.01, 0.03);
        (few.positives, few.interval.informative, few.interval.undefined) = (1, Some(1), 731);
        assert_eq!(few.verdict(), Verdict::TooLittleData);
        assert_eq!(
            few.in_words("signals", "profile only"),
            "Spearman: no difference can be shown between signals and profile only with 1 positive outcome (at least 10 are needed): \
             0.520 against 0.500, difference +0.020, 95 % interval +0.010 to +0.030 (paired bootstrap of 400 users, 2000 replicates, on 731 \
             of which (36.5 %) it is undefined)."
        );
        (few.positives, few.interval.informative) = (30, Some(4));
        assert!(
            few.in_words("a", "b").contains("with 4 informative users (at least 10"),
            "{}",
            few.in_words("a", "b")
        );
        few.interval.informative = Some(30);
        assert!(
            few.in_words("a", "b").contains("with 36.5 % of the resamples undefined"),
            "{}",
            few.in_words("a", "b")
        );
        assert_eq!(Verdict::NoDifferenceShown.to_string(), "no difference shown (within noise)");
    }
}
