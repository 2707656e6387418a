//! Models of one learner, each fitted without one part of the labelled users.

use scaletot_profile::{Dataset, ProfileTable};

use crate::error::{Error, Result};
use crate::learner::{BaseLearner, BaseModel, Sample};

/// The models of one learner, in the order of the parts.
#[derive(Debug)]
pub(crate) struct Committee {
    pub(crate) name: String,
    pub(crate) members: Vec<Box<dyn BaseModel>>,
}

/// A committee with what it predicts of `ln(1 + outcome)` out of fold, part by part.
#[derive(Debug)]
pub(crate) struct CommitteeFit {
    pub(crate) model: Committee,
    pub(crate) out_of_fold: Vec<f64>,
}

impl Committee {
    /// Fits one member without each part, with the seed that `seed` gives it.
    pub(crate) fn fit(
        learner: &dyn BaseLearner,
        dataset: &Dataset,
        parts: &[Vec<usize>],
        seed: impl Fn(usize) -> u64,
    ) -> Result<CommitteeFit> {
        let mut model = Self { name: learner.name().to_owned(), members: Vec::with_capacity(parts.len()) };
        let mut out_of_fold = Vec::new();
        for (member, part) in parts.iter().enumerate() {
            let others = parts.iter().enumerate().filter(|(other, _)| *other != member);
            let mut rows: Vec<usize> = others.flat_map(|(_, rows)| rows).copied().collect();
            rows.sort_unstable();
            let sample = Sample::new(dataset, &rows, member);
            let fitted = learner.fit(&sample, seed(member)).map_err(Error::learner(&model.name, "fit"))?;
            let values = checked(&model.name, &*fitted, dataset.table(), part)?;
            out_of_fold.extend(values.into_iter().map(f64::ln_1p));
            model.members.push(fitted);
        }
        Ok(CommitteeFit { model, out_of_fold })
    }

    /// `ln(1 + x̄)` of the members' mean `x̄` for users in none of the parts.
    pub(crate) fn predict(&self, table: &ProfileTable, rows: &[usize]) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; rows.len()];
        for member in &self.members {
            let values = checked(&self.name, &**member, table, rows)?;
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        Ok(sums.into_iter().map(|sum| (sum / self.members.len() as f64).ln_1p()).collect())
    }
}

/// A member's predictions, which may come from anybody's code.
fn checked(name: &str, model: &dyn BaseModel, table: &ProfileTable, rows: &[usize]) -> Result<Vec<f64>> {
    let values = model.predict(table, rows).map_err(Error::learner(name, "predict"))?;
    let wrong =
        |expected: String, found: String| Error::Prediction { name: name.to_owned(), expected, found };
    if values.len() != rows.len() {
        return Err(wrong(format!("{} predictions", rows.len()), values.len().to_string()));
    }
    let bad = values.iter().zip(rows).find(|(value, _)| !(value.is_finite() && **value >= 0.0));
    match bad {
        None => Ok(values),
        Some((value, row)) => {
            Err(wrong("finite predictions of at least 0".to_owned(), format!("{value} for row {row}")))
        }
    }
}
