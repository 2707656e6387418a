//! Random schemas, chains and records.

use proptest::prelude::*;
use scaletot_chain::{
    Chain, ChainRecord, ChainSchema, Constraint, Error, Reason, SearchCost, SearchStop, StateDef, Step,
    Verdict,
};
use scaletot_profile::UserId;

/// Codes of a state: whether it is ordinal, its size, and which earlier states it depends on.
type Shape = (bool, usize, Vec<bool>);

/// A constraint as numbers: state and value of each condition, the limited state, the forbidden values.
type RawConstraint = (Vec<(usize, usize)>, usize, Vec<usize>);

/// A declaration that is valid but for dead ends, which its constraints may leave.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) shapes: Vec<Shape>,
    pub(crate) constraints: Vec<RawConstraint>,
}

impl Plan {
    pub(crate) fn size(&self, k: usize) -> usize {
        self.shapes[k].1
    }

    pub(crate) fn build(&self) -> Result<ChainSchema, Error> {
        let mut builder = ChainSchema::builder("random schema");
        for (k, (ordinal, size, parents)) in self.shapes.iter().enumerate() {
            let values = (0..*size).map(|v| format!("value {v}"));
            let name = format!("state_{k}");
            let def =
                if *ordinal { StateDef::ordinal(name, values) } else { StateDef::categorical(name, values) };
            let parents = (0..k).filter(|&p| parents[p]).map(|p| format!("state_{p}"));
            builder =
                builder.with_state(def.with_description(format!("état \"{k}\"")).with_depends_on(parents));
        }
        for (when, state, forbid) in &self.constraints {
            let when = when.iter().map(|(s, v)| (format!("state_{s}"), format!("value {v}")));
            let forbid = forbid.iter().map(|v| format!("value {v}"));
            builder = builder.with_constraint(Constraint::new(when, format!("state_{state}"), forbid));
        }
        builder.build()
    }
}

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    (2..6usize)
        .prop_flat_map(|len| {
            let shape = (any::<bool>(), 1..4usize, prop::collection::vec(any::<bool>(), len));
            let when = prop::collection::btree_map(0..len, 0..4usize, 1..3usize);
            let constraint = (when, 1..len, prop::collection::btree_set(0..4usize, 1..3));
            (prop::collection::vec(shape, len), prop::collection::vec(constraint, 0..5))
        })
        .prop_map(|(mut shapes, raw)| {
            let last = shapes.len() - 1;
            shapes[last].0 = true;
            shapes[last].1 += 1;
            // Bring what was drawn freely into range; drop what has nothing left.
            let constraints = raw
                .into_iter()
                .map(|(when, state, forbid)| {
                    let when = when.into_iter().filter(|(s, _)| *s < state);
                    let when: Vec<_> = when.map(|(s, v)| (s, v % shapes[s].1)).collect();
                    let forbid: Vec<_> = forbid.into_iter().filter(|v| *v < shapes[state].1).collect();
                    (when, state, forbid)
                })
                .filter(|(when, _, forbid)| !when.is_empty() && !forbid.is_empty())
                .collect();
            Plan { shapes, constraints }
        })
}

pub(crate) fn schema() -> impl Strategy<Value = ChainSchema> {
    plan().prop_filter_map("dead end", |p| p.build().ok())
}

/// A legal chain of `schema` made of free numbers in [0, 1).
pub(crate) fn chain_from(schema: &ChainSchema, numbers: &[f64]) -> Chain {
    let mut numbers = numbers.iter().copied().cycle();
    let mut draw = || numbers.next().unwrap_or(0.5);
    let mut values: Vec<u16> = Vec::new();
    let mut steps = Vec::new();
    for k in 0..schema.len() {
        let allowed = schema.allowed(k, &values);
        let weights: Vec<f64> = allowed.iter().map(|&ok| if ok { draw() + 1e-9 } else { 0.0 }).collect();
        let total: f64 = weights.iter().sum();
        let legal: Vec<u16> = (0..).zip(&allowed).filter(|(_, ok)| **ok).map(|(v, _)| v).collect();
        let value = legal[(draw() * legal.len() as f64) as usize];
        let step = Step::exact(value, weights.iter().map(|w| w / total).collect())
            .with_covered_mass(draw())
            .with_rationale("weil \"so\"\nné\u{1F600}\\");
        steps.push(if draw() < 0.5 {
            step.with_evidence(vec!["income".into(), "âge".into()])
        } else {
            step
        });
        values.push(value);
    }
    Chain::new(schema, steps, draw() * 20.0 - 15.0).unwrap()
}

/// A record of `user` with every part filled in.
pub(crate) fn record_from(schema: &ChainSchema, user: UserId, numbers: &[f64]) -> ChainRecord {
    let best = chain_from(schema, numbers);
    let second = chain_from(schema, &numbers[numbers.len() / 2..]);
    let verdict = match (numbers[0] * 4.0) as u32 {
        0 => Verdict::Accepted,
        1 => Verdict::Rejected { reason: Reason::LowScore { score: best.score(), bar: -numbers[0] } },
        2 => Verdict::Abstained { reason: Reason::TooFewFields { populated: 1, required: 3 } },
        _ => Verdict::Failed { reason: Reason::TeacherFailed { message: "HTTP 503: \"busy\"\n".into() } },
    };
    let posterior = best.steps().iter().map(|s| s.distribution.clone()).collect();
    let entropy_before = second.steps().iter().map(|s| s.entropy).collect();
    let mut cost = SearchCost::default();
    (cost.queries, cost.nodes, cost.rounds, cost.tokens) = (17, 40, 2, u64::MAX);
    cost.stop = SearchStop::Settled;
    ChainRecord::new(user, verdict)
        .with_best(Some(best))
        .with_runners_up(vec![second])
        .with_posterior(posterior)
        .with_entropy_before(entropy_before)
        .with_cost(cost)
}

pub(crate) fn numbers() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.0..1.0f64, 8..40)
}
