//! Candidate chains of labelled users, with their advantages.

use scaletot_chain::ChainRecord;
use scaletot_profile::{ProfileTable, Segments};
use serde::Serialize;

use super::config::OsipoConfig;
use super::log_probs;
use crate::choose::Sampling;
use crate::decoder::CausalLm;
use crate::error::Result;
use crate::student::Student;

/// A user with two or more chains to compare.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct CandidateSet {
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

impl CandidateSet {
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
/// users were given some.
pub(super) fn add_samples(
    student: &Student,
    table: &ProfileTable,
    sets: &mut [CandidateSet],
    config: &OsipoConfig,
    seed: u64,
) -> Result<usize> {
    let last = student.chain_schema().outcome_state();
    let mut wanting: Vec<&mut CandidateSet> = sets.iter_mut().filter(|set| !set.differs(last)).collect();
    if config.samples == 0 || wanting.is_empty() {
        return Ok(0);
    }
    let rows: Vec<usize> =
        wanting.iter().flat_map(|set| std::iter::repeat_n(set.row, config.samples)).collect();
    let chains = student.sample(table, &rows, 256, Sampling::at(config.temperature), seed)?;
    let mut helped = 0;
    for (set, own) in wanting.iter_mut().zip(chains.chunks(config.samples)) {
        let before = set.chains.len();
        for values in own {
            if !set.chains.contains(values) {
                set.chains.push(values.clone());
            }
        }
        helped += usize::from(set.chains.len() > before);
    }
    Ok(helped)
}

/// Computes the reference's log-probabilities, once for the run.
pub(super) fn score_reference(
    student: &Student,
    table: &ProfileTable,
    sets: &mut [CandidateSet],
) -> Result<()> {
    let log_probs = log_probs_of(student, student.model(), table, sets)?;
    sets.iter_mut().zip(log_probs).for_each(|(set, own)| set.reference = own);
    Ok(())
}

/// The log-probabilities of each set's chains under a model, `[chains, K]`.
pub(super) fn log_probs_of(
    student: &Student,
    model: &CausalLm,
    table: &ProfileTable,
    sets: &[CandidateSet],
) -> Result<Vec<Vec<f32>>> {
    let states = student.chain_schema().len();
    let log_probs = log_probs::on_host(student, model, table, &chains_of(sets), 256)?;
    let mut rest = log_probs.as_slice();
    let own = sets.iter().map(|set| {
        let (own, others) = rest.split_at(set.chains.len() * states);
        rest = others;
        own.to_vec()
    });
    Ok(own.collect())
}

/// Every chain with the row of its user, in order.
pub(super) fn chains_of(sets: &[CandidateSet]) -> Vec<(usize, &[u16])> {
    sets.iter().flat_map(|c| c.chains.iter().map(|chain| (c.row, chain.as_slice()))).collect()
}
