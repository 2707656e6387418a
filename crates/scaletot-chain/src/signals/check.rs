//! Checks of signals that come from outside.

use crate::check::finite;
use crate::error::{Error, Result};

/// How far the sum of a marginal may be from 1.
pub(super) const SUM_TOLERANCE: f64 = 1e-3;

/// Where each domain begins in a user's marginals, and where the last one ends.
pub(super) fn offsets(domain_sizes: &[usize]) -> Result<Vec<usize>> {
    let mut offsets = vec![0_usize];
    let mut end = 0_usize;
    for (k, &size) in domain_sizes.iter().enumerate() {
        if size == 0 {
            let what = format!("values of state #{} of the signals", k + 1);
            return Err(Error::BadNumber { what, expected: "at least 1".to_owned(), found: 0.0 });
        }
        end = end.saturating_add(size);
        offsets.push(end);
    }
    Ok(offsets)
}

/// Entries in the order of their rows, or nothing if the rows ascend. No row may occur twice.
pub(super) fn order(rows: &[usize]) -> Result<Option<Vec<usize>>> {
    if rows.windows(2).all(|pair| pair[0] < pair[1]) {
        return Ok(None);
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_unstable_by_key(|&i| rows[i]);
    match order.windows(2).find(|pair| rows[pair[0]] == rows[pair[1]]) {
        Some(pair) => Err(Error::DuplicateRow { row: rows[pair[0]] }),
        None => Ok(Some(order)),
    }
}

/// A row-major array of that shape.
pub(super) fn length(what: &str, shape: &[usize], found: usize) -> Result<()> {
    let expected = shape.iter().fold(1, |product: usize, &n| product.saturating_mul(n));
    if found == expected {
        return Ok(());
    }
    Err(Error::WrongLength { what: what.to_owned(), expected, found })
}

/// Two lists of sizes that must be equal.
pub(super) fn same(what: &str, expected: &[usize], found: &[usize]) -> Result<()> {
    length(what, &[expected.len()], found.len())?;
    match expected.iter().zip(found).enumerate().find(|(_, (a, b))| a != b) {
        None => Ok(()),
        Some((k, (expected, &found))) => {
            let what = format!("{what}, size #{}", k + 1);
            Err(Error::BadNumber { what, expected: expected.to_string(), found: found as f64 })
        }
    }
}

pub(super) fn marginals(rows: &[usize], offsets: &[usize], marginals: &[f32]) -> Result<()> {
    let width = offsets.last().copied().unwrap_or(0).max(1);
    for (row, user) in rows.iter().zip(marginals.chunks_exact(width)) {
        for (k, bounds) in offsets.windows(2).enumerate() {
            let marginal = &user[bounds[0]..bounds[1]];
            let what = || format!("marginal of state #{} of row {row}", k + 1);
            // Written so that NaN is refused too.
            if let Some(&p) = marginal.iter().find(|&&p| !(p >= 0.0 && p.is_finite())) {
                let expected = "finite numbers of at least 0".to_owned();
                return Err(Error::BadNumber { what: what(), expected, found: p.into() });
            }
            let sum: f64 = marginal.iter().map(|&p| f64::from(p)).sum();
            if (sum - 1.0).abs() > SUM_TOLERANCE {
                let expected = format!("probabilities whose sum is 1 within {}", SUM_TOLERANCE);
                return Err(Error::BadNumber { what: what(), expected, found: sum });
            }
        }
    }
    Ok(())
}

pub(super) fn representations(rows: &[usize], width: usize, representations: &[f32]) -> Result<()> {
    for (row, user) in rows.iter().zip(representations.chunks_exact(width.max(1))) {
        for (at, &x) in user.iter().enumerate() {
            finite(|| format!("number {} of the representation of row {row}", at + 1), x.into())?;
        }
    }
    Ok(())
}
