//! The trait that every teacher implements, the question it is asked and the answer it gives.
//!
//! A teacher does one thing: given a prompt and a state's labels, it answers how probable each label is as the
//! prompt's continuation. Everything else (which state to ask, what to make of the answer, when to stop) is the
//! search's and the [`Reasoner`](crate::Reasoner)'s business, so a language model, a file of recorded answers and
//! a table of expert rules are interchangeable. The question carries the typed profile as well as the prompt,
//! because a rule reads fields where a language model reads words.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use scaletot_chain::ChainSchema;
use scaletot_core::numeric::softmax;
use scaletot_profile::ProfileTable;

use crate::error::{Error, Result};
use crate::key::{PromptKey, prompt_key};
use crate::ledger::LedgerSnapshot;

/// One question to a teacher: which of `labels` continues `prompt`?
#[derive(Clone)]
#[non_exhaustive]
pub struct Question<'a> {
    /// The text, ending right before the label and without a space at its end; the continuation that is scored is
    /// a space and the label (`" low"`).
    pub prompt: String,
    /// The values of the state that is asked, in the schema's order.
    pub labels: &'a [String],
    /// The table that holds the user's profile.
    pub table: &'a ProfileTable,
    /// The user's row in [`table`](Self::table).
    pub row: usize,
    /// The chain schema.
    pub schema: &'a ChainSchema,
    /// The state that is asked, an index into the schema's states.
    pub state: usize,
    /// The values of the states before it, as codes; at least as long as [`state`](Self::state).
    pub path: &'a [u16],
    /// When the caller stops waiting for the answer; `None` if it always waits. No answer depends on it, but that one may
    /// not come: a teacher that waits for a server, or tries again, gives up then.
    pub deadline: Option<Instant>,
}

impl<'a> Question<'a> {
    /// A question about `state` for the user in `row`, given the values of the states before it: with the state's labels, no
    /// prompt yet and no deadline. [`Prompter::question`](crate::Prompter::question) makes one with its prompt.
    #[must_use]
    pub fn new(
        schema: &'a ChainSchema,
        state: usize,
        path: &'a [u16],
        table: &'a ProfileTable,
        row: usize,
    ) -> Self {
        let labels = schema.states().get(state).map_or(&[][..], |state| state.values());
        Self { prompt: String::new(), labels, table, row, schema, state, path, deadline: None }
    }

    /// Sets the prompt.
    #[must_use]
    pub fn with_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = prompt.into();
        self
    }

    /// Sets the labels; by default the values of the state.
    #[must_use]
    pub fn with_labels(mut self, labels: &'a [String]) -> Self {
        self.labels = labels;
        self
    }

    /// Sets when the caller stops waiting; by default it always waits.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// The name of the state that is asked.
    #[must_use]
    pub fn state_name(&self) -> &str {
        self.schema.states().get(self.state).map_or("?", |state| state.name())
    }

    /// The key under which `model`'s answer to this question is recorded and cached.
    #[must_use]
    pub fn key(&self, model: &str) -> PromptKey {
        prompt_key(model, &self.prompt, self.labels)
    }
}

/// Names the prompt and the state; the table is left out, it may hold millions of users.
impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("state", &self.state_name())
            .field("path", &self.path)
            .field("row", &self.row)
            .field("prompt", &self.prompt)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// A teacher's answer: how likely each label is as the prompt's continuation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LabelAnswer {
    /// `ln p(label | prompt)` per label, over the teacher's whole vocabulary (so they need not sum to 1);
    /// [`f64::NEG_INFINITY`] where the teacher gave none.
    pub log_probs: Vec<f64>,
    /// The labels (indices) that the teacher gave no probability for.
    pub missing: Vec<usize>,
    /// Tokens that computing this answer takes (prompt and labels). A function of the question alone: the same
    /// whether the answer was computed now, shared a computed prefix, or came from a file or a cache, so that
    /// token budgets act alike in recorded, replayed and parallel runs.
    pub tokens: u64,
    /// Whether it came from a file or a cache, so that nothing was computed now.
    pub cached: bool,
    /// Names of the profile fields that the answer rests on, if the teacher knows (expert rules do); `None` if it
    /// read the whole prompt.
    pub evidence: Option<Vec<String>>,
    /// How many samples the probabilities are shares of; `None` if they are the teacher's own.
    pub samples: Option<u32>,
}

