//! A whole corpus in memory.

use std::collections::HashSet;
use std::io::BufReader;
use std::path::Path;

use scaletot_core::files;

use super::damage::user_of;
use super::read::{Scan, in_line, no_header, scan};
use super::{CorpusHeader, DamagedLine};
use crate::error::{Error, Result};
use crate::record::shown;
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

/// What is as it was written of a damaged corpus; from [`Corpus::read_undamaged`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Undamaged {
    /// The header, unless it is damaged itself: then nothing tells what the records were made under.
    pub header: Option<CorpusHeader>,
    /// The records, in the order of their lines.
    pub records: Vec<ChainRecord>,
    /// The lines that are not as they were written, a cut last one among them.
    pub damaged: Vec<DamagedLine>,
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
                return Err(Error::RepeatedUser { user: shown(&record.user) });
            }
        }
        Ok(Self { header, records })
    }

    /// Reads a corpus file, and checks every record against `schema`. The records keep the order of the file's lines.
    ///
    /// A last line without its line end is read if it is whole. Lines may end in CRLF, and one may be there several times.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::NotACorpus`], [`Error::UnknownFormat`] or [`Error::OtherChainSchema`] (inside [`Error::InFile`]) for
    /// the header; [`Error::Damaged`] if any line is not what was written, with all of those; [`Error::CorruptLine`], [`Error::InLine`],
    /// [`Error::CutLine`] or [`Error::DuplicateUser`] (two records that differ) for a record, with its line.
    pub fn read(path: impl AsRef<Path>, schema: &ChainSchema) -> Result<Self> {
        let path = path.as_ref();
        let scan = scan_of(path, schema)?;
        if !scan.damaged.is_empty() {
            return Err(Error::Damaged { path: path.to_path_buf(), lines: scan.damaged });
        }
        if let Some(cut) = scan.cut {
            let bytes = cut.bytes.len() as u64;
            return Err(Error::CutLine { path: path.to_path_buf(), line: cut.line, bytes });
        }
        let header = scan.header.ok_or_else(|| no_header(path))?;
        Ok(Self { header, records: scan.records })
    }

    /// Reads what is as it was written of a corpus file that [`read`](Self::read) calls damaged or cut, and names the lines that are not. A
    /// run that [resumes](super::CorpusWriter::resume) the corpus asks about their users again.
    ///
    /// ```
    /// use scaletot_chain::{ChainRecord, ChainSchema, Corpus, CorpusHeader, CorpusWriter, Reason, StateDef, Verdict};
    /// use scaletot_core::ContentHash;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("corpus.jsonl");
    /// let schema = ChainSchema::builder("customer").with_state(StateDef::ordinal("spend", ["low", "high"])).build()?;
    /// let header = CorpusHeader::new(ContentHash::of(b"profile schema"), &schema, "rules", 7);
    /// let mut corpus = CorpusWriter::create(&path, &header)?;
    /// for user in [1, 2] {
    ///     corpus.append(&ChainRecord::new(user.into(), Verdict::Abstained { reason: Reason::NoEvidence }))?;
    /// }
    /// drop(corpus);
    ///
    /// // Somebody edits the file.
    /// std::fs::write(&path, std::fs::read_to_string(&path)?.replacen("no_evidence", "no-evidence", 1))?;
    /// let error = Corpus::read(&path, &schema).unwrap_err();
    /// assert!(error.to_string().contains("1 line is not what was written: line 2 (user 1)"));
    /// let undamaged = Corpus::read_undamaged(&path, &schema)?;
    /// assert_eq!(undamaged.records[0].user, 2.into());
    /// assert_eq!(undamaged.damaged[0].line, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`read`](Self::read), but for [`Error::Damaged`] and [`Error::CutLine`].
    pub fn read_undamaged(path: impl AsRef<Path>, schema: &ChainSchema) -> Result<Undamaged> {
        let path = path.as_ref();
        let Scan { header, records, mut damaged, cut, .. } = scan_of(path, schema)?;
        if header.is_none() && damaged.is_empty() {
            return Err(no_header(path));
        }
        damaged.extend(cut.map(|cut| DamagedLine { line: cut.line, user: user_of(&cut.bytes) }));
        Ok(Undamaged { header, records, damaged })
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

/// What a file holds, its records checked against the schema.
fn scan_of(path: &Path, schema: &ChainSchema) -> Result<Scan> {
    let accept = |header: &CorpusHeader| header.check_chain_schema(schema).map_err(|e| e.in_file(path));
    let scan = scan(path, BufReader::new(files::open(path)?), accept)?;
    for record in &scan.records {
        let line = scan.users.get(&record.user).copied().unwrap_or_default();
        record.check(schema).map_err(|e| in_line(path, line, e))?;
    }
    Ok(scan)
}
