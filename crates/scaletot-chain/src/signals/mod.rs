//! What a student or an encoder infers of users: marginals per state, and representations.
//!
//! Signals are the joint between the models that make them and whatever reads them (distillation, value models, a user's own
//! ranker), which need not know which model it was, nor its tensor library: so they are plain row-major vectors.

#[cfg(feature = "arrow")]
mod arrow;
mod check;

use crate::ChainSchema;
use crate::error::{Error, Result};

/// Marginals per state and representations of `n` users, row-major.
///
/// Entry `i` (from 0 to `n - 1`) is of the user in row [`rows()[i]`](Self::rows) of a profile table; what is not in `rows` has no
/// signals. For every entry there is, for each state `k`, a distribution over its `|V_k|` values (each number finite and at least 0,
/// their sum 1 within [`SUM_TOLERANCE`](Self::SUM_TOLERANCE)), and one representation (finite numbers) of shape `[K, d]` from a student (a vector for each
/// state) or `[1, r]` from an encoder. Both may be absent: no states, or the shape `[0, 0]`.
///
/// ```
/// use scaletot_chain::Signals;
///
/// // Two users, in rows 4 and 2 of their table; states of 2 and 3 values; one representation of length 2 each.
/// let signals = Signals::new(
///     vec![4, 2],
///     vec![2, 3],
///     vec![0.9, 0.1, 0.0, 0.5, 0.5, 0.25, 0.75, 1.0, 0.0, 0.0],
///     [1, 2],
///     vec![1.5, -1.0, 0.5, 2.0],
/// )?;
/// let user = signals.index_of(2).unwrap();
/// assert_eq!(signals.marginal(user, 0), [0.25, 0.75]);
/// assert_eq!(signals.argmax(user, 1), 0);
/// assert_eq!(signals.expected_level(0, 1), 0.75); // half way between the second and the third of three levels
/// assert_eq!(signals.representation(user), [0.5, 2.0]);
/// assert_eq!(signals.index_of(3), None);
/// # Ok::<(), scaletot_chain::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Signals {
    rows: Vec<usize>,
    /// Entries in the order of their rows; none if `rows` ascend already, as they mostly do.
    order: Option<Vec<usize>>,
    domain_sizes: Vec<usize>,
    /// Where each state's values begin within a user's marginals, and where the last ones end, `[K + 1]`.
    offsets: Vec<usize>,
    marginals: Vec<f32>,
    representation_shape: [usize; 2],
    representations: Vec<f32>,
}

impl Signals {
    /// How far the sum of a marginal may be from 1: `f32` softmaxes over large domains round.
    pub const SUM_TOLERANCE: f64 = check::SUM_TOLERANCE;

    /// Checks the signals of the users in `rows` of a table: any order, each row once.
    ///
    /// `domain_sizes` are the `|V_k|` of the chain schema ([`ChainSchema::domain_sizes`]), `marginals` is `[n, Σ|V_k|]`,
    /// `representations` is `[n, K, d]` or `[n, 1, r]`, both row-major.
    ///
    /// # Errors
    /// [`Error::DuplicateRow`] for a row named twice; [`Error::WrongLength`] for a vector of the wrong length;
    /// [`Error::BadNumber`] for an empty domain, a number that is not finite, a negative marginal or one whose sum is not 1, with
    /// the row and the state.
    pub fn new(
        rows: Vec<usize>,
        domain_sizes: Vec<usize>,
        marginals: Vec<f32>,
        representation_shape: [usize; 2],
        representations: Vec<f32>,
    ) -> Result<Self> {
        let offsets = check::offsets(&domain_sizes)?;
        let order = check::order(&rows)?;
        let width = offsets.last().copied().unwrap_or(0);
        check::length("marginals of the signals", &[rows.len(), width], marginals.len())?;
        let [vectors, dim] = representation_shape;
        check::length("representations of the signals", &[rows.len(), vectors, dim], representations.len())?;
        check::marginals(&rows, &offsets, &marginals)?;
        check::representations(&rows, vectors.saturating_mul(dim), &representations)?;
        Ok(Self { rows, order, domain_sizes, offsets, marginals, representation_shape, representations })
    }

    /// Rows of the profile table that the entries are of, in the entries' order.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Number of users `n`.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of values of each state, `[K]`; empty if there are no marginals.
    pub fn domain_sizes(&self) -> &[usize] {
        &self.domain_sizes
    }

