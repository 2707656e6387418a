//! Signals as columns for linear models.

use std::ops::Range;

use scaletot_chain::Signals;
use serde::{Deserialize, Serialize};

use crate::config::Representation;
use crate::error::{Error, Result};

/// The shape of the signals that a model reads: marginals side by side, then what is read of the representation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignalColumns {
    /// Values of each state.
    domain_sizes: Vec<usize>,
    /// Shape of one user's representation.
    representation_shape: [usize; 2],
    /// Which part of it is read.
    representation: Representation,
}

impl SignalColumns {
    /// Of these signals.
    pub(crate) fn of(signals: &Signals, representation: Representation) -> Self {
        Self {
            domain_sizes: signals.domain_sizes().to_vec(),
            representation_shape: signals.representation_shape(),
            representation,
        }
    }

    /// That signals are of this shape; representations are compared only if they are read.
    pub(crate) fn check(&self, signals: &Signals) -> Result<()> {
        let shape = |sizes: &[usize], shape: [usize; 2]| {
            format!("states of {sizes:?} values and representations of {shape:?}")
        };
        let other = self.representation != Representation::Ignored
            && self.representation_shape != signals.representation_shape();
        if self.domain_sizes == signals.domain_sizes() && !other {
            return Ok(());
        }
        Err(Error::SignalShape {
            expected: shape(&self.domain_sizes, self.representation_shape),
            found: shape(signals.domain_sizes(), signals.representation_shape()),
        })
    }

    /// Values of each state.
    pub(crate) fn domain_sizes(&self) -> &[usize] {
        &self.domain_sizes
    }

    /// Numbers of a user's representation.
    pub(crate) fn representation_width(&self) -> usize {
        self.representation_shape[0].saturating_mul(self.representation_shape[1])
    }

    /// Which numbers of the representation are read.
    pub(crate) fn read(&self) -> Range<usize> {
        let width = self.representation_width();
        match self.representation {
            Representation::Whole => 0..width,
            Representation::Last => width - self.representation_shape[1].min(width)..width,
            Representation::Ignored => 0..0,
        }
    }

    /// Columns of all marginals.
    pub(crate) fn marginal_width(&self) -> usize {
        self.domain_sizes.iter().fold(0, |sum: usize, &size| sum.saturating_add(size))
    }

    /// Columns that there would be if all of the representation was read.
    pub(crate) fn total_width(&self) -> usize {
        self.marginal_width().saturating_add(self.representation_width())
    }

    /// How many columns there are.
    pub(crate) fn width(&self) -> usize {
        self.marginal_width().saturating_add(self.read().len())
    }

    /// Writes the columns of an entry of signals of this shape; `x` is of that width.
    pub(crate) fn fill(&self, signals: &Signals, entry: usize, x: &mut [f64]) {
        let representation = &signals.representation(entry)[self.read_of(signals)];
        let values = signals.marginals(entry).iter().chain(representation);
        x.iter_mut().zip(values).for_each(|(to, &value)| *to = f64::from(value));
    }

    /// As [`read`](Self::read); nothing of signals without representations, where none is read.
    fn read_of(&self, signals: &Signals) -> Range<usize> {
        if signals.representation_width() == self.representation_width() { self.read() } else { 0..0 }
    }
}

/// The expected level of the last state of an entry, from 0 to 1; 0 if there is no state.
pub(crate) fn level(signals: &Signals, entry: usize) -> f64 {
    signals.domain_sizes().len().checked_sub(1).map_or(0.0, |last| signals.expected_level(entry, last))
}
