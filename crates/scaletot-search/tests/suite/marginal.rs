//! `Marginal` against the sum over all complete paths.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::common::entangled::{Entangled, entangled};
use crate::common::table::Table;
use crate::common::{Wild, marginal, wild};
use proptest::prelude::*;
use scaletot_search::{
    Answer, Budget, DeadReason, Event, MarginalConfig, Outcome, Problem, Query, RefineConfig, Search,
    StepMarginal, StopReason, Strategy as Search_, drive,
};

/// All complete paths with their probabilities, and the contexts that were passed.
#[derive(Default)]
struct Truth {
    paths: Vec<(Vec<u8>, f64)>,
    contexts: HashSet<(usize, String)>,
}

impl Truth {
    fn of<P: Problem<Thought = u8>>(problem: &P, answer: &impl Fn(&Query<u8>) -> Answer<u8>) -> Self {
        let mut truth = Truth::default();
        truth.follow(problem, answer, &mut Vec::new(), 1.0);
        truth
    }

    fn follow<P: Problem<Thought = u8>>(
        &mut self,
        problem: &P,
        answer: &impl Fn(&Query<u8>) -> Answer<u8>,
        path: &mut Vec<u8>,
        probability: f64,
    ) {
        if problem.is_complete(path) {
            self.paths.push((path.clone(), probability));
            return;
        }
        if path.len() >= problem.depth() {
            return;
        }
        let name = problem.context(path).map_or_else(|| format!("{path:?}"), |name| name.to_string());
        self.contexts.insert((path.len(), name));
        let Answer::Proposals(proposals) = answer(&Query::propose(path.clone())) else {
            panic!("an answer without proposals");
        };
        let items = proposals.into_items();
        let open: Vec<_> =
            items.into_iter().filter(|(t, m)| *m > 0.0 && problem.admissible(path, t)).collect();
        let total: f64 = open.iter().map(|(_, m)| m).sum();
        for (thought, mass) in open {
            path.push(thought);
            self.follow(problem, answer, path, probability * mass / total);
            path.pop();
        }
    }

    /// The marginal of each step over the complete paths that have it.
    fn marginals(&self) -> Vec<BTreeMap<u8, f64>> {
        let steps = self.paths.iter().map(|(path, _)| path.len()).max().unwrap_or(0);
        let of_step = |k: usize| {
            let here = self.paths.iter().filter_map(|(path, p)| Some((*path.get(k)?, *p)));
            let total: f64 = here.clone().map(|(_, p)| p).sum();
            let mut marginal = BTreeMap::new();
            here.for_each(|(thought, p)| *marginal.entry(thought).or_insert(0.0) += p / total);
            marginal
        };
        (0..steps).map(of_step).collect()
    }
}

fn searched<P: Problem<Thought = u8>>(
    problem: P,
    config: MarginalConfig,
    budget: Budget,
    answer: &impl Fn(&Query<u8>) -> Answer<u8>,
) -> Search<P> {
    let mut search = Search::new(problem, Search_::Marginal(config), budget, 0).expect("a valid config");
    drive(&mut search, |query| answer(query)).expect("well-formed answers");
    search
}

fn outcome<P: Problem<Thought = u8>>(search: &Search<P>) -> &Outcome<u8> {
    search.outcome().expect("a finished search")
}

/// Mean total variation of a posterior from the truth; a step that is not there is wrong.
fn error(posterior: &[Vec<(u8, f64)>], truth: &[BTreeMap<u8, f64>]) -> f64 {
    let of_step = |(k, truth): (usize, &BTreeMap<u8, f64>)| {
        let found: HashMap<u8, f64> = posterior.get(k).into_iter().flatten().copied().collect();
        if found.is_empty() {
            return 1.0;
        }
        let values: HashSet<u8> = truth.keys().chain(found.keys()).copied().collect();
        let p = |v: &u8| truth.get(v).copied().unwrap_or(0.0) - found.get(v).copied().unwrap_or(0.0);
        values.iter().map(|v| p(v).abs()).sum::<f64>() / 2.0
    };
    truth.iter().enumerate().map(of_step).sum::<f64>() / truth.len().max(1) as f64
}

