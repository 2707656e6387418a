//! Distances of profiles from those of training, and abstention on those that are too far.

use scaletot_profile::ProfileTable;

use super::FrozenEncoder;
use crate::error::Result;
use crate::novelty::{DistanceLimit, Novelty, Surprise};

impl FrozenEncoder {
    /// How far profiles are from the training profiles, in standard deviations of the training profiles' surprise: around 0 for such as
    /// these, larger for rare values, 0 for a blank profile; always finite. A profile with values that training never saw in several
    /// fields is far. It sees neither unusual combinations of usual values, nor how far a number is outside of the training range, nor
    /// which fields are missing. The measure is this project's own.
    ///
    /// ```
    /// # use scaletot_chain::{ChainSchema, StateDef};
    /// # use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
    /// use scaletot_encoder::{Abstention, EncoderConfig, FrozenEncoder, Heads};
    /// # let schema = ProfileSchema::builder("shop")
    /// #     .with_field(FieldSpec::categorical("home", ["rent", "own", "other"]))
    /// #     .with_field(FieldSpec::categorical("work", ["shop", "farm", "none"]))
    /// #     .build()?;
    /// # let profiles = |rows: &[[&str; 2]]| {
    /// #     let mut table = TableBuilder::new(schema.clone());
    /// #     rows.iter().enumerate().try_for_each(|(id, cells)| table.push_text(id as i64, cells))?;
    /// #     Ok::<_, scaletot_profile::Error>(table.finish())
    /// # };
    /// # let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
    /// // Nobody in training has another home or no work.
    /// let table = profiles(&[["rent", "shop"], ["own", "farm"], ["rent", "farm"], ["own", "shop"]].repeat(50))?;
    /// let (config, heads) = (EncoderConfig::default(), Heads::new(true, vec![], 0));
    /// let encoder = FrozenEncoder::with_random_weights(&config, &table, &chain, heads, 7)?;
    /// let held_out: Vec<usize> = (0..200).collect();
    /// let encoder = encoder.calibrate_abstention(&table, &held_out, 0.01)?;
    /// let scores = encoder.score(&profiles(&[["rent", "shop"], ["other", "none"], ["", ""]])?)?;
    /// assert_eq!(scores.abstained, [false, true, true]);
    /// assert_eq!(scores.abstention_of(1), Some(Abstention::TooFar));
    /// assert_eq!(scores.abstention_of(2), Some(Abstention::TooFewFields));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Schema`](crate::Error::Schema) for a table of another schema, [`Error::Shape`](crate::Error::Shape) when there is no such row.
    pub fn distances(&self, table: &ProfileTable, rows: &[usize]) -> Result<Vec<f32>> {
        let features = self.featuriser().transform(table, rows)?;
        Ok(Surprise::new(self.featuriser(), self.histograms()).distances(&features, 0..features.len()))
    }

    /// The same encoder abstaining on profiles that are too far from those of training, by their [distance](Self::distances): farther than all
    /// but a share of held-out users, who must not be among the training profiles. Users with too few populated fields are left out.
    ///
    /// Of `n` held-out users at most `share · n` are abstained on; a new user of the same population is, with probability of at most
    /// `(share · n + 1) / (n + 1)` (the quantile of split conformal prediction, Vovk, Gammerman and Shafer 2005). The limit goes into the
    /// artifact, and [`distance_limit`](Self::distance_limit) tells it.
    ///
    /// # Errors
    /// As [`distances`](Self::distances); [`Error::Config`](crate::Error::Config) for a share outside of `[0, 1)`, [`Error::Shape`](crate::Error::Shape) without held-out users.
    pub fn calibrate_abstention(
        mut self,
        table: &ProfileTable,
        held_out: &[usize],
        share: f64,
    ) -> Result<Self> {
        let features = self.featuriser().transform(table, held_out)?;
        let surprise = Surprise::new(self.featuriser(), self.histograms());
        let known = features.populated().iter().map(|&fields| fields as usize >= self.config().min_populated);
        let distances = surprise.distances(&features, 0..features.len()).into_iter().zip(known);
        let limit =
            DistanceLimit::calibrate(distances.filter_map(|(d, known)| known.then_some(d)).collect(), share)?;
        self.novelty = Some(Novelty::new(surprise, limit));
        Ok(self)
    }

    /// The same encoder scoring profiles however far they are from those of training.
    #[must_use]
    pub fn without_distance_limit(mut self) -> Self {
        self.novelty = None;
        self
    }

    /// The distance from which on profiles are abstained on, if any.
    #[must_use]
    pub fn distance_limit(&self) -> Option<&DistanceLimit> {
        self.novelty.as_ref().map(|novelty| &novelty.limit)
    }
}
