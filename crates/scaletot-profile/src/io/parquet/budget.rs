//! How many bytes decoding may take at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bytes that are taken while a batch is read, shared by the columns of a row group.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    limit: u64,
    columns: Vec<Column>,
    /// Cells of the batch so far.
    batch: u64,
    refused: Option<Refused>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Column {
    /// The dictionary, for as long as the row group lasts.
    dictionary: u64,
    /// The page in hand.
    page: u64,
    /// What a batch takes of the page in hand at most.
    cells: u64,
}

/// What would have been too much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Refused {
    /// Index of the column among those that are read.
    pub(super) column: usize,
    /// Bytes that all of it would have taken.
    pub(super) needed: u64,
    /// Whether a batch of fewer rows could do with less.
    pub(super) by_cells: bool,
}

impl Budget {
    pub(super) fn new(limit: u64, columns: usize) -> Self {
        let columns = vec![Column::default(); columns];
        Self(Arc::new(Mutex::new(Taken { limit, columns, batch: 0, refused: None })))
    }

    pub(super) fn limit(&self) -> u64 {
        self.taken().limit
    }

    /// A batch begins: pages in hand go on, and what they hold may all be in it.
    pub(super) fn start_batch(&self) {
        let mut taken = self.taken();
        taken.batch = taken.columns.iter().map(|column| column.cells).sum();
    }

    /// A page is to be unpacked, in the place of the one in hand.
    pub(super) fn take_page(&self, column: usize, bytes: u64) -> Result<(), Refused> {
        self.taken().take(column, |taken| taken.columns[column].page = bytes)
    }

    pub(super) fn take_dictionary(&self, column: usize, bytes: u64) -> Result<(), Refused> {
        self.taken().take(column, |taken| taken.columns[column].dictionary = bytes)
    }

    /// The page in hand is to be decoded: so many bytes go into one batch at most.
    pub(super) fn take_cells(&self, column: usize, bytes: u64) -> Result<(), Refused> {
        self.taken().take(column, |taken| {
            taken.columns[column].cells = bytes;
            taken.batch = taken.batch.saturating_add(bytes);
        })
    }

    /// Notes that something is too much.
    pub(super) fn refuse(&self, refused: Refused) {
        self.taken().refused = Some(refused);
    }

    /// What was refused, once.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.taken().refused.take()
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn take(&mut self, column: usize, change: impl FnOnce(&mut Self)) -> Result<(), Refused> {
        change(self);
        let held = self.columns.iter().map(|column| column.dictionary.saturating_add(column.page));
        let held = held.fold(0, u64::saturating_add);
        let needed = held.saturating_add(self.batch);
        if needed <= self.limit {
            return Ok(());
        }
        Err(Refused { column, needed, by_cells: held <= self.limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_dictionaries_and_cells_add_up() {
        let budget = Budget::new(100, 2);
        budget.take_dictionary(0, 30).unwrap();
        budget.take_page(0, 20).unwrap();
        budget.take_cells(0, 10).unwrap();
        budget.take_page(1, 40).unwrap();
        // 30 + 20 + 40 and 10 are all there is.
        let refused = Refused { column: 1, needed: 101, by_cells: true };
        assert_eq!(budget.take_cells(1, 1), Err(refused));
        budget.refuse(refused);
        assert_eq!((budget.refused(), budget.refused()), (Some(refused), None));
    }

    #[test]
    fn a_page_takes_the_place_of_the_last_and_cells_go_on_into_the_next_batch() {
        let budget = Budget::new(100, 1);
        for _ in 0..3 {
            budget.take_page(0, 60).unwrap();
        }
        budget.take_cells(0, 30).unwrap();
        budget.start_batch();
        assert_eq!(budget.take_cells(0, 11).unwrap_err().needed, 101);
        assert_eq!(budget.take_page(0, 101), Err(Refused { column: 0, needed: 142, by_cells: false }));
    }
}
