//! `Bfs`, `Dfs`, `Beam`, `SelfConsistency` and `BestOfN`: small trees followed by hand, and what holds of any tree.

use std::collections::{HashMap, HashSet};

use crate::common::table::Table;
use crate::common::{self, Wild, bfs, budget, dfs, run, wild};
use proptest::prelude::*;
use scaletot_search::{
    Answer, BeamConfig, BestOfNConfig, BfsConfig, Budget, DfsConfig, Evaluation, Event, Generation, Outcome,
    Problem, Query, RefineConfig, ScoreConfig, Search, SelfConsistencyConfig, StopReason,
    Strategy as Search_, drive,
};

/// Behind the most probable first thought evaluations are poor; `cy` is the best there is.
const HILLS: Table = Table {
    depth: 2,
    propose: &[
        ("", &[('a', 0.6), ('b', 0.3), ('c', 0.1)]),
        ("a", &[('x', 0.9), ('y', 0.1)]),
        ("b", &[('x', 0.5), ('y', 0.5)]),
        ("c", &[('x', 0.2), ('y', 0.8)]),
    ],
    evaluate: &[
        ("a", 0.2),
        ("b", 0.0),
        ("c", 0.7),
        ("ax", 0.3),
        ("ay", 0.1),
        ("bx", 0.9),
        ("by", 0.9),
        ("cx", 0.4),
        ("cy", 0.95),
    ],
    forbid: &[],
    short: &[],
};

fn by_value() -> ScoreConfig {
    ScoreConfig::default().with_alpha(0.0).with_lambda(0.0)
}

fn solve(table: &Table, strategy: Search_, budget: Budget) -> (Outcome<char>, Vec<String>) {
    let mut search = Search::new(table, strategy, budget, 3).unwrap();
    let mut asked = Vec::new();
    drive(&mut search, |query| {
        let name = |path: &[char]| path.iter().collect::<String>();
        asked.push(match query {
            Query::Propose { path, .. } => format!("{}?", name(path)),
            Query::Evaluate { path, .. } => format!("{}!", name(path)),
            Query::Vote { paths, .. } => {
                format!("vote {}", paths.iter().map(|p| name(p)).collect::<Vec<_>>().join(" "))
            }
            other => format!("{other:?}"),
        });
        table.answer(query)
    })
    .unwrap();
    (search.into_parts().0.unwrap(), asked)
}

fn best(outcome: &Outcome<char>) -> String {
    outcome.best.as_ref().map_or_else(String::new, |best| best.path.iter().collect())
}

#[test]
fn bfs_follows_the_most_promising_paths_of_a_level() {
    let config = BfsConfig::default().with_breadth(1).with_score(by_value());
    let (outcome, asked) = solve(&HILLS, Search_::Bfs(config), Budget::default());
    assert_eq!(asked, ["?", "a!", "b!", "c!", "c?", "cy!", "cx!"]);
    assert_eq!((best(&outcome).as_str(), outcome.stop), ("cy", StopReason::Complete));
    // `a` was left out, so nothing is proved; of `b` nothing can come, whatever lies behind it.
    assert!(!outcome.exhaustive);
    let (outcome, asked) = solve(&HILLS, Search_::Bfs(config.with_breadth(2)), Budget::default());
    assert_eq!(asked.len(), 4 + 2 + 4);
    assert!(outcome.exhaustive);
    assert_eq!(outcome.scored, 4);
}

#[test]
fn a_vote_is_one_query_for_all_candidates() {
    let config =
        BfsConfig::default().with_breadth(1).with_evaluation(Evaluation::Vote).with_score(by_value());
    let (outcome, asked) = solve(&HILLS, Search_::Bfs(config), Budget::default());
    assert_eq!(asked, ["?", "vote a b c", "c?", "vote cy cx"]);
    assert_eq!(best(&outcome), "cy");
    // Votes are shares: 0.95 of 0.4 + 0.95.
    let evaluation = outcome.best.unwrap().score.evaluation.unwrap();
    assert!((evaluation - 0.95 / 1.35).abs() < 1e-12);
}

#[test]
fn dfs_goes_deep_first_and_comes_back() {
    let config = DfsConfig::default().with_score(by_value());
    let (outcome, asked) = solve(&HILLS, Search_::Dfs(config), Budget::default());
    assert_eq!(asked, ["?", "a!", "b!", "c!", "c?", "cy!", "cx!", "a?", "ax!", "ay!"]);
    assert_eq!((best(&outcome).as_str(), outcome.stop.clone()), ("cy", StopReason::Complete));
    assert!(outcome.exhaustive);
    // Below the threshold nothing is followed, and the first path that is good enough ends it.
    let (outcome, asked) = solve(&HILLS, Search_::Dfs(config.with_threshold(0.5)), Budget::default());
    assert_eq!(asked.len(), 7);
    assert!(!outcome.exhaustive);
    let (outcome, asked) = solve(&HILLS, Search_::Dfs(config.with_accept(Some(0.3))), Budget::default());
    assert_eq!((asked.len(), outcome.stop), (7, StopReason::Accepted));
}

