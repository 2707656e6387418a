//! How many users tell something about a metric.

use crate::metric::Metric;
use crate::rank::tied_groups;

impl Metric {
    /// How many users tell something about the metric: the most that an interval of it can rest on, whatever the scores.
    ///
    /// Where nearly everybody has the same outcome (0, as a rule), only those with another one tell scores apart. So it is their number;
    /// for [`AucOfPositive`](Self::AucOfPositive), which knows two kinds of users, the number of the rarer kind. Where amounts count and few
    /// users have nearly all of the value, the others hardly matter, so that there it is at most twice the effective number of users
    /// `(Σ d)² / Σ d²` (Kish 1965), with `d` the distance of an outcome from the commonest one. For equal amounts that is twice their number.
    ///
    /// ```
    /// use scaletot_eval::Metric;
    ///
    /// let mut outcomes = vec![0.0; 200];
    /// outcomes[..20].fill(9.0);
    /// assert_eq!(Metric::NormalisedGini.informative(&outcomes), 20);
    /// outcomes[0] = 5_000.0; // One user has nearly all of the value.
    /// assert_eq!(Metric::NormalisedGini.informative(&outcomes), 2);
    /// assert_eq!(Metric::AucOfPositive.informative(&outcomes), 20);
    /// ```
    #[must_use]
    pub fn informative(self, outcomes: &[f64]) -> usize {
        let positives = outcomes.iter().filter(|&&outcome| outcome > 0.0).count();
        match self {
            Self::AucOfPositive => positives.min(outcomes.len() - positives),
            Self::Spearman => unusual(outcomes).0,
            Self::NormalisedGini | Self::TopDecileShare | Self::TopDecileLift => telling(outcomes),
            // Of one level too, which a prediction can miss.
            Self::CalibrationError => positives.min(effective(outcomes.iter().copied())),
        }
    }
}

/// Users whose outcome is not the usual one, or twice their effective number if that is less.
pub(crate) fn telling(outcomes: &[f64]) -> usize {
    let (count, usual) = unusual(outcomes);
    // Halved first, so that the distance of two huge numbers is one that exists.
    count.min(effective(outcomes.iter().map(|outcome| (outcome / 2.0 - usual / 2.0).abs())))
}

/// The number of users whose outcome is not the commonest one, and that outcome, the smallest of several.
fn unusual(outcomes: &[f64]) -> (usize, f64) {
    let groups = tied_groups(outcomes);
    let usual = groups.iter().rev().max_by_key(|(_, rows)| rows.len());
    let Some((rows, &row)) = usual.and_then(|(_, rows)| Some((rows, rows.first()?))) else {
        return (0, 0.0);
    };
    (outcomes.len() - rows.len(), outcomes[row])
}

/// Twice `(Σ d)² / Σ d²`, rounded to the nearest whole number.
fn effective(distances: impl Iterator<Item = f64> + Clone) -> usize {
    let largest = distances.clone().fold(0.0, f64::max);
    if largest == 0.0 {
        return 0;
    }
    let (sum, squares) = distances.fold((0.0, 0.0), |(sum, squares), distance| {
        let part = distance / largest;
        (sum + part, squares + part * part)
    });
    (2.0 * sum * sum / squares).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 60 users: so many with the first outcome, all others with the second.
    fn two(count: usize, outcome: f64, others: f64) -> Vec<f64> {
        (0..60).map(|user| if user < count { outcome } else { others }).collect()
    }

    #[test]
    fn the_rarer_outcomes_are_counted() {
        for metric in Metric::ALL {
            assert_eq!(metric.informative(&two(3, 7.0, 0.0)), 3, "{metric}");
            assert_eq!(metric.informative(&two(0, 7.0, 0.0)), 0, "{metric}");
            assert_eq!(metric.informative(&[]), 0, "{metric}");
        }
        for metric in [Metric::Spearman, Metric::NormalisedGini, Metric::AucOfPositive, Metric::TopDecileLift]
        {
            assert_eq!(metric.informative(&two(4, 0.0, 7.0)), 4, "{metric}");
        }
        assert_eq!(Metric::NormalisedGini.informative(&two(1, 900.0, 7.0)), 1);
        assert_eq!(Metric::CalibrationError.informative(&two(0, 0.0, 7.0)), 60);
        let different: Vec<f64> = (0..60).map(f64::from).collect();
        assert_eq!(Metric::Spearman.informative(&different), 59);
    }

    #[test]
    fn amounts_count_where_they_matter_and_may_be_huge() {
        let mut outcomes = two(30, 1.0, 0.0);
        outcomes[0] = 1e4;
        assert_eq!(Metric::Spearman.informative(&outcomes), 30);
        assert_eq!(Metric::TopDecileShare.informative(&outcomes), 2);
        assert_eq!(telling(&[-f64::MAX, f64::MAX, f64::MAX]), 1);
        assert_eq!(telling(&two(20, f64::MAX, 0.0)), 20);
    }
}
