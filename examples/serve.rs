//! Serving: an artifact is opened, verified, and scores a stream of record batches. No language model and no training framework.
//!
//! A small encoder is trained first, so that there is an artifact; `serve` in a program of one's own begins at `Scorer::open`. A service that
//! takes `scaletot-encoder` alone with `default-features = false` and `FrozenEncoder::load` has no Burn in its tree.
//!
//! `cargo run --example serve` prints what the artifact is, the scores of two batches, and what happens to a damaged one.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;

use scaletot::chain::{ChainSchema, StateDef};
use scaletot::encoder::{ArtifactInfo, DistillConfig, DistillData, Distiller};
use scaletot::pipeline::{Output, Scorer, causes};
use scaletot::prelude::*;
use scaletot::profile::{FieldSpec, TableBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    // In training: two hundred users and their outcomes become an artifact, a directory.
    let profiles = ProfileSchema::builder("shop")
        .with_id_column("user")
        .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
        .with_field(FieldSpec::numeric("income"))
        .build()?;
    let mut rows = TableBuilder::new(profiles);
    for user in 0..200i64 {
        rows.push_text(user, &[["18-34", "35-54", "55+"][user as usize % 3], &(user % 40).to_string()])?;
    }
    let outcomes = (0..200).map(|user| Some(if user % 4 > 0 { f64::from(user % 40) } else { 0.0 })).collect();
    let dataset = Dataset::builder(rows.finish()).with_outcomes(outcomes).build()?;
    let chain =
        ChainSchema::builder("shopper").with_state(StateDef::ordinal("spend", ["low", "high"])).build()?;
    let mut config = DistillConfig::default();
    config.epochs = 15;
    let data = DistillData::new(&dataset, &chain);
    let (encoder, _) =
        Distiller::new(EncoderConfig::default(), config)?.fit(&data, 7, &Device::default(), &())?;
    let folder = tempfile::tempdir()?;
    let artifact = folder.path().join("artifact");
    encoder
        .save(&artifact, ArtifactInfo::new().with_note("trained on 200 users").with_metric("users", 200.0))?;

    // In the service: hashes, schema and canaries (profiles with the scores that they must get) are checked once.
    let outputs = [Output::Value, Output::PPositive, Output::Quantile(90), Output::Abstained];
    let scorer = Scorer::open(&artifact)?.with_outputs(&outputs)?;
    let encoder = scorer.encoder();
    let note = encoder.info().note.as_deref().unwrap_or("no note");
    println!("profiles of schema `{}`; {note}", encoder.profile_schema().name());

    // Batches may come from anywhere; columns that the schema does not know are let be. The last user's profile is blank.
    let mut incoming = TableBuilder::new(encoder.profile_schema().clone());
    for (user, cells) in [(1, ["55+", "38"]), (2, ["18-34", "3"]), (3, ["", "20"]), (4, ["", ""])] {
        incoming.push_text(user, &cells)?;
    }
    let batch = incoming.finish().to_record_batch()?;
    let stream = [batch.slice(0, 2), batch.slice(2, 2)];
    for scores in scorer.score_batches(stream) {
        let scores = scores?;
        for (field, column) in scores.schema_ref().fields().iter().zip(scores.columns()) {
            println!("{:>10} {}", field.name(), format!("{column:?}").replace('\n', " "));
        }
    }

    encoder.check_canaries()?; // cheap enough for every minute: does this machine still compute what the training machine did?

    let weights = artifact.join("weights.safetensors");
    let mut bytes = std::fs::read(&weights)?;
    bytes.iter_mut().rev().take(1).for_each(|byte| *byte ^= 1);
    std::fs::write(&weights, bytes)?;
    if let Err(refused) = Scorer::open(&artifact) {
        println!("refused: {}", causes(&refused));
    }
    Ok(())
}
