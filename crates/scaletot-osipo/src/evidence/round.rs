//! One E step and one M step of the tilt.

use std::collections::BTreeMap;

use scaletot_core::config::positive;

use super::tilt::Table;
use super::{
    ChainSet, Factor, Label, LabelledUsers, Row, Symmetric, Tilt, check_labels, check_rewards, pass,
    posterior, softmax,
};
use crate::{Error, Result};

/// How often a step is halved before the tilt stays as it is.
const HALVINGS: usize = 20;

/// What one E/M round made of a tilt.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Improved {
    /// The tilt after the round.
    pub tilt: Tilt,
    /// Its evidence: mean over users of `(1/η) ln Z_u`, in nats.
    pub evidence: f64,
    /// The reference's (tilt 0) by the same rewards. Never above the tilt's.
    pub reference_evidence: f64,
}

/// One E/M round of a tilt by given rewards: posteriors of all users, then one Newton step of the tilt towards them, halved until the
/// evidence, less the ridge, does not fall (Lange's gradient form of EM). Where the reference is better than the tilt that came
/// in, as after a change of the rewards, the round begins with the reference.
///
/// `rewards` is called in every pass with a user's index, its label and its chains, and writes their `R(u,c)`; −∞ rules a chain out. If all rewards of every user
/// are equal, the tilt does not move at all.
///
/// A round takes two passes over the users, more where a step is halved. Each is linear in the lengths of the rows; the step solves one
/// system of the tilt's numbers, and one of the values' numbers for each different number of users that a segment has.
///
/// # Errors
/// [`Error::Config`] for an η that is not above 0, [`Error::NoLabelled`] without a user, [`Error::InvalidValue`] for a reward that is NaN or +∞,
/// [`Error::NoChain`] for a user without a chain that can be and is not ruled out, [`Error::Shape`] for a tilt of other states, and those of the
/// users' rows.
pub fn improve<U, R>(
    chains: &ChainSet,
    users: &U,
    tilt: &Tilt,
    eta: f64,
    mut rewards: R,
) -> Result<Improved, U::Error>
where
    U: LabelledUsers + ?Sized,
    R: FnMut(usize, Label, &[usize], &mut [f64]) -> Result<()>,
{
    positive("eta", eta).map_err(Error::from)?;
    tilt.check_chains(chains)?;
    check_labels("evidence", users.labels())?;
    let mut round = Round { chains, users, eta };
    let begun =
        round.begin(tilt.clone(), &mut |user, label, row, out| rewards(user, label, row.chains, out))?;
    let reference_evidence = begun.reference_evidence;
    let (tilt, evidence) =
        round.step(begun, &mut |user, label, row, out| rewards(user, label, row.chains, out))?;
    Ok(Improved { tilt, evidence, reference_evidence })
}

/// Writes the rewards of a row's chains.
pub(super) type Rewards<'a> = dyn FnMut(usize, Label, &Row<'_>, &mut [f64]) -> Result<()> + 'a;

pub(super) struct Round<'a, U: ?Sized> {
    pub(super) chains: &'a ChainSet,
    pub(super) users: &'a U,
    pub(super) eta: f64,
}

/// A tilt with its evidence, and where to go from it.
pub(super) struct Begun {
    pub(super) tilt: Tilt,
    pub(super) evidence: f64,
    pub(super) reference_evidence: f64,
    step: Step,
}

/// How far a tilt's numbers are to move.
struct Step {
    common: Vec<f64>,
    segments: BTreeMap<usize, Vec<f64>>,
}

/// Sums over users at one tilt.
struct Sums {
    evidence: f64,
    reference: f64,
    /// `Σ_u (q − π)` and `Σ_u π` of each chain.
    gained: Vec<f64>,
    policy: Vec<f64>,
    /// `Σ_u m mᵀ` with `m = E_π[f]`.
    outer: Symmetric,
    /// `Σ (E_q − E_π)[value]` of the users of each segment, and their number.
    segments: BTreeMap<usize, (Vec<f64>, usize)>,
}

