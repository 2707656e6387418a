//! `Refine` and `Greedy` on small trees whose course can be followed by hand.

use crate::common::table::Table;
use scaletot_search::{
    Budget, DeadReason, Event, Outcome, RefineConfig, ScoreConfig, Search, StopReason, Strategy, drive,
};

/// Greedy takes `a` and then faces a toss-up; behind `b` everything is clear, so `by` is the most probable chain.
const GARDEN_PATH: Table = Table {
    depth: 2,
    propose: &[
        ("", &[('a', 0.5), ('b', 0.45), ('c', 0.05)]),
        ("a", &[('x', 0.4), ('y', 0.3), ('z', 0.3)]),
        ("b", &[('y', 1.0), ('x', 0.0)]),
        ("c", &[('x', 1.0)]),
    ],
    evaluate: &[],
    forbid: &[],
    short: &[],
};

fn settings() -> RefineConfig {
    RefineConfig::default().with_tau(0.3).with_delta(0.01).with_score(ScoreConfig::default().with_lambda(0.0))
}

/// The same, with self-evaluations weighed by `1 − alpha`.
fn evaluating(alpha: f64) -> RefineConfig {
    let config = settings();
    config.with_score(config.score.with_alpha(alpha))
}

fn solve(table: &Table, strategy: Strategy, budget: Budget) -> (Outcome<char>, Vec<Event<char>>) {
    let mut search = Search::new(table, strategy, budget, 0).unwrap();
    drive(&mut search, |q| table.answer(q)).unwrap();
    let (outcome, trace) = search.into_parts();
    (outcome.unwrap(), trace.events().to_vec())
}

fn best(outcome: &Outcome<char>) -> Option<String> {
    outcome.best.as_ref().map(|b| b.path.iter().collect())
}

fn branched(events: &[Event<char>]) -> Vec<(usize, String, usize)> {
    let branch = |e: &Event<char>| match e {
        Event::Branched { step, values, left_out, .. } => {
            Some((*step, values.iter().map(|(v, _)| v).collect(), *left_out))
        }
        _ => None,
    };
    events.iter().filter_map(branch).collect()
}

#[test]
fn greedy_takes_the_most_probable_step_each_time() {
    let (outcome, _) = solve(&GARDEN_PATH, Strategy::Greedy, Budget::default());
    assert_eq!(best(&outcome).as_deref(), Some("ax"));
    assert_eq!(outcome.stop, StopReason::Complete);
    assert!(outcome.stop.is_natural());
    assert_eq!((outcome.usage.queries, outcome.usage.nodes, outcome.usage.tokens), (2, 2, 20));
    let score = outcome.best.unwrap().score;
    assert!((score.total - (0.5f64.ln() + 0.4f64.ln()) / 2.0).abs() < 1e-12);
    assert_eq!(outcome.posterior, vec![vec![('a', 1.0)], vec![('x', 1.0)]]);
}

#[test]
fn refine_finds_the_way_around_the_garden_path() {
    let (outcome, events) = solve(&GARDEN_PATH, Strategy::Refine(settings()), Budget::default());
    assert_eq!(best(&outcome).as_deref(), Some("by"));
    assert_eq!(outcome.stop, StopReason::Settled);
    // The second step of the draft has the larger entropy and goes first; it does not gain. The first step then does:
    // `c` lies beyond the mass of 0.9, so `b` alone is new.
    assert_eq!(branched(&events), vec![(1, "xyz".into(), 0), (0, "ab".into(), 0)]);
    assert!(events.iter().any(|e| matches!(e, Event::Settled { step: 1, gain: Some(g) } if *g < 0.0)));
    assert!(events.iter().any(|e| matches!(e, Event::Replaced { round: 2, gain: Some(g), .. } if *g > 0.01)));
    // The one new path that was asked about is `b`.
    assert_eq!(outcome.usage.queries, 3);
    // Scored: ax, ay, az, by.
    assert_eq!(outcome.scored, 4);
    assert_eq!(outcome.runners_up.len(), 3);
    assert_eq!(outcome.final_entropy[1], 0.0);
    assert!(outcome.draft_entropy[1] > 0.9);
    assert_eq!(outcome.best.unwrap().steps[0].covered, 0.9);
}

