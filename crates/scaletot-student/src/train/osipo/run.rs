//! The objective of OSIPO on the batches of a run.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use scaletot_osipo::{
    Candidate, CandidateBatch, ChainSegments, Objective, OsipoLoss, OsipoReport, Reduction, SegmentWeights,
    TokenMask, log_probs_from_host,
};
use scaletot_profile::{ProfileTable, Segments};

use super::candidates::{CandidateSet, chains_of};
use super::config::OsipoConfig;
use super::log::{Means, OsipoEpoch};
use super::log_probs::{self, ChainBatch};
use super::reward_model::RewardModel;
use super::sampler::Sampler;
use crate::decoder::CausalLm;
use crate::error::{Error, Result};
use crate::host::to_host;
use crate::parts;
use crate::student::Student;
use crate::train::objective;
use crate::train::step::Optimiser;

/// Name of the stage in errors and events.
pub(super) const STAGE: &str = "student OSIPO";

/// What is trained: the policy, and the weights of the chain segments if they are learned.
#[derive(Module, Debug)]
pub(super) struct Aligned {
    pub(super) model: CausalLm,
    /// `[K]`.
    weight_logits: Option<Param<Tensor<1>>>,
}

impl Aligned {
    pub(super) fn new(student: &Student, weights: &SegmentWeights) -> Self {
        let states = student.chain_schema().len();
        let even = || Tensor::zeros([states], student.device());
        let weight_logits = (*weights == SegmentWeights::Learned).then(|| Param::from_tensor(even()));
        Self { model: student.model().clone(), weight_logits }
    }

    /// `K · softmax` of the logits; `None` if no weights are learned.
    pub(super) fn segment_weights(&self) -> Result<Option<Vec<f64>>> {
        let Some(logits) = &self.weight_logits else { return Ok(None) };
        let logits = logits.val().without_autodiff();
        let weights = softmax(logits.clone(), 0).mul_scalar(logits.dims()[0] as f64);
        let weights = to_host("segment weights", weights)?;
        Ok(Some(weights.into_iter().map(f64::from).collect()))
    }
}

/// What stays the same over a run.
pub(super) struct Run<'a> {
    pub(super) student: &'a Student,
    pub(super) table: &'a ProfileTable,
    pub(super) config: &'a OsipoConfig,
    pub(super) loss: &'a OsipoLoss,
    pub(super) segments: &'a Segments,
    pub(super) rewards: &'a RewardModel,
    pub(super) train: &'a [CandidateSet],
    pub(super) held_out: &'a [CandidateSet],
    /// Of the chains that are sampled for held-out users, where the objective is on the policy's own chains.
    pub(super) held_out_seed: Option<u64>,
}

impl objective::Objective for Run<'_> {
    type Model = Aligned;
    type Means = Means;
    type Epoch = OsipoEpoch;

    fn batch(
        &self,
        mut model: Aligned,
        optimiser: &mut Optimiser,
        users: &[usize],
        rng: &mut ChaCha8Rng,
        means: &mut Means,
    ) -> Result<Aligned> {
        let users: Vec<&CandidateSet> = users.iter().map(|&at| &self.train[at]).collect();
        let (sampled, updates) = match self.held_out_seed {
            Some(_) => {
                (self.sampler().sample(&model.model.valid(), &users, rng.next_u64())?, self.config.updates)
            }
            None => (users.into_iter().cloned().collect(), 1),
        };
        let size = parts::size(self.config.micro_batch, sampled.len(), self.student.device());
        let parts: Vec<&[CandidateSet]> = sampled.chunks(size).collect();
        let all = (self.terms(&sampled), sampled.len());
        for _ in 0..updates {
            let (gradients, losses) = parts::gradient(
                &model,
                self.student.device(),
                self.config.precision,
                &parts,
                |model, part| {
                    let loss = self.part_loss(model, part, all)?;
                    let value = loss.clone().without_autodiff().try_into_scalar::<f64>();
                    Ok((loss, value.map_err(|e| Error::device("the loss", e))?))
                },
            )?;
            let loss: f64 = losses.iter().sum();
            // What explodes is the loss of a term; a sum's size is that of the batch.
            let of_term = match self.loss.config().reduction {
                Reduction::Sum => loss / all.0.max(1) as f64,
                Reduction::Mean => loss,
            };
            let (stepped, stats) = optimiser.step(model, gradients, of_term)?;
            model = stepped;
            means.add(loss, &stats);
        }
        Ok(model)
    }

    fn report(&self, model: &Aligned, epoch: usize, means: &Means) -> Result<(OsipoEpoch, Option<f64>)> {
        let validation = self.report_held_out(model)?;
        let entry = means.epoch(epoch, validation, self.held_out_advantage(&model.model)?);
        tracing::debug!(epoch, loss = entry.loss, "{STAGE}");
        let value = held_out_value(entry.held_out_advantage, entry.validation.as_ref());
        Ok((entry, value))
    }
}

