//! User-state chains alone: a schema, a corpus file that is written and resumed, and its join to a dataset. No model, no search.
//!
//! Chains may come from anywhere; here an analyst's notes are written down. The schema refuses what it forbids, the file belongs to one
//! pair of schemas, and the join finds the row of every record.
//!
//! `cargo run --example chains_alone` prints a refused chain, what a resumed writer finds, the joined users, and a join that fails.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;

use scaletot_chain::{Chain, ChainRecord, ChainSchema, Constraint, Corpus, CorpusHeader, CorpusWriter};
use scaletot_chain::{Reason, StateDef, Step, Verdict};
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    // What may be inferred of a reader: two states, the second depends on the first, one combination is impossible.
    let chain = ChainSchema::builder("reader")
        .with_state(StateDef::ordinal("leisure", ["little", "some", "plenty"]))
        .with_state(StateDef::ordinal("subscribes", ["unlikely", "likely"]).with_depends_on(["leisure"]))
        .with_constraint(Constraint::new([("leisure", "little")], "subscribes", ["likely"]))
        .build()?;
    println!("{} legal chains", chain.legal_count());
    if let Err(refused) = Chain::certain(&chain, &[0, 1]) {
        println!("refused: {refused}");
    }

    // Three readers, and what the first and the third paid.
    let profiles = ProfileSchema::builder("library")
        .with_field(FieldSpec::ordinal("age", ["18-34", "35-59", "60+"]))
        .with_field(FieldSpec::boolean("works"))
        .build()?;
    let header = CorpusHeader::new(profiles.hash(), &chain, "an analyst", 1);
    let mut rows = TableBuilder::new(profiles);
    rows.push_text("ann", &["60+", "no"])?;
    rows.push_text("bob", &["", ""])?;
    rows.push_text("cem", &["35-59", "yes"])?;
    let dataset = Dataset::builder(rows.finish()).with_outcomes(vec![Some(30.0), None, Some(0.0)]).build()?;

    // A step is a value with the distribution that it was taken from; its entropy follows.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("corpus.jsonl");
    let mut writer = CorpusWriter::create(&path, &header)?;
    let steps = vec![
        Step::exact(2, vec![0.1, 0.2, 0.7])
            .with_evidence(vec!["age".into(), "works".into()])
            .with_rationale("retired"),
        Step::exact(1, vec![0.35, 0.65]),
    ];
    let ann = Chain::new(&chain, steps, -0.4)?;
    writer.append(&ChainRecord::new("ann".into(), Verdict::Accepted).with_best(Some(ann)))?;
    drop(writer); // the program ends here, or is killed

    // Later it goes on: who is in the file is known, and a user is never written twice.
    let (mut writer, done, _) = CorpusWriter::open(&path, &header)?;
    println!("resumed with {} record; ann is in it: {}", done.len(), writer.contains(&"ann".into()));
    let too_few = Reason::TooFewFields { populated: 0, required: 1 };
    writer.append(&ChainRecord::new("bob".into(), Verdict::Abstained { reason: too_few }))?;
    let cem = Chain::certain(&chain, &[0, 0])?;
    writer.append(&ChainRecord::new("cem".into(), Verdict::Accepted).with_best(Some(cem)))?;

    // What a student is trained on: the accepted records, each with the row of its user.
    let corpus = Corpus::read(&path, &chain)?;
    let joined = corpus.join(&dataset)?;
    for (row, record) in joined.accepted() {
        let values = record.best.as_ref().map(|best| chain.describe(&best.values())).unwrap_or_default();
        println!("row {row}, {}: {values}; paid {:?}", record.user, dataset.outcome(row));
    }
    if let Err(refused) = corpus.join(&dataset.select(&[0, 1])?) {
        println!("refused: {refused}");
    }
    Ok(())
}
