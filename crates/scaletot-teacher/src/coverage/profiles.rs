//! Users who stand for the profiles of the others.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use rand_chacha::rand_core::Rng;
use scaletot_core::seed::numbered;
use scaletot_profile::{FieldKind, ProfileTable, Quantiles, Value};
use serde::{Deserialize, Serialize};

use super::{CoveragePlan, CoveredUsers, SegmentCoverage};
use crate::error::Result;

/// Bins by which numbers are compared.
const BINS: usize = 10;
/// Profiles that gains are summed over. Where there are more distinct ones, so many are drawn, each by its number of users.
const DEMAND: usize = 2_000;

impl CoveragePlan {
    /// Picks users whose profiles stand for those of all eligible users: lazy greedy facility location (Minoux 1978) over
    /// distinct profiles, which is within `1 − 1/e` of the best choice (Nemhauser, Wolsey and Fisher 1978), up to the drawing of
    /// [`ProfileCoverage::sampled`] profiles.
    ///
    /// Each choice adds most to the sum over users of the similarity to the most similar chosen profile. Two profiles are as
    /// similar as their fields on average: 1 for the same value (or both missing), 0 for another or one missing; values of
    /// ordinal fields, and numbers by tenths of their ranks, lose in proportion to their distance. One user is picked for each
    /// chosen profile, since equal prompts are asked once; where all distinct profiles are chosen, further users are picked at
    /// random. A greater coverage contains a smaller one of the same seed.
    ///
    /// The work grows linearly with users, and with distinct profiles times 2,000.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the plan was read from a file and is out of its range.
    pub fn profiles(&self, table: &ProfileTable, seed: u64) -> Result<CoveredUsers> {
        self.validate()?;
        let eligible: Vec<usize> =
            (0..table.len()).filter(|&row| table.populated(row) >= self.min_populated).collect();
        let mut rng = numbered(seed, 0);
        let tickets: Vec<u64> = (0..table.len()).map(|_| rng.next_u64()).collect();
        let distinct = Distinct::of(table, &eligible, &tickets)?;
        let target = self.target(table.len());
        let wanted = target.min(eligible.len());
        let demand = distinct.demand(seed);
        let mut rows: Vec<usize> =
            distinct.choose(&demand, wanted).into_iter().map(|chosen| distinct.rows[chosen]).collect();
        if rows.len() < wanted {
            let picked: HashSet<usize> = rows.iter().copied().collect();
            let mut others: Vec<usize> =
                eligible.iter().copied().filter(|row| !picked.contains(row)).collect();
            others.sort_unstable_by_key(|&row| tickets[row]);
            rows.extend(others.into_iter().take(wanted - rows.len()));
        }
        rows.sort_unstable();
        let segments = vec![SegmentCoverage {
            name: "all".to_owned(),
            population: table.len(),
            eligible: eligible.len(),
            covered: rows.len(),
        }];
        Ok(CoveredUsers { rows, target, segments })
    }
}

/// How well covered users stand for the profiles of all, however they were picked.
///
/// ```
/// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
/// use scaletot_teacher::{Coverage, CoveragePlan, ProfileCoverage};
///
/// let schema = ProfileSchema::builder("shop")
///     .with_field(FieldSpec::categorical("city", ["a", "b", "c"]))
///     .with_field(FieldSpec::boolean("owner"))
///     .build()?;
/// let mut users = TableBuilder::new(schema);
/// for (id, city) in [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "c")] {
///     users.push_text(id, &[city, "yes"])?;
/// }
/// let table = users.finish();
/// let covered = CoveragePlan::new(Coverage::Count(1))?.profiles(&table, 7)?;
/// let coverage = ProfileCoverage::of(&table, covered.rows(), 1)?;
/// // Three users have the chosen profile, and the others differ from it in one field of two.
/// assert_eq!((coverage.distinct, coverage.covered), (3, 1));
/// assert_eq!((coverage.within(0.0), coverage.within(0.5)), (0.6, 1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProfileCoverage {
    /// Distinct profiles of eligible users.
    pub distinct: usize,
    /// Distinct profiles of covered users.
    pub covered: usize,
    /// Profiles that distances were taken of; fewer than [`distinct`](Self::distinct) where those are very many.
    pub sampled: usize,
    /// Distance (1 less the similarity, in `[0, 1]`) to the nearest covered profile, ascending, with the share of eligible users.
    distances: Vec<(f64, f64)>,
}

