//! Metrics of value: normalised Gini, the share of the value that the top-scored users bring, and lift.
//!
//! All are read off the *gains curve* `G(p)`: the share of the total value that the share `p` of the users with the
//! highest scores brings. Users with tied scores share their value equally, so within a tied group the curve is a
//! straight line, and nothing depends on the order of rows. (Implementations that break ties by row order, as the usual
//! snippets for competitions do, reward a constant score for the order of the file.)

use scaletot_core::config::share;

use crate::rank::{mid_ranks, tied_groups};
use crate::{Result, check};

/// Normalised Gini coefficient, in [−1, 1]: the area between the gains curve of the scores and the diagonal, divided
/// by that of the outcomes themselves. 1 for the perfect order, 0 for a constant score, −1 for the reversed one.
///
/// With `R_i(·)` the ascending mid-rank of user `i` among `n`,
///
/// ```text
/// Gini = Σ_i y_i (2 R_i(s) − n − 1) / Σ_i y_i (2 R_i(y) − n − 1)
/// ```
///
/// which is the ratio of areas with tied users sharing equally; for outcomes of 0 and 1 it is `2 AUC − 1`.
///
/// ```
/// let outcomes = [0.0, 0.0, 10.0, 90.0];
/// assert_eq!(scaletot_eval::normalised_gini(&outcomes, &[0.1, 0.2, 0.3, 0.4])?, 1.0);
/// assert_eq!(scaletot_eval::normalised_gini(&outcomes, &[0.3; 4])?, 0.0);
/// # Ok::<(), scaletot_eval::Error>(())
/// ```
///
/// # Errors
/// [`LengthMismatch`](crate::Error::LengthMismatch), [`Empty`](crate::Error::Empty),
/// [`NotFinite`](crate::Error::NotFinite), [`NegativeOutcome`](crate::Error::NegativeOutcome),
/// [`AllZeroOutcomes`](crate::Error::AllZeroOutcomes), [`ConstantOutcomes`](crate::Error::ConstantOutcomes),
/// [`NotRepresentable`](crate::Error::NotRepresentable) for outcomes that hardly differ.
pub fn normalised_gini(outcomes: &[f64], scores: &[f64]) -> Result<f64> {
    const NAME: &str = "normalised Gini";
    check::value_pair(NAME, outcomes, scores)?;
    check::not_constant(NAME, outcomes)?;
    // Scaled by the largest, so that huge amounts do not overflow.
    let largest = outcomes.iter().copied().fold(0.0, f64::max);
    let n = outcomes.len() as f64;
    let area = |by: &[f64]| -> f64 {
        outcomes.iter().zip(mid_ranks(by)).map(|(y, rank)| y / largest * (2.0 * rank - n - 1.0)).sum()
    };
    // Outcomes that differ in their last digits alone may have no area that is left of the rounding.
    let best = area(outcomes);
    let gini = if best > 0.0 { area(scores) / best } else { f64::NAN };
    check::result(NAME, gini.clamp(-1.0, 1.0))
}

/// `G(fraction)`: the share of the total value that the top-scored `fraction` of users brings, in [0, 1]. For a constant
/// score it is `fraction`.
///
/// If the cut falls within a user or a tied group, the part of the group above the cut brings that part of the
/// group's value.
///
/// ```
/// let outcomes = [0.0, 5.0, 5.0, 90.0];
/// assert_eq!(scaletot_eval::top_share(&outcomes, &[0.1, 0.2, 0.2, 0.9], 0.25)?, 0.9);
/// assert_eq!(scaletot_eval::top_share(&outcomes, &[0.1, 0.2, 0.2, 0.9], 0.5)?, 0.95); // one of the two tied
/// # Ok::<(), scaletot_eval::Error>(())
/// ```
///
/// # Errors
/// [`LengthMismatch`](crate::Error::LengthMismatch), [`Empty`](crate::Error::Empty),
/// [`NotFinite`](crate::Error::NotFinite), [`NegativeOutcome`](crate::Error::NegativeOutcome),
/// [`AllZeroOutcomes`](crate::Error::AllZeroOutcomes); [`Config`](crate::Error::Config) for a fraction
/// outside (0, 1].
pub fn top_share(outcomes: &[f64], scores: &[f64], fraction: f64) -> Result<f64> {
    share("fraction", fraction)?;
    let check::Sum { unit, total } = check::value_pair("top share", outcomes, scores)?;
    let cut = fraction * outcomes.len() as f64;
    let value: f64 = descending(scores)
        .into_iter()
        .map(|(start, rows)| {
            let size = rows.len() as f64;
            let inside = (cut - start as f64).clamp(0.0, size) / size;
            let value = || rows.iter().map(|&row| outcomes[row] * unit).sum::<f64>();
            if inside == 0.0 { 0.0 } else { inside * value() }
        })
        .sum();
    Ok((value / total).clamp(0.0, 1.0))
}

/// [`top_share`] divided by `fraction`: how many times its own size the top fraction brings. 1 for a constant score, at
/// most `1 / fraction`.
///
/// ```
/// let outcomes = [0.0, 5.0, 5.0, 90.0];
/// assert_eq!(scaletot_eval::lift(&outcomes, &[0.1, 0.2, 0.2, 0.9], 0.25)?, 3.6);
/// # Ok::<(), scaletot_eval::Error>(())
/// ```
///
/// # Errors
/// As [`top_share`].
pub fn lift(outcomes: &[f64], scores: &[f64], fraction: f64) -> Result<f64> {
    Ok(top_share(outcomes, scores, fraction)? / fraction)
}

/// Groups of equal scores from the highest down, each with the number of users above it.
pub(crate) fn descending(scores: &[f64]) -> Vec<(usize, Vec<usize>)> {
    let mut groups = tied_groups(scores);
    groups.reverse();
    for (start, rows) in &mut groups {
        *start = scores.len() - *start - rows.len();
    }
    groups
}
