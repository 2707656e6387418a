//! What a run works on: the table, its schemas, outcomes, segments, and who is trained on and who is held out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Result, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use scaletot_chain::ChainSchema;
use scaletot_profile::{Dataset, DatasetSpec, ProfileSchema, ProfileTable, Segments};

use crate::options::PipelineOptions;

/// The loaded table and the split of its users.
#[derive(Debug)]
pub struct Input {
    /// Profile schema.
    pub schema: Arc<ProfileSchema>,
    /// Chain schema.
    pub chain: ChainSchema,
    /// All users of the table.
    pub profiles: Arc<ProfileTable>,
    /// Realised value per user; `None` where it is not known.
    pub outcomes: Vec<Option<f64>>,
    /// User segment of every user.
    pub segments: Segments,
    /// Users with enough populated fields to be served, ascending.
    pub eligible: Vec<usize>,
    /// Eligible users who may be trained on: all but the held-out, ascending. Some may have no known outcome.
    pub train: Vec<usize>,
    /// Eligible users with a known outcome whose outcome nothing but the evaluation sees, ascending.
    pub test: Vec<usize>,
}

impl Input {
    /// Reads the table and splits its users by the options' seed.
    ///
    /// # Errors
    /// If a file cannot be read or does not fit its schema, an outcome is negative or not finite, or too few users are left.
    pub fn load(options: &PipelineOptions) -> Result<Self> {
        let share = |name: &str, value: f64| {
            ensure!(value > 0.0 && value <= 1.0, "--{name} must be above 0 and at most 1, got {value}");
            Ok(())
        };
        share("coverage", options.coverage)?;
        ensure!(options.held_out < 1.0, "--held-out must be below 1, got {}", options.held_out);
        share("held-out", options.held_out)?;

        let schema = Arc::new(ProfileSchema::load(&options.profile_schema)?);
        let chain = ChainSchema::load(&options.chain_schema)?;
        let spec = DatasetSpec::new().with_outcome(&options.outcome).with_segment(&options.segment);
        let dataset = Dataset::read(&options.data, &schema, &spec)?;
        let profiles = dataset.shared_table();
        let outcomes = dataset.outcomes().to_vec();
        let segments = dataset.segments().clone();

        let eligible: Vec<usize> = (0..profiles.len())
            .filter(|&row| profiles.populated(row) >= options.min_populated.max(1))
            .collect();
        let mut labelled: Vec<usize> =
            eligible.iter().copied().filter(|&row| outcomes[row].is_some()).collect();
        labelled.shuffle(&mut ChaCha8Rng::seed_from_u64(options.seed));
        let held = (labelled.len() as f64 * options.held_out).round() as usize;
        let held_out: BTreeSet<usize> = labelled.into_iter().take(held).collect();
        let train: Vec<usize> = eligible.iter().copied().filter(|row| !held_out.contains(row)).collect();
        let labelled_train = train.iter().filter(|&&row| outcomes[row].is_some()).count();
        ensure!(
            labelled_train >= 20 && held >= 20,
            "{}: at least 20 users with {} populated fields and a known outcome are needed on both sides of the split; \
             there are {labelled_train} to train on and {held} held out",
            options.data.display(),
            options.min_populated.max(1)
        );
        Ok(Self {
            schema,
            chain,
            profiles,
            outcomes,
            segments,
            eligible,
            train,
            test: held_out.into_iter().collect(),
        })
    }

    /// The outcomes that may be trained on: those of the held-out users are taken away.
    #[must_use]
    pub fn training_outcomes(&self) -> Vec<Option<f64>> {
        let mut outcomes = self.outcomes.clone();
        for &row in &self.test {
            outcomes[row] = None;
        }
        outcomes
    }

    /// All users with the outcomes that may be trained on, and their segments.
    ///
    /// # Errors
    /// If one of them does not fit the table, which [`load`](Self::load) sees to.
    pub fn training_dataset(&self) -> Result<Dataset> {
        let builder = Dataset::builder(Arc::clone(&self.profiles));
        Ok(builder.with_outcomes(self.training_outcomes()).with_segments(self.segments.clone()).build()?)
    }
}
