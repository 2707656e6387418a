//! Token sequences of unequal length as one rectangle.

/// A padded batch of token ids with the mask of its real tokens, without which the decoder cannot be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBatch {
    rows: usize,
    len: usize,
    ids: Vec<u32>,
    valid: Vec<bool>,
}

impl TokenBatch {
    /// Sequences padded in front, so that they end in the same column.
    ///
    /// ```
    /// use scaletot_student::decoder::TokenBatch;
    /// let batch = TokenBatch::left_padded(&[vec![5, 6, 7], vec![8]], 0);
    /// assert_eq!(batch.ids(), [5, 6, 7, 0, 0, 8]);
    /// assert_eq!(batch.valid(), [true, true, true, false, false, true]);
    /// ```
    #[must_use]
    pub fn left_padded<S: AsRef<[u32]>>(sequences: &[S], pad: u32) -> Self {
        Self::padded(sequences, pad, true)
    }

    /// Sequences padded behind, so that they begin in the same column.
    #[must_use]
    pub fn right_padded<S: AsRef<[u32]>>(sequences: &[S], pad: u32) -> Self {
        Self::padded(sequences, pad, false)
    }

    fn padded<S: AsRef<[u32]>>(sequences: &[S], pad: u32, left: bool) -> Self {
        let rows = sequences.len();
        let len = sequences.iter().map(|s| s.as_ref().len()).max().unwrap_or(0);
        let (mut ids, mut valid) = (Vec::with_capacity(rows * len), Vec::with_capacity(rows * len));
        for sequence in sequences {
            let sequence = sequence.as_ref();
            let gap = len - sequence.len();
            let (before, after) = if left { (gap, 0) } else { (0, gap) };
            ids.extend(std::iter::repeat_n(pad, before));
            ids.extend_from_slice(sequence);
            ids.extend(std::iter::repeat_n(pad, after));
            valid.extend(std::iter::repeat_n(false, before));
            valid.extend(std::iter::repeat_n(true, sequence.len()));
            valid.extend(std::iter::repeat_n(false, after));
        }
        Self { rows, len, ids, valid }
    }

    /// Some consecutive columns of the rectangle: a piece to be read through a [`KvCache`](super::KvCache). Columns that are not
    /// there are left out.
    #[must_use]
    pub fn columns(&self, columns: std::ops::Range<usize>) -> Self {
        let end = columns.end.min(self.len);
        let columns = columns.start.min(end)..end;
        let rows = || (0..self.rows).map(|row| row * self.len + columns.start..row * self.len + columns.end);
        Self {
            rows: self.rows,
            len: columns.len(),
            ids: rows().flat_map(|range| self.ids[range].to_vec()).collect(),
            valid: rows().flat_map(|range| self.valid[range].to_vec()).collect(),
        }
    }

    /// Number of sequences.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Length of the rectangle: that of the longest sequence.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the rectangle holds no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids, row by row, `[rows, len]`.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Whether each id is a real token, `[rows, len]`.
    #[must_use]
    pub fn valid(&self) -> &[bool] {
        &self.valid
    }
}
