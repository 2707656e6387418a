//! Overhead of the search engine per node, without a teacher: answers come from a closure that fills in a fixed
//! distribution, so that what is measured is the engine with its account and its full trace, plus the making of one
//! small vector per query.
//!
//! Criterion's `elem/s` are nodes per second; the target is 5 µs per node, 200,000 nodes per second.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use scaletot_search::{
    Answer, BeamConfig, BestOfNConfig, BfsConfig, Budget, DfsConfig, Generation, Outcome, Problem, Query,
    RefineConfig, Search, Strategy, drive,
};

/// Chains of `depth` states with `width` values each.
#[derive(Clone, Copy)]
struct States {
    depth: usize,
    width: u16,
}

impl Problem for States {
    type Thought = u16;

    fn depth(&self) -> usize {
        self.depth
    }

    fn is_complete(&self, path: &[u16]) -> bool {
        path.len() == self.depth
    }

    fn evaluates(&self) -> bool {
        true
    }

    fn admissible(&self, path: &[u16], thought: &u16) -> bool {
        // One constraint, so that its cost is in the figure.
        path.last() != Some(&1) || *thought != 3
    }
}

/// Skewed, and different from path to path, so that rounds do replace the incumbent.
fn answer(width: u16, query: &Query<u16>) -> Answer<u16> {
    let turn = query.path().iter().fold(7u64, |h, t| h.wrapping_mul(31).wrapping_add(u64::from(*t)));
    if matches!(query, Query::Evaluate { .. }) {
        return Answer::value(0.1 + (turn % 9) as f64 / 10.0);
    }
    let mass = |v: u16| 1.0 / (1.0 + ((u64::from(v) + turn) % u64::from(width)) as f64);
    Answer::exact((0..width).map(|v| (v, mass(v))).collect())
}

fn solve(problem: States, strategy: Strategy) -> Option<Outcome<u16>> {
    let mut search = Search::new(problem, strategy, Budget::default(), 1).ok()?;
    drive(&mut search, |query| answer(problem.width, query)).ok()?;
    search.into_parts().0
}

fn per_node(c: &mut Criterion) {
    let refine = RefineConfig::default().with_tau(0.0).with_rho(1.0).with_delta(0.0);
    let cases = [
        // What one user costs in the pipeline: five states of six values.
        ("greedy", States { depth: 5, width: 6 }, Strategy::Greedy),
        ("refine", States { depth: 5, width: 6 }, Strategy::Refine(refine.with_rounds(6).with_branches(3))),
        // Long and wide, where anything that grows with the search would show.
        ("greedy", States { depth: 1_000, width: 6 }, Strategy::Greedy),
        (
            "refine",
            States { depth: 40, width: 30 },
            Strategy::Refine(refine.with_rounds(200).with_branches(30)),
        ),
    ];
    let all = Generation::Propose { max: None };
    let cases = cases.into_iter().chain([
        // A value for every node is in these figures.
        (
            "bfs",
            States { depth: 6, width: 6 },
            Strategy::Bfs(BfsConfig::default().with_breadth(50).with_generation(all)),
        ),
        (
            "dfs",
            States { depth: 6, width: 6 },
            Strategy::Dfs(DfsConfig::default().with_threshold(0.3).with_generation(all)),
        ),
        ("beam", States { depth: 6, width: 6 }, Strategy::Beam(BeamConfig::default().with_width(50))),
        (
            "best-of-n",
            States { depth: 6, width: 6 },
            Strategy::BestOfN(BestOfNConfig::default().with_samples(300)),
        ),
    ]);
    let mut group = c.benchmark_group("search_node");
    for (name, problem, strategy) in cases {
        let nodes = solve(problem, strategy).map_or(0, |o| o.usage.nodes);
        group.throughput(Throughput::Elements(nodes));
        let id = BenchmarkId::new(name, format!("{}x{} ({nodes} nodes)", problem.depth, problem.width));
        group.bench_function(id, |b| b.iter(|| solve(black_box(problem), strategy)));
    }
    group.finish();
}

criterion_group!(benches, per_node);
criterion_main!(benches);
