//! What the encoder returns, in the form that all stages share.

use scaletot_chain::Signals;
use scaletot_encoder::Scores;

use crate::error::Result;

/// The encoder's signals of every row of the table that was scored.
pub(crate) fn of_scores(scores: &Scores) -> Result<Signals> {
    let rows: Vec<usize> = (0..scores.len()).collect();
    Ok(scores.signals(&rows)?)
}