impl ProfileCoverage {
    /// How well the users in `rows` cover those with at least `min_populated` populated fields.
    ///
    /// # Errors
    ///
    /// [`Error::Profile`](crate::Error::Profile) if numbers cannot be ranked.
    pub fn of(table: &ProfileTable, rows: &[usize], min_populated: usize) -> Result<Self> {
        let eligible: Vec<usize> =
            (0..table.len()).filter(|&row| table.populated(row) >= min_populated).collect();
        let tickets = vec![0; table.len()];
        let distinct = Distinct::of(table, &eligible, &tickets)?;
        let mut chosen: Vec<usize> =
            rows.iter().filter_map(|row| distinct.of_row.get(row).copied()).collect();
        chosen.sort_unstable();
        chosen.dedup();
        let demand = distinct.demand(0);
        let total: f64 = demand.iter().map(|(_, weight)| weight).sum();
        let mut shares: BTreeMap<u64, f64> = BTreeMap::new();
        for &(profile, weight) in &demand {
            let similar = chosen.iter().map(|&other| distinct.similarity(profile, other)).fold(0.0, f64::max);
            // Distances are sums of a few fractions: rounded, equal ones are equal.
            *shares.entry(((1.0 - similar) * 1e9).round() as u64).or_default() += weight / total.max(1.0);
        }
        let distances = shares.into_iter().map(|(distance, share)| (distance as f64 / 1e9, share)).collect();
        Ok(Self { distinct: distinct.rows.len(), covered: chosen.len(), sampled: demand.len(), distances })
    }

    /// Share of the distinct profiles that are covered, in `[0, 1]`.
    #[must_use]
    pub fn distinct_share(&self) -> f64 {
        self.covered as f64 / self.distinct.max(1) as f64
    }

    /// Share of the eligible users whose profile is at most this far from a covered one, in `[0, 1]`; at 0 those with the very
    /// profile of a covered user.
    #[must_use]
    pub fn within(&self, distance: f64) -> f64 {
        let near = self.distances.iter().filter(|(d, _)| *d <= distance + 1e-9);
        near.map(|(_, share)| share).sum::<f64>().clamp(0.0, 1.0)
    }
}

/// Distinct profiles, field by field in numbers.
struct Distinct {
    /// One code per field of each: 0 is missing.
    codes: Vec<Vec<u32>>,
    /// Greatest distance of two codes where they have an order, and 0 where not.
    spans: Vec<u32>,
    /// Users of each.
    weights: Vec<f64>,
    /// The user with the lowest ticket of each.
    rows: Vec<usize>,
    /// The profile of each row.
    of_row: HashMap<usize, usize>,
}

impl Distinct {
    fn of(table: &ProfileTable, rows: &[usize], tickets: &[u64]) -> Result<Self> {
        let fields = table.schema().fields();
        let mut quantiles: Vec<Option<Quantiles>> = Vec::with_capacity(fields.len());
        let mut spans = Vec::with_capacity(fields.len());
        for (index, field) in fields.iter().enumerate() {
            let mut ranks = None;
            let span = match field.kind() {
                FieldKind::Numeric(_) => {
                    let number = |&row: &usize| match table.value(row, index) {
                        Some(Value::Number(x)) => Some(x),
                        _ => None,
                    };
                    let numbers: Vec<f64> = rows.iter().filter_map(number).collect();
                    if !numbers.is_empty() {
                        ranks = Some(Quantiles::fit(numbers, BINS)?);
                    }
                    ranks.as_ref().map_or(0, |ranks| ranks.bins().saturating_sub(1))
                }
                FieldKind::Ordinal(domain) => domain.cardinality().saturating_sub(1),
                _ => 0,
            };
            spans.push(span as u32);
            quantiles.push(ranks);
        }
        let mut sets: HashMap<(usize, Vec<u32>), u32> = HashMap::new();
        let mut found: HashMap<Vec<u32>, usize> = HashMap::new();
        let mut distinct =
            Self { codes: Vec::new(), spans, weights: Vec::new(), rows: Vec::new(), of_row: HashMap::new() };
        for &row in rows {
            let codes: Vec<u32> = (0..fields.len())
                .map(|field| match table.value(row, field) {
                    None => 0,
                    Some(Value::Code(code)) => code + 1,
                    Some(Value::Flag(flag)) => 1 + u32::from(flag),
                    Some(Value::Number(x)) => {
                        1 + quantiles[field].as_ref().map_or(0, |ranks| ranks.bin(x) as u32)
                    }
                    Some(Value::Codes(codes)) => {
                        let next = sets.len() as u32 + 1;
                        *sets.entry((field, codes.to_vec())).or_insert(next)
                    }
                })
                .collect();
            let next = distinct.codes.len();
            let at = *found.entry(codes.clone()).or_insert(next);
            if at == next {
                distinct.codes.push(codes);
                distinct.weights.push(0.0);
                distinct.rows.push(row);
            }
            distinct.weights[at] += 1.0;
            if tickets[row] < tickets[distinct.rows[at]] {
                distinct.rows[at] = row;
            }
            distinct.of_row.insert(row, at);
        }
        Ok(distinct)
    }

