//! Teachers made of teachers.

use std::fmt;

use crate::error::{Error, Result};
use crate::key::PromptKey;
use crate::teacher::{LabelAnswer, Question, Teacher};

/// Asks a second teacher what the first cannot answer.
///
/// ```
/// use scaletot_teacher::{Fallback, Result, Teacher};
///
/// /// A model behind a server, and expert rules for when it is away.
/// fn always<A: Teacher, B: Teacher>(model: A, rules: B) -> Fallback<A, B> {
///     Fallback::new(model, rules)
/// }
/// ```
///
/// Its answers depend on how the first teacher fares, so that two runs may differ; they are not cached under one key, and cannot
/// be recorded. Record or cache the first teacher instead.
pub struct Fallback<A, B> {
    first: A,
    second: B,
    model: String,
}

impl<A: Teacher, B: Teacher> Fallback<A, B> {
    /// `first`, and `second` whenever that fails.
    pub fn new(first: A, second: B) -> Self {
        let model = format!("{}, or else {}", first.model(), second.model());
        Self { first, second, model }
    }

    /// The teacher that is asked first.
    pub fn first(&self) -> &A {
        &self.first
    }

    /// The teacher that is asked when the first fails.
    pub fn second(&self) -> &B {
        &self.second
    }
}

impl<A: Teacher, B: Teacher> Teacher for Fallback<A, B> {
    fn model(&self) -> &str {
        &self.model
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let checked = self.first.answer(question).and_then(|answer| {
            answer.check(self.first.model(), question)?;
            Ok(answer)
        });
        checked.or_else(|error| {
            tracing::debug!(%error, second = self.second.model(), "asking the second teacher");
            self.second.answer(question)
        })
    }

    fn cache_key(&self, _question: &Question<'_>) -> Option<PromptKey> {
        None
    }
}

impl<A: Teacher, B: Teacher> fmt::Debug for Fallback<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").field("model", &self.model).finish_non_exhaustive()
    }
}

/// Asks several teachers and takes the mean of their log-probabilities, with weights: the logarithmic opinion pool (Genest and
/// Zidek, Statistical Science 1986).
///
/// The pooled distribution is as sharp as the teachers on average, and a label that one of them rules out is ruled out. A label
/// that a teacher gave no probability for is missing from the answer.
pub struct Ensemble {
    members: Vec<(Box<dyn Teacher>, f64)>,
    model: String,
}

impl Ensemble {
    /// Teachers with their weights, which need not sum to 1.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] without a teacher, or if a weight is not finite and above 0.
    pub fn new(members: Vec<(Box<dyn Teacher>, f64)>) -> Result<Self> {
        if members.is_empty() {
            return Err(Error::config("ensemble", "expected at least one teacher, got none"));
        }
        if let Some((teacher, weight)) = members.iter().find(|(_, w)| !(w.is_finite() && *w > 0.0)) {
            let message = format!("expected a finite weight above 0 for `{}`, got {weight}", teacher.model());
            return Err(Error::config("ensemble", message));
        }
        let total: f64 = members.iter().map(|(_, weight)| weight).sum();
        let members: Vec<_> =
            members.into_iter().map(|(teacher, weight)| (teacher, weight / total)).collect();
        let names: Vec<String> =
            members.iter().map(|(teacher, weight)| format!("{weight:.3} {}", teacher.model())).collect();
        Ok(Self { members, model: format!("mean of {}", names.join(" + ")) })
    }
}

impl Teacher for Ensemble {
    fn model(&self) -> &str {
        &self.model
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let mut pooled = vec![0.0; question.labels.len()];
        let (mut tokens, mut evidence, mut whole) = (0, Vec::new(), false);
        for (teacher, weight) in &self.members {
            let answer = teacher.answer(question)?;
            answer.check(teacher.model(), question)?;
            for (sum, lp) in pooled.iter_mut().zip(&answer.log_probs) {
                *sum += weight * lp.min(0.0);
            }
            tokens += answer.tokens;
            match answer.evidence {
                Some(fields) => evidence.extend(fields),
                None => whole = true,
            }
        }
        let mut answer = LabelAnswer::new(pooled, tokens);
        answer.check(&self.model, question)?;
        evidence.sort_unstable();
        evidence.dedup();
        // Whoever read the whole prompt rests on all that it says.
        answer.evidence = (!whole).then_some(evidence);
        Ok(answer)
    }

    fn cache_key(&self, question: &Question<'_>) -> Option<PromptKey> {
        let all = self.members.iter().all(|(teacher, _)| teacher.cache_key(question).is_some());
        all.then(|| question.key(&self.model))
    }
}

impl fmt::Debug for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ensemble").field("model", &self.model).finish_non_exhaustive()
    }
}
