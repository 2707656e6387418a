//! Numbers as words: the level that a number has among those of other users.

use scaletot_core::config::ConfigError;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::field::LEVELS;
use crate::quantiles::Quantiles;
use crate::table::{FieldValues, ProfileTable};

/// How many levels a number is rendered by, and which number has which.
///
/// ```
/// use scaletot_profile::{FieldSpec, LevelConfig, LevelRule, ProfileSchema, TableBuilder, Verbaliser};
///
/// let visits = FieldSpec::numeric("visits").with_phrase("with a {} number of visits");
/// let schema = ProfileSchema::builder("shop").with_field(visits).build()?;
/// let mut rows = TableBuilder::new(schema);
/// for (id, visits) in ["1", "1", "1", "2", "2", "2", "2", "2", "7", "9"].iter().enumerate() {
///     rows.push_text(id as i64, &[visits])?;
/// }
/// let table = rows.finish();
///
/// // Half of the users have 2 visits, and the typical user is among them.
/// let verbaliser = Verbaliser::fit(&table, 3)?;
/// assert_eq!(verbaliser.render(&table, 0), "A user with a low number of visits");
/// assert_eq!(verbaliser.render(&table, 4), "A user with a moderate number of visits");
///
/// // Quantile bins put 1 and 2 into one bin of eight users.
/// let bins = Verbaliser::fit(&table, LevelConfig::new(3).with_rule(LevelRule::QuantileBins))?;
/// assert_eq!(bins.render(&table, 0), "A user with a moderate number of visits");
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelConfig {
    count: usize,
    #[serde(default)]
    rule: LevelRule,
}

/// Which level a number has. Both rules see nothing but the order of the numbers, and a greater number never has a lower level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LevelRule {
    /// By the mid-distribution rank of the number, `r(x) = (#{< x} + #{≤ x}) / 2n` among the `n` numbers that were fitted: level `⌊L r⌋` of
    /// `L`. Users who share a number share the middle of their ranks, whatever the others have: a number that everybody has is
    /// moderate, and one that half of the users have is called by where that half stands in the order, at the bottom (`r = 1/4`), in the middle
    /// (`1/2`) or at the top (`3/4`). A number that was not fitted has the level of the next greater one that was; a still greater one that of the
    /// greatest.
    #[default]
    MidRank,
    /// By [`Quantiles`]: the numbers are cut into as many bins of about equal size as there are levels, fewer if numbers tie, and a bin has
    /// the level of the middle of its ranks. All numbers of a bin have one level: a rare number in one bin with a frequent one is
    /// called as that is, and a frequent one as the two together. This is for what was recorded under this rule.
    QuantileBins,
}

impl LevelConfig {
    /// So many levels, by [`LevelRule::MidRank`]. A bare number converts to this.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { count, rule: LevelRule::default() }
    }

    /// Which number has which level.
    #[must_use]
    pub fn with_rule(mut self, rule: LevelRule) -> Self {
        self.rule = rule;
        self
    }

    /// How many levels there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Which number has which level.
    #[must_use]
    pub fn rule(&self) -> LevelRule {
        self.rule
    }

    /// The levels' words, from least to most.
    pub(crate) fn words(&self) -> Result<&'static [&'static str]> {
        Ok(match self.count {
            2 => &["low", "high"],
            3 => &["low", "moderate", "high"],
            4 => &["very low", "low", "high", "very high"],
            5 => &LEVELS,
            count => {
                let expected = "2, 3, 4 or 5";
                return Err(ConfigError::new("levels", expected, count).into());
            }
        })
    }
}

impl From<usize> for LevelConfig {
    fn from(count: usize) -> Self {
        Self::new(count)
    }
}

/// The level words of a numeric field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Levels {
    /// Whose bins are the intervals of one level.
    quantiles: Quantiles,
    /// The word of each bin.
    words: Vec<String>,
}

impl Levels {
    /// `None` if no user has a number.
    pub(crate) fn fit(table: &ProfileTable, field: usize, config: LevelConfig) -> Result<Option<Self>> {
        let words = config.words()?;
        let Some(FieldValues::Numbers(numbers)) = table.column(field) else { return Ok(None) };
        let mut sorted: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
        if sorted.is_empty() {
            return Ok(None);
        }
        sorted.sort_unstable_by(f64::total_cmp);
        let (quantiles, levels) = match config.rule {
            LevelRule::MidRank => by_mid_rank(&sorted, words.len())?,
            LevelRule::QuantileBins => by_bins(&sorted, words.len())?,
        };
        let words = levels.iter().map(|&level| words[level.min(words.len() - 1)].to_owned()).collect();
        Ok(Some(Self { quantiles, words }))
    }

    pub(crate) fn word(&self, x: f64) -> Option<&str> {
        self.words.get(self.quantiles.bin(x)).map(String::as_str)
    }
}

/// The level of a run of `count` ranks above `under` others, of `rows` in all: that of its middle.
fn level(under: usize, count: usize, rows: usize, levels: usize) -> usize {
    (2 * under + count) * levels / (2 * rows)
}

/// Intervals of one level each, and their levels.
fn by_mid_rank(sorted: &[f64], levels: usize) -> Result<(Quantiles, Vec<usize>)> {
    let mut under = 0;
    // The greatest number of each level that occurs.
    let mut ends: Vec<(f64, usize)> = Vec::with_capacity(levels);
    for ties in sorted.chunk_by(|a, b| a == b) {
        let level = level(under, ties.len(), sorted.len(), levels);
        match ends.last_mut() {
            Some((end, last)) if *last == level => *end = ties[0],
            _ => ends.push((ties[0], level)),
        }
        under += ties.len();
    }
    let cuts = ends[..ends.len() - 1].iter().map(|(end, _)| *end).collect();
    let quantiles = Quantiles::from_cuts(cuts, sorted[0], sorted[sorted.len() - 1])?;
    Ok((quantiles, ends.into_iter().map(|(_, level)| level).collect()))
}

/// Bins of about equal size, and their levels.
fn by_bins(sorted: &[f64], levels: usize) -> Result<(Quantiles, Vec<usize>)> {
    let quantiles = Quantiles::fit(sorted.iter().copied(), levels)?;
    let mut counts = vec![0usize; quantiles.bins()];
    sorted.iter().for_each(|&x| counts[quantiles.bin(x)] += 1);
    let mut under = 0;
    let bins = counts.iter().map(|&count| {
        let level = level(under, count, sorted.len(), levels);
        under += count;
        level
    });
    Ok((quantiles, bins.collect()))
}
