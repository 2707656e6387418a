//! The encoder's outputs for users.

use ndarray::{Array2, Axis};
use scaletot_chain::Signals;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::manifest::Description;
use crate::outcome::Ziln;

/// Which outputs scoring computes.
///
/// ```
/// use scaletot_encoder::Selection;
/// let signals = Selection::NONE.with_states(true).with_representation(true);
/// assert!(!signals.value && !signals.distribution);
/// assert_eq!(signals, Selection::ALL.with_value(false).with_distribution(false));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selection {
    /// The expected outcome. States and representation are computed where a value head needs them, selected or not.
    pub value: bool,
    /// What else the outcome head has: probability of a positive outcome, μ and σ.
    pub distribution: bool,
    /// The states' posteriors.
    pub states: bool,
    /// The representation.
    pub representation: bool,
}

impl Selection {
    /// Every output of the encoder.
    pub const ALL: Self = Self { value: true, distribution: true, states: true, representation: true };
    /// The outcome alone, with its distribution.
    pub const OUTCOME: Self = Self { states: false, representation: false, ..Self::ALL };
    /// The expected outcome alone: with a value head less is to be computed than for [`OUTCOME`](Self::OUTCOME).
    pub const VALUE: Self = Self { distribution: false, ..Self::OUTCOME };
    /// Nothing but who is abstained on.
    pub const NONE: Self = Self { value: false, ..Self::VALUE };

    /// With the expected outcome, or without.
    #[must_use]
    pub const fn with_value(mut self, wanted: bool) -> Self {
        self.value = wanted;
        self
    }

    /// With probability of a positive outcome, μ and σ, or without.
    #[must_use]
    pub const fn with_distribution(mut self, wanted: bool) -> Self {
        self.distribution = wanted;
        self
    }

    /// With the states' posteriors, or without.
    #[must_use]
    pub const fn with_states(mut self, wanted: bool) -> Self {
        self.states = wanted;
        self
    }

    /// With the representation, or without.
    #[must_use]
    pub const fn with_representation(mut self, wanted: bool) -> Self {
        self.representation = wanted;
        self
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self::ALL
    }
}

/// Why a profile was abstained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Abstention {
    /// It has fewer than `min_populated` populated fields.
    TooFewFields,
    /// It is too far from the training profiles, see
    /// [`FrozenEncoder::calibrate_abstention`](crate::FrozenEncoder::calibrate_abstention).
    TooFar,
}

/// The encoder's outputs, one row per profile, in the table's order.
///
/// A profile that was abstained on (too few populated fields, or too far from the training profiles) has NaN in every outcome column, a uniform posterior for
/// every state and a zero representation: nothing is known. No other number in here is ever NaN.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scores {
    /// Expected outcome, in the outcome's unit: finite and at least 0, NaN where abstained; empty without outcome and value head, or where
    /// values are not selected. It is the [value head's](crate::ValueHead) if there is one, else the outcome head's; all other numbers about
    /// the outcome, and the quantiles that follow from them, are the outcome head's in any case.
    pub value: Vec<f32>,
    /// Probability of a positive outcome: NaN where abstained; empty without an outcome head, where the distribution is not selected, and with
    /// [`OutcomeHead::Tweedie`](crate::OutcomeHead).
    pub p_positive: Vec<f32>,
    /// Mean of the positive outcome's natural logarithm; as `p_positive`, and empty with any other head than
    /// [`OutcomeHead::Ziln`](crate::OutcomeHead).
    pub mu: Vec<f32>,
    /// Standard deviation of the positive outcome's natural logarithm; as `mu`.
    pub sigma: Vec<f32>,
    /// The posterior of every state, `K × [n, |V_k|]`, rows summing to 1; no state without signal heads or where states
    /// are not selected.
    pub posteriors: Vec<Array2<f32>>,
    /// The representation, `[n, r]`; `[n, 0]` without signal heads or where it is not selected.
    pub representation: Array2<f32>,
    /// Whether the profile was abstained on.
    pub abstained: Vec<bool>,
    /// Whether that was because it is too far from the training profiles, and not for want of populated fields.
    pub too_far: Vec<bool>,
}

impl Scores {
    /// Nothing known about `n` profiles.
    pub(crate) fn blank(n: usize, description: &Description, selection: Selection) -> Self {
        let Description { heads, config, value_head, .. } = description;
        let head = config.outcome_head;
        let column = |has: bool| vec![f32::NAN; if has { n } else { 0 }];
        let outcome = |has: bool| column(selection.distribution && heads.outcome && has);
        let uniform = |&size: &usize| Array2::from_elem((n, size), 1.0 / size as f32);
        let width = if heads.signals() && selection.representation { config.rep_dim } else { 0 };
        let states = if selection.states { heads.states.as_slice() } else { &[] };
        Self {
            value: column(selection.value && (heads.outcome || value_head.is_some())),
            p_positive: outcome(head.has_probability()),
            mu: outcome(head.has_distribution()),
            sigma: outcome(head.has_distribution()),
            posteriors: states.iter().map(uniform).collect(),
            representation: Array2::zeros((n, width)),
            abstained: vec![true; n],
            too_far: vec![false; n],
        }
    }

