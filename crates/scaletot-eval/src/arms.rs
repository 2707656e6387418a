//! Several models' scores of the same users, sorted once, so that every metric of a resample is a pass over counts.
//!
//! A resample is how often each user was drawn. Users who tie do so in every resample, and their order is that of the
//! whole sample: with outcomes and scores sorted once, mid-ranks, gains and deciles of a resample follow from running
//! sums of counts, in time linear in the number of users.

use crate::gain::descending;
use crate::metric::Metric;
use crate::rank::tied_groups;
use crate::{Error, Result, check};

/// The outcomes of users and the scores that several models (arms) give them, for
/// [`Bootstrap::measure`](crate::Bootstrap::measure). Arms are numbered from 0 in the order in which they are added.
#[derive(Debug, Clone)]
pub struct Arms {
    outcomes: Vec<f64>,
    /// Distinct outcomes, ascending, divided by `scale`.
    levels: Vec<f64>,
    /// Index of every user's outcome among the distinct ones.
    level_of: Vec<usize>,
    /// The largest outcome, so that sums of huge amounts do not overflow.
    scale: f64,
    arms: Vec<Arm>,
}

#[derive(Debug, Clone)]
struct Arm {
    scores: Vec<f64>,
    /// Users from the highest score down, each with the index of their outcome.
    order: Vec<(usize, usize)>,
    /// Ends of the groups of equal scores in `order`.
    ends: Vec<usize>,
}

/// Measures arms on resamples of their users, made by [`Arms::resampler`]. Each thread takes its own.
///
/// ```
/// use scaletot_eval::{Arms, Metric};
///
/// let arms = Arms::new(&[0.0, 1.0, 5.0, 9.0])?.with_scores(&[0.1, 0.3, 0.2, 0.9])?;
/// // The first user twice, the third not at all.
/// let values = arms.resampler().measure(&[2, 1, 0, 1], &[0], &[Metric::Spearman])?;
/// assert_eq!(values, [1.0]);
/// # Ok::<(), scaletot_eval::Error>(())
/// ```
#[derive(Debug)]
pub struct Resampler<'a> {
    arms: &'a Arms,
    scratch: Scratch,
}

impl Resampler<'_> {
    /// Metrics of some arms on the users drawn `counts` times each, `[arms, metrics]`, in time linear in users and arms. NaN where a
    /// metric is undefined on the resample. A user who is drawn twice counts as two who tie.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] for another number of counts than users, [`Error::NegativeOutcome`] for a metric of value,
    /// [`Error::NotMeasured`] for an arm that is not there.
    pub fn measure(&mut self, counts: &[u32], arms: &[usize], metrics: &[Metric]) -> Result<Vec<f64>> {
        let all = self.arms;
        check::lengths("counts", all.users(), counts.len())?;
        if metrics.iter().any(|metric| !matches!(metric, Metric::Spearman | Metric::AucOfPositive)) {
            all.not_negative()?;
        }
        let drawn = all.drawn(&mut self.scratch, counts);
        let width = metrics.len();
        let mut values = vec![f64::NAN; arms.len() * width];
        for (&arm, values) in arms.iter().zip(values.chunks_exact_mut(width.max(1))) {
            let metric = metrics.first().map_or("none", |metric| metric.name());
            let missing = Error::NotMeasured { arm, arms: all.len(), metric };
            all.arms.get(arm).ok_or(missing)?.measure(&drawn, counts, metrics, values);
        }
        Ok(values)
    }
}

/// What a thread needs for its resamples: one entry per distinct outcome.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    drawn: Vec<f64>,
    levels: Vec<Level>,
}

/// A distinct outcome in a resample.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// Mid-rank of the users who have it, minus the mean rank.
    rank: f64,
    /// The outcome divided by the largest.
    value: f64,
    /// 1 for an outcome above 0, else 0.
    positive: f64,
}

/// The outcomes of a resample.
#[derive(Debug)]
struct Drawn<'a> {
    levels: &'a [Level],
    /// Factor from values to outcomes.
    scale: f64,
    users: f64,
    total: f64,
    positives: f64,
    /// `Σ (rank of y)²`.
    rank_squares: f64,
    /// Area between the gains curve of the perfect order and the diagonal, up to the factor that Gini divides by.
    area: f64,
    constant: bool,
}

/// Sums over the users of a resample in the order of an arm's scores.
#[derive(Debug, Default)]
struct Sums {
    /// `Σ rank of s · rank of y`.
    rank_products: f64,
    /// `Σ (rank of s)²`.
    rank_squares: f64,
    /// As [`Drawn::area`], in the order of the scores.
    area: f64,
    /// `Σ rank of s` over the users with an outcome above 0; ranks from 1.
    positive_ranks: f64,
    /// Value of the top tenth.
    top: f64,
}

