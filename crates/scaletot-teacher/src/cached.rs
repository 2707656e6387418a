//! Equal prompts are asked once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::answer::LabelAnswer;
use crate::error::Result;
use crate::key::PromptKey;
use crate::ledger::{Ledger, LedgerSnapshot};
use crate::once::OnceMap;
use crate::question::Question;
use crate::teacher::{Teacher, ask_checked, only};

/// Keeps a teacher's answers in memory and counts them in a [`Ledger`].
///
/// Only the states that a state depends on are given in its prompt, so the branches of one search, and users with
/// equal profiles, ask equal prompts. Workers that ask the same prompt at the same time wait for one answer.
/// Answers are [checked](LabelAnswer::check) before they are kept; failures are not kept.
pub struct Cached<T> {
    inner: T,
    answers: OnceMap<PromptKey, LabelAnswer>,
    ledger: Arc<Ledger>,
}

impl<T: Teacher> Cached<T> {
    /// Answers kept unless [`with_capacity`](Self::with_capacity) sets another number: about 200 MB.
    pub const CAPACITY: usize = 1_000_000;

    /// Wraps `inner`, with a ledger of its own.
    pub fn new(inner: T) -> Self {
        Self::with_capacity(inner, Self::CAPACITY)
    }

    /// Wraps `inner` and keeps at most `capacity` answers; further ones are given and not kept.
    pub fn with_capacity(inner: T, capacity: usize) -> Self {
        Self { inner, answers: OnceMap::new(HashMap::new(), capacity), ledger: Arc::default() }
    }

    /// The wrapped teacher.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// What was asked and what it cost.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The number of answers kept.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether no answer is kept yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn ask(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
        let _call = self.ledger.call();
        ask_checked(&self.inner, questions)
    }
}

impl<T: Teacher> Teacher for Cached<T> {
    fn model(&self) -> &str {
        self.inner.model()
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        only(self.answer_batch(std::slice::from_ref(question)))
    }

    fn answer_batch(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
        let keys: Option<Vec<PromptKey>> =
            questions.iter().map(|question| self.inner.cache_key(question)).collect();
        let answers: Vec<Result<LabelAnswer>> = match keys {
            None => self.ask(questions),
            Some(keys) => self
                .answers
                .get_or_compute(
                    &keys,
                    || questions.iter().any(Question::stopped),
                    |claimed| {
                        // Questions borrow their parts, so a claimed subset is cheap to copy; the usual one is whole.
                        if claimed.len() == questions.len() {
                            return self.ask(questions);
                        }
                        let subset: Vec<Question<'_>> =
                            claimed.iter().map(|&i| questions[i].clone()).collect();
                        self.ask(&subset)
                    },
                )
                .into_iter()
                .map(|result| result.map(|(answer, kept)| if kept { answer.into_cached() } else { answer }))
                .collect(),
        };
        for answer in &answers {
            self.ledger.count(answer);
        }
        answers
    }

    fn batch_size(&self) -> usize {
        self.inner.batch_size()
    }

    fn cache_key(&self, question: &Question<'_>) -> Option<PromptKey> {
        self.inner.cache_key(question)
    }

    fn holds(&self, question: &Question<'_>) -> bool {
        let kept = |key: &PromptKey| self.answers.contains(key);
        self.inner.cache_key(question).as_ref().is_some_and(kept) || self.inner.holds(question)
    }

    fn spent_by_model(&self) -> BTreeMap<String, LedgerSnapshot> {
        self.inner.spent_by_model()
    }
}

impl<T: Teacher> fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("model", &self.inner.model())
            .field("answers", &self.len())
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}
