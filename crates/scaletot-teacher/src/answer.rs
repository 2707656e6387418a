//! What a teacher answers.

use scaletot_core::numeric::softmax;

use crate::error::{Error, Result};
use crate::question::Question;

/// A teacher's answer: how probable each label is as the prompt's continuation.
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
    /// The least [covered mass](Self::covered_mass) of an answer that can be used.
    ///
    /// A model that draws its next token blindly from a vocabulary of 30,000, a small one, gives three labels as much together. An answer that
    /// gives them less knows nothing of them: the ratios of such probabilities are those of the far tail, where a rounding to
    /// 16 bits or a cut-off of the sampler decide.
    pub const MIN_COVERED_MASS: f64 = 1e-4;

    /// The least [covered mass](Self::covered_mass) of an answer without some of the labels.
    ///
    /// Labels are missing where a server lists its 20 most probable tokens and no more. The least of these has a 20th at most, and so has a
    /// label that is not among them: below this, a missing label may be as probable as all that were found, and a single one found,
    /// at whatever probability, would become 1.
    pub const MIN_COVERED_MASS_OF_SOME: f64 = 0.05;

    /// What to do about answers that cover little.
    pub(crate) const LOW_MASS_HINT: &str = "the model would rather say something else: one that thinks first needs its \
         thinking turned off, a chat model the chat endpoint, a state a cue that reads on to its labels";

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
        let fail = |message: String| Err(unusable(model, question, message));
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

    /// Checks that enough of the teacher's probability fell on the labels to reason with them. A [`Reasoner`](crate::Reasoner) refuses
    /// other answers as if the teacher had failed, and a [`Fallback`](crate::Fallback) asks its second teacher; a recording keeps them.
    ///
    /// # Errors
    ///
    /// [`Error::Answer`] if it is less than [`MIN_COVERED_MASS`](Self::MIN_COVERED_MASS), or
    /// [`MIN_COVERED_MASS_OF_SOME`](Self::MIN_COVERED_MASS_OF_SOME) where some labels are missing.
    pub fn check_covered_mass(&self, model: &str, question: &Question<'_>) -> Result<()> {
        let some = self.log_probs.contains(&f64::NEG_INFINITY);
        let (least, of) = match some {
            true => (Self::MIN_COVERED_MASS_OF_SOME, ", as some of them are missing"),
            false => (Self::MIN_COVERED_MASS, ""),
        };
        let covered = self.covered_mass();
        // A share of samples may miss the bar by a rounding.
        if covered < least * (1.0 - 1e-9) {
            let hint = Self::LOW_MASS_HINT;
            let message = format!(
                "expected at least {least} of the probability on the labels{of}, found {covered:.1e}: {hint}"
            );
            return Err(unusable(model, question, message));
        }
        Ok(())
    }
}

fn unusable(model: &str, question: &Question<'_>, message: String) -> Error {
    Error::Answer { model: model.to_owned(), state: question.state_name().to_owned(), message }
}

/// The labels at negative infinity.
pub(crate) fn missing_of(log_probs: &[f64]) -> Vec<usize> {
    (0..log_probs.len()).filter(|&i| log_probs[i] == f64::NEG_INFINITY).collect()
}