/// The share of users that the top-decile metrics are about.
const TOP: f64 = 0.1;
const DECILES: usize = 10;

impl Arms {
    /// Takes the outcomes, one per user.
    ///
    /// # Errors
    /// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite).
    pub fn new(outcomes: &[f64]) -> Result<Self> {
        check::pair("bootstrap", outcomes, outcomes)?;
        let largest = outcomes.iter().copied().fold(0.0, |largest: f64, y| largest.max(y.abs()));
        let scale = if largest > 0.0 { largest } else { 1.0 };
        let groups = tied_groups(outcomes);
        let mut level_of = vec![0; outcomes.len()];
        let mut levels = Vec::with_capacity(groups.len());
        for (level, (_, rows)) in groups.iter().enumerate() {
            rows.iter().for_each(|&row| level_of[row] = level);
            levels.extend(rows.first().map(|&row| outcomes[row] / scale));
        }
        Ok(Self { outcomes: outcomes.to_vec(), levels, level_of, scale, arms: Vec::new() })
    }

    /// Adds an arm: its score of every user.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`](crate::Error::LengthMismatch), [`Error::NotFinite`](crate::Error::NotFinite).
    pub fn with_scores(mut self, scores: &[f64]) -> Result<Self> {
        check::pair("bootstrap", &self.outcomes, scores)?;
        let (mut order, mut ends) = (Vec::with_capacity(scores.len()), Vec::new());
        for (_, rows) in descending(scores) {
            order.extend(rows.into_iter().map(|row| (row, self.level_of[row])));
            ends.push(order.len());
        }
        self.arms.push(Arm { scores: scores.to_vec(), order, ends });
        Ok(self)
    }

    /// Number of users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.outcomes.len()
    }

    /// The outcomes.
    pub(crate) fn outcomes(&self) -> &[f64] {
        &self.outcomes
    }

    /// Number of arms.
    #[must_use]
    pub fn len(&self) -> usize {
        self.arms.len()
    }

    /// Whether there is no arm.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arms.is_empty()
    }

    /// Measures the arms on resamples that the caller draws: other bootstraps than [`Bootstrap`](crate::Bootstrap)'s.
    #[must_use]
    pub fn resampler(&self) -> Resampler<'_> {
        Resampler { arms: self, scratch: Scratch::default() }
    }

    /// A metric of an arm on the users as they are.
    pub(crate) fn compute(&self, arm: usize, metric: Metric) -> Result<f64> {
        let scores = self.arms.get(arm).map_or(&[][..], |arm| &arm.scores);
        metric.compute(&self.outcomes, scores)
    }

    /// Metrics of every arm on a resample, `[arms, metrics]`; NaN where a metric is undefined. The metrics of value
    /// take for granted that no outcome is below 0, which their computation on all users has checked.
    pub(crate) fn resample(
        &self,
        scratch: &mut Scratch,
        counts: &[u32],
        metrics: &[Metric],
        values: &mut [f64],
    ) {
        let drawn = self.drawn(scratch, counts);
        for (arm, values) in self.arms.iter().zip(values.chunks_exact_mut(metrics.len().max(1))) {
            arm.measure(&drawn, counts, metrics, values);
        }
    }

    fn not_negative(&self) -> Result<()> {
        // The levels ascend.
        match self.levels.first() {
            Some(&least) if least < 0.0 => {
                let row = self.level_of.iter().position(|&level| level == 0).unwrap_or(0);
                Err(Error::NegativeOutcome { row, value: self.outcomes[row] })
            }
            _ => Ok(()),
        }
    }

    fn drawn<'a>(&self, scratch: &'a mut Scratch, counts: &[u32]) -> Drawn<'a> {
        let Scratch { drawn, levels } = scratch;
        drawn.clear();
        drawn.resize(self.levels.len(), 0.0);
        self.level_of.iter().zip(counts).for_each(|(&level, &count)| drawn[level] += f64::from(count));
        let users: f64 = drawn.iter().sum();
        let middle = (users + 1.0) / 2.0;
        let (mut total, mut positives, mut rank_squares, mut area) = (0.0, 0.0, 0.0, 0.0);
        let mut before = 0.0;
        levels.clear();
        for (&value, &count) in self.levels.iter().zip(&*drawn) {
            let rank = before + (count + 1.0) / 2.0 - middle;
            before += count;
            let positive = f64::from(u8::from(value > 0.0));
            levels.push(Level { rank, value, positive });
            total += count * value;
            positives += count * positive;
            rank_squares += count * rank * rank;
            area += count * value * rank;
        }
        let constant = drawn.contains(&users);
        Drawn { levels, scale: self.scale, users, total, positives, rank_squares, area, constant }
    }
}

