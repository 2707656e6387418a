//! Groups of chains that are sampled from the policy while it is trained, for the `Policy` objective.

use scaletot_profile::ProfileTable;

use super::candidates::{CandidateSet, log_probs_of, score_reference};
use super::config::OsipoConfig;
use super::reward_model::RewardModel;
use crate::choose::Sampling;
use crate::decoder::CausalLm;
use crate::error::Result;
use crate::student::Student;

/// Samples chains and gives them advantages.
pub(super) struct Sampler<'a> {
    /// The reference.
    pub(super) student: &'a Student,
    pub(super) table: &'a ProfileTable,
    pub(super) config: &'a OsipoConfig,
    pub(super) rewards: &'a RewardModel,
}

impl Sampler<'_> {
    /// A group of chains for each user, sampled from `model`, which is out of any graph, with their advantages.
    pub(super) fn sample(
        &self,
        model: &CausalLm,
        users: &[&CandidateSet],
        seed: u64,
    ) -> Result<Vec<CandidateSet>> {
        let (config, plain) = (self.config, self.student.with_model(model));
        let rows: Vec<usize> =
            users.iter().flat_map(|set| std::iter::repeat_n(set.row, config.samples)).collect();
        let chains = plain.sample(self.table, &rows, 256, Sampling::at(config.temperature), seed)?;
        let mut sampled: Vec<CandidateSet> = users.iter().map(|set| (*set).clone()).collect();
        for (set, own) in sampled.iter_mut().zip(chains.chunks(config.samples)) {
            set.chains = own.to_vec();
            self.rewards.score(set)?;
        }
        score_reference(self.student, self.table, &mut sampled)?;
        let log_probs = log_probs_of(self.student, plain.model(), self.table, &sampled)?;
        sampled.iter_mut().zip(log_probs).for_each(|(set, own)| set.sampled = own);
        Ok(sampled)
    }

    /// The mean advantage of chains sampled for users, the same random numbers each time; `None` without users.
    pub(super) fn mean_advantage(
        &self,
        model: &CausalLm,
        users: &[CandidateSet],
        seed: u64,
    ) -> Result<Option<f64>> {
        if users.is_empty() {
            return Ok(None);
        }
        let users: Vec<&CandidateSet> = users.iter().collect();
        let sampled = self.sample(model, &users, seed)?;
        let advantages: Vec<f64> = sampled.iter().flat_map(|set| set.advantages.iter().copied()).collect();
        Ok(Some(advantages.iter().sum::<f64>() / advantages.len() as f64))
    }
}
