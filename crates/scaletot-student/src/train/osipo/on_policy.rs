//! Groups of chains that are sampled from the policy while it is trained, for the `Policy` objective.

use burn::module::Module;
use burn::tensor::Tensor;
use scaletot_osipo::log_probs_from_host;

use super::candidates::{Contest, chains_of, refer};
use super::{Run, whole_mask};
use crate::decoder::CausalLm;
use crate::error::Result;
use crate::infer::Sampling;
use crate::train::osipo::log_probs;

/// Users with chains sampled for them, and how likely these were.
pub(super) struct Sampled {
    pub(super) users: Vec<Contest>,
    /// `ln π_old`, `[n, K]`.
    pub(super) log_probs: Tensor<2>,
}

impl Run<'_> {
    /// Samples a group of chains for each user from `model`, and judges them.
    pub(super) fn sample(&self, model: &CausalLm, users: &[&Contest], seed: u64) -> Result<Sampled> {
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
        let all = chains_of(&sampled);
        let log_probs = log_probs::on_host(&plain, plain.model(), self.table, &all, 256)?;
        let mask = whole_mask(all.len(), self.student.chain_schema().len())?;
        let log_probs = log_probs_from_host(log_probs, &mask, self.student.device())?;
        Ok(Sampled { users: sampled, log_probs })
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
        let sampled = self.sample(&model.valid(), &users, seed)?.users;
        let advantages: Vec<f64> = sampled.iter().flat_map(|c| c.advantages.iter().copied()).collect();
        Ok(Some(advantages.iter().sum::<f64>() / advantages.len() as f64))
    }
}
