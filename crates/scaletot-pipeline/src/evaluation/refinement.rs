//! Whether refinement makes the teacher right more often, on small worlds whose truth is known.

use crate::error::Result;
use scaletot_eval::planted::{Blur, PlantedConfig};
use scaletot_search::{RefineConfig, Strategy};

use super::options::EvaluateOptions;
use super::results::RefinementPoint;
use super::study::{Study, budget};

/// Users of each small world in which refinement is compared with greedy chains.
const REFINED_USERS: usize = 1_000;

/// How refinement changes the teacher's accuracy, over noises of the teacher and shares of missing cells; what it gets wrong about fields is as
/// in the run itself.
///
/// # Errors
/// If a world cannot be made.
pub(super) fn refinement(options: &EvaluateOptions) -> Result<Vec<RefinementPoint>> {
    let mut points = Vec::new();
    for noise in [0.0, 0.7, 1.5] {
        for missing in [0.2, 0.4, 0.6] {
            let source = &options.source;
            let config = PlantedConfig::default().with_users(REFINED_USERS).with_missing(missing);
            let least = source.min_populated(config.fields);
            let blur = Blur::new(noise).with_fields(source.field_errors);
            let study = Study::of_world(&config, &blur, least, source.seed)?;
            let measure = |strategy: Strategy| -> Result<(f64, f64)> {
                let reasoner = study.reasoner(strategy, budget(), least, 0.0)?;
                let (mut right, mut states, mut questions) = (0.0, 0.0, 0.0);
                for &row in &study.eligible {
                    let record = reasoner.reason(study.dataset.table(), row, source.seed)?;
                    questions += record.cost.queries as f64;
                    let truth = study.planted.as_ref().map(|planted| planted.truth(row)).unwrap_or_default();
                    for (step, value) in record.best.iter().flat_map(|best| best.steps()).zip(truth) {
                        right += f64::from(u8::from(step.value == value));
                        states += 1.0;
                    }
                }
                Ok((right / f64::max(states, 1.0), questions / study.eligible.len().max(1) as f64))
            };
            let (greedy, greedy_questions) = measure(Strategy::Greedy)?;
            let (refined, refined_questions) = measure(Strategy::Refine(RefineConfig::default()))?;
            points.push(RefinementPoint {
                noise,
                missing,
                greedy,
                refined,
                greedy_questions,
                refined_questions,
            });
        }
    }
    Ok(points)
}
