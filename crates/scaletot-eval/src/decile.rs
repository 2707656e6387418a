//! Calibration by deciles of the score.

use scaletot_core::config;
use serde::{Deserialize, Serialize};

use crate::gain::descending;
use crate::{Result, check};

/// What a table is called in errors.
const TABLE: &str = "decile table";
/// More bins than this tell nobody anything.
const MAX_BINS: usize = 10_000;

/// Users of one tenth of the scores. Plain numbers, which a caller may build for a report of its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decile {
    /// 1 for the highest scores, up to the number of bins (10).
    pub decile: usize,
    /// Number of users, `n / bins`; need not be whole.
    pub users: f64,
    /// Mean score, read as a prediction of the outcome.
    pub mean_prediction: f64,
    /// Mean outcome.
    pub mean_outcome: f64,
    /// Calibration error: mean prediction − mean outcome, in the outcome's unit. Positive: promised too much.
    pub error: f64,
    /// Share of the total value.
    pub value_share: f64,
}

/// Mean outcome and mean prediction per tenth of the users, highest scores first.
///
/// Every decile holds exactly `n / 10` users: one at a border, or a group of tied scores across it, is divided in
/// proportion and brings the group's mean outcome to both sides. So the order of rows does not matter, a constant
/// score gives ten equal rows, and the first `value_share` is [`top_share`](crate::top_share)`(…, 0.1)`.
///
/// ```
/// let outcomes: Vec<f64> = (0..20).map(f64::from).collect();
/// let scores: Vec<f64> = outcomes.iter().map(|o| o + 1.0).collect();
/// let table = scaletot_eval::decile_table(&outcomes, &scores)?;
/// assert_eq!((table.len(), table[0].mean_outcome, table[0].error), (10, 18.5, 1.0));
/// # Ok::<(), scaletot_eval::Error>(())
/// ```
///
/// # Errors
/// [`LengthMismatch`](crate::Error::LengthMismatch), [`Empty`](crate::Error::Empty), [`NotFinite`](crate::Error::NotFinite), [`NegativeOutcome`](crate::Error::NegativeOutcome),
/// [`AllZeroOutcomes`](crate::Error::AllZeroOutcomes); [`NotRepresentable`](crate::Error::NotRepresentable) if a prediction and an outcome
/// are too far apart to be subtracted.
pub fn decile_table(outcomes: &[f64], scores: &[f64]) -> Result<Vec<Decile>> {
    quantile_table(outcomes, scores, 10)
}

/// As [`decile_table`], with another number of bins.
///
/// # Errors
/// As [`decile_table`]; [`Config`](crate::Error::Config) for no bin, or more than 10,000.
pub fn quantile_table(outcomes: &[f64], scores: &[f64], bins: usize) -> Result<Vec<Decile>> {
    config::check((1..=MAX_BINS).contains(&bins), "bins", "from 1 to 10000", bins)?;
    let check::Sum { unit, total } = check::value_pair(TABLE, outcomes, scores)?;
    let n = outcomes.len();
    // In units of 1 / bins of a user, so that borders are whole and nothing is lost to rounding: bin b covers the
    // positions b n … (b + 1) n of the n · bins positions.
    let mut prediction = vec![0.0; bins];
    let mut outcome = vec![0.0; bins];
    for (start, rows) in descending(scores) {
        let size = rows.len() as f64;
        let mean_outcome = rows.iter().map(|&row| outcomes[row] * unit).sum::<f64>() / size;
        let score = rows.first().map_or(0.0, |&row| scores[row]);
        let (from, to) = (start * bins, (start + rows.len()) * bins);
        for bin in from / n..to.div_ceil(n).min(bins) {
            let units = to.min((bin + 1) * n).saturating_sub(from.max(bin * n));
            prediction[bin] += units as f64 / n as f64 * score;
            outcome[bin] += units as f64 / n as f64 * mean_outcome;
        }
    }
    let users = n as f64 / bins as f64;
    let rows = prediction.into_iter().zip(outcome).enumerate();
    rows.map(|(bin, (mean_prediction, in_units))| {
        let mean_outcome = check::result(TABLE, in_units / unit)?;
        let error = check::result(TABLE, mean_prediction - mean_outcome)?;
        let value_share = in_units * users / total;
        Ok(Decile { decile: bin + 1, users, mean_prediction, mean_outcome, error, value_share })
    })
    .collect()
}

/// Mean absolute calibration error over the deciles, relative to the mean outcome; 0 is perfect, and less is better.
///
/// `(1/10) Σ_d |mean prediction_d − mean outcome_d| / mean outcome`
///
/// # Errors
/// As [`decile_table`]; [`NotRepresentable`](crate::Error::NotRepresentable) too if the error is that many times the mean outcome.
pub fn calibration_error(outcomes: &[f64], scores: &[f64]) -> Result<f64> {
    // The error is in units of the outcomes, and the same in all of them.
    let unit = check::summable(outcomes.iter().chain(scores).copied());
    if unit != 1.0 {
        check::value_pair(TABLE, outcomes, scores)?;
        let scaled = |values: &[f64]| values.iter().map(|value| value * unit).collect::<Vec<_>>();
        return calibration_error(&scaled(outcomes), &scaled(scores));
    }
    let table = decile_table(outcomes, scores)?;
    let mean_outcome = outcomes.iter().sum::<f64>() / outcomes.len() as f64;
    let error = table.iter().map(|row| row.error.abs()).sum::<f64>() / table.len() as f64;
    check::result("calibration error", error / mean_outcome)
}
