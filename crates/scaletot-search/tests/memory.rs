//! A search of a million nodes, its full trace included, stays under 1 GiB. A process of its own: nothing else is in the figure.
#![cfg(target_os = "linux")]

use scaletot_search::{Answer, BfsConfig, Budget, Generation, Problem, Query, Search, Strategy, drive};

/// Seven steps of eight values, every path evaluated.
struct Wide;

impl Problem for Wide {
    type Thought = u16;

    fn depth(&self) -> usize {
        7
    }

    fn is_complete(&self, path: &[u16]) -> bool {
        path.len() == 7
    }

    fn evaluates(&self) -> bool {
        true
    }
}

#[test]
fn a_million_nodes_take_less_than_a_gibibyte() {
    let config = BfsConfig::default().with_breadth(88_000).with_generation(Generation::Propose { max: None });
    let mut search = Search::new(Wide, Strategy::Bfs(config), Budget::default(), 0).unwrap();
    let outcome = drive(&mut search, |query| match query {
        Query::Propose { .. } => Answer::exact((0..8).map(|v| (v, f64::from(v + 1))).collect()),
        _ => Answer::value(0.5),
    })
    .unwrap();
    assert!(outcome.usage.nodes > 1_000_000, "{:?}", outcome.usage);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 1 << 20, "peak of {kib} KiB for {} nodes", outcome.usage.nodes);
    println!("{} nodes, peak {} MiB", outcome.usage.nodes, kib / 1024);
}