fn check_whole<P: Problem<Thought = u8> + Clone>(
    problem: &P,
    config: MarginalConfig,
    answer: &impl Fn(&Query<u8>) -> Answer<u8>,
) -> std::result::Result<(), TestCaseError> {
    let truth = Truth::of(problem, answer);
    let search = searched(problem.clone(), config, Budget::default(), answer);
    let outcome = outcome(&search);
    prop_assert_eq!(outcome.usage.queries, truth.contexts.len() as u64);
    prop_assert!(error(&outcome.posterior, &truth.marginals()) < 1e-9);
    prop_assert_eq!(outcome.posterior.len(), truth.marginals().len());
    prop_assert!(outcome.marginals.iter().all(|step| step.width() < 1e-9));
    let top = truth.paths.iter().map(|(_, p)| *p).fold(0.0, f64::max);
    prop_assert_eq!(outcome.best.is_some(), !truth.paths.is_empty());
    if let Some(best) = &outcome.best {
        prop_assert!(best.steps.iter().map(|s| s.probability).product::<f64>() >= top * (1.0 - 1e-9));
        prop_assert_eq!(&outcome.stop, &StopReason::Complete);
    } else {
        prop_assert_eq!(&outcome.stop, &StopReason::DeadEnd);
    }
    // The listed paths are the most probable ones, each once.
    let mut sorted: Vec<f64> = truth.paths.iter().map(|(_, p)| *p).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let listed: Vec<_> = outcome.best.iter().chain(&outcome.runners_up).collect();
    prop_assert_eq!(listed.len(), sorted.len().min(config.keep));
    prop_assert_eq!(listed.iter().map(|p| &p.path).collect::<HashSet<_>>().len(), listed.len());
    for (path, probability) in listed.iter().zip(sorted) {
        let found: f64 = path.steps.iter().map(|s| s.probability).product();
        prop_assert!((found - probability).abs() < 1e-9);
    }
    Ok(())
}

fn check_anytime<P: Problem<Thought = u8> + Clone>(
    problem: &P,
    config: MarginalConfig,
    answer: &impl Fn(&Query<u8>) -> Answer<u8>,
) -> std::result::Result<(), TestCaseError> {
    let truth = Truth::of(problem, answer);
    let marginals = truth.marginals();
    // The interval that a thought had before, by step.
    let mut before: Vec<HashMap<u8, (f64, f64)>> = vec![HashMap::new(); marginals.len()];
    let mut unlisted_before = vec![1.0; marginals.len()];
    for queries in 0..=truth.contexts.len() as u64 {
        let search = searched(problem.clone(), config, Budget::default().with_queries(queries), answer);
        let outcome = outcome(&search);
        prop_assert!(outcome.usage.queries <= queries);
        for (k, (step, marginal)) in outcome.posterior.iter().zip(&outcome.marginals).enumerate() {
            prop_assert!((step.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9);
            // A tree without complete paths has no marginals.
            let Some(truth) = marginals.get(k) else { continue };
            let mut listed = HashMap::new();
            for ((thought, p), (same, low, high)) in step.iter().zip(&marginal.intervals) {
                prop_assert_eq!(thought, same);
                prop_assert!(low - 1e-9 <= *p && *p <= high + 1e-9, "{p} not in {low} to {high}");
                let exact = truth.get(thought).copied().unwrap_or(0.0);
                prop_assert!(
                    low - 1e-9 <= exact && exact <= high + 1e-9,
                    "after {queries}: {exact} not in {low} to {high}"
                );
                let old = before[k].get(thought).copied().unwrap_or((0.0, unlisted_before[k]));
                prop_assert!(old.0 - 1e-9 <= *low && *high <= old.1 + 1e-9, "{old:?} to {low} {high}");
                listed.insert(*thought, (*low, *high));
            }
            for (_, p) in truth.iter().filter(|(thought, _)| !listed.contains_key(thought)) {
                prop_assert!(*p <= marginal.unlisted + 1e-9);
            }
            prop_assert!(marginal.unlisted <= unlisted_before[k] + 1e-9);
            (before[k], unlisted_before[k]) = (listed, marginal.unlisted);
        }
    }
    Ok(())
}

fn small(problem: Wild) -> Wild {
    Wild { depth: problem.depth.min(4), width: problem.width.min(3), ..problem }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn without_bounds_the_marginals_are_the_sums_over_all_paths_at_one_question_a_context(
        problem in entangled(), config in marginal(),
    ) {
        check_whole(&problem, config, &|query| problem.answer(query))?;
    }

    #[test]
    fn the_same_holds_where_paths_end_early_or_dead(problem in wild(), config in marginal()) {
        let problem = small(problem);
        check_whole(&problem, config, &|query| problem.answer(query))?;
    }

    #[test]
    fn intervals_hold_the_truth_and_never_widen(problem in entangled(), config in marginal()) {
        check_anytime(&problem, config, &|query| problem.answer(query))?;
    }

    #[test]
    fn intervals_hold_the_truth_where_paths_end_early_or_dead(problem in wild(), config in marginal()) {
        let problem = small(problem);
        check_anytime(&problem, config, &|query| problem.answer(query))?;
    }

    #[test]
    fn a_search_whose_paths_share_answers_resumes_from_any_prefix(
        problem in entangled(), config in marginal(), queries in 0u64..20, cut in 0.0..1.0f64,
    ) {
        let (strategy, budget) = (Search_::Marginal(config), Budget::default().with_queries(queries));
        let search = searched(problem.clone(), config, budget, &|query| problem.answer(query));
        let prefix = search.trace().prefix((cut * search.trace().len() as f64) as usize);
        let mut resumed = Search::replay(problem.clone(), strategy, budget, 0, &prefix).expect("its own trace");
        while let Some((id, query)) = resumed.open().into_iter().next_back() {
            resumed.answer(id, problem.answer(&query)).expect("a well-formed answer");
        }
        prop_assert_eq!(resumed.outcome(), search.outcome());
    }

    #[test]
    fn a_path_is_known_as_soon_as_the_bound_carries_one(problem in entangled(), config in marginal()) {
        let problem = Entangled { rules: Vec::new(), ..problem };
        let budget = Budget::default().with_queries(problem.depth() as u64);
        let search = searched(problem.clone(), config, budget, &|query| problem.answer(query));
        let best = outcome(&search).best.clone().expect("the draft");
        prop_assert_eq!(Some(best.score), outcome(&search).draft_score);
    }
}

/// Two steps; after `a` everything is open, `b` leads nowhere, and `c` is hardly ever taken.
const DEAD_BRANCH: Table = Table {
    depth: 2,
    propose: &[
        ("", &[('a', 0.5), ('b', 0.3), ('c', 0.2)]),
        ("a", &[('x', 0.6), ('y', 0.4)]),
        ("b", &[('x', 0.5), ('y', 0.5)]),
        ("c", &[('y', 1.0)]),
    ],
    evaluate: &[],
    forbid: &["bx", "by"],
    short: &[],
};

fn of_table(budget: Budget) -> (Outcome<char>, Vec<Event<char>>) {
    let strategy = Search_::Marginal(MarginalConfig::default().with_parallel(1));
    let mut search = Search::new(&DEAD_BRANCH, strategy, budget, 0).unwrap();
    drive(&mut search, |q| DEAD_BRANCH.answer(q)).unwrap();
    let (outcome, trace) = search.into_parts();
    (outcome.unwrap(), trace.events().to_vec())
}

#[test]
fn the_probability_of_a_dead_branch_goes_to_the_others() {
    let (outcome, events) = of_table(Budget::default());
    let close = |found: &[(char, f64)], expected: &[(char, f64)]| {
        let same = |((a, p), (b, q)): (&(char, f64), &(char, f64))| a == b && (p - q).abs() < 1e-12;
        found.len() == expected.len() && found.iter().zip(expected).all(same)
    };
    assert!(close(&outcome.posterior[0], &[('a', 0.5 / 0.7), ('c', 0.2 / 0.7)]), "{:?}", outcome.posterior);
    assert!(close(&outcome.posterior[1], &[('x', 0.3 / 0.7), ('y', 0.4 / 0.7)]), "{:?}", outcome.posterior);
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Died { path, reason: DeadReason::Constraints } if *path == ['b']))
    );
    assert!(outcome.exhaustive && outcome.stop == StopReason::Complete);
    let paths: Vec<String> =
        outcome.best.iter().chain(&outcome.runners_up).map(|p| p.path.iter().collect()).collect();
    assert_eq!(paths, ["ax", "ay", "cy"]);
}

