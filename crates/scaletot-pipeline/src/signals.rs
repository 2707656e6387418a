//! What student and encoder return in the form that all stages share.

use scaletot_chain::Signals;
use scaletot_encoder::Scores;
use scaletot_student::StudentSignals;

use crate::error::Result;

/// The student's signals of `rows`, in the order in which they were asked for.
pub(crate) fn of_student(student: &StudentSignals, rows: &[usize]) -> Result<Signals> {
    let sizes: Vec<usize> = student.posteriors.iter().map(|posterior| posterior.ncols()).collect();
    let mut marginals = Vec::with_capacity(rows.len() * sizes.iter().sum::<usize>());
    for i in 0..rows.len() {
        student.posteriors.iter().for_each(|posterior| marginals.extend(posterior.row(i)));
    }
    let (_, states, dim) = student.representations.dim();
    let representations = student.representations.iter().copied().collect();
    Ok(Signals::new(rows.to_vec(), sizes, marginals, [states, dim], representations)?)
}

/// The encoder's signals of every row of the table that was scored.
pub(crate) fn of_scores(scores: &Scores) -> Result<Signals> {
    let rows: Vec<usize> = (0..scores.len()).collect();
    Ok(scores.signals(&rows)?)
}