#[test]
fn the_gain_must_reach_delta_but_the_best_is_the_best() {
    let (outcome, events) =
        solve(&GARDEN_PATH, Strategy::Refine(settings().with_delta(5.0)), Budget::default());
    assert!(!events.iter().any(|e| matches!(e, Event::Replaced { .. })));
    assert_eq!(best(&outcome).as_deref(), Some("by"));
}

#[test]
fn a_gain_unsettles_what_follows_and_not_what_precedes() {
    // `b` wins at the first step; its own second step is then uncertain too and is branched in its turn.
    let table = Table {
        depth: 3,
        propose: &[
            ("", &[('a', 0.55), ('b', 0.45)]),
            ("a", &[('x', 0.5), ('y', 0.5)]),
            ("b", &[('x', 0.6), ('y', 0.4)]),
            ("ax", &[('m', 0.5), ('n', 0.5)]),
            ("ay", &[('m', 0.5), ('n', 0.5)]),
            ("bx", &[('m', 0.99), ('n', 0.01)]),
            ("by", &[('m', 0.99), ('n', 0.01)]),
        ],
        evaluate: &[],
        forbid: &[],
        short: &[],
    };
    let (outcome, events) = solve(&table, Strategy::Refine(settings()), Budget::default());
    assert_eq!(best(&outcome).as_deref(), Some("bxm"));
    // Of equal entropies the earlier step goes first.
    assert_eq!(branched(&events).iter().map(|b| b.0).collect::<Vec<_>>(), vec![1, 2, 0, 1]);
}

#[test]
fn evaluation_can_overrule_probability() {
    let table = Table {
        depth: 1,
        propose: &[("", &[('a', 0.6), ('b', 0.4)])],
        evaluate: &[("a", 0.2), ("b", 0.9)],
        forbid: &[],
        short: &[],
    };
    let (outcome, _) = solve(&table, Strategy::Refine(evaluating(0.5)), Budget::default());
    assert_eq!(best(&outcome).as_deref(), Some("b"));
    assert_eq!(outcome.best.unwrap().score.evaluation, Some(0.9));
    // With α = 1 an evaluation could change nothing, and none is asked for.
    let (outcome, _) = solve(&table, Strategy::Refine(evaluating(1.0)), Budget::default());
    assert_eq!(best(&outcome).as_deref(), Some("a"));
    assert_eq!(outcome.usage.queries, 1);
}

#[test]
fn a_failed_evaluation_leaves_a_draft_with_a_neutral_score() {
    let table = Table {
        depth: 1,
        propose: &[("", &[('a', 0.6), ('b', 0.4)])],
        evaluate: &[("b", 0.9)],
        forbid: &[],
        short: &[],
    };
    let (outcome, _) = solve(&table, Strategy::Refine(evaluating(0.5)), Budget::default());
    assert_eq!(outcome.stop, StopReason::QueryFailed("no evaluation of \"a\"".into()));
    let best = outcome.best.unwrap();
    assert_eq!(best.score.evaluation, None);
    assert!((best.score.total - 0.5 * 0.6f64.ln()).abs() < 1e-12);
}

#[test]
fn constraints_act_before_the_entropy_is_taken() {
    let forbid: &'static [&'static str] = &["ay", "az"];
    let (outcome, events) = solve(&Table { forbid, ..GARDEN_PATH }, Strategy::Greedy, Budget::default());
    let step = &outcome.best.unwrap().steps[1];
    assert_eq!(step.entropy, 0.0);
    assert_eq!(step.distribution, vec![('x', 1.0)]);
    assert!(events.contains(&Event::Pruned { path: vec!['a'], removed: vec!['y', 'z'] }));
}

