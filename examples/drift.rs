//! Drift: do the users who come still look like those whom the encoder was trained on?
//!
//! A population stability index is taken per field, with the level that chance alone hardly exceeds at these numbers of users: a small
//! batch that looks different is no alarm. An artifact holds the histograms of its training profiles, and `FrozenEncoder::drift` compares a
//! batch with them; here the same is done step by step, over a week of batches.
//!
//! `cargo run --example drift` prints a table for a normal week, and for one in which a form has lost a field and prices rose.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;

use scaletot::encoder::{Drift, Featuriser, FieldHistogram};
use scaletot::profile::{FieldSpec, ProfileSchema, ProfileTable, TableBuilder, UserId};

/// Users with an even spread of ages, cities and baskets; `changed` ones skip the city and have baskets a half larger.
fn users(
    schema: &ProfileSchema,
    ids: std::ops::Range<i64>,
    changed: bool,
) -> Result<ProfileTable, scaletot::profile::Error> {
    let mut rows = TableBuilder::new(schema.clone());
    for id in ids {
        // A fixed scramble in the place of random draws.
        let draw = |n: i64| (id * 7919 + 104_729) % 10_007 % n;
        let age = ["18-34", "35-54", "55+"][draw(3) as usize];
        let city = if changed && id % 3 > 0 { "" } else { ["Bern", "Genf", "Basel"][draw(97) as usize % 3] };
        let basket = draw(89) as f64 * if changed { 1.5 } else { 1.0 };
        rows.push_text(UserId::from(id), &[age, city, &basket.to_string()])?;
    }
    Ok(rows.finish())
}

fn main() -> Result<(), Box<dyn Error>> {
    let schema = ProfileSchema::builder("shop")
        .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
        .with_field(FieldSpec::categorical("city", ["Bern", "Genf", "Basel"]))
        .with_field(FieldSpec::numeric("basket"))
        .build()?;
    let training = users(&schema, 0..5_000, false)?;
    let featuriser = Featuriser::fit(&training, 8)?; // numbers are compared by their quantile bins in training
    let every_row = |table: &ProfileTable| (0..table.len()).collect::<Vec<_>>();
    let before = FieldHistogram::of(&featuriser, &training, &every_row(&training))?;

    for (week, changed) in [("a normal week", false), ("after the new form", true)] {
        // Seven daily batches, merged: each alone would be too small to tell much.
        let mut seen: Vec<FieldHistogram> = Vec::new();
        for day in 0..7 {
            let batch = users(&schema, 6_000 + day * 150..6_150 + day * 150, changed)?;
            let today = FieldHistogram::of(&featuriser, &batch, &every_row(&batch))?;
            if seen.is_empty() { seen = today } else { FieldHistogram::merge(&mut seen, &today)? }
        }
        let drift = Drift::between(&before, &seen)?;
        println!("{week}, {} users: index (by chance up to), missing in training and now", drift.profiles);
        for field in &drift.fields {
            let mark = if field.shifted(0.25) { "  shifted" } else { "" };
            let shares = format!("{:.0} % -> {:.0} %", 100.0 * field.missing_before, 100.0 * field.missing);
            println!("  {:6} {:.3} ({:.3}), {shares}{mark}", field.name, field.psi, field.chance);
        }
    }
    Ok(())
}
