//! Many searches as a stream of futures.

use std::num::NonZeroUsize;

use futures_util::future::Either;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt, iter};
use scaletot_core::Order;
use tokio::sync::Semaphore;

use super::clock::{Clock, give};
use crate::{Answer, Problem, Query, Search};

/// How much is under way at once in [`stream`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concurrency {
    /// Searches under way, those that wait for their turn in the order among them.
    pub searches: NonZeroUsize,
    /// Queries under way over all searches: what a server can work on at once.
    pub queries: NonZeroUsize,
    /// The order of the results.
    pub order: Order,
}

impl Concurrency {
    /// That many queries under way, from twice as many searches, so that the server is not idle while a search ends and the
    /// next begins; results in the order of the inputs.
    #[must_use]
    pub fn new(queries: NonZeroUsize) -> Self {
        Concurrency { searches: queries.saturating_mul(TWO), queries, order: Order::Input }
    }

    /// Sets the number of searches under way.
    #[must_use]
    pub fn with_searches(mut self, searches: NonZeroUsize) -> Self {
        self.searches = searches;
        self
    }

    /// Sets the order of the results.
    #[must_use]
    pub fn with_order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }
}

const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// Drives searches, each with a key of the caller's, to their ends, and streams them out.
///
/// The queries of a search that can be asked at the same time are asked at the same time. Nothing runs unless the stream is
/// polled, and a consumer that does not poll holds everything up; dropping the stream cancels what is under way. A budget of
/// ticks counts milliseconds of real time, and is looked at whenever an answer comes: give `answer` a timeout of its own.
///
/// Needs no particular runtime; `answer` may.
///
/// ```
/// use std::num::NonZeroUsize;
/// use futures_util::StreamExt;
/// use scaletot_search::{Answer, Budget, Concurrency, Problem, Search, Strategy, stream};
///
/// struct Bits;
/// impl Problem for Bits {
///     type Thought = bool;
///     fn depth(&self) -> usize { 8 }
///     fn is_complete(&self, path: &[bool]) -> bool { path.len() == 8 }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let searches = (0..100).map(|user| (user, Search::new(Bits, Strategy::Greedy, Budget::default(), 0).unwrap()));
/// let concurrency = Concurrency::new(NonZeroUsize::new(8).unwrap());
/// let results = stream(concurrency, searches, |_user: &i32, _query| async {
///     // Here a server would be asked.
///     Answer::exact(vec![(true, 0.9), (false, 0.1)])
/// });
/// let users: Vec<i32> = results.map(|(user, _search)| user).collect().await;
/// assert_eq!(users, (0..100).collect::<Vec<_>>());
/// # });
/// ```
pub fn stream<K, P, I, A, F>(
    concurrency: Concurrency,
    searches: I,
    answer: A,
) -> impl Stream<Item = (K, Search<P>)>
where
    P: Problem,
    I: IntoIterator<Item = (K, Search<P>)>,
    A: Fn(&K, Query<P::Thought>) -> F + Clone,
    F: Future<Output = Answer<P::Thought>>,
{
    let permits = std::sync::Arc::new(Semaphore::new(concurrency.queries.get().min(Semaphore::MAX_PERMITS)));
    let searches = iter(searches).map(move |(key, search)| {
        let (permits, answer) = (std::sync::Arc::clone(&permits), answer.clone());
        async move {
            let search = run(&key, search, &permits, &answer).await;
            (key, search)
        }
    });
    match concurrency.order {
        Order::Done => Either::Right(searches.buffer_unordered(concurrency.searches.get())),
        _ => Either::Left(searches.buffered(concurrency.searches.get())),
    }
}

async fn run<K, P, A, F>(key: &K, mut search: Search<P>, permits: &Semaphore, answer: &A) -> Search<P>
where
    P: Problem,
    A: Fn(&K, Query<P::Thought>) -> F,
    F: Future<Output = Answer<P::Thought>>,
{
    let mut clock = Clock::for_search(&search);
    while !search.is_done() {
        let asked = search.open().into_iter().map(|(id, query)| async move {
            // The semaphore is never closed.
            let _permit = permits.acquire().await;
            (id, answer(key, query).await)
        });
        let mut wave: FuturesUnordered<_> = asked.collect();
        if wave.is_empty() {
            break; // as in `drive_all`
        }
        while let Some((id, answer)) = wave.next().await {
            give(&mut search, id, answer);
            clock.tick(&mut search);
            if search.is_done() {
                break;
            }
        }
    }
    search
}
