//! Signals from what student and encoder return.

use ndarray::Array2;
use scaletot_chain::Signals;
use scaletot_encoder::Scores;
use scaletot_student::StudentSignals;

use crate::error::Result;

/// The student's signals of `rows`, in the order in which they were asked for.
pub(crate) fn of_student(student: &StudentSignals, rows: &[usize]) -> Result<Signals> {
    let (_, states, dim) = student.representations.dim();
    let representations = student.representations.iter().copied().collect();
    new(rows.to_vec(), &student.posteriors, [states, dim], representations)
}

/// The encoder's signals of every row that was scored.
pub(crate) fn of_scores(scores: &Scores) -> Result<Signals> {
    let shape = [1, scores.representation.ncols()];
    new(
        (0..scores.len()).collect(),
        &scores.posteriors,
        shape,
        scores.representation.iter().copied().collect(),
    )
}

fn new(
    rows: Vec<usize>,
    posteriors: &[Array2<f32>],
    representation_shape: [usize; 2],
    representations: Vec<f32>,
) -> Result<Signals> {
    let sizes: Vec<usize> = posteriors.iter().map(Array2::ncols).collect();
    let mut marginals = Vec::with_capacity(rows.len() * sizes.iter().sum::<usize>());
    for i in 0..rows.len() {
        posteriors.iter().for_each(|posterior| marginals.extend(posterior.row(i)));
    }
    Ok(Signals::new(rows, sizes, marginals, representation_shape, representations)?)
}
