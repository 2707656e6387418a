//! Writes the seeds: `cargo run --example seeds` in the folder `fuzz`. (As a program beside the targets it would be built as one.)

mod files;

use scaletot_chain::{Chain, ChainRecord, CorpusHeader, CorpusWriter, Reason, Step, Verdict};
use scaletot_fuzz::{Steps, schema};
use scaletot_core::ContentHash;
use scaletot_profile::UserId;
use scaletot_search::{
    Answer, BestOfNConfig, BfsConfig, Budget, DfsConfig, Query, RefineConfig, Search, SelfConsistencyConfig,
    Strategy, drive,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = schema();
    let path = "seeds/corpus/two-users.jsonl";
    let _ = std::fs::remove_file(path);
    let header = CorpusHeader::new(ContentHash::of(b"p"), &schema, "t", 1);
    let mut corpus = CorpusWriter::create(path, &header)?;
    let steps = vec![Step::exact(1, vec![0.25, 0.75]), Step::exact(0, vec![0.5, 0.25, 0.25])];
    let chain = Chain::new(&schema, steps, -0.5)?;
    let posterior = vec![vec![0.25, 0.75], vec![0.5, 0.25, 0.25]];
    let accepted =
        ChainRecord::new(UserId::Int(7), Verdict::Accepted).with_best(Some(chain)).with_posterior(posterior);
    corpus.append(&accepted)?;
    let reason = Reason::TeacherFailed { message: "away".to_owned() };
    corpus.append(&ChainRecord::new(UserId::Text("u1".into()), Verdict::Failed { reason }))?;

    let strategies = [
        ("greedy", Strategy::Greedy),
        ("refine", Strategy::Refine(RefineConfig::default())),
        ("bfs", Strategy::Bfs(BfsConfig::default())),
        ("dfs", Strategy::Dfs(DfsConfig::default())),
        ("best-of-n", Strategy::BestOfN(BestOfNConfig::default())),
        ("self-consistency", Strategy::SelfConsistency(SelfConsistencyConfig::default())),
    ];
    for (name, strategy) in strategies {
        let budget = Budget::default().with_queries(50).with_nodes(50);
        let mut search = Search::new(Steps, strategy, budget, 0)?;
        drive(&mut search, |query| match query {
            Query::Propose { .. } => Answer::exact(vec![(0, 0.5), (1, 0.25), (2, 0.25)]),
            _ => Answer::value(0.75).with_tokens(1),
        })?;
        std::fs::write(format!("seeds/trace/{name}.json"), serde_json::to_vec(search.trace())?)?;
    }
    files::artifacts("seeds/artifact")?;
    files::parquets("seeds/parquet")
}
