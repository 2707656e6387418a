//! Quantile bins.

use scaletot_core::config::{ConfigError, check};
use scaletot_core::text::printable;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Bins that hold about equally many of the values they were fitted on.
///
/// Cuts are observed values: the `i`-th of `n` sorted values for `i = ⌈j n / bins⌉`, `j = 1 … bins − 1` (the inverse
/// of the empirical distribution function). Bins are closed above: bin `j` is `(cut_{j−1}, cut_j]`, so that a mass of
/// equal smallest values, such as zeros, has a bin of its own. Cuts that coincide are merged, and one at the greatest
/// value is dropped: there may be fewer bins than asked for, and every bin holds at least one fitted value.
///
/// ```
/// use scaletot_profile::Quantiles;
///
/// let spend = [0.0, 0.0, 0.0, 0.0, 3.0, 5.0, 8.0, 13.0];
/// let quantiles = Quantiles::fit(spend, 4)?;
/// assert_eq!(quantiles.cuts(), &[0.0, 5.0]);
/// assert_eq!(quantiles.bins(), 3);
/// assert_eq!([0.0, 1.0, 5.0, 6.0, 99.0].map(|x| quantiles.bin(x)), [0, 1, 1, 2, 2]);
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Quantiles {
    cuts: Vec<f64>,
    min: f64,
    max: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    cuts: Vec<f64>,
    min: f64,
    max: f64,
}

impl TryFrom<Unchecked> for Quantiles {
    type Error = Error;

    fn try_from(Unchecked { cuts, min, max }: Unchecked) -> Result<Self> {
        Self::from_cuts(cuts, min, max)
    }
}

impl Quantiles {
    /// Fits at most `bins` bins to the finite ones among `values`.
    ///
    /// # Errors
    /// [`Error::Config`] if `bins` is 0 or no value is finite.
    pub fn fit(values: impl IntoIterator<Item = f64>, bins: usize) -> Result<Self> {
        check(bins > 0, "bins", "at least 1", bins)?;
        // Adding zero makes -0.0 the same as 0.0.
        let mut sorted: Vec<f64> = values.into_iter().filter(|x| x.is_finite()).map(|x| x + 0.0).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            let expected = "at least one finite number to fit quantiles on";
            return Err(ConfigError::new("values", expected, "none").into());
        };
        // More bins than values would only repeat cuts.
        let bins = bins.min(sorted.len());
        let at = |j: usize| sorted[((j as u128 * sorted.len() as u128).div_ceil(bins as u128)) as usize - 1];
        let mut cuts: Vec<f64> = (1..bins).map(at).filter(|&cut| cut < max).collect();
        cuts.dedup();
        Ok(Self { cuts, min, max })
    }

    /// Bins between given cuts, of values from `min` to `max`.
    pub(crate) fn from_cuts(cuts: Vec<f64>, min: f64, max: f64) -> Result<Self> {
        let ends = [min, max];
        let finite = cuts.iter().chain(&ends).all(|x| x.is_finite());
        let ordered = cuts.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = min <= max && cuts.iter().all(|&cut| min <= cut && cut < max);
        if finite && ordered && inside {
            return Ok(Self { cuts, min, max });
        }
        Err(ConfigError::new(
            "cuts",
            "finite, increasing cuts from the minimum on and under the maximum",
            format!("{} in {min} ..= {max}", printable(&format!("{cuts:?}"), 200)),
        )
        .into())
    }

    /// The inner cuts, increasing; one fewer than there are bins.
    #[must_use]
    pub fn cuts(&self) -> &[f64] {
        &self.cuts
    }

    /// How many bins there are, at least 1.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.cuts.len() + 1
    }

    /// The bin of `x`, from 0: the number of cuts under it. Values outside of the fitted range fall in the first or
    /// the last bin; NaN falls in the first.
    #[must_use]
    pub fn bin(&self, x: f64) -> usize {
        self.cuts.partition_point(|&cut| cut < x)
    }

    /// The least value it was fitted on.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.min
    }

    /// The greatest value it was fitted on.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.max
    }
}
