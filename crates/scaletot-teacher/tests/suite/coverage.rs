use proptest::prelude::*;
use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, Segments, TableBuilder};
use scaletot_teacher::{Coverage, CoveragePlan, CoveredUsers, ProfileCoverage};

/// Users with a segment, and with a profile or without.
fn users(kinds: &[(u8, bool)]) -> (ProfileTable, Segments) {
    let schema = ProfileSchema::builder("shop").with_field(FieldSpec::boolean("owner")).build().unwrap();
    let mut builder = TableBuilder::new(schema);
    for (id, (_, populated)) in (0..).zip(kinds) {
        builder.push_text(id, &[if *populated { "yes" } else { "" }]).unwrap();
    }
    let labels: Vec<Option<String>> =
        kinds.iter().map(|(segment, _)| (*segment > 0).then(|| format!("s{segment}"))).collect();
    (builder.finish(), Segments::from_labels(&labels))
}

fn kinds() -> impl Strategy<Value = Vec<(u8, bool)>> {
    prop::collection::vec((0..5_u8, prop::bool::weighted(0.7)), 1..200)
}

proptest! {
    #[test]
    fn shares_are_exact_within_one_user(kinds in kinds(), f in 0.001..=1.0_f64, seed in any::<u64>()) {
        let (table, segments) = users(&kinds);
        let plan = CoveragePlan::new(Coverage::Share(f)).unwrap();
        for covered in [plan.random(&table, seed).unwrap(), plan.stratified(&table, &segments, seed).unwrap()] {
            let target = ((f * kinds.len() as f64).round() as usize).max(1);
            prop_assert_eq!(covered.target(), target);
            prop_assert_eq!(covered.rows().len(), target.min(covered.eligible()));
            prop_assert_eq!(covered.population(), kinds.len());
            prop_assert!(covered.rows().is_sorted_by(|a, b| a < b), "sorted and distinct");
            prop_assert!(covered.rows().iter().all(|&row| table.populated(row) > 0));
            for segment in covered.segments() {
                let exact = segment.eligible as f64 * covered.rows().len() as f64 / covered.eligible().max(1) as f64;
                prop_assert!((segment.covered as f64 - exact).abs() < 1.0);
                prop_assert!(segment.covered <= segment.eligible && segment.eligible <= segment.population);
            }
        }
        let covered = plan.stratified(&table, &segments, seed).unwrap();
        let mut counts = vec![0; segments.len()];
        covered.rows().iter().for_each(|&row| counts[segments.of(row)] += 1);
        prop_assert_eq!(counts, covered.segments().iter().map(|s| s.covered).collect::<Vec<_>>());
    }

    /// A greater random coverage contains a smaller one of the same seed.
    #[test]
    fn coverages_are_nested(kinds in kinds(), few in 1..50_usize, more in 0..50_usize, seed in any::<u64>()) {
        let (table, _) = users(&kinds);
        let rows = |n| CoveragePlan::new(Coverage::Count(n)).unwrap().random(&table, seed).unwrap().into_rows();
        let larger = rows(few + more);
        prop_assert!(rows(few).iter().all(|row| larger.contains(row)));
    }

    /// Another user's profile going missing does not change who else is picked, but for who moves up.
    #[test]
    fn choices_do_not_hang_on_others(kinds in kinds(), seed in any::<u64>()) {
        let (table, _) = users(&kinds);
        let mut without = kinds.clone();
        without[0].1 = false;
        let (other, _) = users(&without);
        let plan = CoveragePlan::new(Coverage::Count(10)).unwrap();
        let (a, b) = (plan.random(&table, seed).unwrap().into_rows(), plan.random(&other, seed).unwrap().into_rows());
        prop_assert!(a.iter().filter(|row| !b.contains(row)).all(|&row| row == 0));
    }
}

#[test]
fn every_eligible_user_is_as_likely_as_the_next() {
    let (table, _) = users(&[(0, true); 40]);
    let mut times = [0_u32; 40];
    let plan = CoveragePlan::new(Coverage::Share(0.25)).unwrap();
    for seed in 0..2000 {
        plan.random(&table, seed).unwrap().rows().iter().for_each(|&row| times[row] += 1);
    }
    // 2000 draws of probability 1/4: 500 ± 5 standard deviations of 19.4.
    assert!(times.iter().all(|&n| (403..=597).contains(&n)), "{times:?}");
}