#[test]
fn what_was_not_asked_may_be_dead_unless_the_problem_knows_better() {
    // The first two questions are the draft. `b` and `c` hold half of the probability, and may be dead.
    let (outcome, _) = of_table(Budget::default().with_queries(2));
    assert_eq!(outcome.stop, StopReason::Queries);
    assert!(!outcome.exhaustive);
    let first = &outcome.marginals[0].intervals;
    assert_eq!(first.iter().map(|(t, ..)| *t).collect::<Vec<_>>(), ['a', 'b', 'c']);
    assert!((first[0].1 - 0.5).abs() < 1e-12 && (first[0].2 - 1.0).abs() < 1e-12, "{first:?}");
    assert!(first[1].1 == 0.0 && (first[1].2 - 0.3 / 0.8).abs() < 1e-12, "{first:?}");
    // The middle of what is possible if nothing is dead: at the second step half is known, and half is shared evenly.
    assert!((outcome.posterior[0][0].1 - 0.5).abs() < 1e-12);
    assert!((outcome.posterior[1][0].1 - (0.3 + 0.25)).abs() < 1e-12);

    let problem = Entangled::markov(3, 2, 2, 1);
    let search =
        searched(problem.clone(), MarginalConfig::default(), Budget::default().with_queries(2), &|q| {
            problem.answer(q)
        });
    let found = self::outcome(&search);
    assert!(found.marginals[0].width() < 1e-12, "nothing before the first step is open: {found:?}");
    let held = found.posterior[0][1].1;
    assert!((found.marginals[1].width() - held).abs() < 1e-12, "{found:?}");
}

