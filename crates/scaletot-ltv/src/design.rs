//! Rows of features for linear models: profile columns, signal columns, or both side by side.

use scaletot_chain::Signals;
use scaletot_profile::ProfileTable;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::recipe::ProfileRecipe;
use crate::signal_columns::SignalColumns;

/// What a linear model is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Inputs {
    Profile,
    ProfileAndSignals,
    Signals,
}

impl Inputs {
    pub(crate) fn read_signals(self) -> bool {
        match self {
            Self::Profile => false,
            Self::ProfileAndSignals | Self::Signals => true,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Profile => "the profile",
            Self::ProfileAndSignals => "profile and signals",
            Self::Signals => "the signals",
        }
    }
}

/// What makes the columns of a user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) profile: &'a ProfileRecipe,
    /// None for models that read no signals.
    pub(crate) signals: Option<&'a SignalColumns>,
}

impl Columns<'_> {
    pub(crate) fn profile_width(&self) -> usize {
        self.profile.width()
    }

    pub(crate) fn signal_width(&self) -> usize {
        self.signals.map_or(0, SignalColumns::width)
    }

    pub(crate) fn width(&self) -> usize {
        self.profile_width() + self.signal_width()
    }

    /// Which of the columns a model is on.
    pub(crate) fn of(&self, inputs: Inputs) -> std::ops::Range<usize> {
        match inputs {
            Inputs::Profile => 0..self.profile_width(),
            Inputs::ProfileAndSignals => 0..self.width(),
            Inputs::Signals => self.profile_width()..self.width(),
        }
    }
}

/// Users of a table with their signals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Users<'a> {
    pub(crate) table: &'a ProfileTable,
    pub(crate) signals: Option<&'a Signals>,
}

impl Users<'_> {
    /// Writes the columns of the user in `row`, a row of the table; `x` is as wide as all columns.
    pub(crate) fn fill(&self, columns: Columns<'_>, row: usize, x: &mut [f64]) -> Result<()> {
        let (profile, signals) = x.split_at_mut(columns.profile_width());
        columns.profile.fill(self.table, row, profile);
        match (columns.signals, self.signals) {
            (Some(shape), Some(known)) => {
                let entry = known.index_of(row).ok_or(Error::MissingSignals { row })?;
                shape.fill(known, entry, signals);
                Ok(())
            }
            (Some(_), None) => Err(Error::MissingSignals { row }),
            (None, _) => Ok(()),
        }
    }
}
