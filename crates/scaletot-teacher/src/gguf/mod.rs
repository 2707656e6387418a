//! A language model in the process itself, from a GGUF file.
//!
//! # Why not just run the model
//!
//! A search asks one model many questions that are nearly the same: the same user's profile, then one of a few
//! dozen endings, and at each the probability of a few labels. Run naively, almost all work is repeated. So
//! [`Gguf`] keeps every token it has computed in a tree, keyed by all tokens before it: the prompts of one user
//! share the profile, labels that begin alike share their first tokens, and all the tokens that are new, of
//! however many prompts, go through the model in one pass whose matrix products are large enough to use the whole
//! width of the processor. Each token attends to its own ancestors in the tree, so the numbers are those of a
//! plain, uncached evaluation, bit by bit, and no field of [`GgufOptions`] changes an answer.
//!
//! The answer is exact: `ln p(label | prompt) = Σ ln p(token | prompt, tokens before)` over the whole vocabulary,
//! where the label continues the prompt after a space. If one label is the beginning of another (`high` and `high
//! end`), its probability includes the longer one's.
//!
//! # What it reads
//!
//! Regular files of the architecture `llama` (`SmolLM`, `SmolLM2`, `LLaMA`) with a byte-level BPE tokenizer whose
//! `tokenizer.ggml.pre` is `smollm` or `gpt-2`. Anything else is an error that names it, rather than a model that
//! runs and is wrong; so is a metadata key that could change the numbers and is not known here. Rotary positions may be scaled linearly. No text
//! can spell a control token. All weights are decoded to `f32` when the file is opened: 540 MB and about a second for
//! SmolLM2-135M.
//!
//! # Speed
//!
//! Put together what belongs together: [`Teacher::answer_batch`] with the questions of one user, or of several.
//! Callers in different threads are served together, too: what they ask while the model is busy goes into its next
//! pass. One thread computes by default (see [`GgufOptions::threads`]).
//!
//! ```
//! use scaletot_teacher::gguf::{Gguf, GgufOptions};
//!
//! # fn main() -> scaletot_teacher::Result<()> {
//! // The path of a model file, if there is one on this machine.
//! if let Ok(path) = std::env::var("SCALETOT_GGUF") {
//!     let model = Gguf::open(path, GgufOptions::default())?;
//!     let labels = ["low", "moderate", "high"].map(String::from);
//!     let prompt = "A customer with a very high household income. Overall, this customer's spending capacity is";
//!     let answer = model.score(prompt, &labels)?;
//!     assert!(answer.covered_mass() > 0.01);
//! }
//! # Ok(())
//! # }
//! ```

mod attention;
mod failure;
mod file;
mod kernels;
mod keys;
mod model;
mod open;
mod options;
mod shape;
mod tokenizer;
mod tree;
mod trie;
mod value;
mod weights;
mod worker;

use std::fmt;
use std::time::Duration;

use scaletot_core::text::printable;

use self::failure::Failure;
use self::model::Job;
pub use self::options::GgufOptions;
use self::shape::Shape;
use self::tokenizer::TextTokenizer;
use self::trie::LabelTrie;
use self::worker::Worker;
use crate::answer::LabelAnswer;
use crate::error::{Error, Result};
use crate::question::Question;
use crate::teacher::Teacher;

/// A teacher that runs a GGUF model in this process; see the [module](self).
pub struct Gguf {
    model: String,
    tokenizer: TextTokenizer,
    shape: Shape,
    worker: Worker,
}

/// What a [`Gguf`] has computed since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GgufUsage {
    /// Tokens that were really run through the model. Shared beginnings are run once, so this is less than the
    /// sum of the answers' [`tokens`](LabelAnswer::tokens).
    pub tokens: u64,
    /// Passes through the model; each reads all weights once.
    pub passes: u64,
    /// Time that the model was busy.
    pub time: Duration,
}

