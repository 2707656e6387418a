//! Which users the teacher reasons about.
//!
//! A language model cannot reason about everybody, so a plan picks the share of the population it will see. The
//! choice is made before any answer and without any outcome, from who has enough profile to reason about.

mod profiles;

use std::cmp::Reverse;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use scaletot_core::config::{self, ConfigError};
use scaletot_profile::{ProfileTable, Segments};
use serde::{Deserialize, Serialize};

use crate::error::Result;

pub use profiles::ProfileCoverage;

/// How many users to cover.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Coverage {
    /// A share of the population, in `(0, 1]`, rounded to the nearest user (and at least one). The share is of all
    /// users, not of those eligible: that is what makes it comparable between populations.
    Share(f64),
    /// A number of users, at least 1.
    Count(usize),
}

/// Picks users at random, stratified by segment, or so that their profiles stand for all, among those with enough populated
/// fields.
///
/// With the same seed a greater coverage contains a smaller one (per segment, if stratified, as far as the
/// segment's number grows), so that coverage curves compare like with like.
///
/// # Examples
///
/// ```
/// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
/// use scaletot_teacher::{Coverage, CoveragePlan};
///
/// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::numeric("income")).build()?;
/// let mut users = TableBuilder::new(schema);
/// for (id, income) in [(1, "100"), (2, "250"), (3, ""), (4, "80"), (5, "90")] {
///     users.push_text(id, &[income])?;
/// }
/// let table = users.finish();
///
/// let plan = CoveragePlan::new(Coverage::Share(0.6))?.with_min_populated(1);
/// let covered = plan.random(&table, 7)?;
/// assert_eq!(covered.rows().len(), 3);
/// assert_eq!((covered.population(), covered.eligible()), (5, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoveragePlan {
    coverage: Coverage,
    min_populated: usize,
}

impl CoveragePlan {
    /// A plan that needs one populated field per user.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if a share is outside `(0, 1]` or a count is 0.
    pub fn new(coverage: Coverage) -> Result<Self> {
        let plan = Self { coverage, min_populated: 1 };
        plan.validate()?;
        Ok(plan)
    }

    /// Sets the least number of populated fields; users with fewer are not eligible.
    #[must_use]
    pub fn with_min_populated(mut self, fields: usize) -> Self {
        self.min_populated = fields;
        self
    }

    /// The share or number of users.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    fn validate(&self) -> Result<()> {
        match self.coverage {
            Coverage::Share(of_all) => config::share("coverage", of_all)?,
            Coverage::Count(users) => config::check(users > 0, "coverage", "at least 1 user", users)?,
        }
        Ok(())
    }

    /// The number of users wanted of a population.
    fn target(&self, population: usize) -> usize {
        match self.coverage {
            Coverage::Share(f) => ((f * population as f64).round() as usize).max(1),
            Coverage::Count(n) => n,
        }
    }

    /// Picks among all eligible users, each as likely as the next.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the plan was read from a file and is out of its range.
    pub fn random(&self, table: &ProfileTable, seed: u64) -> Result<CoveredUsers> {
        self.pick(table, seed, 1, |_| 0, |_| "all".to_owned())
    }

    /// Picks in each segment in proportion to its eligible users. Numbers are rounded by largest remainder, so
    /// that they sum to the target and each is less than one user from its exact share.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the segments are not of this table's length, or the plan was read from a file and is
    /// out of its range.
    pub fn stratified(&self, table: &ProfileTable, segments: &Segments, seed: u64) -> Result<CoveredUsers> {
        let covered = segments.rows();
        if covered != table.len() {
            let expected = format!("a segment for each of {} users", table.len());
            return Err(ConfigError::new("segments", expected, covered).into());
        }
        self.pick(table, seed, segments.len(), |row| segments.of(row), |s| segments.names()[s].clone())
    }

    fn pick(
        &self,
        table: &ProfileTable,
        seed: u64,
        count: usize,
        segment_of: impl Fn(usize) -> usize,
        name_of: impl Fn(usize) -> String,
    ) -> Result<CoveredUsers> {
        self.validate()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut population = vec![0; count];
        let mut eligible: Vec<Vec<(u64, usize)>> = vec![Vec::new(); count];
        for row in 0..table.len() {
            // Each user draws a ticket whether eligible or not, so that one user's missing fields do not change
            // who else is picked; the lowest tickets win.
            let ticket = rng.next_u64();
            let segment = segment_of(row);
            population[segment] += 1;
            if table.populated(row) >= self.min_populated {
                eligible[segment].push((ticket, row));
            }
        }
        let sizes: Vec<usize> = eligible.iter().map(Vec::len).collect();
        let target = self.target(table.len());
        let shares = largest_remainder(&sizes, target);
        let mut rows = Vec::with_capacity(shares.iter().sum());
        let mut segments = Vec::with_capacity(count);
        for (segment, (mut tickets, &share)) in eligible.into_iter().zip(&shares).enumerate() {
            tickets.sort_unstable();
            rows.extend(tickets.iter().take(share).map(|(_, row)| *row));
            segments.push(SegmentCoverage {
                name: name_of(segment),
                population: population[segment],
                eligible: tickets.len(),
                covered: share,
            });
        }
        rows.sort_unstable();
        Ok(CoveredUsers { rows, target, segments })
    }
}

/// Splits `target` (at most the sum of `sizes`) in proportion to `sizes` by largest remainder; ties go to the larger
/// size, then to the earlier one. No part exceeds its size.
fn largest_remainder(sizes: &[usize], target: usize) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let target = target.min(total);
    if total == 0 {
        return vec![0; sizes.len()];
    }
    // Whole numbers throughout, so that equal remainders are equal.
    let exact = |size: usize| size as u128 * target as u128;
    let mut shares: Vec<usize> = sizes.iter().map(|&size| (exact(size) / total as u128) as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&i| (Reverse(exact(sizes[i]) % total as u128), Reverse(sizes[i]), i));
    let left = target - shares.iter().sum::<usize>();
    for &i in order.iter().take(left) {
        shares[i] += 1;
    }
    shares
}

/// The users that a [`CoveragePlan`] picked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoveredUsers {
    rows: Vec<usize>,
    target: usize,
    segments: Vec<SegmentCoverage>,
}

impl CoveredUsers {
    /// The rows that were picked, in ascending order.
    #[must_use]
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The rows, by value.
    #[must_use]
    pub fn into_rows(self) -> Vec<usize> {
        self.rows
    }

    /// The number of users that was wanted; fewer are picked if fewer are eligible.
    #[must_use]
    pub fn target(&self) -> usize {
        self.target
    }

    /// All users.
    #[must_use]
    pub fn population(&self) -> usize {
        self.segments.iter().map(|segment| segment.population).sum()
    }

    /// The users with enough populated fields.
    #[must_use]
    pub fn eligible(&self) -> usize {
        self.segments.iter().map(|segment| segment.eligible).sum()
    }

    /// The share of all users that was picked, in `[0, 1]`.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.rows.len() as f64 / self.population().max(1) as f64
    }

    /// Coverage per segment; a random plan has one segment, `all`.
    #[must_use]
    pub fn segments(&self) -> &[SegmentCoverage] {
        &self.segments
    }
}

/// How much of one segment is covered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SegmentCoverage {
    /// The segment's name.
    pub name: String,
    /// Its users.
    pub population: usize,
    /// Its users with enough populated fields.
    pub eligible: usize,
    /// Its users that were picked.
    pub covered: usize,
}
