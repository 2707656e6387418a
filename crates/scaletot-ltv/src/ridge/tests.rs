use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_chain::Signals;
use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, TableBuilder};

use super::*;
use crate::config::Representation;
use crate::parts::parts;
use crate::recipe::ProfileRecipe;
use crate::signal_columns::SignalColumns;

/// Users whose targets are made by the two numbers of their representation; the third is constant.
struct World {
    table: ProfileTable,
    signals: Signals,
    targets: Vec<f64>,
}

fn world(n: usize, fields: usize) -> World {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let names: Vec<String> = (0..fields).map(|f| format!("f{f}")).collect();
    let schema = names.iter().fold(ProfileSchema::builder("t"), |s, name| {
        s.with_field(FieldSpec::categorical(name, ["a", "b", "c"]))
    });
    let mut rows = TableBuilder::new(schema.build().unwrap());
    let mut representations = Vec::new();
    let mut targets = Vec::new();
    for i in 0..n {
        let values: Vec<&str> = names.iter().map(|_| ["a", "b", "c"][rng.random_range(0..3)]).collect();
        rows.push_text(i as i64, &values).unwrap();
        let x = [(i % 17) as f32, ((i * 7) % 13) as f32, 1.0];
        representations.extend(x);
        targets.push(0.1 * f64::from(x[0]) + 0.05 * f64::from(x[1]));
    }
    let signals = Signals::new((0..n).collect(), vec![], vec![], [1, 3], representations).unwrap();
    World { table: rows.finish(), signals, targets }
}

impl World {
    fn fit(&self, inputs: Inputs, targets: &[f64], parts: &[Vec<usize>]) -> RidgeFit {
        let recipe = ProfileRecipe::fit(&self.table, 4).unwrap();
        let shape = SignalColumns::of(&self.signals, Representation::Whole);
        let columns = Columns { profile: &recipe, signals: Some(&shape) };
        let users = Users { table: &self.table, signals: Some(&self.signals) };
        let targets: Vec<f64> = parts.iter().flatten().map(|&row| targets[row]).collect();
        Ridge::fit(inputs, columns, users, Training { parts, targets: &targets, progress: &() }).unwrap()
    }
}

