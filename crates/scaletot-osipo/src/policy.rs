//! The policy-gradient objective: its advantages per chain segment, clipped ratios and KL penalty. The crate docs have the formulas.

use burn::tensor::{Bool, DType, IndexingUpdateOp, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::config::{Reduction, at_least_zero};
use crate::pairs::by_user;
use crate::{CandidateBatch, Error, Result};

/// Log-ratios count as at most this, so that no ratio of a chain that was all but impossible is infinite.
pub(crate) fn most_log_ratio(dtype: DType) -> f64 {
    if dtype == DType::F16 { 10.0 } else { 60.0 }
}

/// Settings of [`Objective::Policy`](crate::Objective::Policy), whose formulas are in the crate docs.
///
/// ```
/// use scaletot_osipo::{GroupBaseline, Objective, OsipoLossConfig, PolicyConfig};
///
/// let grpo = PolicyConfig::default().with_baseline(GroupBaseline::Standardised).with_process(0.0).with_kl(0.04);
/// assert!(OsipoLossConfig::default().with_objective(Objective::Policy(grpo)).init().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PolicyConfig {
    /// What a chain's advantage is judged against; leave-one-out by default.
    pub baseline: GroupBaseline,
    /// Weight `λ_p` ≥ 0 of the process rewards; 1 by default, 0 leaves them out.
    pub process: f64,
    /// Discount δ in `[0, 1]` of later segments' process rewards; 1 by default.
    pub discount: f64,
    /// Whose ratio is clipped; that of tokens by default.
    pub ratio: RatioOf,
    /// `ε_low` in `[0, 1)`; 0.2 by default.
    pub clip_low: f64,
    /// `ε_high` ≥ 0; 0.2 by default.
    pub clip_high: f64,
    /// Weight `β_kl` ≥ 0 of the KL penalty to the reference, per token; 0 by default.
    pub kl: f64,
    /// What a mean is taken over; of each chain first by default.
    pub mean: TokenMean,
}

/// What the advantage of a chain is judged against: the other labelled chains of the same user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupBaseline {
    /// `A_i − mean of the others` (RLOO); 0 for a chain that is alone.
    #[default]
    LeaveOneOut,
    /// `(A_i − mean) / (standard deviation + 1e-4)`, the deviation with `G − 1` in the denominator (GRPO, as TRL has it); 0 for
    /// a chain that is alone.
    Standardised,
    /// `A_i` as it is: standardised within user segments, for instance.
    None,
}

/// Whose probabilities a ratio is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RatioOf {
    /// Of each token, with the advantage of its chain segment.
    #[default]
    Token,
    /// Of the whole chain, with the advantage of its first segment, which is that of the chain.
    Chain,
}

/// What [`Reduction::Mean`] is a mean of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenMean {
    /// Over the tokens of each chain, then over the chains (GRPO as published).
    #[default]
    Chain,
    /// Over all tokens of the batch: long chains count more (TRL's `bnpo`).
    Batch,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            baseline: GroupBaseline::default(),
            process: 1.0,
            discount: 1.0,
            ratio: RatioOf::default(),
            clip_low: 0.2,
            clip_high: 0.2,
            kl: 0.0,
            mean: TokenMean::default(),
        }
    }
}

impl PolicyConfig {
    /// Sets the baseline.
    #[must_use]
    pub fn with_baseline(mut self, baseline: GroupBaseline) -> Self {
        self.baseline = baseline;
        self
    }

    /// Sets `λ_p`.
    #[must_use]
    pub fn with_process(mut self, process: f64) -> Self {
        self.process = process;
        self
    }

    /// Sets δ.
    #[must_use]
    pub fn with_discount(mut self, discount: f64) -> Self {
        self.discount = discount;
        self
    }

    /// Sets whose ratio is clipped.
    #[must_use]
    pub fn with_ratio(mut self, ratio: RatioOf) -> Self {
        self.ratio = ratio;
        self
    }