impl Gguf {
    /// The tokens of a text, as the model sees it in the middle of a prompt.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the tokenizer fails.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.encode(text).map_err(|failure| self.failed(failure))
    }

    /// The most tokens that a prompt and a label may have together.
    #[must_use]
    pub fn context_length(&self) -> usize {
        self.shape.context
    }

    /// What was computed so far.
    #[must_use]
    pub fn usage(&self) -> GgufUsage {
        let work = self.worker.work();
        GgufUsage { tokens: work.tokens, passes: work.passes, time: work.time }
    }

    /// How likely each label is as the continuation, after a space, of `prompt`.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the prompt or a label has no tokens, they are longer than the model's
    /// [context](Self::context_length), or the computation fails.
    pub fn score(&self, prompt: &str, labels: &[String]) -> Result<LabelAnswer> {
        let job = self.job(prompt, labels).map_err(|failure| self.failed(failure))?;
        let tokens = job.tokens() as u64;
        let scores = self.worker.score(vec![job], || false).map_err(|failure| self.failed(failure))?;
        let log_probs = scores.into_iter().flatten().next().unwrap_or_default();
        Ok(LabelAnswer::new(log_probs, tokens))
    }

    fn job(&self, prompt: &str, labels: &[String]) -> Result<Job, Failure> {
        let tokens = self.tokenizer.encode_prompt(prompt)?;
        if tokens.is_empty() {
            let prompt = printable(prompt, 200);
            return Err(format!("expected a prompt of at least one token, found none from {prompt:?}").into());
        }
        let mut sequences = Vec::with_capacity(labels.len());
        for label in labels {
            let sequence = self.tokenizer.encode(&format!(" {label}"))?;
            // The space alone is a token, and tells nothing of the label.
            if sequence.is_empty() || label.trim().is_empty() {
                return Err(format!("expected every label to have tokens, label {label:?} has none").into());
            }
            let len = tokens.len() + sequence.len();
            if len > self.shape.context {
                return Err(format!(
                    "expected a prompt and label of at most {} tokens (the model's context), found {} + {} for label \
                     `{label}`",
                    self.shape.context,
                    tokens.len(),
                    sequence.len()
                )
                .into());
            }
            sequences.push(sequence);
        }
        Ok(Job { prompt: tokens, labels: LabelTrie::new(sequences.iter().map(Vec::as_slice)) })
    }

    fn failed(&self, failure: impl Into<Failure>) -> Error {
        let Failure { message, source } = failure.into();
        Error::Model { model: self.model.clone(), message, source }
    }
}

impl Teacher for Gguf {
    /// The file's name without its extension and the beginning of its SHA-256, so that two files never pass for
    /// one model: `SmolLM2-135M-Instruct.Q4_1-sha256-3f2b8c1d9e07`.
    fn model(&self) -> &str {
        &self.model
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let none = || self.failed("expected one answer, found none");
        self.answer_batch(std::slice::from_ref(question)).pop().unwrap_or_else(|| Err(none()))
    }

    /// Enough that what begins alike is evaluated together.
    fn batch_size(&self) -> usize {
        64
    }

    /// Questions that begin alike are evaluated together, whatever their order. They end once one is stopped, at most a pass through the
    /// model before it computes nothing more for them.
    fn answer_batch(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
        let fail = |question: &Question<'_>, failure: Failure| match failure.source {
            None => Error::Answer {
                model: self.model.clone(),
                state: question.state_name().to_owned(),
                message: failure.message,
            },
            Some(_) => self.failed(failure),
        };
        let mut jobs = Vec::new();
        let prepared: Vec<Result<u64>> = questions
            .iter()
            .map(|question| {
                let job =
                    self.job(&question.prompt, question.labels).map_err(|failure| fail(question, failure))?;
                let tokens = job.tokens() as u64;
                jobs.push(job);
                Ok(tokens)
            })
            .collect();
        let stopped = || questions.iter().any(Question::stopped);
        let scores = if jobs.is_empty() { Ok(Some(Vec::new())) } else { self.worker.score(jobs, stopped) };
        let mut scores = scores.map(|scores| scores.map(Vec::into_iter));
        let answers = prepared.into_iter().zip(questions).map(|(tokens, question)| {
            let tokens = tokens?;
            match &mut scores {
                Ok(None) => Err(Error::Stopped),
                Ok(Some(scores)) => scores
                    .next()
                    .map(|log_probs| LabelAnswer::new(log_probs, tokens))
                    .ok_or_else(|| self.failed("expected an answer to every question")),
                Err(failure) => Err(fail(question, failure.clone())),
            }
        });
        answers.collect()
    }
}

impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gguf").field("model", &self.model).field("shape", &self.shape).finish_non_exhaustive()
    }
}
