//! What the teacher's work cost.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::answer::LabelAnswer;
use crate::busy::{BusyCall, BusyClock};
use crate::error::{Error, Result};

/// Counts questions, calls, tokens and time, from any number of threads.
///
/// ```
/// use scaletot_teacher::{LabelAnswer, Ledger};
///
/// let ledger = Ledger::default();
/// ledger.count(&Ok(LabelAnswer::new(vec![-1.0], 12)));
/// ledger.count(&Ok(LabelAnswer::new(vec![-1.0], 12).into_cached()));
/// let snapshot = ledger.snapshot();
/// assert_eq!((snapshot.questions, snapshot.calls, snapshot.cache_hits), (2, 1, 1));
/// assert_eq!((snapshot.tokens, snapshot.tokens_saved), (12, 12));
/// assert_eq!(snapshot.seconds_per_call(), Some(0.0)); // no call was timed
/// ```
#[derive(Debug, Default)]
pub struct Ledger {
    questions: AtomicU64,
    calls: AtomicU64,
    cache_hits: AtomicU64,
    failures: AtomicU64,
    tokens: AtomicU64,
    tokens_saved: AtomicU64,
    busy: BusyClock,
}

impl Ledger {
    /// Counts one answered (or failed) question; one that was stopped is neither.
    pub fn count(&self, answer: &Result<LabelAnswer>) {
        // A server may claim any number of tokens: at the end of the range the count stays there.
        let add = |counter: &AtomicU64, n| {
            counter.update(Ordering::Relaxed, Ordering::Relaxed, |count| count.saturating_add(n))
        };
        if matches!(answer, Err(Error::Stopped)) {
            return;
        }
        add(&self.questions, 1);
        match answer {
            Ok(answer) if answer.cached => {
                add(&self.cache_hits, 1);
                add(&self.tokens_saved, answer.tokens);
            }
            Ok(answer) => {
                add(&self.calls, 1);
                add(&self.tokens, answer.tokens);
            }
            Err(_) => {
                add(&self.calls, 1);
                add(&self.failures, 1);
            }
        }
    }

    /// A call of the teacher begins; its time ends when the guard is dropped.
    pub(crate) fn call(&self) -> BusyCall<'_> {
        self.busy.call()
    }

    /// The counts so far.
    #[must_use]
    pub fn snapshot(&self) -> LedgerSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LedgerSnapshot {
            questions: read(&self.questions),
            calls: read(&self.calls),
            cache_hits: read(&self.cache_hits),
            failures: read(&self.failures),
            tokens: read(&self.tokens),
            tokens_saved: read(&self.tokens_saved),
            seconds: self.busy.total().as_secs_f64(),
        }
    }
}

/// A [`Ledger`] at one moment. `questions = calls + cache_hits`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LedgerSnapshot {
    /// Questions asked.
    pub questions: u64,
    /// Questions that the model had to compute, failed ones among them.
    pub calls: u64,
    /// Questions answered from memory or from a file of recorded answers.
    pub cache_hits: u64,
    /// Calls that gave no usable answer.
    pub failures: u64,
    /// Tokens of the calls' prompts and labels.
    pub tokens: u64,
    /// Tokens that the cache hits would have taken.
    pub tokens_saved: u64,
    /// Seconds of wall time in which at least one call was under way. Calls of several workers that overlap count once, so that
    /// two workers on one model in this process do not double it; what a server computes at once counts once, too.
    pub seconds: f64,
}

impl LedgerSnapshot {
    /// [`seconds`](Self::seconds) by call; `None` without a call. With as many workers, so many more calls take so much
    /// more time.
    #[must_use]
    pub fn seconds_per_call(&self) -> Option<f64> {
        (self.calls > 0).then(|| self.seconds / self.calls as f64)
    }

    /// Both together: the cost of two models, or of two stages. Counts saturate.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            questions: self.questions.saturating_add(other.questions),
            calls: self.calls.saturating_add(other.calls),
            cache_hits: self.cache_hits.saturating_add(other.cache_hits),
            failures: self.failures.saturating_add(other.failures),
            tokens: self.tokens.saturating_add(other.tokens),
            tokens_saved: self.tokens_saved.saturating_add(other.tokens_saved),
            seconds: self.seconds + other.seconds,
        }
    }

    /// What was added since an `earlier` snapshot of the same ledger: the cost of one stage.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            questions: self.questions.saturating_sub(earlier.questions),
            calls: self.calls.saturating_sub(earlier.calls),
            cache_hits: self.cache_hits.saturating_sub(earlier.cache_hits),
            failures: self.failures.saturating_sub(earlier.failures),
            tokens: self.tokens.saturating_sub(earlier.tokens),
            tokens_saved: self.tokens_saved.saturating_sub(earlier.tokens_saved),
            seconds: (self.seconds - earlier.seconds).max(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use scaletot_core::config::ConfigError;

    use super::*;

    #[test]
    fn counts_saturate() {
        let ledger = Ledger::default();
        let huge = || LabelAnswer::new(vec![-1.0], u64::MAX - 1);
        for answer in [huge(), huge(), huge().into_cached(), huge().into_cached()] {
            ledger.count(&Ok(answer));
        }
        let snapshot = ledger.snapshot();
        assert_eq!((snapshot.tokens, snapshot.tokens_saved), (u64::MAX, u64::MAX));
        assert_eq!(snapshot.plus(&snapshot).tokens, u64::MAX);
    }

    #[test]
    fn threads_lose_no_count_and_stages_subtract() {
        let ledger = Ledger::default();
        ledger.count(&Err(ConfigError::new("a", "b", "c").into()));
        let before = ledger.snapshot();
        assert_eq!((before.questions, before.calls, before.failures), (1, 1, 1));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..100 {
                        let answer = LabelAnswer::new(vec![-1.0], 3);
                        ledger.count(&Ok(if i % 4 == 0 { answer.into_cached() } else { answer }));
                        drop(ledger.call());
                    }
                });
            }
        });
        let stage = ledger.snapshot().since(&before);
        assert_eq!((stage.questions, stage.calls, stage.cache_hits, stage.failures), (400, 300, 100, 0));
        assert_eq!((stage.tokens, stage.tokens_saved), (900, 300));
        assert!(stage.seconds >= 0.0 && stage.seconds_per_call() == Some(stage.seconds / 300.0));
    }
}
