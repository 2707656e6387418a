//! What a student is measured by: its chains against the true ones, and what its chains tell about outcomes.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use scaletot_chain::{ChainRecord, JoinedCorpus};
use scaletot_eval::Metric;
use scaletot_ltv::{Component, Representation, ValueModelConfig, ValueTrainer};
use scaletot_osipo::reward::{OutcomeReward, OutcomeRewardConfig, Tiers, UserOutcome};
use scaletot_pipeline::evaluation::planted::Planted;
use scaletot_profile::Dataset;
use scaletot_student::{OsipoConfig, Student};
use serde::{Deserialize, Serialize};

use super::fold::{WorldFold, levels, most_probable};

/// A probability counts as at least this, so that no single user makes a mean log-likelihood worthless.
const MIN_PROBABILITY: f64 = 1e-9;

/// A figure of a student on test users. More is better for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of states that the chain has right.
    States,
    /// Share of users whose last state, the outcome-linked one, the chain has right.
    LastState,
    /// Mean log-probability of the true last state after the chain's earlier values.
    LogLikelihood,
    /// Mean outcome reward of the chain, fitted as OSIPO fits it: to the teacher's posteriors of the reasoned users.
    Reward,
    /// The same, fitted to the true last states of all training users.
    TrueReward,
    /// Spearman's correlation of the expected level of the last state with the outcome.
    Spearman,
    /// The same ranking's normalised Gini.
    Gini,
    /// The same ranking's AUC of outcome > 0.
    Auc,
    /// Spearman of a ridge regression on the student's signals, fitted to the users whose outcome OSIPO knew.
    RidgeSpearman,
    /// The same prediction's normalised Gini.
    RidgeGini,
}

impl Measure {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 10] = [
        Self::States,
        Self::LastState,
        Self::LogLikelihood,
        Self::Reward,
        Self::TrueReward,
        Self::Spearman,
        Self::Gini,
        Self::Auc,
        Self::RidgeSpearman,
        Self::RidgeGini,
    ];

    /// Name for a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::States => "states right",
            Self::LastState => "last state right",
            Self::LogLikelihood => "ln p(last state)",
            Self::Reward => "reward",
            Self::TrueReward => "reward, true states",
            Self::Spearman => "Spearman",
            Self::Gini => "Gini",
            Self::Auc => "AUC",
            Self::RidgeSpearman => "Spearman, ridge",
            Self::RidgeGini => "Gini, ridge",
        }
    }
}

/// How often states were right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recovered {
    /// Users whose chains were looked at.
    pub users: usize,
    /// Share of all states.
    pub states: f64,
    /// Share of last states.
    pub last: f64,
}

impl Recovered {
    /// Of the chains of some rows; rows without a chain are skipped.
    pub(super) fn of(planted: &Planted, chains: impl IntoIterator<Item = (usize, Vec<u16>)>) -> Self {
        let (mut users, mut states, mut right, mut last) = (0, 0, 0, 0);
        for (row, chain) in chains.into_iter().filter(|(_, chain)| !chain.is_empty()) {
            let truth = planted.truth(row);
            users += 1;
            states += truth.len();
            right += truth.iter().zip(&chain).filter(|(is, predicted)| is == predicted).count();
            last += usize::from(truth.last() == chain.last());
        }
        let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
        Self { users, states: share(right, states), last: share(last, users) }
    }
}

/// What all arms of a world are measured by.
pub(super) struct Evaluator<'a> {
    world: &'a WorldFold<'a>,
    planted: &'a Planted,
    /// All users, with the outcomes that OSIPO knew, and their segments.
    known: &'a Dataset,
    /// Of the test users.
    outcomes: Vec<f64>,
    taught: OutcomeReward,
    truth: OutcomeReward,
    /// All users, with the outcomes of the reasoned ones whom OSIPO knew.
    labelled: Dataset,
    /// Fits ridge regressions on a student's signals to them.
    on_signals: ValueTrainer<'static>,
    /// The seed of those.
    seed: u64,
}