impl Arm {
    /// The groups of equal scores that were drawn, from the highest down.
    fn groups(&self) -> impl Iterator<Item = &[(usize, usize)]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.order[start..end])
    }

    fn measure(&self, drawn: &Drawn<'_>, counts: &[u32], metrics: &[Metric], values: &mut [f64]) {
        let sums = self.sums(drawn, counts);
        for (value, metric) in values.iter_mut().zip(metrics) {
            *value = match metric {
                Metric::Spearman => drawn.spearman(&sums),
                Metric::NormalisedGini => drawn.normalised_gini(&sums),
                Metric::AucOfPositive => drawn.auc(&sums),
                Metric::TopDecileShare => drawn.top_share(&sums),
                Metric::TopDecileLift => drawn.top_share(&sums) / TOP,
                Metric::CalibrationError => self.calibration_error(drawn, counts),
            };
        }
    }

    fn sums(&self, drawn: &Drawn<'_>, counts: &[u32]) -> Sums {
        let middle = (drawn.users + 1.0) / 2.0;
        let cut = TOP * drawn.users;
        let (mut sums, mut above) = (Sums::default(), 0.0);
        for group in self.groups() {
            let (mut size, mut ranks, mut value, mut positives) = (0.0, 0.0, 0.0, 0.0);
            for &(user, level) in group {
                let (count, level) = (f64::from(counts[user]), &drawn.levels[level]);
                size += count;
                ranks += count * level.rank;
                value += count * level.value;
                positives += count * level.positive;
            }
            if size == 0.0 {
                continue;
            }
            let rank = drawn.users - above - (size - 1.0) / 2.0;
            let centred = rank - middle;
            sums.rank_products += centred * ranks;
            sums.rank_squares += centred * centred * size;
            sums.area += centred * value;
            sums.positive_ranks += rank * positives;
            if above < cut {
                sums.top += (cut - above).min(size) / size * value;
            }
            above += size;
        }
        sums
    }

    /// [`calibration_error`](crate::calibration_error) on a resample.
    fn calibration_error(&self, drawn: &Drawn<'_>, counts: &[u32]) -> f64 {
        if drawn.total == 0.0 {
            return f64::NAN;
        }
        let n = drawn.users as usize;
        let mut error = [0.0; DECILES];
        let mut start = 0_usize;
        for group in self.groups() {
            let (mut size, mut value) = (0_usize, 0.0);
            for &(user, level) in group {
                size += counts[user] as usize;
                value += f64::from(counts[user]) * drawn.levels[level].value;
            }
            if size == 0 {
                continue;
            }
            let score = group.first().map_or(0.0, |&(user, _)| self.scores[user]);
            let too_much = score - value / size as f64 * drawn.scale;
            // Borders in units of a tenth of a user, as in the table of deciles.
            let (from, to) = (start * DECILES, (start + size) * DECILES);
            let touched = error.iter_mut().enumerate().take(to.div_ceil(n)).skip(from / n);
            for (decile, error) in touched {
                let units = to.min((decile + 1) * n).saturating_sub(from.max(decile * n));
                *error += units as f64 / n as f64 * too_much;
            }
            start += size;
        }
        let mean_outcome = drawn.total / drawn.users * drawn.scale;
        error.iter().map(|error| error.abs()).sum::<f64>() / DECILES as f64 / mean_outcome
    }
}

/// The metrics from their sums; formulas at the functions of the same names in this crate.
impl Drawn<'_> {
    fn spearman(&self, sums: &Sums) -> f64 {
        match (self.constant, sums.rank_squares == 0.0) {
            (true, _) => f64::NAN,
            (false, true) => 0.0,
            (false, false) => {
                let both = self.rank_squares.sqrt() * sums.rank_squares.sqrt();
                (sums.rank_products / both).clamp(-1.0, 1.0)
            }
        }
    }

    fn normalised_gini(&self, sums: &Sums) -> f64 {
        let undefined = self.constant || self.total == 0.0;
        if undefined { f64::NAN } else { (sums.area / self.area).clamp(-1.0, 1.0) }
    }

    fn auc(&self, sums: &Sums) -> f64 {
        let (p, n) = (self.positives, self.users - self.positives);
        if p == 0.0 || n == 0.0 { f64::NAN } else { (sums.positive_ranks - p * (p + 1.0) / 2.0) / (p * n) }
    }

    fn top_share(&self, sums: &Sums) -> f64 {
        if self.total == 0.0 { f64::NAN } else { (sums.top / self.total).clamp(0.0, 1.0) }
    }
}