    /// Sets `ε_low` and `ε_high`.
    #[must_use]
    pub fn with_clip(mut self, low: f64, high: f64) -> Self {
        (self.clip_low, self.clip_high) = (low, high);
        self
    }

    /// Sets `β_kl`.
    #[must_use]
    pub fn with_kl(mut self, kl: f64) -> Self {
        self.kl = kl;
        self
    }

    /// Sets what a mean is taken over.
    #[must_use]
    pub fn with_mean(mut self, mean: TokenMean) -> Self {
        self.mean = mean;
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        at_least_zero("process", self.process)?;
        at_least_zero("clip_high", self.clip_high)?;
        at_least_zero("kl", self.kl)?;
        let wrong = |name, expected, found| Err(Error::InvalidSetting { name, expected, found });
        if !(0.0..=1.0).contains(&self.discount) {
            return wrong("discount", "a number from 0 to 1", self.discount);
        }
        if !(0.0..1.0).contains(&self.clip_low) {
            return wrong("clip_low", "a number of at least 0 and below 1", self.clip_low);
        }
        Ok(())
    }
}

/// Advantages of the candidates within their groups; candidates without one, and groups of one, have 0.
fn within_groups(baseline: GroupBaseline, users: &[usize], advantages: &[Option<f64>]) -> Vec<f64> {
    let mut out = vec![0.0; users.len()];
    for rows in by_user(users).values() {
        let group: Vec<(usize, f64)> =
            rows.iter().filter_map(|&row| advantages[row].map(|a| (row, a))).collect();
        let n = group.len() as f64;
        let mean = group.iter().map(|(_, a)| a).sum::<f64>() / n;
        let alone = group.len() < 2;
        let variance = group.iter().map(|(_, a)| (a - mean).powi(2)).sum::<f64>() / (n - 1.0);
        for (row, a) in group {
            out[row] = match baseline {
                GroupBaseline::None => a,
                _ if alone => 0.0,
                // a − (n·mean − a) / (n − 1)
                GroupBaseline::LeaveOneOut => (a - mean) * n / (n - 1.0),
                GroupBaseline::Standardised => (a - mean) / (variance.sqrt() + 1e-4),
            };
        }
    }
    out
}

/// The objective, already reduced, and the share of the ratios that were clipped.
pub(crate) struct PolicyLoss {
    pub(crate) loss: Tensor<1>,
    pub(crate) clipped: Tensor<1>,
}

/// `process` are weighted segment rewards `[n, K]`, without a graph.
pub(crate) fn policy(
    batch: &CandidateBatch,
    dropped: &Tensor<2, Bool>,
    process: Tensor<2>,
    config: &PolicyConfig,
    reduction: Reduction,
) -> Result<PolicyLoss> {
    let n = batch.candidates();
    if batch.labelled_count() == 0 {
        return Err(Error::NoLabelled { what: "policy objective", rows: n });
    }
    let outcome = within_groups(config.baseline, batch.users(), batch.advantages());
    let mut advantage = batch.upload(outcome, [n, 1]).expand([n, batch.segments().count()]);
    if config.process > 0.0 {
        advantage = advantage + returns(batch, process, config.discount).mul_scalar(config.process);
    }
    // Nothing of a chain without an advantage counts, whatever its log-probabilities are.
    let dropped = &dropped.clone().bool_or(unlabelled(batch));
    let now = batch.policy().clone().mask_fill(dropped.clone(), 0.0);
    let old = batch.sampling().mask_fill(dropped.clone(), 0.0);
    let log_ratio = now.clone() - old;
    let most = most_log_ratio(now.dtype());
    let exp = |log: Tensor<2>| log.clamp_max(most).exp();
    let (terms, clipped) = match config.ratio {
        RatioOf::Token => {
            let of_token: Tensor<2> =
                (batch.membership() * advantage.unsqueeze_dim::<3>(1)).sum_dim(2).squeeze_dim(2);
            clip(exp(log_ratio), of_token, config)
        }
        RatioOf::Chain => clip(exp(log_ratio.sum_dim(1)), advantage.narrow(1, 0, 1), config),
    };
    let weights = Weights::new(batch, config, reduction);
    let units = |by: &Weights, terms: Tensor<2>| match config.ratio {
        RatioOf::Token => terms * batch.upload(by.tokens.clone(), [n, batch.mask().tokens()]),
        RatioOf::Chain => terms * batch.upload(by.chains.clone(), [n, 1]),
    };
    let mut loss = units(&weights, terms).sum();
    if config.kl > 0.0 {
        let d = now - batch.reference().clone().mask_fill(dropped.clone(), 0.0);
        // Beyond it nothing pulls, and above all not the wrong way.
        let d = d.clamp_min(-most);
        let k3 = (-d.clone()).exp() - 1.0 + d;
        let tokens = batch.upload(weights.tokens.clone(), [n, batch.mask().tokens()]);
        loss = loss + (k3 * tokens).sum().mul_scalar(config.kl);
    }
    let even = Weights::new(batch, &config.with_mean(TokenMean::Batch), Reduction::Mean);
    Ok(PolicyLoss { loss, clipped: units(&even, clipped).sum() })
}

