//! Who is served, who is trained on and who is held out.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use scaletot_profile::Dataset;

use super::config::PipelineConfig;
use crate::error::{Result, ensure};
use crate::preflight::{MIN_USERS, check_differ};

/// Rows of a run's users, each list ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Split {
    /// Users with enough populated fields to be served.
    pub eligible: Vec<usize>,
    /// Eligible users who may be trained on: all but the held-out. Some may have no known outcome.
    pub train: Vec<usize>,
    /// Eligible users with a known outcome, which nothing but the evaluation sees.
    pub held_out: Vec<usize>,
}

impl Split {
    /// Draws the held-out users by the seed.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there are too few users with a profile and a known outcome to train on, or to hold out, or if
    /// all of them on one side have the same outcome: nobody is then worth more than anybody else.
    pub fn new(dataset: &Dataset, config: &PipelineConfig, seed: u64) -> Result<Self> {
        let least = config.min_populated;
        let eligible: Vec<usize> =
            (0..dataset.len()).filter(|&row| dataset.table().populated(row) >= least).collect();
        let mut labelled: Vec<usize> =
            eligible.iter().copied().filter(|&row| dataset.outcome(row).is_some()).collect();
        labelled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let held = (labelled.len() as f64 * config.held_out).round() as usize;
        let held_out: BTreeSet<usize> = labelled.into_iter().take(held).collect();
        let train: Vec<usize> = eligible.iter().copied().filter(|row| !held_out.contains(row)).collect();
        let labelled_train = train.iter().filter(|&&row| dataset.outcome(row).is_some()).count();
        ensure!(
            labelled_train >= MIN_USERS && held >= MIN_USERS,
            "at least {MIN_USERS} users with {least} populated fields and a known outcome are needed on both sides of the split; \
             there are {labelled_train} to train on and {held} held out"
        );
        let held_out: Vec<usize> = held_out.into_iter().collect();
        for (who, rows) in [("to train on", &train), ("held out", &held_out)] {
            let remedy = "more known outcomes help, or another seed where few differ";
            check_differ(dataset, rows, who, remedy)?;
        }
        Ok(Self { eligible, train, held_out })
    }
}

/// The known outcomes of a dataset, in the order of its rows.
pub(super) fn known_outcomes(dataset: &Dataset) -> Vec<f64> {
    dataset.outcomes().iter().copied().flatten().collect()
}

#[cfg(test)]
mod tests {
    use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};

    use super::*;

    fn refused(outcome: impl Fn(usize) -> f64) -> Option<String> {
        let schema = ProfileSchema::builder("shop").with_field(FieldSpec::boolean("member")).build().unwrap();
        let mut table = TableBuilder::new(schema);
        (0..100i64).for_each(|id| table.push_text(id, &["yes"]).unwrap());
        let outcomes = (0..100).map(|row| Some(outcome(row))).collect();
        let dataset = Dataset::builder(table.finish()).with_outcomes(outcomes).build().unwrap();
        let mut config = PipelineConfig::default();
        (config.min_populated, config.held_out) = (1, 0.3);
        Split::new(&dataset, &config, 1).err().map(|error| error.to_string())
    }

    #[test]
    fn outcomes_that_do_not_differ_are_refused_before_anything_is_asked() {
        assert_eq!(refused(|row| row as f64), None);
        assert!(refused(|_| 3.0).unwrap().contains("users to train on must differ, and all of them are 3"));
        // One user who is worth something is on one side, whichever that is.
        assert!(refused(|row| f64::from(row == 7)).unwrap().contains("must differ, and all of them are 0"));
    }
}
