//! The trait that every teacher implements.
//!
//! A teacher does one thing: given a prompt and a state's labels, it answers how probable each label is as the
//! prompt's continuation. Everything else (which state to ask, what to make of the answer, when to stop) is the
//! search's and the [`Reasoner`](crate::Reasoner)'s business, so a language model, a file of recorded answers and
//! a table of expert rules are interchangeable.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::answer::LabelAnswer;
use crate::error::{Error, Result};
use crate::key::PromptKey;
use crate::ledger::LedgerSnapshot;
use crate::question::Question;

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

    /// Answers many questions, in their order. The default asks one after the other, and no more once one is
    /// [stopped](Question::stopped); a teacher that is faster in batches overrides it and [`batch_size`](Self::batch_size), but must give
    /// the same answers.
    fn answer_batch(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
        let one = |question: &Question<'_>| match question.stopped() {
            true => Err(Error::Stopped),
            false => self.answer(question),
        };
        questions.iter().map(one).collect()
    }

    /// The number of questions that are best asked in one [`answer_batch`](Self::answer_batch). The default is 1: whoever asks then looks
    /// at each answer before the next question, and stops at once when a server is gone.
    fn batch_size(&self) -> usize {
        1
    }

    /// The key under which an answer to `question` may be kept and given again, or `None` if equal prompts may
    /// have different answers. The default is [`prompt_key`](crate::prompt_key); [`Rules`](crate::Rules) read the typed profile
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
            fn batch_size(&self) -> usize {
                (**self).batch_size()
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
