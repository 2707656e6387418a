//! A whole corpus in memory.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::CorpusHeader;
use super::read::{in_line, no_header, scan};
use crate::error::{Error, Result};
use crate::{ChainRecord, ChainSchema};

/// Records of many users with the header they were made under, checked against their chain schema: one record a user at most,
/// every chain legal, every distribution one.
///
/// ```
/// use scaletot_chain::{Chain, ChainRecord, ChainSchema, Corpus, CorpusHeader, StateDef, Verdict};
/// use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
///
/// let profiles = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
/// let chains = ChainSchema::builder("shopper").with_state(StateDef::ordinal("spend", ["low", "high"])).build()?;
/// let header = CorpusHeader::new(profiles.hash(), &chains, "expert", 1);
/// let mut rows = TableBuilder::new(profiles);
/// rows.push_text(7, &["35+"])?;
/// rows.push_text(8, &["18-34"])?;
/// let dataset = Dataset::builder(rows.finish()).with_outcomes(vec![None, Some(12.5)]).build()?;
///
/// // A corpus that a search wrote is read by `Corpus::read`; this one is made here.
/// let record = ChainRecord::new(8.into(), Verdict::Accepted).with_best(Some(Chain::certain(&chains, &[1])?));
/// let corpus = Corpus::new(header, vec![record], &chains)?;
/// let joined = corpus.join(&dataset)?;
/// for (row, record) in joined.iter() {
///     assert_eq!((row, dataset.outcome(row)), (1, Some(12.5)));
///     assert!(record.verdict.is_accepted());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Corpus {
    header: CorpusHeader,
    records: Vec<ChainRecord>,
}

impl Corpus {
    /// Puts records together that are in memory already; they keep their order.
    ///
    /// # Errors
    /// [`Error::OtherChainSchema`] for a header of another schema, [`Error::RepeatedUser`], [`Error::InRecord`] for a record that
    /// does not fit the schema.
    pub fn new(header: CorpusHeader, records: Vec<ChainRecord>, schema: &ChainSchema) -> Result<Self> {
        header.check_chain_schema(schema)?;
        let mut users = HashSet::with_capacity(records.len());
        for record in &records {
            record.check(schema)?;
            if !users.insert(&record.user) {
                return Err(Error::RepeatedUser { user: record.user.to_string() });
            }
        }
        Ok(Self { header, records })
    }

    /// Reads a corpus file, and checks every record against `schema`. The records keep the order of the file's lines.
    ///
    /// A last line without its line end is read if it is whole.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::NotACorpus`], [`Error::UnknownFormat`] or [`Error::OtherChainSchema`] (inside [`Error::InFile`]) for
    /// the header; [`Error::CorruptLine`], [`Error::InLine`], [`Error::CutLine`] or [`Error::DuplicateUser`] for a record, with its line.
    pub fn read(path: impl AsRef<Path>, schema: &ChainSchema) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let accept = |header: &CorpusHeader| header.check_chain_schema(schema).map_err(|e| e.in_file(path));
        let scan = scan(path, BufReader::new(file), accept)?;
        if let Some(cut) = scan.cut {
            let bytes = cut.bytes.len() as u64;
            return Err(Error::CutLine { path: path.to_path_buf(), line: cut.line, bytes });
        }
        let header = scan.header.ok_or_else(|| no_header(path))?;
        for (i, record) in scan.records.iter().enumerate() {
            record.check(schema).map_err(|e| in_line(path, i as u64 + 2, e))?;
        }
        Ok(Self { header, records: scan.records })
    }

    /// What the corpus was made under.
    pub fn header(&self) -> &CorpusHeader {
        &self.header
    }

    /// The records, in the order in which users were finished.
    pub fn records(&self) -> &[ChainRecord] {
        &self.records
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}
