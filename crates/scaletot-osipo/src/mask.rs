//! Which tokens count, and to which step of the chain each belongs.
//!
//! Most loss bugs of the field are padding that leaks into a sum. So the mask is a type: a
//! [`CandidateBatch`](crate::CandidateBatch) cannot be built without one, and the loss takes nothing but a
//! batch. Both types live on the host, where they are checked; the batch sends them to its device once.

use crate::{Error, Result};

/// The tokens that count, `[candidates, tokens]`: `true` for the tokens of the chain, `false` for the
/// profile, separators that are not judged, and padding.
///
/// At positions that are not kept the log-probabilities may hold anything, NaN and −∞ included: they reach
/// neither the loss nor its gradient.
///
/// ```
/// use scaletot_osipo::TokenMask;
///
/// let mask = TokenMask::from_rows(&[vec![false, true, true], vec![false, true]])?;
/// assert_eq!((mask.candidates(), mask.tokens()), (2, 3)); // short rows are padded with `false`
/// assert!(!mask.is_kept(1, 2));
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMask {
    keep: Vec<bool>,
    candidates: usize,
    tokens: usize,
}

impl TokenMask {
    /// A mask from row-major flags, `candidates × tokens` of them.
    ///
    /// # Errors
    /// [`Error::Empty`] for no candidate or no token, [`Error::Shape`] if the number of flags is not
    /// `candidates * tokens`.
    pub fn new(keep: Vec<bool>, candidates: usize, tokens: usize) -> Result<Self> {
        check_grid("token mask", keep.len(), candidates, tokens)?;
        Ok(Self { keep, candidates, tokens })
    }

    /// A mask from one row per candidate; rows may differ in length and are padded at their end with `false`.
    ///
    /// # Errors
    /// [`Error::Empty`] for no row, or no row with a token.
    pub fn from_rows<R: AsRef<[bool]>>(rows: &[R]) -> Result<Self> {
        let tokens = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
        let mut keep = Vec::with_capacity(rows.len() * tokens);
        for row in rows {
            let row = row.as_ref();
            keep.extend_from_slice(row);
            keep.extend(std::iter::repeat_n(false, tokens - row.len()));
        }
        Self::new(keep, rows.len(), tokens)
    }

    /// A mask that keeps the first `lengths[i]` of `tokens` tokens of candidate `i`.
    ///
    /// # Errors
    /// [`Error::Empty`] for no candidate or no token, [`Error::OutOfRange`] for a length above `tokens`.
    pub fn from_lengths(lengths: &[usize], tokens: usize) -> Result<Self> {
        let mut keep = Vec::with_capacity(lengths.len().saturating_mul(tokens));
        for (row, &length) in lengths.iter().enumerate() {
            if length > tokens {
                let (index, bound) = (length, tokens + 1);
                return Err(Error::OutOfRange { what: "length", row, index, bound });
            }
            keep.extend((0..tokens).map(|token| token < length));
        }
        Self::new(keep, lengths.len(), tokens)
    }

    /// Number of candidates, n.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    /// Number of tokens per candidate with padding, t.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Whether a token counts; `false` outside the grid.
    #[must_use]
    pub fn is_kept(&self, candidate: usize, token: usize) -> bool {
        token < self.tokens && self.keep.get(candidate * self.tokens + token).copied().unwrap_or(false)
    }

    /// Number of tokens of a candidate that count; 0 outside the grid.
    #[must_use]
    pub fn kept(&self, candidate: usize) -> usize {
        (0..self.tokens).filter(|&token| self.is_kept(candidate, token)).count()
    }

    /// The flags, row by row.
    #[must_use]
    pub fn as_slice(&self) -> &[bool] {
        &self.keep
    }
}

/// The chain segment (step of the chain) of every token, `[candidates, tokens]`, each in `0..K` where the
/// mask keeps the token; elsewhere it may hold anything.
///
/// ```
/// use scaletot_osipo::{ChainSegments, TokenMask};
///
/// // <pad> or profile | step 0 | step 0 | step 1
/// let mask = TokenMask::from_rows(&[vec![false, true, true, true]])?;
/// let segments = ChainSegments::new(vec![99, 0, 0, 1], 2, &mask)?;
/// assert_eq!(segments.count(), 2);
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainSegments {
    ids: Vec<i64>,
    count: usize,
    candidates: usize,
    tokens: usize,
}

impl ChainSegments {
    /// Segments from row-major ids, one per position of the mask, for `count` (K) chain segments.
    ///
    /// # Errors
    /// [`Error::Empty`] for K = 0, [`Error::Shape`] if there are more or fewer ids than positions in the
    /// mask, [`Error::SegmentOutOfRange`] for a kept token whose id is K or more.
    pub fn new(ids: Vec<usize>, count: usize, mask: &TokenMask) -> Result<Self> {
        if count == 0 {
            return Err(Error::Empty { what: "chain segments" });
        }
        check_grid("chain segments", ids.len(), mask.candidates, mask.tokens)?;
        let mut checked = Vec::with_capacity(ids.len());
        for (position, (segment, &keep)) in ids.into_iter().zip(&mask.keep).enumerate() {
            if keep && segment >= count {
                let (candidate, token) = (position / mask.tokens, position % mask.tokens);
                return Err(Error::SegmentOutOfRange { candidate, token, segment, segments: count });
            }
            // −1 is equal to no segment, so a dropped token belongs to none.
            checked.push(if keep { i64::try_from(segment).unwrap_or(-1) } else { -1 });
        }
        Ok(Self { ids: checked, count, candidates: mask.candidates, tokens: mask.tokens })
    }