#[test]
fn a_beam_goes_by_probability_and_asks_for_no_evaluation() {
    let beam = |width| {
        let config = BeamConfig::default().with_width(width).with_score(by_value());
        solve(&HILLS, Search_::Beam(config), Budget::default())
    };
    let (outcome, asked) = beam(1);
    assert_eq!((best(&outcome).as_str(), asked), ("ax", vec!["?".to_owned(), "a?".to_owned()]));
    let (outcome, asked) = beam(3);
    assert_eq!(asked, ["?", "a?", "b?", "c?"]);
    let listed: Vec<String> =
        outcome.best.iter().chain(&outcome.runners_up).map(|path| path.path.iter().collect()).collect();
    // 0.54, 0.15, 0.15, 0.08.
    assert_eq!(listed, ["ax", "bx", "by", "cy"]);
}

#[test]
fn samples_at_the_same_path_share_their_question() {
    let config = SelfConsistencyConfig::default().with_samples(200);
    let (outcome, asked) = solve(&HILLS, Search_::SelfConsistency(config), Budget::default());
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(best(&outcome), "ax");
    let samples: u64 = outcome.best.iter().chain(&outcome.runners_up).map(|path| path.samples).sum();
    assert!(samples > 180 && samples <= 200, "four of six paths are listed, with {samples} samples");
    // The posterior is the share of samples; `a` has 0.6, five standard errors are 0.17.
    let of_a = outcome.posterior[0].iter().find(|(thought, _)| *thought == 'a').unwrap().1;
    assert!((of_a - 0.6).abs() < 0.17, "{of_a}");
}

/// Counting to four in steps of one or two: many paths, one answer. The single most probable path leads elsewhere.
struct Sums;

impl Problem for Sums {
    type Thought = u8;
    fn depth(&self) -> usize {
        3
    }
    fn is_complete(&self, path: &[u8]) -> bool {
        path.len() == 3
    }
    fn state(&self, path: &[u8]) -> Option<u128> {
        Some((path.len() as u128) << 8 | path.iter().map(|t| u128::from(*t)).sum::<u128>())
    }
}

fn sums(query: &Query<u8>) -> Answer<u8> {
    let total: u8 = query.path().iter().sum();
    match (query.path().len(), total) {
        // After 3 and 4 the most probable third step misses 6; all three ways to 6 together are more probable.
        (2, 2) => Answer::exact(vec![(0, 0.55), (4, 0.45)]),
        (2, 3) => Answer::exact(vec![(3, 1.0)]),
        (2, 4) => Answer::exact(vec![(2, 1.0)]),
        _ => Answer::exact(vec![(1, 0.6), (2, 0.4)]),
    }
}

#[test]
fn self_consistency_takes_the_answer_and_beam_the_path() {
    let solve = |strategy| {
        let mut search = Search::new(Sums, strategy, Budget::default(), 11).unwrap();
        drive(&mut search, sums).unwrap();
        search.into_parts().0.unwrap()
    };
    let voted = solve(Search_::SelfConsistency(SelfConsistencyConfig::default().with_samples(300)));
    let best = voted.best.unwrap();
    assert_eq!(best.path.iter().sum::<u8>(), 6);
    // Paths [1, 2, 3] and [2, 1, 3] meet before their last question, which is asked once.
    assert_eq!(voted.usage.queries, 1 + 2 + 3);
    let all = solve(Search_::Beam(BeamConfig::default().with_width(8)));
    // 0.6 · 0.4 · 1 for [1, 2, 3] beats 0.36 · 0.55 for [1, 1, 0]; [2, 1] is merged with [1, 2].
    assert_eq!(all.best.unwrap().path, [1, 2, 3]);
    assert_eq!(all.usage.queries, 1 + 2 + 3);
    assert!(all.exhaustive);
}

#[test]
fn best_of_n_takes_the_best_score_and_keeps_to_its_budget() {
    let config = BestOfNConfig::default().with_samples(400).with_score(by_value());
    let (outcome, _) = solve(&HILLS, Search_::BestOfN(config), Budget::default());
    assert_eq!(best(&outcome), "cy");
    // 7 queries carry two samples of at most 3 each; a third begins if the first two met.
    let budget = Budget::default().with_queries(7);
    let (outcome, asked) = solve(&HILLS, Search_::BestOfN(config), budget);
    assert!(asked.len() <= 7);
    assert_eq!(outcome.stop, StopReason::Queries);
    let ended: u64 = outcome.best.iter().chain(&outcome.runners_up).map(|path| path.samples).sum();
    assert!(ended >= 2, "no sample that was begun is lost to the bound");
}