/// `true` in the rows of chains without an advantage.
fn unlabelled(batch: &CandidateBatch) -> Tensor<2, Bool> {
    let [n, t] = [batch.candidates(), batch.mask().tokens()];
    let flags: Vec<bool> =
        batch.advantages().iter().flat_map(|a| std::iter::repeat_n(a.is_none(), t)).collect();
    Tensor::from_data(TensorData::new(flags, [n, t]), &batch.device().without_autodiff())
}

/// `−min(ρ A, clip(ρ) A)`, and 1 where the clipped one is the smaller. What is clipped has no gradient.
fn clip(ratio: Tensor<2>, advantage: Tensor<2>, config: &PolicyConfig) -> (Tensor<2>, Tensor<2>) {
    let (low, high) = (1.0 - config.clip_low, 1.0 + config.clip_high);
    let too_high = ratio.clone().greater_scalar(high).bool_and(advantage.clone().greater_scalar(0.0));
    let too_low = ratio.clone().lower_scalar(low).bool_and(advantage.clone().lower_scalar(0.0));
    let clipped = too_high.clone().bool_or(too_low.clone()).float().cast(advantage.dtype());
    let ratio = ratio.mask_fill(too_high, high).mask_fill(too_low, low);
    (-(ratio * advantage), clipped)
}