impl LabelAnswer {
    /// An answer from log-probabilities; labels at [`f64::NEG_INFINITY`] are the missing ones.
    ///
    /// ```
    /// use scaletot_teacher::LabelAnswer;
    /// let answer = LabelAnswer::new(vec![0.3_f64.ln(), f64::NEG_INFINITY, 0.1_f64.ln()], 12);
    /// assert_eq!(answer.missing, [1]);
    /// assert!((answer.covered_mass() - 0.4).abs() < 1e-12);
    /// assert!((answer.distribution().unwrap()[0] - 0.75).abs() < 1e-12);
    /// ```
    #[must_use]
    pub fn new(log_probs: Vec<f64>, tokens: u64) -> Self {
        let missing = missing_of(&log_probs);
        Self { log_probs, missing, tokens, cached: false, evidence: None, samples: None }
    }

    /// Sets the names of the profile fields that the answer rests on.
    #[must_use]
    pub fn with_evidence(mut self, fields: Vec<String>) -> Self {
        self.evidence = Some(fields);
        self
    }

    /// Sets how many samples the probabilities are shares of.
    #[must_use]
    pub fn with_samples(mut self, samples: u32) -> Self {
        self.samples = Some(samples);
        self
    }

    /// The same answer, marked as read from a file or a cache.
    #[must_use]
    pub fn into_cached(mut self) -> Self {
        self.cached = true;
        self
    }

    /// The share of the teacher's probability that fell on the labels: `Σ p(label)`, in `[0, 1]`.
    #[must_use]
    pub fn covered_mass(&self) -> f64 {
        self.log_probs.iter().map(|lp| lp.exp()).sum::<f64>().clamp(0.0, 1.0)
    }

    /// The probabilities renormalised over the labels; `None` if no label has a finite log-probability or one is
    /// not a number.
    #[must_use]
    pub fn distribution(&self) -> Option<Vec<f64>> {
        // A softmax over the labels, so that labels far down a large vocabulary do not underflow.
        let top = self.log_probs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let usable = top.is_finite() && !self.log_probs.iter().any(|lp| lp.is_nan());
        usable.then(|| softmax(&self.log_probs))
    }

    /// Checks that the answer can be used for `question`.
    ///
    /// # Errors
    ///
    /// [`Error::Answer`] if there is not one log-probability per label, one is NaN or above 0 (rounding up to
    /// `1e-3` is let pass), or every label is missing.
    pub fn check(&self, model: &str, question: &Question<'_>) -> Result<()> {
        let fail = |message: String| {
            let state = question.state_name().to_owned();
            Err(Error::Answer { model: model.to_owned(), state, message })
        };
        if self.log_probs.len() != question.labels.len() {
            return fail(format!(
                "expected {} log-probabilities, one per label, found {}",
                question.labels.len(),
                self.log_probs.len()
            ));
        }
        for (label, &lp) in question.labels.iter().zip(&self.log_probs) {
            if lp.is_nan() || lp > 1e-3 {
                return fail(format!(
                    "expected a log-probability of at most 0 for label `{label}`, found {lp}"
                ));
            }
        }
        if self.log_probs.iter().all(|lp| *lp == f64::NEG_INFINITY) {
            return fail("expected a log-probability for at least one label, found none".to_owned());
        }
        Ok(())
    }
}

