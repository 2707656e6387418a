//! The student: a decoder with its tokenizer and schemas.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use scaletot_chain::ChainSchema;
use scaletot_profile::{ProfileSchema, ProfileTable};

use crate::config::StudentConfig;
use crate::decoder::{CausalLm, DecoderConfig};
use crate::error::Result;
use crate::lora::LoraConfig;
use crate::tokenizer::ProfileTokenizer;

/// A model that reads a profile and thinks a chain.
///
/// A student is a value: the trainers take one and return another, and cloning shares the weights.
#[derive(Debug, Clone)]
pub struct Student {
    config: StudentConfig,
    tokenizer: ProfileTokenizer,
    model: CausalLm,
    device: Device,
}

impl Student {
    /// An untrained student for the schema of `table` and for `chain`. The table also gives the bins of
    /// numeric fields, so pass the users that the student will be trained on; weights are drawn from `seed`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for sizes that do not fit together, and the errors of
    /// [`ProfileTokenizer::fit`].
    pub fn new(
        config: &StudentConfig,
        table: &ProfileTable,
        chain: &ChainSchema,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let tokenizer = ProfileTokenizer::fit(table, chain, config.numeric_bins)?;
        Self::from_tokenizer(config, tokenizer, seed, device)
    }

    /// An untrained student with this tokenizer.
    pub(crate) fn from_tokenizer(
        config: &StudentConfig,
        tokenizer: ProfileTokenizer,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let device = device.clone().without_autodiff();
        config.validate()?;
        let shape = DecoderConfig::of_student(config, tokenizer.vocab_size());
        let model = CausalLm::new(&shape, seed, &device)?;
        Ok(Self { config: config.clone(), tokenizer, model, device })
    }

    /// The same student with other weights, out of any autodiff graph.
    pub(crate) fn with_model(&self, model: &CausalLm) -> Self {
        Self { model: model.valid(), ..self.clone() }
    }

    /// The same student with low-rank adapters on frozen weights: the trainers train the adapters alone. They are merged when the
    /// student is saved; see [`CausalLm::with_lora`].
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of its range.
    pub fn with_lora(&self, config: &LoraConfig, seed: u64) -> Result<Self> {
        Ok(Self { model: self.model.with_lora(config, seed)?, ..self.clone() })
    }

    /// The sizes.
    #[must_use]
    pub fn config(&self) -> &StudentConfig {
        &self.config
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &ProfileTokenizer {
        &self.tokenizer
    }

    /// The decoder.
    #[must_use]
    pub fn model(&self) -> &CausalLm {
        &self.model
    }

    /// The device the weights are on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The schema of the profiles it reads.
    #[must_use]
    pub fn profile_schema(&self) -> &Arc<ProfileSchema> {
        self.tokenizer.profile_schema()
    }

    /// The schema of the chains it thinks.
    #[must_use]
    pub fn chain_schema(&self) -> &Arc<ChainSchema> {
        self.tokenizer.chain_schema()
    }

    /// Number of weights.
    #[must_use]
    pub fn num_params(&self) -> usize {
        self.model.num_params()
    }
}
