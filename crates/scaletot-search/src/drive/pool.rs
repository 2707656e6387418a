//! Many searches on the threads of a pool.

use scaletot_core::Pool;

use super::clock::{Clock, give};
use crate::{Answer, Problem, Query, Search};

/// Drives searches to their ends on the threads of a pool, where an answer is a call that blocks. `answer` is called with a
/// search and one of its open queries, from any of the threads; `take` gets each search that is done, with its number in the
/// input, on the calling thread. Returns how many were taken.
///
/// The pool says how many searches are in hand, in which order they are taken and what stops the work. A budget of ticks
/// counts milliseconds of real time.
///
/// ```
/// use std::num::NonZeroUsize;
/// use scaletot_search::{Answer, Budget, Pool, Problem, Search, Strategy, drive_all};
///
/// /// Spells a user's id in bits.
/// struct Bits(u32);
/// impl Problem for Bits {
///     type Thought = bool;
///     fn depth(&self) -> usize { 8 }
///     fn is_complete(&self, path: &[bool]) -> bool { path.len() == 8 }
/// }
///
/// let searches = (0..100).map(|user| Search::new(Bits(user), Strategy::Greedy, Budget::default(), 0).unwrap());
/// let mut found = Vec::new();
/// let taken = drive_all(
///     &Pool::new(NonZeroUsize::new(4).unwrap()),
///     searches,
///     // Here a server would be asked; the call may block.
///     |search, query| {
///         let bit = search.problem().0 >> query.path().len() & 1 == 1;
///         Answer::exact(vec![(bit, 0.9), (!bit, 0.1)])
///     },
///     |_, search| {
///         found.push(search.outcome().is_some_and(|outcome| outcome.best.is_some()));
///         Ok::<(), std::convert::Infallible>(())
///     },
/// )?;
/// assert_eq!((taken, found), (100, vec![true; 100]));
/// # Ok::<(), std::convert::Infallible>(())
/// ```
///
/// # Errors
/// The first error of `take`; everything else is dropped then.
///
/// # Panics
/// Passes on a panic of `answer` or `take`, after the other threads have come to rest.
pub fn drive_all<P, I, A, T, E>(pool: &Pool<'_>, searches: I, answer: A, take: T) -> Result<u64, E>
where
    P: Problem + Send,
    I: Iterator<Item = Search<P>> + Send,
    A: Fn(&Search<P>, &Query<P::Thought>) -> Answer<P::Thought> + Sync,
    T: FnMut(u64, Search<P>) -> Result<(), E>,
{
    let work = |_, mut search: Search<P>| {
        let mut clock = Clock::for_search(&search);
        while !search.is_done() {
            let wave = search.open();
            if wave.is_empty() {
                break; // never, with the strategies of this crate; better an unfinished search than none
            }
            for (id, query) in wave {
                if search.is_done() {
                    break;
                }
                let answer = answer(&search, &query);
                give(&mut search, id, answer);
                clock.tick(&mut search);
            }
        }
        search
    };
    pool.map(searches, work, take)
}
