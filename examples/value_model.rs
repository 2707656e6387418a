//! A value model alone: fitted on profiles, outcomes and reasoning signals, saved, loaded, and predicting.
//!
//! Signals are marginals of user states; a student or an encoder infers them, here a loop makes some. Two models are fitted on the same
//! labels, with signals and without, and compared on users whom neither has seen. The crate needs no tensor library.
//!
//! `cargo run --example value_model` prints how both rank held-out users, what was saved, and some predictions of the loaded model.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;

use scaletot_chain::{ChainSchema, Signals, StateDef};
use scaletot_eval::spearman;
use scaletot_ltv::{Component, ValueModel, ValueModelConfig, ValueTrainer};
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    let profiles = ProfileSchema::builder("gym")
        .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
        .with_field(FieldSpec::numeric("distance").with_unit("km"))
        .build()?;
    let chain = ChainSchema::builder("member")
        .with_state(StateDef::ordinal("motivation", ["low", "high"]))
        .build()?;

    // Five hundred members. What they pay depends on distance, which the profile has, and on motivation, which only the signals tell of.
    let (mut rows, mut outcomes, mut marginals) =
        (TableBuilder::new(profiles.clone()), Vec::new(), Vec::new());
    for member in 0..500i64 {
        let (age, distance, motivated) = (member % 3, member * 31 % 17, member * 57 % 101 < 40);
        let distance_cell = if member % 6 == 0 { String::new() } else { distance.to_string() };
        rows.push_text(member, &[["18-34", "35-54", "55+"][age as usize], &distance_cell])?;
        let sure = 0.55 + (member * 13 % 40) as f32 / 100.0;
        marginals.extend(if motivated { [1.0 - sure, sure] } else { [sure, 1.0 - sure] });
        let stays = motivated && distance < 12 && member % 4 > 0;
        outcomes.push(if stays { 60.0 - 3.0 * distance as f64 } else { 0.0 });
    }
    let signals = Signals::new((0..500).collect(), chain.domain_sizes(), marginals, [0, 0], vec![])?;
    let known = Dataset::builder(rows.finish())
        .with_outcomes(outcomes.iter().copied().map(Some).collect())
        .build()?;

    // The outcomes of the first two hundred may be learned from; the others are for the comparison.
    let (labelled, held_out): (Vec<usize>, Vec<usize>) = ((0..200).collect(), (200..500).collect());
    let dataset = known.with_outcomes_of(&labelled)?;
    let profile_only = ValueModelConfig::default().with_components([Component::Ridge]);
    let without = ValueTrainer::new(profile_only)?.fit(&dataset, None, 7, &())?;
    let with =
        ValueTrainer::new(ValueModelConfig::default())?.with_chain(&chain).fit(&dataset, &signals, 7, &())?;
    let truth: Vec<f64> = held_out.iter().map(|&row| outcomes[row]).collect();
    let rank = |values: Vec<f64>| spearman(&truth, &values);
    println!("rank correlation with the outcomes of {} held-out members:", held_out.len());
    println!("  profile alone {:.3}", rank(without.predict_rows(dataset.table(), &held_out, None)?)?);
    println!("  with signals  {:.3}", rank(with.predict_rows(dataset.table(), &held_out, &signals)?)?);

    // A directory of JSON; loading checks that it is of this profile schema, and `check_chain` that it is of this chain schema.
    let folder = tempfile::tempdir()?;
    let directory = folder.path().join("value-model");
    with.save(&directory)?;
    for file in std::fs::read_dir(&directory)? {
        println!("saved {}", file?.file_name().display());
    }
    let model = ValueModel::load(&directory, &profiles, &[])?;
    model.check_chain(&chain)?;
    for row in [200, 201, 206, 207] {
        let value = model.predict_rows(dataset.table(), &[row], &signals)?[0];
        println!(
            "member {row}: motivated at {:.2}, predicted {value:.1}, paid {}",
            signals.marginal(row, 0)[1],
            outcomes[row]
        );
    }
    Ok(())
}
