//! Look-ups in the results that several sections need.

use scaletot_eval::Metric;

use super::super::headline;
use super::super::results::{CurvePoint, Labels, Paired, Results};
use super::theme::Style;
pub(super) use crate::pipeline::SCALETOT;

/// The model of the arm in question without the signals.
pub(super) const STACK: &str = "stack";
/// The arm that the encoder learns from.
pub(super) const STUDENT: &str = "student";
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
        headline::point(self.results, arm, labels, metric)
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
        let rival = self.rival();
        let is_rival = |name: &str| rival.is_some_and(|rival| rival == name);
        if arm == SCALETOT {
            return Style::of_rank(0);
        }
        if is_rival(arm) {
            return Style::of_rank(1);
        }
        let others = self.results.arms.iter().filter(|a| a.name != SCALETOT && !is_rival(&a.name));
        Style::of_rank(2 + others.clone().position(|a| a.name == arm).unwrap_or_else(|| others.count()))
    }

    /// Whether charts stress an arm.
    pub(super) fn is_strong(&self, arm: &str) -> bool {
        arm == SCALETOT || self.rival().is_some_and(|rival| rival == arm)
    }

    /// The baseline with the best mean at a number of labels by a metric: what every difference on the page is to.
    pub(super) fn strongest(&self, labels: Labels, metric: Metric) -> Option<&'a CurvePoint> {
        headline::strongest(self.results, labels, metric)
    }

    /// An arm's paired difference to the strongest baseline at the same number of labels.
    pub(super) fn against_strongest(&self, point: &'a CurvePoint) -> Option<&'a Paired> {
        point.against(&self.strongest(point.labels, point.metric)?.arm)
    }

    /// The strongest baseline with all labels by Spearman, which charts stress beside the arm in question.
    pub(super) fn rival(&self) -> Option<&'a str> {
        self.strongest(Labels::All, Metric::Spearman).map(|point| point.arm.as_str())
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
