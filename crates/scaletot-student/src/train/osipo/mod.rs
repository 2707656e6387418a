//! OSIPO on the candidates of the corpus, or on chains sampled on the way.

mod candidates;
mod config;
mod log;
mod log_probs;
mod on_policy;

use burn::module::Module;
use burn::tensor::Tensor;
use rand::Rng;
use rand::seq::SliceRandom;
use scaletot_chain::ChainRecord;
use scaletot_osipo::{
    CandidateBatch, ChainSegments, Objective, OsipoLoss, OsipoReport, TokenMask, log_probs_from_host,
};
use scaletot_profile::{ProfileTable, Progress, Segments};

use self::candidates::{Contest, Judge, add_samples, chains_of, refer};
pub use self::config::{ChainReward, OsipoConfig};
pub use self::log::{OsipoEpoch, OsipoLog};
use self::log_probs::ChainBatch;
use super::early::EarlyStopping;
use super::schedule::Schedule;
use super::sft::records_of;
use super::split::hold_out;
use super::step::Optimiser;
use super::{Stop, Watch};
use crate::decoder::CausalLm;
use crate::error::{Error, Result};
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
/// [`Error::DuplicateRecord`], [`Error::Chain`], [`Error::TooLong`], [`Error::NoUsers`], [`Error::NonFinite`], and
/// [`Error::Stopped`] if `progress` says so.
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
    let before = run.report(student.model(), &train)?;
    let mut log = OsipoLog {
        users: train.len(),
        validation_users: held_out.len(),
        passed_over: rows.len() - accepted,
        unlabelled: accepted - labelled,
        tied: labelled - train.len() - held_out.len(),
        sampled,
        candidates: train.iter().map(|c| c.chains.len()).sum(),
        after: before.clone(),
        before,
        validation_before: run.report_held_out(student.model())?,
        held_out_advantage: run.held_out_advantage(student.model())?,
        epochs: vec![],
        best_epoch: 0,
        stop: Stop::Epochs,
    };
    let model = run.train(seed, progress, &mut log)?;
    log.after = run.report(&model, &train)?;
    Ok((student.with_model(&model), log))
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

impl Run<'_> {
    fn train(&self, seed: u64, progress: &dyn Progress, log: &mut OsipoLog) -> Result<CausalLm> {
        let config = self.config;
        let updates = if self.held_out_seed.is_some() { config.updates } else { 1 };
        let steps = config.epochs * self.train.len().div_ceil(config.batch_users) * updates;
        let schedule = Schedule::new(config.learning_rate, config.warmup, steps);
        let mut optimiser = Optimiser::new(STAGE, schedule, config.weight_decay, config.clip_norm);
        let mut shuffle = stream(seed, Purpose::Shuffle);
        let mut stopping = EarlyStopping::new(config.patience);
        if let Some(value) = held_out_value(log.held_out_advantage, log.validation_before.as_ref()) {
            stopping.note(0, value, self.student.model().clone());
        }
        let mut samples = stream(seed, Purpose::Samples);
        let mut order: Vec<&Contest> = self.train.iter().collect();
        let mut model = self.student.model().clone().train();
        let watch = Watch::start(progress, STAGE, steps);
        for epoch in 1..=config.epochs {
            order.shuffle(&mut shuffle);
            let (mut losses, mut norm, mut clipped, mut rate, mut count) = (0.0, 0.0, 0, 0.0, 0);
            for users in order.chunks(config.batch_users) {
                let sampled = match self.held_out_seed {
                    Some(_) => Some(self.sample(&model.valid(), users, samples.next_u64())?),
                    None => None,
                };
                let own: Vec<&Contest> = match &sampled {
                    Some(sampled) => sampled.users.iter().collect(),
                    None => users.to_vec(),
                };
                let chains = chains_of(&own);
                for _ in 0..updates {
                    let policy =
                        ChainBatch::new(self.student.tokenizer(), self.table, &chains)?.log_probs(&model)?;
                    let mut batch = self.batch(policy, &own)?;
                    if let Some(sampled) = &sampled {
                        batch = batch.with_sampling(sampled.log_probs.clone())?;
                    }
                    let output = self.loss.forward(&batch)?;
                    let value = output.loss.clone().without_autodiff().try_into_scalar::<f64>();
                    let value = value.map_err(|e| Error::device("the loss", e))?;
                    let (stepped, stats) = optimiser.step(model, &output.loss, value, epoch)?;
                    model = stepped;
                    (losses, norm) = (losses + value, norm + stats.gradient_norm);
                    (clipped, rate) = (clipped + usize::from(stats.clipped), stats.rate);
                    count += 1;
                    watch.step(epoch)?;
                }
            }
            let plain = model.valid();
            let entry = OsipoEpoch {
                epoch,
                learning_rate: rate,
                gradient_norm: norm / f64::from(count.max(1)),
                clipped: clipped as f64 / f64::from(count.max(1)),
                loss: losses / f64::from(count.max(1)),
                validation: self.report_held_out(&plain)?,
                held_out_advantage: self.held_out_advantage(&plain)?,
            };
            watch.message(&entry.to_string());
            tracing::debug!(epoch, loss = entry.loss, "{STAGE}");
            let held_out = held_out_value(entry.held_out_advantage, entry.validation.as_ref());
            log.epochs.push(entry);
            let Some(value) = held_out else { continue };
            if !value.is_finite() {
                let step = epoch * order.len().div_ceil(config.batch_users) * updates;
                return Err(Error::NonFinite {
                    stage: STAGE,
                    epoch,
                    step,
                    what: "held-out objective",
                    value,
                });
            }
            stopping.note(epoch, value, plain);
            if stopping.is_over() {
                log.stop = Stop::Patience;
                break;
            }
        }
        let (epoch, model) = stopping.into_best().unwrap_or_else(|| (log.epochs.len(), model.valid()));
        log.best_epoch = epoch;
        Ok(model)
    }

    /// Statistics over all chains of `users` as one batch.
    fn report(&self, model: &CausalLm, users: &[Contest]) -> Result<OsipoReport> {
        let states = self.student.chain_schema().len();
        let chains = chains_of(users);
        let policy = log_probs::on_host(self.student, model, self.table, &chains, 256)?;
        let mask = whole_mask(chains.len(), states)?;
        let policy = log_probs_from_host(policy, &mask, self.student.device())?;
        let users: Vec<&Contest> = users.iter().collect();
        Ok(self.loss.forward(&self.batch(policy, &users)?)?.stats.read()?)
    }

    fn report_held_out(&self, model: &CausalLm) -> Result<Option<OsipoReport>> {
        (!self.held_out.is_empty()).then(|| self.report(model, self.held_out)).transpose()
    }

    fn held_out_advantage(&self, model: &CausalLm) -> Result<Option<f64>> {
        match self.held_out_seed {
            Some(seed) => self.mean_advantage(model, self.held_out, seed),
            None => Ok(None),
        }
    }

    /// The chains of `users` with these log-probabilities, `[n, K]`.
    fn batch(&self, policy: Tensor<2>, users: &[&Contest]) -> Result<CandidateBatch> {
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
        Ok(batch
            .with_entropies(entropies)?
            .with_user_segments(per_chain(|c| c.user_segment), self.segments.len())?)
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
