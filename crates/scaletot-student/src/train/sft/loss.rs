//! The SFT loss of a batch.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};

use super::example::Example;
use crate::decoder::{CausalLm, Dropout, TokenBatch};
use crate::error::Result;
use crate::infer::to_host;
use crate::tokenizer::ProfileTokenizer;

/// A batch of sequences with the distribution each chain token should have.
pub(crate) struct SftBatch {
    tokens: TokenBatch,
    /// `[n, 2K + 1, vocab]`, row-major: state 1, value, …, state K, value, `<eos>`.
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

impl SftBatch {
    /// `prompts[i]` is what is read before the chain of `examples[i]`.
    pub(crate) fn new(tokenizer: &ProfileTokenizer, examples: &[&Example], prompts: Vec<Vec<u32>>) -> Self {
        let vocab = tokenizer.vocab_size();
        let chain = examples.first().map_or(0, |e| 2 * e.values.len() + 1);
        let mut targets = vec![0.0; examples.len() * chain * vocab];
        let mut sequences = prompts;
        for (row, (example, sequence)) in examples.iter().zip(&mut sequences).enumerate() {
            sequence.extend(tokenizer.chain_tokens(&example.values));
            let at = |token: usize, id: usize| (row * chain + token) * vocab + id;
            for (k, target) in example.targets.iter().enumerate() {
                let [name, first] =
                    [tokenizer.state_token(k).unwrap_or(tokenizer.pad()), tokenizer.value_tokens(k).start];
                targets[at(2 * k, name as usize)] = 1.0;
                for (value, &p) in target.iter().enumerate() {
                    targets[at(2 * k + 1, first as usize + value)] = p as f32;
                }
            }
            targets[at(chain - 1, tokenizer.eos() as usize)] = 1.0;
        }
        let weights = examples.iter().map(|example| example.weight as f32).collect();
        Self { tokens: TokenBatch::left_padded(&sequences, tokenizer.pad()), targets, weights }
    }

    /// Cross-entropy `−Σ_u w_u Σ_t Σ_v p_{u,t}(v) ln π(v | …) / (Σ_u w_u · (2K + 1))` over the tokens from
    /// the first state's name to `<eos>`; the profile is read, not predicted.
    pub(crate) fn loss(&self, model: &CausalLm, dropout: Option<&mut Dropout>) -> Result<SftLoss> {
        let hidden = match dropout {
            Some(dropout) => model.hidden_with_dropout(&self.tokens, dropout)?,
            None => model.hidden(&self.tokens)?,
        };
        let (rows, vocab) = (self.weights.len(), model.vocab_size());
        let chain = self.targets.len() / (rows * vocab).max(1);
        let device = model.device().without_autodiff();
        // Left padding puts every chain in the last columns; each token is predicted by the one before it.
        let len = self.tokens.len();
        let hidden = hidden.narrow(1, len - chain, chain);
        let log_probs = log_softmax(model.logits(hidden), 2);
        let targets =
            Tensor::<3>::from_data(TensorData::new(self.targets.clone(), [rows, chain, vocab]), &device);
        let weights = Tensor::<2>::from_data(TensorData::new(self.weights.clone(), [rows, 1]), &device);
        let terms = -(log_probs * targets).sum_dim(2).squeeze_dim::<2>(2) * weights;
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
