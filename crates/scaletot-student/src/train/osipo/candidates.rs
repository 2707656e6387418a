//! Candidate chains of labelled users, with their advantages.

use scaletot_chain::ChainRecord;
use scaletot_osipo::advantage::SegmentMoments;
use scaletot_osipo::reward::{OutcomeReward, TierAgreement, Tiers};
use scaletot_profile::{ProfileTable, Segments};

use serde::Serialize;

use super::config::{ChainReward, OsipoConfig};
use super::log_probs;
use crate::decoder::CausalLm;
use crate::error::Result;
use crate::infer::Sampling;
use crate::student::Student;

/// A user with two or more chains to compare.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Contest {
    pub(super) row: usize,
    pub(super) user_segment: usize,
    pub(super) outcome: f64,
    /// Which user of those that the reward was fitted to it is, if it is one of them.
    pub(super) fitted_as: Option<usize>,
    /// Different legal chains, the search's best first.
    pub(super) chains: Vec<Vec<u16>>,
    /// The search's normalised entropy of each state, `[K]`, the same for all chains of the user: chains can
    /// only be compared under one set of weights.
    pub(super) entropies: Vec<f64>,
    /// Weights over the values of the outcome-linked state.
    pub(super) outcome_state: Vec<f64>,
    /// One per chain.
    pub(super) advantages: Vec<f64>,
    /// `ln π_ref` of each chain's values, `[chains, K]`.
    #[serde(skip)]
    pub(super) reference: Vec<f32>,
    #[serde(skip)]
    /// `ln π_old` of each chain's values, `[chains, K]`, if the chains were sampled from the policy in training.
    pub(super) sampled: Vec<f32>,
}

impl Contest {
    /// The chains of an accepted record; advantages and reference come later.
    pub(super) fn new(
        row: usize,
        record: &ChainRecord,
        outcome: f64,
        segments: &Segments,
        last: usize,
    ) -> Option<Self> {
        let best = record.best.as_ref().filter(|_| record.verdict.is_accepted())?;
        let mut chains: Vec<Vec<u16>> = vec![];
        for values in record.chains().map(scaletot_chain::Chain::values) {
            if !chains.contains(&values) {
                chains.push(values);
            }
        }
        let entropies = match record.entropy_before.is_empty() {
            false => record.entropy_before.clone(),
            true => best.steps().iter().map(|step| step.entropy).collect(),
        };
        let posterior = record.posterior.get(last).filter(|p| p.iter().sum::<f64>() > 0.0);
        let outcome_state = posterior.cloned().unwrap_or_else(|| best.steps()[last].distribution.clone());
        let (user_segment, advantages, reference, sampled) = (segments.of(row), vec![], vec![], vec![]);
        Some(Self {
            row,
            user_segment,
            outcome,
            fitted_as: None,
            chains,
            entropies,
            outcome_state,
            advantages,
            reference,
            sampled,
        })
    }

    /// Whether the reward, which looks at the outcome-linked value, could tell any two of the chains apart.
    fn differs(&self, last: usize) -> bool {
        self.chains.windows(2).any(|pair| pair[0][last] != pair[1][last])
    }

    /// Whether two of the chains have different advantages.
    pub(super) fn is_decided(&self) -> bool {
        self.advantages.windows(2).any(|pair| pair[0] != pair[1])
    }

    /// Pairs of chains with different advantages.
    pub(super) fn decided_pairs(&self) -> usize {
        let of = |(at, a): (usize, &f64)| self.advantages[at + 1..].iter().filter(|b| a != *b).count();
        self.advantages.iter().enumerate().map(of).sum()
    }
}

/// Adds sampled chains to the users whose own do not differ in the outcome-linked value, and returns how many
/// users got some.
pub(super) fn add_samples(
    student: &Student,
    table: &ProfileTable,
    contests: &mut [Contest],
    config: &OsipoConfig,
    seed: u64,
) -> Result<usize> {
    let last = student.chain_schema().outcome_state();
    let mut wanting: Vec<&mut Contest> = contests.iter_mut().filter(|c| !c.differs(last)).collect();
    if config.samples == 0 || wanting.is_empty() {
        return Ok(0);
    }
    let rows: Vec<usize> = wanting.iter().flat_map(|c| std::iter::repeat_n(c.row, config.samples)).collect();
    let chains = student.sample(table, &rows, 256, Sampling::at(config.temperature), seed)?;
    let mut helped = 0;
    for (index, contest) in wanting.iter_mut().enumerate() {
        let before = contest.chains.len();
        for sample in 0..config.samples {
            let values = chains.row(index * config.samples + sample).to_vec();
            if !contest.chains.contains(&values) {
                contest.chains.push(values);
            }
        }
        helped += usize::from(contest.chains.len() > before);
    }
    Ok(helped)
}

