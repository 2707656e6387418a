//! The planted tables, and exact inference by enumeration.

use scaletot_core::numeric::softmax;

use super::config::PlantedConfig;
use super::draw::{Draws, Stream};
use super::fields::FieldReading;

/// Everything that all users share. All probabilities are above 0, so all logarithms are finite.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    states: usize,
    values: usize,
    codes: usize,
    /// `ln P(s_0)`, by value.
    log_first: Vec<f64>,
    /// `ln P(s_k | s_{k−1})` for `k` from 1, by value of `k − 1`, then of `k`.
    log_steps: Vec<Vec<f64>>,
    /// The two states of every field, the earlier first.
    pub(crate) parents: Vec<[usize; 2]>,
    /// `ln P(code | pair of values)` by field, code, value of the earlier, value of the later.
    log_emission: Vec<f64>,
    /// Standardised score by combination.
    pub(crate) score: Vec<f64>,
}

impl Tables {
    pub(crate) fn draw(config: &PlantedConfig, seed: u64) -> Self {
        let &PlantedConfig { states, values, fields, codes, .. } = config;
        let logs = |row: Vec<f64>| row.into_iter().map(f64::ln);
        let mut chain = Draws::new(seed, Stream::Chain);
        let log_first = logs(chain.dirichlet(1.0, values)).collect();
        let log_steps = (1..states)
            .map(|_| {
                (0..values).flat_map(|_| logs(chain.dirichlet(0.5, values)).collect::<Vec<_>>()).collect()
            })
            .collect();
        let mut parents = Vec::with_capacity(fields);
        let mut log_emission = vec![0.0; fields * codes * values * values];
        for (field, by_code) in log_emission.chunks_exact_mut(codes * values * values).enumerate() {
            let mut draws = Draws::new(seed, Stream::Field(field));
            let first = draws.below(states);
            let second = (first + 1 + draws.below(states - 1)) % states;
            parents.push([first.min(second), first.max(second)]);
            for pair in 0..values * values {
                for (code, log) in logs(draws.dirichlet(0.6, codes)).enumerate() {
                    by_code[code * values * values + pair] = log;
                }
            }
        }
        let mut tables =
            Self { states, values, codes, log_first, log_steps, parents, log_emission, score: Vec::new() };
        tables.score = tables.draw_score(seed);
        tables
    }

    fn draw_score(&self, seed: u64) -> Vec<f64> {
        let Self { states, values, .. } = *self;
        let mut draws = Draws::new(seed, Stream::Score);
        let weights: Vec<f64> = (0..states * values).map(|_| draws.normal()).collect();
        let interaction: Vec<f64> = (0..values * values).map(|_| draws.normal()).collect();
        let (one, other) = (1.min(states - 2), states - 1);
        let prior = softmax(&self.log_weights(&[], &[]));
        let mut at = vec![0; states];
        let mut score: Vec<f64> = prior
            .iter()
            .map(|_| {
                let main: f64 = at.iter().enumerate().map(|(k, value)| weights[k * values + value]).sum();
                let raw = main + interaction[at[one] * values + at[other]];
                advance(&mut at, values);
                raw
            })
            .collect();
        let mean = dot(&prior, &score);
        score.iter_mut().for_each(|s| *s -= mean);
        let deviation = prior.iter().zip(&score).map(|(p, s)| p * s * s).sum::<f64>().sqrt();
        score.iter_mut().for_each(|s| *s /= deviation);
        score
    }

    /// Draws a user's states from the prior.
    pub(crate) fn draw_states(&self, draws: &mut Draws) -> Vec<usize> {
        let mut states: Vec<usize> = Vec::with_capacity(self.states);
        let probabilities = |logs: &[f64]| logs.iter().map(|log| log.exp()).collect::<Vec<_>>();
        for state in 0..self.states {
            let row = match (state.checked_sub(1), states.last()) {
                (Some(step), Some(previous)) => {
                    &self.log_steps[step][previous * self.values..][..self.values]
                }
                _ => &self.log_first,
            };
            states.push(draws.categorical(&probabilities(row)));
        }
        states
    }

