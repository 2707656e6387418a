//! A map whose values are computed once per key, however many threads ask.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::question::Question;

/// Values by key; a key that is being computed by one thread is waited for by the others. Failures are not kept:
/// the next to ask computes again.
pub(crate) struct OnceMap<K, V> {
    state: Mutex<State<K, V>>,
    changed: Condvar,
    capacity: usize,
}

struct State<K, V> {
    ready: HashMap<K, V>,
    running: HashSet<K>,
}

impl<K: Copy + Eq + Hash, V: Clone> OnceMap<K, V> {
    /// A map that keeps at most `capacity` values; further ones are computed and not kept.
    pub(crate) fn new(ready: HashMap<K, V>, capacity: usize) -> Self {
        Self {
            state: Mutex::new(State { ready, running: HashSet::new() }),
            changed: Condvar::new(),
            capacity,
        }
    }

    // A panic elsewhere cannot leave the maps half changed: nothing is computed while the lock is held.
    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().ready.len()
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.lock().ready.contains_key(key)
    }

    pub(crate) fn snapshot(&self) -> HashMap<K, V> {
        self.lock().ready.clone()
    }

    /// One result per key, in their order, each with whether it was there already. `compute` is called, without
    /// the lock, with the positions in `keys` that this thread has to compute, and returns one result for each. What others
    /// compute is waited for until `stopped`: then it is [`Error::Stopped`].
    pub(crate) fn get_or_compute(
        &self,
        keys: &[K],
        stopped: impl Fn() -> bool,
        mut compute: impl FnMut(&[usize]) -> Vec<Result<V>>,
    ) -> Vec<Result<(V, bool)>> {
        let mut out: Vec<Option<Result<(V, bool)>>> = keys.iter().map(|_| None).collect();
        loop {
            let mut claimed = Vec::new();
            let mut state = self.lock();
            loop {
                let mut waiting = false;
                for (i, key) in keys.iter().enumerate().filter(|(i, _)| out[*i].is_none()).collect::<Vec<_>>()
                {
                    if let Some(value) = state.ready.get(key) {
                        out[i] = Some(Ok((value.clone(), true)));
                    } else if state.running.insert(*key) {
                        claimed.push(i);
                    } else {
                        waiting = true;
                    }
                }
                // What others compute is waited for only when nothing is left to do here: two threads that hold
                // half of each other's keys cannot wait for one another.
                if !claimed.is_empty() || !waiting {
                    break;
                }
                if stopped() {
                    drop(state);
                    let given = out.into_iter().map(|result| result.unwrap_or(Err(Error::Stopped)));
                    return given.collect();
                }
                let waited = self.changed.wait_timeout(state, Question::STOP_INTERVAL);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            drop(state);
            if claimed.is_empty() {
                break;
            }
            let claim = Claim { map: self, keys: claimed.iter().map(|&i| keys[i]).collect() };
            let mut results = compute(&claimed).into_iter();
            let mut state = self.lock();
            for &i in &claimed {
                let result = results.next().unwrap_or_else(|| Err(Error::too_few_answers(claimed.len())));
                if let Ok(value) = &result
                    && state.ready.len() < self.capacity
                {
                    state.ready.insert(keys[i], value.clone());
                }
                out[i] = Some(result.map(|value| (value, false)));
            }
            drop(state);
            drop(claim);
        }
        out.into_iter()
            .map(|result| result.unwrap_or_else(|| Err(Error::too_few_answers(keys.len()))))
            .collect()
    }
}

/// Gives the keys back when they are computed, and also when computing them panicked.
struct Claim<'a, K: Copy + Eq + Hash, V: Clone> {
    map: &'a OnceMap<K, V>,
    keys: Vec<K>,
}

impl<K: Copy + Eq + Hash, V: Clone> Drop for Claim<'_, K, V> {
    fn drop(&mut self) {
        let mut state = self.map.lock();
        for key in &self.keys {
            state.running.remove(key);
        }
        drop(state);
        self.map.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use scaletot_core::config::ConfigError;

    use super::*;

    #[test]
    fn threads_compute_each_key_once() {
        let map = OnceMap::new(HashMap::new(), usize::MAX);
        let computed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for shift in 0..4_usize {
                let (map, computed) = (&map, &computed);
                scope.spawn(move || {
                    // Overlapping batches in different orders, with a key twice in each.
                    let keys: Vec<usize> = (0..20).map(|i| (i * 7 + shift * 5) % 20).chain([3]).collect();
                    let values = map.get_or_compute(
                        &keys,
                        || false,
                        |at| {
                            computed.fetch_add(at.len(), Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(2));
                            at.iter().map(|&i| Ok(keys[i] * 10)).collect()
                        },
                    );
                    let values: Vec<usize> = values.into_iter().map(|value| value.unwrap().0).collect();
                    assert_eq!(values, keys.iter().map(|key| key * 10).collect::<Vec<_>>());
                });
            }
        });
        assert_eq!(computed.into_inner(), 20);
        assert_eq!(map.len(), 20);
    }

    #[test]
    fn failures_and_panics_leave_the_key_free() {
        let map: OnceMap<u8, u8> = OnceMap::new(HashMap::new(), usize::MAX);
        let failed =
            map.get_or_compute(&[1], || false, |_| vec![Err(ConfigError::new("x", "y", "z").into())]);
        assert!(failed[0].is_err());
        assert!(
            map.get_or_compute(&[1], || false, |_| Vec::new())[0].is_err(),
            "an answer that never came is an error"
        );
        assert!(
            catch_unwind(AssertUnwindSafe(|| map.get_or_compute(&[1], || false, |_| panic!("teacher"))))
                .is_err()
        );
        assert_eq!(map.get_or_compute(&[1], || false, |_| vec![Ok(7)])[0].as_ref().unwrap(), &(7, false));
        assert_eq!(map.get_or_compute(&[1], || false, |_| vec![Ok(8)])[0].as_ref().unwrap(), &(7, true));
    }

    #[test]
    fn capacity_bounds_what_is_kept() {
        let map: OnceMap<u8, u8> = OnceMap::new(HashMap::new(), 2);
        let all = map.get_or_compute(&[1, 2, 3], || false, |at| at.iter().map(|_| Ok(0)).collect());
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(map.len(), 2);
    }
}
