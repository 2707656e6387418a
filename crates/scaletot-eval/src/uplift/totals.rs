//! Sums over the users at the top of a ranking; every estimate of this module is read off them.

use crate::gain::descending;

/// Sums over users, each counted as often as it was drawn.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) users: f64,
    /// `Σ W / e`.
    pub(crate) treated_weight: f64,
    /// `Σ W y / e`.
    pub(crate) treated_outcome: f64,
    /// `Σ (1 − W) / (1 − e)`.
    pub(crate) untreated_weight: f64,
    /// `Σ (1 − W) y / (1 − e)`.
    pub(crate) untreated_outcome: f64,
}

impl Totals {
    /// One user.
    pub(crate) fn of(treated: bool, weight: f64, outcome: f64) -> Self {
        let user = Self { users: 1.0, ..Self::default() };
        if treated {
            Self { treated_weight: weight, treated_outcome: weight * outcome, ..user }
        } else {
            Self { untreated_weight: weight, untreated_outcome: weight * outcome, ..user }
        }
    }

    /// Adds `times` the other.
    pub(crate) fn add(&mut self, other: &Self, times: f64) {
        self.users += times * other.users;
        self.treated_weight += times * other.treated_weight;
        self.treated_outcome += times * other.treated_outcome;
        self.untreated_weight += times * other.untreated_weight;
        self.untreated_outcome += times * other.untreated_outcome;
    }

    /// `Σ (W y / e − (1 − W) y / (1 − e))`: without bias for the effect of treating all of these users.
    pub(crate) fn effect(&self) -> f64 {
        self.treated_outcome - self.untreated_outcome
    }
}

/// Users in groups of equal scores, the highest first. Resamples need no sorting: they count every user as often as
/// it was drawn.
#[derive(Debug)]
pub(crate) struct Ranked<'a> {
    users: &'a [Totals],
    groups: Vec<Vec<usize>>,
}

impl<'a> Ranked<'a> {
    pub(crate) fn new(users: &'a [Totals], scores: &[f64]) -> Self {
        Self { users, groups: descending(scores).into_iter().map(|(_, rows)| rows).collect() }
    }

    /// Totals of every group; without counts, of all users once.
    pub(crate) fn totals(&self, counts: Option<&[u32]>) -> Vec<Totals> {
        let of_group = |rows: &Vec<usize>| {
            let mut totals = Totals::default();
            for &row in rows {
                totals.add(&self.users[row], counts.map_or(1.0, |counts| f64::from(counts[row])));
            }
            totals
        };
        self.groups.iter().map(of_group).collect()
    }

    /// The users who are in the top share, wholly or in part, the highest scores first.
    pub(crate) fn in_top(&self, share: f64) -> Vec<usize> {
        let cut = border(self.users.len() as f64, share);
        let mut rows = Vec::new();
        for group in &self.groups {
            if rows.len() as f64 >= cut {
                break;
            }
            rows.extend(group);
        }
        rows
    }
}

/// Totals of the top share, in [0, 1]: of a group across the border, the part inside.
pub(crate) fn top(groups: &[Totals], share: f64) -> Totals {
    let all: f64 = groups.iter().map(|group| group.users).sum();
    let cut = border(all, share);
    let mut top = Totals::default();
    for group in groups {
        let inside = (cut - top.users).min(group.users);
        if inside <= 0.0 {
            if group.users == 0.0 { continue } else { break }
        }
        top.add(group, inside / group.users);
    }
    top
}

/// How many of the users the top share holds; need not be whole.
fn border(users: f64, share: f64) -> f64 {
    // 0.1 · 30 is a hair above 3; the hair would put a fourth user in, with next to no weight, but then alone in an arm.
    let whole = (share * users).round();
    if (share * users - whole).abs() < 1e-9 * users { whole } else { share * users }
}
