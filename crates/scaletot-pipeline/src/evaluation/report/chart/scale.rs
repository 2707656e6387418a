//! Scales of axes: their range and their ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;

/// An axis.
#[derive(Debug, Clone)]
pub(in super::super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    ticks: Vec<(f64, String)>,
    pub(super) title: String,
}

impl Scale {
    /// A scale with given ticks, each with its label. An empty range is widened, so that there is always something to
    /// draw on.
    pub(in super::super) fn new(low: f64, high: f64, ticks: Vec<(f64, String)>, title: &str) -> Self {
        let (low, high) = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
        Self { low, high, ticks, title: title.to_owned() }
    }

    /// A linear scale that holds all values, with some room, and round ticks.
    pub(in super::super) fn around(values: impl IntoIterator<Item = f64>, title: &str) -> Self {
        let (low, high) = bounds(values);
        let room = 0.06 * (high - low).max(1e-9);
        let (low, high) = (low - room, high + room);
        Self::new(low, high, round_ticks(low, high), title)
    }

    /// A linear scale from 0 that holds all values, with round ticks.
    pub(in super::super) fn from_zero(values: impl IntoIterator<Item = f64>, title: &str) -> Self {
        let (_, high) = bounds(values);
        let high = 1.05 * high.max(1e-9);
        Self::new(0.0, high, round_ticks(0.0, high), title)
    }

    /// Shares from 0 to `high`, ticks in per cent.
    pub(in super::super) fn shares(high: f64, title: &str) -> Self {
        Self::new(0.0, high, round_ticks(0.0, high), title).in_percent()
    }

    /// A scale of square roots, from 0: amounts of very different sizes fit, and 0 has its place. Values are given to
    /// the chart as their roots.
    pub(in super::super) fn roots(values: impl IntoIterator<Item = f64>, title: &str) -> Self {
        let (_, high) = bounds(values);
        let high = high.max(1e-9);
        let unit = 10_f64.powf(high.log10().floor());
        let steps = [0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0];
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for value in steps.into_iter().map(|step| step * unit).filter(|value| *value <= 1.06 * high) {
            let far = ticks.last().is_none_or(|last| value.sqrt() - last.0 > 0.13 * high.sqrt());
            if far {
                ticks.push((value.sqrt(), label(value, unit / 10.0)));
            }
        }
        Self::new(0.0, (1.06 * high).sqrt(), ticks, title)
    }

    /// The same scale with its ticks as percentages.
    pub(in super::super) fn in_percent(mut self) -> Self {
        for (value, label) in &mut self.ticks {
            *label = super::super::words::short_percent(*value);
        }
        self
    }

    /// The same scale without the labels that would meet the next one on an axis of this width; their ticks stay.
    pub(super) fn fitted(mut self, width: f64, letter: f64) -> Self {
        let place = |value: f64| (value - self.low) / (self.high - self.low) * width;
        let mut free = f64::INFINITY;
        for (value, label) in self.ticks.iter_mut().rev() {
            let half = (label.chars().count() as f64 + 0.5) * letter / 2.0;
            if place(*value) + half > free {
                label.clear();
            } else {
                free = place(*value) - half;
            }
        }
        self
    }

    /// A level line over the whole axis.
    pub(in super::super) fn across(&self, level: f64) -> [(f64, f64); 2] {
        [(self.low, level), (self.high, level)]
    }

    /// The line of equal values, for two axes of this scale.
    pub(in super::super) fn diagonal(&self) -> [(f64, f64); 2] {
        [(self.low, self.low), (self.high, self.high)]
    }

    /// The longest tick label, in letters.
    pub(super) fn widest(&self) -> usize {
        self.ticks.iter().map(|tick| tick.1.chars().count()).max().unwrap_or(0)
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light points would be grid lines between the ticks.
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.iter().map(|tick| tick.0).collect()
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        let far = |tick: &(f64, String)| (tick.0 - value).abs();
        let nearest = self.ticks.iter().min_by(|a, b| far(a).total_cmp(&far(b)));
        nearest.map(|tick| tick.1.clone()).unwrap_or_default()
    }
}

/// Positions for amounts that range over several powers of ten and may be 0: logarithmic but near 0, and never so close
/// that their labels would meet. Amounts ascend.
pub(in super::super) fn spread(amounts: &[f64]) -> Vec<f64> {
    let smallest = amounts.iter().copied().find(|amount| *amount > 0.0).unwrap_or(1.0);
    let raw: Vec<f64> = amounts.iter().map(|amount| (2.0 * amount / smallest).ln_1p()).collect();
    let span = raw.last().copied().unwrap_or(0.0) - raw.first().copied().unwrap_or(0.0);
    let gap = 0.74 * span / raw.len().saturating_sub(1).max(1) as f64;
    let mut positions: Vec<f64> = Vec::with_capacity(raw.len());
    for value in raw {
        let least = positions.last().map_or(value, |last| last + gap.max(1e-6));
        positions.push(value.max(least));
    }
    positions
}

fn bounds(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .into_iter()
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// Multiples of 1, 2 or 5 times a power of ten: three to six.
fn round_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / 6.0;
    if !rough.is_finite() || rough <= 0.0 {
        return Vec::new();
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough * 0.999).unwrap_or(power);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|k| k as f64 * step).map(|value| (value, label(value, step))).collect()
}

/// A tick label with as many decimals as the step needs.
fn label(value: f64, step: f64) -> String {
    let decimals = (-step.log10() - 1e-9).ceil().max(0.0) as usize;
    super::super::words::fixed(value, decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let labels = |low, high| round_ticks(low, high).into_iter().map(|tick| tick.1).collect::<Vec<_>>();
        assert_eq!(labels(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(0.21, 0.39), ["0.25", "0.30", "0.35"]);
        assert_eq!(labels(-0.02, 0.06), ["\u{2212}0.02", "0.00", "0.02", "0.04", "0.06"]);
        assert_eq!(labels(0.0, 3_000.0), ["0", "500", "1,000", "1,500", "2,000", "2,500", "3,000"]);
    }

    #[test]
    fn positions_ascend_with_a_gap_and_hold_zero() {
        let at = spread(&[0.0, 50.0, 200.0, 500.0, 1_000.0, 2_000.0, 2_050.0]);
        assert_eq!(at[0], 0.0);
        let gap = at.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
        assert!(gap > 0.3, "{at:?}");
        assert_eq!(spread(&[]), Vec::<f64>::new());
        assert_eq!(spread(&[7.0]).len(), 1);
    }

    #[test]
    fn labels_that_would_meet_are_left_out_from_the_left() {
        let labels = |width| {
            let ticks = (0..5).map(|at| (f64::from(at), format!("{at}0 %"))).collect();
            let scale = Scale::new(0.0, 4.0, ticks, "").fitted(width, 7.0);
            scale.ticks.into_iter().map(|tick| tick.1).collect::<Vec<_>>()
        };
        assert_eq!(labels(200.0), ["00 %", "10 %", "20 %", "30 %", "40 %"]);
        assert_eq!(labels(100.0), ["00 %", "", "20 %", "", "40 %"]);
    }

    #[test]
    fn a_single_value_still_has_a_range() {
        let scale = Scale::around([0.3], "x");
        assert!(scale.low < 0.3 && scale.high > 0.3);
        let none = Scale::around([], "x");
        assert!(none.low < none.high);
    }
}