#[test]
fn a_dead_draft_ends_greedy_and_not_refine() {
    let dead = || Table { forbid: &["ax", "ay", "az"], ..GARDEN_PATH };
    let (outcome, events) = solve(&dead(), Strategy::Greedy, Budget::default());
    assert_eq!((best(&outcome), outcome.stop), (None, StopReason::DeadEnd));
    assert!(outcome.posterior.is_empty());
    assert_eq!(outcome.draft_entropy.len(), 1);
    assert!(events.contains(&Event::Died { path: vec!['a'], reason: DeadReason::Constraints }));

    let (outcome, events) = solve(&dead(), Strategy::Refine(settings()), Budget::default());
    assert_eq!((best(&outcome).as_deref(), outcome.stop), (Some("by"), StopReason::Settled));
    assert_eq!(outcome.draft_entropy, outcome.final_entropy);
    assert!(events.iter().any(|e| matches!(e, Event::Replaced { gain: None, .. })));

    let all_dead = Table { forbid: &["a", "b", "c"], ..GARDEN_PATH };
    let (outcome, _) = solve(&all_dead, Strategy::Refine(settings()), Budget::default());
    assert_eq!((best(&outcome), outcome.stop), (None, StopReason::DeadEnd));
}

#[test]
fn each_bound_names_itself_and_keeps_the_draft() {
    let refine = Strategy::Refine(settings());
    for (budget, stop) in [
        (Budget::default().with_rounds(0), StopReason::Rounds),
        (Budget::default().with_queries(2), StopReason::Queries),
        (Budget::default().with_tokens(29, 10), StopReason::Tokens),
        (Budget::default().with_nodes(2), StopReason::Nodes),
    ] {
        let (outcome, _) = solve(&GARDEN_PATH, refine, budget);
        assert!(best(&outcome).is_some_and(|b| b.starts_with('a')), "{stop}");
        assert!(stop.is_bound());
        assert_eq!(outcome.stop, stop);
    }
    for (budget, stop) in [
        (Budget::default().with_queries(1), StopReason::Queries),
        (Budget::default().with_tokens(19, 10), StopReason::Tokens),
        (Budget::default().with_nodes(1), StopReason::Nodes),
        (Budget::default().with_depth(1), StopReason::Depth),
        (Budget::default().with_ticks(0), StopReason::Time),
    ] {
        for strategy in [refine, Strategy::Greedy] {
            let (outcome, _) = solve(&GARDEN_PATH, strategy, budget);
            assert_eq!((best(&outcome), &outcome.stop), (None, &stop));
            assert_eq!(outcome.usage.rounds, 0, "{stop}");
        }
    }
}

#[test]
fn a_round_takes_only_the_branches_that_the_budget_completes() {
    let table = Table {
        depth: 3,
        propose: &[
            ("", &[('a', 0.4), ('b', 0.3), ('c', 0.3)]),
            ("a", &[('x', 0.99), ('y', 0.01)]),
            ("b", &[('x', 0.99), ('y', 0.01)]),
            ("c", &[('x', 0.99), ('y', 0.01)]),
            ("ax", &[('m', 0.99), ('n', 0.01)]),
            ("bx", &[('m', 0.99), ('n', 0.01)]),
            ("cx", &[('m', 0.99), ('n', 0.01)]),
        ],
        evaluate: &[],
        forbid: &[],
        short: &[],
    };
    // The draft asks 3; each branch asks 2 more. Of the 3 that are left, `b` takes 2 and `c` is not begun.
    let (outcome, events) = solve(&table, Strategy::Refine(settings()), Budget::default().with_queries(6));
    assert_eq!(branched(&events), vec![(0, "ab".into(), 1)]);
    assert_eq!(outcome.usage.queries, 5);
    assert_eq!(outcome.scored, 2);
    assert_eq!(outcome.stop, StopReason::Queries);
    // With enough for all three, the branches of the round are asked at the same time.
    let mut search = Search::new(&table, Strategy::Refine(settings()), Budget::default(), 0).unwrap();
    let mut waves = Vec::new();
    while !search.is_done() {
        let wave = search.open();
        waves.push(wave.len());
        for (id, query) in wave {
            search.answer(id, table.answer(&query)).unwrap();
        }
    }
    assert_eq!(waves, vec![1, 1, 1, 2, 2]);
}