impl<'a> Evaluator<'a> {
    /// For the test users of `world`. `known` are all users, with their segments and with outcomes as far as OSIPO knows them.
    pub(super) fn new(
        world: &'a WorldFold<'_>,
        planted: &'a Planted,
        known: &'a Dataset,
        corpus: &JoinedCorpus<'_>,
    ) -> Result<Self> {
        let study = world.study;
        let accepted = corpus.accepted().filter(|(row, _)| known.outcome(*row).is_some());
        let taught: Vec<(usize, Vec<f64>)> =
            accepted.map(|(row, record)| Ok((row, last_state(record)?))).collect::<Result<_>>()?;
        let rows: Vec<usize> = taught.iter().map(|(row, _)| *row).collect();
        let values = study.chain.domain_sizes().last().copied().context("a chain without states")?;
        let one_hot = |&row: &usize| {
            let last = planted.truth(row).last().copied();
            (row, (0..).take(values).map(|value| f64::from(u8::from(last == Some(value)))).collect())
        };
        let truth: Vec<(usize, Vec<f64>)> = world.train().iter().map(one_hot).collect();
        let segments = known.segments().clone();
        let everybody = study.dataset.clone().into_builder().with_segments(segments).build()?;
        Ok(Self {
            world,
            planted,
            known,
            outcomes: world.test().iter().filter_map(|&row| study.dataset.outcome(row)).collect(),
            taught: reward(&taught, known)?,
            truth: reward(&truth, &everybody)?,
            labelled: known.with_outcomes_of(&rows)?,
            seed: world.seed(200),
            on_signals: ValueTrainer::new(
                ValueModelConfig::default()
                    .with_components([Component::Signals])
                    .with_representation(Representation::Last),
            )?,
        })
    }

    /// All figures of a student.
    pub(super) fn measure(&self, student: &Student) -> Result<BTreeMap<Measure, f64>> {
        let test = self.world.test();
        let asked: Vec<usize> = test.iter().copied().chain(self.labelled.labelled()).collect();
        let signals = self.world.signals(student, &asked)?;
        let chains: Vec<(usize, Vec<u16>)> =
            test.iter().map(|&row| (row, most_probable(&signals, row))).collect();
        let (mut likelihood, mut taught, mut truth) = (0.0, 0.0, 0.0);
        for ((row, chain), outcome) in chains.iter().zip(&self.outcomes) {
            let is = self.planted.truth(*row).last().copied().map_or(0, usize::from);
            let predicted = chain.last().copied().map_or(0, usize::from);
            let entry = signals.index_of(*row).context("a test user without signals")?;
            let last = signals.domain_sizes().len().checked_sub(1).context("a student without states")?;
            let probability = signals.marginal(entry, last).get(is).copied().unwrap_or_default();
            likelihood += f64::from(probability).max(MIN_PROBABILITY).ln();
            let segment = self.known.segments().of(*row);
            taught += self.taught.reward_unseen(segment, *outcome, predicted)?;
            truth += self.truth.reward_unseen(segment, *outcome, predicted)?;
        }
        let right = Recovered::of(self.planted, chains);
        let level = levels(&signals, test);
        let fitted = self.on_signals.fit(&self.labelled, &signals, self.seed, &())?.log_values_of_rows(
            self.world.study.dataset.table(),
            test,
            &signals,
        )?;
        let users = test.len().max(1) as f64;
        let by = |metric: Metric, scores: &[f64]| metric.compute(&self.outcomes, scores);
        Ok(BTreeMap::from([
            (Measure::States, right.states),
            (Measure::LastState, right.last),
            (Measure::LogLikelihood, likelihood / users),
            (Measure::Reward, taught / users),
            (Measure::TrueReward, truth / users),
            (Measure::Spearman, by(Metric::Spearman, &level)?),
            (Measure::Gini, by(Metric::NormalisedGini, &level)?),
            (Measure::Auc, by(Metric::AucOfPositive, &level)?),
            (Measure::RidgeSpearman, by(Metric::Spearman, &fitted)?),
            (Measure::RidgeGini, by(Metric::NormalisedGini, &fitted)?),
        ]))
    }
}

/// The outcome reward by its defaults, fitted to users by row, each with weights over the values of the last state.
fn reward(users: &[(usize, Vec<f64>)], dataset: &Dataset) -> Result<OutcomeReward> {
    let users = users.iter().map(|(row, state)| UserOutcome {
        outcome: dataset.outcome(*row),
        segment: dataset.segments().of(*row),
        state,
    });
    let users: Vec<UserOutcome<'_>> = users.collect();
    let outcomes: Vec<Option<f64>> = users.iter().map(|user| user.outcome).collect();
    let tiers = Tiers::fit(&outcomes, OsipoConfig::default().tiers)?;
    Ok(OutcomeReward::fit(tiers, &users, &OutcomeRewardConfig::default())?)
}

/// The search's posterior of the last state.
fn last_state(record: &ChainRecord) -> Result<Vec<f64>> {
    record.posterior.last().cloned().with_context(|| format!("user {} has no posterior", record.user))
}
