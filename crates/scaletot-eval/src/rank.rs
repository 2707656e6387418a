//! Metrics of ranks: Spearman's ρ, and AUC.

use crate::{Error, Result, check};

/// Ascending mid-ranks, from 1: tied values share the mean of the ranks that they occupy together.
///
/// ```
/// assert_eq!(scaletot_eval::mid_ranks(&[0.5, 0.1, 0.5, 0.9]), [2.5, 1.0, 2.5, 4.0]);
/// ```
///
/// NaN sorts by its bits (`f64::total_cmp`); the metrics of this crate reject it first.
#[must_use]
pub fn mid_ranks(values: &[f64]) -> Vec<f64> {
    let mut ranks = vec![0.0; values.len()];
    for (start, rows) in tied_groups(values) {
        // Ranks start + 1 … start + len, whose mean is start + (len + 1) / 2.
        let rank = start as f64 + (rows.len() as f64 + 1.0) / 2.0;
        for row in rows {
            ranks[row] = rank;
        }
    }
    ranks
}

/// Rows in ascending order of value, in groups of equal values, each with the number of rows before it.
pub(crate) fn tied_groups(values: &[f64]) -> Vec<(usize, Vec<usize>)> {
    // −0 and 0 are equal values with different bits.
    let value = |row: &usize| values[*row] + 0.0;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| value(a).total_cmp(&value(b)));
    let mut before = 0;
    let mut groups = Vec::new();
    for rows in order.chunk_by(|a, b| value(a) == value(b)) {
        groups.push((before, rows.to_vec()));
        before += rows.len();
    }
    groups
}

/// Spearman's rank correlation of outcomes `y` and scores `s`, in [−1, 1]: Pearson's correlation of their
/// mid-ranks. Scores that are all equal carry no information and give 0 (SciPy gives NaN there).
///
/// ```
/// let outcomes = [0.0, 0.0, 3.0, 40.0];
/// assert_eq!(scaletot_eval::spearman(&outcomes, &[1.0, 1.0, 2.0, 3.0])?, 1.0);
/// assert_eq!(scaletot_eval::spearman(&outcomes, &[7.0; 4])?, 0.0);
/// # Ok::<(), scaletot_eval::Error>(())
/// ```
///
/// # Errors
/// [`Error::LengthMismatch`], [`Error::Empty`], [`Error::NotFinite`], [`Error::ConstantOutcomes`].
pub fn spearman(outcomes: &[f64], scores: &[f64]) -> Result<f64> {
    const NAME: &str = "Spearman correlation";
    check::pair(NAME, outcomes, scores)?;
    check::not_constant(NAME, outcomes)?;
    let middle = (outcomes.len() as f64 + 1.0) / 2.0;
    let centred = |values| mid_ranks(values).into_iter().map(move |rank| rank - middle);
    let (mut both, mut of_y, mut of_s) = (0.0, 0.0, 0.0);
    for (y, s) in centred(outcomes).zip(centred(scores)) {
        both += y * s;
        of_y += y * y;
        of_s += s * s;
    }
    if of_s == 0.0 {
        return Ok(0.0);
    }
    // Two roots rather than the root of a product: equal ranks then give exactly 1.
    Ok((both / (of_y.sqrt() * of_s.sqrt())).clamp(-1.0, 1.0))
}

/// Area under the ROC curve, in [0, 1]: the probability that a positive user scores above a negative one, ties
/// counting half (Mann–Whitney's U by mid-ranks). Scores that are all equal give 0.5.
///
/// ```
/// let positive = [false, true, false, true];
/// assert_eq!(scaletot_eval::auc(&positive, &[0.1, 0.9, 0.2, 0.2])?, 0.875);
/// # Ok::<(), scaletot_eval::Error>(())
/// ```
///
/// # Errors
/// [`Error::LengthMismatch`], [`Error::Empty`], [`Error::NotFinite`], [`Error::OneClass`].
pub fn auc(positive: &[bool], scores: &[f64]) -> Result<f64> {
    check::lengths("scores", positive.len(), scores.len())?;
    if positive.is_empty() {
        return Err(Error::Empty { what: "AUC" });
    }
    check::finite("score", scores)?;
    let rows = positive.len();
    let positives = positive.iter().filter(|&&positive| positive).count();
    if positives == 0 || positives == rows {
        return Err(Error::OneClass { positives, rows });
    }
    let (p, n) = (positives as f64, (rows - positives) as f64);
    let ranks: f64 =
        mid_ranks(scores).iter().zip(positive).filter(|&(_, &is)| is).map(|(rank, _)| rank).sum();
    Ok((ranks - p * (p + 1.0) / 2.0) / (p * n))
}

/// [`auc`] of whether an outcome is above 0.
///
/// # Errors
/// As [`auc`], and [`Error::NotFinite`] for an outcome.
pub fn auc_of_positive(outcomes: &[f64], scores: &[f64]) -> Result<f64> {
    check::finite("outcome", outcomes)?;
    let positive: Vec<bool> = outcomes.iter().map(|&outcome| outcome > 0.0).collect();
    auc(&positive, scores)
}
