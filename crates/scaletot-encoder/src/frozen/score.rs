//! Profiles to scores.

use std::ops::Range;

use scaletot_profile::ProfileTable;

use super::settings::Serving;
use super::{FrozenEncoder, same_schema};
use crate::error::Result;
use crate::features::Features;
use crate::plan::{BLOCK, Input, Scratch};
use crate::scores::Scores;

/// Profiles whose features are held in memory at once.
const BATCH: usize = 8192;

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
        self.join(self.threads.map(&batches, |scratch, rows| {
            let features = self.description.featuriser.transform(table, rows)?;
            self.score_distinct(&features, |features| self.score_part(features, 0..features.len(), scratch))
        })?)
    }

    /// Scores features that were made before by this encoder's [`featuriser`](Self::featuriser), each thread a part of them. Those of another
    /// featuriser with as many rows per field cannot be told from them.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for features with other rows per field.
    pub fn score_features(&self, features: &Features) -> Result<Scores> {
        self.score_distinct(features, |features| self.score_parts(features))
    }

    /// What `score` makes of the features, given each distinct profile once where that pays.
    fn score_distinct(
        &self,
        features: &Features,
        score: impl FnOnce(&Features) -> Result<Scores>,
    ) -> Result<Scores> {
        match self.deduplication.of(features) {
            Some(distinct) => Ok(score(&features.select(&distinct.first)?)?.scatter(&distinct.kinds)),
            None => score(features),
        }
    }

    fn score_parts(&self, features: &Features) -> Result<Scores> {
        let parts = parts(features.len(), self.threads.count());
        self.join(self.threads.map(&parts, |scratch, rows| self.score_part(features, rows.clone(), scratch))?)
    }

    fn score_part(&self, features: &Features, rows: Range<usize>, scratch: &mut Scratch) -> Result<Scores> {
        let mut scores = self.blank(rows.len());
        let input = Input {
            features,
            rows: rows.clone(),
            min_populated: self.description.config.min_populated,
            link: self.description.outcome.as_ref(),
        };
        match &self.serving {
            Some((Serving::Int8(plan), _)) => plan.score(input, scratch, &mut scores)?,
            Some((Serving::Full(plan), _)) => plan.score(input, scratch, &mut scores)?,
            None => self.plan.score(input, scratch, &mut scores)?,
        }
        if let Some(novelty) = &self.novelty {
            novelty.too_far(features, rows).for_each(|row| scores.mark_abstained(row));
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
        Scores::blank(n, &self.description, self.selection)
    }
}

/// Rows for several threads, each of which takes the next part when it is done with its last: a share of what is left, so that few parts are
/// large and the last ones small, and all threads end at about the same time.
fn parts(n: usize, threads: usize) -> Vec<Range<usize>> {
    let mut parts = vec![];
    let mut start = 0;
    while start < n {
        let share = (n - start).div_ceil(if threads == 1 { 1 } else { 2 * threads });
        let end = (start + share.next_multiple_of(BLOCK)).min(n);
        parts.push(start..end);
        start = end;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_every_row_once_and_none_is_empty() {
        for (n, threads) in [(0, 2), (1, 8), (191, 1), (192, 2), (8192, 1), (8192, 2), (100_003, 64)] {
            let parts = parts(n, threads);
            let rows: Vec<usize> = parts.iter().cloned().flatten().collect();
            assert_eq!(rows, (0..n).collect::<Vec<_>>());
            assert!(parts.iter().all(|part| !part.is_empty()) && (threads > 1 || parts.len() < 2));
        }
    }
}