/// Discounted sums of the later segments' process rewards, each less the baseline of its chain, `[n, K]`.
fn returns(batch: &CandidateBatch, process: Tensor<2>, discount: f64) -> Tensor<2> {
    let [n, k] = process.dims();
    let present = batch.present_segments();
    let mut average = vec![0.0; n * k];
    for (row, segments) in present.chunks(k).enumerate() {
        let count = segments.iter().filter(|present| **present).count().max(1) as f64;
        (0..k).filter(|&s| segments[s]).for_each(|s| average[row * k + s] = 1.0 / count);
    }
    // Mean over the others of the user, of those that have an advantage; none for a chain that is alone.
    let users = by_user(batch.users());
    let (mut user_of, mut per_other) = (vec![0; n], vec![0.0; n]);
    let mut in_group = vec![0.0; n * k];
    for (user, rows) in users.values().enumerate() {
        rows.iter().for_each(|&row| user_of[row] = user);
        let group: Vec<usize> =
            rows.iter().copied().filter(|&row| batch.advantages()[row].is_some()).collect();
        for &i in group.iter().filter(|_| group.len() > 1) {
            per_other[i] = 1.0 / (group.len() - 1) as f64;
            (0..k).filter(|&s| present[i * k + s]).for_each(|s| in_group[i * k + s] = 1.0);
        }
    }
    // Filled, not multiplied by 0: what does not count may be anything.
    let outside: Vec<bool> = in_group.iter().map(|inside| *inside == 0.0).collect();
    let outside = TensorData::new(outside, [n, k]);
    let outside = Tensor::<2, Bool>::from_data(outside, &batch.device().without_autodiff());
    let process = process.mask_fill(outside, 0.0);
    let mean = (process.clone() * batch.upload(average, [n, k])).sum_dim(1); // [n, 1]
    let of_user = batch.upload_rows(user_of.into_iter());
    let sums = batch.upload(vec![0.0; users.len()], [users.len(), 1]);
    let sums = sums.select_assign(0, of_user.clone(), mean.clone(), IndexingUpdateOp::Add);
    let baseline = (sums.select(0, of_user) - mean) * batch.upload(per_other, [n, 1]);
    let centred = (process - baseline.expand([n, k])) * batch.upload(in_group, [n, k]);
    let later: Vec<f64> = (0..k)
        .flat_map(|from| {
            (0..k).map(move |to| if to < from { 0.0 } else { discount.powi((to - from) as i32) })
        })
        .collect();
    let later = batch.upload(later, [1, k, k]);
    // [n, 1, K] · [1, K, K], summed over the later segments.
    (centred.unsqueeze_dim::<3>(1) * later).sum_dim(2).squeeze_dim(2)
}

/// What each token's, or each chain's, term counts in the reduction; 0 for chains without an advantage.
struct Weights {
    /// `[n, t]`
    tokens: Vec<f64>,
    /// `[n]`
    chains: Vec<f64>,
}

impl Weights {
    fn new(batch: &CandidateBatch, config: &PolicyConfig, reduction: Reduction) -> Self {
        let mask = batch.mask();
        let labelled: Vec<bool> = batch.advantages().iter().map(Option::is_some).collect();
        let chains = labelled.iter().filter(|labelled| **labelled).count().max(1) as f64;
        let kept = |row: usize| mask.kept(row) as f64;
        let all: f64 = (0..labelled.len()).filter(|&row| labelled[row]).map(kept).sum();
        let of_token = |row: usize| match (reduction, config.mean) {
            (Reduction::Sum, _) => 1.0,
            (Reduction::Mean, TokenMean::Batch) => 1.0 / all.max(1.0),
            (Reduction::Mean, TokenMean::Chain) => 1.0 / (kept(row).max(1.0) * chains),
        };
        let of_chain = if reduction == Reduction::Sum { 1.0 } else { 1.0 / chains };
        let tokens = (0..labelled.len()).flat_map(|row| {
            let weight = if labelled[row] { of_token(row) } else { 0.0 };
            (0..mask.tokens()).map(move |token| if mask.is_kept(row, token) { weight } else { 0.0 })
        });
        Self {
            tokens: tokens.collect(),
            chains: labelled.iter().map(|labelled| if *labelled { of_chain } else { 0.0 }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_judged_against_themselves() {
        let users = [4, 4, 4, 2, 4, 7];
        let advantages = [Some(1.0), Some(2.0), Some(6.0), Some(5.0), None, None];
        let by = |baseline| within_groups(baseline, &users, &advantages);
        assert_eq!(by(GroupBaseline::None), [1.0, 2.0, 6.0, 5.0, 0.0, 0.0]);
        assert_eq!(by(GroupBaseline::LeaveOneOut), [-3.0, -1.5, 4.5, 0.0, 0.0, 0.0]);
        let std = 7.0_f64.sqrt() + 1e-4;
        for (found, expected) in
            by(GroupBaseline::Standardised).iter().zip([-2.0 / std, -1.0 / std, 3.0 / std, 0.0])
        {
            assert!((found - expected).abs() < 1e-12);
        }
    }
}
