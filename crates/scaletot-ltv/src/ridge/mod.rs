//! Ridge regression of `ln(1 + outcome)` (Hoerl and Kennard, Technometrics 1970) on one or two blocks of features.
//!
//! Features are centred on the training users, those that are no indicators are also divided by their deviation, and the intercept is not
//! penalised. An indicator is left as large as it is: standardised, a rare value would be penalised hardly at all (on the active days of
//! `kuairand-days`, with many rare codes, the rank correlation was 0.213 that way and is 0.244 this way). The penalty, and how strongly a
//! second block is penalised compared with the first, are chosen on a fixed grid by cross-validated squared error on the training users
//! alone. Normal equations are solved by Cholesky decomposition (the `nalgebra` crate); the parts' Gram matrices add up, so that the
//! whole grid costs one pass over the rows.

use nalgebra::{DMatrix, DVector};
use scaletot_core::Progress;
use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use crate::design::{Columns, Inputs, Users};
use crate::error::{Error, Result};

/// Penalties tried: a value that as many training users have is shrunk by half.
const ALPHAS: [f64; 9] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0];
/// Scales tried for the first block when there are two: 0.3 penalises it eleven times as much, 3 a ninth as much, 0 leaves it out.
const SCALES: [f64; 4] = [3.0, 1.0, 0.3, 0.0];
/// A column with a smaller deviation among the training users tells nothing.
const MIN_DEVIATION: f64 = 1e-9;
/// Columns that a row of features may have, most of them nobody's: each is gone through for every user.
const MAX_COLUMNS: usize = 1 << 17;
/// Columns that vary: the equations take their square in memory, and their cube in time for each part, penalty and scale. At the bound
/// they take 0.5 GB, and with 8,000 users a third of a minute for one block and one minute for two (one core of a small server).
const MAX_VARYING: usize = 1 << 11;

/// Numbers of a part's features that are in memory at once: 256 MB; so few in unit tests that parts come in pieces there.
const MAX_AT_ONCE: usize = if cfg!(test) { 1 << 6 } else { 1 << 25 };

/// A fitted regression: `ŷ = intercept + Σ_j w_j (x_j − mean_j) / divisor_j` over the columns that varied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ridge {
    /// What it is on.
    pub(crate) inputs: Inputs,
    /// The prediction for the mean training user.
    pub(crate) intercept: f64,
    /// The columns, ascending.
    pub(crate) columns: Vec<Term>,
}

/// One column of a regression.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Term {
    /// Which of the inputs' columns, from 0.
    pub(crate) column: usize,
    /// Its mean over the training users.
    pub(crate) mean: f64,
    /// Its deviation over the training users; 1 for an indicator.
    pub(crate) divisor: f64,
    /// Weight of the standardised column.
    pub(crate) weight: f64,
}

impl Term {
    /// What the column adds to the prediction for the mean training user.
    pub(crate) fn of(&self, x: f64) -> f64 {
        (x - self.mean) / self.divisor * self.weight
    }
}

/// A regression with what it predicts out of fold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RidgeFit {
    pub(crate) model: Ridge,
    /// Of the training users, part by part, each by the regression fitted without the part.
    pub(crate) out_of_fold: Vec<f64>,
}

/// What a regression is fitted on.
#[derive(Clone, Copy)]
pub(crate) struct Training<'a> {
    /// Rows of the training users. The parts are the folds of the cross-validation that chooses the penalties, and what the predictions out
    /// of fold leave out. Every part has rows.
    pub(crate) parts: &'a [Vec<usize>],
    /// One per row, in the order of `parts`.
    pub(crate) targets: &'a [f64],
    /// Is asked whether to stop for every row, every column of the equations, and every time they are solved.
    pub(crate) progress: &'a dyn Progress,
}

