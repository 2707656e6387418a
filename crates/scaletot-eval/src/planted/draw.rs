//! Random numbers whose values are fixed across releases: ChaCha8 words, and nothing but the formulas below.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use scaletot_core::seed::numbered;

/// What a stream is for. Disjoint ranges of the 64-bit stream number, so that no two uses of one seed share numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    /// Prior of the states.
    Chain,
    /// Weights of the score.
    Score,
    /// Parents and emission table of a field.
    Field(usize),
    /// A user: states, outcome, profile.
    User(usize),
    /// The teacher's noise at a node of a user's tree, both in one number.
    Noise(u64),
    /// The teacher's bias in a state.
    Bias(usize),
    /// What the teacher gets wrong about fields.
    FieldErrors,
}

impl Stream {
    fn number(self) -> u64 {
        let (kind, index) = match self {
            Self::Chain => (1, 0),
            Self::Score => (2, 0),
            Self::Field(field) => (3, field as u64),
            Self::User(user) => (4, user as u64),
            Self::Noise(node) => (5, node),
            Self::Bias(state) => (6, state as u64),
            Self::FieldErrors => (7, 0),
        };
        (kind << 60) | index
    }
}

/// Draws from one stream of a seed.
#[derive(Debug)]
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    pub(crate) fn new(seed: u64, stream: Stream) -> Self {
        Self(numbered(seed, stream.number()))
    }

    /// Uniform in [0, 1), on a grid of 2⁻⁵³.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in 0 … n − 1; the bias is below n · 2⁻⁵³.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// Standard normal (Box & Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Gamma of shape `shape` > 0 and scale 1, above 0 (Marsaglia & Tsang 2000).
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let root = (1.0 - self.uniform()).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * root;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            let log_u = (1.0 - self.uniform()).ln();
            if v > 0.0 && log_u < 0.5 * x * x + d * (1.0 - v + v.ln()) {
                return d * v;
            }
        }
    }

    /// Symmetric Dirichlet of `n` probabilities, all above 0.
    pub(crate) fn dirichlet(&mut self, concentration: f64, n: usize) -> Vec<f64> {
        let mut row: Vec<f64> = (0..n).map(|_| self.gamma(concentration)).collect();
        let total: f64 = row.iter().sum();
        row.iter_mut().for_each(|p| *p /= total);
        row
    }

    /// Index drawn by its probability; takes one uniform.
    pub(crate) fn categorical(&mut self, probabilities: &[f64]) -> usize {
        let mut left = self.uniform();
        for (index, p) in probabilities.iter().enumerate() {
            if left < *p {
                return index;
            }
            left -= p;
        }
        probabilities.len().saturating_sub(1) // rounding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
        let values: Vec<f64> = values.collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut draws = Draws::new(3, Stream::Chain);
        let n = 40_000;
        let (mean, variance) = moments((0..n).map(|_| draws.uniform()));
        assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.003, "{mean} {variance}");
        let (mean, variance) = moments((0..n).map(|_| draws.normal()));
        assert!(mean.abs() < 0.025 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
        for shape in [0.5, 0.6, 1.0, 2.5] {
            let (mean, variance) = moments((0..n).map(|_| draws.gamma(shape)));
            assert!((mean / shape - 1.0).abs() < 0.04, "{shape}: {mean}");
            assert!((variance / shape - 1.0).abs() < 0.12, "{shape}: {variance}");
        }
        // Var of a component: (1/n)(1 − 1/n) / (n a + 1).
        let (mean, variance) = moments((0..n).map(|_| draws.dirichlet(0.6, 8)[0]));
        assert!((mean - 0.125).abs() < 0.005, "{mean}");
        assert!((variance / (0.125 * 0.875 / 5.8) - 1.0).abs() < 0.08, "{variance}");
    }

    #[test]
    fn indices_come_as_often_as_they_should() {
        let mut draws = Draws::new(4, Stream::Score);
        let mut counts = [0; 3];
        (0..20_000).for_each(|_| counts[draws.categorical(&[0.2, 0.5, 0.3])] += 1);
        for (count, p) in counts.into_iter().zip([0.2, 0.5, 0.3]) {
            assert!((f64::from(count) / 20_000.0 - p).abs() < 0.015, "{counts:?}");
        }
        let mut counts = [0; 3];
        (0..20_000).for_each(|_| counts[draws.below(3)] += 1);
        assert!(counts.iter().all(|count| (6_400..6_950).contains(count)), "{counts:?}");
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let first = |stream| Draws::new(9, stream).0.next_u64();
        let streams = [
            Stream::Chain,
            Stream::Score,
            Stream::Field(0),
            Stream::User(0),
            Stream::Noise(0),
            Stream::Bias(0),
            Stream::FieldErrors,
        ];
        let mut words = streams.map(first).to_vec();
        words.extend([first(Stream::User(1)), first(Stream::Noise(1)), first(Stream::Field(1))]);
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 10);
    }
}
