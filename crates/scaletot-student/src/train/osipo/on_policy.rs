//! Groups of chains that are sampled from the policy while it is trained, for the `Policy` objective.

use super::Run;
use super::candidates::{Contest, log_probs_of, refer};
use crate::decoder::CausalLm;
use crate::error::Result;
use crate::infer::Sampling;

impl Run<'_> {
    /// Samples a group of chains for each user from `model`, which is out of any graph, and judges them.
    pub(super) fn sample(&self, model: &CausalLm, users: &[&Contest], seed: u64) -> Result<Vec<Contest>> {
        let (config, plain) = (self.config, self.student.with_model(model));
        let rows: Vec<usize> =
            users.iter().flat_map(|c| std::iter::repeat_n(c.row, config.samples)).collect();
        let chains = plain.sample(self.table, &rows, 256, Sampling::at(config.temperature), seed)?;
        let mut sampled: Vec<Contest> = users.iter().map(|contest| (*contest).clone()).collect();
        for (index, contest) in sampled.iter_mut().enumerate() {
            let own = index * config.samples..(index + 1) * config.samples;
            contest.chains = own.map(|at| chains.row(at).to_vec()).collect();
            self.judge.judge(contest)?;
        }
        refer(self.student, self.table, &mut sampled)?;
        let log_probs = log_probs_of(self.student, plain.model(), self.table, &sampled)?;
        sampled.iter_mut().zip(log_probs).for_each(|(contest, own)| contest.sampled = own);
        Ok(sampled)
    }

    /// The mean advantage of chains sampled for users, the same random numbers each time; `None` without users.
    pub(super) fn mean_advantage(
        &self,
        model: &CausalLm,
        users: &[Contest],
        seed: u64,
    ) -> Result<Option<f64>> {
        if users.is_empty() {
            return Ok(None);
        }
        let users: Vec<&Contest> = users.iter().collect();
        let sampled = self.sample(model, &users, seed)?;
        let advantages: Vec<f64> = sampled.iter().flat_map(|c| c.advantages.iter().copied()).collect();
        Ok(Some(advantages.iter().sum::<f64>() / advantages.len() as f64))
    }
}