impl Ridge {
    /// Fits the targets on those columns of the users.
    ///
    /// # Errors
    /// [`Error::Config`] for too many columns, [`Error::MissingSignals`], [`Error::Singular`], [`Error::Stopped`].
    pub(crate) fn fit(
        inputs: Inputs,
        columns: Columns<'_>,
        users: Users<'_>,
        training: Training<'_>,
    ) -> Result<RidgeFit> {
        let Training { parts, targets, progress } = training;
        let columns = match inputs {
            Inputs::Profile => Columns { signals: None, ..columns },
            Inputs::ProfileAndSignals | Inputs::Signals => columns,
        };
        let range = columns.of(inputs);
        let first = match inputs {
            Inputs::ProfileAndSignals => columns.profile_width(),
            Inputs::Profile | Inputs::Signals => range.len(),
        };
        check_width(columns.width())?;
        if inputs != Inputs::Signals {
            // Known much sooner than their moments.
            check_varying(columns.profile.varying(users.table, &parts.concat()))?;
        }
        let mut buffer = vec![0.0; columns.width()];
        let mut each = |rows: &[usize], with: &mut dyn FnMut(&[f64])| -> Result<()> {
            rows.iter().try_for_each(|&row| {
                go_on(progress)?;
                users.fill(columns, row, &mut buffer)?;
                with(&buffer[range.clone()]);
                Ok(())
            })
        };

        let mut moments = Moments::new(range.len());
        parts.iter().try_for_each(|rows| each(rows, &mut |x| moments.add(x)))?;
        let scaler = moments.scaler(first);
        check_varying(scaler.columns.len())?;
        let at_once = (MAX_AT_ONCE / (scaler.columns.len() + 1)).max(1);
        let mut systems = Vec::with_capacity(parts.len());
        let mut rest = targets;
        for rows in parts {
            let (part, further) = rest.split_at(rows.len().min(rest.len()));
            rest = further;
            let mut system: Option<System> = None;
            for (rows, part) in rows.chunks(at_once).zip(part.chunks(at_once)) {
                let mut x = DMatrix::zeros(rows.len(), scaler.columns.len() + 1);
                let mut at = 0;
                each(rows, &mut |features| {
                    scaler.row(features).enumerate().for_each(|(j, value)| x[(at, j)] = value);
                    at += 1;
                })?;
                let more = System::of(&x, &DVector::from_column_slice(part), progress)?;
                system = Some(match system {
                    Some(system) => system.plus(&more),
                    None => more,
                });
            }
            systems.extend(system);
        }
        let solved = choose(&systems, &scaler, inputs, progress)?;

        let mut out_of_fold = Vec::with_capacity(targets.len());
        for (rows, weights) in parts.iter().zip(&solved.without) {
            let model = scaler.model(inputs, weights);
            each(rows, &mut |features| out_of_fold.push(model.predict(features)))?;
        }
        Ok(RidgeFit { model: scaler.model(inputs, &solved.whole), out_of_fold })
    }

    /// Whether it is one that can have been fitted on that many columns.
    pub(crate) fn is_valid(&self, width: usize) -> bool {
        let ascending = self.columns.windows(2).all(|pair| pair[0].column < pair[1].column);
        let term = |term: &Term| {
            term.column < width
                && term.divisor > 0.0
                && [term.mean, term.divisor, term.weight].into_iter().all(f64::is_finite)
        };
        ascending && self.intercept.is_finite() && self.columns.iter().all(term)
    }

    /// What it predicts of `ln(1 + outcome)`, from its inputs' columns.
    pub(crate) fn predict(&self, x: &[f64]) -> f64 {
        self.columns.iter().fold(self.intercept, |sum, term| sum + term.of(x[term.column]))
    }
}

/// Refuses more columns than a user's features may have.
pub(crate) fn check_width(columns: usize) -> Result<()> {
    few(columns, MAX_COLUMNS, "values of all fields and signals together")
}

/// Refuses more columns that vary than can be solved for.
pub(crate) fn check_varying(columns: usize) -> Result<()> {
    few(columns, MAX_VARYING, "values that some of the users it is fitted on have and others have not")
}

fn few(columns: usize, most: usize, what: &str) -> Result<()> {
    let expected = format!(
        "at most {most} {what}; let rare values share one (`unknown = \"bucket\"`), or leave a field out"
    );
    Ok(check(columns <= most, "columns of a regression", expected, columns)?)
}

fn go_on(progress: &dyn Progress) -> Result<()> {
    if progress.stopped() { Err(Error::Stopped) } else { Ok(()) }
}

/// Means and deviations of columns in one pass (Welford, Technometrics 1962).
struct Moments {
    count: usize,
    sum: Vec<f64>,
    mean: Vec<f64>,
    squares: Vec<f64>,
    /// Whether every value was 0 or 1.
    indicator: Vec<bool>,
}

impl Moments {
    fn new(width: usize) -> Self {
        let zeros = || vec![0.0; width];
        Self { count: 0, sum: zeros(), mean: zeros(), squares: zeros(), indicator: vec![true; width] }
    }

    fn add(&mut self, x: &[f64]) {
        self.count += 1;
        let count = self.count as f64;
        for (j, &x) in x.iter().enumerate() {
            self.sum[j] += x;
            let delta = x - self.mean[j];
            self.mean[j] += delta / count;
            self.squares[j] = (x - self.mean[j]).mul_add(delta, self.squares[j]);
            self.indicator[j] &= x == 0.0 || x == 1.0;
        }
    }

    /// Centres and scales the columns that vary.
    fn scaler(&self, first: usize) -> Scaler {
        let count = self.count.max(1) as f64;
        let deviation = |j: usize| (self.squares[j] / count).sqrt();
        let columns = (0..self.sum.len()).filter(|&j| deviation(j) > MIN_DEVIATION).map(|j| {
            let divisor = if self.indicator[j] { 1.0 } else { deviation(j) };
            (Term { column: j, mean: self.sum[j] / count, divisor, weight: 0.0 }, j < first)
        });
        Scaler { columns: columns.collect() }
    }
}

/// The columns, and whether each belongs to the first block.
struct Scaler {
    columns: Vec<(Term, bool)>,
}

impl Scaler {
    /// One and the standardised columns.
    fn row(&self, x: &[f64]) -> impl Iterator<Item = f64> {
        let standardised = self.columns.iter().map(|(term, _)| (x[term.column] - term.mean) / term.divisor);
        std::iter::once(1.0).chain(standardised)
    }

