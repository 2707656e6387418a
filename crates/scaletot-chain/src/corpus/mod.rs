//! Corpus files: what the teacher has found out, user by user.
//!
//! A corpus is a text file of JSON lines. The first line is a [`CorpusHeader`]; every further line is one
//! [`ChainRecord`](crate::ChainRecord), in the order in which users were finished. The file only grows: a teacher is
//! slow and its answers cost, so a run that is killed must lose at most the user in flight, and must never mix its
//! lines with those of a run under another schema, teacher or setting.
//!
//! - [`CorpusWriter::create`] begins a corpus, [`CorpusWriter::resume`] goes on with one, and repairs a last line that
//!   a kill cut short; [`CorpusWriter::open`] does whichever is called for.
//! - [`Corpus`] is a whole corpus in memory, its records checked against the chain schema; [`Corpus::join`] finds their users in a
//!   dataset.
//!
//! Numbers come back as the same bits, users as the same ids. Every line ends with a [checksum](scaletot_core::checksum) of itself: lines that
//! are not as they were written are named by [`Corpus::read`], left out by [`Corpus::read_undamaged`], and
//! removed by [`CorpusWriter::resume`], so that their users are done again.

mod damage;
mod header;
mod joined;
mod read;
mod records;
mod write;

pub use damage::DamagedLine;
pub(crate) use damage::listed;
pub use header::{CORPUS_FORMAT, CorpusHeader};
pub use joined::JoinedCorpus;
pub use records::{Corpus, Undamaged};
pub use write::{CorpusWriter, Repaired};