impl<U: LabelledUsers + ?Sized> Round<'_, U> {
    /// The E step at a tilt, or at the reference where that is better.
    pub(super) fn begin(&mut self, tilt: Tilt, rewards: &mut Rewards<'_>) -> Result<Begun, U::Error> {
        let users = self.users.labels().len() as f64;
        let mut tilt = tilt;
        let mut sums = self.sums(&tilt, rewards)?;
        if !tilt.is_zero() && sums.evidence - tilt.penalty() < sums.reference {
            tilt = Tilt::zero(self.chains, tilt.config())?;
            sums = self.sums(&tilt, rewards)?;
        }
        let step = self.newton(&tilt, &sums)?;
        Ok(Begun { tilt, evidence: sums.evidence / users, reference_evidence: sums.reference / users, step })
    }

    /// The M step: the tilt after it, and its evidence.
    pub(super) fn step(&mut self, begun: Begun, rewards: &mut Rewards<'_>) -> Result<(Tilt, f64), U::Error> {
        let still =
            begun.step.common.iter().chain(begun.step.segments.values().flatten()).all(|step| *step == 0.0);
        let users = self.users.labels().len() as f64;
        let before = begun.evidence - begun.tilt.penalty() / users;
        let mut scale = 1.0;
        for _ in 0..if still { 0 } else { HALVINGS } {
            let moved = begun.tilt.moved(scale, &begun.step.common, &begun.step.segments);
            let evidence = self.evidence(&moved, rewards)? / users;
            // Above the reference itself too: the ridge aside, the two are sums of the same terms.
            if evidence - moved.penalty() / users >= before && evidence >= begun.reference_evidence {
                return Ok((moved, evidence));
            }
            scale *= 0.5;
        }
        Ok((begun.tilt, begun.evidence))
    }

    /// `Σ_u (1/η) ln Z_u` of a tilt.
    fn evidence(&mut self, tilt: &Tilt, rewards: &mut Rewards<'_>) -> Result<f64, U::Error> {
        let mut sum = 0.0;
        self.each(tilt, rewards, &mut |user| {
            sum += user.evidence;
            Ok(())
        })?;
        Ok(sum)
    }

    fn sums(&mut self, tilt: &Tilt, rewards: &mut Rewards<'_>) -> Result<Sums, U::Error> {
        let (features, width) = self.chains.features(tilt.config().pairs);
        let mut sums = Sums {
            evidence: 0.0,
            reference: 0.0,
            gained: vec![0.0; self.chains.len()],
            policy: vec![0.0; self.chains.len()],
            outer: Symmetric::zero(tilt.common().len()),
            segments: BTreeMap::new(),
        };
        let (chains, eta) = (self.chains, self.eta);
        let mut mean = vec![0.0; tilt.common().len()];
        let mut scratch = vec![];
        self.each(tilt, rewards, &mut |user| {
            sums.evidence += user.evidence;
            if tilt.is_zero() {
                sums.reference += user.evidence;
            } else {
                scratch.resize(user.rewards.len(), 0.0);
                sums.reference += posterior(user.index, user.reference, user.rewards, eta, &mut scratch)?;
            }
            mean.fill(0.0);
            let own = sums
                .segments
                .entry(user.label.segment)
                .or_insert_with(|| (vec![0.0; chains.value_count()], 0));
            own.1 += 1;
            for ((&chain, q), p) in user.of.iter().zip(user.q).zip(user.policy) {
                sums.gained[chain] += q - p;
                sums.policy[chain] += p;
                features[chain * width..][..width].iter().for_each(|&at| mean[at] += p);
                chains.singles(chain).iter().for_each(|&value| own.0[value] += q - p);
            }
            sums.outer.add_outer(1.0, &mean);
            Ok(())
        })?;
        Ok(sums)
    }

    /// The Newton step of the expected log-likelihood of the posteriors, less the ridge. The common part and the segments' are solved apart, which doubles the curvature:
    /// `2 diag(H₁, H₂)` bounds `H` from above. A segment's curvature is its users' share of everybody's.
    fn newton(&self, tilt: &Tilt, sums: &Sums) -> Result<Step> {
        let (features, width) = self.chains.features(tilt.config().pairs);
        let numbers = tilt.common().len();
        let mut gradient: Vec<f64> = tilt.common().iter().map(|x| -tilt.config().ridge * x).collect();
        let mut curvature = Symmetric::zero(numbers);
        for (chain, features) in features.chunks_exact(width).enumerate() {
            for &at in features {
                gradient[at] += sums.gained[chain] / self.eta;
                features.iter().for_each(|&other| curvature.add(at, other, sums.policy[chain]));
            }
        }
        curvature.subtract(&sums.outer);
        let alone = sums.segments.len() < 2;
        let scale = if alone { 1.0 } else { 2.0 } / self.eta;
        let common = curvature.factor(scale, tilt.config().ridge)?.solve(&gradient);
        let mut segments = BTreeMap::new();
        if alone {
            return Ok(Step { common, segments });
        }
        let of_values = curvature.leading(self.chains.value_count());
        let all = self.users.labels().len() as f64;
        let mut factors: BTreeMap<usize, Factor> = BTreeMap::new();
        for (&segment, (gained, users)) in &sums.segments {
            let mut gradient: Vec<f64> = gained.iter().map(|g| g / self.eta).collect();
            if let Some(own) = tilt.of_segment(segment) {
                gradient.iter_mut().zip(own).for_each(|(g, x)| *g -= tilt.config().segment_ridge * x);
            }
            if !factors.contains_key(users) {
                let share = scale * *users as f64 / all;
                factors.insert(*users, of_values.factor(share, tilt.config().segment_ridge)?);
            }
            if let Some(factor) = factors.get(users) {
                segments.insert(segment, factor.solve(&gradient));
            }
        }
        Ok(Step { common, segments })
    }

    /// Calls `visit` with every user's policy by the tilt, and posterior.
    pub(super) fn each(
        &mut self,
        tilt: &Tilt,
        rewards: &mut Rewards<'_>,
        visit: &mut dyn FnMut(User<'_>) -> Result<()>,
    ) -> Result<(), U::Error> {
        let table = Table::new(tilt, self.chains);
        let (chains, eta) = (self.chains, self.eta);
        let (mut logits, mut r, mut q) = (vec![], vec![], vec![]);
        pass(chains, self.users, &mut |index, label, row| {
            logits.clear();
            logits.extend_from_slice(row.log_probs);
            table.add(tilt, chains, label.segment, row.chains, &mut logits);
            super::normalise(index, &mut logits)?;
            r.clear();
            r.resize(logits.len(), 0.0);
            rewards(index, label, &row, &mut r)?;
            check_rewards(&r)?;
            q.clear();
            q.resize(logits.len(), 0.0);
            let evidence = posterior(index, &logits, &r, eta, &mut q)?;
            softmax(&mut logits);
            visit(User {
                index,
                label,
                of: row.chains,
                reference: row.log_probs,
                rewards: &r,
                evidence,
                policy: &logits,
                q: &q,
            })
        })
    }
}

/// One user of a pass.
pub(super) struct User<'a> {
    pub(super) index: usize,
    pub(super) label: Label,
    pub(super) of: &'a [usize],
    pub(super) reference: &'a [f64],
    pub(super) rewards: &'a [f64],
    pub(super) evidence: f64,
    pub(super) policy: &'a [f64],
    pub(super) q: &'a [f64],
}
