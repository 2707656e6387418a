//! A pool of threads with bounded concurrency and back-pressure.
//!
//! Scoped threads, which may borrow what the caller has, and one lock around the state of the queue: for items that take
//! milliseconds or more (a model is asked, a row group is read), not for arithmetic on numbers.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// More threads than this are never started for one piece of work: a number beyond it is a slip, and takes memory and the system's threads.
pub const MAX_WORKERS: NonZeroUsize = match NonZeroUsize::new(1_024) {
    Some(workers) => workers,
    None => NonZeroUsize::MIN,
};

/// In which order results are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Order {
    /// In the order of the inputs.
    #[default]
    Input,
    /// As they are done.
    Done,
}

/// A pool of threads that works on items and hands the results over on the calling thread.
///
/// At most `workers` items are in hand, and workers never run more than `lookahead` results ahead of what was taken: a slow
/// consumer, or one slow item whose result is due first, holds them up rather than filling memory.
///
/// ```
/// use std::convert::Infallible;
/// use std::num::NonZeroUsize;
/// use scaletot_core::Pool;
///
/// let pool = Pool::new(NonZeroUsize::new(4).unwrap());
/// let mut squares = Vec::new();
/// let taken = pool.map(0..100_u64, |_, item| item * item, |_, square| {
///     squares.push(square);
///     Ok::<(), Infallible>(())
/// })?;
/// assert_eq!((taken, squares[99]), (100, 99 * 99));
/// # Ok::<(), Infallible>(())
/// ```
#[derive(Clone, Copy)]
pub struct Pool<'a> {
    workers: NonZeroUsize,
    lookahead: usize,
    order: Order,
    stopped: &'a (dyn Fn() -> bool + Sync),
}

impl Pool<'_> {
    /// A pool of that many threads, at most [`MAX_WORKERS`], which gives results in the order of the inputs and may run 16 items per thread
    /// ahead.
    #[must_use]
    pub fn new(workers: NonZeroUsize) -> Self {
        let workers = workers.min(MAX_WORKERS);
        Pool { workers, lookahead: workers.get().saturating_mul(16), order: Order::Input, stopped: &|| false }
    }
}

impl<'a> Pool<'a> {
    /// Sets the order of results.
    #[must_use]
    pub fn with_order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets how many items may be begun whose results were not taken; at least as many as there are threads.
    #[must_use]
    pub fn with_lookahead(mut self, lookahead: usize) -> Self {
        self.lookahead = lookahead.max(self.workers.get());
        self
    }

    /// Sets what tells that work shall stop. No further item is begun then; those in hand are finished and taken.
    #[must_use]
    pub fn with_stop<'b>(self, stopped: &'b (dyn Fn() -> bool + Sync)) -> Pool<'b>
    where
        'a: 'b,
    {
        Pool { stopped, ..self }
    }

    /// Does `work` on each item, with its number in the input, and hands the results to `take` on the calling thread. Returns
    /// how many were taken.
    ///
    /// # Errors
    /// The first error of `take`; everything else is dropped then.
    ///
    /// # Panics
    /// Passes on a panic of `work`, `take` or the iterator as it is, after the other threads have come to rest.
    pub fn map<I, W, R, T, E>(&self, items: I, work: W, mut take: T) -> Result<u64, E>
    where
        I: Iterator + Send,
        I::Item: Send,
        W: Fn(u64, I::Item) -> R + Sync,
        R: Send,
        T: FnMut(u64, R) -> Result<(), E>,
    {
        let shared = Shared {
            state: Mutex::new(State {
                items: items.fuse(),
                next: 0,
                ended: 0,
                taken: 0,
                done: BTreeMap::new(),
                running: self.workers.get(),
                abort: false,
            }),
            result: Condvar::new(),
            room: Condvar::new(),
        };
        std::thread::scope(|scope| {
            // Whatever ends this thread's part, a panic of `take` too, nobody waits for it any more.
            let taking = Taking(&shared);
            let threads: Vec<_> = (0..self.workers.get())
                .map(|_| {
                    let (shared, work) = (&shared, &work);
                    let ended = Ended(shared);
                    scope.spawn(move || {
                        let _ended = ended;
                        self.run(shared, work);
                    })
                })
                .collect();
            let outcome = take_all(&shared, &mut take);
            drop(taking);
            for thread in threads {
                if let Err(panic) = thread.join() {
                    resume_unwind(panic);
                }
            }
            outcome
        })
    }

    fn run<I: Iterator, R>(&self, shared: &Shared<I, R>, work: &impl Fn(u64, I::Item) -> R) {
        loop {
            if (self.stopped)() {
                return;
            }
            let mut state = shared.lock();
            while !state.abort && state.next >= state.taken + self.lookahead as u64 {
                state = shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.abort {
                return;
            }
            let Some(item) = state.items.next() else { return };
            let number = state.next;
            state.next += 1;
            drop(state);
            let result = work(number, item);
            let mut state = shared.lock();
            let turn = match self.order {
                Order::Input => number,
                Order::Done => state.ended,
            };
            state.ended += 1;
            state.done.insert(turn, (number, result));
            drop(state);
            shared.result.notify_all();
        }
    }
}

