//! What to watch while training: everything of one step in one small tensor, read back when asked for.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use crate::host::read_to_host;
use crate::{CandidateBatch, Error, ImplicitRewards, Result};

/// Statistics of one step, on the device. [`OsipoStats::read`] brings them to the host in one transfer; a
/// trainer that logs every tenth step pays for every tenth.
#[derive(Debug, Clone)]
pub struct OsipoStats {
    /// non-finite count, loss, objective, sft, kl, log-ratio, margin, accuracy, clipped, then `[K]`, then `[G]`.
    packed: Tensor<1>,
    chain_segments: usize,
    user_segment_counts: Vec<usize>,
    candidates: usize,
    labelled: usize,
    users: usize,
    pairs: usize,
    ties: usize,
    has_sft: bool,
    has_clipped: bool,
}

/// Statistics of one step, on the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OsipoReport {
    /// The loss: objective + `λ_sft` · SFT term.
    pub loss: f64,
    /// The objective alone.
    pub objective: f64,
    /// The SFT term before its weight; `None` if `λ_sft` is 0 or no user has a best chain.
    pub sft: Option<f64>,
    /// Implicit reward margin: mean of `r⁺ − r⁻` over the pairs, without γ; `None` without pairs.
    pub margin: Option<f64>,
    /// Implicit reward accuracy: share of pairs with `r⁺ > r⁻`, equal rewards counting half (so 0.5 while the
    /// policy still is the reference); `None` without pairs.
    pub accuracy: Option<f64>,
    /// Estimate of `KL(π_θ ‖ π_ref)` per chain, in nats: mean over candidates of `Σ_t (e^{−d} − 1 + d)` with
    /// `d = ln π_θ − ln π_ref` (Schulman's k3 estimator). Unbiased for chains sampled from `π_θ`; for chains of a
    /// corpus it is only a measure of distance on them.
    pub kl: f64,
    /// Mean over candidates of `Σ_t d`: negative when the policy makes the candidates less likely altogether.
    pub log_ratio: f64,
    /// Share of the ratios (tokens or chains with an advantage) that were clipped; `None` unless the objective is `Policy`.
    #[serde(default)]
    pub clipped: Option<f64>,
    /// Mean over candidates of `r_k` (unweighted), per chain segment, K values.
    pub chain_segment_rewards: Vec<f64>,
    /// Mean of `r` over the candidates of each user segment; `None` for one without candidates. Empty if
    /// the batch was built without user segments.
    pub user_segment_rewards: Vec<Option<f64>>,
    /// Candidates with at least one kept token.
    pub candidates: usize,
    /// Candidates with an advantage.
    pub labelled: usize,
    /// Different users.
    pub users: usize,
    /// Preference pairs; of the `Evidence` objective, which compares no pairs, none are counted, and no ties.
    pub pairs: usize,
    /// Pairs of the same user dropped because their advantages are equal.
    pub ties: usize,
}

impl OsipoReport {
    /// Share of the pairs of labelled chains of the same user that were dropped as ties; 0 if there are none.
    #[must_use]
    pub fn tie_share(&self) -> f64 {
        let all = self.pairs + self.ties;
        if all == 0 { 0.0 } else { self.ties as f64 / all as f64 }
    }
}

pub(crate) struct Packed {
    pub(crate) loss: Tensor<1>,
    pub(crate) objective: Tensor<1>,
    pub(crate) sft: Option<Tensor<1>>,
    pub(crate) clipped: Option<Tensor<1>>,
}

pub(crate) struct RewardTensors {
    pub(crate) rewards: ImplicitRewards,
    /// `r⁺ − r⁻` per pair.
    pub(crate) margins: Option<Tensor<1>>,
    /// Pairs, and ties among them.
    pub(crate) pairs: (usize, usize),
}

