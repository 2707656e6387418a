//! The most probable chains of a user, by beam search over legal values.

use scaletot_core::config::check;
use scaletot_profile::ProfileTable;

use crate::error::Result;
use crate::student::Student;
use crate::walk::{Prefix, Walk};

/// A chain and how probable the student thinks it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ScoredChain {
    /// Value codes, one per state.
    pub values: Vec<u16>,
    /// `ln p(chain | profile)` over legal values, at most 0.
    pub log_prob: f64,
}

impl Student {
    /// For each entry of `rows` up to `width` different legal chains, the most probable first. A `width` of 1 gives the greedy
    /// chain; with as many as there are legal chains, all of them in their order.
    ///
    /// # Errors
    /// As [`infer`](Self::infer), and [`Error::Config`](crate::Error::Config) for a width of 0.
    pub fn beam(
        &self,
        table: &ProfileTable,
        rows: &[usize],
        batch: usize,
        width: usize,
    ) -> Result<Vec<Vec<ScoredChain>>> {
        check(width > 0, "width", "a positive number", width)?;
        let mut all = vec![Vec::new(); rows.len()];
        let run = |_: &[usize], prompts: &[&[u32]]| self.beam_batch(prompts, width);
        self.in_batches(table, rows, batch, run, |at, beams| {
            for Prefix { user, values, log_mass } in beams {
                all[at[user]].push(ScoredChain { values, log_prob: log_mass });
            }
        })?;
        Ok(all)
    }

    /// The chains of the batch's users, those of a user best first.
    fn beam_batch(&self, prompts: &[&[u32]], width: usize) -> Result<Vec<Prefix>> {
        let mut walk = Walk::new(self, prompts);
        for state in 0..self.chain_schema().len() {
            let mut longer = walk.longer(state)?;
            // Stable: of equally probable ones the smaller values go first.
            longer.sort_by(|(_, a), (_, b)| a.user.cmp(&b.user).then(b.log_mass.total_cmp(&a.log_mass)));
            let mut kept = vec![0; prompts.len()];
            longer.retain(|(_, prefix)| {
                kept[prefix.user] += 1;
                kept[prefix.user] <= width
            });
            walk.keep(state, longer);
        }
        Ok(walk.into_prefixes())
    }
}