/// A bound costs what was not asked, and not what was answered.
#[test]
fn a_bound_leaves_the_best_so_far() {
    let beam = Search_::Beam(BeamConfig::default().with_width(3));
    // One query for the first level, two of three for the second.
    let (outcome, asked) = solve(&HILLS, beam, Budget::default().with_queries(3));
    assert_eq!((asked.len(), outcome.stop.clone()), (3, StopReason::Queries));
    assert_eq!((best(&outcome).as_str(), outcome.exhaustive), ("ax", false));
    // A complete path whose evaluation is not to be had counts as neither good nor bad.
    for strategy in [Search_::Bfs(BfsConfig::default()), Search_::Dfs(DfsConfig::default())] {
        let shallow = Table { depth: 1, ..HILLS };
        let (outcome, asked) = solve(&shallow, strategy, Budget::default().with_queries(1));
        assert_eq!((asked.len(), best(&outcome).as_str()), (1, "a"));
        assert_eq!(outcome.best.unwrap().score.evaluation, None);
    }
}

/// Letters whose last one is all that matters; `g` is a goal.
struct Last;

impl Problem for Last {
    type Thought = char;
    fn depth(&self) -> usize {
        3
    }
    fn is_complete(&self, path: &[char]) -> bool {
        path.ends_with(&['g'])
    }
    fn state(&self, path: &[char]) -> Option<u128> {
        path.last().map(|last| u128::from(u32::from(*last)))
    }
}

#[test]
fn a_state_that_came_too_late_is_no_proof_for_one_that_did_not() {
    let answer = |query: &Query<char>| match query.path().last() {
        None => Answer::exact(vec![('a', 0.9), ('z', 0.1)]),
        Some('a') => Answer::exact(vec![('c', 1.0)]),
        Some('c' | 'z') => Answer::exact(vec![('b', 1.0)]),
        _ => Answer::exact(vec![('g', 1.0)]),
    };
    let mut search = Search::new(Last, Search_::Dfs(DfsConfig::default()), Budget::default(), 0).unwrap();
    let outcome = drive(&mut search, answer).unwrap();
    assert_eq!(outcome.best.as_ref().unwrap().path, ['z', 'b', 'g']);
}

/// The best score of all complete paths, by going through all of them; `None` if there is none.
fn brute_force(problem: &Wild, path: &mut Vec<u8>, parts: &mut Vec<(f64, f64)>) -> Option<f64> {
    if problem.is_complete(path) {
        let n = parts.len().max(1) as f64;
        return Some(parts.iter().map(|(q, h)| q.max(1e-12).ln() - 0.5 * h).sum::<f64>() / n);
    }
    if path.len() >= problem.depth {
        return None;
    }
    let mut search =
        Search::new(Rooted(problem, path.clone()), Search_::Greedy, Budget::default(), 0).ok()?;
    let (id, _) = search.open().into_iter().next()?;
    search.answer(id, problem.answer(&Query::propose(path.clone()))).ok()?;
    // The engine's own constrained distribution and entropy at this path.
    let (distribution, entropy) = search.trace().events().iter().find_map(|event| match event {
        Event::Expanded { distribution, entropy, .. } => Some((distribution.clone(), *entropy)),
        _ => None,
    })?;
    let mut best = None;
    for (thought, q) in distribution {
        path.push(thought);
        parts.push((q, entropy));
        best = brute_force(problem, path, parts).into_iter().chain(best).reduce(f64::max);
        parts.pop();
        path.pop();
    }
    best
}

/// A problem as seen from one of its paths.
struct Rooted<'a>(&'a Wild, Vec<u8>);

impl Rooted<'_> {
    fn whole(&self, path: &[u8]) -> Vec<u8> {
        self.1.iter().chain(path).copied().collect()
    }
}