#[test]
fn a_failed_query_ends_the_search_with_the_best_so_far() {
    let broken = Table { propose: &GARDEN_PATH.propose[..2], ..GARDEN_PATH };
    let (outcome, _) = solve(&broken, Strategy::Refine(settings()), Budget::default());
    assert_eq!(outcome.stop, StopReason::QueryFailed("no row for \"b\"".into()));
    assert_eq!(best(&outcome).as_deref(), Some("ax"));
    assert_eq!(outcome.scored, 3);
}

#[test]
fn time_runs_out_in_the_middle_of_a_wave() {
    let budget = Budget::default().with_ticks(10);
    let mut search = Search::new(&GARDEN_PATH, Strategy::Refine(settings()), budget, 0).unwrap();
    let (id, query) = search.open().remove(0);
    search.answer(id, GARDEN_PATH.answer(&query)).unwrap();
    search.tick(9);
    assert!(!search.is_done());
    search.tick(100);
    let outcome = search.outcome().unwrap();
    assert_eq!((&outcome.stop, outcome.usage.ticks), (&StopReason::Time, 10));
    assert_eq!(outcome.draft_entropy.len(), 1);
    assert!(search.open().is_empty());
}

#[test]
fn an_empty_path_may_be_the_solution() {
    let table = Table { depth: 0, ..GARDEN_PATH };
    for strategy in [Strategy::Greedy, Strategy::Refine(settings())] {
        let (outcome, _) = solve(&table, strategy, Budget::default().with_queries(0));
        assert_eq!(best(&outcome).as_deref(), Some(""));
        assert!(outcome.stop.is_natural());
        assert!(outcome.posterior.is_empty());
    }
}

#[test]
fn a_step_that_was_settled_stays_so_when_a_later_one_gains() {
    let table = Table {
        depth: 2,
        propose: &[
            ("", &[('a', 0.5), ('b', 0.5)]),
            ("a", &[('x', 0.55), ('y', 0.45)]),
            ("b", &[('x', 0.55), ('y', 0.45)]),
        ],
        evaluate: &[("ax", 0.4), ("ay", 0.9), ("bx", 0.1)],
        forbid: &[],
        short: &[],
    };
    let (outcome, events) = solve(&table, Strategy::Refine(evaluating(0.5)), Budget::default());
    assert_eq!(branched(&events).iter().map(|b| b.0).collect::<Vec<_>>(), vec![0, 1]);
    assert_eq!((best(&outcome).as_deref(), outcome.stop), (Some("ay"), StopReason::Settled));
}

/// Three values of one step, each of which needs an evaluation; the last is the best.
const THREE_WAYS: Table = Table {
    depth: 1,
    propose: &[("", &[('a', 0.4), ('b', 0.35), ('c', 0.25)])],
    evaluate: &[("a", 0.3), ("b", 0.6), ("c", 0.9)],
    forbid: &[],
    short: &[],
};

#[test]
fn a_step_is_not_settled_while_the_budget_left_values_out() {
    // Draft: one proposal, one evaluation. The third evaluation is `b`, which gains; `c` is never reached.
    let refine = Strategy::Refine(evaluating(0.5));
    let (outcome, events) = solve(&THREE_WAYS, refine, Budget::default().with_queries(3));
    assert_eq!(branched(&events), vec![(0, "ab".into(), 1)]);
    assert_eq!((best(&outcome).as_deref(), outcome.stop), (Some("b"), StopReason::Queries));
    assert_eq!(outcome.usage.queries, 3);
}