impl Run<'_> {
    fn sampler(&self) -> Sampler<'_> {
        let Self { student, table, config, rewards, .. } = *self;
        Sampler { student, table, config, rewards }
    }

    /// What some of the users of a batch add to its loss; `all` has the terms of the whole batch's objective, and its users.
    fn part_loss(&self, model: &Aligned, users: &[CandidateSet], all: (usize, usize)) -> Result<Tensor<1>> {
        let chains = chains_of(users);
        let policy =
            ChainBatch::new(self.student.tokenizer(), self.table, &chains)?.log_probs(&model.model)?;
        let mut batch = self.batch_of(model, policy, users)?;
        if self.held_out_seed.is_some() {
            let sampled = users.iter().flat_map(|c| c.sampled.iter().copied()).collect();
            let sampled = log_probs_from_host(sampled, batch.mask(), self.student.device())?;
            batch = batch.with_sampling(sampled)?;
        }
        let output = self.loss.forward(&batch)?;
        let [of_objective, of_sft] = match self.loss.config().reduction {
            Reduction::Sum => [1.0; 2],
            Reduction::Mean => [self.terms(users) as f64 / all.0 as f64, users.len() as f64 / all.1 as f64],
        };
        let objective = output.objective.mul_scalar(of_objective);
        Ok(match output.sft {
            Some(sft) => objective + sft.mul_scalar(self.loss.config().sft_weight * of_sft),
            None => objective,
        })
    }

    /// What the mean of the objective is taken over: pairs that are decided, or chains.
    fn terms(&self, users: &[CandidateSet]) -> usize {
        let pairs = matches!(self.loss.config().objective, Objective::Preference { .. });
        users.iter().map(|c| if pairs { c.decided_pairs() } else { c.chains.len() }).sum()
    }

    /// Statistics over all chains of `users` as one batch.
    pub(super) fn report_of(&self, model: &Aligned, users: &[CandidateSet]) -> Result<OsipoReport> {
        let states = self.student.chain_schema().len();
        let chains = chains_of(users);
        let policy = log_probs::on_host(self.student, &model.model, self.table, &chains, 256)?;
        let mask = whole_mask(chains.len(), states)?;
        let policy = log_probs_from_host(policy, &mask, self.student.device())?;
        Ok(self.loss.forward(&self.batch_of(model, policy, users)?)?.stats.read()?)
    }

    pub(super) fn report_held_out(&self, model: &Aligned) -> Result<Option<OsipoReport>> {
        (!self.held_out.is_empty()).then(|| self.report_of(model, self.held_out)).transpose()
    }

    pub(super) fn held_out_advantage(&self, model: &CausalLm) -> Result<Option<f64>> {
        match self.held_out_seed {
            Some(seed) => self.sampler().mean_advantage(model, self.held_out, seed),
            None => Ok(None),
        }
    }

    /// The chains of `users` with these log-probabilities, `[n, K]`.
    fn batch_of(&self, model: &Aligned, policy: Tensor<2>, users: &[CandidateSet]) -> Result<CandidateBatch> {
        let [n, states] = policy.dims();
        let per_chain = |value: fn(&CandidateSet) -> usize| -> Vec<usize> {
            users.iter().flat_map(|c| std::iter::repeat_n(value(c), c.chains.len())).collect()
        };
        let mask = whole_mask(n, states)?;
        let reference = users.iter().flat_map(|c| c.reference.iter().copied()).collect();
        let reference = log_probs_from_host(reference, &mask, self.student.device())?;
        let chain_segments = ChainSegments::new((0..n).flat_map(|_| 0..states).collect(), states, &mask)?;
        let candidates = users.iter().flat_map(|set| {
            let of = |&advantage| Candidate { user: set.row, advantage: Some(advantage) };
            set.advantages.iter().map(of)
        });
        let entropies = users.iter().flat_map(|c| c.entropies.repeat(c.chains.len())).collect();
        let batch = CandidateBatch::new(policy, reference, mask, chain_segments, candidates.collect())?;
        let batch = batch
            .with_entropies(entropies)?
            .with_user_segments(per_chain(|c| c.user_segment), self.segments.len())?;
        Ok(match &model.weight_logits {
            Some(logits) => batch.with_weight_logits(logits.val())?,
            None => batch,
        })
    }
}

/// What early stopping looks at, lower being better: what the policy's own chains are worth, or else the objective. Not the whole
/// loss: its SFT term falls by sharpening alone, whether or not preferences generalise.
pub(super) fn held_out_value(advantage: Option<f64>, report: Option<&OsipoReport>) -> Option<f64> {
    advantage.map(|advantage| -advantage).or_else(|| report.map(|report| report.objective))
}

/// Every token counts: a segment is one value token.
fn whole_mask(n: usize, states: usize) -> Result<TokenMask> {
    Ok(TokenMask::new(vec![true; n * states], n, states)?)
}
