//! What the encoder returns, in the form that all stages share.

use scaletot_chain::Signals;
use scaletot_encoder::{FrozenEncoder, Scores};
use scaletot_profile::ProfileTable;

use crate::error::Result;

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