    /// The profiles at the named indices, in that order; a index may be named many times. Indices must exist.
    pub(crate) fn scatter(&self, indices: &[u32]) -> Self {
        let column = |values: &[f32]| match values {
            [] => vec![],
            values => indices.iter().map(|&index| values[index as usize]).collect(),
        };
        let rows = |matrix: &Array2<f32>| {
            let mut scattered = Array2::zeros((indices.len(), matrix.ncols()));
            for (mut to, &index) in scattered.outer_iter_mut().zip(indices) {
                to.assign(&matrix.row(index as usize));
            }
            scattered
        };
        Self {
            value: column(&self.value),
            p_positive: column(&self.p_positive),
            mu: column(&self.mu),
            sigma: column(&self.sigma),
            posteriors: self.posteriors.iter().map(rows).collect(),
            representation: rows(&self.representation),
            abstained: indices.iter().map(|&index| self.abstained[index as usize]).collect(),
            too_far: indices.iter().map(|&index| self.too_far[index as usize]).collect(),
        }
    }

    /// Takes the scores of a profile that is too far back; one that is abstained on in any case stays as it is.
    pub(crate) fn mark_abstained(&mut self, row: usize) {
        if std::mem::replace(&mut self.abstained[row], true) {
            return;
        }
        self.too_far[row] = true;
        for column in [&mut self.value, &mut self.p_positive, &mut self.mu, &mut self.sigma] {
            column.get_mut(row..=row).unwrap_or_default().fill(f32::NAN);
        }
        for posterior in &mut self.posteriors {
            let uniform = 1.0 / posterior.ncols() as f32;
            posterior.row_mut(row).fill(uniform);
        }
        self.representation.row_mut(row).fill(0.0);
    }

    /// Adds the profiles of another, of the same heads.
    pub(crate) fn append(&mut self, other: &Self) -> Result<()> {
        let columns = [
            (&mut self.value, &other.value),
            (&mut self.p_positive, &other.p_positive),
            (&mut self.mu, &other.mu),
            (&mut self.sigma, &other.sigma),
        ];
        columns.into_iter().for_each(|(to, from)| to.extend_from_slice(from));
        self.abstained.extend_from_slice(&other.abstained);
        self.too_far.extend_from_slice(&other.too_far);
        let matrices = self.posteriors.iter_mut().zip(&other.posteriors);
        for (to, from) in matrices.chain([(&mut self.representation, &other.representation)]) {
            to.append(Axis(0), from.view())
                .map_err(|error| Error::shape("scores to join", "the same heads", error))?;
        }
        Ok(())
    }

    /// The states' marginals and the representation as signals of these rows of a table, one per score in its order: `[1, r]` for the
    /// representation. Where the encoder abstained marginals are uniform and representations 0.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of rows than scores, [`Error::Chain`] for a row that is named twice.
    pub fn signals(&self, rows: &[usize]) -> Result<Signals> {
        if rows.len() != self.len() {
            return Err(Error::shape("rows of the scores", self.len(), rows.len()));
        }
        let sizes: Vec<usize> = self.posteriors.iter().map(Array2::ncols).collect();
        let mut marginals = Vec::with_capacity(self.len() * sizes.iter().sum::<usize>());
        for row in 0..self.len() {
            self.posteriors.iter().for_each(|marginal| marginals.extend(marginal.row(row)));
        }
        let width = self.representation.ncols();
        let shape = [usize::from(width > 0), width];
        let representations = self.representation.iter().copied().collect();
        Ok(Signals::new(rows.to_vec(), sizes, marginals, shape, representations)?)
    }

    /// Number of profiles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.abstained.len()
    }

    /// Whether there is no profile.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.abstained.is_empty()
    }

    /// The expected outcome of a profile; `None` where it was abstained on, there is no such row or nothing that tells it.
    #[must_use]
    pub fn value_of(&self, row: usize) -> Option<f64> {
        self.value.get(row).filter(|value| !value.is_nan()).map(|value| f64::from(*value))
    }

    /// Every profile's [`value_of`](Self::value_of).
    pub fn values(&self) -> impl Iterator<Item = Option<f64>> {
        (0..self.len()).map(|row| self.value_of(row))
    }

    /// The distribution of a profile's outcome, from which quantiles follow; `None` as in [`value_of`](Self::value_of), and
    /// with any other head than [`OutcomeHead::Ziln`](crate::OutcomeHead).
    #[must_use]
    pub fn distribution_of(&self, row: usize) -> Option<Ziln> {
        let at = |column: &[f32]| column.get(row).filter(|x| !x.is_nan()).map(|x| f64::from(*x));
        Some(Ziln { p_positive: at(&self.p_positive)?, mu: at(&self.mu)?, sigma: at(&self.sigma)? })
    }

    /// Why a profile was abstained on; `None` where it was not or there is no such row.
    #[must_use]
    pub fn abstention_of(&self, row: usize) -> Option<Abstention> {
        let too_far = *self.too_far.get(row)?;
        let why = if too_far { Abstention::TooFar } else { Abstention::TooFewFields };
        self.abstained.get(row).is_some_and(|&abstained| abstained).then_some(why)
    }

    /// How many profiles were abstained on.
    #[must_use]
    pub fn abstentions(&self) -> usize {
        self.abstained.iter().filter(|&&a| a).count()
    }
}

/// Bit by bit, so that scores with abstentions equal themselves.
impl PartialEq for Scores {
    fn eq(&self, other: &Self) -> bool {
        let bits = |column: &[f32]| column.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        let same = |a: &[f32], b: &[f32]| bits(a) == bits(b);
        same(&self.value, &other.value)
            && same(&self.p_positive, &other.p_positive)
            && same(&self.mu, &other.mu)
            && same(&self.sigma, &other.sigma)
            && self.posteriors == other.posteriors
            && self.representation == other.representation
            && self.abstained == other.abstained
            && self.too_far == other.too_far
    }
}