/// Rewards of chains, fitted to the training users.
enum FittedReward {
    Outcome(OutcomeReward),
    Agreement(TierAgreement),
}

/// What makes advantages of chains: the reward and the moments within user segments, fitted to the training users.
pub(super) struct Judge {
    reward: FittedReward,
    moments: SegmentMoments,
    /// The outcome-linked state.
    last: usize,
}

impl Judge {
    /// Fits tiers, histograms and moments to `train` alone, and gives all contests their advantages. A training user is judged
    /// without its own outcome; the held-out users as new users would be.
    pub(super) fn fit(
        train: &mut [Contest],
        held_out: &mut [Contest],
        values: usize,
        last: usize,
        config: &OsipoConfig,
    ) -> Result<Self> {
        let outcomes: Vec<Option<f64>> = train.iter().map(|c| Some(c.outcome)).collect();
        let tiers = Tiers::fit(&outcomes, config.tiers)?;
        let reward = match &config.reward {
            ChainReward::Outcome(reward) => {
                let segments: Vec<usize> = train.iter().map(|c| c.user_segment).collect();
                let states: Vec<&[f64]> = train.iter().map(|c| c.outcome_state.as_slice()).collect();
                FittedReward::Outcome(OutcomeReward::fit(tiers, &outcomes, &segments, &states, reward)?)
            }
            ChainReward::TierAgreement => FittedReward::Agreement(TierAgreement::new(tiers, values)?),
        };
        train.iter_mut().enumerate().for_each(|(user, contest)| contest.fitted_as = Some(user));
        let rewards: Result<Vec<Vec<f64>>> = train.iter().map(|c| reward.of_all(c, last)).collect();
        let segments = train.iter().flat_map(|c| std::iter::repeat_n(c.user_segment, c.chains.len()));
        let segments: Vec<usize> = segments.collect();
        let all: Vec<Option<f64>> = rewards?.into_iter().flatten().map(Some).collect();
        let moments = SegmentMoments::fit(&all, &segments, config.kappa)?;
        let judge = Self { reward, moments, last };
        train.iter_mut().chain(held_out).try_for_each(|contest| judge.judge(contest))?;
        Ok(judge)
    }

    /// Gives a contest the advantages of its chains.
    pub(super) fn judge(&self, contest: &mut Contest) -> Result<()> {
        let rewards = self.reward.of_all(contest, self.last)?;
        let advantage = |reward| self.moments.advantage(reward, contest.user_segment);
        contest.advantages = rewards.into_iter().map(advantage).collect();
        Ok(())
    }
}

impl FittedReward {
    fn of_all(&self, contest: &Contest, last: usize) -> Result<Vec<f64>> {
        contest.chains.iter().map(|chain| self.of(contest, usize::from(chain[last]))).collect()
    }

    /// Of a chain with that outcome-linked value.
    fn of(&self, contest: &Contest, value: usize) -> Result<f64> {
        Ok(match (self, contest.fitted_as) {
            (Self::Outcome(fitted), Some(user)) => fitted.reward(user, value)?.unwrap_or(0.0),
            (Self::Outcome(fitted), None) => {
                fitted.reward_unseen(contest.user_segment, contest.outcome, value)?
            }
            (Self::Agreement(fitted), _) => fitted.reward(contest.outcome, value)?,
        })
    }
}

/// Computes the reference's log-probabilities, once for the run.
pub(super) fn refer(student: &Student, table: &ProfileTable, contests: &mut [Contest]) -> Result<()> {
    let log_probs = log_probs_of(student, student.model(), table, contests)?;
    contests.iter_mut().zip(log_probs).for_each(|(contest, own)| contest.reference = own);
    Ok(())
}

/// The log-probabilities of each contest's chains under a model, `[chains, K]`.
pub(super) fn log_probs_of(
    student: &Student,
    model: &CausalLm,
    table: &ProfileTable,
    contests: &[Contest],
) -> Result<Vec<Vec<f32>>> {
    let states = student.chain_schema().len();
    let log_probs = log_probs::on_host(student, model, table, &chains_of(contests), 256)?;
    let mut rest = log_probs.as_slice();
    let own = contests.iter().map(|contest| {
        let (own, others) = rest.split_at(contest.chains.len() * states);
        rest = others;
        own.to_vec()
    });
    Ok(own.collect())
}

/// Every chain with the row of its user, in order.
pub(super) fn chains_of(contests: &[Contest]) -> Vec<(usize, &[u16])> {
    contests.iter().flat_map(|c| c.chains.iter().map(|chain| (c.row, chain.as_slice()))).collect()
}
