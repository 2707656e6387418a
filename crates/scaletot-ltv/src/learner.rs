//! The interface to base models that are not of this crate, such as networks: small traits apart from their implementations.

use std::fmt::Debug;
use std::path::Path;

use scaletot_profile::{Dataset, ProfileSchema, ProfileTable};

use crate::error::LearnerError;

/// The users that one member of a committee is fitted on.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    dataset: &'a Dataset,
    rows: &'a [usize],
    member: usize,
}

impl<'a> Sample<'a> {
    pub(crate) fn new(dataset: &'a Dataset, rows: &'a [usize], member: usize) -> Self {
        Self { dataset, rows, member }
    }

    /// The dataset; other outcomes than those of [`rows`](Self::rows) must not be looked at.
    #[must_use]
    pub fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// The rows to fit on, ascending; the outcome of each is known.
    #[must_use]
    pub fn rows(&self) -> &'a [usize] {
        self.rows
    }

    /// Which member of the committee it is for, from 0.
    #[must_use]
    pub fn member(&self) -> usize {
        self.member
    }
}

/// Fits models of the outcome on profiles alone.
///
/// A [`ValueTrainer`](crate::ValueTrainer) makes a committee of it: for each part of the labelled users one member that is fitted without
/// them and predicts them out of fold. New users get the mean of the members. A committee of models that stop early by held-out users
/// ranks better than one model of all users, as each stops by others.
///
/// ```
/// use std::path::Path;
///
/// use scaletot_ltv::{BaseLearner, BaseModel, LearnerError, Sample};
/// use scaletot_profile::ProfileTable;
///
/// /// Everybody is worth the mean.
/// struct Mean;
///
/// #[derive(Debug)]
/// struct Fitted(f64);
///
/// impl BaseLearner for Mean {
///     fn name(&self) -> &str {
///         "mean"
///     }
///
///     fn fit(&self, sample: &Sample<'_>, _seed: u64) -> Result<Box<dyn BaseModel>, LearnerError> {
///         let sum: f64 = sample.rows().iter().filter_map(|&row| sample.dataset().outcome(row)).sum();
///         Ok(Box::new(Fitted(sum / sample.rows().len() as f64)))
///     }
/// }
///
/// impl BaseModel for Fitted {
///     fn predict(&self, _table: &ProfileTable, rows: &[usize]) -> Result<Vec<f64>, LearnerError> {
///         Ok(vec![self.0; rows.len()])
///     }
///
///     fn save(&self, directory: &Path) -> Result<(), LearnerError> {
///         std::fs::create_dir(directory)?;
///         Ok(std::fs::write(directory.join("mean"), self.0.to_string())?)
///     }
/// }
/// ```
pub trait BaseLearner: Sync {
    /// The name of the learner and its models, unique among those of one value model: small letters, digits, `-` and `_`. Saved models
    /// are found again by it.
    fn name(&self) -> &str;

    /// Fits a model. Equal samples and seeds give equal models.
    ///
    /// # Errors
    /// Whatever goes wrong, a wish to stop among it.
    fn fit(&self, sample: &Sample<'_>, seed: u64) -> Result<Box<dyn BaseModel>, LearnerError>;
}

/// A fitted model of the outcome on profiles.
pub trait BaseModel: Debug + Send + Sync {
    /// The expected outcomes of the users in `rows` of a table of the schema it was fitted on: one per row, in that order, finite and at
    /// least 0, in the outcome's unit. Value models stack its `ln(1 + x)`.
    ///
    /// # Errors
    /// Whatever goes wrong.
    fn predict(&self, table: &ProfileTable, rows: &[usize]) -> Result<Vec<f64>, LearnerError>;

    /// Writes the model as `directory`, which is not there yet.
    ///
    /// # Errors
    /// Whatever goes wrong.
    fn save(&self, directory: &Path) -> Result<(), LearnerError>;
}

/// Reads what models of one learner have written.
pub trait BaseLoader {
    /// The [name](BaseLearner::name) of the learner.
    fn name(&self) -> &str;

    /// Reads a model for profiles of a schema.
    ///
    /// # Errors
    /// If the directory holds no such model, or one for another schema.
    fn load(&self, directory: &Path, schema: &ProfileSchema) -> Result<Box<dyn BaseModel>, LearnerError>;
}
