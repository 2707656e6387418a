//! The loss on tensors.

use burn::tensor::activation::{log_sigmoid, relu, softmax};
use burn::tensor::{Bool, Tensor};

use crate::evidence::evidence;
use crate::policy::policy;
use crate::stats::{Packed, RewardTensors};
use crate::{
    CandidateBatch, Error, ImplicitRewards, Objective, OsipoLossConfig, OsipoStats, PairLoss, Reduction,
    Result, SegmentWeights,
};

/// The OSIPO loss; made by [`OsipoLossConfig::init`].
#[derive(Debug, Clone, PartialEq)]
pub struct OsipoLoss {
    config: OsipoLossConfig,
}

/// What one step gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OsipoOutput {
    /// The loss, `[1]`; call `backward` on it.
    pub loss: Tensor<1>,
    /// The objective alone, `[1]`, in the graph. A trainer that gathers gradients over parts of a batch weighs the parts' objectives by
    /// their numbers of pairs, chains or (`Evidence`) labelled and anchor users, and their SFT terms by their numbers of users.
    pub objective: Tensor<1>,
    /// The SFT term before its weight, `[1]`, in the graph; `None` if `λ_sft` is 0 or no user has a best chain.
    pub sft: Option<Tensor<1>>,
    /// What to watch; still on the device until [`OsipoStats::read`].
    pub stats: OsipoStats,
}

impl OsipoLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// As [`OsipoLossConfig::validate`].
    pub fn init(&self) -> Result<OsipoLoss> {
        OsipoLoss::new(self.clone())
    }
}

impl OsipoLoss {
    fn new(config: OsipoLossConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config })
    }

    /// The settings, checked.
    #[must_use]
    pub fn config(&self) -> &OsipoLossConfig {
        &self.config
    }

    /// Implicit rewards of every candidate.
    ///
    /// # Errors
    /// Those of [`SegmentWeights::resolve`](crate::SegmentWeights::resolve).
    pub fn rewards(&self, batch: &CandidateBatch) -> Result<ImplicitRewards> {
        self.rewards_with(batch, &batch.dropped())
    }

    fn rewards_with(&self, batch: &CandidateBatch, dropped: &Tensor<2, Bool>) -> Result<ImplicitRewards> {
        let weights = self.weights(batch)?;
        // Filling, not multiplying by 0: 0 · NaN is NaN. The gradient of a fill is exactly 0 where it filled.
        let log_ratio = (batch.policy().clone() - batch.reference().clone()).mask_fill(dropped.clone(), 0.0);
        // [n, t, 1] · [n, t, K], summed over t. An elementwise sum rather than a matrix product, which some
        // devices compute in reduced precision.
        let per_segment: Tensor<2> = (log_ratio.unsqueeze_dim::<3>(2) * batch.membership())
            .sum_dim(1)
            .squeeze_dim::<2>(1)
            .mul_scalar(self.config.beta);
        let total = (per_segment.clone() * weights).sum_dim(1).squeeze_dim::<1>(1);
        Ok(ImplicitRewards { per_segment, total })
    }

    /// Weights of the chain segments, `[n, K]`.
    fn weights(&self, batch: &CandidateBatch) -> Result<Tensor<2>> {
        let [n, k] = [batch.len(), batch.segments().count()];
        if self.config.weights != SegmentWeights::Learned {
            return Ok(batch.upload(self.config.weights.resolve(n, k, batch.entropies())?, [n, k]));
        }
        let logits = batch.weight_logits().ok_or(Error::MissingWeightLogits { segments: k })?;
        Ok(softmax(logits.clone(), 0).mul_scalar(k as f64).unsqueeze_dim::<2>(0).expand([n, k]))
    }

    /// Loss and statistics of a batch. Nothing is read back from the device.
    ///
    /// # Errors
    /// [`Error::NoPairs`] (`Preference`) if no user has two chains with different advantages,
    /// [`Error::NoLabelled`] (`Pointwise`, `Policy`) if no candidate has an advantage, or (`Evidence`) no user is labelled or an anchor,
    /// [`Error::NoChain`] (`Evidence`) for a user all of whose rewards are −∞, [`Error::InvalidValue`] (all others) for an advantage of −∞, and those of
    /// [`SegmentWeights::resolve`](crate::SegmentWeights::resolve). Log-probabilities at kept positions are not
    /// checked here, see [`CandidateBatch`].
    pub fn forward(&self, batch: &CandidateBatch) -> Result<OsipoOutput> {
        let dropped = batch.dropped();
        let rewards = self.rewards_with(batch, &dropped)?;
        let by_evidence = matches!(self.config.objective, Objective::Evidence { .. });
        if !by_evidence {
            batch.check_advantages()?;
        }
        let margins = if by_evidence { None } else { margins(batch, &rewards.total) };
        let mut clipped = None;
        let objective = match (self.config.objective, &margins) {
            (Objective::Preference { gamma, loss }, Some(margins)) => {
                self.reduce(preference(batch, margins, gamma, loss, self.config.beta), batch.pairs().len())
            }
            (Objective::Preference { .. }, None) => {
                return Err(Error::NoPairs {
                    candidates: batch.len(),
                    users: batch.user_count(),
                    labelled: batch.labelled_count(),
                    ties: batch.tie_count(),
                });
            }
            (Objective::Pointwise { temperature }, _) => {
                self.reduce(pointwise(batch, &rewards.total, temperature)?, batch.labelled_count())
            }
            (Objective::Evidence { eta }, _) => evidence(batch, &dropped, eta, &self.config)?,
            (Objective::Policy(config), _) => {
                let own = rewards.per_segment.clone().detach();
                let process = batch.process().cloned().unwrap_or(own) * self.weights(batch)?.detach();
                let found = policy(batch, &dropped, process, &config, self.config.reduction)?;
                clipped = Some(found.clipped);
                found.loss
            }
        };
        let sft = (self.config.sft_weight > 0.0).then(|| self.sft(batch, &dropped)).flatten();
        let loss = match &sft {
            Some(sft) => objective.clone() + sft.clone().mul_scalar(self.config.sft_weight),
            None => objective.clone(),
        };
        let pairs = if by_evidence { (0, 0) } else { (batch.pair_count(), batch.tie_count()) };
        let rewards = RewardTensors { rewards, margins, pairs };
        let stats = OsipoStats::collect(
            batch,
            &dropped,
            Packed { loss: loss.clone(), objective: objective.clone(), sft: sft.clone(), clipped },
            rewards,
        );
        Ok(OsipoOutput { loss, objective, sft, stats })
    }

    /// Negative log-likelihood of the best chains, over kept tokens.
    fn sft(&self, batch: &CandidateBatch, dropped: &Tensor<2, Bool>) -> Option<Tensor<1>> {
        let best = batch.best();
        if best.is_empty() {
            return None;
        }
        // Selected, so that other candidates' log-probabilities, of −∞ perhaps, are never touched.
        let rows = batch.upload_rows(best.iter().map(|&(row, _)| row));
        let log_probs = batch.policy().clone().mask_fill(dropped.clone(), 0.0).select(0, rows);
        let shares = batch.upload(best.iter().map(|&(_, share)| share).collect(), [best.len()]);
        let terms = -(log_probs.sum_dim(1).squeeze_dim::<1>(1) * shares);
        let users: f64 = best.iter().map(|&(_, share)| share).sum();
        Some(self.reduce(terms, users.round() as usize))
    }

    fn reduce(&self, terms: Tensor<1>, count: usize) -> Tensor<1> {
        match self.config.reduction {
            // Not `div_scalar`: its backward step takes the reciprocal in f32 even for f64 tensors (Burn 0.22).
            Reduction::Mean => terms.sum().mul_scalar(1.0 / count as f64),
            Reduction::Sum => terms.sum(),
        }
    }
}

