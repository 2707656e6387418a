//! A blocking worker pool that gives its results in order.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Result;

/// Results that may wait for an earlier one, per worker: bounds the memory that one slow unit can hold up.
const AHEAD: usize = 16;

struct Shared<R> {
    /// The next unit to work on.
    next: usize,
    /// Units whose results were taken.
    taken: usize,
    /// Results that wait for their turn.
    done: BTreeMap<usize, R>,
    /// Workers that have not ended.
    running: usize,
    abort: bool,
}

struct Pool<R> {
    shared: Mutex<Shared<R>>,
    /// A result is there, or a worker has ended.
    result: Condvar,
    /// There is room to work ahead, or no more work.
    room: Condvar,
}

impl<R> Pool<R> {
    fn lock(&self) -> MutexGuard<'_, Shared<R>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `work` on units `0..count` on `workers` threads (at least one) and hands the results to `take`, on the calling
/// thread and in the units' order. Returns how many were taken.
///
/// When `stopped` says so, no further unit is begun, those in hand are finished and taken. When `take` fails, the
/// rest is dropped and its error returned.
pub(super) fn ordered<R: Send>(
    workers: usize,
    count: usize,
    stopped: &(dyn Fn() -> bool + Sync),
    work: &(dyn Fn(usize) -> R + Sync),
    mut take: impl FnMut(usize, R) -> Result<()>,
) -> Result<usize> {
    let workers = workers.clamp(1, count.max(1));
    let pool = Pool {
        shared: Mutex::new(Shared {
            next: 0,
            taken: 0,
            done: BTreeMap::new(),
            running: workers,
            abort: false,
        }),
        result: Condvar::new(),
        room: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (pool, ended) = (&pool, Ended(&pool));
            scope.spawn(move || {
                let _ended = ended;
                run(pool, count, workers * AHEAD, stopped, work);
            });
        }
        let mut shared = pool.lock();
        loop {
            let unit = shared.taken;
            if let Some(result) = shared.done.remove(&unit) {
                drop(shared);
                let outcome = take(unit, result);
                shared = pool.lock();
                shared.taken += 1;
                shared.abort |= outcome.is_err();
                pool.room.notify_all();
                outcome?;
            } else if shared.running == 0 {
                return Ok(shared.taken);
            } else {
                shared = pool.result.wait(shared).unwrap_or_else(PoisonError::into_inner);
            }
        }
    })
}

fn run<R>(
    pool: &Pool<R>,
    count: usize,
    ahead: usize,
    stopped: &(dyn Fn() -> bool + Sync),
    work: &(dyn Fn(usize) -> R + Sync),
) {
    loop {
        if stopped() {
            return;
        }
        let mut shared = pool.lock();
        while !shared.abort && shared.next < count && shared.next >= shared.taken + ahead {
            shared = pool.room.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        if shared.abort || shared.next >= count {
            return;
        }
        let unit = shared.next;
        shared.next += 1;
        drop(shared);
        let result = work(unit);
        pool.lock().done.insert(unit, result);
        pool.result.notify_all();
    }
}

/// Says that a worker has ended, also when its work panicked.
struct Ended<'a, R>(&'a Pool<R>);

impl<R> Drop for Ended<'_, R> {
    fn drop(&mut self) {
        let mut shared = self.0.lock();
        shared.running -= 1;
        // The unit in hand will never be done, and the others would wait for it.
        shared.abort |= std::thread::panicking();
        drop(shared);
        self.0.result.notify_all();
        self.0.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::Error;

    #[test]
    fn results_come_in_order_and_workers_do_not_run_far_ahead() {
        let begun = AtomicUsize::new(0);
        let mut taken = Vec::new();
        let n = ordered(
            3,
            300,
            &|| false,
            &|unit| {
                begun.fetch_add(1, Ordering::SeqCst);
                if unit == 0 {
                    std::thread::sleep(Duration::from_millis(50));
                    assert!(begun.load(Ordering::SeqCst) <= 3 * AHEAD, "the first holds the others up");
                }
                unit
            },
            |unit, result| {
                assert_eq!(unit, result);
                taken.push(unit);
                Ok(())
            },
        );
        assert_eq!(n.unwrap(), 300);
        assert_eq!(taken, (0..300).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let result = ordered(2, 10_000, &|| false, &|_| begun.fetch_add(1, Ordering::SeqCst), |unit, _| {
            if unit == 5 { Err(Error::config("disk", "full")) } else { Ok(()) }
        });
        assert!(result.is_err());
        assert!(begun.into_inner() <= 6 + 2 * AHEAD);
        assert_eq!(ordered(4, 0, &|| false, &|_| (), |_, ()| Ok(())).unwrap(), 0);
    }

    #[test]
    fn a_panic_is_passed_on_and_nobody_waits_for_ever() {
        let work = |unit: usize| if unit == 40 { panic!("broken") } else { unit };
        let outcome = catch_unwind(AssertUnwindSafe(|| ordered(3, 5_000, &|| false, &work, |_, _| Ok(()))));
        assert!(outcome.is_err());
    }
}
