//! What holds of every search, over random problems, strategies and budgets.

use std::collections::HashSet;

use crate::common::{Wild, budget, refine, run, strategy, wild};
use proptest::prelude::*;
use scaletot_search::{
    Answer, Budget, EntropyInput, Event, MIN_EVALUATION, MIN_PROBABILITY, Outcome, Problem, Query,
    RefineConfig, ScoredPath, Search, StopReason, Strategy as Search_, Trace, entropy_interval,
};

fn finished(problem: Wild, strategy: Search_, budget: Budget) -> Search<Wild> {
    let mut search = Search::new(problem, strategy, budget, 7).expect("a valid config");
    run(&mut search, |_| 0);
    search
}

fn outcome(search: &Search<Wild>) -> &Outcome<u8> {
    search.outcome().expect("a finished search")
}

fn all_paths(outcome: &Outcome<u8>) -> impl Iterator<Item = &ScoredPath<u8>> {
    outcome.best.iter().chain(&outcome.runners_up)
}

/// The score, computed a second time from the answers themselves.
fn score_by_hand(problem: &Wild, config: &RefineConfig, path: &ScoredPath<u8>) -> f64 {
    let k = path.path.len().max(1) as f64;
    let (mut log, mut entropy) = (0.0, 0.0);
    for (i, thought) in path.path.iter().enumerate() {
        let prefix = &path.path[..i];
        let Answer::Proposals(proposals) = problem.answer(&Query::propose(prefix.to_vec())) else {
            panic!("an answer without proposals on a scored path");
        };
        let (items, given) = (proposals.items(), proposals.entropy());
        let open: Vec<_> = items.iter().filter(|(t, m)| *m > 0.0 && problem.admissible(prefix, t)).collect();
        let removed = items.iter().filter(|(_, m)| *m > 0.0).count() - open.len();
        let total: f64 = open.iter().map(|(_, m)| m).sum();
        let q = |m: f64| m / total;
        log += open
            .iter()
            .find(|(t, _)| t == thought)
            .map_or(f64::NAN, |(_, m)| q(*m).max(MIN_PROBABILITY).ln());
        let domain = problem.domain_size(prefix).unwrap_or(items.len()).max(items.len());
        let exact = if domain < 2 {
            0.0
        } else {
            -open.iter().map(|(_, m)| q(*m) * q(*m).ln()).sum::<f64>() / (domain as f64).ln()
        };
        let masses: Vec<f64> = open.iter().map(|(_, m)| *m).collect();
        entropy += match given {
            EntropyInput::Given(h) if removed == 0 => h,
            EntropyInput::Sampled { samples, estimator } => {
                // Only the samples of what is left count.
                let all: f64 = items.iter().map(|(_, m)| m).sum();
                let kept = (f64::from(samples) * total / all).round().max(1.0);
                let may = |t: &u8| problem.admissible(prefix, t);
                let possible = domain - items.iter().filter(|(t, _)| !may(t)).count();
                estimator.estimate(&masses, kept as u32, possible, domain)
            }
            EntropyInput::Partial { missing, mass } if missing > 0 && mass > 0.0 => {
                entropy_interval(&masses, missing, mass, domain.max(masses.len() + missing)).1
            }
            _ => exact,
        };
    }
    let (alpha, opinion) = if problem.evaluates && config.score.alpha < 1.0 {
        let e = path.score.evaluation.unwrap_or(0.5).clamp(MIN_EVALUATION, 1.0 - MIN_EVALUATION);
        (config.score.alpha, (e / (1.0 - e)).ln())
    } else {
        (1.0, 0.0)
    };
    alpha * log / k + (1.0 - alpha) * opinion - config.score.lambda * entropy / k
}