/// The labels at negative infinity.
pub(crate) fn missing_of(log_probs: &[f64]) -> Vec<usize> {
    (0..log_probs.len()).filter(|&i| log_probs[i] == f64::NEG_INFINITY).collect()
}

/// Answers questions about users.
///
/// ```
/// use scaletot_teacher::{LabelAnswer, Question, Result, Teacher};
///
/// /// Knows nothing: every label is as likely as the next.
/// struct Indifferent;
///
/// impl Teacher for Indifferent {
///     fn model(&self) -> &str {
///         "indifferent"
///     }
///     fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
///         let n = question.labels.len();
///         Ok(LabelAnswer::new(vec![-(n as f64).ln(); n], 0))
///     }
/// }
/// ```
pub trait Teacher: Send + Sync {
    /// The model's name, as it goes into prompt keys, replay files and corpus headers. Two teachers that may
    /// answer differently must have different names.
    fn model(&self) -> &str;

    /// Answers one question.
    ///
    /// # Errors
    ///
    /// Whatever kept the teacher from answering; see the implementation.
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer>;

    /// Answers many questions, in their order. The default asks one after the other; a teacher that is faster in
    /// batches overrides it, but must give the same answers.
    fn answer_batch(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
        questions.iter().map(|question| self.answer(question)).collect()
    }

    /// The key under which an answer to `question` may be kept and given again, or `None` if equal prompts may
    /// have different answers. The default is [`prompt_key`]; [`Rules`](crate::Rules) read the typed profile
    /// rather than the prompt, and return `None`.
    fn cache_key(&self, question: &Question<'_>) -> Option<PromptKey> {
        Some(question.key(self.model()))
    }

    /// Whether the answer to `question` is at hand, in memory or in a file, so that asking computes nothing. The default
    /// is `false`; what keeps answers tells, and wrappers pass on what the wrapped teacher tells.
    fn holds(&self, question: &Question<'_>) -> bool {
        let _ = question;
        false
    }

    /// What each model behind this teacher was asked so far, by its name, if the teacher is made of several, as a
    /// [`Fallback`](crate::Fallback) and an [`Ensemble`](crate::Ensemble) are. The default is none: a teacher that is one model is
    /// counted by its caller. Wrappers pass on what the wrapped teacher returns.
    fn spent_by_model(&self) -> BTreeMap<String, LedgerSnapshot> {
        BTreeMap::new()
    }
}

/// Asks and [checks](LabelAnswer::check) what comes.
pub(crate) fn ask_checked<T: Teacher + ?Sized>(
    teacher: &T,
    questions: &[Question<'_>],
) -> Vec<Result<LabelAnswer>> {
    let mut answers = teacher.answer_batch(questions);
    for (question, answer) in questions.iter().zip(&mut answers) {
        if let Ok(given) = answer
            && let Err(error) = given.check(teacher.model(), question)
        {
            *answer = Err(error);
        }
    }
    answers.truncate(questions.len());
    answers.resize_with(questions.len(), || Err(Error::too_few_answers(questions.len())));
    answers
}

/// The one answer to a question that was asked as a batch.
pub(crate) fn only(mut answers: Vec<Result<LabelAnswer>>) -> Result<LabelAnswer> {
    answers.pop().unwrap_or_else(|| Err(Error::too_few_answers(1)))
}

macro_rules! forward {
    ($($owner:ty),*) => {$(
        impl<T: Teacher + ?Sized> Teacher for $owner {
            fn model(&self) -> &str {
                (**self).model()
            }
            fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
                (**self).answer(question)
            }
            fn answer_batch(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
                (**self).answer_batch(questions)
            }
            fn cache_key(&self, question: &Question<'_>) -> Option<PromptKey> {
                (**self).cache_key(question)
            }
            fn holds(&self, question: &Question<'_>) -> bool {
                (**self).holds(question)
            }
            fn spent_by_model(&self) -> BTreeMap<String, LedgerSnapshot> {
                (**self).spent_by_model()
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);
