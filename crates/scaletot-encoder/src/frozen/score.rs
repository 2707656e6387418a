//! Profiles to scores.

use std::ops::Range;

use scaletot_profile::ProfileTable;

use super::settings::Serving;
use super::{FrozenEncoder, same_schema};
use crate::error::Result;
use crate::features::Features;
use crate::plan::BLOCK;
use crate::scores::Scores;

/// Profiles whose features are held in memory at once.
const BATCH: usize = 8192;

/// Profiles that a thread takes at a time, if there are several.
const PART: usize = 4 * BLOCK;

impl FrozenEncoder {
    /// Scores every profile of a table.
    ///
    /// # Errors
    /// [`Error::Schema`](crate::Error::Schema) for a table of another schema.
    pub fn score(&self, table: &ProfileTable) -> Result<Scores> {
        let rows: Vec<usize> = (0..table.len()).collect();
        self.score_rows(table, &rows)
    }

    /// Scores the named rows, in the named order.
    ///
    /// # Errors
    /// [`Error::Schema`](crate::Error::Schema) for a table of another schema, [`Error::Shape`](crate::Error::Shape) when there is no such row.
    pub fn score_rows(&self, table: &ProfileTable, rows: &[usize]) -> Result<Scores> {
        same_schema(&self.description.profile_schema, table.schema())?;
        let batches: Vec<&[usize]> = rows.chunks(BATCH).collect();
        self.join(self.threads.map(&batches, |rows| {
            let features = self.description.featuriser.transform(table, rows)?;
            self.once_each(&features, |features| self.score_part(features, 0..features.len()))
        })?)
    }

    /// Scores features that were made before by this encoder's [`featuriser`](Self::featuriser), each thread a part of them. Those of another
    /// featuriser with as many rows per field cannot be told from them.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for features with other rows per field.
    pub fn score_features(&self, features: &Features) -> Result<Scores> {
        self.once_each(features, |features| self.score_parts(features))
    }

    /// What `score` says of the features, each kind of profile given to it once where that pays.
    fn once_each(&self, features: &Features, score: impl Fn(&Features) -> Result<Scores>) -> Result<Scores> {
        match self.deduplication.of(features) {
            Some(distinct) => Ok(score(&features.select(&distinct.first)?)?.spread(&distinct.place)),
            None => score(features),
        }
    }

    fn score_parts(&self, features: &Features) -> Result<Scores> {
        let n = features.len();
        let each = if self.threads.count() == 1 { n } else { PART };
        let parts: Vec<Range<usize>> = (0..n).step_by(each.max(1)).map(|at| at..(at + each).min(n)).collect();
        self.join(self.threads.map(&parts, |rows| self.score_part(features, rows.clone()))?)
    }

    fn score_part(&self, features: &Features, rows: Range<usize>) -> Result<Scores> {
        let mut scores = self.blank(rows.len());
        let least = self.description.config.min_populated;
        let link = self.description.outcome.as_ref().filter(|_| self.selection.outcome);
        match &self.serving {
            Some(Serving::Int8(plan)) => plan.score(features, rows.clone(), least, link, &mut scores)?,
            Some(Serving::Full(plan)) => plan.score(features, rows.clone(), least, link, &mut scores)?,
            None => self.plan.score(features, rows.clone(), least, link, &mut scores)?,
        }
        if let Some(novelty) = &self.novelty {
            novelty.abstain(features, rows, &mut scores);
        }
        Ok(scores)
    }

    fn join(&self, parts: Vec<Scores>) -> Result<Scores> {
        let mut parts = parts.into_iter();
        let mut scores = parts.next().unwrap_or_else(|| self.blank(0));
        parts.try_for_each(|part| scores.append(&part))?;
        Ok(scores)
    }

    fn blank(&self, n: usize) -> Scores {
        Scores::blank(n, &self.description.heads, &self.description.config, self.selection)
    }
}
