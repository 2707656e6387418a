//! A published checkpoint as the student: low-rank adapters are trained on chains, the checkpoint's own weights stay as they are.
//!
//! Takes the directory of a Hugging Face checkpoint (`LLaMA`, SmolLM2, Qwen2 or Qwen3: `config.json`, `tokenizer.json`, `model.safetensors`):
//!
//! `cargo run --release --example pretrained_lora -- SmolLM2-135M-Instruct`
//!
//! The tiny one of the tests takes seconds: `... pretrained_lora -- crates/scaletot-student/tests/fixtures/pretrained/qwen3_text`. It prints
//! what the student reads, losses by epoch, how many chains are the teacher's before and after, and the files that were saved.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;

use scaletot::chain::{CorpusHeader, StateDef};
use scaletot::prelude::*;
use scaletot::profile::{FieldSpec, TableBuilder};
use scaletot::student::{LoraConfig, Pretrained};

fn main() -> Result<(), Box<dyn Error>> {
    let directory =
        std::env::args().nth(1).ok_or("expected the directory of a checkpoint as the first argument")?;
    let checkpoint = Pretrained::from_pretrained(&directory, &Device::default())?;

    // Eighty users and what a teacher concluded of them: who earns much spends much, unless the colour is grey.
    let profiles = ProfileSchema::builder("shop")
        .with_subject("A user")
        .with_field(FieldSpec::ordinal("income", ["low", "high"]).with_phrase("whose income is {}"))
        .with_field(
            FieldSpec::categorical("colour", ["red", "blue", "grey"]).with_phrase("whose colour is {}"),
        )
        .build()?;
    let chain = ChainSchema::builder("shopper")
        .with_state(StateDef::ordinal("means", ["low", "high"]))
        .with_state(StateDef::ordinal("spend", ["low", "high"]).with_depends_on(["means"]))
        .build()?;
    let header = CorpusHeader::new(profiles.hash(), &chain, "a rule", 1);
    let (mut rows, mut records) = (TableBuilder::new(profiles), Vec::new());
    for user in 0..80i64 {
        let (rich, colour) = (user % 2, user % 3);
        rows.push_text(user, &[["low", "high"][rich as usize], ["red", "blue", "grey"][colour as usize]])?;
        let best = Chain::certain(&chain, &[rich as u16, u16::from(rich == 1 && colour < 2)])?;
        records.push(ChainRecord::new(user.into(), Verdict::Accepted).with_best(Some(best)));
    }
    let dataset = Dataset::from(rows.finish());
    let corpus = Corpus::new(header, records, &chain)?;
    let taught = corpus.join(&dataset)?;
    let right = |student: &Student| -> Result<usize, Box<dyn Error>> {
        let inference = student.infer(dataset.table(), taught.rows(), &InferConfig::default())?;
        let chains = inference.chains().zip(taught.iter());
        Ok(chains
            .filter(|(found, (_, record))| record.best.as_ref().is_some_and(|best| best.values() == *found))
            .count())
    };

    // The profile is read as a sentence; states and values are tokens that are added to the vocabulary.
    let verbaliser = Verbaliser::fit(dataset.table(), 3)?;
    println!("{:?}", verbaliser.render(dataset.table(), 3));
    let student = Student::from_pretrained(&checkpoint, &verbaliser, dataset.table().schema(), &chain)?;
    let student = student.with_lora(&LoraConfig::default(), 1)?;
    println!("{} weights; {} of 80 chains before training", student.num_params(), right(&student)?);

    // A checkpoint of real size learns with small steps, a tiny one does not.
    let (mut config, tiny) = (SftConfig::default(), student.num_params() < 1_000_000);
    (config.epochs, config.learning_rate) = if tiny { (40, 2e-2) } else { (4, 5e-4) };
    let (student, log) = Sft::new(config)?.fit(&student, &taught, 1, &())?;
    for epoch in log.epochs.iter().step_by(log.epochs.len().div_ceil(4)) {
        println!("epoch {}: {:.3} nats per token", epoch.epoch, epoch.loss);
    }
    println!("best epoch {}; {} of 80 chains after training", log.best_epoch, right(&student)?);

    // A checkpoint again, which `Student::load` and `transformers` read.
    let folder = tempfile::tempdir()?;
    student.save(folder.path().join("student"))?;
    for file in std::fs::read_dir(folder.path().join("student"))? {
        println!("saved {}", file?.file_name().display());
    }
    Ok(())
}
