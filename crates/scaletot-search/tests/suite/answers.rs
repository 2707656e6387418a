//! Bad answers, bad configs and foreign traces: typed errors, and a search that goes on.

use scaletot_search::{
    Answer, Budget, EntropyInput, Error, Event, Problem, Proposals, Query, QueryId, RefineConfig,
    ScoreConfig, Search, StopReason, Strategy, Trace, drive,
};

#[derive(Clone, Copy)]
struct Coin {
    evaluates: bool,
}

impl Problem for Coin {
    type Thought = u8;

    fn depth(&self) -> usize {
        2
    }

    fn is_complete(&self, path: &[u8]) -> bool {
        path.len() == 2
    }

    fn evaluates(&self) -> bool {
        self.evaluates
    }
}

const PLAIN: Coin = Coin { evaluates: false };

fn search() -> Search<Coin> {
    Search::new(PLAIN, Strategy::Greedy, Budget::default(), 0).unwrap()
}

fn toss(_: &Query<u8>) -> Answer<u8> {
    Answer::exact(vec![(0, 1.0), (1, 3.0)])
}

fn first(search: &Search<Coin>) -> QueryId {
    search.open()[0].0
}

#[test]
fn malformed_answers_are_refused_and_the_query_stays_open() {
    let full = |items, covered, entropy| {
        Answer::from(Proposals::new(items).with_covered(covered).with_entropy(entropy))
    };
    let mut search = search();
    let id = first(&search);
    let before = search.trace().clone();
    type Check = fn(&Error) -> bool;
    let bad: Vec<(Answer<u8>, Check)> = vec![
        (Answer::exact(vec![(0, f64::NAN)]), |e| matches!(e, Error::BadMass { index: 0, .. })),
        (Answer::exact(vec![(0, 1.0), (1, -0.1)]), |e| matches!(e, Error::BadMass { index: 1, .. })),
        (Answer::exact(vec![(0, f64::INFINITY)]), |e| matches!(e, Error::BadMass { .. })),
        (Answer::exact(vec![(0, 0.0), (1, 0.0)]), |e| matches!(e, Error::BadTotal { items: 2, .. })),
        (Answer::exact(vec![(0, f64::MAX), (1, f64::MAX)]), |e| matches!(e, Error::BadTotal { .. })),
        (Answer::exact(vec![(0, 0.5), (1, 0.2), (0, 0.3)]), |e| {
            matches!(e, Error::RepeatedThought { index: 2, .. })
        }),
        (full(vec![(0, 1.0)], 1.1, EntropyInput::Exact), |e| matches!(e, Error::BadCovered { .. })),
        (full(vec![(0, 1.0)], f64::NAN, EntropyInput::Exact), |e| matches!(e, Error::BadCovered { .. })),
        (full(vec![(0, 1.0)], 1.0, EntropyInput::Given(-0.1)), |e| matches!(e, Error::BadEntropy { .. })),
        (full(vec![(0, 1.0)], 1.0, EntropyInput::Given(f64::NAN)), |e| matches!(e, Error::BadEntropy { .. })),
        (Answer::value(0.5), |e| matches!(e, Error::WrongKind { .. })),
    ];
    for (answer, expected) in bad {
        let error = search.answer(id, answer.clone()).unwrap_err();
        assert!(expected(&error), "{answer:?} gave {error:?}");
        assert_eq!(first(&search), id);
        assert_eq!(search.trace(), &before);
    }
    drive(&mut search, toss).unwrap();
    assert_eq!(search.outcome().unwrap().best.as_ref().unwrap().path, vec![1, 1]);
}

#[test]
fn values_outside_the_unit_interval_are_refused() {
    let refine = Strategy::Refine(RefineConfig::default());
    let mut search = Search::new(Coin { evaluates: true }, refine, Budget::default(), 0).unwrap();
    while matches!(search.open()[0].1, Query::Propose { .. }) {
        let id = first(&search);
        search.answer(id, toss(&Query::propose(vec![]))).unwrap();
    }
    let id = first(&search);
    for value in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
        let error = search.answer(id, Answer::value(value)).unwrap_err();
        assert!(matches!(error, Error::BadValue { .. }));
    }
    assert!(matches!(search.answer(id, Answer::exact(vec![(0, 1.0)])), Err(Error::WrongKind { .. })));
    assert!(search.answer(id, Answer::value(1.0)).is_ok());
}

#[test]
fn an_answer_over_its_token_bound_is_refused() {
    let budget = Budget::default().with_tokens(100, 10);
    let mut search = Search::new(PLAIN, Strategy::Greedy, budget, 0).unwrap();
    let id = first(&search);
    let answer = |tokens| Answer::exact(vec![(0, 1.0)]).with_tokens(tokens);
    let error = search.answer(id, answer(11)).unwrap_err();
    assert_eq!(error, Error::TooManyTokens { id, tokens: 11, bound: 10 });
    assert_eq!(search.usage().tokens, 0);
    search.answer(id, answer(10)).unwrap();
    assert_eq!(search.usage().tokens, 10);
}