    /// Profiles to be covered, with weights that sum to the number of users.
    fn demand(&self, seed: u64) -> Vec<(usize, f64)> {
        if self.codes.len() <= DEMAND {
            return self.weights.iter().copied().enumerate().collect();
        }
        let mut ends = Vec::with_capacity(self.weights.len());
        let mut total = 0.0;
        for weight in &self.weights {
            total += weight;
            ends.push(total);
        }
        let mut rng = numbered(seed, 1);
        let mut drawn: BTreeMap<usize, f64> = BTreeMap::new();
        for _ in 0..DEMAND {
            let at = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * total;
            let profile = ends.partition_point(|end| *end <= at).min(self.codes.len() - 1);
            *drawn.entry(profile).or_default() += total / DEMAND as f64;
        }
        drawn.into_iter().collect()
    }

    fn similarity(&self, a: usize, b: usize) -> f64 {
        let pairs = self.codes[a].iter().zip(&self.codes[b]).zip(&self.spans);
        let sum: f64 = pairs
            .map(|((&a, &b), &span)| match (a == b, a == 0 || b == 0 || span == 0) {
                (true, _) => 1.0,
                (false, true) => 0.0,
                (false, false) => 1.0 - f64::from(a.abs_diff(b)) / f64::from(span),
            })
            .sum();
        sum / self.spans.len().max(1) as f64
    }

    /// The first `count` profiles of the greedy choice.
    fn choose(&self, demand: &[(usize, f64)], count: usize) -> Vec<usize> {
        let mut best = vec![0.0; demand.len()];
        let gain = |profile: usize, best: &[f64]| -> f64 {
            let gains = demand
                .iter()
                .zip(best)
                .map(|((other, weight), best)| weight * (self.similarity(profile, *other) - best).max(0.0));
            gains.sum()
        };
        let mut heap: BinaryHeap<Candidate> = (0..self.codes.len())
            .map(|profile| Candidate {
                gain: gain(profile, &best),
                weight: self.weights[profile],
                profile,
                chosen: 0,
            })
            .collect();
        let mut chosen = Vec::with_capacity(count.min(self.codes.len()));
        while chosen.len() < count
            && let Some(mut top) = heap.pop()
        {
            // Gains only shrink: one that was taken since the last choice and is still on top is the greatest.
            if top.chosen < chosen.len() {
                top.gain = gain(top.profile, &best);
                top.chosen = chosen.len();
                heap.push(top);
                continue;
            }
            for ((other, _), best) in demand.iter().zip(&mut best) {
                *best = self.similarity(top.profile, *other).max(*best);
            }
            chosen.push(top.profile);
        }
        chosen
    }
}

/// A profile that may be chosen.
#[derive(Debug, PartialEq)]
struct Candidate {
    gain: f64,
    weight: f64,
    profile: usize,
    /// Profiles that were chosen when the gain was taken.
    chosen: usize,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    /// By gain, then by users, then the earlier first.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_gain = self.gain.total_cmp(&other.gain).then(self.weight.total_cmp(&other.weight));
        by_gain.then(other.profile.cmp(&self.profile))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
