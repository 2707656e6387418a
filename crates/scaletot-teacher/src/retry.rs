//! Another try for faults that pass.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use scaletot_core::config::{at_least_zero, check};

use crate::answer::LabelAnswer;
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::key::PromptKey;
use crate::ledger::LedgerSnapshot;
use crate::question::Question;
use crate::teacher::Teacher;

/// How [`Retry`] tries again.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Most attempts at one question, the first among them; at least 1.
    pub attempts: u32,
    /// The wait before the second attempt is drawn between 0 and this; it doubles with every further attempt ("full jitter").
    pub base: Duration,
    /// The longest wait that is drawn. What a server asks for with `Retry-After` is honoured beyond it.
    pub max_wait: Duration,
    /// Most time for one question, waits included, at most seven days; an attempt under way is not broken off by it. No question
    /// is asked again after its own [deadline](crate::Question::deadline) either, which bounds the time for a user.
    pub deadline: Duration,
    /// Retries that every question adds to the budget, at least 0: with 0.2 a fifth of the traffic may be retries.
    pub ratio: f64,
    /// Retries in the budget at the beginning, and the most that it holds.
    pub reserve: u32,
    /// Failures in a row, over all threads, that open the circuit breaker; at least 1.
    pub breaker_failures: u32,
    /// How long the breaker stays open, at most seven days. Questions wait that long, then a single one is let through to try.
    pub breaker_pause: Duration,
}

impl Default for RetryPolicy {
    /// 6 attempts, waits from 0.25 s to 30 s, 5 min for a question, a budget of 100 retries that refills by 0.2 a question, and a
    /// breaker that opens after 20 failures in a row for 10 s.
    fn default() -> Self {
        Self {
            attempts: 6,
            base: Duration::from_millis(250),
            max_wait: Duration::from_secs(30),
            deadline: Duration::from_secs(300),
            ratio: 0.2,
            reserve: 100,
            breaker_failures: 20,
            breaker_pause: Duration::from_secs(10),
        }
    }
}

/// No wait is longer, so that moments in time can be computed.
const MAX_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

impl RetryPolicy {
    /// Sets [`attempts`](Self::attempts).
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets [`base`](Self::base).
    #[must_use]
    pub fn with_base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Sets [`max_wait`](Self::max_wait).
    #[must_use]
    pub fn with_max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Sets [`deadline`](Self::deadline).
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets [`ratio`](Self::ratio).
    #[must_use]
    pub fn with_ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// Sets [`reserve`](Self::reserve).
    #[must_use]
    pub fn with_reserve(mut self, reserve: u32) -> Self {
        self.reserve = reserve;
        self
    }

    /// Sets [`breaker_failures`](Self::breaker_failures).
    #[must_use]
    pub fn with_breaker_failures(mut self, breaker_failures: u32) -> Self {
        self.breaker_failures = breaker_failures;
        self
    }

    /// Sets [`breaker_pause`](Self::breaker_pause).
    #[must_use]
    pub fn with_breaker_pause(mut self, breaker_pause: Duration) -> Self {
        self.breaker_pause = breaker_pause;
        self
    }

    fn validate(&self) -> Result<()> {
        check(self.attempts > 0, "attempts", "at least 1", self.attempts)?;
        check(self.breaker_failures > 0, "breaker_failures", "at least 1", self.breaker_failures)?;
        let longest = self.deadline.max(self.breaker_pause);
        check(longest <= MAX_WAIT, "deadline, breaker_pause", "at most seven days", format!("{longest:?}"))?;
        Ok(at_least_zero("ratio", self.ratio)?)
    }
}