    /// Whether a weight is of the first block; `None` for the intercept.
    fn in_first(&self, weight: usize) -> Option<bool> {
        weight.checked_sub(1).map(|column| self.columns[column].1)
    }

    /// The regression with these weights of standardised columns, the intercept first.
    fn model(&self, inputs: Inputs, weights: &DVector<f64>) -> Ridge {
        let columns = self.columns.iter().zip(weights.iter().skip(1));
        Ridge {
            inputs,
            intercept: weights.iter().next().copied().unwrap_or(0.0),
            columns: columns.map(|((term, _), &weight)| Term { weight, ..*term }).collect(),
        }
    }
}

/// The sums that a least-squares problem is made of: `XᵀX`, `Xᵀy`, `yᵀy`.
struct System {
    gram: DMatrix<f64>,
    cross: DVector<f64>,
    square: f64,
}

impl System {
    fn of(x: &DMatrix<f64>, y: &DVector<f64>, progress: &dyn Progress) -> Result<Self> {
        let mut gram = DMatrix::zeros(x.ncols(), x.ncols());
        for i in 0..x.ncols() {
            go_on(progress)?;
            for j in i..x.ncols() {
                let product = x.column(i).dot(&x.column(j));
                (gram[(i, j)], gram[(j, i)]) = (product, product);
            }
        }
        Ok(Self { gram, cross: x.tr_mul(y), square: y.norm_squared() })
    }

    fn sum(systems: &[Self]) -> Option<Self> {
        let (first, rest) = systems.split_first()?;
        let start = Self { gram: first.gram.clone(), cross: first.cross.clone(), square: first.square };
        Some(rest.iter().fold(start, Self::plus))
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            gram: self.gram + &other.gram,
            cross: self.cross + &other.cross,
            square: self.square + other.square,
        }
    }

    fn without(&self, part: &Self) -> Self {
        Self {
            gram: &self.gram - &part.gram,
            cross: &self.cross - &part.cross,
            square: self.square - part.square,
        }
    }

    /// The weights of standardised features, the intercept first, with the first block's columns multiplied by `scale`; `None` if the
    /// equations cannot be solved.
    fn solve(&self, scaler: &Scaler, scale: f64, alpha: f64) -> Option<DVector<f64>> {
        // Scaled columns with penalty α are unscaled ones with penalty α / scale²; a scale of 0 leaves them out.
        let kept: Vec<usize> =
            (0..self.cross.len()).filter(|&j| scale > 0.0 || scaler.in_first(j) != Some(true)).collect();
        let penalty = |j: usize| match scaler.in_first(j) {
            None => 0.0,
            Some(true) => alpha / (scale * scale),
            Some(false) => alpha,
        };
        let mut system = self.gram.select_rows(&kept).select_columns(&kept);
        for (a, &j) in kept.iter().enumerate() {
            system[(a, a)] += penalty(j);
        }
        let solved = system.cholesky()?.solve(&self.cross.select_rows(&kept));
        let mut weights = DVector::zeros(self.cross.len());
        for (&j, &weight) in kept.iter().zip(solved.iter()) {
            weights[j] = weight;
        }
        weights.iter().all(|weight| weight.is_finite()).then_some(weights)
    }

    /// `‖y − X w‖²`.
    fn squared_error(&self, weights: &DVector<f64>) -> f64 {
        self.square - 2.0 * weights.dot(&self.cross) + weights.dot(&(&self.gram * weights))
    }
}

/// Weights with the best penalties: of all users, and without each part.
struct Solved {
    whole: DVector<f64>,
    without: Vec<DVector<f64>>,
}

fn choose(systems: &[System], scaler: &Scaler, inputs: Inputs, progress: &dyn Progress) -> Result<Solved> {
    let singular = || Error::Singular { inputs: inputs.name() };
    let solve = |system: &System, scale: f64, alpha: f64| -> Result<DVector<f64>> {
        go_on(progress)?;
        system.solve(scaler, scale, alpha).ok_or_else(singular)
    };
    let whole = System::sum(systems).ok_or_else(singular)?;
    let rest: Vec<System> = systems.iter().map(|part| whole.without(part)).collect();
    let scales = if inputs == Inputs::ProfileAndSignals { &SCALES[..] } else { &[1.0][..] };
    let mut best: Option<(f64, f64, f64, Vec<DVector<f64>>)> = None;
    for &scale in scales {
        for alpha in ALPHAS {
            let without: Vec<DVector<f64>> =
                rest.iter().map(|rest| solve(rest, scale, alpha)).collect::<Result<_>>()?;
            let error = systems.iter().zip(&without).map(|(part, weights)| part.squared_error(weights)).sum();
            if best.as_ref().is_none_or(|best| error < best.0) {
                best = Some((error, scale, alpha, without));
            }
        }
    }
    let (_, scale, alpha, without) = best.ok_or_else(singular)?;
    Ok(Solved { whole: solve(&whole, scale, alpha)?, without })
}

#[cfg(test)]
mod tests;