/// `r⁺ − r⁻` per pair.
fn margins(batch: &CandidateBatch, total: &Tensor<1>) -> Option<Tensor<1>> {
    let pairs = batch.pairs();
    (pairs.len() > 0).then(|| {
        let winners = batch.upload_rows(pairs.winners.iter().copied());
        let losers = batch.upload_rows(pairs.losers.iter().copied());
        total.clone().select(0, winners) - total.clone().select(0, losers)
    })
}

/// The loss of each pair, by its margin `m = r⁺ − r⁻ − γ (A⁺ − A⁻)`.
fn preference(
    batch: &CandidateBatch,
    margins: &Tensor<1>,
    gamma: f64,
    loss: PairLoss,
    beta: f64,
) -> Tensor<1> {
    let pairs = batch.pairs();
    let wanted: Vec<f64> = pairs.gaps.iter().map(|gap| gamma * gap).collect();
    let m = margins.clone() - batch.upload(wanted, [pairs.len()]);
    match loss {
        PairLoss::Sigmoid { label_smoothing: 0.0 } => -log_sigmoid(m),
        PairLoss::Sigmoid { label_smoothing: wrong } => {
            -log_sigmoid(m.clone()).mul_scalar(1.0 - wrong) - log_sigmoid(-m).mul_scalar(wrong)
        }
        PairLoss::Hinge => relu(-m + 1.0),
        // A product, as its backward step is exact in every precision.
        PairLoss::Ipo => {
            let distance = (m - 0.5).mul_scalar(1.0 / beta);
            distance.clone() * distance
        }
    }
}

/// `−[y ln σ(r) + (1 − y) ln σ(−r)]` per labelled candidate.
fn pointwise(batch: &CandidateBatch, total: &Tensor<1>, temperature: Option<f64>) -> Result<Tensor<1>> {
    let (rows, targets): (Vec<usize>, Vec<f64>) = batch
        .candidates()
        .iter()
        .map(|candidate| candidate.advantage)
        .enumerate()
        .filter_map(|(row, advantage)| advantage.map(|a| (row, target(a, temperature))))
        .unzip();
    let count = rows.len();
    if count == 0 {
        return Err(Error::NoLabelled { what: "pointwise objective", rows: batch.len() });
    }
    let r = total.clone().select(0, batch.upload_rows(rows.into_iter()));
    let rest = batch.upload(targets.iter().map(|y| 1.0 - y).collect(), [count]);
    let y = batch.upload(targets, [count]);
    Ok(-(log_sigmoid(r.clone()) * y + log_sigmoid(-r) * rest))
}

fn target(advantage: f64, temperature: Option<f64>) -> f64 {
    match temperature {
        Some(temperature) => 1.0 / (1.0 + (-advantage / temperature).exp()),
        None => f64::from(u8::from(advantage > 0.0)),
    }
}