#[test]
fn the_estimate_counts_evaluations() {
    let refine = Strategy::Refine(evaluating(0.5).with_rounds(2).with_branches(3));
    let most = refine.estimate(&&THREE_WAYS, &Budget::default()).unwrap();
    assert_eq!((most.rounds, most.queries, most.nodes, most.tokens), (2, 2 + 2 * 3, 1 + 2 * 3, None));
    let bounded = refine.estimate(&&THREE_WAYS, &Budget::default().with_tokens(70, 10)).unwrap();
    assert_eq!(bounded.tokens, Some(70));
    let (outcome, _) = solve(&THREE_WAYS, refine, Budget::default());
    assert_eq!((outcome.usage.queries, outcome.usage.nodes, best(&outcome).as_deref()), (4, 3, Some("c")));
}

#[test]
fn without_any_chain_a_branch_is_tried_even_if_it_may_not_fit() {
    // The draft dies at `a`. At worst `b` needs two queries more, and there is one; but `bx` is complete already.
    let table = Table {
        depth: 3,
        propose: &[("", &[('a', 0.6), ('b', 0.4)]), ("a", &[('x', 1.0)]), ("b", &[('x', 1.0)])],
        evaluate: &[],
        forbid: &["ax"],
        short: &["bx"],
    };
    let (outcome, _) = solve(&table, Strategy::Refine(settings()), Budget::default().with_queries(3));
    assert_eq!(best(&outcome).as_deref(), Some("bx"));
    assert_eq!(outcome.stop, StopReason::Settled);
}

#[test]
fn of_several_failures_the_first_query_is_named() {
    let broken = Table {
        depth: 2,
        propose: &[("", &[('a', 0.4), ('b', 0.3), ('c', 0.3)]), ("a", &[('x', 1.0)])],
        evaluate: &[],
        forbid: &[],
        short: &[],
    };
    let mut search = Search::new(&broken, Strategy::Refine(settings()), Budget::default(), 0).unwrap();
    while !search.is_done() {
        for (id, query) in search.open().into_iter().rev() {
            search.answer(id, broken.answer(&query)).unwrap();
        }
    }
    let outcome = search.outcome().unwrap();
    assert_eq!(outcome.stop, StopReason::QueryFailed("no row for \"b\"".into()));
    assert_eq!(best(outcome).as_deref(), Some("ax"));
}

/// `by` is best, and both of its steps are away from the draft: nothing that differs in one step is better than the draft.
const LOCAL_OPTIMUM: Table = Table {
    depth: 2,
    propose: &[
        ("", &[('a', 0.6), ('b', 0.4)]),
        ("a", &[('x', 0.6), ('y', 0.4)]),
        ("b", &[('x', 0.6), ('y', 0.4)]),
    ],
    evaluate: &[("ax", 0.5), ("ay", 0.3), ("bx", 0.4), ("by", 0.9)],
    forbid: &[],
    short: &[],
};

#[test]
fn a_second_incumbent_leads_out_of_a_local_optimum() {
    let (one, _) = solve(&LOCAL_OPTIMUM, Strategy::Refine(evaluating(0.0)), Budget::default());
    assert_eq!((best(&one).as_deref(), &one.stop), (Some("ax"), &StopReason::Settled));
    let config = evaluating(0.0).with_incumbents(2);
    let (two, events) = solve(&LOCAL_OPTIMUM, Strategy::Refine(config), Budget::default());
    assert_eq!((best(&two).as_deref(), &two.stop), (Some("by"), &StopReason::Settled));
    // The first step was tried with the first incumbent, and is not branched again.
    assert_eq!(branched(&events), [(0, "ab".into(), 0), (1, "xy".into(), 0), (1, "xy".into(), 0)]);
    assert!(events.iter().any(|event| matches!(event, Event::Switched { path } if *path == ['b', 'x'])));
}