/// Asks a teacher again when its [`Fault`] may pass: exponential back-off with jitter, a budget of retries shared by all
/// threads, so that a server in trouble is not asked many times over, and a circuit breaker that leaves it alone for a
/// while.
///
/// The questions of a batch are asked one after the other, as each has its own waits, and how a server takes one holds for the
/// next: put it directly around the teacher that asks a server, and what gathers batches around it.
///
/// A question that begins when the server has answered nobody for the time of a question ([`deadline`](RetryPolicy::deadline)) does not wait for
/// it, unless it is the one that tries, so that a run does not wait for hours for a server that went away. A server that has never answered is
/// given less: until the breaker was open three times.
///
/// Other errors are passed on at once. When it gives up, the error ([`Error::GaveUp`]) holds the last fault.
pub struct Retry<T> {
    inner: T,
    policy: RetryPolicy,
    state: Mutex<State>,
}

/// How often the breaker opens again for a server that has never answered before no question waits for it.
const MAX_TRIALS: u32 = 3;

#[derive(Debug)]
struct State {
    /// Retries that may be made.
    budget: f64,
    failures: u32,
    /// When the first of these was.
    failing_since: Option<Instant>,
    /// What the last of these was.
    last: Option<Fault>,
    /// Whether the server has ever answered, be it by a refusal.
    answered: bool,
    /// When the breaker lets the next question through to try; `None` while it is closed.
    open_until: Option<Instant>,
    jitter: ChaCha8Rng,
    retries: u64,
}

impl<T: Teacher> Retry<T> {
    /// Wraps `inner`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the policy allows no attempt, or its numbers are out of range.
    pub fn new(inner: T, policy: RetryPolicy) -> Result<Self> {
        policy.validate()?;
        // By the system's randomness: the processes of a fleet must not retry in step, and no result depends on a wait.
        let jitter = ChaCha8Rng::seed_from_u64(RandomState::new().hash_one(std::process::id()));
        let budget = f64::from(policy.reserve);
        let state = State {
            budget,
            failures: 0,
            failing_since: None,
            last: None,
            answered: false,
            open_until: None,
            jitter,
            retries: 0,
        };
        Ok(Self { inner, policy, state: Mutex::new(state) })
    }