impl OsipoStats {
    pub(crate) fn collect(
        batch: &CandidateBatch,
        dropped: &Tensor<2, Bool>,
        packed: Packed,
        rewards: RewardTensors,
    ) -> Self {
        let policy = batch.policy().clone().without_autodiff();
        let reference = batch.reference().clone();
        // Only candidates with tokens count; padding rows have r = 0 and must not dilute a mean.
        let real: Vec<bool> = (0..batch.len()).map(|row| batch.mask().kept(row) > 0).collect();
        let candidates = real.iter().filter(|&&real| real).count();
        let per_candidate = candidates.max(1) as f64;

        let mut finite = policy.clone().is_finite().bool_and(reference.clone().is_finite());
        if packed.clipped.is_some() {
            finite = finite.bool_and(batch.sampling().without_autodiff().is_finite());
        }
        let non_finite = finite.bool_or(dropped.clone()).bool_not().float().cast(policy.dtype()).sum();
        let policy_dtype = policy.dtype();
        let d = (policy - reference).mask_fill(dropped.clone(), 0.0);
        let log_ratio = d.clone().sum().div_scalar(per_candidate);
        // Clamped as in the policy objective, so that a chain that has become all but impossible does not make it infinite.
        let d = d.clamp_min(-crate::policy::most_log_ratio(policy_dtype));
        let kl = ((-d.clone()).exp() - 1.0 + d).sum().div_scalar(per_candidate);

        let zero = || batch.upload(vec![0.0], [1]);
        let margins = rewards.margins.map(Tensor::without_autodiff);
        let (margin, accuracy) = match margins {
            Some(margins) => {
                let wins = margins.clone().greater_scalar(0.0).float().cast(margins.dtype());
                let even = margins.clone().equal_elem(0.0).float().cast(margins.dtype());
                (margins.mean(), (wins + even.mul_scalar(0.5)).mean())
            }
            None => (zero(), zero()),
        };
        let per_segment = rewards.rewards.per_segment.without_autodiff();
        let chain = per_segment.sum_dim(0).squeeze_dim::<1>(0).div_scalar(per_candidate);
        let mut parts = vec![
            non_finite,
            packed.loss.without_autodiff(),
            packed.objective.without_autodiff(),
            packed.sft.clone().map_or_else(zero, Tensor::without_autodiff),
            kl,
            log_ratio,
            margin,
            accuracy,
            packed.clipped.clone().map_or_else(zero, Tensor::without_autodiff),
            chain,
        ];
        let mut user_segment_counts = Vec::new();
        if let Some((of, count)) = batch.user_segments() {
            user_segment_counts = vec![0; count];
            for (&segment, _) in of.iter().zip(&real).filter(|&(_, &real)| real) {
                user_segment_counts[segment] += 1;
            }
            parts.push(user_segment_means(batch, rewards.rewards.total, of, &real, &user_segment_counts));
        }
        Self {
            packed: Tensor::cat(parts, 0),
            chain_segments: batch.segments().count(),
            user_segment_counts,
            candidates,
            labelled: batch.labelled_count(),
            users: batch.user_count(),
            pairs: rewards.pairs.0,
            ties: rewards.pairs.1,
            has_sft: packed.sft.is_some(),
            has_clipped: packed.clipped.is_some(),
        }
    }

    /// Number of preference pairs; known without reading anything back.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Number of pairs dropped as ties; known without reading anything back.
    #[must_use]
    pub fn ties(&self) -> usize {
        self.ties
    }

    /// Reads the statistics back: one transfer, which waits for the step to finish.
    ///
    /// # Errors
    /// [`Error::NonFiniteLogProbs`] if a kept log-probability of the policy or the reference is NaN or
    /// infinite (loss and gradient of the step are then worthless), [`Error::Device`] if the device fails.
    pub fn read(&self) -> Result<OsipoReport> {
        let all = read_to_host("statistics", self.packed.clone())?;
        let short = || Error::Shape {
            what: "statistics",
            expected: format!("more numbers, for {} chain segments", self.chain_segments),
            found: all.len().to_string(),
        };
        let (&[non_finite, loss, objective, sft, kl, log_ratio, margin, accuracy, clipped], rest) =
            all.split_first_chunk::<9>().ok_or_else(short)?;
        if non_finite > 0.0 {
            return Err(Error::NonFiniteLogProbs { count: non_finite as u64 });
        }
        let (chain, user) = rest.split_at_checked(self.chain_segments).ok_or_else(short)?;
        let user = user.iter().zip(&self.user_segment_counts);
        Ok(OsipoReport {
            loss,
            objective,
            sft: self.has_sft.then_some(sft),
            margin: (self.pairs > 0).then_some(margin),
            accuracy: (self.pairs > 0).then_some(accuracy),
            kl,
            log_ratio,
            clipped: self.has_clipped.then_some(clipped),
            chain_segment_rewards: chain.to_vec(),
            user_segment_rewards: user.map(|(&mean, &count)| (count > 0).then_some(mean)).collect(),
            candidates: self.candidates,
            labelled: self.labelled,
            users: self.users,
            pairs: self.pairs,
            ties: self.ties,
        })
    }
}

/// Mean of `r` per user segment, `[G]`, by an averaging matrix `[n, G]`; 0 where a segment has no candidate.
fn user_segment_means(
    batch: &CandidateBatch,
    total: Tensor<1>,
    of: &[usize],
    real: &[bool],
    counts: &[usize],
) -> Tensor<1> {
    let [n, g] = [of.len(), counts.len()];
    let mut average = vec![0.0; n * g];
    for (row, &segment) in of.iter().enumerate() {
        if real[row] {
            average[row * g + segment] = 1.0 / counts[segment] as f64;
        }
    }
    let total = total.without_autodiff().unsqueeze_dim::<2>(1);
    (total * batch.upload(average, [n, g])).sum_dim(0).squeeze_dim::<1>(0)
}
