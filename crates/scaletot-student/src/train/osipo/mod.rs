//! OSIPO on the candidates of the corpus, or on chains sampled on the way.

mod candidates;
mod config;
mod log;
mod log_probs;
mod on_policy;

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use scaletot_chain::ChainRecord;
use scaletot_core::Progress;
use scaletot_osipo::{
    CandidateBatch, ChainSegments, Objective, OsipoLoss, OsipoReport, Reduction, SegmentWeights, TokenMask,
    log_probs_from_host,
};
use scaletot_profile::{ProfileTable, Segments};

use self::candidates::{Contest, Judge, add_samples, chains_of, refer};
pub use self::config::{ChainReward, OsipoConfig};
pub use self::log::{OsipoEpoch, OsipoLog};
use self::log_probs::ChainBatch;
use super::checkpoint::inputs;
use super::run::{Course, Loop};
use super::schedule::Schedule;
use super::sft::records_of;
use super::split::hold_out;
use super::step::Optimiser;
use crate::decoder::CausalLm;
use crate::error::{Error, Result};
use crate::infer::to_host;
use crate::parts;
use crate::seeds::{Purpose, stream};
use crate::student::Student;
use crate::tokenizer::check_distinct;

const STAGE: &str = "student OSIPO";

/// Aligns a student that SFT has trained with what users turned out to be worth, and returns it with the
/// weights of the epoch that had the lowest held-out objective (the loss without its SFT term): where the
/// preferences do not carry over to held-out users, that is the student that came in, which is also the frozen
/// reference.
///
/// For each user of `rows` with an accepted record and a known outcome, the candidates are the different
/// chains of the record (best and runners-up); if they all have the same outcome-linked value, between which
/// no reward could tell, chains sampled from the student join them. Rewards, advantages within user segments
/// and the loss are those of [`scaletot_osipo`]. `outcomes` and `segments` have one entry per row of the
/// table; only those of `rows` are looked at.
///
/// With the objective [`Policy`](scaletot_osipo::Objective::Policy) the chains are sampled from the student as it is trained
/// instead, [`samples`](OsipoConfig::samples) for each user of a batch and [`updates`](OsipoConfig::updates) steps on them, and
/// the epoch is kept after which chains sampled for held-out users have the largest mean advantage.
///
/// Log-probabilities are taken over the *legal values* of each state, that is of the policy that decodes:
/// over the whole vocabulary the loss could also be lowered by moving mass to or from tokens that can never
/// follow, which changes no chain. State names and `<eos>` are forced, so each chain segment has one token
/// that counts.
///
/// # Errors
/// [`Error::Config`], [`Error::Osipo`] (also if no outcome is positive), [`Error::SchemaMismatch`],
/// [`Error::Row`], [`Error::Shape`] if `outcomes` or `segments` do not fit the table,
/// [`Error::DuplicateRecord`], [`Error::Chain`], [`Error::TooLong`], [`Error::NoUsers`], [`Error::Diverged`],
/// [`Error::Stopped`] if `progress` says so, and those of reading and writing a checkpoint, as of [`sft`](crate::sft()).
pub fn osipo(
    student: &Student,
    table: &ProfileTable,
    rows: &[usize],
    records: &[ChainRecord],
    outcomes: &[Option<f64>],
    segments: &Segments,
    config: &OsipoConfig,
    seed: u64,
    progress: &dyn Progress,
) -> Result<(Student, OsipoLog)> {
    config.validate()?;
    let loss = config.loss.init()?;
    config.precision.check(student.device())?;
    student.tokenizer().check_table(table)?;
    student.tokenizer().check_rows(table, rows)?;
    check_distinct(rows)?;
    for (what, got) in [("outcomes", outcomes.len()), ("rows of the user segments", segments.rows())] {
        if got != table.len() {
            return Err(Error::Shape { what, expected: table.len(), got });
        }
    }
    for &row in rows {
        if let Some(got) = outcomes[row].filter(|o| !(o.is_finite() && *o >= 0.0)) {
            return Err(Error::Outcome { row, got });
        }
    }
    let schema = student.chain_schema();
    let last = schema.outcome_state();
    let records = records_of(table, rows, records, schema)?;
    let (mut contests, mut accepted) = (vec![], 0);
    for (&row, record) in rows.iter().zip(records) {
        let Some(record) = record.filter(|record| record.verdict.is_accepted()) else { continue };
        accepted += 1;
        contests.extend(outcomes[row].and_then(|o| Contest::new(row, record, o, segments, last)));
    }
    let no_users = |why| Error::NoUsers { stage: STAGE, why, rows: rows.len(), accepted };
    if contests.is_empty() {
        return Err(no_users("no row has both an accepted record and an outcome"));
    }
    let labelled = contests.len();
    // Of what was given alone: what the device adds to it need not be the same to the last bit.
    let inputs = match &config.checkpoints {
        Some(_) => inputs(student, table, rows, &contests, config, seed)?,
        None => BTreeMap::new(),
    };
    let sample_seed = stream(seed, Purpose::Candidates).next_u64();
    let sampled = add_samples(student, table, &mut contests, config, sample_seed)?;
    let (mut train, mut held_out) = hold_out(&contests, config.validation_share, seed);
    let judge = Judge::fit(&mut train, &mut held_out, schema.domain_size(last), last, config)?;
    if matches!(config.loss.objective, Objective::Preference { .. }) {
        train.retain(Contest::is_decided);
        held_out.retain(Contest::is_decided);
    }
    if train.is_empty() {
        return Err(no_users("no user has two chains with different advantages"));
    }
    refer(student, table, &mut train)?;
    refer(student, table, &mut held_out)?;

    let on_policy = matches!(config.loss.objective, Objective::Policy(_));
    let run = Run {
        student,
        table,
        config,
        loss: &loss,
        segments,
        judge: &judge,
        train: &train,
        held_out: &held_out,
        held_out_seed: on_policy.then(|| stream(seed, Purpose::HeldOutSamples).next_u64()),
    };
    let settings = Loop {
        stage: STAGE,
        users: train.len(),
        epochs: config.epochs,
        batch: config.batch_users,
        updates: if on_policy { config.updates } else { 1 },
        patience: config.patience,
        seed,
        checkpoints: config.checkpoints.as_ref(),
        inputs,
        progress,
    };
    let schedule = Schedule::new(config.learning_rate, config.warmup, settings.steps());
    let optimiser = Optimiser::new(STAGE, schedule, config.weight_decay, config.clip_norm, config.explosion);
    let start = Aligned::new(student, &config.loss.weights);
    let before = run.report(&start, &train)?;
    let validation_before = run.report_held_out(&start)?;
    let held_out_advantage = run.held_out_advantage(&start.model)?;
    let value = held_out_value(held_out_advantage, validation_before.as_ref());
    let trained = settings.run(&run, start, optimiser, value)?;
    let log = OsipoLog {
        users: train.len(),
        validation_users: held_out.len(),
        passed_over: rows.len() - accepted,
        unlabelled: accepted - labelled,
        tied: labelled - train.len() - held_out.len(),
        sampled,
        candidates: train.iter().map(|c| c.chains.len()).sum(),
        before,
        after: run.report(&trained.model, &train)?,
        validation_before,
        held_out_advantage,
        segment_weights: trained.model.segment_weights()?,
        epochs: trained.epochs,
        best_epoch: trained.best_epoch,
        stop: trained.stop,
    };
    Ok((student.with_model(&trained.model.model), log))
}