fn within(search: &Search<Wild>) -> bool {
    let (used, budget) = (search.usage(), search.budget());
    let ok = |used: u64, bound: Option<u64>| bound.is_none_or(|b| used <= b);
    ok(u64::from(used.rounds), budget.rounds.map(u64::from))
        && ok(used.nodes, budget.nodes)
        && ok(used.queries, budget.queries)
        && ok(used.tokens, budget.tokens)
        && ok(used.ticks, budget.ticks)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_bound_is_ever_exceeded(problem in wild(), strategy in strategy(), budget in budget()) {
        let mut search = Search::new(problem, strategy, budget, 0).expect("a valid config");
        prop_assert!(within(&search));
        while let Some((id, query)) = search.open().into_iter().next() {
            prop_assert!(budget.depth.is_none_or(|d| query.path().len() <= d));
            search.answer(id, problem.answer(&query)).expect("a well-formed answer");
            prop_assert!(within(&search));
        }
        let outcome = outcome(&search);
        prop_assert_eq!(outcome.usage, search.usage());
        prop_assert!(all_paths(outcome).all(|p| budget.depth.is_none_or(|d| p.path.len() <= d)));
        // A bound is named only if there is one.
        prop_assert!(match outcome.stop {
            StopReason::Depth => budget.depth.is_some(),
            StopReason::Nodes => budget.nodes.is_some(),
            StopReason::Queries => budget.queries.is_some(),
            StopReason::Tokens => budget.tokens.is_some(),
            StopReason::Time | StopReason::QueryFailed(_) => false,
            StopReason::Complete => !matches!(strategy, Search_::Refine(_)),
            StopReason::Accepted => matches!(strategy, Search_::Bfs(_) | Search_::Dfs(_)),
            StopReason::Rounds | StopReason::Settled => matches!(strategy, Search_::Refine(_)),
            _ => true,
        }, "{:?}", outcome.stop);
    }

    #[test]
    fn the_estimate_is_an_upper_bound(problem in wild(), strategy in strategy(), budget in budget()) {
        let most = strategy.estimate(&problem, &budget).expect("a valid config");
        let search = finished(problem, strategy, budget);
        let used = outcome(&search).usage;
        prop_assert!(used.queries <= most.queries, "{used:?} {most:?}");
        prop_assert!(used.nodes <= most.nodes, "{used:?} {most:?}");
        prop_assert!(used.rounds <= most.rounds, "{used:?} {most:?}");
        prop_assert!(most.tokens.is_none_or(|t| used.tokens <= t), "{used:?} {most:?}");
    }

    #[test]
    fn the_order_of_answers_does_not_matter(
        problem in wild(), failing in 0u64..4, strategy in strategy(), budget in budget(), order in any::<u64>(),
    ) {
        let problem = Wild { failing: failing * 3, ..problem };
        let in_order = finished(problem, strategy, budget);
        let mut shuffled = Search::new(problem, strategy, budget, 7).expect("a valid config");
        let mut state = order;
        run(&mut shuffled, |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        });
        prop_assert_eq!(in_order.outcome(), shuffled.outcome());
        // The traces differ only in the order in which answers came.
        let derived = |s: &Search<Wild>| -> Vec<_> {
            s.trace().events().iter().filter(|e| !matches!(e, Event::Answered { .. })).cloned().collect()
        };
        prop_assert_eq!(derived(&in_order), derived(&shuffled));
    }

    #[test]
    fn a_trace_replays_and_any_prefix_continues(
        problem in wild(), failing in 0u64..3, strategy in strategy(), budget in budget(), cut in 0.0..1.0f64,
    ) {
        let problem = Wild { failing: failing * 3, ..problem };
        let search = finished(problem, strategy, budget);
        let json = serde_json::to_string(search.trace()).expect("a trace serialises");
        let trace: Trace<u8> = serde_json::from_str(&json).expect("a trace deserialises");
        prop_assert_eq!(&trace, search.trace());
        let again = Search::replay(problem, strategy, budget, 7, &trace).expect("its own trace");
        prop_assert_eq!(again.outcome(), search.outcome());
        prop_assert_eq!(again.trace(), search.trace());

        let prefix = trace.prefix((cut * trace.len() as f64) as usize);
        let mut resumed = Search::replay(problem, strategy, budget, 7, &prefix).expect("a prefix of its own trace");
        run(&mut resumed, |_| 0);
        prop_assert_eq!(resumed.outcome(), search.outcome());
        prop_assert_eq!(resumed.trace(), search.trace());
    }

    #[test]
    fn refinement_is_never_worse_than_greedy(problem in wild(), config in refine(), budget in budget()) {
        // Under Greedy's own score the two compare directly.
        let plain = config.with_score(config.score.with_alpha(1.0).with_lambda(0.0));
        let greedy = finished(problem, Search_::Greedy, budget);
        let refined = finished(problem, Search_::Refine(plain), budget);
        if let Some(draft) = &outcome(&greedy).best {
            let best = outcome(&refined).best.as_ref().expect("Refine finds what Greedy finds");
            prop_assert!(best.score.total >= draft.score.total);
        }
        // Under any other, the draft is the measure.
        let refined = finished(problem, Search_::Refine(config), budget);
        let refined = outcome(&refined);
        prop_assert_eq!(refined.best.is_some(), refined.draft_score.is_some());
        if let (Some(best), Some(draft)) = (&refined.best, refined.draft_score) {
            prop_assert!(best.score.total >= draft.total);
        }
    }

    #[test]
    fn outcomes_are_well_formed(problem in wild(), config in refine(), budget in budget()) {
        let search = finished(problem, Search_::Refine(config), budget);
        let outcome = outcome(&search);
        for path in all_paths(outcome) {
            prop_assert!(problem.is_complete(&path.path));
            prop_assert!(path.score.total.is_finite());
            let by_hand = score_by_hand(&problem, &config, path);
            prop_assert!((path.score.total - by_hand).abs() < 1e-9, "{} against {by_hand}", path.score.total);
            prop_assert_eq!(path.steps.len(), path.path.len());
            for (k, step) in path.steps.iter().enumerate() {
                prop_assert!((0.0..=1.0).contains(&step.entropy));
                prop_assert!((0.0..=1.0).contains(&step.covered));
                let total: f64 = step.distribution.iter().map(|(_, q)| q).sum();
                prop_assert!((total - 1.0).abs() < 1e-9);
                prop_assert!(step.distribution.contains(&(step.thought, step.probability)));
                prop_assert!(step.distribution.windows(2).all(|w| w[0].1 >= w[1].1));
                prop_assert!(step.distribution.iter().all(|(t, _)| problem.admissible(&path.path[..k], t)));
            }
        }
        let listed: Vec<_> = all_paths(outcome).collect();
        prop_assert!(listed.windows(2).all(|w| w[0].score.total >= w[1].score.total));
        prop_assert_eq!(listed.iter().map(|p| &p.path).collect::<HashSet<_>>().len(), listed.len());
        prop_assert_eq!(listed.len(), outcome.scored.min(config.score.keep));
        for step in &outcome.posterior {
            prop_assert!((step.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert!(step.iter().all(|(_, p)| (0.0..=1.0).contains(p)));
        }
        let longest = search.trace().events().iter().filter_map(|e| match e {
            Event::Scored { path, .. } => Some(path.len()),
            _ => None,
        });
        prop_assert_eq!(outcome.posterior.len(), longest.max().unwrap_or(0));
        prop_assert!(outcome.draft_entropy.iter().chain(&outcome.final_entropy).all(|h| (0.0..=1.0).contains(h)));
        if let Some(best) = &outcome.best {
            prop_assert_eq!(outcome.final_entropy.len(), best.path.len());
        }
    }

    #[test]
    fn rounds_keep_to_their_config(problem in wild(), config in refine(), budget in budget()) {
        let search = finished(problem, Search_::Refine(config), budget);
        let mut complete = false;
        for event in search.trace().events() {
            match event {
                Event::Scored { .. } => complete = true,
                Event::Branched { values, entropy, .. } => {
                    prop_assert!(!values.is_empty() && values.len() <= config.branches);
                    // Without a complete path, rounds serve to find one, whatever the entropy.
                    prop_assert!(!complete || *entropy >= config.tau);
                    let before_last: f64 = values.iter().rev().skip(1).map(|(_, q)| q).sum();
                    prop_assert!(before_last < config.rho + 1e-12);
                }
                // Once there is a complete path, no branch is begun that the budget might cut.
                Event::Cut { path, .. } => prop_assert!(!complete, "cut at {path:?}"),
                Event::Replaced { gain: Some(gain), .. } => prop_assert!(*gain >= config.delta && *gain > 0.0),
                _ => {}
            }
        }
    }

    #[test]
    fn no_path_is_asked_twice(problem in wild(), strategy in strategy(), budget in budget()) {
        let search = finished(problem, strategy, budget);
        let asked = search.trace().events().iter().filter_map(|e| match e {
            Event::Opened { query, .. } => Some(format!("{query:?}")),
            _ => None,
        });
        let asked: Vec<_> = asked.collect();
        prop_assert_eq!(asked.iter().collect::<HashSet<_>>().len(), asked.len());
        prop_assert_eq!(asked.len() as u64, outcome(&search).usage.queries);
    }

    #[test]
    fn without_bounds_a_dead_end_is_a_proof(problem in wild(), config in refine()) {
        // Rounds enough to try everything, one value at a time: only a tree without a complete path ends dead.
        let config = config.with_rounds(100_000).with_branches(1);
        let small = Wild { depth: problem.depth.min(4), width: problem.width.min(3), ..problem };
        let search = finished(small, Search_::Refine(config), Budget::default());
        let outcome = outcome(&search);
        prop_assert_eq!(outcome.best.is_some(), reachable(&small, &mut Vec::new()));
        prop_assert_eq!(outcome.best.is_none(), outcome.stop == StopReason::DeadEnd);
    }

    #[test]
    fn time_stops_a_search_at_once_and_keeps_the_best(
        problem in wild(), strategy in strategy(), ticks in 0u64..20, each in 1u64..4,
    ) {
        let budget = Budget::default().with_ticks(ticks);
        let mut search = Search::new(problem, strategy, budget, 0).expect("a valid config");
        while let Some((id, query)) = search.open().into_iter().next() {
            search.answer(id, problem.answer(&query)).expect("a well-formed answer");
            search.tick(each);
            prop_assert!(within(&search));
        }
        let outcome = outcome(&search);
        prop_assert_eq!(outcome.stop == StopReason::Time, outcome.usage.ticks == ticks);
        let scored = search.trace().events().iter().any(|e| matches!(e, Event::Scored { .. }));
        prop_assert_eq!(outcome.best.is_some(), scored);
        let again = Search::replay(problem, strategy, budget, 0, search.trace()).expect("its own trace");
        prop_assert_eq!(again.outcome(), search.outcome());
    }
}

fn reachable(problem: &Wild, path: &mut Vec<u8>) -> bool {
    if problem.is_complete(path) {
        return true;
    }
    if path.len() >= problem.depth {
        return false;
    }
    let Answer::Proposals(proposals) = problem.answer(&Query::propose(path.clone())) else {
        return false;
    };
    proposals.into_items().into_iter().any(|(thought, mass)| {
        if mass <= 0.0 || !problem.admissible(path, &thought) {
            return false;
        }
        path.push(thought);
        let found = reachable(problem, path);
        path.pop();
        found
    })
}

/// The properties above show little if the random searches are all alike: these meet every ending and every event.
#[test]
fn the_random_searches_reach_every_corner() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut stops, mut events) = (HashSet::new(), HashSet::new());
    for _ in 0..3000 {
        let inputs = (wild(), strategy(), budget()).new_tree(&mut runner).expect("inputs");
        let (problem, strategy, budget) = inputs.current();
        let search = finished(problem, strategy, budget);
        stops.insert(format!("{:?}", outcome(&search).stop));
        for event in search.trace().events() {
            let name = format!("{event:?}");
            events.insert(name.split([' ', '{']).next().unwrap_or_default().to_owned());
            match event {
                Event::Branched { left_out, .. } if *left_out > 0 => events.insert("Trimmed".into()),
                Event::Replaced { gain, .. } => events.insert(format!("Replaced {}", gain.is_some())),
                _ => true,
            };
        }
    }
    for stop in
        ["Complete", "Accepted", "Settled", "Rounds", "Depth", "Nodes", "Queries", "Tokens", "DeadEnd"]
    {
        assert!(stops.contains(stop), "no search ended by {stop}");
    }
    for event in [
        "Started",
        "Opened",
        "Answered",
        "Pruned",
        "Expanded",
        "Died",
        "Branched",
        "Trimmed",
        "Cut",
        "Scored",
        "Replaced true",
        "Replaced false",
        "Settled",
        "Merged",
        "Selected",
        "Sampled",
        "Backtracked",
        "Stopped",
    ] {
        assert!(events.contains(event), "no search met {event}");
    }
}