#[test]
fn ids_must_be_open() {
    let foreign: QueryId = serde_json::from_str("99").unwrap();
    let mut search = search();
    let answer = || toss(&Query::propose(vec![]));
    assert_eq!(search.answer(foreign, answer()), Err(Error::UnknownQuery { id: foreign }));
    let id = first(&search);
    search.answer(id, answer()).unwrap();
    assert_eq!(search.answer(id, answer()), Err(Error::AlreadyAnswered { id }));
    drive(&mut search, toss).unwrap();
    assert_eq!(search.answer(id, answer()), Err(Error::Finished { id }));
}

#[test]
fn no_proposals_are_a_dead_end_and_not_an_error() {
    let mut search = search();
    let outcome = drive(&mut search, |_| Answer::exact(vec![])).unwrap();
    assert_eq!(outcome.stop, StopReason::DeadEnd);
    assert!(outcome.best.is_none());
}

#[test]
fn masses_of_any_scale_are_normalised() {
    for scale in [1e-308, 1e-3, 1.0, 1e300] {
        let mut search = search();
        let outcome = drive(&mut search, |_| Answer::exact(vec![(0, scale), (1, 3.0 * scale)])).unwrap();
        let step = &outcome.best.as_ref().unwrap().steps[0];
        assert_eq!(step.thought, 1);
        assert!((step.probability - 0.75).abs() < 1e-9, "{scale}: {}", step.probability);
    }
}

#[test]
fn a_given_entropy_holds_until_a_constraint_acts() {
    struct NoOnes;
    impl Problem for NoOnes {
        type Thought = u8;
        fn depth(&self) -> usize {
            2
        }
        fn is_complete(&self, path: &[u8]) -> bool {
            path.len() == 2
        }
        fn admissible(&self, path: &[u8], thought: &u8) -> bool {
            path.is_empty() || *thought != 1
        }
    }
    let mut search = Search::new(NoOnes, Strategy::Greedy, Budget::default(), 0).unwrap();
    let outcome = drive(&mut search, |_| {
        Proposals::new(vec![(0, 0.5), (1, 0.5)]).with_entropy(EntropyInput::Given(0.25)).into()
    });
    assert_eq!(outcome.unwrap().final_entropy, vec![0.25, 0.0]);
}

#[test]
fn settings_out_of_range_are_named() {
    let base = RefineConfig::default();
    for (config, name) in [
        (base.with_tau(-0.1), "tau"),
        (base.with_tau(f64::NAN), "tau"),
        (base.with_rho(0.0), "rho"),
        (base.with_branches(0), "branches"),
        (base.with_score(ScoreConfig::default().with_keep(0)), "keep"),
        (base.with_delta(-1.0), "delta"),
        (base.with_incumbents(0), "incumbents"),
        (base.with_score(ScoreConfig::default().with_alpha(2.0)), "alpha"),
        (base.with_score(ScoreConfig::default().with_lambda(f64::INFINITY)), "lambda"),
        (base.with_score(ScoreConfig::default().with_temperature(0.0)), "temperature"),
    ] {
        let error = Search::new(PLAIN, Strategy::Refine(config), Budget::default(), 0).unwrap_err();
        assert!(matches!(&error, Error::Config(error) if error.field == name), "{error}");
        assert!(Strategy::Refine(config).estimate(&PLAIN, &Budget::default()).is_err());
    }
    let mut budget = Budget::default();
    budget.tokens = Some(100);
    let error = Search::new(PLAIN, Strategy::Greedy, budget, 0).unwrap_err();
    assert!(error.to_string().contains("max_tokens_per_query"), "{error}");
}

#[test]
fn unknown_settings_in_a_file_are_an_error() {
    assert!(serde_json::from_str::<RefineConfig>(r#"{"rounds": 2, "tua": 0.5}"#).is_err());
    let config: RefineConfig = serde_json::from_str(r#"{"rounds": 2}"#).unwrap();
    assert_eq!(config, RefineConfig::default().with_rounds(2));
    let strategy = Strategy::Refine(config);
    let json = serde_json::to_string(&strategy).unwrap();
    assert_eq!(serde_json::from_str::<Strategy>(&json).unwrap(), strategy);
}

#[test]
fn a_trace_of_another_search_is_refused() {
    let mut search = search();
    drive(&mut search, toss).unwrap();
    let trace = search.trace().clone();
    let replay =
        |seed, trace: &Trace<u8>| Search::replay(PLAIN, Strategy::Greedy, Budget::default(), seed, trace);
    assert!(replay(0, &trace).is_ok());
    assert!(matches!(replay(1, &trace), Err(Error::TraceMismatch { at: 0, .. })));

    let mut events = trace.events().to_vec();
    let swapped = events.iter().position(|e| matches!(e, Event::Expanded { .. })).unwrap();
    events.remove(swapped);
    assert!(matches!(replay(0, &events.into()), Err(Error::TraceMismatch { at, .. }) if at == swapped));

    let mut events = trace.events().to_vec();
    for event in &mut events {
        if let Event::Answered { answer, .. } = event {
            *answer = Answer::value(0.5);
        }
    }
    assert!(matches!(replay(0, &events.into()), Err(Error::Replay { .. })));

    let mut events = trace.events().to_vec();
    events.push(Event::Ticked { ticks: 1 });
    assert!(matches!(replay(0, &events.into()), Err(Error::TraceMismatch { .. })));
}

#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<Search<Coin>>();
    check::<Trace<u8>>();
    check::<Error>();
    check::<scaletot_search::Outcome<u8>>();
}
