//! Whatever JSON says, reading it as a trace and replaying it gives a search or an error; what replays draws.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scaletot_fuzz::Steps;
use scaletot_search::{
    BestOfNConfig, BfsConfig, Budget, DfsConfig, RefineConfig, Search, SelfConsistencyConfig, Strategy, Trace,
};

fuzz_target!(|data: &[u8]| {
    let Ok(trace) = serde_json::from_slice::<Trace<u8>>(data) else { return };
    let _ = (trace.to_dot(), trace.to_mermaid());
    for strategy in [
        Strategy::Greedy,
        Strategy::Refine(RefineConfig::default()),
        Strategy::Bfs(BfsConfig::default()),
        Strategy::Dfs(DfsConfig::default()),
        Strategy::BestOfN(BestOfNConfig::default()),
        Strategy::SelfConsistency(SelfConsistencyConfig::default()),
    ] {
        let budget = Budget::default().with_queries(50).with_nodes(50);
        if let Ok(search) = Search::replay(Steps, strategy, budget, 0, &trace) {
            // A trace may be a prefix: then the search has gone on to its next open queries.
            assert_eq!(&search.trace().prefix(trace.len()), &trace);
        }
    }
});
