//! The final bootstrap of a run: four models, four metrics, 2,000 replicates, every interval and two paired differences per metric.
//!
//! Time must grow with the users as they do: the second size is four times the first.
#![allow(clippy::expect_used, reason = "a benchmark has nobody to return an error to")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use scaletot_eval::planted::{PlantedConfig, PlantedWorld};
use scaletot_eval::{Arms, Bootstrap, Metric};

const METRICS: [Metric; 4] =
    [Metric::Spearman, Metric::NormalisedGini, Metric::AucOfPositive, Metric::TopDecileShare];

/// Outcomes of a planted world, three noisy scores without ties, and a coarse one with many.
fn users(count: usize) -> scaletot_eval::Result<(Vec<f64>, [Vec<f64>; 4])> {
    let world = PlantedWorld::new(&PlantedConfig::default().with_users(count), 0)?;
    let truth = (0..count).map(|user| world.score(user)).collect::<scaletot_eval::Result<Vec<f64>>>()?;
    let noisy = |noise: f64| -> Vec<f64> {
        (0_u32..).zip(&truth).map(|(user, score)| score + noise * (f64::from(user) * 1.7).sin()).collect()
    };
    let coarse = noisy(1.0).into_iter().map(|score| (score * 4.0).round()).collect();
    Ok((world.outcomes().to_vec(), [noisy(1.0), noisy(2.0), noisy(4.0), coarse]))
}

fn evaluate(outcomes: &[f64], models: &[Vec<f64>]) -> scaletot_eval::Result<f64> {
    let arms = models.iter().try_fold(Arms::new(outcomes)?, |arms, scores| arms.with_scores(scores))?;
    let replicates = Bootstrap::default().measure(&arms, &METRICS, 1)?;
    let mut width = 0.0;
    for metric in METRICS {
        for arm in 0..models.len() {
            let interval = replicates.interval(arm, metric)?;
            width += interval.high - interval.low;
        }
        for (first, second) in [(1, 0), (3, 2)] {
            width += replicates.difference(first, second, metric)?.interval.estimate;
        }
    }
    Ok(width)
}

fn bootstrap(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bootstrap");
    group.sample_size(10);
    for count in [7_500, 30_000] {
        let (outcomes, models) = users(count).expect("a standard world of another size");
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bench| {
            bench.iter(|| evaluate(black_box(&outcomes), black_box(&models)).expect("metrics are defined"));
        });
    }
    group.finish();
}

criterion_group!(benches, bootstrap);
criterion_main!(benches);