#[test]
fn states_that_nobody_tells_of_are_asked_about_once_whatever_constraints_look_at() {
    // Nothing depends on anything, and yet the first state rules out a value of the last.
    let problem = Entangled {
        parents: vec![Vec::new(); 5],
        rules: vec![(0, 1, 4, 0), (1, 2, 3, 1)],
        ..Entangled::markov(5, 5, 4, 0)
    };
    let truth = Truth::of(&problem, &|q| problem.answer(q));
    let search =
        searched(problem.clone(), MarginalConfig::default(), Budget::default(), &|q| problem.answer(q));
    assert_eq!(outcome(&search).usage.queries, 5);
    assert!(error(&outcome(&search).posterior, &truth.marginals()) < 1e-12);
    // Bounded nodes hold some of the paths that share an answer back; what is known of the others stays right.
    let bounded =
        searched(problem.clone(), MarginalConfig::default(), Budget::default().with_nodes(5), &|q| {
            problem.answer(q)
        });
    assert_eq!((outcome(&bounded).stop.clone(), outcome(&bounded).usage.nodes), (StopReason::Nodes, 5));
    assert!(!outcome(&bounded).exhaustive && outcome(&bounded).best.is_some());
}

#[test]
fn long_chains_of_close_dependencies_stay_small() {
    // 4^40 chains of 157 contexts; forward sums are exact.
    let problem = Entangled::markov(11, 40, 4, 1);
    let search =
        searched(problem.clone(), MarginalConfig::default(), Budget::default(), &|q| problem.answer(q));
    let outcome = outcome(&search);
    assert_eq!((outcome.usage.queries, outcome.posterior.len()), (157, 40));
    assert!(outcome.marginals.iter().all(|step| step.width() < 1e-12));
    assert!(outcome.exhaustive);
    let merged = search.trace().events().iter().filter(|e| matches!(e, Event::Merged { .. })).count();
    assert_eq!(merged, 38 * 12);
    assert!(search.trace().to_dot().contains("merged"));
}

#[test]
fn several_contexts_are_open_at_a_time_once_there_is_a_path() {
    let problem = Entangled::markov(3, 4, 3, 2);
    let config = MarginalConfig::default().with_parallel(5);
    let mut search = Search::new(problem.clone(), Search_::Marginal(config), Budget::default(), 0).unwrap();
    let mut waves = Vec::new();
    while !search.is_done() {
        let open = search.open();
        waves.push(open.len());
        for (id, query) in open.into_iter().rev() {
            search.answer(id, problem.answer(&query)).unwrap();
        }
    }
    // 1 + 3 + 9 + 9 contexts, four of them the draft's; at times fewer than five are known.
    assert_eq!((&waves[..5], waves.iter().sum::<usize>()), (&[1, 1, 1, 1, 5][..], 22), "{waves:?}");
}

/// Planted problems: five states of four values that each depend on the two before, with answers from unsure to clear. The error of the
/// marginals against that of the posterior over the paths that `Refine` scores; `even` is the error of knowing nothing.
#[test]
fn marginals_err_less_than_scored_paths_at_the_same_number_of_questions() {
    println!("entropy questions    even  refine marginal  width");
    for sharpness in [1, 3, 8] {
        let problems: Vec<Entangled> =
            (0..12).map(|seed| Entangled { sharpness, ..Entangled::markov(seed, 5, 4, 2) }).collect();
        let count = problems.len() as f64;
        for queries in [5, 8, 12, 16, 24, 32, 53] {
            let budget = Budget::default().with_queries(queries);
            let (mut even, mut refined, mut summed, mut width, mut entropy) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for problem in &problems {
                let answer = |query: &Query<u8>| problem.answer(query);
                let truth = Truth::of(problem, &answer).marginals();
                let refine = RefineConfig::default().with_rounds(100);
                let mut search = Search::new(problem.clone(), Search_::Refine(refine), budget, 0).unwrap();
                drive(&mut search, answer).unwrap();
                refined += error(&outcome(&search).posterior, &truth) / count;
                let search = searched(problem.clone(), MarginalConfig::default(), budget, &answer);
                let found = outcome(&search);
                summed += error(&found.posterior, &truth) / count;
                even += error(&vec![(0..4).map(|value| (value, 0.25)).collect(); 5], &truth) / count;
                width += found.marginals.iter().map(StepMarginal::width).sum::<f64>() / 5.0 / count;
                entropy += found.draft_entropy.iter().sum::<f64>() / 5.0 / count;
            }
            println!("{entropy:>7.2} {queries:>9} {even:>7.3} {refined:>7.3} {summed:>8.3} {width:>6.3}");
            assert!(summed < refined && summed < even, "{queries} questions: {summed}, {refined}, {even}");
        }
    }
}
