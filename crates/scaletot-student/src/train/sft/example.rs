//! What a record teaches: a chain and a target for every value.

use scaletot_chain::{ChainSchema, JoinedCorpus};
use serde::Serialize;

use super::config::{SftConfig, SoftLabel};
use super::weight::curation_weights;

/// One user to learn from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Example {
    pub(super) row: usize,
    /// The best chain.
    pub(super) values: Vec<u16>,
    /// For each state a distribution over its values.
    pub(super) targets: Vec<Vec<f64>>,
    pub(super) weight: f64,
}

/// One example for every accepted record, in the corpus' order.
pub(super) fn examples(corpus: &JoinedCorpus<'_>, schema: &ChainSchema, config: &SftConfig) -> Vec<Example> {
    let (mut examples, mut scores) = (vec![], vec![]);
    for (row, record) in corpus.accepted() {
        let Some(best) = &record.best else { continue };
        let values = best.values();
        let soft = |k: usize| match config.soft_label {
            SoftLabel::Posterior if !record.posterior.is_empty() => record.posterior[k].as_slice(),
            _ => best.steps()[k].distribution.as_slice(),
        };
        let targets = (0..schema.len())
            .map(|k| target(soft(k), &schema.allowed(k, &values[..k]), values[k], config.label_mix))
            .collect();
        scores.push(best.score());
        examples.push(Example { row, values, targets, weight: 1.0 });
    }
    for (example, weight) in examples.iter_mut().zip(curation_weights(&scores, config.score_weight)) {
        example.weight = weight;
    }
    examples
}

/// `mix · soft + (1 − mix) · hard`, where `soft` is limited to the values that are legal after the best
/// chain's values so far: a posterior over many chains may hold mass on a value that cannot follow in this
/// one.
fn target(soft: &[f64], legal: &[bool], hard: u16, mix: f64) -> Vec<f64> {
    let kept: Vec<f64> = soft.iter().zip(legal).map(|(&p, &ok)| if ok { p } else { 0.0 }).collect();
    let sum: f64 = kept.iter().sum();
    let mix = if sum > 0.0 { mix } else { 0.0 };
    let mut target: Vec<f64> = kept.iter().map(|p| if mix > 0.0 { mix * p / sum } else { 0.0 }).collect();
    target[usize::from(hard)] += 1.0 - mix;
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_mixes_legal_mass_with_the_hard_label() {
        let close = |a: Vec<f64>, b: [f64; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close(target(&[0.2, 0.3, 0.5], &[true; 3], 1, 0.5), [0.1, 0.65, 0.25]));
        assert!(close(target(&[0.2, 0.3, 0.5], &[true, true, false], 1, 1.0), [0.4, 0.6, 0.0]));
        assert!(close(target(&[0.0, 0.0, 1.0], &[true, true, false], 0, 0.7), [1.0, 0.0, 0.0]));
        assert!(close(target(&[0.2, 0.3, 0.5], &[true; 3], 2, 0.0), [0.0, 0.0, 1.0]));
    }
}
