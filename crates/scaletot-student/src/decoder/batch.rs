//! Token sequences of unequal length as one rectangle.

/// A padded batch of token ids that knows which of them are real and belong together, without which the decoder cannot be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBatch {
    rows: usize,
    len: usize,
    ids: Vec<u32>,
    /// For each id the sequence of its row that it belongs to, from 1; 0 for padding.
    sequence: Vec<u32>,
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
        let len = sequences.iter().map(|s| s.as_ref().len()).max().unwrap_or(0);
        let mut batch = Self::blank(sequences.len(), len, pad);
        for (row, sequence) in sequences.iter().enumerate() {
            let sequence = sequence.as_ref();
            batch.put(row * len + if left { len - sequence.len() } else { 0 }, sequence, 1);
        }
        batch
    }

    /// Several sequences to a row where they fit behind one another, no row being longer than the longest sequence, and where each
    /// sequence begins in [`ids`](Self::ids). A token sees those of its own sequence alone. Longer sequences are placed first, each
    /// into the first row that has room (first fit, decreasing).
    ///
    /// ```
    /// use scaletot_student::decoder::TokenBatch;
    /// let (batch, starts) = TokenBatch::packed(&[vec![1], vec![2, 3, 4], vec![5, 6]], 0);
    /// assert_eq!((batch.rows(), batch.len()), (2, 3));
    /// assert_eq!(batch.ids(), [2, 3, 4, 5, 6, 1]);
    /// assert_eq!(starts, [5, 0, 3]);
    /// ```
    #[must_use]
    pub fn packed<S: AsRef<[u32]>>(sequences: &[S], pad: u32) -> (Self, Vec<usize>) {
        let lengths: Vec<usize> = sequences.iter().map(|s| s.as_ref().len()).collect();
        let len = lengths.iter().copied().max().unwrap_or(0);
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(lengths[at]));
        // Tokens and sequences of each row so far.
        let mut rows: Vec<(usize, u32)> = vec![];
        let mut spans = vec![(0, 0, 0); sequences.len()];
        for at in order {
            let row = rows.iter().position(|(used, _)| used + lengths[at] <= len).unwrap_or(rows.len());
            if row == rows.len() {
                rows.push((0, 0));
            }
            let (used, count) = &mut rows[row];
            spans[at] = (row, *used, *count + 1);
            (*used, *count) = (*used + lengths[at], *count + 1);
        }
        let mut batch = Self::blank(rows.len(), len, pad);
        for (sequence, &(row, begin, number)) in sequences.iter().zip(&spans) {
            batch.put(row * len + begin, sequence.as_ref(), number);
        }
        (batch, spans.iter().map(|(row, begin, _)| row * len + begin).collect())
    }

    fn blank(rows: usize, len: usize, pad: u32) -> Self {
        Self { rows, len, ids: vec![pad; rows * len], sequence: vec![0; rows * len] }
    }

    fn put(&mut self, at: usize, ids: &[u32], number: u32) {
        self.ids[at..at + ids.len()].copy_from_slice(ids);
        self.sequence[at..at + ids.len()].fill(number);
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
            sequence: rows().flat_map(|range| self.sequence[range].to_vec()).collect(),
        }
    }

    /// Number of rows of the rectangle.
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
    pub fn valid(&self) -> Vec<bool> {
        self.sequence.iter().map(|&number| number > 0).collect()
    }

    /// For each id the sequence of its row that it belongs to, from 1, or 0 for padding, `[rows, len]`.
    #[must_use]
    pub fn sequence(&self) -> &[u32] {
        &self.sequence
    }
}
