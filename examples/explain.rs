//! Why this value? The same question to a value model and to an encoder that serves.
//!
//! A value model is a sum: each field and each state adds its part to ln(1 + outcome), exactly. An encoder is a network: integrated
//! gradients share out the difference to the blank profile over the fields, in the outcome's unit, and the states are given in words.
//!
//! `cargo run --example explain` prints both for one user.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;

use scaletot::chain::{ChainSchema, StateDef};
use scaletot::encoder::{DistillConfig, DistillData, Distiller};
use scaletot::prelude::*;
use scaletot::profile::{FieldSpec, TableBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    let profiles = ProfileSchema::builder("shop")
        .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
        .with_field(FieldSpec::numeric("income").with_unit("kEUR"))
        .with_field(FieldSpec::boolean("owner"))
        .build()?;
    let chain = ChainSchema::builder("shopper")
        .with_state(StateDef::ordinal("budget", ["tight", "ample"]))
        .build()?;

    // Three hundred users. Income decides the budget, and that what is spent; age and owning a home play no part.
    let (mut rows, mut outcomes, mut marginals, mut representations) =
        (TableBuilder::new(profiles), vec![], vec![], vec![]);
    for user in 0..300i64 {
        let income = user * 37 % 61 + 20;
        let age = ["18-34", "35-54", "55+"][user as usize % 3];
        rows.push_text(user, &[age, &income.to_string(), if user % 7 < 3 { "yes" } else { "no" }])?;
        outcomes.push(Some(if user % 4 > 0 { income as f64 * 2.0 - 35.0 } else { 0.0 }));
        let ample = (income - 20) as f32 / 60.0;
        marginals.extend([1.0 - ample, ample]);
        representations.extend([ample, 1.0 - ample]);
    }
    let dataset = Dataset::builder(rows.finish()).with_outcomes(outcomes).build()?;
    // What a student would infer: a marginal per state, and a vector per state.
    let signals = Signals::new((0..300).collect(), chain.domain_sizes(), marginals, [1, 2], representations)?;
    let user = 45;

    let model = ValueTrainer::new(ValueModelConfig::default())?.fit(&dataset, &signals, 7, &())?;
    let why = model.explain(dataset.table(), user, &signals)?;
    println!("value model: {:.1}, of which on the scale of ln(1 + outcome)", why.value);
    println!("  {:8} {:+.3}", "mean", why.mean);
    for (field, adds) in &why.fields {
        println!("  {field:8} {adds:+.3}");
    }
    for (state, adds) in chain.states().iter().zip(&why.states) {
        println!("  {:8} {adds:+.3}", state.name());
    }
    println!("  {:8} {:+.3}", "vectors", why.representation);
    println!("  {:8} {:+.3}", "sum", why.log_value);

    let mut config = DistillConfig::default();
    config.epochs = 60;
    let data = DistillData::new(&dataset, &chain).with_signals(&signals)?;
    let (encoder, _) =
        Distiller::new(EncoderConfig::default(), config)?.fit(&data, 7, &Device::default(), &())?;
    println!("encoder: {}", encoder.frozen().explain(dataset.table(), user)?);
    Ok(())
}