    /// Draws the code of a field.
    pub(crate) fn draw_code(&self, field: usize, states: &[usize], draws: &mut Draws) -> usize {
        let [first, second] = self.parents[field].map(|state| states[state]);
        let square = self.values * self.values;
        let of_field = &self.log_emission[field * self.codes * square..][..self.codes * square];
        let pair = first * self.values + second;
        let row: Vec<f64> = of_field.chunks_exact(square).map(|by_pair| by_pair[pair].exp()).collect();
        draws.categorical(&row)
    }

    /// `ln P(s, x)` up to a constant for every combination that begins with `path`, in lexicographic order. The
    /// weight of the path itself is left out; it is the same for all of them.
    pub(crate) fn log_weights(&self, profile: &[Option<u16>], path: &[usize]) -> Vec<f64> {
        self.log_weights_of(&self.pair_tables(profile.iter().map(|code| Some(((*code)?, 1.0)))), path)
    }

    /// As [`log_weights`](Self::log_weights), for somebody who reads the profile's fields in these ways.
    pub(crate) fn log_weights_as_read(
        &self,
        profile: &[Option<u16>],
        readings: &[FieldReading],
        path: &[usize],
    ) -> Vec<f64> {
        let read = |(code, reading): (&Option<u16>, &FieldReading)| {
            Some((reading.read_as[usize::from((*code)?)], reading.weight))
        };
        self.log_weights_of(&self.pair_tables(profile.iter().zip(readings).map(read)), path)
    }

    fn log_weights_of(&self, pairs: &[Option<Vec<f64>>], path: &[usize]) -> Vec<f64> {
        let (free, values) = (path.len(), self.values);
        let mut at = vec![0; self.states];
        at[..free].copy_from_slice(path);
        let mut weights = vec![0.0];
        for state in free..self.states {
            let into: Vec<(usize, &[f64])> = (0..state)
                .filter_map(|earlier| Some((earlier, pairs[triangle(earlier, state)].as_deref()?)))
                .collect();
            let mut next = Vec::with_capacity(weights.len() * values);
            at[free..].fill(0);
            for &weight in &weights {
                let start = next.len();
                next.resize(start + values, weight);
                let row = &mut next[start..];
                if state == 0 {
                    add(row, &self.log_first);
                }
                for (earlier, table) in &into {
                    add(row, &table[at[*earlier] * values..][..values]);
                }
                advance(&mut at[free..state], values);
            }
            weights = next;
        }
        weights
    }

    /// Sums of all that depends on a pair of states: the chain's steps and the observed fields, each with its code and the
    /// weight of its likelihood. `None` where nothing does.
    fn pair_tables(&self, profile: impl Iterator<Item = Option<(u16, f64)>>) -> Vec<Option<Vec<f64>>> {
        let square = self.values * self.values;
        let mut pairs = vec![None; self.states * (self.states - 1) / 2];
        for (step, table) in self.log_steps.iter().enumerate() {
            pairs[triangle(step, step + 1)] = Some(table.clone());
        }
        for (field, (code, [earlier, later])) in profile.zip(&self.parents).enumerate() {
            let Some((code, weight)) = code else { continue };
            let emission = &self.log_emission[(field * self.codes + usize::from(code)) * square..][..square];
            let sums = pairs[triangle(*earlier, *later)].get_or_insert_with(|| vec![0.0; square]);
            sums.iter_mut().zip(emission).for_each(|(sum, log)| *sum += weight * log);
        }
        pairs
    }
}

/// Place of a pair of states, the earlier first, among all pairs.
fn triangle(earlier: usize, later: usize) -> usize {
    later * (later - 1) / 2 + earlier
}

/// The next combination in lexicographic order; after the last, the first.
pub(crate) fn advance(at: &mut [usize], values: usize) {
    for digit in at.iter_mut().rev() {
        *digit += 1;
        if *digit < values {
            return;
        }
        *digit = 0;
    }
}