#[test]
fn refuses_what_cannot_be_covered_and_says_what_can() {
    for bad in [0.0, -0.1, 1.1, f64::NAN] {
        assert!(CoveragePlan::new(Coverage::Share(bad)).is_err(), "{bad}");
    }
    assert!(CoveragePlan::new(Coverage::Count(0)).is_err());
    let from_file: CoveragePlan =
        serde_json::from_str(r#"{"coverage":{"share":3.0},"min_populated":1}"#).unwrap();
    let (table, segments) = users(&[(1, true), (2, false), (2, true)]);
    assert!(from_file.random(&table, 0).is_err());

    let plan = CoveragePlan::new(Coverage::Count(50)).unwrap();
    let covered = plan.stratified(&table, &segments, 0).unwrap();
    assert_eq!((covered.rows(), covered.target(), covered.eligible()), (&[0, 2][..], 50, 2));
    assert!((covered.share() - 2.0 / 3.0).abs() < 1e-12);
    let (other, _) = users(&[(1, true)]);
    assert!(plan.stratified(&other, &segments, 0).is_err(), "segments of another table");
    let nobody = plan.clone().with_min_populated(2).random(&table, 0).unwrap();
    assert!(nobody.rows().is_empty());

    let text = serde_json::to_string(&covered).unwrap();
    assert_eq!(serde_json::from_str::<CoveredUsers>(&text).unwrap(), covered);
}

/// Users with three fields, many of them alike.
fn crowd(cells: &[(u8, u8, u8)]) -> ProfileTable {
    let schema = ProfileSchema::builder("crowd")
        .with_field(FieldSpec::categorical("city", ["a", "b", "c", "d"]))
        .with_field(FieldSpec::ordinal("age", ["1", "2", "3", "4"]))
        .with_field(FieldSpec::numeric("income"))
        .build()
        .unwrap();
    let mut builder = TableBuilder::new(schema);
    for (id, (city, age, income)) in (0..).zip(cells) {
        let text = |n: u8, of: &[&str]| of.get(usize::from(n)).map_or(String::new(), |t| (*t).to_owned());
        let income = if *income == 0 { String::new() } else { income.to_string() };
        builder
            .push_text(
                id,
                &[&text(*city, &["a", "b", "c", "d"]), &text(*age, &["1", "2", "3", "4"]), &income],
            )
            .unwrap();
    }
    builder.finish()
}

/// Mean similarity of all eligible users to their nearest covered one, from the shares within each distance.
fn served(coverage: &ProfileCoverage) -> f64 {
    (0..1_000).map(|at| coverage.within(f64::from(at) / 1_000.0)).sum::<f64>() / 1_000.0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Chosen profiles are distinct while there are any left, nested, and serve the crowd better than chance and nearly as well as the
    /// best pair.
    #[test]
    fn chosen_profiles_stand_for_the_others(
        cells in prop::collection::vec((0..5_u8, 0..5_u8, 0..4_u8), 8..40), n in 1..10_usize, seed in any::<u64>(),
    ) {
        let table = crowd(&cells);
        let plan = |n| CoveragePlan::new(Coverage::Count(n)).unwrap();
        let covered = plan(n).profiles(&table, seed).unwrap();
        let coverage = ProfileCoverage::of(&table, covered.rows(), 0).unwrap();
        prop_assert_eq!(covered.rows().len(), n.min(covered.eligible()));
        // A user without any populated field is not eligible here, and counts as uncovered at most.
        prop_assert_eq!(coverage.covered, n.min(coverage.distinct).min(coverage.covered.max(1)));
        let more = plan(n + 3).profiles(&table, seed).unwrap();
        prop_assert!(covered.rows().iter().all(|row| more.rows().contains(row)));
        prop_assert!((coverage.within(1.0) - 1.0).abs() < 1e-9);
        let whole = ProfileCoverage::of(&table, &(0..table.len()).collect::<Vec<_>>(), 0).unwrap();
        prop_assert!((whole.within(0.0) - 1.0).abs() < 1e-9 && whole.distinct_share() == 1.0);
        // Greedy is within 1 - 1/e of any choice, the best among them.
        let eligible: Vec<usize> = (0..table.len()).filter(|&row| table.populated(row) > 0).collect();
        let two = ProfileCoverage::of(&table, plan(2).profiles(&table, seed).unwrap().rows(), 1).unwrap();
        for (i, a) in eligible.iter().enumerate() {
            for b in &eligible[i + 1..] {
                let other = ProfileCoverage::of(&table, &[*a, *b], 1).unwrap();
                prop_assert!(served(&two) >= (1.0 - (-1.0_f64).exp()) * served(&other) - 2e-3);
            }
        }
    }
}

#[test]
fn common_profiles_come_first_and_random_users_fill_up() {
    let cells: Vec<(u8, u8, u8)> =
        (0..100).map(|user| if user < 90 { (0, 0, 1) } else { (3, 3, 3) }).collect();
    let table = crowd(&cells);
    let plan = |n| CoveragePlan::new(Coverage::Count(n)).unwrap().profiles(&table, 0).unwrap();
    assert!(plan(1).rows()[0] < 90);
    let two = ProfileCoverage::of(&table, plan(2).rows(), 1).unwrap();
    assert_eq!((two.distinct, two.covered, two.within(0.0)), (2, 2, 1.0));
    assert_eq!(plan(30).rows().len(), 30);
}

/// Two hundred thousand users take seconds, not hours.
#[test]
fn many_users_are_planned_for_quickly() {
    let cells: Vec<(u8, u8, u8)> = (0..200_000_u32)
        .map(|user| ((user % 5) as u8, (user / 7 % 5) as u8, (user / 31 % 200) as u8))
        .collect();
    let table = crowd(&cells);
    let covered = CoveragePlan::new(Coverage::Share(0.001)).unwrap().profiles(&table, 0).unwrap();
    assert_eq!(covered.rows().len(), 200);
    let coverage = ProfileCoverage::of(&table, covered.rows(), 1).unwrap();
    assert!(coverage.within(0.1) > 0.9, "{}", coverage.within(0.1));
}

#[test]
fn unknown_keys_are_refused_with_their_name() {
    let plan = serde_json::from_str::<CoveragePlan>(r#"{"share": 0.1}"#).unwrap_err().to_string();
    assert!(plan.contains("unknown field `share`"), "{plan}");
    let prices = scaletot_teacher::Prices::from_toml("currency = \"EUR\"\nmodel = 3").unwrap_err();
    let prices = scaletot_core::causes(&prices);
    assert!(prices.contains("unknown field `model`"), "{prices}");
}
