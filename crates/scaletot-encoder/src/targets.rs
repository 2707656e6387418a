//! What the encoder is to learn from the student.

use ndarray::{Array1, Array2, Array3, Axis};
use scaletot_chain::ChainSchema;

use crate::error::{Error, Result};

/// How far a posterior's sum may be from 1.
const SUM_TOLERANCE: f32 = 1e-3;

/// The student's signals for some users, one row per user.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// The posterior of every state, `K × [n, |V_k|]`; each row sums to 1.
    pub posteriors: Vec<Array2<f32>>,
    /// The student's representations, `[n, K, d]`.
    pub representations: Array3<f32>,
}

impl Targets {
    /// Number of users.
    #[must_use]
    pub fn len(&self) -> usize {
        self.representations.len_of(Axis(0))
    }

    /// Whether there is no user.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The targets of the named rows, in the named order.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is no such row.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.len()) {
            return Err(Error::shape("row of the targets", format!("less than {}", self.len()), row));
        }
        Ok(Self {
            posteriors: self.posteriors.iter().map(|p| p.select(Axis(0), rows)).collect(),
            representations: self.representations.select(Axis(0), rows),
        })
    }

    /// Checks the targets against the chain schema and the number of users they are for.
    ///
    /// # Errors
    /// [`Error::Shape`] for a wrong size, [`Error::Value`] for a posterior that is not a distribution or a
    /// representation that is not finite; both name the state.
    pub fn validate(&self, chain: &ChainSchema, users: usize) -> Result<()> {
        let k = chain.len();
        if self.posteriors.len() != k {
            return Err(Error::shape(
                "posteriors of the targets",
                format!("{k} states"),
                self.posteriors.len(),
            ));
        }
        let [n, states, dim] = self.representations.shape() else {
            return Err(Error::shape(
                "representations of the targets",
                "3 axes",
                self.representations.ndim(),
            ));
        };
        if *n != users || *states != k || *dim == 0 {
            let (expected, found) = (format!("[{users}, {k}, d > 0]"), format!("[{n}, {states}, {dim}]"));
            return Err(Error::shape("representations of the targets", expected, found));
        }
        for (state, posterior) in chain.states().iter().zip(&self.posteriors) {
            let what = || format!("target posterior of state `{}`", state.name());
            let domain = state.values().len();
            if posterior.dim() != (users, domain) {
                let (rows, columns) = posterior.dim();
                return Err(Error::shape(
                    what(),
                    format!("[{users}, {domain}]"),
                    format!("[{rows}, {columns}]"),
                ));
            }
            for (row, distribution) in posterior.outer_iter().enumerate() {
                // Written so that NaN is refused too.
                let proper = distribution.iter().all(|p| (0.0..=1.0 + SUM_TOLERANCE).contains(p))
                    && (distribution.sum() - 1.0).abs() <= SUM_TOLERANCE;
                if !proper {
                    let expected = "probabilities that sum to 1".into();
                    return Err(Error::Value {
                        what: what(),
                        row,
                        expected,
                        found: distribution.to_string(),
                    });
                }
            }
        }
        let broken = self.representations.indexed_iter().find(|(_, v)| !v.is_finite());
        if let Some(((row, state, _), found)) = broken {
            return Err(Error::Value {
                what: format!("target representation of state `{}`", chain.states()[state].name()),
                row,
                expected: "finite numbers".into(),
                found: found.to_string(),
            });
        }
        Ok(())
    }

    /// Mean representation over the users, `[K·d]`.
    #[cfg(any(test, feature = "train"))]
    pub(crate) fn centre(&self) -> Array1<f32> {
        let mean = self.representations.mean_axis(Axis(0)).unwrap_or_default();
        Array1::from_iter(mean.iter().copied())
    }

    /// Representations as `[n, K·d]` with a centre taken away.
    pub(crate) fn centred(&self, centre: &Array1<f32>) -> Array2<f32> {
        let mut flat = Array2::zeros((self.len(), centre.len()));
        for (mut row, user) in flat.outer_iter_mut().zip(self.representations.outer_iter()) {
            row.iter_mut().zip(user.iter().zip(centre)).for_each(|(t, (v, c))| *t = v - c);
        }
        flat
    }
}