impl Problem for Rooted<'_> {
    type Thought = u8;
    fn depth(&self) -> usize {
        1
    }
    fn is_complete(&self, path: &[u8]) -> bool {
        !path.is_empty()
    }
    fn admissible(&self, path: &[u8], thought: &u8) -> bool {
        self.0.admissible(&self.whole(path), thought)
    }
    fn domain_size(&self, path: &[u8]) -> Option<usize> {
        self.0.domain_size(&self.whole(path))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// With nothing left out, every search that can go on sees every path and finds the best one, or proves that there is none.
    #[test]
    fn searching_everything_finds_the_best(problem in wild()) {
        let problem = Wild { evaluates: false, depth: problem.depth.min(4), ..problem };
        let score = ScoreConfig::default().with_alpha(1.0).with_lambda(0.5);
        let generation = Generation::Propose { max: None };
        let wide = BfsConfig::default().with_breadth(usize::MAX).with_generation(generation).with_score(score);
        let deep = DfsConfig::default().with_generation(generation).with_score(score);
        let expected = brute_force(&problem, &mut Vec::new(), &mut Vec::new());
        let all = RefineConfig::default().with_rounds(u32::MAX).with_branches(usize::MAX).with_incumbents(u32::MAX);
        let refined = all.with_tau(0.0).with_rho(1.0).with_score(score);
        for strategy in [Search_::Bfs(wide), Search_::Dfs(deep), Search_::Refine(refined)] {
            let mut search = Search::new(problem, strategy, Budget::default(), 0).unwrap();
            run(&mut search, |_| 0);
            let outcome = search.outcome().unwrap();
            let found = outcome.best.as_ref().map(|best| best.score.total);
            prop_assert_eq!(found.is_some(), expected.is_some());
            if let (Some(found), Some(expected)) = (found, expected) {
                // Depth first, of several paths to one state the first is followed, which need not be the best.
                let first = problem.merges && matches!(strategy, Search_::Dfs(_)) && found < expected;
                prop_assert!(first || (found - expected).abs() < 1e-9, "{found} {expected}");
            }
            let partial = search.trace().events().iter().any(|e| matches!(e, Event::Expanded { interval: Some(_), .. }));
            prop_assert!(outcome.exhaustive || partial);
            let enough = if matches!(strategy, Search_::Refine(_)) { StopReason::Settled } else { StopReason::Complete };
            prop_assert_eq!(&outcome.stop, if found.is_some() { &enough } else { &StopReason::DeadEnd });
        }
    }

    /// Whatever the strategy leaves out, "exhaustive" is only claimed when it left nothing out.
    #[test]
    fn exhaustive_is_a_proof(problem in wild(), bfs in bfs(), dfs in dfs(), budget in budget()) {
        let problem = Wild { evaluates: false, depth: problem.depth.min(4), ..problem };
        let expected = brute_force(&problem, &mut Vec::new(), &mut Vec::new());
        for strategy in [Search_::Bfs(bfs), Search_::Dfs(dfs), Search_::Greedy] {
            let mut search = Search::new(problem, strategy, budget, 0).unwrap();
            run(&mut search, |_| 0);
            let outcome = search.outcome().unwrap();
            if outcome.exhaustive {
                prop_assert_eq!(outcome.best.is_some(), expected.is_some());
            }
        }
    }

    /// No state is asked about twice, by any strategy.
    #[test]
    fn a_state_is_asked_about_once(problem in wild(), strategy in common::strategy(), budget in budget()) {
        let problem = Wild { merges: true, ..problem };
        let mut search = Search::new(problem, strategy, budget, 5).unwrap();
        run(&mut search, |_| 0);
        let mut asked = HashSet::new();
        for event in search.trace().events() {
            if let Event::Opened { query, .. } = event {
                let state = problem.state(query.path());
                match query {
                    Query::Propose { .. } => prop_assert!(asked.insert(("propose", state))),
                    Query::Evaluate { .. } => prop_assert!(asked.insert(("evaluate", state))),
                    _ => {}
                }
            }
        }
    }

    /// More samples add to those that were there: the first ones stay as they are.
    #[test]
    fn more_samples_keep_the_first(problem in wild(), few in 1u64..5, more in 5u64..10, temperature in 0.2..3.0) {
        let ended = |samples| {
            let config = SelfConsistencyConfig::default().with_samples(samples).with_temperature(temperature);
            let mut search = Search::new(problem, Search_::SelfConsistency(config), Budget::default(), 5).unwrap();
            run(&mut search, |_| 0);
            let events = search.trace().events().iter();
            let samples: HashMap<u64, Vec<u8>> = events
                .filter_map(|event| match event {
                    Event::Sampled { sample, path, complete: true } => Some((*sample, path.clone())),
                    _ => None,
                })
                .collect();
            // Samples walk around what other samples found to be dead, so only trees without dead ends are compared.
            let dead = search.trace().events().iter().any(|e| matches!(e, Event::Died { .. }));
            (samples, dead)
        };
        let ((first, _), (all, dead)) = (ended(few), ended(more));
        if !dead {
            prop_assert_eq!(first.len() as u64, few);
            prop_assert!(first.iter().all(|(sample, path)| all.get(sample) == Some(path)));
        }
    }
}
