//! Look-ups in the results that several sections need.

use scaletot_eval::Metric;

use super::super::results::{ArmInfo, CurvePoint, Labels, Results};
use super::theme::Style;

/// The arm whose worth is in question.
pub(super) const SCALETOT: &str = "scaletot";
/// The arm that all others are compared with.
pub(super) const PROFILE: &str = "profile";
/// The model of the arm in question without the signals.
pub(super) const STACK: &str = "stack";
/// The arm that the encoder learns from.
pub(super) const STUDENT: &str = "student";
/// Arms that use reasoning; all others are baselines.
const REASONING: [&str; 3] = [SCALETOT, STUDENT, "teacher"];
/// What charts are drawn of.
pub(super) const DRAWN: [Metric; 2] = [Metric::Spearman, Metric::NormalisedGini];

/// Results with the look-ups.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) results: &'a Results,
}

impl<'a> View<'a> {
    /// One arm at one number of labels by one metric.
    pub(super) fn point(&self, arm: &str, labels: Labels, metric: Metric) -> Option<&'a CurvePoint> {
        self.results.curves.iter().find(|p| p.arm == arm && p.labels == labels && p.metric == metric)
    }

    /// The points of a metric in the order of labels.
    pub(super) fn curve(&self, arm: &str, metric: Metric) -> Vec<&'a CurvePoint> {
        let mut points: Vec<&CurvePoint> =
            self.results.curves.iter().filter(|p| p.arm == arm && p.metric == metric).collect();
        points.sort_by_key(|point| point.labels);
        points
    }

    /// Numbers of labels that any arm was tried with, ascending, with the mean number that `all` stands for in its place.
    pub(super) fn sizes(&self) -> Vec<(Labels, f64)> {
        let mut sizes: Vec<(Labels, f64)> = Vec::new();
        for point in &self.results.curves {
            if !sizes.iter().any(|(labels, _)| *labels == point.labels) {
                sizes.push((point.labels, point.count));
            }
        }
        sizes.sort_by_key(|(labels, _)| *labels);
        sizes
    }

    /// Metrics that any arm has with all labels, in the order of [`Metric::ALL`].
    pub(super) fn metrics(&self) -> Vec<Metric> {
        let has = |metric| self.results.curves.iter().any(|p| p.labels == Labels::All && p.metric == metric);
        Metric::ALL.into_iter().filter(|&metric| has(metric)).collect()
    }

    /// Style of an arm: the two in question first, the others by their order.
    pub(super) fn style(&self, arm: &str) -> Style {
        Style::of_rank(match arm {
            SCALETOT => 0,
            PROFILE => 1,
            _ => {
                let others = self.results.arms.iter().filter(|a| a.name != SCALETOT && a.name != PROFILE);
                2 + others.clone().position(|a| a.name == arm).unwrap_or_else(|| others.count())
            }
        })
    }

    /// Whether charts stress an arm.
    pub(super) fn is_strong(&self, arm: &str) -> bool {
        arm == SCALETOT || arm == PROFILE
    }

    /// Arms that do without reasoning.
    pub(super) fn baselines(&self) -> impl Iterator<Item = &'a ArmInfo> {
        let without_labels =
            |arm: &str| self.results.curves.iter().any(|p| p.arm == arm && p.labels == Labels::Count(0));
        self.results.arms.iter().filter(move |arm| {
            !REASONING.contains(&arm.name.as_str())
                && !arm.name.starts_with(SCALETOT)
                && !without_labels(&arm.name)
        })
    }

    /// Part of a key for an arm: names may hold anything.
    pub(super) fn key(&self, arm: &str) -> usize {
        self.results.arms.iter().position(|a| a.name == arm).unwrap_or(self.results.arms.len())
    }

    /// Name of a state of the task.
    pub(super) fn state(&self, at: usize) -> String {
        self.results.task.states.get(at).cloned().unwrap_or_else(|| format!("state {}", at + 1))
    }
}
