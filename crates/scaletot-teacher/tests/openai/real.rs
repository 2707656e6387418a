//! A real server: start one (`examples/servers/llama_cpp.py` shows how), then
//!
//! ```text
//! SCALETOT_SERVER=http://127.0.0.1:8080/v1 cargo test -p scaletot-teacher --features openai --test openai -- --ignored real
//! ```

use scaletot_chain::{Corpus, CorpusWriter, Verdict};
use scaletot_teacher::openai::OpenAi;
use scaletot_teacher::{Reasoner, Retry, RetryPolicy};

use crate::common::{chain_schema, prompter, table};

#[test]
#[ignore = "needs a server, whose address is in SCALETOT_SERVER"]
fn fifty_real_users() {
    let url = std::env::var("SCALETOT_SERVER").expect("the address of a server in SCALETOT_SERVER");
    // llama.cpp gives as many tokens as are asked for; the labels of a small model are rarely among the first twenty.
    let model = OpenAi::builder(url, "default").with_top(20_000).build().unwrap();
    let teacher = Retry::new(model, RetryPolicy::default()).unwrap();
    let table = table(58);
    let reasoner = Reasoner::builder(teacher, prompter(&table)).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.jsonl");
    let mut corpus = CorpusWriter::create(&path, &reasoner.header(&table, 1).unwrap()).unwrap();
    let rows: Vec<usize> = (0..58).collect();
    let summary = reasoner.run(&table, &rows, &mut corpus, 4, &()).unwrap();
    println!("{summary:?}");
    let corpus = Corpus::read(&path, &chain_schema()).unwrap();
    // Every seventh of them has no profile.
    assert_eq!((summary.accepted, summary.abstained, summary.failed), (50, 8, 0));
    for record in corpus.records().iter().filter(|record| record.verdict == Verdict::Accepted) {
        let best = record.best.as_ref().unwrap();
        assert!(best.steps().iter().all(|step| step.covered_mass > 0.0 && step.covered_mass <= 1.0));
    }
}