/// What is trained: the policy, and the weights of the chain segments if they are learned.
#[derive(Module, Debug)]
struct Aligned {
    model: CausalLm,
    /// `[K]`.
    weight_logits: Option<Param<Tensor<1>>>,
}

impl Aligned {
    fn new(student: &Student, weights: &SegmentWeights) -> Self {
        let states = student.chain_schema().len();
        let even = || Tensor::zeros([states], student.device());
        let weight_logits = (*weights == SegmentWeights::Learned).then(|| Param::from_tensor(even()));
        Self { model: student.model().clone(), weight_logits }
    }

    /// `K · softmax` of the logits; `None` if no weights are learned.
    fn segment_weights(&self) -> Result<Option<Vec<f64>>> {
        let Some(logits) = &self.weight_logits else { return Ok(None) };
        let logits = logits.val().without_autodiff();
        let weights = softmax(logits.clone(), 0).mul_scalar(logits.dims()[0] as f64);
        let weights = to_host("segment weights", weights)?;
        Ok(Some(weights.into_iter().map(f64::from).collect()))
    }
}

/// What stays the same over a run.
struct Run<'a> {
    student: &'a Student,
    table: &'a ProfileTable,
    config: &'a OsipoConfig,
    loss: &'a OsipoLoss,
    segments: &'a Segments,
    judge: &'a Judge,
    train: &'a [Contest],
    held_out: &'a [Contest],
    /// Of the chains that are sampled for held-out users, where the objective is on the policy's own chains.
    held_out_seed: Option<u64>,
}

