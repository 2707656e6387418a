//! The most probable chains of a user, by beam search over legal values.

use scaletot_core::config::check;
use scaletot_profile::ProfileTable;

use crate::choose::legal_softmax;
use crate::decoder::{KvCache, TokenBatch};
use crate::error::Result;
use crate::student::Student;

/// A chain and how probable the student thinks it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ScoredChain {
    /// Value codes, one per state.
    pub values: Vec<u16>,
    /// `ln p(chain | profile)` over legal values, at most 0.
    pub log_prob: f64,
}

/// The first states of a chain.
struct Hypothesis {
    /// Which of the batch's users it is of.
    user: usize,
    chain: ScoredChain,
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
            for hypothesis in beams {
                all[at[hypothesis.user]].push(hypothesis.chain);
            }
        })?;
        Ok(all)
    }

    /// The chains of the batch's users, those of a user best first.
    fn beam_batch(&self, prompts: &[&[u32]], width: usize) -> Result<Vec<Hypothesis>> {
        let (tokenizer, schema) = (self.tokenizer(), self.chain_schema());
        let mut cache = KvCache::new();
        let empty = |user| Hypothesis { user, chain: ScoredChain { values: Vec::new(), log_prob: 0.0 } };
        let mut beam: Vec<Hypothesis> = (0..prompts.len()).map(empty).collect();
        // What each chain of the beam has not read yet.
        let mut next: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.to_vec()).collect();
        for state in 0..schema.len() {
            next.iter_mut().for_each(|tokens| tokens.extend(tokenizer.state_token(state)));
            let hidden =
                self.model().hidden_cached(&TokenBatch::left_padded(&next, tokenizer.pad()), &mut cache)?;
            let logits = self.value_logits(&hidden, state)?;
            let count = schema.domain_size(state);
            let mut longer: Vec<(usize, Hypothesis)> = Vec::new();
            for (from, hypothesis) in beam.iter().enumerate() {
                let legal = schema.allowed(state, &hypothesis.chain.values);
                let p = legal_softmax(&logits[from * count..(from + 1) * count], &legal, 1.0);
                for (value, p) in (0..).zip(p).filter(|(value, _)| legal[usize::from(*value)]) {
                    let mut chain = hypothesis.chain.clone();
                    chain.values.push(value);
                    chain.log_prob += p.ln();
                    longer.push((from, Hypothesis { user: hypothesis.user, chain }));
                }
            }
            // Stable: of equally probable ones the smaller values go first.
            longer.sort_by(|(_, a), (_, b)| {
                a.user.cmp(&b.user).then(b.chain.log_prob.total_cmp(&a.chain.log_prob))
            });
            let mut kept = vec![0; prompts.len()];
            longer.retain(|(_, hypothesis)| {
                kept[hypothesis.user] += 1;
                kept[hypothesis.user] <= width
            });
            cache = cache.select(&longer.iter().map(|(from, _)| *from).collect::<Vec<_>>());
            let first = tokenizer.value_tokens(state).start;
            beam = longer.into_iter().map(|(_, hypothesis)| hypothesis).collect();
            next = beam
                .iter()
                .map(|b| b.chain.values.last().map(|v| first + u32::from(*v)).into_iter().collect())
                .collect();
        }
        Ok(beam)
    }
}
