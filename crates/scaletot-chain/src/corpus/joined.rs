//! Records beside the profiles and outcomes of their users.

use std::collections::HashMap;

use scaletot_profile::{Dataset, UserId, UserIds};

use super::{Corpus, CorpusHeader};
use crate::ChainRecord;
use crate::error::{Error, Result};
use crate::record::shown;

/// A corpus whose records know their rows in a [`Dataset`]: what a student is trained on. Made by [`Corpus::join`].
///
/// Records come in the order of their rows, whatever order their users were finished in, so that what is learned from a corpus
/// does not depend on interruptions while it was written.
#[derive(Debug, Clone)]
pub struct JoinedCorpus<'a> {
    dataset: &'a Dataset,
    corpus: &'a Corpus,
    /// Ascending.
    rows: Vec<usize>,
    /// Of those rows.
    records: Vec<&'a ChainRecord>,
}

impl Corpus {
    /// Finds every record's user in `dataset`, by id. Users of the dataset without a record play no part.
    ///
    /// The dataset's profile schema need not be that of the header: a student may read fields that the teacher was not shown.
    ///
    /// # Errors
    /// [`Error::UserNotInDataset`] for the first record whose user is not there.
    pub fn join<'a>(&'a self, dataset: &'a Dataset) -> Result<JoinedCorpus<'a>> {
        JoinedCorpus::new(self, dataset)
    }
}

impl<'a> JoinedCorpus<'a> {
    fn new(corpus: &'a Corpus, dataset: &'a Dataset) -> Result<Self> {
        const UNKNOWN: usize = usize::MAX;
        let mut rows = vec![UNKNOWN; corpus.len()];
        // The corpus is mostly the smaller one, so its users are indexed and the dataset's are looked up.
        match dataset.table().ids() {
            UserIds::Int(ids) => {
                let known = |record: &ChainRecord| match record.user {
                    UserId::Int(id) => Some(id),
                    UserId::Text(_) => None,
                };
                find(corpus, known, ids.iter().copied(), &mut rows);
            }
            UserIds::Text(ids) => {
                fn known(record: &ChainRecord) -> Option<&str> {
                    match &record.user {
                        UserId::Int(_) => None,
                        UserId::Text(id) => Some(id),
                    }
                }
                find(corpus, known, ids.iter().map(String::as_str), &mut rows);
            }
        }
        match rows.iter().position(|&row| row == UNKNOWN) {
            None => {
                let mut order: Vec<usize> = (0..rows.len()).collect();
                order.sort_unstable_by_key(|&at| rows[at]);
                let records = order.iter().map(|&at| &corpus.records()[at]).collect();
                let rows = order.into_iter().map(|at| rows[at]).collect();
                Ok(Self { dataset, corpus, rows, records })
            }
            Some(at) => {
                Err(Error::UserNotInDataset { user: shown(&corpus.records()[at].user), users: dataset.len() })
            }
        }
    }

    /// The dataset: profiles, outcomes, segments.
    pub fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// The corpus.
    pub fn corpus(&self) -> &'a Corpus {
        self.corpus
    }

    /// What the corpus was made under.
    pub fn header(&self) -> &'a CorpusHeader {
        self.corpus.header()
    }

    /// Rows of the dataset that the records are of, ascending; no row occurs twice.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Every record with its row, by ascending rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (usize, &'a ChainRecord)> + '_ {
        self.rows.iter().copied().zip(self.records.iter().copied())
    }

    /// The records whose best chain was accepted, with their rows, by ascending rows.
    pub fn accepted(&self) -> impl Iterator<Item = (usize, &'a ChainRecord)> + '_ {
        self.iter().filter(|(_, record)| record.verdict.is_accepted())
    }
}

/// Fills in the rows of the records whose user is among `ids`.
fn find<'a, K: Eq + std::hash::Hash>(
    corpus: &'a Corpus,
    known: impl Fn(&'a ChainRecord) -> Option<K>,
    ids: impl Iterator<Item = K>,
    rows: &mut [usize],
) {
    let records = corpus.records().iter().enumerate();
    let index: HashMap<K, usize> = records.filter_map(|(at, record)| Some((known(record)?, at))).collect();
    for (row, id) in ids.enumerate() {
        if let Some(&at) = index.get(&id) {
            rows[at] = row;
        }
    }
}