    /// Segments from one row per candidate; rows may be shorter than the mask.
    ///
    /// # Errors
    /// As [`ChainSegments::new`]; [`Error::Shape`] also for a row longer than the mask, and a kept token past
    /// the end of its row counts as out of range.
    pub fn from_rows<R: AsRef<[usize]>>(rows: &[R], count: usize, mask: &TokenMask) -> Result<Self> {
        if rows.len() != mask.candidates {
            return Err(Error::Shape {
                what: "chain segments",
                expected: format!("{} rows", mask.candidates),
                found: format!("{} rows", rows.len()),
            });
        }
        let mut ids = Vec::with_capacity(mask.keep.len());
        for (candidate, row) in rows.iter().enumerate() {
            let row = row.as_ref();
            if row.len() > mask.tokens {
                return Err(Error::Shape {
                    what: "chain segments",
                    expected: format!("at most {} tokens in row {candidate}", mask.tokens),
                    found: format!("{} tokens", row.len()),
                });
            }
            ids.extend_from_slice(row);
            ids.extend(std::iter::repeat_n(usize::MAX, mask.tokens - row.len()));
        }
        Self::new(ids, count, mask)
    }

    /// Every kept token in one segment (K = 1): with this and uniform weights the loss is the published
    /// sequence-level one.
    #[must_use]
    pub fn whole(mask: &TokenMask) -> Self {
        let ids = mask.keep.iter().map(|&keep| if keep { 0 } else { -1 }).collect();
        Self { ids, count: 1, candidates: mask.candidates, tokens: mask.tokens }
    }

    /// Number of chain segments, K.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Number of candidates, n.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    /// Number of tokens per candidate with padding, t.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Segment of a token, `None` where the mask drops it.
    #[must_use]
    pub fn segment(&self, candidate: usize, token: usize) -> Option<usize> {
        let id = (token < self.tokens).then(|| self.ids.get(candidate * self.tokens + token)).flatten()?;
        usize::try_from(*id).ok()
    }

    pub(crate) fn ids(&self) -> &[i64] {
        &self.ids
    }
}

fn check_grid(what: &'static str, found: usize, candidates: usize, tokens: usize) -> Result<()> {
    if candidates == 0 || tokens == 0 {
        return Err(Error::Empty { what: if candidates == 0 { "candidates" } else { "tokens" } });
    }
    if candidates.checked_mul(tokens) != Some(found) {
        let expected = format!("{candidates} × {tokens} values");
        return Err(Error::Shape { what, expected, found: format!("{found} values") });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_and_lengths_keep_a_prefix() {
        let ragged = TokenMask::from_rows(&[vec![true, true], vec![true, false, true]]).unwrap();
        assert_eq!(ragged.as_slice(), [true, true, false, true, false, true]);
        assert_eq!((ragged.kept(0), ragged.kept(1), ragged.kept(2)), (2, 2, 0));
        let prefix = TokenMask::from_lengths(&[0, 2], 3).unwrap();
        assert_eq!(prefix.as_slice(), [false, false, false, true, true, false]);
        assert!(!prefix.is_kept(0, 3), "no wrap into the next row");
        assert!(!prefix.is_kept(7, 0));
    }

    #[test]
    fn wrong_sizes_are_named() {
        assert!(matches!(TokenMask::new(vec![], 0, 3).unwrap_err(), Error::Empty { what: "candidates" }));
        assert!(matches!(TokenMask::from_rows(&[vec![]]).unwrap_err(), Error::Empty { what: "tokens" }));
        let error = TokenMask::new(vec![true; 5], 2, 3).unwrap_err();
        assert_eq!(error.to_string(), "token mask: expected 2 × 3 values, found 5 values");
        let error = TokenMask::from_lengths(&[1, 4], 3).unwrap_err();
        assert_eq!(error.to_string(), "length of row 1: expected an index below 4, found 4");
    }

    #[test]
    fn segments_are_checked_only_where_kept() {
        let mask = TokenMask::from_rows(&[vec![true, false], vec![true, true]]).unwrap();
        let segments = ChainSegments::new(vec![1, 77, 0, 1], 2, &mask).unwrap();
        assert_eq!(segments.segment(0, 0), Some(1));
        assert_eq!(segments.segment(0, 1), None);
        let error = ChainSegments::new(vec![1, 0, 0, 2], 2, &mask).unwrap_err();
        assert!(
            matches!(error, Error::SegmentOutOfRange { candidate: 1, token: 1, segment: 2, segments: 2 }),
            "{error}"
        );
        assert!(matches!(ChainSegments::new(vec![0; 4], 0, &mask), Err(Error::Empty { .. })));
        assert!(matches!(ChainSegments::new(vec![0; 3], 1, &mask), Err(Error::Shape { .. })));
    }

    #[test]
    fn segment_rows_may_be_short_but_not_where_kept() {
        let mask = TokenMask::from_rows(&[vec![true, false], vec![true, true]]).unwrap();
        let segments = ChainSegments::from_rows(&[vec![0], vec![0, 1]], 2, &mask).unwrap();
        assert_eq!(segments.segment(1, 1), Some(1));
        assert!(ChainSegments::from_rows(&[vec![0], vec![0]], 2, &mask).is_err());
        assert!(ChainSegments::from_rows(&[vec![0, 0, 0], vec![0, 1]], 2, &mask).is_err());
        assert!(ChainSegments::from_rows(&[vec![0, 0]], 2, &mask).is_err());
        assert_eq!(ChainSegments::whole(&mask).segment(1, 0), Some(0));
    }
}
