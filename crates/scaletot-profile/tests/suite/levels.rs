//! The level words of numbers, and fields that are not rendered.

use proptest::prelude::*;
use scaletot_profile::{
    FieldSpec, LevelConfig, LevelRule, ProfileSchema, ProfileTable, TableBuilder, Value, Verbaliser,
};

fn table(numbers: &[f64]) -> ProfileTable {
    let field = FieldSpec::numeric("x").with_phrase("{}").with_word("low", "rare");
    let mut builder =
        TableBuilder::new(ProfileSchema::builder("s").with_subject("It").with_field(field).build().unwrap());
    for (id, &x) in numbers.iter().enumerate() {
        builder.push_values(id as i64, &[Some(Value::Number(x))]).unwrap();
    }
    builder.finish()
}

/// The word of every number.
fn words(numbers: &[f64], levels: LevelConfig) -> Vec<String> {
    let table = table(numbers);
    let verbaliser = Verbaliser::fit(&table, levels).unwrap();
    (0..numbers.len()).map(|row| verbaliser.render(&table, row).replace("It ", "")).collect()
}

fn bins(levels: usize) -> LevelConfig {
    LevelConfig::new(levels).with_rule(LevelRule::QuantileBins)
}

#[test]
fn levels_go_by_rank() {
    // Six in ten have none.
    let numbers = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 5.0, 90.0];
    for levels in [LevelConfig::new(5), bins(5)] {
        let words = words(&numbers, levels);
        assert_eq!(words[0], "rare");
        assert_eq!(&words[6..], ["high", "high", "very high", "very high"]);
    }
}

/// A number that half of the users share is in the middle, at the bottom or at the top with them, and does not take others along.
#[test]
fn a_number_that_many_share_has_the_level_of_its_middle_rank() {
    let middle = [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 7.0, 9.0];
    let by_rank = words(&middle, LevelConfig::new(3));
    assert_eq!([&by_rank[0], &by_rank[3], &by_rank[8]], ["rare", "moderate", "high"]);
    let by_bins = words(&middle, bins(3));
    assert_eq!([&by_bins[0], &by_bins[3], &by_bins[8]], ["moderate", "moderate", "high"]);

    let second = [1.0, 2.0, 3.0, 5.0, 5.0, 5.0, 5.0, 5.0, 8.0, 9.0];
    assert_eq!(words(&second, LevelConfig::new(5))[3], "moderate");
    assert_eq!(words(&second, LevelConfig::new(2))[3], "high");
    assert_eq!(words(&[4.0; 3], LevelConfig::new(5))[0], "moderate");
    assert_eq!(words(&[4.0; 3], LevelConfig::new(3))[0], "moderate");
}

#[test]
fn numbers_that_were_not_fitted_have_the_level_of_the_next_greater_one() {
    let fitted = table(&[10.0, 20.0, 30.0]);
    let verbaliser = Verbaliser::fit(&fitted, 3).unwrap();
    let others = table(&[-5.0, 10.5, 25.0, 31.0]);
    let words: Vec<String> = (0..4).map(|row| verbaliser.render(&others, row)).collect();
    assert_eq!(words, ["It rare", "It moderate", "It high", "It high"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_number_has_the_level_of_its_mid_distribution_rank(
        numbers in prop::collection::vec(prop_oneof![Just(0.0), -5.0..5.0f64, (-3..3i32).prop_map(f64::from)], 1..60),
        levels in 2..=5usize,
    ) {
        let names: &[&str] = match levels {
            2 => &["rare", "high"],
            3 => &["rare", "moderate", "high"],
            4 => &["very low", "rare", "high", "very high"],
            _ => &["very low", "rare", "moderate", "high", "very high"],
        };
        for (x, word) in numbers.iter().zip(words(&numbers, LevelConfig::new(levels))) {
            let under = numbers.iter().filter(|other| *other < x).count();
            let up_to = numbers.iter().filter(|other| *other <= x).count();
            prop_assert_eq!(word, names[(under + up_to) * levels / (2 * numbers.len())]);
        }
    }

    /// Without ties the rules differ by the rounding of ranks only: on as many numbers as the levels divide they are one.
    #[test]
    fn without_ties_both_rules_are_one(times in 1..20usize, levels in 2..=5usize) {
        let numbers: Vec<f64> = (0..times * levels).map(|i| i as f64).collect();
        prop_assert_eq!(words(&numbers, LevelConfig::new(levels)), words(&numbers, bins(levels)));
    }
}

#[test]
fn settings_are_data_and_checked() {
    let config: LevelConfig = toml::from_str("count = 4\nrule = \"quantile-bins\"").unwrap();
    assert_eq!(config, bins(4));
    assert_eq!(toml::from_str::<LevelConfig>("count = 4").unwrap(), LevelConfig::from(4));
    assert!(toml::from_str::<LevelConfig>("levels = 4").is_err());
    let error = Verbaliser::fit(&table(&[]), 6).unwrap_err();
    assert_eq!(error.to_string(), "`levels`: expected 2, 3, 4 or 5, found 6");
}

const PLAIN: &str = "name = \"s\"\nid = \"id\"\n\n[[field]]\nname = \"owner\"\nkind = \"boolean\"\n\n\
                     [[field]]\nname = \"plan\"\nkind = \"categorical\"\nvalues = [\"a\", \"b\"]\n";

#[test]
fn a_field_that_is_not_rendered_stays_in_the_profile() {
    let plain = ProfileSchema::from_toml(PLAIN).unwrap();
    let quiet = ProfileSchema::from_toml(
        &PLAIN.replace("[[field]]\nname = \"plan\"", "[[field]]\nrendered = false\nname = \"plan\""),
    )
    .unwrap();
    let built = ProfileSchema::builder("s")
        .with_field(FieldSpec::boolean("owner"))
        .with_field(FieldSpec::categorical("plan", ["a", "b"]).with_rendered(false))
        .build()
        .unwrap();
    assert_eq!(quiet, built);
    assert_eq!(ProfileSchema::from_json(&quiet.to_json().unwrap()).unwrap(), quiet);
    // A profile means the same, a text does not.
    assert_eq!(plain.hash(), quiet.hash());
    assert_ne!(plain.wording_hash(), quiet.wording_hash());

    let mut builder = TableBuilder::new(quiet);
    builder.push_text(1, &["yes", "b"]).unwrap();
    builder.push_text(2, &["", "b"]).unwrap();
    let table = builder.finish();
    let verbaliser = Verbaliser::fit(&table, 3).unwrap();
    assert_eq!(verbaliser.render(&table, 0), "A user whose owner is yes");
    assert_eq!(verbaliser.render(&table, 1), "A user");
    assert_eq!(verbaliser.rendered(&table, 0), [0]);
    assert_eq!(table.value(1, 1), Some(Value::Code(1)));
    assert_eq!(table.populated(1), 1);
}
