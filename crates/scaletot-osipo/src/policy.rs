//! The policy-gradient objective: its advantages per chain segment, clipped ratios and KL penalty. The crate docs have the formulas.

use burn::tensor::{Bool, DType, IndexingUpdateOp, Tensor, TensorData};

use crate::pairs::by_user;
use crate::{
    Candidate, CandidateBatch, Error, GroupBaseline, PolicyConfig, RatioOf, Reduction, Result, TokenMean,
};

/// Log-ratios count as at most this, so that no ratio of a chain that was all but impossible is infinite.
pub(crate) fn most_log_ratio(dtype: DType) -> f64 {
    if dtype == DType::F16 { 10.0 } else { 60.0 }
}

/// Advantages of the candidates within their groups; candidates without one, and groups of one, have 0.
fn within_groups(baseline: GroupBaseline, candidates: &[Candidate]) -> Vec<f64> {
    let mut out = vec![0.0; candidates.len()];
    for rows in by_user(candidates).values() {
        let group: Vec<(usize, f64)> =
            rows.iter().filter_map(|&row| candidates[row].advantage.map(|a| (row, a))).collect();
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
    let n = batch.len();
    if batch.labelled_count() == 0 {
        return Err(Error::NoLabelled { what: "policy objective", rows: n });
    }
    let outcome = within_groups(config.baseline, batch.candidates());
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
    let [n, t] = [batch.len(), batch.mask().tokens()];
    let flags: Vec<bool> =
        batch.candidates().iter().flat_map(|c| std::iter::repeat_n(c.advantage.is_none(), t)).collect();
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
    let users = by_user(batch.candidates());
    let (mut user_of, mut per_other) = (vec![0; n], vec![0.0; n]);
    let mut in_group = vec![0.0; n * k];
    for (user, rows) in users.values().enumerate() {
        rows.iter().for_each(|&row| user_of[row] = user);
        let group: Vec<usize> =
            rows.iter().copied().filter(|&row| batch.candidates()[row].advantage.is_some()).collect();
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
        let labelled: Vec<bool> =
            batch.candidates().iter().map(|candidate| candidate.advantage.is_some()).collect();
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
    fn groups_are_compared_with_themselves() {
        let candidates =
            [(4, Some(1.0)), (4, Some(2.0)), (4, Some(6.0)), (2, Some(5.0)), (4, None), (7, None)]
                .map(|(user, advantage)| Candidate { user, advantage });
        let by = |baseline| within_groups(baseline, &candidates);
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