    /// Numbers per user in the marginals, `Σ|V_k|`.
    pub fn marginal_width(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// Marginal of state `k` for entry `i`, `[|V_k|]`.
    ///
    /// # Panics
    /// If there is no such entry or state, as indexing a slice does.
    pub fn marginal(&self, i: usize, k: usize) -> &[f32] {
        &self.marginals(i)[self.offsets[k]..self.offsets[k + 1]]
    }

    /// Marginals of all states for entry `i`, one state after the other, `[Σ|V_k|]`.
    ///
    /// # Panics
    /// If there is no such entry, as indexing a slice does.
    pub fn marginals(&self, i: usize) -> &[f32] {
        entry(&self.marginals, i, self.marginal_width(), self.len())
    }

    /// All marginals, row-major, `[n, Σ|V_k|]`.
    pub fn marginal_values(&self) -> &[f32] {
        &self.marginals
    }

    /// Representation of entry `i`, row-major of shape [`representation_shape`](Self::representation_shape).
    ///
    /// # Panics
    /// If there is no such entry, as indexing a slice does.
    pub fn representation(&self, i: usize) -> &[f32] {
        entry(&self.representations, i, self.representation_width(), self.len())
    }

    /// Shape of one user's representation: `[K, d]` from a student, `[1, r]` from an encoder, `[0, 0]` where there is none.
    pub fn representation_shape(&self) -> [usize; 2] {
        self.representation_shape
    }

    /// Numbers per user in the representations: the product of [`representation_shape`](Self::representation_shape).
    pub fn representation_width(&self) -> usize {
        self.representation_shape.iter().product()
    }

    /// All representations, row-major, `[n, K, d]` or `[n, 1, r]`.
    pub fn representation_values(&self) -> &[f32] {
        &self.representations
    }

    /// The entry of the user in `row` of the table; `None` for a user without signals.
    pub fn index_of(&self, row: usize) -> Option<usize> {
        match &self.order {
            // Signals of a whole table are their own index.
            None if self.rows.get(row) == Some(&row) => Some(row),
            None => self.rows.binary_search(&row).ok(),
            Some(order) => order.binary_search_by_key(&row, |&i| self.rows[i]).ok().map(|at| order[at]),
        }
    }

    /// The signals of some rows of the table, in that order.
    ///
    /// # Errors
    /// [`Error::NoSignals`] for a row without signals, [`Error::DuplicateRow`] for one that is named twice.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        let order = check::order(rows)?;
        let mut marginals = Vec::with_capacity(rows.len() * self.marginal_width());
        let mut representations = Vec::with_capacity(rows.len() * self.representation_width());
        for &row in rows {
            let i = self.index_of(row).ok_or(Error::NoSignals { row })?;
            marginals.extend_from_slice(self.marginals(i));
            representations.extend_from_slice(self.representation(i));
        }
        Ok(Self {
            rows: rows.to_vec(),
            order,
            domain_sizes: self.domain_sizes.clone(),
            offsets: self.offsets.clone(),
            marginals,
            representation_shape: self.representation_shape,
            representations,
        })
    }

    /// The same entries, of other rows: such as the rows that their users have in a selection from the table.
    ///
    /// ```
    /// # use scaletot_chain::Signals;
    /// let signals = Signals::new(vec![2, 4, 7], vec![2], vec![0.9, 0.1, 0.5, 0.5, 0.2, 0.8], [0, 0], vec![])?;
    /// // Of a table of the users in rows 4 and 7.
    /// let selected = signals.select(&[4, 7])?.with_rows(vec![0, 1])?;
    /// assert_eq!(selected.marginal(1, 0), [0.2, 0.8]);
    /// # Ok::<(), scaletot_chain::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::WrongLength`] unless there is one row per entry, [`Error::DuplicateRow`] for one that is named twice.
    pub fn with_rows(self, rows: Vec<usize>) -> Result<Self> {
        check::length("rows of the signals", &[self.rows.len()], rows.len())?;
        let order = check::order(&rows)?;
        Ok(Self { rows, order, ..self })
    }

    /// The signals of `self` followed by those of `other`, of further rows of the same table.
    ///
    /// # Errors
    /// [`Error::WrongLength`] or [`Error::BadNumber`] if the domains or the representations' shapes differ,
    /// [`Error::DuplicateRow`] for a row that both have.
    pub fn concat(mut self, other: &Self) -> Result<Self> {
        check::same("states of the signals", &self.domain_sizes, &other.domain_sizes)?;
        check::same(
            "representation shape of the signals",
            &self.representation_shape,
            &other.representation_shape,
        )?;
        self.rows.extend_from_slice(&other.rows);
        self.order = check::order(&self.rows)?;
        self.marginals.extend_from_slice(&other.marginals);
        self.representations.extend_from_slice(&other.representations);
        Ok(self)
    }

    /// Expected level of state `k` for entry `i`, from 0 (certainly its lowest value) to 1 (certainly its highest):
    /// `Σ_v v p_v / (|V_k| - 1)` over the value codes `v`. Of use for an ordinal state; 0 for a state of one value.
    ///
    /// # Panics
    /// If there is no such entry or state, as indexing a slice does.
    pub fn expected_level(&self, i: usize, k: usize) -> f64 {
        let marginal = self.marginal(i, k);
        let top = (marginal.len().max(2) - 1) as f64;
        marginal.iter().enumerate().map(|(v, &p)| v as f64 * f64::from(p)).sum::<f64>() / top
    }

    /// Code of the most probable value of state `k` for entry `i`, the lowest code of equally probable ones.
    ///
    /// # Panics
    /// If there is no such entry or state, as indexing a slice does.
    pub fn argmax(&self, i: usize, k: usize) -> u16 {
        let marginal = self.marginal(i, k);
        let best = (1..marginal.len()).fold(0, |best, v| if marginal[v] > marginal[best] { v } else { best });
        // Domains hold at most 65,536 values; codes beyond cannot come from a chain schema.
        u16::try_from(best).unwrap_or(u16::MAX)
    }

    /// Checks that the marginals are of the states of `schema`.
    ///
    /// # Errors
    /// [`Error::WrongLength`] for another number of states or values.
    pub fn check(&self, schema: &ChainSchema) -> Result<()> {
        check::length("states of the signals", &[schema.len()], self.domain_sizes.len())?;
        for (state, &size) in schema.states().iter().zip(&self.domain_sizes) {
            let (expected, found) = (state.values().len(), size);
            if expected != found {
                let what = format!("marginals of state `{}`", state.name());
                return Err(Error::WrongLength { what, expected, found });
            }
        }
        Ok(())
    }
}

/// Entry `i` of `n` of a row-major matrix of that width; panics if there is none, also where the width is 0.
fn entry(values: &[f32], i: usize, width: usize, n: usize) -> &[f32] {
    assert!(i < n, "entry {i} of the signals of {n} users");
    &values[i * width..(i + 1) * width]
}

#[cfg(test)]
mod tests;
