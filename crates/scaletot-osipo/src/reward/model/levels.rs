//! The level of each user segment: its histogram over outcome tiers, shrunken to everybody's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check_numbers;
use crate::evidence::Label;
use crate::reward::Tiers;
use crate::{Error, Result};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TierLevels {
    strength: f64,
    /// `N_t`.
    all: Vec<f64>,
    /// `N_{g,t}` of the kinds of segments: segments with equal numbers are one kind. The first is that of none at all.
    kinds: Vec<Vec<f64>>,
    /// Number of segments of each kind.
    members: Vec<usize>,
    /// The kind of each segment that has users.
    segments: BTreeMap<usize, usize>,
}

impl TierLevels {
    pub(super) fn count(labels: &[Label], tiers: &Tiers, strength: f64) -> Self {
        let mut all = vec![0.0; tiers.count()];
        let mut of: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for label in labels {
            let tier = tiers.tier(label.outcome);
            all[tier] += 1.0;
            of.entry(label.segment).or_insert_with(|| vec![0; tiers.count()])[tier] += 1;
        }
        let mut by_counts: BTreeMap<&[u64], usize> = BTreeMap::new();
        for counts in of.values() {
            by_counts.entry(counts).or_default();
        }
        by_counts.values_mut().enumerate().for_each(|(at, kind)| *kind = 1 + at);
        let segments: BTreeMap<usize, usize> =
            of.iter().map(|(&segment, counts)| (segment, by_counts[counts.as_slice()])).collect();
        let wide = by_counts.keys().map(|counts| counts.iter().map(|&n| n as f64).collect());
        let kinds: Vec<Vec<f64>> = std::iter::once(vec![0.0; tiers.count()]).chain(wide).collect();
        let mut members = vec![0; kinds.len()];
        segments.values().for_each(|&kind| members[kind] += 1);
        Self { strength, all, kinds, members, segments }
    }

    /// Whether stored numbers are for so many tiers.
    pub(super) fn check(&self, tiers: usize) -> Result<bool> {
        let rows = std::iter::once(&self.all).chain(&self.kinds);
        for row in rows.clone() {
            check_numbers("users of a segment in a tier", row, 0.0)?;
        }
        let strength = self.strength;
        if !(strength.is_finite() && strength >= 1e-9) {
            let (what, expected) = ("strength of a level", "a finite number of at least 1e-9");
            return Err(Error::InvalidValue { what, row: 0, expected, found: strength });
        }
        let kinds = self.kinds.len();
        Ok(kinds > 0
            && self.members.len() == kinds
            && rows.clone().all(|row| row.len() == tiers)
            && self.segments.values().all(|&k| k < kinds))
    }

    pub(super) fn kind(&self, segment: usize) -> usize {
        self.segments.get(&segment).copied().unwrap_or(0)
    }

    pub(super) fn kinds(&self) -> usize {
        self.kinds.len()
    }

    /// `ln p̂(t|g)`, without a user of this segment and tier if there is one to leave out.
    pub(super) fn log_probs(&self, segment: usize, without: Option<usize>) -> Vec<f64> {
        self.of_kind(self.kind(segment), without, without)
    }

    /// `ln p̂(t|g)` of a segment of a kind, without a user of the segment and one of everybody of these tiers.
    pub(super) fn of_kind(&self, kind: usize, of_own: Option<usize>, of_all: Option<usize>) -> Vec<f64> {
        let s = self.strength;
        let without = |counts: &[f64], tier: Option<usize>| {
            let mut counts = counts.to_vec();
            if let Some(tier) = tier {
                counts[tier] = (counts[tier] - 1.0).max(0.0);
            }
            counts
        };
        let (all, own) = (without(&self.all, of_all), without(&self.kinds[kind], of_own));
        let (sum, own_sum) = (all.iter().sum::<f64>() + s, own.iter().sum::<f64>() + s);
        let everybody = all.iter().map(|n| (n + s / all.len() as f64) / sum);
        own.iter().zip(everybody).map(|(n, p)| ((n + s * p) / own_sum).ln()).collect()
    }

    /// How the level of a segment of a kind changes without a user of a tier in everybody's numbers, and then in its own too.
    pub(super) fn changes(&self, kind: usize, tier: usize) -> [Vec<f64>; 2] {
        let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        let with = self.of_kind(kind, None, None);
        let everybody = self.of_kind(kind, None, Some(tier));
        let both = self.of_kind(kind, Some(tier), Some(tier));
        [less(&everybody, &with), less(&both, &everybody)]
    }

    /// Which share of the other users of the segment's kind is in the segment.
    pub(super) fn share_of_kind(&self, kind: usize) -> f64 {
        let own: f64 = self.kinds[kind].iter().sum();
        let others = own * self.members[kind] as f64 - 1.0;
        if others > 0.0 { (own - 1.0) / others } else { 0.0 }
    }

    /// Whether a segment of a kind has a user of a tier.
    pub(super) fn has(&self, kind: usize, tier: usize) -> bool {
        self.kinds[kind][tier] > 0.0
    }
}
