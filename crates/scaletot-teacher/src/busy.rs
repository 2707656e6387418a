//! How long a model was busy, however many callers waited for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Wall time in which at least one call is under way.
///
/// Workers that share one model wait for each other, so the times of their calls, summed, grow with the number of workers
/// while the model computes as long as before. Time that calls share is counted once here: divided by the calls it is what
/// one of them takes of the model, and multiplied by the calls to come it is how long they will take with as many workers.
#[derive(Debug, Default)]
pub(crate) struct BusyClock {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Calls under way.
    running: usize,
    /// When the first of them began.
    since: Option<Instant>,
    /// Of earlier calls.
    total: Duration,
}

impl BusyClock {
    /// A call begins; it ends when the guard is dropped, also by a panic.
    pub(crate) fn call(&self) -> BusyCall<'_> {
        self.begin(Instant::now());
        BusyCall { clock: self }
    }

    /// The busy time so far, that of calls under way included.
    pub(crate) fn total(&self) -> Duration {
        self.total_at(Instant::now())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, now: Instant) {
        let mut state = self.state();
        state.running += 1;
        state.since.get_or_insert(now);
    }

    fn end(&self, now: Instant) {
        let mut state = self.state();
        state.running = state.running.saturating_sub(1);
        if state.running == 0
            && let Some(since) = state.since.take()
        {
            state.total += now.saturating_duration_since(since);
        }
    }

    fn total_at(&self, now: Instant) -> Duration {
        let state = self.state();
        state.total + state.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// A call under way.
#[derive(Debug)]
#[must_use = "the call ends when this is dropped"]
pub(crate) struct BusyCall<'a> {
    clock: &'a BusyClock,
}

impl Drop for BusyCall<'_> {
    fn drop(&mut self) {
        self.clock.end(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_calls_share_counts_once() {
        let clock = BusyClock::default();
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        // Two workers, whose calls overlap from 2 to 5, a pause, and one call more.
        clock.begin(at(0));
        clock.begin(at(2));
        assert_eq!(clock.total_at(at(3)), Duration::from_secs(3));
        clock.end(at(5));
        clock.end(at(7));
        assert_eq!(clock.total_at(at(9)), Duration::from_secs(7));
        clock.begin(at(10));
        clock.end(at(11));
        assert_eq!(clock.total_at(at(20)), Duration::from_secs(8));
    }

    #[test]
    fn a_panic_ends_the_call() {
        let clock = BusyClock::default();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _call = clock.call();
            panic!("teacher");
        }));
        assert!(caught.is_err());
        assert_eq!(clock.state().running, 0);
    }
}