    /// The wrapped teacher.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Retries made so far.
    pub fn retries(&self) -> u64 {
        self.lock().retries
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the breaker is open.
    fn pass_breaker(&self, question: &Question<'_>, began: Instant, deadline: Instant) -> Result<()> {
        loop {
            if question.stopped() {
                return Err(Error::Stopped);
            }
            let wait = {
                let mut state = self.lock();
                let Some(until) = state.open_until else { return Ok(()) };
                let now = Instant::now();
                if now >= until {
                    // This question tries; the others wait for what becomes of it.
                    state.open_until = Some(now + self.policy.breaker_pause);
                    return Ok(());
                }
                let never = !state.answered
                    && state.failures >= self.policy.breaker_failures.saturating_add(MAX_TRIALS);
                let gone = state
                    .failing_since
                    .is_some_and(|since| began.saturating_duration_since(since) >= self.policy.deadline);
                if (never || gone)
                    && let Some(last) = &state.last
                {
                    let source = Box::new(Error::server(self.model(), last.clone()));
                    let (attempts, seconds) = (state.failures, began.elapsed().as_secs_f64());
                    return Err(Error::GaveUp { attempts, seconds, wait: None, source });
                }
                if now >= deadline {
                    return Err(Error::server(self.model(), Fault::CircuitOpen { failures: state.failures }));
                }
                until.min(deadline) - now
            };
            // Woken early if another question finds the server well again. One that cannot wait so long waits as long as it can:
            // failing at once would run through all users while the server is away.
            question.sleep(wait.min(Question::STOP_INTERVAL));
        }
    }

    /// Takes note of how an attempt ended; returns how long to wait before the next, if there is to be one.
    ///
    /// # Errors
    /// There is none; with the wait that the server asked for, if that is why.
    fn after(
        &self,
        fault: Option<&Fault>,
        attempt: u32,
        deadline: Instant,
    ) -> Result<Duration, Option<Duration>> {
        let mut state = self.lock();
        let Some(fault) = fault.filter(|fault| fault.is_transient()) else {
            (state.failures, state.failing_since, state.last) = (0, None, None);
            (state.answered, state.open_until) = (true, None);
            return Err(None);
        };
        state.failures = state.failures.saturating_add(1);
        state.failing_since.get_or_insert_with(Instant::now);
        state.last = Some(fault.clone());
        if state.failures >= self.policy.breaker_failures {
            tracing::warn!(failures = state.failures, "the teacher's server is left alone for a while");
            state.open_until = Some(Instant::now() + self.policy.breaker_pause);
        }
        if attempt >= self.policy.attempts || state.budget < 1.0 {
            return Err(None);
        }
        let most = self.policy.base.saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        let unit = (state.jitter.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let drawn = most.min(self.policy.max_wait).mul_f64(unit);
        let wait = fault.retry_after().map_or(drawn, |asked| {
            let asked = asked.min(MAX_WAIT);
            asked + drawn.min(asked / 4)
        });
        // A retry that is not made costs nothing.
        if Instant::now() + wait >= deadline {
            return Err(fault.retry_after());
        }
        state.budget -= 1.0;
        state.retries += 1;
        Ok(wait)
    }
}

impl<T: Teacher> Teacher for Retry<T> {
    fn model(&self) -> &str {
        self.inner.model()
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let began = Instant::now();
        let own = began + self.policy.deadline;
        let deadline = question.deadline.map_or(own, |at| at.min(own));
        {
            let mut state = self.lock();
            state.budget = (state.budget + self.policy.ratio).min(f64::from(self.policy.reserve).max(1.0));
        }
        let mut attempt = 1;
        loop {
            self.pass_breaker(question, began, deadline)?;
            let error = match self.inner.answer(question) {
                Ok(answer) => {
                    let _ = self.after(None, attempt, deadline);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let Error::Server { fault, .. } = &error else { return Err(error) };
            if matches!(fault, Fault::Late) {
                return Err(error);
            }
            let next = self.after(Some(fault), attempt, deadline);
            if !fault.is_transient() {
                return Err(error);
            }
            match next {
                Ok(wait) => {
                    tracing::debug!(attempt, wait_ms = wait.as_millis() as u64, %fault, "asking again");
                    if question.sleep(wait) {
                        return Err(Error::Stopped);
                    }
                }
                Err(wait) => {
                    let seconds = began.elapsed().as_secs_f64();
                    return Err(Error::GaveUp { attempts: attempt, seconds, wait, source: Box::new(error) });
                }
            }
            attempt += 1;
        }
    }

    fn cache_key(&self, question: &Question<'_>) -> Option<PromptKey> {
        self.inner.cache_key(question)
    }

    fn holds(&self, question: &Question<'_>) -> bool {
        self.inner.holds(question)
    }

    fn spent_by_model(&self) -> BTreeMap<String, LedgerSnapshot> {
        self.inner.spent_by_model()
    }
}

impl<T: Teacher> fmt::Debug for Retry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("model", &self.model())
            .field("policy", &self.policy)
            .field("retries", &self.retries())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    struct Nobody;

    impl Teacher for Nobody {
        fn model(&self) -> &str {
            "nobody"
        }
        fn answer(&self, _: &Question<'_>) -> Result<LabelAnswer> {
            Err(Error::too_few_answers(1))
        }
    }

    #[test]
    fn no_two_instances_retry_in_step() {
        let fault = Fault::RateLimited { retry_after: None, message: String::new() };
        let waits = |_| {
            let retry = Retry::new(Nobody, RetryPolicy::default()).unwrap();
            let deadline = Instant::now() + Duration::from_secs(600);
            (1..5).map(|attempt| retry.after(Some(&fault), attempt, deadline).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((0..20).map(waits).collect::<HashSet<_>>().len(), 20);
    }
}
