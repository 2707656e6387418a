//! Symmetric systems of equations, of a few hundred unknowns.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use crate::{Error, Result};

/// A symmetric matrix that is filled by sums.
#[derive(Debug, Clone)]
pub(crate) struct Symmetric {
    size: usize,
    entries: Vec<f64>,
}

/// The Cholesky factor of one.
#[derive(Debug, Clone)]
pub(crate) struct Factor(Cholesky<f64, Dyn>);

impl Symmetric {
    pub(crate) fn zero(size: usize) -> Self {
        Self { size, entries: vec![0.0; size * size] }
    }

    pub(crate) fn add(&mut self, row: usize, column: usize, value: f64) {
        self.entries[row * self.size + column] += value;
    }

    /// Adds `scale · v vᵀ`.
    pub(crate) fn add_outer(&mut self, scale: f64, v: &[f64]) {
        for (row, factor) in self.entries.chunks_exact_mut(self.size.max(1)).zip(v) {
            let factor = factor * scale;
            if factor != 0.0 {
                row.iter_mut().zip(v).for_each(|(entry, v)| *entry += factor * v);
            }
        }
    }

    /// Subtracts another of its size.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.entries.iter_mut().zip(&other.entries).for_each(|(entry, other)| *entry -= other);
    }

    /// Its first rows and columns.
    pub(crate) fn leading(&self, size: usize) -> Self {
        let rows = self.entries.chunks_exact(self.size.max(1)).take(size);
        Self { size, entries: rows.flat_map(|row| row[..size].iter().copied()).collect() }
    }

    /// `vᵀ this v`.
    pub(crate) fn form(&self, v: &[f64]) -> f64 {
        let rows = self.entries.chunks_exact(self.size.max(1)).zip(v);
        rows.map(|(row, factor)| factor * row.iter().zip(v).map(|(entry, v)| entry * v).sum::<f64>()).sum()
    }

    /// The factor of `scale · this + ridge · 1`, `ridge` above 0. What rounding has made indefinite gets a larger ridge.
    pub(crate) fn factor(&self, scale: f64, ridge: f64) -> Result<Factor> {
        let mut extra = 0.0_f64;
        let largest = (0..self.size).map(|at| self.entries[at * self.size + at]).fold(ridge, f64::max);
        loop {
            let mut matrix = DMatrix::from_row_slice(self.size, self.size, &self.entries) * scale;
            (0..self.size).for_each(|at| matrix[(at, at)] += ridge + extra);
            if let Some(factor) = matrix.cholesky() {
                return Ok(Factor(factor));
            }
            extra = if extra == 0.0 { 1e-12 * largest * scale.max(1.0) } else { 10.0 * extra };
            if !extra.is_finite() || extra == 0.0 {
                let (what, expected) = ("curvature of a fit", "finite numbers");
                return Err(Error::InvalidValue { what, row: 0, expected, found: extra });
            }
        }
    }
}

impl Factor {
    pub(crate) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let mut solution = DVector::from_column_slice(right);
        self.0.solve_mut(&mut solution);
        solution.as_slice().to_vec()
    }
}

/// Most conjugate-gradient steps by which a user is left out; some three are enough unless the user is all that is known of a value.
const LEAVE_OUT_STEPS: usize = 8;

/// `(H − H_u)⁻¹ right`, from `H⁻¹` and the product with `H_u`, by conjugate gradients preconditioned by `H`.
pub(crate) fn leave_out(
    factor: &Factor,
    right: Vec<f64>,
    curvature: impl Fn(&[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut found = vec![0.0; right.len()];
    let mut rest = right;
    let enough = 1e-12 * dot(&rest, &rest);
    let mut solved = factor.solve(&rest);
    let mut product = dot(&rest, &solved);
    // A direction, and `H` times it, which needs no multiplication: `H · solved = rest`.
    let (mut direction, mut of_all) = (solved.clone(), rest.clone());
    for _ in 0..LEAVE_OUT_STEPS {
        let own = curvature(&direction);
        let of_others: Vec<f64> = of_all.iter().zip(own).map(|(all, own)| all - own).collect();
        let bend = dot(&direction, &of_others);
        if bend <= 0.0 || dot(&rest, &rest) <= enough {
            break;
        }
        let length = product / bend;
        found.iter_mut().zip(&direction).for_each(|(x, d)| *x += length * d);
        rest.iter_mut().zip(&of_others).for_each(|(r, d)| *r -= length * d);
        solved = factor.solve(&rest);
        let next = dot(&rest, &solved);
        let turn = next / product;
        product = next;
        direction.iter_mut().zip(&solved).for_each(|(d, s)| *d = s + turn * *d);
        of_all.iter_mut().zip(&rest).for_each(|(d, r)| *d = r + turn * *d);
    }
    found
}
