//! Two models on the same users: is one better, or is that noise?
//!
//! Users are drawn anew a thousand times, and both models are measured on the same draws: their figures rise and fall together, so that
//! the difference is known far better than either. An interval that contains 0 shows no difference, and the sentence tells so.
//!
//! `cargo run --example evaluate_two_models` prints metrics with intervals, differences in words, and what the users are worth by fifths.

#![allow(clippy::print_stdout, reason = "a program's output")]

use scaletot_eval::planted::{PlantedConfig, PlantedWorld};
use scaletot_eval::{Arms, Bootstrap, Error, Metric, quantile_table};

fn main() -> Result<(), Error> {
    // A synthetic world, where the best possible prediction from a profile is known.
    let config = PlantedConfig::default().with_users(800);
    let world = PlantedWorld::new(&config, 3)?;
    let outcomes = world.outcomes();

    // The first model is that prediction. The second rounds it, the third gives every user somebody else's.
    let best: Vec<f64> =
        (0..world.users()).map(|user| world.expected_score(user)).collect::<Result<_, _>>()?;
    let rounded: Vec<f64> = best.iter().map(|score| (score * 2.0).round() / 2.0).collect();
    let stranger: Vec<f64> = (0..best.len()).map(|user| best[(user + 1) % best.len()]).collect();

    let names = ["exact", "rounded", "of a stranger"];
    let arms = Arms::new(outcomes)?.with_scores(&best)?.with_scores(&rounded)?.with_scores(&stranger)?;
    let metrics = [Metric::Spearman, Metric::NormalisedGini, Metric::TopDecileLift];
    let replicates = Bootstrap::default().with_replicates(1_000).measure(&arms, &metrics, 7)?;
    for (arm, name) in names.iter().enumerate() {
        print!("{name:>14}");
        for metric in metrics {
            let interval = replicates.interval(arm, metric)?;
            print!("  {metric} {:.3} [{:.3}, {:.3}]", interval.estimate, interval.low, interval.high);
        }
        println!();
    }
    for other in [1, 2] {
        let difference = replicates.difference(0, other, Metric::NormalisedGini)?;
        println!("{}", difference.in_words(names[0], names[other]));
    }

    println!("fifths of the users by the exact model, best first");
    for fifth in quantile_table(outcomes, &best, 5)? {
        println!("  mean outcome {:.2}, {:.0} % of all value", fifth.mean_outcome, 100.0 * fifth.value_share);
    }
    Ok(())
}