/// Takes results in their turn until there are no more; returns how many.
fn take_all<I: Iterator, R, E>(
    shared: &Shared<I, R>,
    take: &mut impl FnMut(u64, R) -> Result<(), E>,
) -> Result<u64, E> {
    let mut state = shared.lock();
    loop {
        let due = state.taken;
        if let Some((number, result)) = state.done.remove(&due) {
            drop(state);
            take(number, result)?;
            state = shared.lock();
            state.taken += 1;
            shared.room.notify_all();
        } else if state.running == 0 {
            return Ok(state.taken);
        } else {
            state = shared.result.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl std::fmt::Debug for Pool<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("workers", &self.workers)
            .field("lookahead", &self.lookahead)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

struct State<I: Iterator, R> {
    items: std::iter::Fuse<I>,
    /// Number of the next item.
    next: u64,
    /// Results that were taken.
    taken: u64,
    /// Items that were worked on.
    ended: u64,
    /// Results that wait for their turn, with the number of their item.
    done: BTreeMap<u64, (u64, R)>,
    /// Workers that have not ended.
    running: usize,
    abort: bool,
}

struct Shared<I: Iterator, R> {
    state: Mutex<State<I, R>>,
    /// A result is there, or a worker has ended.
    result: Condvar,
    /// There is room to work ahead, or no more work.
    room: Condvar,
}

impl<I: Iterator, R> Shared<I, R> {
    fn lock(&self) -> MutexGuard<'_, State<I, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the workers go when results are no longer taken.
struct Taking<'a, I: Iterator, R>(&'a Shared<I, R>);

impl<I: Iterator, R> Drop for Taking<'_, I, R> {
    fn drop(&mut self) {
        self.0.lock().abort = true;
        self.0.room.notify_all();
    }
}

/// Notes that a worker has ended, also when its work panicked.
struct Ended<'a, I: Iterator, R>(&'a Shared<I, R>);

impl<I: Iterator, R> Drop for Ended<'_, I, R> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running -= 1;
        // The item in hand will never be done, and the others would wait for it.
        state.abort |= std::thread::panicking();
        drop(state);
        self.0.result.notify_all();
        self.0.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_more_threads_are_started_than_anyone_needs() {
        let all = Pool::new(NonZeroUsize::MAX).map(
            0..2,
            |_, item| item,
            |_, item| {
                assert!(item < 2);
                Ok::<_, ()>(())
            },
        );
        assert!(all.is_ok());
        assert_eq!(Pool::new(NonZeroUsize::MAX).workers, MAX_WORKERS);
    }

    fn pool(workers: usize) -> Pool<'static> {
        Pool::new(NonZeroUsize::new(workers).unwrap())
    }

    #[test]
    fn results_come_in_order_and_workers_do_not_run_far_ahead() {
        let begun = AtomicUsize::new(0);
        let mut taken = Vec::new();
        let n = pool(3).map(
            0..300_u64,
            |number, item| {
                begun.fetch_add(1, Ordering::SeqCst);
                if item == 0 {
                    std::thread::sleep(Duration::from_millis(50));
                    assert!(begun.load(Ordering::SeqCst) <= 3 * 16, "the first holds the others up");
                }
                (number, item)
            },
            |number, result| {
                assert_eq!((number, number), result);
                taken.push(number);
                Ok::<(), Infallible>(())
            },
        );
        assert_eq!(n, Ok(300));
        assert_eq!(taken, (0..300).collect::<Vec<_>>());
    }

    #[test]
    fn results_may_come_as_they_are_done() {
        let gate = AtomicUsize::new(0);
        let mut taken = Vec::new();
        let n = pool(2).with_order(Order::Done).map(
            0..20_u64,
            |_, item| {
                // The first is done when all others are.
                while item == 0 && gate.load(Ordering::SeqCst) < 19 {
                    std::thread::yield_now();
                }
                gate.fetch_add(1, Ordering::SeqCst);
            },
            |number, ()| {
                taken.push(number);
                Ok::<(), Infallible>(())
            },
        );
        assert_eq!(n, Ok(20));
        // One other may be in hand when the first is done.
        assert!(taken.iter().position(|number| *number == 0) >= Some(18), "{taken:?}");
    }

    #[test]
    fn an_error_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let result = pool(2).map(
            0..10_000,
            |_, _: i32| begun.fetch_add(1, Ordering::SeqCst),
            |number, _| if number == 5 { Err("disk full") } else { Ok(()) },
        );
        assert_eq!(result, Err("disk full"));
        assert!(begun.into_inner() <= 6 + 2 * 16);
        assert_eq!(pool(4).map(0..0, |_, _: i32| (), |_, ()| Ok::<(), Infallible>(())), Ok(0));
    }

    #[test]
    fn a_stop_finishes_what_is_in_hand() {
        let begun = AtomicUsize::new(0);
        let stopped = || begun.load(Ordering::SeqCst) >= 10;
        let taken = pool(3).with_stop(&stopped).map(
            0..,
            |_, _: u64| begun.fetch_add(1, Ordering::SeqCst),
            |_, _| Ok::<(), Infallible>(()),
        );
        assert_eq!(taken, Ok(begun.load(Ordering::SeqCst) as u64));
        assert!(begun.into_inner() < 14);
    }

    #[test]
    fn a_panic_is_passed_on_and_nobody_waits_for_ever() {
        let message = |run: &dyn Fn() -> Result<u64, Infallible>| {
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            panic.downcast_ref::<&str>().map(|text| (*text).to_owned())
        };
        let work = |number: u64, _: i32| if number == 40 { panic!("broken") } else { number };
        let run = || pool(3).map(0..5_000, work, |_, _| Ok(()));
        assert_eq!(message(&run).as_deref(), Some("broken"));
        let run = || pool(3).with_order(Order::Done).map(0..5_000, work, |_, _| Ok(()));
        assert_eq!(message(&run).as_deref(), Some("broken"));
        let run = || pool(3).map(0..5_000, |_, item: i32| item, |_, _| panic!("full"));
        assert_eq!(message(&run).as_deref(), Some("full"));
        let items = || (0..5_000).inspect(|item| assert!(*item != 30, "no more"));
        let run = || pool(3).map(items(), |_, item| item, |_, _| Ok(()));
        assert_eq!(message(&run).as_deref(), Some("no more"));
        // All of them at once.
        let run = || pool(8).map(0..5_000, |_, _: i32| -> () { panic!("broken") }, |_, ()| Ok(()));
        assert_eq!(message(&run).as_deref(), Some("broken"));
    }

    proptest! {
        #[test]
        fn every_item_is_taken_once_and_in_order(
            items in prop::collection::vec(any::<u32>(), 0..200),
            workers in 1usize..6,
            lookahead in 0usize..20,
            done in any::<bool>(),
        ) {
            let mut taken = Vec::new();
            let order = if done { Order::Done } else { Order::Input };
            let count = pool(workers).with_order(order).with_lookahead(lookahead).map(
                items.iter(),
                |number, item| (number, u64::from(*item) * 3),
                |number, (worked, result)| {
                    assert_eq!(number, worked);
                    taken.push((number, result));
                    Ok::<(), Infallible>(())
                },
            );
            prop_assert_eq!(count, Ok(items.len() as u64));
            if done {
                taken.sort_unstable();
            }
            let expected: Vec<(u64, u64)> = (0..).zip(items.iter().map(|item| u64::from(*item) * 3)).collect();
            prop_assert_eq!(taken, expected);
        }
    }
}
