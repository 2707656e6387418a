//! Differences of two arms over the same worlds, with their interval.

use scaletot_eval::{Direction, Verdict};

/// Two-sided 95 % points of Student's t, from 1 degree of freedom.
const T: [f64; 20] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086,
];
/// Worlds that there is a point of t for.
pub(super) const MAX_WORLDS: usize = T.len() + 1;

/// A mean over worlds and, of two or more, half the length of its 95 % interval: `t s / √n` with `s` the standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mean {
    pub(super) mean: f64,
    pub(super) half: Option<f64>,
}

impl Mean {
    /// `None` of no value.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / n)?;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let t = values.len().checked_sub(2).and_then(|place| T.get(place));
        Some(Self { mean, half: t.map(|t| t * (variance / n).sqrt()) })
    }

    /// Of the differences of two arms, world by world; larger is better.
    pub(super) fn verdict(self) -> Verdict {
        match self.half {
            Some(half) if self.mean > half => Verdict::Shown(Direction::Better),
            Some(half) if -self.mean > half => Verdict::Shown(Direction::Worse),
            _ => Verdict::NoDifferenceShown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // Standard deviation 0.015811, of 4 degrees of freedom: 2.77645 · 0.015811 / √5.
        let mean = Mean::of(&[0.01, 0.02, 0.03, 0.04, 0.05]).unwrap();
        assert!((mean.mean - 0.03).abs() < 1e-12);
        assert!((mean.half.unwrap() - 0.019_632_4).abs() < 1e-5, "{mean:?}");
        assert_eq!(mean.verdict(), Verdict::Shown(Direction::Better));
        // Two values: 12.706 times half their distance.
        let mean = Mean::of(&[1.0, 3.0]).unwrap();
        assert!((mean.half.unwrap() - 12.706).abs() < 1e-9);
        assert_eq!(mean.verdict(), Verdict::NoDifferenceShown);
    }

    #[test]
    fn what_cannot_be_said_is_not() {
        assert_eq!(Mean::of(&[]), None);
        let one = Mean::of(&[0.5]).unwrap();
        assert_eq!((one.half, one.verdict()), (None, Verdict::NoDifferenceShown));
        assert_eq!(Mean::of(&[0.0; 3]).unwrap().verdict(), Verdict::NoDifferenceShown);
        let loss = Mean::of(&[-0.2, -0.2, -0.2]).unwrap();
        assert_eq!(loss.verdict(), Verdict::Shown(Direction::Worse));
        assert!(Mean::of(&[0.1; MAX_WORLDS]).unwrap().half.is_some());
    }
}
