//! The whole method on a public table, with recorded answers of a real language model: `cargo run --release --example quickstart`.
//!
//! Run again, it resumes what is there. `-- --out DIR` writes elsewhere, `-- --seed N` splits otherwise. Exit codes are those of the program `scaletot`.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use scaletot::chain::ChainSchema;
use scaletot::pipeline::{Pipeline, PipelineConfig, Scorer, causes};
use scaletot::prelude::*;
use scaletot::profile::{Dataset, DatasetSpec};
use scaletot::teacher::Replay;

/// Prints the stages as they begin.
struct Lines;

impl Progress for Lines {
    fn note(&self, line: &str) {
        say(line);
    }
}

/// Prints a line. A reader that has gone away, such as `| head`, must not end the run.
fn say(line: &str) {
    writeln!(io::stdout(), "{line}").unwrap_or_default();
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        writeln!(io::stderr(), "error: {}", causes(&*error)).unwrap_or_default();
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let argument = |name: &str| std::env::args().skip_while(|argument| argument != name).nth(1);
    let out = argument("--out").unwrap_or_else(|| "target/quickstart".to_owned());
    let seed = argument("--seed").map_or(Ok(1), |seed| seed.parse())?;

    // Who there is: static profiles with holes, what each household spent in the 30 days after, and how active it was before.
    let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/scaletot-pipeline/data"));
    let schema = ProfileSchema::load(data.join("complete_journey.profile.toml"))?;
    let columns = DatasetSpec::new().with_outcome("spend_30d").with_segment("spend_prior_90d");
    let users = Dataset::read(data.join("complete_journey.parquet"), &schema, &columns)?;

    // What is reasoned about them, and by whom: five user states, and SmolLM2's answers, recorded once.
    let chain = ChainSchema::load(data.join("complete_journey.chain.toml"))?;
    let teacher = Replay::open(data.join("complete_journey.smollm2.jsonl.gz"))?;

    // The paper's 7.32 % is for a huge population; this one is small.
    let mut config = PipelineConfig::default();
    config.coverage = 0.2;
    let pipeline = Pipeline::builder(users, chain)
        .with_teacher(teacher)
        .with_config(config)
        .with_seed(seed)
        .with_out(&out)
        .build()?;
    let summary = pipeline.run(&Lines)?;
    say(&format!("\n{}\n{}", summary.users_line(), summary.stages_table()));
    say(&format!("\nHeld-out users, with 95 % intervals:\n{}", summary.metrics_table()));
    say(&format!("\nAgainst the strongest model of the profile alone:\n{}", summary.headline()));

    // What serves everybody else, in any process: the artifact alone, no language model, no training framework.
    let scorer = Scorer::open(Path::new(&out).join("artifact"))?;
    let batch = pipeline.dataset().table().select(&pipeline.split().held_out[..3])?.to_record_batch()?;
    say(&format!("\nThree of them, scored from record batches:\n{:?}", scorer.score(&batch)?.columns()));
    say(&format!(
        "\nWritten under {out}: corpus.jsonl, student/, value-model/, artifact/, scores.parquet, summary.json"
    ));
    // As `scaletot` ends where the teacher failed about some users.
    let failed = summary.stages.iter().any(|stage| stage.report.failed() > 0);
    Ok(ExitCode::from(if failed { 4 } else { 0 }))
}
