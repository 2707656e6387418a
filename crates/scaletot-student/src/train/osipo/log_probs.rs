//! Log-probabilities of chains.
//!
//! They are taken over the *legal* values of each state, not over the whole vocabulary, because that is the
//! policy that is used: decoding asks for a state's value among those the schema allows. Over the vocabulary,
//! a log-ratio could also grow by moving mass between the state's values and tokens that never can follow,
//! which earns implicit reward and changes no chain. For the same reason state names and `<eos>` have no
//! log-probability: their choice is forced. So each chain segment has exactly one token that counts.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use scaletot_chain::ChainSchema;
use scaletot_profile::ProfileTable;

use crate::decoder::{CausalLm, TokenBatch};
use crate::error::Result;
use crate::host::to_host;
use crate::parts;
use crate::student::Student;
use crate::tokenizer::ProfileTokenizer;

/// Score of a value that may not follow: next to any logit its probability is 0.
const FORBIDDEN: f32 = -1e9;

/// Chains of users, ready for a model.
pub(crate) struct ChainBatch<'a> {
    tokenizer: &'a ProfileTokenizer,
    tokens: TokenBatch,
    /// Where each state's value is predicted, `[n, K]`: at its name.
    positions: Vec<i64>,
    chains: Vec<&'a [u16]>,
}

impl<'a> ChainBatch<'a> {
    /// One legal chain per entry, with the table's row of its user. Rows must have been checked.
    pub(crate) fn new(
        tokenizer: &'a ProfileTokenizer,
        table: &ProfileTable,
        chains: &[(usize, &'a [u16])],
    ) -> Result<Self> {
        let sequence = |&(row, values): &(usize, &'a [u16])| {
            let mut ids = tokenizer.prompt(table, row, |_| true)?;
            ids.extend(tokenizer.chain_tokens(values));
            // Nothing is asked of the last value's state.
            ids.pop();
            Ok(ids)
        };
        let sequences = chains.iter().map(sequence).collect::<Result<Vec<Vec<u32>>>>()?;
        let (tokens, starts) = TokenBatch::packed(&sequences, tokenizer.pad());
        let states = tokenizer.chain_schema().len();
        let ends = starts.iter().zip(&sequences).map(|(start, sequence)| start + sequence.len());
        let names = |end: usize| (0..states).map(move |k| (end + 2 * k + 1 - 2 * states) as i64);
        let positions = ends.flat_map(names).collect();
        Ok(Self { tokenizer, tokens, positions, chains: chains.iter().map(|(_, values)| *values).collect() })
    }

    /// `ln π(v_k | profile, v_<k)` over the legal values, `[n, K]`.
    pub(crate) fn log_probs(&self, model: &CausalLm) -> Result<Tensor<2>> {
        let schema = self.tokenizer.chain_schema();
        let (n, states) = (self.chains.len(), schema.len());
        let hidden = model.hidden_at(&self.tokens, &self.positions, None, None)?;
        let d = hidden.dims()[1];
        let hidden = hidden.reshape([n, states, d]);
        let device = model.device().without_autodiff();
        let mut columns = Vec::with_capacity(states);
        for k in 0..states {
            let values = self.tokenizer.value_tokens(k);
            let at_name = hidden.clone().narrow(1, k, 1).reshape([n, d]);
            let mut logits = model.logits_of(at_name, values.start as usize, values.len());
            if let Some(forbidden) = self.forbidden(schema, k, &device) {
                logits = logits.mask_fill(forbidden, FORBIDDEN);
            }
            let chosen: Vec<i64> = self.chains.iter().map(|chain| i64::from(chain[k])).collect();
            let chosen = Tensor::<2, Int>::from_data(TensorData::new(chosen, [n, 1]), &device);
            columns.push(log_softmax(logits, 1).gather(1, chosen));
        }
        Ok(Tensor::cat(columns, 1))
    }

    /// `[n, |V_k|]`, true where a value may not follow; `None` if all may.
    fn forbidden(&self, schema: &ChainSchema, k: usize, device: &Device) -> Option<Tensor<2, Bool>> {
        let flags =
            self.chains.iter().flat_map(|chain| schema.allowed(k, &chain[..k])).map(|allowed| !allowed);
        let flags: Vec<bool> = flags.collect();
        let shape = [self.chains.len(), schema.domain_size(k)];
        flags.contains(&true).then(|| Tensor::from_data(TensorData::new(flags, shape), device))
    }
}

/// Log-probabilities of many chains on the host, `[n, K]` row-major, `batch` chains at a time.
pub(crate) fn on_host(
    student: &Student,
    model: &CausalLm,
    table: &ProfileTable,
    chains: &[(usize, &[u16])],
    batch: usize,
) -> Result<Vec<f32>> {
    let parts: Vec<&[(usize, &[u16])]> = chains.chunks(batch.max(1)).collect();
    let run = |part: &&[(usize, &[u16])]| {
        to_host("log-probabilities", ChainBatch::new(student.tokenizer(), table, part)?.log_probs(model)?)
    };
    let mut all = Vec::with_capacity(chains.len() * student.chain_schema().len());
    parts::each(student.device(), &parts, run, |found| all.extend(found))?;
    Ok(all)
}
