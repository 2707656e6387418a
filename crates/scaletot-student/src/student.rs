//! The student: a decoder with its tokenizer and schemas.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use scaletot_chain::{ChainSchema, JoinedCorpus};
use scaletot_profile::{ProfileSchema, ProfileTable, Verbaliser};
use serde_json::Value;

use crate::config::StudentConfig;
use crate::decoder::{CausalLm, DecoderConfig};
use crate::error::{Error, Result};
use crate::lora::LoraConfig;
use crate::pretrained::Pretrained;
use crate::tokenizer::ProfileTokenizer;

/// A model that reads a profile and thinks a chain.
///
/// It is new, with a vocabulary made for its schemas ([`new`](Self::new)), or it is a published checkpoint that reads the profile
/// as a sentence ([`from_pretrained`](Self::from_pretrained)); everything else is the same for both.
///
/// A student is a value: the trainers take one and return another, and cloning shares the weights.
#[derive(Debug, Clone)]
pub struct Student {
    origin: Origin,
    shape: DecoderConfig,
    tokenizer: ProfileTokenizer,
    model: CausalLm,
    /// Of the adapters that the model has, which do not tell of their scale, and the seed they were drawn from.
    lora: Option<(LoraConfig, u64)>,
    device: Device,
}

/// What a student was made of, for its files.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// Sizes.
    New(StudentConfig),
    /// A published checkpoint.
    Pretrained {
        /// `config.json`, with the tokens of the chain counted.
        published: Value,
        verbaliser: Arc<Verbaliser>,
    },
}

impl Student {
    /// An untrained student for the schema of `table` and for `chain`. The table also gives the bins of
    /// numeric fields, so pass the users that the student will be trained on; weights are drawn from `seed`.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that do not fit together, and the errors of
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
        Ok(Self { origin: Origin::New(config.clone()), shape, tokenizer, model, lora: None, device })
    }

    /// A student that is a published checkpoint.
    ///
    /// It reads the sentence that `verbaliser` renders of a profile of the schema `profile`, in the checkpoint's own vocabulary and
    /// as `tokenizer.json` encodes a text (with a token before it, if that adds one); of a missing field nothing is rendered. The
    /// tokens of the chain are added to the vocabulary: `<think>`, and one for each state and each of its values. A new
    /// token begins as the mean of the tokens of its plain text (`need`, `low`), in the embedding and in the head; one
    /// that the checkpoint has already is left as it is. A chain ends with the checkpoint's first `eos_token_id`. Adapters are merged.
    ///
    /// Pretrained weights want a lower learning rate than new ones: some 1e-5 to 1e-4 for all of them, 1e-4 to 1e-3 for the
    /// adapters of [`with_lora`](Self::with_lora).
    ///
    /// ```no_run
    /// # use scaletot_chain::{ChainSchema, JoinedCorpus};
    /// # use scaletot_profile::Verbaliser;
    /// use scaletot_student::{InferConfig, LoraConfig, Pretrained, Sft, SftConfig, Student};
    ///
    /// # fn example(corpus: &JoinedCorpus<'_>, chain: &ChainSchema) -> Result<(), Box<dyn std::error::Error>> {
    /// let table = corpus.dataset().table();
    /// let smollm2 = Pretrained::from_pretrained("SmolLM2-135M-Instruct", &Default::default())?;
    /// let verbaliser = Verbaliser::fit(table, 5)?; // that of the teacher's prompts, so that both read the same
    /// let student = Student::from_pretrained(&smollm2, &verbaliser, table.schema(), chain)?;
    /// let student = student.with_lora(&LoraConfig::default(), 7)?;
    ///
    /// let mut config = SftConfig::default();
    /// (config.epochs, config.learning_rate) = (3, 2e-4);
    /// let (student, _) = Sft::new(config)?.fit(&student, corpus, 7, &())?;
    /// let inference = student.infer(table, corpus.rows(), &InferConfig::default())?; // representations [N, K, 576]
    /// student.save("student")?; // `transformers` reads it, too
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::SchemaMismatch`] for a verbaliser of another schema,
    /// [`Error::Config`] if the checkpoint has no token that ends a text,
    /// [`Error::Shape`] if its tokenizer has more tokens than its embedding, and
    /// [`Error::Tokenizer`] if a state's name cannot be encoded or tokens of another chain are in the way.
    pub fn from_pretrained(
        pretrained: &Pretrained,
        verbaliser: &Verbaliser,
        profile: &Arc<ProfileSchema>,
        chain: &ChainSchema,
    ) -> Result<Self> {
        let (verbaliser, chain) = (Arc::new(verbaliser.clone()), Arc::new(chain.clone()));
        Ok(Self::of_checkpoint(pretrained, verbaliser, Arc::clone(profile), chain)?.0)
    }

    /// The student, and how many tokens were added to the checkpoint.
    pub(crate) fn of_checkpoint(
        pretrained: &Pretrained,
        verbaliser: Arc<Verbaliser>,
        profile: Arc<ProfileSchema>,
        chain: Arc<ChainSchema>,
    ) -> Result<(Self, usize)> {
        let vocabulary = pretrained.vocabulary()?;
        let (tokenizer, added) =
            ProfileTokenizer::of_text(vocabulary, Arc::clone(&verbaliser), profile, chain)?;
        let mut model = pretrained.model().merged();
        if !added.plain.is_empty() {
            model = model.with_tokens(added.first, &added.plain);
        }
        let mut shape = pretrained.config().clone();
        shape.vocab_size = tokenizer.vocab_size();
        let mut published = pretrained.published_as_saved();
        published["vocab_size"] = Value::from(shape.vocab_size);
        let (origin, device) = (Origin::Pretrained { published, verbaliser }, model.device());
        Ok((Self { origin, shape, tokenizer, model, lora: None, device }, added.plain.len()))
    }

    /// Checks that a corpus has profiles and chains of the student's schemas.
    pub(crate) fn check_corpus(&self, corpus: &JoinedCorpus<'_>) -> Result<()> {
        self.tokenizer.check_table(corpus.dataset().table())?;
        let (expected, found) = (self.chain_schema().hash(), corpus.header().chain_schema);
        if expected == found {
            return Ok(());
        }
        Err(Error::SchemaMismatch { what: "chain corpus", expected, found })
    }

    /// The same student with other weights, out of any autodiff graph.
    pub(crate) fn with_model(&self, model: &CausalLm) -> Self {
        Self { model: model.valid(), ..self.clone() }
    }

    /// The same student with low-rank adapters on frozen weights: the trainers train the adapters alone. They are merged when the
    /// student is saved; see [`CausalLm::with_lora`].
    ///
    /// Of a student that is a published checkpoint, the embeddings of the chain's tokens are trained as well, and their rows of
    /// the head: they are new, and adapters elsewhere could not tell them apart. (`peft` has `trainable_token_indices` for it.)
    /// The checkpoint's own tokens stay as they are.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting out of its range.
    pub fn with_lora(&self, config: &LoraConfig, seed: u64) -> Result<Self> {
        let mut model = self.model.with_lora(config, seed)?;
        if let Origin::Pretrained { .. } = self.origin {
            model = model.with_trained_tokens(self.tokenizer.chain_block());
        }
        Ok(Self { model, lora: Some((config.clone(), seed)), ..self.clone() })
    }

    /// Settings of the adapters and the seed they were drawn from.
    pub(crate) fn lora(&self) -> Option<&(LoraConfig, u64)> {
        self.lora.as_ref()
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The shape of the decoder; `d_model` is the width of the representations.
    #[must_use]
    pub fn shape(&self) -> &DecoderConfig {
        &self.shape
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
