//! The SFT loss of a batch.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::example::Example;
use crate::decoder::{CausalLm, Dropout, TokenBatch};
use crate::error::Result;
use crate::host::to_host;
use crate::tokenizer::ProfileTokenizer;

/// A batch of sequences with the distribution each chain token should have.
pub(crate) struct SftBatch {
    tokens: TokenBatch,
    /// Where each chain token is predicted, `[n · (2K + 1)]`: at the token before it.
    positions: Vec<i64>,
    /// Tokens that each chain token may be, `[n · (2K + 1), m]` with `m` the size of the largest domain: state 1, value, …, state K,
    /// value, `<eos>`. Where there are fewer, the first stands in.
    tokens_wanted: Vec<i64>,
    /// Their probabilities, in the same order; 0 for those that stand in.
    targets: Vec<f32>,
    /// `[n]`.
    weights: Vec<f32>,
}

/// Losses of a batch, in nats per token, with the users' weights.
pub(crate) struct SftLoss {
    /// Over all chain tokens; what is minimised.
    pub(crate) loss: Tensor<1>,
    /// Over all chain tokens.
    pub(crate) all: f64,
    /// Over the value tokens alone, which are the ones that carry information.
    pub(crate) values: f64,
    /// Sum of the users' weights.
    pub(crate) weight: f64,
}

impl SftLoss {
    /// What is left of it without the graph: `all`, `values`, `weight`.
    pub(crate) fn sums(&self) -> [f64; 3] {
        [self.all, self.values, self.weight]
    }
}

impl SftBatch {
    /// `prompts[i]` is what is read before the chain of `examples[i]`.
    pub(crate) fn new(tokenizer: &ProfileTokenizer, examples: &[&Example], prompts: Vec<Vec<u32>>) -> Self {
        let chain = examples.first().map_or(0, |e| 2 * e.values.len() + 1);
        let width = examples.first().map_or(1, |e| e.targets.iter().map(Vec::len).max().unwrap_or(1));
        let (mut tokens_wanted, mut targets) = (vec![], vec![]);
        let mut want = |first: u32, probabilities: &mut dyn Iterator<Item = f64>| {
            let end = targets.len() + width;
            for (p, id) in probabilities.zip(i64::from(first)..) {
                tokens_wanted.push(id);
                targets.push(p as f32);
            }
            tokens_wanted.resize(end, i64::from(first));
            targets.resize(end, 0.0);
        };
        let mut sequences = prompts;
        for (example, sequence) in examples.iter().zip(&mut sequences) {
            sequence.extend(tokenizer.chain_tokens(&example.values));
            for (k, target) in example.targets.iter().enumerate() {
                want(tokenizer.state_token(k).unwrap_or(tokenizer.pad()), &mut std::iter::once(1.0));
                want(tokenizer.value_tokens(k).start, &mut target.iter().copied());
            }
            want(tokenizer.eos(), &mut std::iter::once(1.0));
        }
        let weights = examples.iter().map(|example| example.weight as f32).collect();
        let (tokens, starts) = TokenBatch::packed(&sequences, tokenizer.pad());
        let ends = starts.iter().zip(&sequences).map(|(start, sequence)| start + sequence.len());
        let positions = ends.flat_map(|end| (end - chain..end).map(|at| at as i64)).collect();
        Self { tokens, positions, tokens_wanted, targets, weights }
    }

    /// Cross-entropy `−Σ_u w_u Σ_t Σ_v p_{u,t}(v) ln π(v | …) / (Σ_u w_u · (2K + 1))` over the tokens from
    /// the first state's name to `<eos>`; the profile is read, not predicted.
    pub(crate) fn loss(&self, model: &CausalLm, dropout: Option<&mut Dropout>) -> Result<SftLoss> {
        let rows = self.weights.len();
        let chain = self.positions.len() / rows.max(1);
        let shape = [rows * chain, self.targets.len() / self.positions.len().max(1)];
        let device = model.device().without_autodiff();
        let hidden = model.hidden_at(&self.tokens, &self.positions, None, dropout)?;
        let wanted = TensorData::new(self.tokens_wanted.clone(), shape);
        let wanted = Tensor::<2, Int>::from_data(wanted, &device);
        let log_probs = log_softmax(model.logits_at(hidden), 1).gather(1, wanted);
        let targets = Tensor::<2>::from_data(TensorData::new(self.targets.clone(), shape), &device);
        let weights = Tensor::<2>::from_data(TensorData::new(self.weights.clone(), [rows, 1]), &device);
        let terms = -(log_probs * targets).sum_dim(1).reshape([rows, chain]) * weights;
        let weight: f64 = self.weights.iter().map(|&w| f64::from(w)).sum();
        let per_token = terms.sum_dim(0).div_scalar(weight);
        let on_host = to_host("the loss", per_token.clone().without_autodiff())?;
        let mean =
            |terms: &[f32]| terms.iter().map(|&x| f64::from(x)).sum::<f64>() / terms.len().max(1) as f64;
        let values: Vec<f32> = on_host.iter().skip(1).step_by(2).copied().collect();
        Ok(SftLoss {
            loss: per_token.sum().div_scalar(chain as f64),
            all: mean(&on_host),
            values: mean(&values),
            weight,
        })
    }
}
