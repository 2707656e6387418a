//! All drivers give every search the outcome that it has alone, and keep to their bounds.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroUsize;

use crate::common::{self, Wild, budget, strategy, wild};
use proptest::prelude::*;
use scaletot_search::{
    Answer, Batch, Budget, Error, Order, Outcome, Pool, Search, StopReason, Strategy as Search_, drive_all,
};

fn n(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// Searches that differ in their trees.
fn searches(problem: Wild, strategy: Search_, budget: Budget) -> impl Iterator<Item = Search<Wild>> + Send {
    (0..20).map(move |user| {
        let problem = Wild { seed: problem.seed.wrapping_add(user), ..problem };
        Search::new(problem, strategy, budget, user).unwrap()
    })
}

fn alone(problem: Wild, strategy: Search_, budget: Budget) -> Vec<Outcome<u8>> {
    let one = |mut search: Search<Wild>| {
        common::run(&mut search, |_| 0);
        search.into_parts().0.unwrap()
    };
    searches(problem, strategy, budget).map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_pool_and_batches_change_no_outcome(
        problem in wild(), strategy in strategy(), budget in budget(), width in 1usize..7, most in 1usize..9,
    ) {
        let expected = alone(problem, strategy, budget);
        let mut found = Vec::new();
        let taken = drive_all(
            &Pool::new(n(width)),
            searches(problem, strategy, budget),
            |search, query| search.problem().answer(query),
            |_, search| {
                found.push(search.into_parts().0.unwrap());
                Ok::<(), Infallible>(())
            },
        );
        prop_assert_eq!(taken, Ok(20));
        prop_assert_eq!(&found, &expected);

        let mut found = BTreeMap::new();
        let keyed = searches(problem, strategy, budget).map(|s| (s.problem().seed.wrapping_sub(problem.seed), s));
        let problems: Vec<Wild> = searches(problem, strategy, budget).map(|s| *s.problem()).collect();
        Batch::new(n(width)).with_max_batch(n(most)).drive(
            keyed,
            |asked| {
                assert!(!asked.is_empty() && asked.len() <= most);
                Ok::<_, Error>(asked.iter().map(|(user, query)| problems[**user as usize].answer(query)).collect())
            },
            |user, search| {
                found.insert(user, search.into_parts().0.unwrap());
                Ok(())
            },
        ).unwrap();
        prop_assert_eq!(found.into_values().collect::<Vec<_>>(), expected);
    }
}

/// Five steps of three values.
fn plain() -> Wild {
    Wild {
        seed: 4,
        depth: 5,
        width: 3,
        short: 0,
        forbidden: 0,
        empty: 0,
        failing: 0,
        evaluates: false,
        merges: false,
        tokens: 3,
    }
}

#[test]
fn a_refused_answer_fails_its_own_search_alone() {
    let broken = |search: &Search<Wild>, query: &_| match search.seed() {
        3 => Answer::value(7.0),
        _ => search.problem().answer(query),
    };
    let mut failed = Vec::new();
    let pool = Pool::new(n(3)).with_order(Order::Done);
    drive_all(&pool, searches(plain(), Search_::Greedy, Budget::default()), broken, |_, search| {
        if let StopReason::QueryFailed(reason) = &search.outcome().unwrap().stop {
            failed.push((search.seed(), reason.clone()));
        }
        Ok::<(), Infallible>(())
    })
    .unwrap();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].0, 3);
    assert!(failed[0].1.contains("expected proposals, found a value"), "{failed:?}");
}

#[test]
fn a_batch_of_the_wrong_length_is_an_error() {
    let keyed = searches(plain(), Search_::Greedy, Budget::default()).enumerate();
    let outcome = Batch::new(n(4)).drive(keyed, |_| Ok(Vec::new()), |_, _| Ok::<(), Error>(()));
    assert_eq!(outcome, Err(Error::BatchLength { expected: 4, found: 0 }));
}

#[cfg(feature = "async")]
mod stream {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::StreamExt;
    use scaletot_search::{Concurrency, stream};
    use tokio::time::sleep;

    use super::*;

    fn on_a_runtime<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn queries_under_way_are_bounded_and_all_places_are_used() {
        let (now, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let results = stream(
            Concurrency::new(n(4)),
            searches(plain(), Search_::Greedy, Budget::default()).enumerate(),
            |_: &usize, query| {
                let (now, peak) = (&now, &peak);
                async move {
                    peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    sleep(Duration::from_millis(20)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    plain().answer(&query)
                }
            },
        );
        let (users, elapsed) = on_a_runtime(async {
            let began = tokio::time::Instant::now();
            let users: Vec<usize> = results.map(|(user, _)| user).collect().await;
            (users, began.elapsed())
        });
        assert_eq!(users, (0..20).collect::<Vec<_>>());
        assert_eq!(peak.into_inner(), 4);
        // 20 users of 5 queries of 20 ms on 4 places.
        assert_eq!(elapsed, Duration::from_millis(20 * 5 * 20 / 4));
    }

    #[test]
    fn a_consumer_that_does_not_poll_holds_everything_up() {
        let begun = AtomicUsize::new(0);
        let mut results = Box::pin(stream(
            Concurrency::new(n(2)).with_searches(n(3)),
            searches(plain(), Search_::Greedy, Budget::default()).enumerate(),
            |_: &usize, query| {
                begun.fetch_add(1, Ordering::SeqCst);
                async move { plain().answer(&query) }
            },
        ));
        on_a_runtime(async {
            assert_eq!(results.next().await.unwrap().0, 0);
            // Three searches of five queries at most, although there are twenty.
            assert!(begun.load(Ordering::SeqCst) <= 15 + 5);
            drop(results);
        });
    }

    #[test]
    fn outcomes_are_those_of_each_search_alone() {
        for order in [Order::Input, Order::Done] {
            let results = stream(
                Concurrency::new(n(3)).with_order(order),
                searches(plain(), Search_::BestOfN(Default::default()), Budget::default()).enumerate(),
                |user: &usize, query| {
                    let problem = Wild { seed: plain().seed + *user as u64, ..plain() };
                    // The later a user comes the sooner the answer.
                    let wait = Duration::from_millis(100 - *user as u64);
                    async move {
                        sleep(wait).await;
                        problem.answer(&query)
                    }
                },
            );
            let mut found: Vec<(usize, Outcome<u8>)> =
                on_a_runtime(results.map(|(user, search)| (user, search.into_parts().0.unwrap())).collect());
            if order == Order::Done {
                assert!(found.windows(2).any(|two| two[0].0 > two[1].0), "nobody was overtaken");
                found.sort_by_key(|(user, _)| *user);
            }
            let found: Vec<_> = found.into_iter().map(|(_, outcome)| outcome).collect();
            assert_eq!(found, alone(plain(), Search_::BestOfN(Default::default()), Budget::default()));
        }
    }
}