impl Course for Run<'_> {
    type Model = Aligned;
    type Means = log::Means;
    type Epoch = OsipoEpoch;

    fn batch(
        &self,
        mut model: Aligned,
        optimiser: &mut Optimiser,
        users: &[usize],
        rng: &mut ChaCha8Rng,
        means: &mut log::Means,
    ) -> Result<Aligned> {
        let users: Vec<&Contest> = users.iter().map(|&at| &self.train[at]).collect();
        let (sampled, updates) = match self.held_out_seed {
            Some(_) => (self.sample(&model.model.valid(), &users, rng.next_u64())?, self.config.updates),
            None => (users.into_iter().cloned().collect(), 1),
        };
        let size = parts::size(self.config.micro_batch, sampled.len(), self.student.device());
        let parts: Vec<&[Contest]> = sampled.chunks(size).collect();
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

    fn report(&self, model: &Aligned, epoch: usize, means: &log::Means) -> Result<(OsipoEpoch, Option<f64>)> {
        let validation = self.report_held_out(model)?;
        let entry = means.epoch(epoch, validation, self.held_out_advantage(&model.model)?);
        tracing::debug!(epoch, loss = entry.loss, "{STAGE}");
        let value = held_out_value(entry.held_out_advantage, entry.validation.as_ref());
        Ok((entry, value))
    }
}

impl Run<'_> {
    /// What some of the users of a batch add to its loss; `all` has the terms of the whole batch's objective, and its users.
    fn part_loss(&self, model: &Aligned, users: &[Contest], all: (usize, usize)) -> Result<Tensor<1>> {
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
    fn terms(&self, users: &[Contest]) -> usize {
        let pairs = matches!(self.loss.config().objective, Objective::Preference { .. });
        users.iter().map(|c| if pairs { c.decided_pairs() } else { c.chains.len() }).sum()
    }

    /// Statistics over all chains of `users` as one batch.
    fn report(&self, model: &Aligned, users: &[Contest]) -> Result<OsipoReport> {
        let states = self.student.chain_schema().len();
        let chains = chains_of(users);
        let policy = log_probs::on_host(self.student, &model.model, self.table, &chains, 256)?;
        let mask = whole_mask(chains.len(), states)?;
        let policy = log_probs_from_host(policy, &mask, self.student.device())?;
        Ok(self.loss.forward(&self.batch_of(model, policy, users)?)?.stats.read()?)
    }

    fn report_held_out(&self, model: &Aligned) -> Result<Option<OsipoReport>> {
        (!self.held_out.is_empty()).then(|| self.report(model, self.held_out)).transpose()
    }

    fn held_out_advantage(&self, model: &CausalLm) -> Result<Option<f64>> {
        match self.held_out_seed {
            Some(seed) => self.mean_advantage(model, self.held_out, seed),
            None => Ok(None),
        }
    }

    /// The chains of `users` with these log-probabilities, `[n, K]`.
    fn batch_of(&self, model: &Aligned, policy: Tensor<2>, users: &[Contest]) -> Result<CandidateBatch> {
        let [n, states] = policy.dims();
        let per_chain = |value: fn(&Contest) -> usize| -> Vec<usize> {
            users.iter().flat_map(|c| std::iter::repeat_n(value(c), c.chains.len())).collect()
        };
        let mask = whole_mask(n, states)?;
        let reference = users.iter().flat_map(|c| c.reference.iter().copied()).collect();
        let reference = log_probs_from_host(reference, &mask, self.student.device())?;
        let chain_segments = ChainSegments::new((0..n).flat_map(|_| 0..states).collect(), states, &mask)?;
        let advantages = users.iter().flat_map(|c| c.advantages.iter().copied().map(Some)).collect();
        let entropies = users.iter().flat_map(|c| c.entropies.repeat(c.chains.len())).collect();
        let batch =
            CandidateBatch::new(policy, reference, mask, chain_segments, per_chain(|c| c.row), advantages)?;
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
fn held_out_value(advantage: Option<f64>, report: Option<&OsipoReport>) -> Option<f64> {
    advantage.map(|advantage| -advantage).or_else(|| report.map(|report| report.objective))
}

/// Every token counts: a segment is one value token.
fn whole_mask(n: usize, states: usize) -> Result<TokenMask> {
    Ok(TokenMask::new(vec![true; n * states], n, states)?)
}

#[cfg(test)]
mod tests;
