//! Many searches, whose open queries are answered by one call.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;

use super::clock::{Clock, give};
use crate::{Answer, Error, Problem, Query, QueryId, Search};

/// Drives many searches side by side and gathers their open queries, so that a model that is faster in batches gets large
/// ones.
///
/// Up to `window` searches are under way; when one is done the next one begins. A batch takes from each search in turn until
/// it is full, so that a search with many open queries does not hold the others up.
///
/// ```
/// use std::num::NonZeroUsize;
/// use scaletot_search::{Answer, Batch, Budget, Problem, Search, Strategy};
///
/// struct Bits;
/// impl Problem for Bits {
///     type Thought = bool;
///     fn depth(&self) -> usize { 8 }
///     fn is_complete(&self, path: &[bool]) -> bool { path.len() == 8 }
/// }
///
/// let batch = Batch::new(NonZeroUsize::new(64).unwrap());
/// let searches = (0..100).map(|user| (user, Search::new(Bits, Strategy::Greedy, Budget::default(), 0).unwrap()));
/// let mut sizes = Vec::new();
/// let mut users = 0;
/// batch.drive(
///     searches,
///     |asked| {
///         sizes.push(asked.len());
///         Ok::<_, scaletot_search::Error>(asked.iter().map(|_| Answer::exact(vec![(true, 0.9), (false, 0.1)])).collect())
///     },
///     |_user, search| {
///         users += usize::from(search.is_done());
///         Ok(())
///     },
/// )?;
/// // 64 users take eight steps together, then the other 36.
/// assert_eq!((users, sizes), (100, [[64; 8], [36; 8]].concat()));
/// # Ok::<(), scaletot_search::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    window: NonZeroUsize,
    max_batch: usize,
}

struct Running<K, P: Problem> {
    key: K,
    search: Search<P>,
    clock: Clock,
    /// Open queries that were not asked yet.
    wave: VecDeque<(QueryId, Query<P::Thought>)>,
}

impl Batch {
    /// Drives up to `window` searches side by side, in batches of any size.
    #[must_use]
    pub fn new(window: NonZeroUsize) -> Self {
        Batch { window, max_batch: usize::MAX }
    }

    /// Sets the largest number of queries of one batch.
    #[must_use]
    pub fn with_max_batch(mut self, max_batch: NonZeroUsize) -> Self {
        self.max_batch = max_batch.get();
        self
    }

    /// Drives searches, each with a key of the caller's (a user, for example), to their ends.
    ///
    /// `answer` gets the keys and queries of a batch and gives one answer for each, in their order. `take` gets each search
    /// that is done, as they are done. A budget of ticks counts milliseconds of real time.
    ///
    /// # Errors
    /// The first error of `answer` or `take`; [`Error::BatchLength`] if there is not one answer per query;
    /// [`Error::Stalled`] never comes from the strategies of this crate. The searches under
    /// way are dropped then; to go on instead, answer with [`Answer::failed`].
    pub fn drive<K, P, I, A, T, E>(&self, searches: I, mut answer: A, mut take: T) -> Result<(), E>
    where
        P: Problem,
        I: IntoIterator<Item = (K, Search<P>)>,
        A: FnMut(&[(&K, Query<P::Thought>)]) -> Result<Vec<Answer<P::Thought>>, E>,
        T: FnMut(K, Search<P>) -> Result<(), E>,
        E: From<Error>,
    {
        let mut searches = searches.into_iter().fuse();
        // By the order in which they came; numbers are not used again.
        let mut running: BTreeMap<u64, Running<K, P>> = BTreeMap::new();
        let mut next = 0;
        loop {
            while running.len() < self.window.get()
                && let Some((key, search)) = searches.next()
            {
                let clock = Clock::for_search(&search);
                running.insert(next, Running { key, search, clock, wave: VecDeque::new() });
                next += 1;
            }
            let done: Vec<u64> =
                running.iter().filter(|(_, it)| it.search.is_done()).map(|(number, _)| *number).collect();
            for it in done.iter().filter_map(|number| running.remove(number)).collect::<Vec<_>>() {
                take(it.key, it.search)?;
            }
            if !done.is_empty() {
                continue;
            }
            if running.is_empty() {
                return Ok(());
            }
            let asked = self.gather(&mut running);
            if asked.is_empty() {
                return Err(Error::Stalled.into());
            }
            let queries: Vec<(&K, Query<P::Thought>)> =
                asked.iter().map(|(number, _, query)| (&running[number].key, query.clone())).collect();
            let answers = answer(&queries)?;
            if answers.len() != queries.len() {
                return Err(Error::BatchLength { expected: queries.len(), found: answers.len() }.into());
            }
            drop(queries);
            for ((number, id, _), answer) in asked.into_iter().zip(answers) {
                if let Some(it) = running.get_mut(&number) {
                    give(&mut it.search, id, answer);
                }
            }
            for it in running.values_mut() {
                it.clock.tick(&mut it.search);
            }
        }
    }

    /// The queries of the next batch: the first of each search, then the second, until it is full.
    fn gather<K, P: Problem>(
        &self,
        running: &mut BTreeMap<u64, Running<K, P>>,
    ) -> Vec<(u64, QueryId, Query<P::Thought>)> {
        // Everything that was asked is answered by now, so an empty wave is a finished one.
        for it in running.values_mut().filter(|it| it.wave.is_empty()) {
            it.wave = it.search.open().into();
        }
        let mut asked = Vec::new();
        loop {
            let before = asked.len();
            for (number, it) in running.iter_mut() {
                if asked.len() == self.max_batch {
                    return asked;
                }
                if let Some((id, query)) = it.wave.pop_front() {
                    asked.push((*number, id, query));
                }
            }
            if asked.len() == before {
                return asked;
            }
        }
    }
}