fn add(to: &mut [f64], from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The first of the largest.
pub(crate) fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::FieldErrors;

    /// `P(s, x)` as a product of probabilities, written without any of the tricks above.
    fn joint(tables: &Tables, profile: &[Option<u16>], readings: &[FieldReading], s: &[usize]) -> f64 {
        let v = tables.values;
        let mut p = tables.log_first[s[0]].exp();
        for k in 1..s.len() {
            p *= tables.log_steps[k - 1][s[k - 1] * v + s[k]].exp();
        }
        for (field, code) in profile.iter().enumerate() {
            if let Some(code) = code {
                let [a, b] = tables.parents[field];
                let code = readings[field].read_as[usize::from(*code)];
                let at = ((field * tables.codes + usize::from(code)) * v + s[a]) * v + s[b];
                p *= tables.log_emission[at].exp().powf(readings[field].weight);
            }
        }
        p
    }

    #[test]
    fn the_posterior_equals_brute_force() {
        for (seed, states, values) in [(1, 2, 3), (2, 3, 2), (3, 4, 3)] {
            let config = PlantedConfig { states, values, fields: 5, codes: 3, ..PlantedConfig::default() };
            let tables = Tables::draw(&config, seed);
            for profile in [
                vec![None; 5],
                vec![Some(0), None, Some(2), Some(1), None],
                vec![Some(2), Some(2), Some(0), Some(1), Some(1)],
            ] {
                let faithful = FieldErrors::None.readings(5, 3, seed);
                for errors in [FieldErrors::Mixed, FieldErrors::Hard] {
                    let readings = errors.readings(5, 3, seed);
                    let found = softmax(&tables.log_weights_as_read(&profile, &readings, &[]));
                    let mut at = vec![0; states];
                    let expected: Vec<f64> = (found.iter())
                        .map(|_| (joint(&tables, &profile, &readings, &at), advance(&mut at, values)).0)
                        .collect();
                    let total: f64 = expected.iter().sum();
                    for (found, expected) in found.iter().zip(&expected) {
                        assert!((found - expected / total).abs() < 1e-12, "{errors}: {found} {expected}");
                    }
                }
                let found = softmax(&tables.log_weights(&profile, &[]));
                let as_read = tables.log_weights_as_read(&profile, &faithful, &[]);
                assert_eq!(as_read, tables.log_weights(&profile, &[]), "to the last bit");
                assert_eq!(found.len(), values.pow(states as u32));
                let mut at = vec![0; states];
                let mut expected = Vec::new();
                for _ in &found {
                    expected.push(joint(&tables, &profile, &faithful, &at));
                    advance(&mut at, values);
                }
                let total: f64 = expected.iter().sum();
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected / total).abs() < 1e-12, "{found} {}", expected / total);
                }
                // Below a path: the same, renormalised.
                let below = softmax(&tables.log_weights(&profile, &[1]));
                let block = &expected[below.len()..2 * below.len()];
                let total: f64 = block.iter().sum();
                for (found, expected) in below.iter().zip(block) {
                    assert!((found - expected / total).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn tables_are_distributions_and_the_score_is_standardised() {
        let tables = Tables::draw(&PlantedConfig::default(), 0);
        let sums_to_one = |logs: &[f64]| (logs.iter().map(|log| log.exp()).sum::<f64>() - 1.0).abs() < 1e-12;
        assert!(sums_to_one(&tables.log_first));
        assert!(tables.log_steps.iter().flat_map(|step| step.chunks(4)).all(sums_to_one));
        for field in tables.log_emission.chunks(8 * 16) {
            for pair in 0..16 {
                let row: Vec<f64> = (0..8).map(|code| field[code * 16 + pair]).collect();
                assert!(sums_to_one(&row));
            }
        }
        assert!(tables.parents.iter().all(|[earlier, later]| earlier < later && *later < 5));
        let prior = softmax(&tables.log_weights(&[], &[]));
        let squares: Vec<f64> = tables.score.iter().map(|s| s * s).collect();
        assert!(dot(&prior, &tables.score).abs() < 1e-12);
        assert!((dot(&prior, &squares) - 1.0).abs() < 1e-12);
    }
}
