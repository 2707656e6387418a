//! How a value is chosen by its logits: the most probable one, or one that is drawn.

use rand::{Rng, RngExt};
use scaletot_core::config::{positive, share};
use scaletot_core::numeric::softmax_in_place;

use crate::error::Result;

/// How [`Student::sample`](crate::Student::sample) draws.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Sampling {
    /// Divides the logits; above 0. Default 1.
    pub temperature: f64,
    /// The most probable values that together have this much probability are drawn from (nucleus sampling, Holtzman et al. 2020);
    /// in `(0, 1]`. Default 1: all.
    pub top_p: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_p: 1.0 }
    }
}

impl Sampling {
    /// With another share of the probability to draw from; [`Student::sample`](crate::Student::sample) checks it.
    #[must_use]
    pub fn with_top_p(self, top_p: f64) -> Self {
        Self { top_p, ..self }
    }

    /// All values, at a temperature.
    #[must_use]
    pub fn at(temperature: f64) -> Self {
        Self { temperature, top_p: 1.0 }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let Self { temperature, top_p } = *self;
        positive("temperature", temperature)?;
        Ok(share("top_p", top_p)?)
    }
}

/// `legal_softmax(logits / temperature)` over the legal values, 0 elsewhere. The schema leaves at least one.
pub(crate) fn legal_softmax(logits: &[f32], legal: &[bool], temperature: f64) -> Vec<f64> {
    let scaled = logits
        .iter()
        .zip(legal)
        .map(|(&x, &ok)| if ok { f64::from(x) / temperature } else { f64::NEG_INFINITY });
    let mut scaled: Vec<f64> = scaled.collect();
    softmax_in_place(&mut scaled);
    scaled
}

/// Keeps the most probable values that together have `top_p`, of equal ones the first, and scales them to the sum 1.
pub(crate) fn nucleus(p: &mut [f64], top_p: f64) {
    if top_p >= 1.0 {
        return;
    }
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
    let mut mass = 0.0;
    for value in order {
        if mass >= top_p {
            p[value] = 0.0;
        }
        mass += p[value];
    }
    let sum: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
}

/// The first of the most probable values.
pub(crate) fn argmax(p: &[f64]) -> u16 {
    let mut best = 0;
    for (v, &x) in p.iter().enumerate() {
        if x > p[best] {
            best = v;
        }
    }
    best as u16
}

/// A value drawn from `p`; never one of probability 0.
pub(crate) fn draw(p: &[f64], rng: &mut impl Rng) -> u16 {
    let mut left: f64 = rng.random();
    let mut last = 0;
    for (v, &x) in p.iter().enumerate().filter(|(_, x)| **x > 0.0) {
        last = v;
        if left < x {
            break;
        }
        left -= x;
    }
    last as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;

    #[test]
    fn a_value_without_probability_is_never_drawn() {
        let mut rng = seeds::numbered(1, 1);
        let mut seen = [0; 3];
        for _ in 0..2_000 {
            seen[usize::from(draw(&[0.25, 0.0, 0.75], &mut rng))] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!((f64::from(seen[0]) / 2_000.0 - 0.25).abs() < 0.04, "{seen:?}");
        assert_eq!(draw(&[0.0, 1.0 - 1e-16, 0.0], &mut rng), 1);
    }

    #[test]
    fn a_nucleus_holds_the_most_probable_values() {
        let kept = |top_p| {
            let mut p = [0.2, 0.5, 0.0, 0.3];
            nucleus(&mut p, top_p);
            p
        };
        assert_eq!(kept(1.0), [0.2, 0.5, 0.0, 0.3]);
        assert_eq!(kept(0.5), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(kept(1e-9), [0.0, 1.0, 0.0, 0.0]);
        let two = kept(0.7);
        assert!((two[1] - 0.625).abs() < 1e-12 && (two[3] - 0.375).abs() < 1e-12, "{two:?}");
        assert_eq!((two[0], two[2]), (0.0, 0.0));
    }

    #[test]
    fn the_softmax_is_over_legal_values() {
        let p = legal_softmax(&[9.0, 1.0, 1.0], &[false, true, true], 0.5);
        assert_eq!(p, [0.0, 0.5, 0.5]);
        assert_eq!(argmax(&p), 1);
        let p = legal_softmax(&[1e30, -1e30], &[true, true], 1e-3);
        assert_eq!(p, [1.0, 0.0]);
    }
}
