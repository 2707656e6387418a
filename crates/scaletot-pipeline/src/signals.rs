//! What the encoder returns, in the form that all stages share.

use scaletot_chain::Signals;
use scaletot_core::Progress;
use scaletot_encoder::{FrozenEncoder, Scores};
use scaletot_profile::ProfileTable;
use scaletot_student::{InferConfig, Student};

use crate::error::{Context, Error, Result};

/// Users whom it reads between two looks whether to stop.
const WINDOW: usize = 1 << 16;

/// The encoder's signals of every row of the table that was scored.
pub(crate) fn of_scores(scores: &Scores) -> Result<Signals> {
    let rows: Vec<usize> = (0..scores.len()).collect();
    Ok(scores.signals(&rows)?)
}

/// The encoder's signals of every user of a table, abstained on or not.
pub(crate) fn of_everybody(encoder: &FrozenEncoder, table: &ProfileTable) -> Result<Signals> {
    let rows: Vec<usize> = (0..table.len()).collect();
    let found = encoder.activations(table, &rows)?;
    let shape = [1, found.representation.ncols()];
    let (marginals, _) = found.marginals.into_raw_vec_and_offset();
    let (representation, _) = found.representation.into_raw_vec_and_offset();
    Ok(Signals::new(rows, encoder.heads().states.clone(), marginals, shape, representation)?)
}

/// A student's chains, posteriors and representations of some rows.
///
/// # Errors
/// Those of the student; [`Error::Stopped`].
pub(crate) fn of_student(
    student: &Student,
    table: &ProfileTable,
    rows: &[usize],
    progress: &dyn Progress,
) -> Result<Signals> {
    let mut all: Option<Signals> = None;
    for window in student.infer_windows(table, rows, &InferConfig::default(), WINDOW) {
        if progress.stopped() {
            return Err(Error::Stopped);
        }
        let found = window?.into_signals();
        all = Some(match all {
            Some(before) => before.concat(&found)?,
            None => found,
        });
    }
    all.context("a student reads one user or more")
}