fn five(rows: &[usize]) -> Vec<Vec<usize>> {
    parts(rows, None, 5, 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// What is checked before a regression is what it finds.
    #[test]
    fn columns_that_vary_are_counted_as_the_regression_counts_them(
        users in prop::collection::vec((0..4u8, prop::option::of(0..3i32), prop::option::of(any::<bool>()), 0..8u8), 10..30)
    ) {
        let schema = ProfileSchema::builder("t")
            .with_field(FieldSpec::categorical("c", ["0", "1", "2", "3"]))
            .with_field(FieldSpec::numeric("n"))
            .with_field(FieldSpec::boolean("b"))
            .with_field(FieldSpec::multi("m", ["0", "1", "2"]));
        let mut rows = TableBuilder::new(schema.build().unwrap());
        for (id, (code, number, flag, set)) in users.iter().enumerate() {
            let set: Vec<String> = (0..3).filter(|bit| set >> bit & 1 == 1).map(|bit| bit.to_string()).collect();
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let (number, flag) = (number.map(|x| x.to_string()), flag.map(|x| x.to_string()));
            rows.push_text(id as i64, &[code.to_string(), text(&number), text(&flag), set.join("|")]).unwrap();
        }
        let table = rows.finish();
        let rows: Vec<usize> = (0..table.len()).collect();
        let recipe = ProfileRecipe::fit(&table, 4).unwrap();
        let columns = Columns { profile: &recipe, signals: None };
        let training = Training { parts: &five(&rows), targets: &vec![1.0; rows.len()], progress: &() };
        let users = Users { table: &table, signals: None };
        let fit = Ridge::fit(Inputs::Profile, columns, users, training).unwrap();
        prop_assert_eq!(recipe.varying(&table, &rows), fit.model.columns.len());
    }
}

#[test]
fn recovers_a_linear_signal() {
    let world = world(200, 1);
    let (train, test): (Vec<usize>, Vec<usize>) = (0..200).partition(|i| i % 4 != 0);
    let parts = five(&train);
    let fit = world.fit(Inputs::Signals, &world.targets, &parts);
    assert_eq!(fit.model.columns.len(), 2, "the constant column is left out");
    for &row in &test {
        let x: Vec<f64> = world.signals.representation(row).iter().map(|&x| x.into()).collect();
        let predicted = fit.model.predict(&x);
        assert!((world.targets[row] - predicted).abs() < 0.05, "row {row}: {predicted}");
    }
    for (&row, predicted) in parts.iter().flatten().zip(&fit.out_of_fold) {
        assert!((world.targets[row] - predicted).abs() < 0.05, "row {row}: {predicted}");
    }
}

/// What is predicted of a user out of fold does not depend on the user's own outcome, if the penalty stays the same.
#[test]
fn out_of_fold_means_without_the_part() {
    let world = world(60, 1);
    let parts = five(&(0..60).collect::<Vec<_>>());
    let before = world.fit(Inputs::Signals, &world.targets, &parts).out_of_fold;
    let mut targets = world.targets.clone();
    targets[parts[0][0]] += 0.01;
    let after = world.fit(Inputs::Signals, &targets, &parts).out_of_fold;
    let moved =
        |range: std::ops::Range<usize>| range.map(|i| (before[i] - after[i]).abs()).fold(0.0, f64::max);
    let first = parts[0].len();
    assert!(moved(0..first) < 1e-12 && moved(first..60) > 1e-6, "{} {}", moved(0..first), moved(first..60));
}

/// The gradient of the penalised loss is 0 at the solution, block by block.
#[test]
fn the_solution_is_stationary() {
    let x: Vec<[f64; 2]> = (0..60).map(|i| [(i % 17) as f64, ((i * 7) % 13) as f64]).collect();
    let y: Vec<f64> = x.iter().map(|x| 0.1 * x[0] + 0.05 * x[1]).collect();
    let mut moments = Moments::new(2);
    x.iter().for_each(|x| moments.add(x));
    let scaler = moments.scaler(1);
    let rows: Vec<Vec<f64>> = x.iter().map(|x| scaler.row(x).collect()).collect();
    let system =
        System::of(&DMatrix::from_fn(60, 3, |i, j| rows[i][j]), &DVector::from_column_slice(&y), &())
            .unwrap();
    let (scale, alpha) = (0.3, 10.0);
    let weights = system.solve(&scaler, scale, alpha).unwrap();
    let residuals: Vec<f64> = rows
        .iter()
        .zip(&y)
        .map(|(x, y)| x.iter().zip(weights.iter()).map(|(x, w)| x * w).sum::<f64>() - y)
        .collect();
    for (j, penalty) in [0.0, alpha / (scale * scale), alpha].into_iter().enumerate() {
        let gradient: f64 = rows.iter().zip(&residuals).map(|(x, residual)| x[j] * residual).sum();
        assert!((gradient + penalty * weights[j]).abs() < 1e-9, "{j}");
    }
    let residual: f64 = residuals.iter().map(|residual| residual.powi(2)).sum();
    assert!((system.squared_error(&weights) - residual).abs() < 1e-9);
}

#[test]
fn a_first_block_of_noise_is_shrunk_away() {
    let world = world(120, 20);
    let (train, test): (Vec<usize>, Vec<usize>) = (0..120).partition(|i| i % 3 != 0);
    let error = |inputs| -> f64 {
        let model = world.fit(inputs, &world.targets, &five(&train)).model;
        let recipe = ProfileRecipe::fit(&world.table, 4).unwrap();
        let shape = SignalColumns::of(&world.signals, Representation::Whole);
        let columns = Columns { profile: &recipe, signals: Some(&shape) };
        let users = Users { table: &world.table, signals: Some(&world.signals) };
        let mut x = vec![0.0; columns.width()];
        let squared = test.iter().map(|&row| {
            users.fill(columns, row, &mut x).unwrap();
            (world.targets[row] - model.predict(&x[columns.of(inputs)])).powi(2)
        });
        squared.sum()
    };
    assert!(error(Inputs::ProfileAndSignals) < 0.05 * error(Inputs::Profile));
}
