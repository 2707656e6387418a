//! Arrow in, Arrow out: a dataset from record batches, such as a query engine streams, and an encoder's scores as a record batch.
//!
//! No file is touched. Columns are checked against the profile schema, and a value that does not fit is an error with its row.
//!
//! `cargo run --example arrow_in` prints what was read, the schema of the scores, two of their columns, and a batch that is refused.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;
use std::sync::Arc;

use arrow_array::{Array, Float64Array, Int64Array, RecordBatch, StringArray};
use scaletot::chain::{ChainSchema, StateDef};
use scaletot::encoder::{DistillConfig, DistillData, Distiller, EncoderConfig};
use scaletot::prelude::*;
use scaletot::profile::FieldSpec;

fn main() -> Result<(), Box<dyn Error>> {
    let profiles = ProfileSchema::builder("shop")
        .with_id_column("customer")
        .with_field(FieldSpec::categorical("plan", ["basic", "plus"]))
        .with_field(FieldSpec::numeric("income").with_min(0.0))
        .build()?;

    // Two batches of a hundred customers; plan and income have holes, the spend of every third one is not known.
    let batch = |first: i64| {
        let users = first..first + 100;
        let plan = |user: i64| (user % 5 > 0).then_some(if user % 2 == 0 { "basic" } else { "plus" });
        let income = |user: i64| (user % 7 > 0).then_some((user % 50) as f64 * 1000.0);
        let spend = |user: i64| (user % 3 > 0).then_some((user % 2) as f64 * 40.0 + (user % 50) as f64);
        RecordBatch::try_from_iter([
            ("customer", Arc::new(Int64Array::from_iter_values(users.clone())) as Arc<dyn Array>),
            ("plan", Arc::new(users.clone().map(plan).collect::<StringArray>())),
            ("income", Arc::new(users.clone().map(income).collect::<Float64Array>())),
            ("spend", Arc::new(users.map(spend).collect::<Float64Array>())),
        ])
    };
    let spec = DatasetSpec::new().with_outcome("spend");
    let dataset = Dataset::from_record_batches([batch(1000), batch(1100)], &profiles, &spec)?;
    println!("{} customers, {} with an outcome", dataset.len(), dataset.labelled().count());

    // An encoder on outcomes alone; what a student infers would come in by `with_signals`.
    let chain =
        ChainSchema::builder("shopper").with_state(StateDef::ordinal("spend", ["low", "high"])).build()?;
    let mut config = DistillConfig::default();
    config.epochs = 15;
    let data = DistillData::new(&dataset, &chain);
    let (encoder, _) =
        Distiller::new(EncoderConfig::default(), config)?.fit(&data, 7, &Device::default(), &())?;

    // Scores of a batch of profiles: null where the encoder abstains, here on a customer of whom nothing is known.
    let incoming = RecordBatch::try_from_iter([
        ("customer", Arc::new(Int64Array::from(vec![1, 2, 3])) as Arc<dyn Array>),
        ("plan", Arc::new(StringArray::from(vec![Some("plus"), Some("basic"), None]))),
        ("income", Arc::new(Float64Array::from(vec![Some(45_000.0), None, None]))),
    ])?;
    let table = ProfileTable::from_record_batch(&incoming, &profiles, &ReadOptions::new())?;
    let scores = encoder.frozen().score(&table)?.to_record_batch("customer", table.ids(), &chain)?;
    for field in scores.schema_ref().fields() {
        println!("  {}: {}", field.name(), field.data_type());
    }
    for name in ["value", "abstained"] {
        println!("{name}: {:?}", scores.column_by_name(name).ok_or("no such column")?);
    }

    let gold = StringArray::from(vec!["gold"]);
    let other = RecordBatch::try_from_iter([
        ("customer", Arc::new(Int64Array::from(vec![4])) as Arc<dyn Array>),
        ("plan", Arc::new(gold)),
        ("income", Arc::new(Float64Array::from(vec![1.0]))),
    ])?;
    if let Err(refused) = ProfileTable::from_record_batch(&other, &profiles, &ReadOptions::new()) {
        println!("refused: {refused}");
    }
    Ok(())
}
